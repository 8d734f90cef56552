//! `knowledge search|context|index`: looking something up.

use clap::Args;
use loopctl_core::cost::Total;
use loopctl_core::knowledge::Category;
use serde_json::{Value, json};

use super::{check_category, markdown, of_project, story, text};
use crate::client::borrowed;
use crate::commands::{given_parameters, one_of};
use crate::context::Context;
use crate::error::Error;
use crate::layout::block::{Block, Item};
use crate::layout::table::Column;
use crate::layout::text::hanging;
use crate::layout::{Screen, times};
use crate::output::{self, rows_of};
use crate::terminal::Style;
use crate::{bars, resolve, table};

#[derive(Debug, Args)]
pub(crate) struct SearchArguments {
    /// What is looked for; in quotation marks together, `OR`, and `-word` (after --) for what is not in it
    #[arg(required = true, value_name = "WORD")]
    words: Vec<String>,
    /// keyword, semantic, or combined (default)
    #[arg(long)]
    mode: Option<String>,
    /// pattern, convention, decision, finding or reference
    #[arg(long)]
    category: Option<String>,
    /// Any of these tags: a,b
    #[arg(long, value_name = "TAGS")]
    tags: Option<String>,
    /// Also the server's own articles, which explain loopctl
    #[arg(long)]
    include_system: bool,
    /// The story that it is for: id or number
    #[arg(long, value_name = "REF")]
    story: Option<String>,
    /// At most so many (10)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=50))]
    limit: Option<u32>,
    /// After so many
    #[arg(long, value_name = "N")]
    offset: Option<u32>,
}

pub(super) const SEARCH_EXAMPLES: &str = "Examples:\n  \
    loopctl knowledge search retry budget --format human\n  \
    loopctl knowledge search '\"exactly once\"' --category decision --story 2.1\n  \
    loopctl knowledge search what is a custody halt --include-system";

#[derive(Debug, Args)]
pub(crate) struct ContextArguments {
    /// The task
    #[arg(required = true, value_name = "WORD")]
    words: Vec<String>,
    /// The story that it is for: id or number
    #[arg(long, value_name = "REF")]
    story: Option<String>,
    /// At most so many articles (5)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=20))]
    limit: Option<u32>,
    /// No more than fits into so many tokens
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_tokens: Option<u32>,
    /// How much it counts that an article is new: 0 to 1 (0.3)
    #[arg(long, value_name = "SHARE")]
    recency_weight: Option<f64>,
    /// published (default), draft or archived (a user's key; by any other key published ones are found all the same)
    #[arg(long)]
    status: Option<String>,
}

pub(super) const CONTEXT_EXAMPLES: &str = "Examples:\n  \
    loopctl knowledge context how are retries bounded --story 2.1\n  \
    loopctl knowledge context 'error handling' --limit 3 --max-tokens 2000 --format human";

#[derive(Debug, Args)]
pub(crate) struct IndexArguments {
    /// The story that it is for: id or number
    #[arg(long, value_name = "REF")]
    story: Option<String>,
}

/// What is shown to users alone, but for the first.
const STATUSES: &[&str] = &[PUBLISHED, "draft", "archived"];
const PUBLISHED: &str = "published";
/// The most characters that are looked for.
const LONGEST: usize = 500;
/// Columns of the bar behind a score.
const BAR: usize = 10;
const FOUND: &[&str] = &["id", "title", "category", "tags", "score", "snippet"];
const READ: &[&str] = &[
    "id",
    "title",
    "category",
    "tags",
    "combined_score",
    "relevance_score",
    "recency_score",
    "updated_at",
    "body",
];
const INDEXED: &[&str] = &["category", "title", "tags", "updated_at", "id"];
const NOTHING: &str = "No articles.";

/// What is looked for, as it was typed.
fn looked_for(words: &[String]) -> Result<String, Error> {
    let text = words.join(" ").trim().to_owned();
    if text.is_empty() {
        return Err(Error::Usage("What is looked for must not be blank".to_owned()));
    }
    if text.chars().count() > LONGEST {
        return Err(Error::Usage(format!("What is looked for has more than {LONGEST} characters")));
    }
    Ok(text)
}

pub(super) async fn search(context: &Context, arguments: SearchArguments) -> Result<(), Error> {
    let query = looked_for(&arguments.words)?;
    if let Some(mode) = &arguments.mode {
        one_of("mode", mode, &["keyword", "semantic", "combined"])?;
    }
    check_category(arguments.category.as_deref())?;
    let client = context.client()?;
    let number = |number: Option<u32>| number.map(|number| number.to_string());
    let query = given_parameters([
        ("q", Some(query)),
        ("project_id", resolve::named_project(context, &client).await?),
        ("story_id", story(context, &client, arguments.story.as_deref()).await?),
        ("category", arguments.category),
        ("tags", arguments.tags),
        ("mode", arguments.mode),
        ("include_system", arguments.include_system.then(|| "true".to_owned())),
        ("limit", number(arguments.limit)),
        ("offset", number(arguments.offset)),
    ]);
    let body = client.get("/knowledge/search", &borrowed(&query)).await?;
    note_fallback(&body);
    if !context.output.human() || rows_of(&body).is_empty() {
        return context.output.list(&body, FOUND, "Nothing found.");
    }
    let from = body["meta"]["offset"].as_u64().unwrap_or(0);
    context.output.styled(&found(rows_of(&body), from, context.output.screen()))?;
    context.output.line(RANKED)?;
    context.output.line(&output::footer(&body, rows_of(&body).len()))
}

