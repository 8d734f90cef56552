//! `knowledge get|create|update|publish|unpublish|archive|drafts`: articles one by one.

use std::path::{Path, PathBuf};

use clap::Args;
use loopctl_core::knowledge::{MAX_BODY, MAX_TAGS, MAX_TITLE, Tags, check_slug, check_source_type};
use reqwest::Method;
use serde_json::{Value, json};

use super::find::tags;
use super::{check_category, links, markdown, path, story, text, text_of};
use crate::args::Paging;
use crate::client::borrowed;
use crate::commands::{changes, given, given_parameters, not_blank};
use crate::context::Context;
use crate::error::Error;
use crate::layout::block::{Block, Fact, Item};
use crate::layout::{Screen, times};
use crate::output::{footer, rows_of};
use crate::{json_argument, pages, resolve, table};

#[derive(Debug, Args)]
pub(crate) struct OneArgument {
    /// Article: id, slug or title
    #[arg(value_name = "ARTICLE")]
    pub(super) article: String,
}

#[derive(Debug, Args)]
pub(crate) struct SeveralArguments {
    /// Articles: id, slug or title
    #[arg(required = true, value_name = "ARTICLE")]
    pub(super) articles: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct GetArguments {
    /// Article: id, slug or title
    article: String,
    /// Print its Markdown and nothing else, as it was written (on a terminal without what would act on that)
    #[arg(long)]
    body: bool,
    /// The story that it is for: id or number
    #[arg(long, value_name = "REF")]
    story: Option<String>,
}

pub(super) const GET_EXAMPLES: &str = "Examples:\n  \
    loopctl knowledge get retry-budgets --format human\n  \
    loopctl knowledge get 'Retry budgets' --body > retry.md";

#[derive(Debug, Args)]
pub(crate) struct CreateArguments {
    /// What it is about
    #[arg(long)]
    title: String,
    /// pattern, convention, decision, finding or reference
    #[arg(long, default_value = "finding")]
    category: String,
    /// Markdown; - or nothing is standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Tags: a,b
    #[arg(long, value_name = "TAGS")]
    tags: Option<String>,
    /// By which it is known in addresses; made of the title, with an end of its own, when absent
    #[arg(long)]
    slug: Option<String>,
    /// What it comes from: manual, agent, session_log, web_article, ...
    #[arg(long, value_name = "TYPE")]
    source_type: Option<String>,
    /// Whatever else is to be kept: JSON object, @file or -
    #[arg(long, value_name = "JSON")]
    metadata: Option<String>,
    /// Publish it at once (orchestrator)
    #[arg(long)]
    publish: bool,
}

pub(super) const CREATE_EXAMPLES: &str = "Examples:\n  \
    loopctl knowledge create --title 'Retry budgets' --slug retry-budgets --category pattern --file retry.md\n  \
    echo 'Tests need TZ=UTC.' | loopctl knowledge create --title 'Tests need UTC'";

#[derive(Debug, Args)]
pub(crate) struct UpdateArguments {
    /// Article: id, slug or title
    article: String,
    /// Another title
    #[arg(long)]
    title: Option<String>,
    /// Another category
    #[arg(long)]
    category: Option<String>,
    /// Other Markdown; - is standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Tags in place of those before: a,b; '' is none
    #[arg(long, value_name = "TEXT")]
    tags: Option<String>,
    /// In place of what was kept before: JSON object, @file or -
    #[arg(long, value_name = "JSON")]
    metadata: Option<String>,
}

pub(super) const UPDATE_EXAMPLES: &str = "Examples:\n  \
    loopctl knowledge update retry-budgets --file retry.md\n  \
    loopctl knowledge update retry-budgets --title 'Retries have budgets' --tags http";

/// The most articles that are published together.
const TOGETHER: usize = 100;
const DRAFTS: &[&str] = &["id", "title", "category", "tags", "source_type", "inserted_at"];
const PUBLISHED: &[&str] = &["id", "title", "category", "status"];

pub(super) async fn get(context: &Context, arguments: GetArguments) -> Result<(), Error> {
    let client = context.client()?;
    let path = path(&client, &arguments.article).await?;
    let query = given_parameters([
        ("project_id", resolve::named_project(context, &client).await?),
        ("story_id", story(context, &client, arguments.story.as_deref()).await?),
    ]);
    let body = client.get(&path, &borrowed(&query)).await?;
    let article = &body["data"];
    if arguments.body {
        return context.output.as_written(text(article, "body"));
    }
    if !context.output.human() {
        return context.output.object(&body, "data");
    }
    context.output.block(page(article, context.output.screen()))
}

/// An article as people read it: what is said of it, its text, and what it is linked with.
fn page<'s>(article: &Value, screen: &'s Screen) -> Block<'s> {
    let of = |name: &str| table::plain(&article[name]);
    let mut block = Block::new(screen);
    block.heading("", &of("title"));
    block.blank();
    // One that has a slug is named by it.
    let id = if of("slug").is_empty() || screen.is_wide { of("id") } else { String::new() };
    block.facts(&[
        Fact::status("status", of("status")),
        Fact::new("category", of("category")),
        Fact::new("tags", tags(article)),
        Fact::new("slug", of("slug")),
        Fact::new("id", id),
        Fact::new("changed", times::told(&of("updated_at"), screen)),
    ]);
    block.blank();
    block.line(markdown::page(text(article, "body"), screen));
    let links = links::items(article, screen);
    if !links.is_empty() {
        block.section("Links");
        block.items(&links);
    }
    block
}

