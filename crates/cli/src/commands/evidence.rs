//! What speaks for a story: `backfill`, `verifications`, `artifacts`, `criteria`.

use clap::Args;
use serde_json::Value;

use crate::args::Paging;
use crate::commands::progress::{StoryArgument, transition};
use crate::commands::story;
use crate::commands::{given, not_blank};
use crate::context::Context;
use crate::error::Error;
use crate::layout::Screen;
use crate::layout::block::{Block, Fact};
use crate::layout::table::Column;
use crate::layout::{object, times};
use crate::output::rows_of;
use crate::{json_argument, output, pages, resolve, table};

#[derive(Debug, Args)]
pub(crate) struct BackfillArguments {
    #[command(flatten)]
    story: StoryArgument,
    /// Why the story counts as done
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Number of the pull request that did it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pr: Option<u64>,
    /// Address of something that proves it
    #[arg(long, value_name = "URL")]
    evidence_url: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ListArguments {
    #[command(flatten)]
    story: StoryArgument,
    #[command(flatten)]
    paging: Paging,
}

#[derive(Debug, Args)]
pub(crate) struct ArtifactsArguments {
    #[command(flatten)]
    list: ListArguments,
    /// Add an artifact: JSON object with artifact_type and path, @file or -
    #[arg(long, value_name = "JSON", conflicts_with_all = ["limit", "page"])]
    add: Option<String>,
}

pub(crate) async fn backfill(context: &Context, arguments: BackfillArguments) -> Result<(), Error> {
    let body = given([
        ("reason", Some(not_blank("--reason", &arguments.reason)?.into())),
        ("pr_number", arguments.pr.map(Value::from)),
        ("evidence_url", arguments.evidence_url.map(Value::from)),
    ]);
    transition(context, &arguments.story.story, "backfill", Some(&body), "story").await
}

pub(crate) async fn verifications(context: &Context, arguments: ListArguments) -> Result<(), Error> {
    let body = list(context, &arguments, "verifications").await?;
    let columns = ["iteration", "result", "review_type", "summary", "inserted_at"];
    if !context.output.human() || rows_of(&body).is_empty() {
        return context.output.list(&body, &columns, "No verifications.");
    }
    context.output.block(verdicts(rows_of(&body), context.output.screen()))?;
    context.output.line(&output::footer(&body, rows_of(&body).len()))
}

pub(crate) async fn artifacts(context: &Context, arguments: ArtifactsArguments) -> Result<(), Error> {
    if let Some(artifact) = &arguments.add {
        let artifact = json_argument::object("--add", artifact)?;
        let story = &arguments.list.story.story;
        return transition(context, story, "artifacts", Some(&artifact), "artifact_report").await;
    }
    let body = list(context, &arguments.list, "artifacts").await?;
    let columns = ["artifact_type", "path", "exists", "reported_by", "details", "inserted_at"];
    let told = [
        Column::word("artifact_type").called("type"),
        Column::text("path"),
        Column::word("exists"),
        Column::word("reported_by").called("by"),
        Column::text("details").if_any(),
        Column::time("inserted_at").called("when"),
    ];
    context.output.table(&body, rows_of(&body), &columns, &told, "No artifacts.")
}

/// What was decided of a story, one verdict after the other, in whole sentences.
fn verdicts<'s>(rows: &[Value], screen: &'s Screen) -> Block<'s> {
    let mut block = Block::new(screen);
    for row in rows {
        let of = |name: &str| table::plain(&row[name]);
        block.blank();
        block.heading(&of("iteration"), &of("summary"));
        let findings = row["findings"].as_object().map(|findings| object::folded(findings, screen.width));
        block.facts(&[
            Fact::status("result", of("result")),
            Fact::new("review", of("review_type")),
            Fact::new("when", times::told(&of("inserted_at"), screen)),
            Fact::new("commit", of("commit_sha")),
            Fact::new("findings", findings.unwrap_or_else(|| of("findings"))),
        ]);
    }
    block.blank();
    block
}

pub(crate) async fn criteria(context: &Context, story: StoryArgument) -> Result<(), Error> {
    let client = context.client()?;
    let story = resolve::story(context, &client, &story.story).await?;
    // All there are: this list has no pages.
    let body = client.get(&format!("/stories/{}/acceptance_criteria", story.id), &[]).await?;
    let columns = ["ac_id", "status", "description", "verification_criterion.type", "evidence_path"];
    let rows = rows_of(&body);
    if !context.output.human() || rows.is_empty() {
        return context.output.list(&body, &columns, "No acceptance criteria.");
    }
    let mut block = Block::new(context.output.screen());
    block.items(&story::criteria_items(rows, |status| status == Some("verified")));
    context.output.block(block)
}

/// A list below a story.
async fn list(context: &Context, arguments: &ListArguments, what: &str) -> Result<Value, Error> {
    let client = context.client()?;
    let story = resolve::story(context, &client, &arguments.story.story).await?;
    pages::list(&client, &format!("/stories/{}/{what}", story.id), &[], &arguments.paging).await
}
