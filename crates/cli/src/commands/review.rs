//! The other side of the trust loop: `review-complete`, `verify`, `reject`, `force-unclaim`.

use clap::Args;
use serde_json::json;

use crate::commands::bulk::{self, StoriesArgument};
use crate::commands::not_blank;
use crate::commands::progress::{StoryArgument, transition};
use crate::context::Context;
use crate::error::Error;
use crate::json_argument;

#[derive(Debug, Args)]
pub(crate) struct CompleteArguments {
    #[command(flatten)]
    story: StoryArgument,
    /// Kind of review, for example enhanced or manual
    #[arg(long, value_name = "TYPE")]
    review_type: String,
    /// Findings of the review
    #[arg(long, value_name = "N")]
    findings_count: Option<u32>,
    /// Findings that were fixed
    #[arg(long, value_name = "N")]
    fixes_count: Option<u32>,
    /// Findings that turned out to be none
    #[arg(long, value_name = "N")]
    disproved_count: Option<u32>,
    /// What the review says
    #[arg(long, value_name = "TEXT")]
    summary: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArguments {
    #[command(flatten)]
    stories: StoriesArgument,
    /// pass or partial
    #[arg(long, default_value = "pass", value_parser = verdict)]
    result: String,
    /// Why the story counts as done
    #[arg(long, value_name = "TEXT")]
    summary: String,
    /// Kind of review the verification rests on
    #[arg(long, value_name = "TYPE", default_value = "manual")]
    review_type: String,
    /// Findings: JSON, @file or -
    #[arg(long, value_name = "JSON")]
    findings: Option<String>,
    /// Verified commit, of a single story
    #[arg(long, value_name = "SHA")]
    commit: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RejectArguments {
    #[command(flatten)]
    stories: StoriesArgument,
    /// What is wrong
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Findings: JSON, @file or -
    #[arg(long, value_name = "JSON")]
    findings: Option<String>,
}

pub(crate) async fn complete(context: &Context, arguments: CompleteArguments) -> Result<(), Error> {
    let mut body = json!({"review_type": not_blank("--review-type", &arguments.review_type)?});
    for (key, count) in [
        ("findings_count", arguments.findings_count),
        ("fixes_count", arguments.fixes_count),
        ("disproved_count", arguments.disproved_count),
    ] {
        if let Some(count) = count {
            body[key] = count.into();
        }
    }
    if let Some(summary) = arguments.summary {
        body["summary"] = summary.into();
    }
    transition(context, &arguments.story.story, "review-complete", Some(&body), "review_record").await
}

/// What a verification may end with, whatever else the line lacks.
fn verdict(result: &str) -> Result<String, &'static str> {
    match result {
        "pass" | "partial" => Ok(result.to_owned()),
        "fail" => Err("A failed verification is a rejection. Use: loopctl reject <story> --reason <text>"),
        _ => Err("Valid results: pass, partial"),
    }
}

pub(crate) async fn verify(context: &Context, arguments: VerifyArguments) -> Result<(), Error> {
    let mut body = json!({
        "result": arguments.result,
        "review_type": not_blank("--review-type", &arguments.review_type)?,
        "summary": not_blank("--summary", &arguments.summary)?,
    });
    if let Some(findings) = &arguments.findings {
        body["findings"] = json_argument::read("--findings", findings)?;
    }
    match arguments.stories.stories.as_slice() {
        [story] => {
            if let Some(commit) = arguments.commit {
                body["commit_sha"] = commit.into();
            }
            transition(context, story, "verify", Some(&body), "story").await
        }
        _ if arguments.commit.is_some() => Err(Error::Usage("--commit belongs to a single story".to_owned())),
        several => bulk::same_for_each(context, several, "verify", &body).await,
    }
}

pub(crate) async fn reject(context: &Context, arguments: RejectArguments) -> Result<(), Error> {
    let mut body = json!({"reason": not_blank("--reason", &arguments.reason)?});
    if let Some(findings) = &arguments.findings {
        body["findings"] = json_argument::read("--findings", findings)?;
    }
    match arguments.stories.stories.as_slice() {
        [story] => transition(context, story, "reject", Some(&body), "story").await,
        several => bulk::same_for_each(context, several, "reject", &body).await,
    }
}

pub(crate) async fn force_unclaim(context: &Context, story: StoryArgument) -> Result<(), Error> {
    transition(context, &story.story, "force-unclaim", None, "story").await
}
