//! `knowledge links|link|unlink`: how articles hang together.

use clap::Args;
use loopctl_core::knowledge::Relationship;
use reqwest::Method;
use serde_json::Value;

use super::{path, text};
use crate::commands::{deleted, given, one_of};
use crate::context::Context;
use crate::error::Error;
use crate::layout::Screen;
use crate::layout::block::Item;
use crate::layout::table::Column;
use crate::output::rows_of;
use crate::{json_argument, resolve};

#[derive(Debug, Args)]
pub(crate) struct LinkArguments {
    /// Article from which it leads: id, slug or title
    source: String,
    /// relates_to, derived_from, contradicts, or supersedes (the target is then out of date)
    relationship: String,
    /// Article to which it leads: id, slug or title
    target: String,
    /// Whatever else is to be kept: JSON object, @file or -
    #[arg(long, value_name = "JSON")]
    metadata: Option<String>,
}

pub(super) const EXAMPLES: &str = "Examples:\n  \
    loopctl knowledge link retry-budgets relates_to timeouts\n  \
    loopctl knowledge link 'Retries have budgets' supersedes 'Retry forever'";

#[derive(Debug, Args)]
pub(crate) struct UnlinkArguments {
    /// Id of the link
    pub(super) link: String,
}

const TOLD: &[Column<'_>] = &[
    Column::text("source_article.title").called("from"),
    Column::word("relationship_type").called("how"),
    Column::text("target_article.title").called("to"),
    Column::reference("id"),
];
const COLUMNS: &[&str] = &["source_article.title", "relationship_type", "target_article.title", "id"];

pub(super) async fn list(context: &Context, article: &str) -> Result<(), Error> {
    let client = context.client()?;
    let path = format!("{}/links", path(&client, article).await?);
    let body = client.get(&path, &[]).await?;
    context.output.table(&body, rows_of(&body), COLUMNS, TOLD, "No links.")
}

pub(super) async fn link(context: &Context, arguments: LinkArguments) -> Result<(), Error> {
    let relationship = arguments.relationship.to_lowercase().replace('-', "_");
    one_of("relationship", &relationship, Relationship::WORDS)?;
    let metadata = arguments.metadata.map(|text| json_argument::object("--metadata", &text)).transpose()?;
    let client = context.client()?;
    let source = resolve::article(&client, &arguments.source).await?;
    let target = resolve::article(&client, &arguments.target).await?;
    let body = given([
        ("source_article_id", Some(source.id.into())),
        ("target_article_id", Some(target.id.into())),
        ("relationship_type", Some(relationship.into())),
        ("metadata", metadata),
    ]);
    context.output.object(&client.post("/article_links", Some(&body)).await?, "data")
}

pub(super) async fn unlink(context: &Context, link: &str) -> Result<(), Error> {
    let id = resolve::id("link", link)?;
    context.client()?.write(Method::DELETE, &format!("/article_links/{id}"), None).await?;
    deleted(context, &id)
}

/// The links of an article. What it is linked with is named by its title.
pub(super) fn items(article: &Value, screen: &Screen) -> Vec<Item> {
    let sides = [("outgoing_links", "->", "target_article"), ("incoming_links", "<-", "source_article")];
    let mut items = Vec::new();
    for (side, arrow, end) in sides {
        for link in article[side].as_array().into_iter().flatten() {
            let (title, id) = (text(&link[end], "title"), text(&link[end], "id"));
            let id = if screen.is_wide { format!("  ({id})") } else { String::new() };
            items.push(Item::plain(
                format!("{} {arrow}", text(link, "relationship_type")),
                format!("{title}{id}"),
            ));
        }
    }
    items
}
