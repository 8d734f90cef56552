//! How the wiki looks to a role.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::fit;
use super::shape::{page, text, title};
use crate::seats::Seat;

/// Of what belongs to a finding of lint, so many.
const OF_A_FINDING: usize = 3;
/// Bytes of what was wrong with one of several.
const OF_AN_ERROR: usize = 100;

fn said<'a>(of: &'a Value, name: &str) -> &'a str {
    of[name].as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Articles with their text, the best first.
pub(super) fn to_read(body: &Value, from: usize) -> Value {
    let articles = list(&body["data"]);
    let mut told = json!({"articles": articles.len()});
    // What is there in parts, or not at all, because so many tokens have no room for it.
    let cut: Vec<_> = list(&body["meta"]["cut"])
        .iter()
        .take(20)
        .map(|cut| format!("{}: {}", said(cut, "id"), said(cut, "reason")))
        .collect();
    if !cut.is_empty() {
        told["cut"] = json!(cut);
    }
    if articles.is_empty() {
        told["message"] = json!("Nothing is written about this.");
        return told;
    }
    let mut whole = String::new();
    for article in articles {
        let (title, category, id) = (said(article, "title"), said(article, "category"), said(article, "id"));
        let _ = write!(whole, "# {title}\n{category}, {id}\n\n{}\n\n", said(article, "body").trim());
        let linked: Vec<_> =
            list(&article["linked_articles"]).iter().map(|linked| said(linked, "title")).collect();
        if !linked.is_empty() {
            let _ = write!(whole, "Linked: {}\n\n", linked.join("; "));
        }
    }
    text(&mut told, whole.trim_end(), from);
    told
}

/// A line for each draft, with its id. Who publishes one reads it first.
pub(super) fn drafts(body: &Value) -> Value {
    let drafts = list(&body["data"]);
    let line = |draft: &Value| {
        let mut line = format!("{} {}: {}", said(draft, "id"), title(draft), said(draft, "category"));
        if let Some(source) = draft["source_type"].as_str() {
            let _ = write!(line, ", {source}");
        }
        line
    };
    let mut told = json!({"drafts": drafts.iter().map(line).collect::<Vec<_>>()});
    page(&mut told, body, drafts.len());
    if let Some(first) = drafts.first() {
        told["next"] = json!({"tool": "knowledge_drafts", "arguments": {"article_id": first["id"]}});
    }
    told
}

/// A draft to read.
pub(super) fn draft(article: &Value, from: usize) -> Value {
    let mut told = json!({"article": brief(article)});
    let arguments = json!({"article_id": article["id"]});
    if said(article, "status") == "draft" {
        told["next"] = json!({"tool": "knowledge_publish", "arguments": arguments});
    }
    if let Some(more) = text(&mut told, said(article, "body").trim_end(), from) {
        let arguments = json!({"article_id": article["id"], "cursor": more});
        told["next"] = json!({"tool": "knowledge_drafts", "arguments": arguments});
    }
    told
}

/// An article that was written, published or laid aside.
pub(super) fn moved(article: &Value, seats: &[Seat]) -> Value {
    let mut told = json!({"article": brief(article)});
    if seats.first() == Some(&Seat::Orchestrator) {
        told["next"] = json!({"tool": "knowledge_drafts", "arguments": {}});
    }
    told
}

/// What became of each of several, in the order in which they were sent.
pub(super) fn results(body: &Value) -> Value {
    let line = |row: &Value| {
        let status = said(row, "status");
        match row["error"].as_str() {
            Some(error) => format!("{status}: {}", fit::begin(error, OF_AN_ERROR)),
            None => format!(
                "{}: {status}",
                row["id"].as_str().map_or_else(|| row["id"].to_string(), str::to_owned)
            ),
        }
    };
    json!({"results": list(&body["data"]).iter().map(line).collect::<Vec<_>>()})
}

fn brief(article: &Value) -> Value {
    let names = ["id", "title", "category", "status"];
    names.into_iter().map(|name| (name.to_owned(), article[name].clone())).collect::<Map<_, _>>().into()
}

/// How much is wrong, and the first of each kind.
pub(super) fn lint(body: &Value) -> Value {
    let summary = &body["summary"];
    let mut told = json!({"articles": summary["total_articles"], "issues": summary["total_issues"]});
    for (kind, count) in summary["total_per_category"].as_object().into_iter().flatten() {
        if count.as_u64().unwrap_or(0) == 0 {
            continue;
        }
        let mut first = body["data"][kind][0].clone();
        for (name, value) in first.as_object_mut().into_iter().flatten() {
            if let Some(all) = value.as_array_mut() {
                all.truncate(OF_A_FINDING);
            } else if name == "title" {
                *value = json!(title(&json!({"title": value})));
            }
        }
        told[kind] = json!({"count": count, "first": first});
    }
    told
}
