//! How answers look to a role: few words, nothing that it has not asked for, and the next step.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::{articles, fit, next};
use crate::api::Reply;
use crate::catalogue::{Shape, Tool};
use crate::seats::Seat;

/// Characters of a title in a list.
const TITLE: usize = 64;
/// What is shown of what was wrong, of many things.
const DETAILS: usize = 10;

/// What was done or read: from a place on, or none, where asking for the rest would do it again.
pub(super) fn done(
    body: &Value,
    shape: Shape,
    seats: &[Seat],
    place: Option<usize>,
    project: Option<&str>,
) -> Value {
    let from = place.unwrap_or(0);
    match shape {
        Shape::Step if body.get("story").is_some() => {
            let mut told = json!({"story": brief(&body["story"])});
            told["next"] = json!(next::after(body, seats));
            told
        }
        Shape::Worked if body.get("story").is_some() => {
            json!({"story": brief(&body["story"]), "next": next::after_work(&body["story"])})
        }
        Shape::Used => {
            let mut told = whole(body, place);
            told["next"] = json!(next::begin(seats));
            told
        }
        Shape::Step if body.get("review_record").is_some() => review(body, seats),
        Shape::Story if body.get("story").is_some() => story(body, seats, from),
        Shape::Stories => stories(body, seats, project),
        Shape::Articles if body["data"].is_array() => articles::to_read(body, from),
        Shape::Drafts if body["data"].is_array() => articles::drafts(body),
        Shape::Drafts if body["data"].is_object() => articles::draft(&body["data"], from),
        Shape::Article if body["data"].is_object() => articles::moved(&body["data"], seats),
        Shape::Results if body["data"].is_array() => articles::results(body),
        Shape::Lint if body["summary"].is_object() => articles::lint(body),
        _ => whole(body, place),
    }
}

/// A story in a line.
fn line(story: &Value) -> String {
    let text = |name: &str| story[name].as_str().unwrap_or_default();
    let mut line = format!("{} {}: {}", text("number"), title(story), text("agent_status"));
    if text("verified_status") != "unverified" {
        let _ = write!(line, ", {}", text("verified_status"));
    } else if !story["review_requested_at"].is_null() && text("agent_status") == "implementing" {
        line.push_str(", review requested");
    }
    line
}

/// The title of something in a list.
pub(super) fn title(of: &Value) -> String {
    let whole = of["title"].as_str().unwrap_or_default();
    let mut title: String = whole.chars().take(TITLE).collect();
    if title.len() < whole.len() {
        title.push('…');
    }
    title
}

/// Which story, and where it is.
fn brief(story: &Value) -> Value {
    let mut brief = Map::new();
    for name in ["id", "number", "title", "agent_status", "verified_status"] {
        brief.insert(name.to_owned(), story[name].clone());
    }
    for name in ["rejection_reason", "review_requested_at"] {
        if !story[name].is_null() {
            brief.insert(name.to_owned(), story[name].clone());
        }
    }
    Value::Object(brief)
}

/// A review that was recorded.
fn review(body: &Value, seats: &[Seat]) -> Value {
    let record = &body["review_record"];
    let names = ["story_id", "review_type", "findings_count", "fixes_count", "disproved_count"];
    let review: Map<String, Value> =
        names.into_iter().map(|name| (name.to_owned(), record[name].clone())).collect();
    let story = json!({"story": {"id": record["story_id"]}, "next_actions": body["next_actions"]});
    json!({"review": review, "next": next::after(&story, seats)})
}

/// A story to read: what it is about and its criteria as one text, of which a long one comes in parts.
fn story(body: &Value, seats: &[Seat], from: usize) -> Value {
    let story = &body["story"];
    let mut told = json!({"story": brief(story)});
    told["story"]["project_id"] = story["project_id"].clone();
    told["next"] = json!(next::after(body, seats));
    if let Some(more) = text(&mut told, &text_of(story), from) {
        // All of it is read before anything is done.
        let arguments = json!({"story_id": story["id"], "cursor": more});
        told["next"] = json!({"tool": "get_story", "arguments": arguments});
    }
    told
}

