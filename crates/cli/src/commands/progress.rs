//! The implementer's steps: `contract`, `claim`, `start`, `request-review`, `unclaim`; and `report` by somebody else.

use clap::Args;
use serde_json::{Map, Value, json};

use crate::commands::bulk::{self, StoriesArgument};
use crate::commands::story;
use crate::context::Context;
use crate::error::Error;
use crate::{json_argument, resolve, table};

/// The argument of a command that needs nothing but a story.
#[derive(Debug, Args)]
pub(crate) struct StoryArgument {
    /// Story: id or number (2.1, US-2.1)
    pub(crate) story: String,
}

#[derive(Debug, Args)]
pub(crate) struct ContractArguments {
    #[command(flatten)]
    story: StoryArgument,
    /// Do not echo title and criteria (orchestrator keys only)
    #[arg(long)]
    skip_check: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArguments {
    #[command(flatten)]
    story: StoryArgument,
    /// Artifact report: JSON, @file or -
    #[arg(long, value_name = "JSON")]
    artifact: Option<String>,
    /// Token usage report: JSON, @file or -
    #[arg(long, value_name = "JSON")]
    token_usage: Option<String>,
}

/// The envelope of answers that are about the story itself.
const STORY: &str = "story";

/// Sends one story transition and prints the story. `step` is the last part of the path.
pub(super) async fn transition(
    context: &Context,
    story: &str,
    step: &str,
    body: Option<&Value>,
    envelope: &str,
) -> Result<(), Error> {
    let client = context.client()?;
    let story = resolve::story(context, &client, story).await?;
    let answer = client.post(&format!("/stories/{}/{step}", story.id), body).await;
    let answer = answer.map_err(|error| error.about(&story))?;
    match envelope {
        STORY => story::stepped(context, &answer, &story.label),
        _ => context.output.step(&answer, envelope, &story.label),
    }
}

/// Reads the story and echoes its title and the number of its criteria, as proof that both were read.
pub(crate) async fn contract(context: &Context, arguments: ContractArguments) -> Result<(), Error> {
    let client = context.client()?;
    let id = resolve::story(context, &client, &arguments.story.story).await?.id;
    let detail = client.get(&format!("/stories/{id}"), &[]).await?;
    let story = &detail["story"];
    let count = story["acceptance_criteria"].as_array().map_or(0, Vec::len);
    context.output.aside(&format!("Story: {}", table::one_line(&table::plain(&story["title"]))))?;
    context.output.aside(&format!("Acceptance Criteria: {count}"))?;
    let body = if arguments.skip_check {
        json!({"skip_contract_check": true})
    } else {
        json!({"story_title": story["title"], "ac_count": count})
    };
    let answer = client.post(&format!("/stories/{id}/contract"), Some(&body)).await?;
    story::stepped(context, &answer, "")
}

pub(crate) async fn claim(context: &Context, arguments: StoriesArgument) -> Result<(), Error> {
    match arguments.stories.as_slice() {
        [story] => transition(context, story, "claim", None, "story").await,
        several => bulk::claim(context, several).await,
    }
}

pub(crate) async fn start(context: &Context, story: StoryArgument) -> Result<(), Error> {
    transition(context, &story.story, "start", None, "story").await
}

pub(crate) async fn request_review(context: &Context, story: StoryArgument) -> Result<(), Error> {
    transition(context, &story.story, "request-review", None, "story").await
}

pub(crate) async fn unclaim(context: &Context, story: StoryArgument) -> Result<(), Error> {
    transition(context, &story.story, "unclaim", None, "story").await
}

pub(crate) async fn report(context: &Context, arguments: ReportArguments) -> Result<(), Error> {
    let mut body = Map::new();
    for (option, key, value) in [
        ("--artifact", "artifact", &arguments.artifact),
        ("--token-usage", "token_usage", &arguments.token_usage),
    ] {
        if let Some(value) = value {
            body.insert(key.to_owned(), json_argument::object(option, value)?);
        }
    }
    transition(context, &arguments.story.story, "report", Some(&Value::Object(body)), "story").await
}
