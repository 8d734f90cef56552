//! What comes back, whatever the server answers.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use crate::U;
use crate::recorder::{Answer, Recorder};
use crate::session::Session;

fn page(status: u16, body: String) -> Answer {
    Answer(status, "content-type: text/html\r\n".to_owned(), body)
}

#[test]
fn refusals_are_handed_on_as_they_are() {
    let recorder = Recorder::new(|request| match request.line.as_str() {
        "GET /api/v1/tenants/me" => (404, json!({"error": {"code": "not_found"}})).into(),
        "GET /api/v1/projects" => page(400, "<b>short</b>".to_owned()),
        "GET /api/v1/routes" => {
            page(418, format!("<html><p>Bad &amp; broken</p>{}</html>", "<i>x</i> ".repeat(400)))
        }
        line if line.contains("/claim") => Answer(204, String::new(), String::new()),
        line if line.contains("/start") => {
            Answer(200, "content-type: application/json\r\n".to_owned(), "{\"broken".to_owned())
        }
        _ => json!({"fine": true}).into(),
    });
    let mut session = Session::of(&recorder, &[]);
    let told = session.call("get_tenant", &json!({}));
    assert!(told.is_error);
    assert_eq!(told.json(), json!({"error": true, "status": 404, "body": {"error": {"code": "not_found"}}}));
    let told = session.call("list_projects", &json!({}));
    assert_eq!(told.json(), json!({"error": true, "status": 400, "body": "<b>short</b>"}));
    let told = session.call("list_routes", &json!({})).json();
    let body = told["body"].as_str().unwrap();
    assert!(body.starts_with("Bad & broken x x") && body.ends_with("... (truncated)") && !body.contains('<'));
    let told = session.call("claim_story", &json!({"story_id": U}));
    assert_eq!((told.is_error, told.json()), (false, json!({"ok": true})));
    let told = session.call("start_story", &json!({"story_id": U}));
    assert!(told.is_error && told.text.contains("Invalid JSON"), "{told:?}");
    assert_eq!(session.call("request_review", &json!({"story_id": U})).json(), json!({"fine": true}));
}

#[test]
fn lists_are_without_what_makes_them_long() {
    let story = json!({"id": U, "title": "T", "description": "long", "acceptance_criteria": [1]});
    let list = json!({"data": [story], "meta": {"total_count": 1}});
    let recorder = Recorder::new(move |request| {
        if request.line.contains("/stories/") { story.clone() } else { list.clone() }.into()
    });
    let mut session = Session::of(&recorder, &[]);
    let told = session.call("list_stories", &json!({"project_id": U})).json();
    assert_eq!(told, json!({"data": [{"id": U, "title": "T"}], "meta": {"total_count": 1}}));
    let told = session.call("list_stories", &json!({"project_id": U, "limit": 500}));
    assert!(told.note.as_str().unwrap().contains("limit was lowered") && told.json()["data"].is_array());
    assert_eq!(session.call("get_story", &json!({"story_id": U})).json()["description"], "long");
}

#[test]
fn reading_is_tried_again_and_writing_never() {
    let asked = AtomicUsize::new(0);
    let recorder = Recorder::new(move |request| {
        let halted = json!({"error": {"code": "tenant_halted"}});
        match request.line.as_str() {
            "GET /api/v1/tenants/me" if asked.fetch_add(1, Ordering::SeqCst) == 0 => (503, json!({})).into(),
            "GET /api/v1/routes" => (503, halted).into(),
            line if line.starts_with("POST") => (503, json!({})).into(),
            _ => json!({}).into(),
        }
    });
    let mut session = Session::of(&recorder, &[]);
    assert!(!session.call("get_tenant", &json!({})).is_error);
    assert_eq!(recorder.requests().len(), 2);
    assert!(session.call("claim_story", &json!({"story_id": U})).is_error);
    assert_eq!(recorder.requests().len(), 3);
    assert!(session.call("list_routes", &json!({})).is_error);
    assert_eq!(recorder.requests().len(), 4);
}

#[test]
fn who_is_not_there_is_said_to_be_not_there() {
    let mut session =
        Session::start("http://127.0.0.1:9", &[("LOOPCTL_ORCH_KEY", "k"), ("LOOPCTL_MCP_TOOLS", "all")]);
    let told = session.call("verify_story", &json!({"story_id": U}));
    assert!(told.is_error && told.json()["body"].as_str().unwrap().starts_with("Network error"), "{told:?}");
}
