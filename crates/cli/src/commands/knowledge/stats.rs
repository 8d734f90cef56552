//! `knowledge stats`: what is read.

use clap::Args;

use crate::client::borrowed;
use crate::commands::given_parameters;
use crate::context::Context;
use crate::error::Error;
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
const TOP: &[&str] = &["article_id", "title", "category", "access_count", "unique_agents"];
const UNUSED: &[&str] = &["article_id", "title", "category", "inserted_at", "updated_at"];
const READS: &[&str] = &["accessed_at", "access_type", "api_key_id", "metadata.query"];

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
        return context.output.object_with_rows(&body, "data", "recent_accesses", row, READS, "Never read.");
    }
    let number = |number: Option<u32>| number.map(|number| number.to_string());
    let (what, days, columns) = match arguments.unused {
        true => ("unused-articles", "days_unused", UNUSED),
        false => ("top-articles", "since_days", TOP),
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
    context.output.list(&body, columns, none)
}