pub(super) async fn create(context: &Context, arguments: CreateArguments) -> Result<(), Error> {
    check_title(&arguments.title)?;
    check_category(Some(&arguments.category))?;
    if let Some(slug) = &arguments.slug {
        check_slug(slug).map_err(|why| Error::Usage(format!("Invalid --slug: it {why}")))?;
    }
    if let Some(source) = &arguments.source_type {
        check_source_type(source).map_err(|why| Error::Usage(format!("Invalid --source-type: {why}")))?;
    }
    let tags = arguments.tags.as_deref().map(tags_of).transpose()?;
    let metadata = arguments.metadata.map(|text| json_argument::object("--metadata", &text)).transpose()?;
    let body = text_of(arguments.file.as_deref().unwrap_or(Path::new("-")), MAX_BODY)?;
    let client = context.client()?;
    let body = given([
        ("title", Some(arguments.title.into())),
        ("body", Some(body.into())),
        ("category", Some(arguments.category.into())),
        ("tags", tags),
        ("slug", arguments.slug.map(Value::from)),
        ("source_type", arguments.source_type.map(Value::from)),
        ("metadata", metadata),
        ("status", arguments.publish.then(|| "published".into())),
        ("project_id", resolve::named_project(context, &client).await?.map(Value::from)),
    ]);
    written(context, client.post("/articles", Some(&body)).await?)
}

pub(super) async fn update(context: &Context, arguments: UpdateArguments) -> Result<(), Error> {
    if let Some(title) = &arguments.title {
        check_title(title)?;
    }
    check_category(arguments.category.as_deref())?;
    let metadata = arguments.metadata.map(|text| json_argument::object("--metadata", &text)).transpose()?;
    let text = arguments.file.map(|file| text_of(&file, MAX_BODY)).transpose()?;
    let body = changes([
        ("title", arguments.title.map(Value::from)),
        ("category", arguments.category.map(Value::from)),
        ("tags", arguments.tags.as_deref().map(tags_of).transpose()?),
        ("metadata", metadata),
        ("body", text.map(Value::from)),
    ])?;
    let client = context.client()?;
    let path = path(&client, &arguments.article).await?;
    written(context, client.write(Method::PATCH, &path, Some(&body)).await?)
}

pub(super) async fn publish(context: &Context, articles: &[String]) -> Result<(), Error> {
    let [_, _, ..] = articles else {
        return step(context, articles.first().map_or("", String::as_str), "publish").await;
    };
    if articles.len() > TOGETHER {
        return Err(Error::Usage(format!("At most {TOGETHER} articles are published together")));
    }
    let client = context.client()?;
    let mut ids = Vec::new();
    for article in articles {
        ids.push(resolve::article(&client, article).await?.id);
    }
    let answer = client.post("/knowledge/bulk-publish", Some(&json!({"article_ids": ids}))).await?;
    context.output.list(&answer, PUBLISHED, "No articles.")
}

