//! What each tool of the catalogue asks of the API: method, path, query, key and body.

use serde_json::{Value, json};

use crate::U;
use crate::knowledge;
use crate::recorder::Recorder;
use crate::session::Session;

/// A tool, what it is sent, the request that it makes, whose key, and the body.
pub(crate) type Row = (&'static str, Value, String, &'static str, Option<Value>);

fn table() -> Vec<Row> {
    let story = |step: &str| format!("POST /api/v1/stories/{U}/{step}");
    let id = json!({"story_id": U});
    vec![
        ("get_tenant", json!({}), "GET /api/v1/tenants/me".into(), "ORCH", None),
        ("list_projects", json!({}), "GET /api/v1/projects".into(), "ORCH", None),
        (
            "list_projects",
            json!({"page": 2, "page_size": 5}),
            "GET /api/v1/projects?page=2&page_size=5".into(),
            "ORCH",
            None,
        ),
        (
            "create_project",
            json!({"name": "N", "slug": "n", "mission": "M", "repo_url": ""}),
            "POST /api/v1/projects".into(),
            "ORCH",
            Some(json!({"name": "N", "slug": "n", "mission": "M"})),
        ),
        ("delete_project", json!({"project_id": U}), format!("DELETE /api/v1/projects/{U}"), "USER", None),
        (
            "get_progress",
            json!({"project_id": U}),
            format!("GET /api/v1/projects/{U}/progress"),
            "ORCH",
            None,
        ),
        (
            "get_progress",
            json!({"project_id": U, "include_cost": true}),
            format!("GET /api/v1/projects/{U}/progress?include_cost=true"),
            "ORCH",
            None,
        ),
        (
            "backfill_story",
            json!({"story_id": U, "reason": "r", "pr_number": 0}),
            story("backfill"),
            "ORCH",
            Some(json!({"reason": "r", "pr_number": 0})),
        ),
        (
            "create_story",
            json!({"epic_id": U, "story": {"number": "1.1", "title": "T"}}),
            format!("POST /api/v1/epics/{U}/stories"),
            "ORCH",
            Some(json!({"number": "1.1", "title": "T"})),
        ),
        (
            "create_story",
            json!({"project_id": U, "epic_number": 3, "story": {"number": "3.1", "title": "T"}}),
            format!("POST /api/v1/projects/{U}/stories"),
            "ORCH",
            Some(json!({"epic_number": 3, "number": "3.1", "title": "T"})),
        ),
        (
            "import_stories",
            json!({"project_id": U, "payload": {"epics": []}, "payload_path": "/nowhere.json", "merge": true}),
            format!("POST /api/v1/projects/{U}/import?merge=true"),
            "ORCH",
            Some(json!({"epics": []})),
        ),
        (
            "list_stories",
            json!({"project_id": U, "agent_status": "pending", "limit": 500, "offset": 0}),
            format!("GET /api/v1/stories?project_id={U}&agent_status=pending&limit=20&offset=0"),
            "ORCH",
            None,
        ),
        (
            "list_stories",
            json!({"project_id": U}),
            format!("GET /api/v1/stories?project_id={U}&limit=20"),
            "ORCH",
            None,
        ),
        (
            "list_stories",
            json!({"project_id": U, "limit": "7", "include_token_totals": true}),
            format!("GET /api/v1/stories?project_id={U}&limit=7&include_token_totals=true"),
            "ORCH",
            None,
        ),
        (
            "list_stories",
            json!({"project_id": U, "limit": -5, "offset": -1}),
            format!("GET /api/v1/stories?project_id={U}&limit=1&offset=0"),
            "ORCH",
            None,
        ),
        (
            "list_ready_stories",
            json!({"project_id": U, "limit": 3}),
            format!("GET /api/v1/stories/ready?project_id={U}&limit=3"),
            "ORCH",
            None,
        ),
        ("get_story", id.clone(), format!("GET /api/v1/stories/{U}"), "ORCH", None),
        (
            "contract_story",
            json!({"story_id": U, "story_title": "T", "ac_count": 3}),
            story("contract"),
            "AGENT",
            Some(json!({"story_title": "T", "ac_count": 3})),
        ),
        ("claim_story", id.clone(), story("claim"), "AGENT", None),
        ("start_story", id.clone(), story("start"), "AGENT", None),
        ("request_review", id.clone(), story("request-review"), "AGENT", None),
        ("unclaim_story", id.clone(), story("unclaim"), "AGENT", None),
        ("report_story", id.clone(), story("report"), "ORCH", None),
        (
            "report_story",
            json!({"story_id": U, "artifact_type": "pr", "artifact_path": "p"}),
            story("report"),
            "ORCH",
            Some(json!({"artifact": {"artifact_type": "pr", "path": "p"}})),
        ),
        (
            "report_story",
            json!({"story_id": U, "token_usage": {"input_tokens": 1, "output_tokens": 2, "model_name": "m", "cost_millicents": 0}}),
            story("report"),
            "ORCH",
            Some(
                json!({"token_usage": {"input_tokens": 1, "output_tokens": 2, "model_name": "m", "cost_millicents": 0}}),
            ),
        ),
        (
            "review_complete",
            json!({"story_id": U, "review_type": "code", "findings_count": 0, "fixes_count": 0, "disproved_count": 0}),
            story("review-complete"),
            "ORCH",
            Some(json!({"review_type": "code", "findings_count": 0, "fixes_count": 0, "disproved_count": 0})),
        ),
        ("verify_story", id.clone(), story("verify"), "ORCH", Some(json!({}))),
        (
            "verify_story",
            json!({"story_id": U, "summary": "s", "review_type": "code"}),
            story("verify"),
            "ORCH",
            Some(json!({"summary": "s", "review_type": "code"})),
        ),
        (
            "reject_story",
            json!({"story_id": U, "reason": "r"}),
            story("reject"),
            "ORCH",
            Some(json!({"reason": "r"})),
        ),
        (
            "bulk_mark_complete",
            json!({"stories": [{"story_id": U, "summary": "s", "review_type": "t"}]}),
            "POST /api/v1/stories/bulk/mark-complete".into(),
            "ORCH",
            Some(json!({"stories": [{"story_id": U, "summary": "s", "review_type": "t"}]})),
        ),
        (
            "verify_all_in_epic",
            json!({"epic_id": U, "review_type": "t", "summary": "s"}),
            format!("POST /api/v1/epics/{U}/verify-all"),
            "ORCH",
            Some(json!({"review_type": "t", "summary": "s"})),
        ),
        (
            "report_token_usage",
            json!({"story_id": U, "input_tokens": 1, "output_tokens": "2", "model_name": "m", "cost_millicents": 3, "phase": "other"}),
            "POST /api/v1/token-usage".into(),
            "AGENT",
            Some(
                json!({"story_id": U, "input_tokens": 1, "output_tokens": 2, "model_name": "m", "cost_millicents": 3, "phase": "other"}),
            ),
        ),
        (
            "get_cost_summary",
            json!({"project_id": U}),
            format!("GET /api/v1/analytics/projects/{U}"),
            "ORCH",
            None,
        ),
        (
            "get_cost_summary",
            json!({"project_id": U, "breakdown": "agent"}),
            format!("GET /api/v1/analytics/agents?project_id={U}"),
            "ORCH",
            None,
        ),
        (
            "get_cost_summary",
            json!({"project_id": U, "breakdown": "epic"}),
            format!("GET /api/v1/analytics/epics?project_id={U}"),
            "ORCH",
            None,
        ),
        (
            "get_cost_summary",
            json!({"project_id": U, "breakdown": "model"}),
            format!("GET /api/v1/analytics/models?project_id={U}"),
            "ORCH",
            None,
        ),
        ("get_story_token_usage", id.clone(), format!("GET /api/v1/stories/{U}/token-usage"), "ORCH", None),
        ("get_cost_anomalies", json!({}), "GET /api/v1/cost-anomalies".into(), "ORCH", None),
        (
            "get_cost_anomalies",
            json!({"project_id": U, "page": 2}),
            format!("GET /api/v1/cost-anomalies?project_id={U}&page=2"),
            "ORCH",
            None,
        ),
        (
            "set_token_budget",
            json!({"scope_type": "agent", "scope_id": U, "budget_millicents": 5, "alert_threshold_pct": 0}),
            "POST /api/v1/token-budgets".into(),
            "ORCH",
            Some(
                json!({"scope_type": "agent", "scope_id": U, "budget_millicents": 5, "alert_threshold_pct": 0}),
            ),
        ),
        ("list_routes", json!({}), "GET /api/v1/routes".into(), "ORCH", None),
        (
            "get_acceptance_criteria",
            id.clone(),
            format!("GET /api/v1/stories/{U}/acceptance_criteria"),
            "ORCH",
            None,
        ),
        ("list_verifications", id, format!("GET /api/v1/stories/{U}/verifications"), "ORCH", None),
    ]
}

