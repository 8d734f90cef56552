//! Whose key goes where, and what is said of the tenant's log.

use serde_json::json;

use crate::U;
use crate::recorder::{Answer, Recorder};
use crate::session::{ALL, KEYS, Session};

#[test]
fn each_tool_has_its_key() {
    let recorder = Recorder::content();
    let mut session = Session::of(&recorder, &[]);
    for (tool, arguments, key) in [
        ("get_tenant", json!({}), "ORCH"),
        ("claim_story", json!({"story_id": U}), "AGENT"),
        ("report_story", json!({"story_id": U}), "ORCH"),
        ("delete_project", json!({"project_id": U}), "USER"),
    ] {
        assert!(!session.call(tool, &arguments).is_error, "{tool}");
        assert_eq!(recorder.take().header("authorization"), Some(format!("Bearer {key}").as_str()), "{tool}");
    }
    let mut session = Session::of(&recorder, &[("LOOPCTL_REVIEWER_KEY", "REV")]);
    for tool in ["report_story", "review_complete"] {
        session.call(
            tool,
            &json!({"story_id": U, "review_type": "x"}).as_object().map_or(json!({}), |all| {
                let mut all = all.clone();
                if tool == "report_story" {
                    all.remove("review_type");
                }
                json!(all)
            }),
        );
        assert_eq!(recorder.take().header("authorization"), Some("Bearer REV"), "{tool}");
    }
    let mut session = Session::of(&recorder, &[("LOOPCTL_API_KEY", "GLOB")]);
    for (tool, arguments) in [
        ("get_tenant", json!({})),
        ("claim_story", json!({"story_id": U})),
        ("delete_project", json!({"project_id": U})),
    ] {
        session.call(tool, &arguments);
        assert_eq!(recorder.take().header("authorization"), Some("Bearer GLOB"), "{tool}");
    }
}

#[test]
fn without_its_key_a_tool_names_what_to_set_and_sends_nothing() {
    let recorder = Recorder::content();
    let mut session = Session::start(&recorder.address, &[ALL, ("LOOPCTL_ORCH_KEY", "")]);
    let told = session.call("get_tenant", &json!({}));
    assert!(told.is_error && told.text.contains("LOOPCTL_ORCH_KEY"), "{told:?}");
    assert_eq!(told.json()["status"], 0);
    let mut session = Session::start(&recorder.address, &[ALL, ("LOOPCTL_ORCH_KEY", "ORCH")]);
    let told = session.call("delete_project", &json!({"project_id": U}));
    assert!(told.is_error && told.text.contains("LOOPCTL_USER_KEY"), "{told:?}");
    assert_eq!(recorder.requests().len(), 0);
    // With one key alone, reading works.
    let mut session = Session::start(&recorder.address, &[ALL, ("LOOPCTL_AGENT_KEY", "AGENT")]);
    assert!(!session.call("list_projects", &json!({})).is_error);
    assert_eq!(recorder.take().header("authorization"), Some("Bearer AGENT"));
}

#[test]
fn what_was_seen_of_a_log_is_remembered_for_the_key_that_has_seen_it() {
    let recorder =
        Recorder::new(|_| Answer(200, "x-loopctl-current-sth: 5:abc\r\n".to_owned(), "{}".to_owned()));
    let mut session = Session::of(&recorder, &[]);
    session.call("get_tenant", &json!({}));
    let first = recorder.take();
    assert_eq!(first.line, "GET /api/v1/tenants/me");
    assert_eq!(first.header("authorization"), Some("Bearer ORCH"));
    assert_eq!(first.header("x-loopctl-sth-bootstrap"), Some("true"));
    assert_eq!(first.header("content-type"), Some("application/json"));
    assert!(first.header("user-agent").unwrap().starts_with("loopctl-mcp-server/"));
    assert_eq!(first.body, "");
    session.call("get_tenant", &json!({}));
    let second = recorder.take();
    assert_eq!(second.header("x-loopctl-last-known-sth"), Some("5:abc"));
    assert_eq!(second.header("x-loopctl-sth-bootstrap"), None);
    session.call("claim_story", &json!({"story_id": U}));
    let other = recorder.take();
    assert_eq!(other.header("x-loopctl-sth-bootstrap"), Some("true"));
    assert_eq!(other.header("x-loopctl-last-known-sth"), None);
}

#[test]
fn what_was_seen_is_forgotten_when_it_is_no_good_and_only_then() {
    let recorder = Recorder::new(|request| {
        let headers = "content-type: application/json\r\nx-loopctl-current-sth: 5:abc\r\n".to_owned();
        if request.line.contains("/claim") {
            return (409, json!({"error": {"code": "witness_divergence"}})).into();
        }
        let status = if request.header("x-loopctl-last-known-sth").is_some() { 412 } else { 200 };
        Answer(status, headers, json!({"error": {"code": "witness_header_missing"}}).to_string())
    });
    let mut session = Session::of(&recorder, &[]);
    session.call("get_tenant", &json!({}));
    recorder.take();
    assert!(!session.call("verify_story", &json!({"story_id": U})).is_error);
    let requests = recorder.requests();
    assert_eq!(requests.len(), 2, "once more, and no more: {requests:#?}");
    assert!(requests[1].header("x-loopctl-last-known-sth").is_none());
    let told = session.call("claim_story", &json!({"story_id": U}));
    assert!(told.is_error && told.text.contains("witness_divergence"));
    assert_eq!(recorder.requests().len(), 3);
}

#[test]
fn keys_go_nowhere_else_and_are_never_said() {
    let recorder = Recorder::new(|request| match request.line.as_str() {
        "GET /api/v1/routes" => Answer(302, "location: http://127.0.0.1:9/\r\n".to_owned(), String::new()),
        _ => (500, json!({"error": {"message": "broken"}})).into(),
    });
    let mut session = Session::of(&recorder, &[("LOOPCTL_REVIEWER_KEY", "REV")]);
    let told = session.call("list_routes", &json!({}));
    assert!(told.is_error && told.json()["status"] == 302, "{told:?}");
    session.call("get_tenant", &json!({}));
    let (_, said) = session.end();
    assert!(said.contains("LOOPCTL_REVIEWER_KEY") && said.lines().count() == 1, "{said}");
    for (_, key) in KEYS {
        assert!(!said.contains(&format!("Bearer {key}")));
    }
    let plain = Session::start("http://loopctl.example.com", KEYS);
    let (code, said) = plain.end();
    assert!(code == 2 && said.contains("LOOPCTL_ALLOW_HTTP=1"), "{said}");
}
