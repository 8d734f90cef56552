//! `knowledge stats`: what is read.

use clap::Args;

use crate::client::borrowed;
use crate::commands::given_parameters;
use crate::context::Context;
use crate::error::Error;
use crate::layout::table::Column;
use crate::output::rows_of;
use crate::resolve;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Article: id, slug or title
    article: Option<String>,
    /// Published articles that nobody has read in --since-days (30)
    #[arg(long, conflicts_with = "article")]
    unused: bool,
    /// Of the last so many days (7)
    #[arg(long, value_name = "N", conflicts_with = "article", value_parser = clap::value_parser!(u32).range(1..=365))]
    since_days: Option<u32>,
    /// At most so many: 20, and no more than 100; with --unused 50, and no more than 200
    #[arg(long, value_name = "N", conflicts_with = "article", value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: Option<u32>,
    /// With --unused: without those that are younger than --since-days
    #[arg(long, requires = "unused")]
    exclude_new: bool,
}

pub(super) const EXAMPLES: &str = "Examples:\n  \
    loopctl knowledge stats retry-budgets --format human\n  \
    loopctl knowledge stats --since-days 30 --limit 10\n  \
    loopctl knowledge stats --unused";

/// The most of what is read most.
const MOST: u32 = 100;
const TOLD_TOP: &[Column<'_>] = &[
    Column::text("title"),
    Column::word("category"),
    Column::number("access_count").called("reads"),
    Column::number("unique_agents").called("agents"),
    Column::id("article_id"),
];
const TOLD_UNUSED: &[Column<'_>] = &[
    Column::text("title"),
    Column::word("category"),
    Column::time("inserted_at"),
    Column::time("updated_at"),
    Column::id("article_id"),
];
const TOLD_READS: &[Column<'_>] = &[
    Column::time("accessed_at").called("when"),
    Column::word("access_type").called("how"),
    Column::text("metadata.query").called("question"),
    Column::id("api_key_id"),
];
const TOP: &[&str] = &["article_id", "title", "category", "access_count", "unique_agents"];
const UNUSED: &[&str] = &["article_id", "title", "category", "inserted_at", "updated_at"];

pub(super) async fn run(context: &Context, arguments: Arguments) -> Result<(), Error> {
    if arguments.unused && resolve::project_option(context).is_some() {
        return Err(Error::Usage("--unused lists what the whole tenant has: leave out --project".to_owned()));
    }
    if !arguments.unused && arguments.limit.is_some_and(|limit| limit > MOST) {
        return Err(Error::Usage(format!("--limit is at most {MOST} without --unused")));
    }
    let client = context.client()?;
    if let Some(article) = &arguments.article {
        let id = resolve::article(&client, article).await?.id;
        let body = client.get(&format!("/knowledge/articles/{id}/stats"), &[]).await?;
        let row = |read: &serde_json::Value| read.clone();
        return context.output.object_with_rows(
            &body,
            "data",
            "recent_accesses",
            row,
            TOLD_READS,
            "Never read.",
        );
    }
    let number = |number: Option<u32>| number.map(|number| number.to_string());
    let (what, days, columns, told) = match arguments.unused {
        true => ("unused-articles", "days_unused", UNUSED, TOLD_UNUSED),
        false => ("top-articles", "since_days", TOP, TOLD_TOP),
    };
    let query = given_parameters([
        (days, number(arguments.since_days)),
        ("limit", number(arguments.limit)),
        ("project_id", resolve::named_project(context, &client).await?),
        ("exclude_new", arguments.exclude_new.then(|| "true".to_owned())),
    ]);
    let body = client.get(&format!("/knowledge/analytics/{what}"), &borrowed(&query)).await?;
    let none = match (arguments.unused, arguments.exclude_new) {
        (true, true) => "All but new ones are read.",
        (true, false) => "All are read.",
        (false, _) => "Nothing was read.",
    };
    context.output.table(&body, rows_of(&body), columns, told, none)
}