#[test]
fn each_tool_asks_what_it_says() {
    let recorder = Recorder::content();
    let mut session = Session::of(&recorder, &[]);
    for (tool, arguments, line, key, body) in table().into_iter().chain(knowledge::table()) {
        let told = session.call(tool, &arguments);
        assert!(!told.is_error, "{tool}: {told:?}");
        let request = recorder.take();
        assert_eq!(request.line, line, "{tool}");
        assert_eq!(request.header("authorization"), Some(format!("Bearer {key}").as_str()), "{tool}");
        match body {
            Some(body) => assert_eq!(request.json(), body, "{tool}"),
            None => assert_eq!(request.body, "", "{tool}"),
        }
    }
}

/// No id leads anywhere else, whichever tool takes it.
#[test]
fn ids_are_ids() {
    let recorder = Recorder::content();
    let mut session = Session::of(&recorder, &[]);
    for (tool, arguments, ..) in table().into_iter().chain(knowledge::table()) {
        for name in ["story_id", "project_id", "epic_id", "scope_id", "article_id", "api_key_id", "agent_id"]
        {
            if arguments.get(name).is_none() || tool == "get_cost_anomalies" {
                continue;
            }
            for bad in ["../../tenants/me", "fake", "", "0192aaaa00007000800000000000000"] {
                // Where an id may be left out, an empty one is.
                if bad.is_empty()
                    && tool.starts_with("knowledge_")
                    && ["story_id", "project_id"].contains(&name)
                {
                    continue;
                }
                let mut sent = arguments.clone();
                sent[name] = json!(bad);
                // Without one of them the other one says where the story belongs.
                if tool == "create_story" && bad.is_empty() {
                    continue;
                }
                let told = session.call(tool, &sent);
                assert!(told.is_error && told.json()["status"] == 0, "{tool} {name}={bad}: {told:?}");
            }
        }
    }
    assert_eq!(recorder.requests().len(), 0);
}