/// The server answers whoever is no user with what is published, and does not say so.
fn note_status(status: Option<&str>) {
    if status.is_some_and(|status| status != PUBLISHED) {
        output::note(
            "note: only a user's key finds drafts and archived articles; any other finds published ones",
        );
    }
}

/// Without embeddings words alone are compared, which finds less.
fn note_fallback(body: &Value) {
    if body["meta"]["fallback"] == true {
        output::note("note: found by its words alone: there are no embeddings now");
    }
}

/// Scores are shares of the best one's, however good that is.
const RANKED: &str = "Ranked among themselves: the first may still be no answer.";

/// What a row has of the best score.
fn share(score: f64, best: f64) -> String {
    let marks = |score: f64| Total((score.clamp(0.0, 1e9) * 10_000.0).round() as i128);
    let percent = marks(score).percent_of(marks(best)).unwrap_or_default().0;
    format!("{} {percent}% of the best", bars::bar(marks(score), marks(best), BAR))
}

/// A ranked list, in which what was looked for stands out.
fn found(rows: &[Value], from: u64, screen: &Screen) -> String {
    let style = screen.style;
    let score = |row: &Value| row["score"].as_f64().unwrap_or(0.0);
    let best = rows.iter().map(score).fold(0.0, f64::max);
    let mut told = String::new();
    for (number, row) in (from + 1..).zip(rows) {
        let lead = format!("{number}. ");
        let blanks = " ".repeat(lead.len());
        for line in hanging(&lead, &table::one_line(text(row, "title")), screen.width) {
            told.push_str(&(style.bold(&line) + "\n"));
        }
        let snippet = text(row, "snippet");
        if !snippet.is_empty() {
            for line in hanging(&blanks, &highlighted(snippet, style), screen.width) {
                told.push_str(&(line + "\n"));
            }
        }
        let mut facts = format!("{}  {}", share(score(row), best), table::one_line(text(row, "category")));
        // Those of the server have no other name here.
        if row["scope"] == "system" || screen.is_wide {
            let scope = if row["scope"] == "system" { "system  " } else { "" };
            facts.push_str(&format!("  {scope}{}", table::one_line(&table::plain(&row["id"]))));
        }
        for tag in row["tags"].as_array().into_iter().flatten() {
            facts.push_str(&format!("  #{}", table::one_line(&table::plain(tag))));
        }
        told.push_str(&(hanging(&blanks, &facts, screen.width).join("\n") + "\n\n"));
    }
    told
}

/// What stands between `**` in bold, where that can be shown; otherwise as it is.
fn highlighted(snippet: &str, style: Style) -> String {
    let snippet = table::one_line(snippet);
    if !style.is_shown() {
        return snippet;
    }
    let parts = snippet.split("**").enumerate();
    parts.map(|(at, part)| if at % 2 == 1 { style.bold(part) } else { part.to_owned() }).collect()
}

pub(super) async fn context(context: &Context, arguments: ContextArguments) -> Result<(), Error> {
    let query = looked_for(&arguments.words)?;
    if arguments.recency_weight.is_some_and(|weight| !(0.0..=1.0).contains(&weight)) {
        return Err(Error::Usage("Invalid --recency-weight: it must be from 0 to 1".to_owned()));
    }
    if let Some(status) = arguments.status.as_ref().filter(|status| !STATUSES.contains(&status.as_str())) {
        let valid = STATUSES.join(", ");
        return Err(Error::Usage(format!("Invalid status '{status}'. Valid statuses: {valid}")));
    }
    let client = context.client()?;
    note_status(arguments.status.as_deref());
    let number = |number: Option<u32>| number.map(|number| number.to_string());
    let query = given_parameters([
        ("query", Some(query)),
        ("project_id", resolve::named_project(context, &client).await?),
        ("story_id", story(context, &client, arguments.story.as_deref()).await?),
        ("limit", number(arguments.limit)),
        ("max_tokens", number(arguments.max_tokens)),
        ("recency_weight", arguments.recency_weight.map(|weight| weight.to_string())),
        ("status", arguments.status),
    ]);
    let body = client.get("/knowledge/context", &borrowed(&query)).await?;
    note_fallback(&body);
    for cut in body["meta"]["cut"].as_array().into_iter().flatten() {
        let (id, reason) = (table::plain(&cut["id"]), table::plain(&cut["reason"]));
        output::note(&format!("note: cut: {id} ({reason})"));
    }
    if !context.output.human() || rows_of(&body).is_empty() {
        return context.output.list(&body, READ, "Nothing is written about this.");
    }
    context.output.styled(&to_read(rows_of(&body), context.output.screen()))?;
    context.output.line(RANKED)
}

