//! The protocol itself, whatever tools there are.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::U;
use crate::recorder::{Recorder, Request};
use crate::session::{ALL, Session, Told};

fn hello(version: &str) -> Value {
    json!({"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}})
}

#[test]
fn whoever_introduces_themselves_is_answered_in_their_version() {
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let mut session = Session::of(&Recorder::content(), &[]);
        let result = &session.ask("initialize", &hello(version))["result"];
        assert_eq!(result["protocolVersion"], version);
        assert!(result["capabilities"]["tools"].is_object() && result.get("instructions").is_none());
        assert_eq!(result["serverInfo"]["name"], "loopctl");
        assert_eq!(result["serverInfo"]["version"], env!("CARGO_PKG_VERSION"));
    }
    let mut session = Session::of(&Recorder::content(), &[]);
    let answer = session.ask("initialize", &hello("1999-01-01"));
    assert_eq!(answer["result"]["protocolVersion"], "2025-11-25");
}

#[test]
fn the_newest_version_needs_no_introduction() {
    let meta = json!({"_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28",
                               "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
                               "io.modelcontextprotocol/clientCapabilities": {}}});
    let mut session = Session::of(&Recorder::content(), &[]);
    let found = session.ask("server/discover", &meta);
    let versions = found["result"]["supportedVersions"].as_array().unwrap_or_else(|| panic!("{found}"));
    assert!(versions.contains(&json!("2026-07-28")) && versions.contains(&json!("2024-11-05")));
    let listed = session.ask("tools/list", &meta);
    assert!(listed["result"]["ttlMs"].as_u64().unwrap() > 0, "{listed}");
    assert_eq!(listed["result"]["cacheScope"], "private");
    assert_eq!(session.ask("ping", &meta)["error"]["code"], -32601);
}

#[test]
fn what_is_no_message_is_answered_and_the_next_one_is_read() {
    let mut session = Session::of(&Recorder::content(), &[]);
    session.send("garbage");
    assert_eq!(session.read()["error"]["code"], -32700);
    session.send(r#"[{"jsonrpc": "2.0", "id": 1, "method": "ping"}]"#);
    let batch = session.read();
    assert_eq!((&batch["error"]["code"], &batch["id"]), (&json!(-32600), &Value::Null));
    session.send("");
    session.send(r#"{"jsonrpc": "2.0", "method": "notifications/initialized"}"#);
    session.send(r#"{"jsonrpc": "2.0", "method": "notifications/nobody_knows"}"#);
    session.send(r#"{"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": 5}"#);
    assert_eq!(session.read()["id"], 7);
    assert_eq!(session.ask("ping", &json!({}))["result"], json!({}));
    let (code, said) = session.end();
    assert_eq!((code, said.as_str()), (0, ""));
}

#[test]
fn what_is_not_there_is_said_to_be_not_there() {
    let mut session = Session::of(&Recorder::content(), &[]);
    for method in ["resources/list", "prompts/list", "completion/complete", "nobody/knows"] {
        assert_eq!(session.ask(method, &json!({}))["error"]["code"], -32601, "{method}");
    }
    let unknown = session.ask("tools/call", &json!({"name": "nope"}));
    assert_eq!(unknown["error"]["message"], "Unknown tool: nope");
    assert_eq!(unknown["error"]["code"], -32602);
}

#[test]
fn the_catalogue_of_old_is_there_without_an_introduction() {
    let mut session = Session::of(&Recorder::content(), &[]);
    let listed = session.ask("tools/list", &json!({}));
    let tools = listed["result"]["tools"].as_array().unwrap();
    let names: HashSet<_> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), tools.len());
    for name in [
        "get_tenant",
        "list_projects",
        "create_project",
        "get_progress",
        "import_stories",
        "list_stories",
        "list_ready_stories",
        "get_story",
        "contract_story",
        "claim_story",
        "start_story",
        "request_review",
        "report_story",
        "review_complete",
        "verify_story",
        "reject_story",
        "bulk_mark_complete",
        "verify_all_in_epic",
        "report_token_usage",
        "get_cost_summary",
        "get_story_token_usage",
        "get_cost_anomalies",
        "set_token_budget",
        "list_routes",
        "delete_project",
        "backfill_story",
        "create_story",
        "get_acceptance_criteria",
        "get_system_articles",
        "knowledge_index",
        "knowledge_search",
        "knowledge_get",
        "knowledge_context",
        "knowledge_create",
        "knowledge_publish",
        "knowledge_bulk_publish",
        "knowledge_unpublish",
        "knowledge_archive",
        "knowledge_delete",
        "knowledge_drafts",
        "knowledge_lint",
        "knowledge_export",
        "knowledge_ingest",
        "knowledge_ingest_batch",
        "knowledge_ingestion_jobs",
        "knowledge_analytics_top",
        "knowledge_article_stats",
        "knowledge_agent_usage",
        "knowledge_unused_articles",
    ] {
        assert!(names.contains(name), "{name}");
    }
    let tool = |name: &str| tools.iter().find(|tool| tool["name"] == name).unwrap();
    assert!(tools.iter().all(|tool| tool["inputSchema"]["type"] == "object"));
    let story = &tool("create_story")["inputSchema"];
    assert_eq!(story["required"], json!(["story"]));
    for name in ["epic_number", "epic_id", "project_id", "story"] {
        assert!(story["properties"][name].is_object(), "{name}");
    }
    let backfill = tool("backfill_story");
    assert_eq!(backfill["inputSchema"]["required"], json!(["story_id", "reason"]));
    assert!(backfill["description"].as_str().unwrap().contains("dispatch"));
    let import = &tool("import_stories")["inputSchema"];
    assert_eq!(import["properties"]["merge"]["type"], "boolean");
    assert!(import["properties"]["payload_path"].is_object());
    assert!(!import["required"].as_array().unwrap().contains(&json!("payload")));
    assert_eq!(tool("get_story")["annotations"]["readOnlyHint"], true);
    assert_eq!(tool("delete_project")["annotations"]["destructiveHint"], true);
    // In the same order whenever it is asked.
    assert_eq!(session.ask("tools/list", &json!({}))["result"], listed["result"]);
}

#[test]
fn many_at_once_are_answered_each_by_its_id() {
    let mut session = Session::of(&Recorder::content(), &[]);
    let ids: Vec<Value> =
        (0..10).map(|at| if at % 2 == 0 { json!(at) } else { json!(format!("id-{at}")) }).collect();
    for id in &ids {
        let call =
            json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": "get_tenant"}});
        session.send(&call.to_string());
    }
    let answered: HashSet<String> = (0..10).map(|_| session.read()["id"].to_string()).collect();
    assert_eq!(answered, ids.iter().map(Value::to_string).collect());
}

#[test]
fn the_end_of_the_input_is_the_end_and_what_was_asked_before_is_answered() {
    let mut session = Session::of(&Recorder::content(), &[]);
    let told: Told = session.call("get_tenant", &json!({}));
    assert!(!told.is_error);
    assert_eq!(session.end(), (0, String::new()));
}

#[test]
fn what_is_said_on_the_command_line_counts_or_is_refused() {
    let recorder = Recorder::content();
    let run = |arguments: &[&str]| {
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_loopctl"));
        child.arg("mcp").args(arguments).env_clear().env("LOOPCTL_SERVER", "http://127.0.0.1:9");
        child.env("LOOPCTL_MCP_TOOLS", "all").stdin(std::process::Stdio::piped());
        let mut child =
            child.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
        let call =
            json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "get_tenant"}});
        // Whoever refuses to start reads nothing.
        let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), format!("{call}\n").as_bytes());
        child.wait_with_output().unwrap()
    };
    assert_eq!(run(&["--server", &recorder.address, "--api-key", "K"]).status.code(), Some(0));
    assert_eq!(recorder.take().header("authorization"), Some("Bearer K"));
    let refused = run(&["--format", "human"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("--format"));
}

