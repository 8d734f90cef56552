//! Who is let in, with which tools.

use reqwest::Method;
use serde_json::{Value, json};

use super::{NEW, OLD, ask, result};
use crate::support::{Caller, Tenant, server};

async fn names(caller: &Caller, path: &str) -> Vec<String> {
    let listed = ask(caller, path, OLD, "tools/list", json!({})).await;
    let tools = listed["result"]["tools"].as_array().unwrap_or_else(|| panic!("{listed}"));
    tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn without_a_key_nobody_is_let_in_and_all_are_told_how() {
    let unknown = (Caller::with_key("lc_nobody_knows_this_one"), "invalid_api_key");
    for (caller, code) in [(Caller::nobody(), "unauthorized"), unknown] {
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
        let answer = caller.request(Method::POST, "//mcp").json(&message).send().await.unwrap();
        assert_eq!(answer.status(), 401);
        let challenge = answer.headers()["www-authenticate"].to_str().unwrap().to_owned();
        let url = challenge.strip_prefix("Bearer resource_metadata=\"").unwrap().strip_suffix('"').unwrap();
        let path = url.strip_prefix(server().base.as_str()).unwrap_or_else(|| {
            // Named by another host than the one that was asked.
            &url[url.find("/.well-known").unwrap()..]
        });
        let metadata: Value =
            caller.request(Method::GET, &format!("/{path}")).send().await.unwrap().json().await.unwrap();
        assert!(metadata["resource"].as_str().unwrap().ends_with("/mcp"));
        assert_eq!(metadata["bearer_methods_supported"], json!(["header"]));
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["error"]["code"], code);
    }
}

#[tokio::test]
async fn pages_of_others_are_not_answered() {
    let agent = Tenant::new().await.agent().await;
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    for origin in ["https://evil.example", "null", "http://localhost:1"] {
        let request = agent.request(Method::POST, "//mcp").header("origin", origin);
        let request = request.header("accept", "application/json, text/event-stream").json(&message);
        assert_eq!(request.send().await.unwrap().status(), 403, "{origin}");
    }
    assert_eq!(ask(&agent, "//mcp", OLD, "ping", json!({})).await["result"], json!({}));
}

#[tokio::test]
async fn a_key_decides_which_tools_there_are() {
    let tenant = Tenant::new().await;
    let implementer = tenant.agent().await;
    let mut reviewer = tenant.key("agent").await;
    reviewer.agent_id = None;
    reviewer.post("/agents/register", json!({"name": "rita", "agent_type": "reviewer"})).await.expect(201);
    let orchestrator = tenant.orchestrator().await;
    assert!(names(&implementer, "//mcp").await.contains(&"contract_and_claim".to_owned()));
    let tools = names(&reviewer, "//mcp").await;
    assert!(tools.contains(&"next_review".to_owned()) && !tools.contains(&"next_story".to_owned()));
    let tools = names(&orchestrator, "//mcp").await;
    assert!(tools.contains(&"verify_story".to_owned()) && !tools.contains(&"start_story".to_owned()));
    assert_eq!(names(&tenant.user, "//mcp").await, tools);
    let all = names(&implementer, "//mcp?tools=all").await;
    assert!(all.contains(&"get_tenant".to_owned()) && all.len() > 25, "{all:?}");
    // Both eras at one address.
    let found = result(&implementer, "server/discover", json!({})).await;
    assert!(found["supportedVersions"].as_array().unwrap().contains(&json!(NEW)));
    let hello = json!({"protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let begun = ask(&implementer, "//mcp", "2024-11-05", "initialize", hello).await;
    assert_eq!(begun["result"]["protocolVersion"], "2024-11-05");
    assert!(begun["result"]["instructions"].as_str().unwrap().len() < 2048);
}

#[tokio::test]
async fn an_agent_of_no_known_type_is_refused() {
    let key = Tenant::new().await.key("agent").await;
    key.post("/agents/register", json!({"name": "x", "agent_type": "auditor"})).await.expect(422);
}

#[tokio::test]
async fn what_is_no_message_is_refused_in_the_words_of_the_protocol() {
    let agent = Tenant::new().await.agent().await;
    let messages = [("{", -32700), ("", -32700), ("[]", -32600), ("5", -32600), ("\"x\"", -32600)];
    for (body, code) in messages {
        let request =
            agent.request(Method::POST, "//mcp").header("content-type", "application/json").body(body);
        let answer = request.header("accept", "application/json, text/event-stream").send().await.unwrap();
        assert_eq!(answer.status(), 400, "{body}");
        let said: Value = answer.json().await.unwrap();
        assert_eq!((&said["error"]["code"], &said["id"]), (&json!(code), &Value::Null), "{body}");
    }
    for params in
        [json!({}), json!({"name": "help", "arguments": "x"}), json!({"name": "help", "arguments": []})]
    {
        let refused = ask(&agent, "//mcp", OLD, "tools/call", params.clone()).await;
        assert_eq!(refused["error"]["code"], -32602, "{params}: {refused}");
    }
    let unknown = ask(&agent, "//mcp", OLD, "nobody/knows", json!({})).await;
    assert_eq!(unknown["error"]["message"], "Method not found");
}

/// What takes a hundred times as much room as its text is not made of it.
#[tokio::test]
async fn a_message_consists_of_so_many_values() {
    let agent = Tenant::new().await.agent().await;
    let send = async |values: usize| {
        let crowd = vec![r#"{"":0}"#; values].join(",");
        let message = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"a":[{crowd}]}}}}"#);
        let request = agent.request(Method::POST, "//mcp").header("content-type", "application/json");
        let request = request.header("accept", "application/json, text/event-stream").body(message);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    // Each is an object, and the value in it.
    let (status, answer) = send(49_000).await;
    assert_eq!((status, &answer["result"]), (200, &json!({})), "{answer}");
    let (status, answer) = send(51_000).await;
    assert_eq!((status, &answer["error"]["code"]), (400, &json!(-32600)), "{answer}");
    assert!(answer["error"]["message"].as_str().unwrap().contains("more than 100000 values"), "{answer}");
}

/// Nor out of what the API answers.
#[tokio::test]
async fn an_answer_consists_of_so_many_values() {
    let tenant = Tenant::new().await;
    let lead = tenant.orchestrator().await;
    // Below 64 KB, and nine thousand objects.
    let crowd = format!(r#"{{"a":[{}]}}"#, vec![r#"{"":0}"#; 9_000].join(","));
    let stories: Vec<_> =
        (1..=6).map(|minor| format!(r#"{{"number":"1.{minor}","title":"S","metadata":{crowd}}}"#)).collect();
    let project = tenant.project().await;
    let plan = format!(r#"{{"epics":[{{"number":1,"title":"E","stories":[{}]}}]}}"#, stories.join(","));
    let import = format!("/projects/{project}/import");
    let request = tenant.user.request(Method::POST, &import).header("content-type", "application/json");
    assert_eq!(request.body(plan).send().await.unwrap().status(), 201);
    let list = async |limit: usize| {
        let wanted = json!({"name": "list_stories", "arguments": {"project_id": project, "limit": limit}});
        let told = ask(&lead, "//mcp?tools=all", OLD, "tools/call", wanted).await;
        (
            told["result"]["isError"] == json!(true),
            told["result"]["content"][0]["text"].as_str().unwrap().to_owned(),
        )
    };
    let (failed, told) = list(5).await;
    assert!(!failed && told.contains("1.5"), "{}", &told[..200]);
    let (failed, told) = list(6).await;
    assert!(failed && told.contains("more than 100000 values"), "{}", &told[..200.min(told.len())]);
}
