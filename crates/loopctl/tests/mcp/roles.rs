//! Tools cut by who holds which key, and answers that say what comes next.

use serde_json::{Value, json};

use crate::U;
use crate::recorder::Recorder;
use crate::session::{Session, Told};

fn names(session: &mut Session) -> Vec<String> {
    let listed = session.ask("tools/list", &json!({}));
    let tools = listed["result"]["tools"].as_array().unwrap();
    tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn each_has_the_tools_of_their_keys() {
    let recorder = Recorder::content();
    let of = |keys: &[(&str, &str)]| names(&mut Session::start(&recorder.address, keys));
    let implementer = of(&[("LOOPCTL_AGENT_KEY", "a")]);
    assert_eq!(
        implementer,
        [
            "get_story",
            "next_story",
            "contract_and_claim",
            "start_story",
            "request_review",
            "unclaim_story",
            "help",
            "report_token_usage",
            "knowledge_context",
            "knowledge_create"
        ]
    );
    let reviewer = of(&[("LOOPCTL_REVIEWER_KEY", "r")]);
    assert!(reviewer.contains(&"report_story".to_owned()) && !reviewer.contains(&"verify_story".to_owned()));
    let orchestrator = of(&[("LOOPCTL_ORCH_KEY", "o")]);
    assert!(
        orchestrator.contains(&"verify_story".to_owned())
            && !orchestrator.contains(&"start_story".to_owned())
    );
    let both = of(&[("LOOPCTL_ORCH_KEY", "o"), ("LOOPCTL_AGENT_KEY", "a")]);
    assert!(both.len() > orchestrator.len());
}

#[test]
fn a_key_of_which_nothing_is_known_is_asked_about() {
    let recorder = Recorder::new(|_| json!({"api_key": {"role": "agent", "agent_type": "reviewer"}}).into());
    let listed = names(&mut Session::start(&recorder.address, &[("LOOPCTL_API_KEY", "k")]));
    assert!(listed.contains(&"next_review".to_owned()) && !listed.contains(&"next_story".to_owned()));
    // And when nobody answers, nothing is kept from anybody: the server decides.
    let listed = names(&mut Session::start("http://127.0.0.1:9", &[("LOOPCTL_API_KEY", "k")]));
    for name in ["next_story", "next_review", "verify_story"] {
        assert!(listed.contains(&name.to_owned()), "{name}");
    }
}

/// A story as the API answers it, with what its caller may do next.
fn answer(action: &str) -> Value {
    json!({"story": {"id": U, "number": "1.2", "title": "T", "agent_status": "assigned", "verified_status": "unverified",
                     "acceptance_criteria": [{"id": "AC-1", "criterion": "works"}], "description": "D", "project_id": U},
           "next_actions": [{"action": action, "required_body": {}}]})
}

fn implementer(recorder: &Recorder) -> Session {
    Session::start(&recorder.address, &[("LOOPCTL_AGENT_KEY", "a")])
}

fn said_twice(told: &Told) -> Value {
    assert_eq!(told.json(), told.structured, "the text says what the value says");
    assert!(told.text.len() <= 8192 && told.text.lines().count() <= 200);
    told.structured.clone()
}

#[test]
fn each_answer_says_what_comes_next() {
    let recorder = Recorder::new(|_| answer("start").into());
    let told = said_twice(
        &implementer(&recorder)
            .call("contract_and_claim", &json!({"story_id": U, "story_title": "T", "ac_count": 1})),
    );
    assert_eq!(told["next"], json!({"tool": "start_story", "arguments": {"story_id": U}}));
    assert_eq!(told["story"]["agent_status"], "assigned");
    assert!(told["story"].get("description").is_none());
    let lines: Vec<_> = recorder.requests().iter().map(|request| request.line.clone()).collect();
    assert_eq!(
        lines,
        [format!("POST /api/v1/stories/{U}/contract"), format!("POST /api/v1/stories/{U}/claim")]
    );
}

#[test]
fn who_has_contracted_before_goes_on_to_claim() {
    let recorder = Recorder::new(|request| {
        if request.line.ends_with("/contract") {
            return (409, json!({"error": {"code": "invalid_transition", "current_state": "contracted"}}))
                .into();
        }
        answer("start").into()
    });
    let told = implementer(&recorder)
        .call("contract_and_claim", &json!({"story_id": U, "story_title": "T", "ac_count": 1}));
    assert!(!told.is_error, "{told:?}");
    let recorder = Recorder::new(|_| (422, json!({"error": {"code": "contract_mismatch"}})).into());
    let told = implementer(&recorder)
        .call("contract_and_claim", &json!({"story_id": U, "story_title": "X", "ac_count": 1}));
    assert!(told.is_error && !recorder.requests().iter().any(|request| request.line.ends_with("/claim")));
}

#[test]
fn a_refusal_has_its_code_its_hints_and_the_next_step() {
    let recorder = Recorder::new(|request| {
        if request.line.starts_with("GET") {
            return answer("start").into();
        }
        (409, json!({"error": {"status": 409, "code": "must_start_first", "message": "M", "hints": ["H"], "context": {}}})).into()
    });
    let told = implementer(&recorder).call("request_review", &json!({"story_id": U}));
    assert!(told.is_error);
    let told = said_twice(&told);
    assert_eq!(
        told["error"],
        json!({"status": 409, "code": "must_start_first", "message": "M", "hints": ["H"]})
    );
    assert_eq!(told["next"]["tool"], "start_story");
}

/// The same call, with all that it was sent.
#[test]
fn who_asks_too_often_is_told_to_ask_again() {
    let recorder = Recorder::new(|request| {
        if request.line.contains("number=1.2") {
            return json!({"data": [{"id": U}]}).into();
        }
        (429, json!({"error": {"status": 429, "code": "rate_limited", "message": "Retry after 7 seconds."}}))
            .into()
    });
    let sent = json!({"story_id": "1.2", "project_id": U});
    let told = said_twice(&implementer(&recorder).call("start_story", &sent));
    assert_eq!(told["next"], json!({"tool": "start_story", "arguments": sent}));
    assert_eq!(told["error"]["code"], "rate_limited");
}

#[test]
fn a_story_is_known_by_its_number() {
    let recorder = Recorder::new(|request| match request.line.as_str() {
        "GET /api/v1/projects?page_size=20" => json!({"data": [{"id": U, "name": "only"}]}).into(),
        line if line.contains("number=1.2") => json!({"data": [{"id": U}]}).into(),
        line if line.contains("number=") => json!({"data": []}).into(),
        _ => answer("start").into(),
    });
    let mut session = implementer(&recorder);
    assert!(!session.call("start_story", &json!({"story_id": "1.2"})).is_error);
    let last = recorder.requests().last().unwrap().line.clone();
    assert_eq!(last, format!("POST /api/v1/stories/{U}/start"));
    let told = session.call("start_story", &json!({"story_id": "9.9"}));
    assert!(told.is_error && told.text.contains("no story 9.9"), "{told:?}");
    let told = session.call("start_story", &json!({"story_id": "../../tenants/me"}));
    assert!(told.is_error && told.json()["error"]["status"] == 0);
    let last = recorder.requests().last().unwrap().line.clone();
    assert!(last.contains("number=..%2F..%2Ftenants%2Fme"), "it is looked for, and leads nowhere: {last}");
}

#[test]
fn a_review_is_told_in_few_words_and_leads_on() {
    let recorder = Recorder::new(|_| {
        json!({"review_record": {"id": U, "story_id": U, "review_type": "code", "findings_count": 2, "fixes_count": 1,
                                 "disproved_count": 1, "criteria_digest": "7df3", "completed_at": "2026-11-29T18:20:46Z"},
               "next_actions": []})
        .into()
    });
    let review = json!({"story_id": U, "review_type": "code", "findings_count": 2, "fixes_count": 1, "disproved_count": 1});
    for (key, next) in [("LOOPCTL_REVIEWER_KEY", "next_review"), ("LOOPCTL_ORCH_KEY", "wait_for_story")] {
        let told = Session::start(&recorder.address, &[(key, "k")]).call("review_complete", &review);
        let told = said_twice(&told);
        assert_eq!(told["review"], review);
        assert_eq!(told["next"]["tool"], next);
    }
}

#[test]
fn a_project_is_the_only_one_or_known_by_its_slug() {
    let recorder = Recorder::new(|request| {
        let projects = json!({"data": [{"id": U, "name": "Only", "slug": "only"}]});
        if request.line.starts_with("GET /api/v1/projects?") { projects } else { json!({"data": []}) }.into()
    });
    let orchestrator = |more: &[(&str, &str)]| {
        let mut environment = vec![("LOOPCTL_ORCH_KEY", "o")];
        environment.extend(more);
        Session::start(&recorder.address, &environment)
    };
    let asked = |session: &mut Session, tool: &str, sent: Value| {
        let told = session.call(tool, &sent);
        (told.is_error, recorder.requests().last().unwrap().line.clone())
    };
    let ready = (false, format!("GET /api/v1/stories/ready?project_id={U}&limit=20"));
    let progress = (false, format!("GET /api/v1/projects/{U}/progress"));
    for configured in [None, Some("only"), Some(U)] {
        let configured: Vec<_> = configured.iter().map(|named| ("LOOPCTL_PROJECT", *named)).collect();
        let mut session = orchestrator(&configured);
        assert_eq!(asked(&mut session, "list_ready_stories", json!({})), ready, "{configured:?}");
        assert_eq!(asked(&mut session, "get_progress", json!({})), progress, "{configured:?}");
        assert_eq!(asked(&mut session, "get_progress", json!({"project_id": "only"})), progress);
    }
    for named in ["another", "../../tenants/me"] {
        let told = orchestrator(&[]).call("get_progress", &json!({"project_id": named}));
        assert!(told.is_error && told.text.contains(&format!("no project {named}")), "{told:?}");
        assert!(recorder.requests().iter().all(|request| !request.line.contains(named)));
    }
    let told = orchestrator(&[]).call("create_story", &json!({"story": {"number": "1.1"}}));
    assert!(told.is_error && told.text.contains("epic_id"), "what else is missing is told first: {told:?}");
}

#[test]
fn several_projects_are_named() {
    let two = json!({"data": [{"id": U, "name": "a"}, {"id": U, "name": "b"}]});
    let recorder = Recorder::new(move |_| two.clone().into());
    let told = implementer(&recorder).call("get_story", &json!({"story_id": "1.2"}));
    assert!(told.is_error);
    assert_eq!(told.json()["projects"][1]["name"], "b");
}

#[test]
fn long_stories_come_in_parts() {
    let long = "Zeile mit Ümläuten und \"Anführungszeichen\".\n".repeat(600);
    let mut story = answer("start");
    story["story"]["description"] = json!(long);
    let recorder = Recorder::new(move |_| story.clone().into());
    let mut session = implementer(&recorder);
    let (mut read, mut arguments, mut parts) = (String::new(), json!({"story_id": U}), 0);
    loop {
        let told = said_twice(&session.call("get_story", &arguments));
        read.push_str(told["text"].as_str().unwrap());
        parts += 1;
        match told.get("cursor") {
            // All of it is read before anything is done.
            Some(cursor) => {
                arguments["cursor"] = cursor.clone();
                assert_eq!(told["next"], json!({"tool": "get_story", "arguments": arguments}));
            }
            None => {
                assert_eq!(told["next"]["tool"], "start_story");
                break;
            }
        }
    }
    assert!(parts > 2 && read.starts_with(long.trim_end()) && read.ends_with("- AC-1: works"), "{parts}");
}

#[test]
fn lists_have_a_line_for_each_story_and_a_cursor() {
    let recorder = Recorder::new(|request| {
        let from = if request.line.contains("offset=20") { 20 } else { 0 };
        let story = |at: usize| {
            json!({"number": format!("1.{at}"), "title": "T", "agent_status": "pending",
                                       "verified_status": "unverified", "project_id": U})
        };
        let data: Vec<_> = (from..25).take(20).map(story).collect();
        json!({"data": data, "meta": {"total_count": 25, "offset": from}}).into()
    });
    let mut session = Session::start(&recorder.address, &[("LOOPCTL_ORCH_KEY", "o"), ("LOOPCTL_PROJECT", U)]);
    let told = said_twice(&session.call("list_stories", &json!({})));
    assert_eq!(told["stories"][0], "1.0 T: pending");
    assert_eq!((told["stories"].as_array().unwrap().len(), &told["cursor"]), (20, &json!("20")));
    let told = said_twice(&session.call("list_stories", &json!({"cursor": "20"})));
    assert_eq!(told["stories"][0], "1.20 T: pending");
    assert!(told.get("cursor").is_none());
}

#[test]
fn the_names_of_old_are_called_though_they_are_not_listed() {
    let recorder = Recorder::new(|_| answer("start").into());
    let told = implementer(&recorder).call("claim_story", &json!({"story_id": U}));
    assert_eq!(said_twice(&told)["next"]["tool"], "start_story");
}