pub(super) async fn step(context: &Context, article: &str, step: &str) -> Result<(), Error> {
    let client = context.client()?;
    let path = format!("{}/{step}", path(&client, article).await?);
    written(context, client.post(&path, None).await?)
}

pub(super) async fn drafts(context: &Context, paging: &Paging) -> Result<(), Error> {
    let client = context.client()?;
    let filters = given_parameters([("project_id", resolve::named_project(context, &client).await?)]);
    let body = pages::list(&client, "/knowledge/drafts", &borrowed(&filters), paging).await?;
    let rows: Vec<Value> = rows_of(&body)
        .iter()
        .map(|row| {
            let mut row = row.clone();
            row["tags"] = json!(tags(&row));
            row
        })
        .collect();
    if !context.output.human() || rows.is_empty() {
        return context.output.rows(&body, &rows, DRAFTS, "No drafts.");
    }
    let mut block = Block::new(context.output.screen());
    for row in &rows {
        block.items(&[draft(row, context.output.screen())]);
    }
    block.blank();
    block.line(footer(&body, rows.len()));
    context.output.block(block)
}

/// A draft in a list: what it is about, and the slug by which it is named.
fn draft(row: &Value, screen: &Screen) -> Item {
    let of = |name: &str| table::plain(&row[name]);
    let name = if of("slug").is_empty() || screen.is_wide { of("id") } else { of("slug") };
    let tags = if of("tags").is_empty() { String::new() } else { format!(", {}", of("tags")) };
    let when = times::told(&of("inserted_at"), screen);
    Item::plain("-", format!("{} ({}{tags}, {when}) {name}", of("title"), of("category")))
}

/// What was written, which whoever wrote it knows: people are not shown its text again.
fn written(context: &Context, mut answer: Value) -> Result<(), Error> {
    if context.output.human()
        && let Some(article) = answer["data"].as_object_mut()
    {
        article.retain(|name, value| name != "body" && !value.is_null());
    }
    context.output.object(&answer, "data")
}

fn check_title(title: &str) -> Result<(), Error> {
    if not_blank("--title", title)?.chars().count() > MAX_TITLE {
        return Err(Error::Usage(format!("--title has more than {MAX_TITLE} characters")));
    }
    Ok(())
}

/// Tags as they are typed.
fn tags_of(text: &str) -> Result<Value, Error> {
    let tags: Vec<&str> = text.split(',').map(str::trim).filter(|tag| !tag.is_empty()).collect();
    if tags.len() > MAX_TAGS {
        return Err(Error::Usage(format!("An article has at most {MAX_TAGS} tags")));
    }
    for tag in &tags {
        Tags::check(tag).map_err(|why| Error::Usage(format!("Invalid --tags: {why}")))?;
    }
    Ok(json!(tags))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_checked_before_they_are_sent() {
        assert_eq!(tags_of(" a, b_c ,,").unwrap(), json!(["a", "b_c"]));
        assert_eq!(tags_of("").unwrap(), json!([]));
        for bad in ["bad tag", "ä", &"x,".repeat(21), &"x".repeat(101)] {
            assert!(matches!(tags_of(bad), Err(Error::Usage(_))), "{bad}");
        }
    }

    #[test]
    fn an_article_is_a_page_with_its_links() {
        let end = |id: &str, title: &str| json!({"id": id, "title": title});
        let article = json!({"id": "a", "title": "Retry\u{1b}[2J", "category": "pattern", "status": "published", "slug": null,
            "updated_at": "T", "tags": ["x", "y"], "body": "Text.",
            "outgoing_links": [{"relationship_type": "supersedes", "source_article": end("a", "Retry"), "target_article": end("b", "Old")}],
            "incoming_links": [{"relationship_type": "relates_to", "source_article": end("c", "Other"), "target_article": end("a", "Retry")}]});
        assert_eq!(
            page(&article, &Screen::of(80)).text(),
            "Retry\\x1b[2J\n\nstatus:   published\ncategory: pattern\ntags:     x,y\nid:       a\nchanged:  T\n\nText.\n\n\
             Links\n  supersedes ->  Old\n  relates_to <-  Other"
        );
    }
}
