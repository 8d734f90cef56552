//! The client commands from the outside: the built binary against a server with canned answers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests: clippy knows only test functions")]

mod admin;
mod analytics;
mod breakdown;
mod budgets;
mod bulk;
mod completions;
mod connection;
mod cost;
mod deps;
mod doctor;
mod events;
mod evidence;
mod export;
mod hook;
mod identity;
mod import;
mod knowledge;
mod lists;
mod man;
mod matrix;
mod merge;
mod names;
mod parser;
mod people;
mod plans;
mod settings;
mod setup;
mod skills;
mod state;
mod stories;
mod support;
mod terminal;
mod ui_tests;
mod watch;
mod webhooks;

use serde_json::{Value, json};
use support::{Answer, Request, World, error};

pub(crate) const P1: &str = "0192aaaa-0000-7000-8000-000000000001";
pub(crate) const P2: &str = "0192aaaa-0000-7000-8000-000000000002";
pub(crate) const S21: &str = "0192bbbb-0000-7000-8000-000000000021";

pub(crate) fn project(id: &str, name: &str, slug: &str) -> Value {
    json!({"id": id, "name": name, "slug": slug, "status": "active", "repo_url": null})
}

pub(crate) fn story(id: &str, number: &str) -> Value {
    json!({"id": id, "number": number, "title": format!("Story {number}"), "agent_status": "pending",
           "verified_status": "unverified", "acceptance_criteria": [{"id": "AC-1"}, {"id": "AC-2"}]})
}

pub(crate) fn list(rows: &[Value]) -> Answer {
    json!({"data": rows, "meta": {"page": 1, "page_size": 100, "total_count": rows.len(), "total_pages": 1}})
        .into()
}

/// One project `my-app` with story 2.1; filters work; transitions answer the story.
pub(crate) fn one_project(request: &Request) -> Answer {
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/api/v1/projects") => list(&[project(P1, "My App", "my-app")]),
        ("GET", "/api/v1/stories") if request.query.contains("number=2.1") => {
            json!({"data": [story(S21, "2.1")], "meta": {"total_count": 1, "limit": 500, "offset": 0}}).into()
        }
        ("GET", "/api/v1/stories" | "/api/v1/stories/ready") => list(&[]),
        ("GET", path) if path == format!("/api/v1/stories/{S21}") => json!({"story": story(S21, "2.1")}).into(),
        ("POST", path) if path.starts_with(&format!("/api/v1/stories/{S21}/")) => {
            json!({"story": story(S21, "2.1"), "next_actions": [{"action": "claim", "method": "POST", "path": "/x"}]}).into()
        }
        _ => error(404, "Not found"),
    }
}

pub(crate) fn body_of(world: &World, path_end: &str) -> Value {
    let requests = world.requests();
    let request = requests.iter().find(|request| request.path.ends_with(path_end));
    request.unwrap_or_else(|| panic!("no request to {path_end}: {:?}", world.lines())).body.clone()
}
