//! What the server of the matrix answers: anything that is asked for, or what is scripted.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::{Answer, CONTENT_TYPE, NO_ANSWER, Request};

pub(super) const ID: &str = "0192aaaa-0000-7000-8000-000000000001";
pub(super) const OTHER: &str = "0192aaaa-0000-7000-8000-000000000002";

/// What becomes of requests. All others are answered.
#[derive(Debug, Clone)]
pub(super) enum Script {
    Answers,
    /// Whatever is asked is refused.
    RefusesAll(u16),
    /// This request is.
    Refuses(String, u16),
    /// This one is read, and nothing is said.
    HangsUp(String),
}

/// A script that can be changed, for one server.
#[derive(Debug, Clone)]
pub(super) struct Stage(Arc<Mutex<Script>>);

impl Stage {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Script::Answers)))
    }

    pub(super) fn play(&self, script: Script) {
        *self.0.lock().unwrap() = script;
    }

    pub(super) fn answer(&self, request: &Request) -> Answer {
        match &*self.0.lock().unwrap() {
            Script::RefusesAll(status) => refusal(*status),
            Script::Refuses(line, status) if *line == line_of(request) => refusal(*status),
            Script::HangsUp(line) if *line == line_of(request) => (NO_ANSWER, Value::Null).into(),
            _ => answer(request),
        }
    }
}

/// By which a request is known again. When is not part of it: `--since 2h` is another time in each run.
pub(super) fn line_of(request: &Request) -> String {
    format!("{} {}", request.method, request.path)
}

/// A refusal in the server's words. Of the first three it says no more, because it does not know what was meant.
fn refusal(status: u16) -> Answer {
    let (code, message) = match status {
        401 => ("invalid_api_key", "Invalid API key"),
        403 => ("forbidden", "Insufficient permissions. Required role: user"),
        404 => ("not_found", "Not found"),
        409 => ("invalid_transition", "Conflict: Cannot claim: story is in agent_status='pending'"),
        422 => ("validation_failed", "Validation failed"),
        _ => ("rate_limited", "Rate limit exceeded"),
    };
    let mut error = json!({"status": status, "code": code, "message": message});
    match status {
        409 => error["hints"] = json!(["Contract the story first."]),
        422 => error["details"] = json!({"title": ["can't be blank"]}),
        _ => {}
    }
    let headers = if status == 429 { vec![("Retry-After", "0".to_owned())] } else { Vec::new() };
    Answer(status, headers, json!({ "error": error }))
}

/// Something that everything is found in: a list where lists are asked for, and things by any name.
fn answer(request: &Request) -> Answer {
    if request.path.ends_with("/knowledge/export") {
        return Answer(200, vec![(CONTENT_TYPE, "application/zip".to_owned())], json!("an archive"));
    }
    let thing = json!({"id": ID, "name": name(request), "slug": slug(request), "title": "Title", "number": number(request),
        "status": "active", "version": 1, "current_version": 1, "role": "agent", "project_id": ID, "epic_id": ID,
        "acceptance_criteria": [{"id": "AC-1"}], "raw_key": "lc_k", "key_prefix": "lc_k", "prompt_text": "Review.", "stories": []});
    let envelopes = [
        "story",
        "epic",
        "project",
        "tenant",
        "api_key",
        "new_key",
        "agent",
        "skill",
        "version",
        "state",
        "token_budget",
        "token_usage_report",
        "cost_anomaly",
        "webhook",
        "progress",
        "stats",
        "import",
        "review_record",
        "skill_result",
        "epic_dependency",
        "story_dependency",
    ];
    let mut body: Value = envelopes.iter().map(|name| ((*name).to_owned(), thing.clone())).collect();
    body["graph"] = json!({"epics": [], "stories": [], "epic_dependencies": [], "story_dependencies": []});
    body["meta"] = json!({"page": 1, "page_size": 100, "total_count": 1, "total_pages": 1});
    body["data"] = json!([thing]);
    // What an export has.
    for list in ["epics", "story_dependencies", "epic_dependencies"] {
        body[list] = json!([]);
    }
    // What was done for several at once.
    let done = [ID, OTHER].map(|id| json!({"story_id": id, "status": "success"}));
    body["results"] = json!(done);
    body.into()
}

/// The name by which an agent or a skill is looked for.
fn name(request: &Request) -> &'static str {
    if request.path == "/api/v1/skills" { "review" } else { "worker" }
}

/// The name by which a project, a tenant or an article is looked for.
fn slug(request: &Request) -> &'static str {
    match request.path.as_str() {
        "/api/v1/admin/tenants" => "acme",
        "/api/v1/articles" => "a-slug",
        _ => "my-app",
    }
}

/// Stories have numbers such as 2.1, epics such as 2.
fn number(request: &Request) -> Value {
    if request.path.ends_with("/epics") { json!(2) } else { json!("2.1") }
}
