//! One step for several stories: the bulk endpoints, `mark-complete`, and `verify-all` for an epic.

use std::collections::HashSet;

use clap::Args;
use serde_json::{Value, json};

use crate::client::Client;
use crate::commands::{given, not_blank};
use crate::context::Context;
use crate::error::Error;
use crate::layout::block::{Block, Item};
use crate::layout::status;
use crate::resolve::{self, Found, Named, Unknown};
use crate::{json_argument, output, progress, table};

/// Stories that a bulk request may name.
const BATCH: usize = 50;

/// The argument of a command that takes one story or several.
#[derive(Debug, Args)]
pub(crate) struct StoriesArgument {
    /// Stories: ids or numbers (2.1, US-2.1)
    #[arg(value_name = "STORY", required = true)]
    pub(super) stories: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct MarkCompleteArguments {
    #[command(flatten)]
    stories: StoriesArgument,
    /// Why the stories count as done
    #[arg(long, value_name = "TEXT")]
    summary: String,
    /// Kind of review
    #[arg(long, value_name = "TYPE", default_value = "pre_existing")]
    review_type: String,
}

#[derive(Debug, Args)]
pub(crate) struct EpicArguments {
    /// Epic: id or number (2, E2, epic-2)
    epic: String,
    /// Why the stories count as done
    #[arg(long, value_name = "TEXT")]
    summary: String,
    /// Kind of review the verification rests on
    #[arg(long, value_name = "TYPE", default_value = "manual")]
    review_type: String,
    /// Result of the verifications
    #[arg(long, value_parser = ["pass", "partial"], default_value = "pass")]
    result: String,
    /// Findings: JSON, @file or -
    #[arg(long, value_name = "JSON")]
    findings: Option<String>,
}

/// `claim` of several stories.
pub(super) async fn claim(context: &Context, references: &[String]) -> Result<(), Error> {
    let body = |stories: &[Found]| json!({"story_ids": stories.iter().map(|story| story.id.as_str()).collect::<Vec<_>>()});
    send(context, references, "claim", body).await
}

/// A step that says the same about each of several stories.
pub(super) async fn same_for_each(
    context: &Context,
    references: &[String],
    step: &str,
    item: &Value,
) -> Result<(), Error> {
    let body = |stories: &[Found]| {
        let items = stories.iter().map(|story| {
            let mut whole = json!({"story_id": story.id});
            for (key, value) in item.as_object().into_iter().flatten() {
                whole[key] = value.clone();
            }
            whole
        });
        json!({"stories": items.collect::<Vec<_>>()})
    };
    send(context, references, step, body).await
}

pub(crate) async fn mark_complete(context: &Context, arguments: MarkCompleteArguments) -> Result<(), Error> {
    let item = json!({
        "summary": not_blank("--summary", &arguments.summary)?,
        "review_type": not_blank("--review-type", &arguments.review_type)?,
    });
    same_for_each(context, &arguments.stories.stories, "mark-complete", &item).await
}

/// Sends as many requests as the stories need, prints all results, and fails when a story did. Numbers that no story has are
/// failures like others, except where there is a single one.
async fn send(
    context: &Context,
    references: &[String],
    step: &str,
    body: impl Fn(&[Found]) -> Value,
) -> Result<(), Error> {
    let client = context.client()?;
    let (stories, unknown) = match resolve::named_stories(context, &client, references).await? {
        Named { unknown: Some(unknown), .. } if references.len() == 1 => return Err(unknown.into()),
        Named { known, unknown } => (each_once(known), unknown.map(not_found).unwrap_or_default()),
    };
    let of = stories.len() + unknown.len();
    if of < references.len() {
        output::note("Some stories are named more than once; each counts once");
    }
    let path = format!("/stories/bulk/{step}");
    let (mut merged, mut stopped, mut answered) = (None, None, 0);
    let bar = progress::steps(stories.len());
    for batch in stories.chunks(BATCH) {
        bar.tick();
        let done = request(&client, &path, &body(batch)).await;
        bar.inc(batch.len() as u64);
        match done {
            Ok(answer) => merge(&mut merged, answer),
            // What came before has happened, and must be shown.
            Err(error) => {
                stopped = Some(error);
                break;
            }
        }
        answered += batch.len();
    }
    bar.finish_and_clear();
    // Where the work was stopped before anything was answered, there is nothing to show.
    if !unknown.is_empty() && (merged.is_some() || stopped.is_none()) {
        let error = json!({"status": 422, "code": "nothing_processed", "message": "No story was found"});
        merge(&mut merged, json!({"results": unknown, "error": error}));
    }
    let results = merged.as_ref().and_then(|body| body["results"].as_array()).map_or(&[][..], Vec::as_slice);
    if let Some(body) = &merged {
        let rows: Vec<Value> = results.iter().map(|result| row(result, &stories)).collect();
        show(context, body, &rows, &["story", "status", "code", "reason"], results)?;
    }
    let succeeded = results.iter().filter(|result| result["status"] == "success").count();
    match stopped {
        Some(error) => Err(stop(error, answered, &stories)),
        None if succeeded < of => Err(Error::Unfinished { failed: of - succeeded, of }),
        None => Ok(()),
    }
}

/// The results of stories that are not there, as the server words its own.
fn not_found(Unknown { numbers, project }: Unknown) -> Vec<Value> {
    let result = |number: String| {
        let reason = format!("Story not found in project {project}");
        json!({"story_id": null, "number": number, "status": "error", "code": "not_found", "reason": reason})
    };
    numbers.into_iter().map(result).collect()
}

/// The first mention of each story.
fn each_once(mut stories: Vec<Found>) -> Vec<Found> {
    let mut seen = HashSet::new();
    stories.retain(|story| seen.insert(story.id.clone()));
    stories
}

/// The error that ended the work, with the stories about which nothing was answered.
fn stop(error: Error, answered: usize, stories: &[Found]) -> Error {
    // A refused request did nothing, nor did one of which the server says so. Of any other nobody knows.
    let refused = matches!(&error, Error::Server(error) if error.status < 500 || error.body["error"]["outcome"] == "unchanged");
    if refused && answered == 0 {
        return error;
    }
    let what = if refused { "not done" } else { "outcome unknown or not sent" };
    let left: Vec<&str> = stories.iter().skip(answered).map(|story| story.label.as_str()).collect();
    let count = format!("{} of {} stories", left.len(), stories.len());
    Error::Stopped(Box::new(error), format!("{count}: {what}: {}", left.join(", ")))
}

/// A body with results, also when all of them are failures.
async fn request(client: &Client, path: &str, body: &Value) -> Result<Value, Error> {
    match client.post(path, Some(body)).await {
        Err(Error::Server(error)) if error.status == 422 && error.body["results"].is_array() => {
            Ok(error.body)
        }
        other => other,
    }
}

/// Adds the results of a further request. An `error` says that nothing succeeded: it stays when that is so of all.
fn merge(merged: &mut Option<Value>, mut answer: Value) {
    let Some(body) = merged.as_mut().and_then(Value::as_object_mut) else {
        *merged = Some(answer);
        return;
    };
    if answer.get("error").is_none() {
        body.remove("error");
    }
    if let (Some(results), Some(more)) =
        (body.get_mut("results").and_then(Value::as_array_mut), answer["results"].as_array_mut())
    {
        results.append(more);
    }
}

/// A result with the name under which the user knows its story.
fn row(result: &Value, stories: &[Found]) -> Value {
    let id = &result["story_id"];
    let known = stories.iter().find(|story| *id == story.id.as_str());
    let other = if id.is_null() { &result["number"] } else { id };
    let name = known.map_or_else(|| other.clone(), |story| story.label.as_str().into());
    json!({"story": name, "status": result["status"], "code": result["code"], "reason": result["reason"]})
}

/// What became of a story: `2.1  error: Story is pending (invalid_transition)`.
fn outcome(row: &Value) -> Item {
    let of = |name: &str| table::plain(&row[name]);
    let name = if row["story"].is_null() { of("number") } else { of("story") };
    let status = if row["status"].is_null() { "error".to_owned() } else { of("status") };
    let why = match (of("reason"), of("code")) {
        (reason, code) if reason.is_empty() && code.is_empty() => String::new(),
        (reason, code) if code.is_empty() => format!(": {reason}"),
        (reason, code) => format!(": {reason} ({code})"),
    };
    Item { name, tone: status::tone(&status), text: status + &why }
}

/// A list without a footer: these rows are no page of anything. Below it stands what the server says about `items`.
fn show(
    context: &Context,
    body: &Value,
    rows: &[Value],
    columns: &[&str],
    items: &[Value],
) -> Result<(), Error> {
    if !context.output.human() {
        return context.output.rows(body, rows, columns, "");
    }
    let mut block = Block::new(context.output.screen());
    block.items(&rows.iter().map(outcome).collect::<Vec<_>>());
    context.output.block(block)?;
    let mut seen = HashSet::new();
    for hint in items.iter().filter_map(|item| item["hints"].as_array()).flatten() {
        let hint = table::one_line(&table::plain(hint));
        if seen.insert(hint.clone()) {
            context.output.line(&format!("hint: {hint}"))?;
        }
    }
    Ok(())
}

pub(crate) async fn verify_epic(context: &Context, arguments: EpicArguments) -> Result<(), Error> {
    let summary = not_blank("--summary", &arguments.summary)?;
    let review_type = not_blank("--review-type", &arguments.review_type)?;
    let findings =
        arguments.findings.as_deref().map(|text| json_argument::read("--findings", text)).transpose()?;
    let body = given([
        ("review_type", Some(review_type.into())),
        ("summary", Some(summary.into())),
        ("result", Some(arguments.result.into())),
        ("findings", findings),
    ]);
    let client = context.client()?;
    let epic = resolve::epic(context, &client, &arguments.epic).await?;
    let bar = progress::waiting("verifying");
    let answer = client.post(&format!("/epics/{}/verify-all", epic.id), Some(&body)).await?;
    bar.finish_and_clear();
    let errors = answer["errors"].as_array().map_or(&[][..], Vec::as_slice);
    let count = |key: &str| answer[key].as_u64().unwrap_or(0);
    let (verified, eligible) = (count("verified_count"), count("total_eligible"));
    if context.output.human() {
        context.output.line(&format!("Verified: {verified} of {eligible} reported stories"))?;
        if !errors.is_empty() {
            show(context, &answer, errors, &["number", "code", "reason"], errors)?;
        }
    } else {
        context.output.object(&answer, "")?;
    }
    if errors.is_empty() {
        return Ok(());
    }
    let of = usize::try_from(eligible).unwrap_or(errors.len());
    Err(Error::Unfinished { failed: errors.len(), of })
}