/// Adds a text, of which a long one comes in parts, and gives the cursor of the next one.
pub(super) fn text(told: &mut Value, text: &str, from: usize) -> Option<String> {
    let (part, more) = fit::part(text, from, told.to_string().len());
    told["text"] = json!(part);
    let more = more.map(|more| more.to_string());
    if let Some(more) = &more {
        told["cursor"] = json!(more);
    }
    more
}

fn text_of(story: &Value) -> String {
    let mut text = story["description"].as_str().unwrap_or_default().trim_end().to_owned();
    let criteria = story["acceptance_criteria"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !text.is_empty() {
        text.push_str("\n\n");
    }
    let _ = write!(text, "Acceptance criteria: {}", criteria.len());
    for criterion in criteria {
        let said = ["criterion", "description", "text"].iter().find_map(|name| criterion[*name].as_str());
        let said = said.map_or_else(|| criterion.to_string(), str::to_owned);
        match criterion["id"].as_str() {
            Some(id) => {
                let _ = write!(text, "\n- {id}: {said}");
            }
            None => {
                let _ = write!(text, "\n- {said}");
            }
        }
    }
    if let Some(verification) = story["latest_verification"].as_object() {
        let result = verification.get("result").and_then(Value::as_str).unwrap_or_default();
        let summary = verification.get("summary").and_then(Value::as_str).unwrap_or_default();
        let _ = write!(text, "\n\nLast verification: {result}. {summary}");
    }
    text
}

/// A list of stories, a line each. Their numbers stand for them in other tools.
fn stories(body: &Value, seats: &[Seat], project: Option<&str>) -> Value {
    let data = body["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    let project = project.or_else(|| data.first().and_then(|story| story["project_id"].as_str()));
    let mut told = json!({"project_id": project, "stories": data.iter().map(line).collect::<Vec<_>>()});
    page(&mut told, body, data.len());
    if let Some(first) = data.first()
        && seats.contains(&Seat::Orchestrator)
    {
        let arguments = json!({"story_id": first["number"], "project_id": project});
        told["next"] = json!({"tool": "get_story", "arguments": arguments});
    }
    told
}

/// How many there are, and where the list goes on.
pub(super) fn page(told: &mut Value, body: &Value, shown: usize) {
    let number = |name: &str| body["meta"][name].as_u64().unwrap_or(0);
    let (total, read) = (number("total_count"), number("offset") + shown as u64);
    told["total"] = json!(total);
    if read < total && shown > 0 {
        told["cursor"] = json!(read.to_string());
    }
}

/// Everything else, without what is not there; a long one in parts, if it can be asked for again.
fn whole(body: &Value, place: Option<usize>) -> Value {
    let value = without_nulls(body.clone());
    let text = value.to_string();
    let from = match place {
        Some(from) if from > 0 || text.len() > fit::MOST => from,
        _ => return if value.is_object() { value } else { json!({"result": value}) },
    };
    let (part, more) = fit::part(&text, from, 0);
    let mut told = json!({"part": part});
    if let Some(more) = more {
        told["cursor"] = json!(more.to_string());
    }
    told
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(object) => Value::Object(
            object
                .into_iter()
                .filter(|(name, value)| !value.is_null() && name != "tenant_id" && name != "learn_more")
                .map(|(name, value)| (name, without_nulls(value)))
                .collect(),
        ),
        Value::Array(all) => all.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

/// A list without what makes it long.
pub(super) fn without_long_fields(mut body: Value) -> Value {
    let data = body.get_mut("data").and_then(Value::as_array_mut);
    for story in data.into_iter().flatten().filter_map(Value::as_object_mut) {
        story.shift_remove("acceptance_criteria");
        story.shift_remove("description");
    }
    body
}

/// What was refused by the server, or could not be asked.
pub(super) fn refused(reply: &Reply, next: Option<Value>) -> Value {
    let error = &reply.body["error"];
    let mut told = Map::new();
    told.insert("status".to_owned(), json!(reply.status));
    for name in ["code", "message", "hints", "details", "current_state"] {
        match error.get(name) {
            Some(Value::Array(all)) => {
                let some: Vec<_> = all.iter().take(DETAILS).collect();
                told.insert(name.to_owned(), json!(some));
            }
            Some(Value::Object(all)) if all.len() > DETAILS => {
                let some: Map<String, Value> = all.clone().into_iter().take(DETAILS).collect();
                told.insert(name.to_owned(), Value::Object(some));
                told.insert("more_details".to_owned(), json!(all.len() - DETAILS));
            }
            Some(value) if !value.is_null() => {
                told.insert(name.to_owned(), value.clone());
            }
            _ => {}
        }
    }
    if !told.contains_key("hints")
        && let Some(action) = error["remediation"]["next_action"].as_str()
    {
        told.insert("hints".to_owned(), json!([action]));
    }
    if let Some(Value::Array(hints)) = told.get_mut("hints") {
        for hint in hints {
            *hint = json!(in_tools(hint.as_str().unwrap_or_default()));
        }
    }
    if !told.contains_key("message") {
        let said = reply.body.as_str().map_or_else(|| reply.body.to_string(), str::to_owned);
        told.insert("message".to_owned(), json!(fit::begin(&said, 500)));
    }
    let mut answer = json!({"error": told});
    if let Some(next) = next {
        answer["next"] = next;
    }
    answer
}

/// Calls of the API that hints name, and the tools that make them.
const CALLS: &[(&str, &str)] = &[
    ("GET /api/v1/stories/ready", "next_story"),
    ("GET /api/v1/stories/:id", "get_story"),
    ("POST /api/v1/stories/:id/contract", "contract_story"),
    ("POST /api/v1/stories/:id/claim", "claim_story"),
    ("POST /api/v1/stories/:id/report", "report_story"),
    ("POST /api/v1/stories/:id/review-complete", "review_complete"),
    ("POST /api/v1/stories/:id/verify", "verify_story"),
    ("POST /api/v1/stories/:id/reject", "reject_story"),
    ("POST /api/v1/stories/:id/unclaim", "unclaim_story"),
    ("POST /api/v1/token-usage", "report_token_usage"),
];

/// A hint with the names of tools in place of the calls that they make. What no tool does stays as it is.
fn in_tools(hint: &str) -> String {
    let is_path = |char: char| char.is_ascii_alphanumeric() || "/:_-".contains(char);
    let mut said = String::new();
    let mut rest = hint;
    while let Some(at) = ["GET /", "POST /"].iter().filter_map(|verb| rest.find(verb)).min() {
        let (before, call) = rest.split_at(at);
        let path_at = call.find('/').unwrap_or_default();
        let end = call[path_at..].find(|char| !is_path(char)).map_or(call.len(), |end| path_at + end);
        let (call, after) = call.split_at(end);
        let tool = CALLS.iter().find(|(known, _)| *known == call).map_or(call, |(_, tool)| tool);
        said.push_str(before);
        said.push_str(tool);
        rest = after;
    }
    said + rest
}

/// What was not sent, because it could not be.
pub(super) fn wrong(why: &str, tool: &Tool) -> Value {
    let mut said = said(why);
    said["error"]["hints"] =
        json!([format!("Call {} again with its arguments as its schema says.", tool.name)]);
    said
}

/// A refusal of our own.
pub(super) fn said(why: &str) -> Value {
    json!({"error": {"status": 0, "message": why}})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue;

    #[test]
    fn hints_name_tools_in_place_of_the_calls_that_they_make() {
        for (hint, told) in [
            (
                "Read the story (GET /api/v1/stories/:id) and send its exact title.",
                "Read the story (get_story) and send its exact title.",
            ),
            ("Pick another one from GET /api/v1/stories/ready.", "Pick another one from next_story."),
            ("POST /api/v1/stories/:id/review-complete; then verify.", "review_complete; then verify."),
            (
                "First POST /api/v1/agents/register, then GET /api/v1/stories/:id",
                "First POST /api/v1/agents/register, then get_story",
            ),
            ("Nothing to call.", "Nothing to call."),
            ("POST /", "POST /"),
            ("", ""),
        ] {
            assert_eq!(in_tools(hint), told);
        }
        for (_, tool) in CALLS {
            assert!(catalogue::find(tool).is_some(), "{tool}");
        }
    }
}
