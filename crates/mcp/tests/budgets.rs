//! What the tools cost a model that never calls one: lists and instructions, in tokens of o200k.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests: clippy knows only test functions")]

use loopctl_mcp::api::{Api, Call, Reply, Settings};
use loopctl_mcp::desk::Desk;
use loopctl_mcp::seats::{Seat, Toolset};
use loopctl_mcp::server::McpServer;
use loopctl_mcp::stdio;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

/// An API that answers every call with the same.
#[derive(Clone)]
struct Canned(Settings, Value);

impl Canned {
    fn answering(body: Value) -> Self {
        Self(Settings::default(), body)
    }
}

impl Api for Canned {
    async fn call(&self, _: Call) -> Reply {
        Reply { status: 200, body: self.1.clone() }
    }

    fn settings(&self) -> &Settings {
        &self.0
    }
}

fn tokens(text: &str) -> usize {
    tiktoken_rs::o200k_base_singleton().encode_with_special_tokens(text).len()
}

/// The result of a request, as it goes over the wire.
async fn result(toolset: Toolset, api: Canned, request: Value) -> Value {
    let (ours, theirs) = tokio::io::duplex(1024);
    let (input, output) = tokio::io::split(ours);
    let server = McpServer::new(Desk::new(api, toolset), "1.0.0");
    let serving = tokio::spawn(stdio::serve(server, input, output));
    let (answers, mut requests) = tokio::io::split(theirs);
    requests.write_all(format!("{request}\n").as_bytes()).await.unwrap();
    let line = BufReader::new(answers).lines().next_line().await.unwrap().unwrap();
    serving.abort();
    serde_json::from_str::<Value>(&line).unwrap()["result"].take()
}

async fn listed(toolset: Toolset) -> (usize, usize) {
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    let result = result(toolset, Canned::answering(Value::Null), request).await;
    (result["tools"].as_array().unwrap().len(), tokens(&result.to_string()))
}

#[tokio::test]
async fn a_list_of_tools_is_worth_its_tokens() {
    for (toolset, most) in [
        (Toolset::Of(vec![Seat::Implementer]), 1500),
        (Toolset::Of(vec![Seat::Reviewer]), 1500),
        (Toolset::Of(vec![Seat::Orchestrator]), 2500),
        (Toolset::Of(vec![Seat::Implementer, Seat::Reviewer, Seat::Orchestrator]), 4500),
        (Toolset::All, 4500),
    ] {
        let (tools, cost) = listed(toolset.clone()).await;
        println!("{toolset:?}: {tools} tools, {cost} tokens");
        assert!(tools > 5 && cost > 300, "{toolset:?}: nothing was counted");
        assert!(cost <= most, "{toolset:?}: {tools} tools are {cost} tokens, and may be {most}");
    }
}

#[tokio::test]
async fn a_story_in_a_list_costs_a_line() {
    let titles = [
        "Add password reset by email with a token that expires",
        "Rate-limit the login endpoint per account and per address",
        "Show the audit trail of an order to support staff",
        "Migrate the invoices table to UUID primary keys without downtime",
        "As a shop owner I can export last month's orders as CSV",
        "As a shop owner I can see which of my products were returned most often in a month, and why",
    ];
    let states = [
        ("pending", "unverified", Value::Null),
        ("reported_done", "verified", json!("2026-11-29T10:13:30.169872Z")),
        ("implementing", "unverified", json!("2026-11-29T10:13:30.169872Z")),
        ("pending", "rejected", Value::Null),
    ];
    let rows = (0..20_usize).map(|at| {
        let (agent, verified, asked) = &states[at % states.len()];
        json!({"id": format!("0192aaaa-0000-7000-8000-{at:012}"), "number": format!("{}.{}", 10 + at / 10, at + 3),
               "title": titles[at % titles.len()], "agent_status": agent, "verified_status": verified,
               "review_requested_at": asked, "project_id": "0192aaaa-0000-7000-8000-000000000001"})
    });
    let stories = |count: usize| {
        let data: Vec<_> = rows.clone().take(count).collect();
        Canned::answering(json!({"data": data, "meta": {"total_count": count, "limit": 20, "offset": 0}}))
    };
    let call = |name: &str| {
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
               "params": {"name": name, "arguments": {"project_id": "0192aaaa-0000-7000-8000-000000000001"}}})
    };
    for name in ["list_stories", "list_ready_stories"] {
        let mut costs = [0; 2];
        for (cost, count) in costs.iter_mut().zip([1, 20]) {
            let result = result(Toolset::Of(vec![Seat::Orchestrator]), stories(count), call(name)).await;
            let text = result["content"][0]["text"].as_str().unwrap();
            let told: Value = serde_json::from_str(text).unwrap();
            assert_eq!(told["stories"].as_array().unwrap().len(), count, "{text}");
            *cost = tokens(text);
        }
        let a_story = (costs[1] - costs[0]).div_ceil(19);
        println!("{name}: {a_story} tokens a story, 20 of them {}", costs[1]);
        assert!(a_story <= 25, "{name}: a story costs {a_story} tokens");
    }
}