/// Articles below each other.
fn to_read(rows: &[Value], screen: &Screen) -> String {
    let score = |row: &Value, name: &str| row[name].as_f64().unwrap_or(0.0);
    let best = rows.iter().map(|row| score(row, "combined_score")).fold(0.0, f64::max);
    let mut block = Block::new(screen);
    for (number, row) in (1..).zip(rows) {
        let of = |name: &str| table::plain(&row[name]);
        block.blank();
        block.heading(&format!("{number}."), &of("title"));
        let scores = format!(
            ", relevance {:.2}, recency {:.2}",
            score(row, "relevance_score"),
            score(row, "recency_score")
        );
        let changed = times::told(&of("updated_at"), screen);
        let changed = if changed.is_empty() { changed } else { format!("  changed {changed}") };
        let (scores, id) =
            if screen.is_wide { (scores, format!("  {}", of("id"))) } else { Default::default() };
        let share = share(score(row, "combined_score"), best);
        block.line(table::one_line(&format!("{share}{scores}  {}{changed}{id}", of("category"))));
        block.line(String::new());
        block.line(markdown::page(text(row, "body"), screen));
        block.blank();
        let linked = row["linked_articles"].as_array().map(Vec::as_slice).unwrap_or_default();
        block.items(&linked.iter().map(|to| Item::plain("see also", text(to, "title"))).collect::<Vec<_>>());
    }
    block.blank();
    block.text() + "\n"
}

pub(super) async fn index(context: &Context, arguments: IndexArguments) -> Result<(), Error> {
    let client = context.client()?;
    let path = of_project(context, &client, "index").await?;
    let query = given_parameters([("story_id", story(context, &client, arguments.story.as_deref()).await?)]);
    let body = client.get(&path, &borrowed(&query)).await?;
    let rows = indexed(&body);
    if body["meta"]["truncated"] == true {
        output::note(&format!("note: only the {} articles that were changed last", rows.len()));
    }
    let told = [
        Column::text("title"),
        Column::word("category"),
        Column::text("tags").if_any(),
        Column::time("updated_at"),
        Column::id("id"),
    ];
    context.output.table(&body, &rows, INDEXED, &told, NOTHING)
}

/// The rows of all categories.
fn indexed(body: &Value) -> Vec<Value> {
    let of = |category: &&str| body["data"][*category].as_array().cloned().unwrap_or_default();
    let mut rows: Vec<Value> = Category::WORDS.iter().flat_map(of).collect();
    for row in &mut rows {
        row["tags"] = json!(tags(row));
    }
    rows
}

/// Tags as they are typed.
pub(super) fn tags(row: &Value) -> String {
    let tags = row["tags"].as_array().map(Vec::as_slice).unwrap_or_default();
    tags.iter().map(table::plain).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_stand_out_and_nothing_else_does_anything() {
        let rows = [
            json!({"id": "a", "title": "Retry\u{1b}[2J", "category": "pattern", "score": 1.0, "tags": ["x", "y"],
                   "snippet": "to **retry** is\nhuman, \u{1b}[31m **cut"}),
            json!({"id": "b", "title": "Other", "category": "finding", "score": 0.25, "tags": []}),
        ];
        let plain = found(&rows, 0, &Screen::of(80));
        assert_eq!(
            plain,
            "1. Retry\\x1b[2J\n   to **retry** is human, \\x1b[31m **cut\n   ########## 100% of the best  pattern  #x  #y\n\n\
             2. Other\n   ###....... 25% of the best  finding\n\n"
        );
        let bold = found(&rows, 20, &Screen { style: Style::bright(), ..Screen::of(80) });
        assert!(bold.starts_with("\u{1b}[1m21. Retry\\x1b[2J\u{1b}[0m\n"), "{bold}");
        assert!(
            bold.contains("to \u{1b}[1mretry\u{1b}[0m is human, \\x1b[31m \u{1b}[1mcut\u{1b}[0m\n"),
            "{bold}"
        );
    }

    #[test]
    fn articles_stand_below_each_other() {
        let linked = json!([{"id": "c", "title": "Third", "category": "finding"}]);
        let row = |title: &str, linked: Value| {
            json!({"id": "a", "title": title, "category": "pattern", "combined_score": 0.9, "relevance_score": 1.0,
                   "recency_score": 0.5, "body": "# Head\n\nText.", "linked_articles": linked})
        };
        assert_eq!(
            to_read(&[row("First", linked), row("Second", json!([]))], &Screen::of(80)),
            "1.  First\n########## 100% of the best  pattern\n\n# Head\n\nText.\n\n  see also  Third\n\n\
             2.  Second\n########## 100% of the best  pattern\n\n# Head\n\nText.\n\n"
        );
        let wide = Screen { is_wide: true, ..Screen::of(80) };
        let scores = "100% of the best, relevance 1.00, recency 0.50  pattern  a\n";
        assert!(to_read(&[row("First", json!([]))], &wide).contains(scores));
    }
}