#[test]
fn what_is_missing_or_wrong_is_named_and_not_sent() {
    let recorder = Recorder::content();
    let mut session = Session::of(&recorder, &[]);
    for (tool, arguments, said) in [
        ("create_story", json!({"project_id": "fake", "epic_number": 1}), "story"),
        ("create_story", json!({"story": {}}), "story"),
        ("create_story", json!({"story": {"number": "1.1"}, "project_id": U}), "epic"),
        ("backfill_story", json!({"story_id": U}), "reason"),
        ("backfill_story", json!({"story_id": U, "reason": "  "}), "reason"),
        ("backfill_story", json!({"reason": "r"}), "story_id"),
        (
            "contract_story",
            json!({"story_id": U, "story_title": "T", "ac_count": "three"}),
            "ac_count must be an integer",
        ),
        (
            "set_token_budget",
            json!({"scope_type": "moon", "scope_id": U, "budget_millicents": 1}),
            "scope_type must be one of",
        ),
        (
            "set_token_budget",
            json!({"scope_type": "epic", "scope_id": U, "budget_millicents": 1, "alert_threshold_pct": 101}),
            "alert_threshold_pct must be from 0 to 100",
        ),
        ("get_story", json!({"story": U}), "story is not an argument"),
        ("bulk_mark_complete", json!({"stories": []}), "stories must have 1 to"),
        ("bulk_mark_complete", json!({"stories": [{"story_id": U}]}), "[0] summary is required"),
    ] {
        let told = session.call(tool, &arguments);
        assert!(told.is_error && told.text.contains(said), "{tool} {arguments}: {told:?}");
    }
    assert_eq!(recorder.requests().len(), 0);
}