/// What takes a person leads there whoever can show a page; others are told by the refusal.
#[test]
fn a_client_that_can_is_asked_for_its_person() {
    let refusal = |_: &Request| {
        (403, json!({"error": {"status": 403, "code": "forbidden", "message": "Insufficient permissions. Required role: user"}})).into()
    };
    let call = |meta: Value| json!({"name": "delete_project", "arguments": {"project_id": U}, "_meta": meta});
    for is_sent in [true, false] {
        // A key that may not, or none that could.
        let recorder = Recorder::new(refusal);
        let keys: &[_] =
            if is_sent { &[("LOOPCTL_API_KEY", "k"), ALL] } else { &[("LOOPCTL_ORCH_KEY", "k"), ALL] };
        let session = || Session::start(&recorder.address, keys);
        let page = json!(format!("{}/account", recorder.address));
        for (version, capabilities, can) in [
            ("2025-11-25", json!({"elicitation": {"url": {}}}), true),
            ("2025-11-25", json!({"elicitation": {}}), false),
            ("2025-11-25", json!({}), false),
        ] {
            let mut session = session();
            let mut hello = hello(version);
            hello["capabilities"] = capabilities;
            session.ask("initialize", &hello);
            let answer = session.ask("tools/call", &call(json!({})));
            assert_eq!(answer["error"]["code"] == -32042, can, "{answer}");
            assert_eq!(answer["result"]["isError"] == true, !can, "{answer}");
            if can {
                let asked = &answer["error"]["data"]["elicitations"][0];
                assert_eq!((&asked["mode"], &asked["url"]), (&json!("url"), &page));
                assert!(asked["elicitationId"].is_string() && asked["message"].is_string());
            }
        }
        let meta = |capabilities: Value| {
            json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
                   "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
                   "io.modelcontextprotocol/clientCapabilities": capabilities})
        };
        let mut session = session();
        let can = meta(json!({"elicitation": {"url": {}}}));
        let asked = session.ask("tools/call", &call(can.clone()));
        assert_eq!(asked["result"]["resultType"], "input_required", "{asked}");
        let request = &asked["result"]["inputRequests"]["person"];
        assert_eq!(request["method"], "elicitation/create");
        assert_eq!((&request["params"]["mode"], &request["params"]["url"]), (&json!("url"), &page));
        // Who comes back is told what came of it, and not sent there again.
        let mut again = call(can);
        again["inputResponses"] = json!({"person": {"action": "accept"}});
        assert_eq!(session.ask("tools/call", &again)["result"]["isError"], true);
        assert_eq!(session.ask("tools/call", &call(meta(json!({}))))["result"]["isError"], true);
    }
    // Other refusals are nobody's business but the agent's.
    let recorder = Recorder::new(|_| {
        (403, json!({"error": {"code": "forbidden", "message": "Required role: orchestrator"}})).into()
    });
    let mut session = Session::start(&recorder.address, &[("LOOPCTL_API_KEY", "k"), ALL]);
    let mut hello = hello("2025-11-25");
    hello["capabilities"] = json!({"elicitation": {"url": {}}});
    session.ask("initialize", &hello);
    assert_eq!(session.ask("tools/call", &call(json!({})))["result"]["isError"], true);
}
