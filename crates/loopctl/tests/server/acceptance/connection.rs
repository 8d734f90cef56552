//! Servers that are away, and those that want to be left alone.

use std::net::TcpListener;
use std::sync::mpsc::RecvTimeoutError;

use serde_json::json;

use super::refused;
use super::running::Running;
use super::team::Team;
use crate::support::PATIENCE;

#[test]
fn a_server_that_does_not_answer_is_given_up_in_time() {
    let team = Team::new();
    let away = team.run("user", "project list --server http://127.0.0.1:1 --timeout 1");
    refused(&away, 9, "Cannot reach http://127.0.0.1:1: ");
    assert!(away.stderr.contains("`loopctl doctor` what is wrong with it"), "{away:?}");
    // One that takes the connection, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap());
    let waited = team.run("user", &format!("project list --server {address} --timeout 1"));
    refused(&waited, 9, &format!("Cannot reach {address}: no answer within 1 s"));
}

/// Whoever asks too often is let in again within a minute, and so a command waits for it.
#[test]
fn a_command_waits_until_it_is_let_in_again() {
    let team = Team::new();
    let limit = json!({"settings": {"rate_limit_requests_per_minute": 1}});
    team.sent("user", "PATCH", "/tenants/me", &limit);
    // Where a minute has just begun, one more is let in.
    let (mut waiting, line) = loop {
        let mut child = Running::of(&mut team.command("user", "tenant info"));
        match child.lines_of_stderr().recv_timeout(PATIENCE) {
            Ok(line) => break (child, line),
            Err(RecvTimeoutError::Disconnected) => {}
            Err(RecvTimeoutError::Timeout) => panic!("neither an answer nor a word"),
        }
    };
    assert!(line.starts_with("Rate limited by the server; trying again in "), "{line}");
    assert!(waiting.goes_on(), "it waits");
}

/// A budget does not pass by waiting.
#[test]
fn a_budget_that_blocks_ends_a_command_at_once() {
    let team = Team::staffed();
    let project = team.project("my-app", &["1.1"]);
    team.implement(&project, "1.1");
    let budget = "budget set --project my-app --scope per_story --limit 100 --enforcement block";
    team.run("lead", budget).success();
    let usage = r#"{"input_tokens":200,"output_tokens":0,"model_name":"m","cost_millicents":1}"#;
    let blocked = team.run("bob", &format!("report 1.1 --project my-app --token-usage {usage}"));
    refused(&blocked, 8, "code: token_budget_exceeded");
    assert!(blocked.stderr.contains("per_story of story 1.1"), "{blocked:?}");
    assert_eq!(team.story(&project, "1.1")["agent_status"], "implementing");
}
