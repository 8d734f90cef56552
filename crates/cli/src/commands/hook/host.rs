//! What a coding agent's program says when its agent would stop, and how it wants to be answered.

use serde_json::{Value, json};

use crate::commands::init::Host;

/// An agent that would stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stopping {
    /// The session, and in it the subagent where it is one that stops.
    pub(super) session: String,
    /// The program says that a hook has kept the agent from stopping before.
    pub(super) kept: bool,
    /// Nobody would go on: the agent was broken off, or has failed.
    pub(super) is_over: bool,
    /// It speaks as VS Code does, which looks for the answer in another place.
    is_vs_code: bool,
}

/// Of a session's name no more is remembered.
const LONGEST_NAME: usize = 200;

/// Reads what the program has said. Members are told apart by how the programs call them, which never means two things.
pub(super) fn read(input: &str) -> Result<Stopping, String> {
    let input: Value = serde_json::from_str(input.trim_start_matches('\u{feff}'))
        .map_err(|error| format!("what the hook was sent is not JSON ({error})"))?;
    let text = |names: &[&str]| {
        let found = names.iter().find_map(|name| input[*name].as_str().filter(|text| !text.is_empty()));
        found.map(|text| text.chars().take(LONGEST_NAME).collect::<String>())
    };
    let session = text(&["session_id", "sessionId", "conversation_id"])
        .ok_or_else(|| "what the hook was sent names no session".to_owned())?;
    let agent = text(&["agent_id", "agentId", "subagent_id"]);
    let ends_by_itself = |name: &str, word: &str| input[name].as_str().is_none_or(|said| said == word);
    Ok(Stopping {
        session: agent.map_or_else(|| session.clone(), |agent| format!("{session} {agent}")),
        kept: ["stop_hook_active", "stopHookActive"].iter().any(|name| input[*name] == true)
            || input["loop_count"].as_u64().is_some_and(|count| count > 0),
        is_over: !ends_by_itself("status", "completed") || !ends_by_itself("stopReason", "end_turn"),
        is_vs_code: ["hook_event_name", "hookEventName"].iter().any(|name| input[*name].is_string()),
    })
}

/// The answer that keeps the agent at work, with what is to be done.
pub(super) fn block(host: Host, stopping: &Stopping, reason: &str) -> String {
    let answer = match host {
        Host::ClaudeCode | Host::Codex => json!({"decision": "block", "reason": reason}),
        Host::Gemini => json!({"decision": "deny", "reason": reason}),
        Host::Cursor => json!({"followup_message": reason}),
        Host::Copilot if stopping.is_vs_code => json!({
            "decision": "block",
            "reason": reason,
            "hookSpecificOutput": {"hookEventName": "Stop", "decision": "block", "reason": reason},
        }),
        Host::Copilot => json!({"decision": "block", "reason": reason}),
    };
    answer.to_string()
}

/// The answer that lets the agent stop: None where saying nothing is it.
pub(super) fn let_go(host: Host) -> Option<&'static str> {
    match host {
        Host::ClaudeCode => None,
        // They want JSON, whatever it says.
        Host::Codex | Host::Gemini | Host::Cursor | Host::Copilot => Some("{}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_says_why() {
        assert!(read("").unwrap_err().contains("not JSON"));
        assert!(read("{\"session_id\": \"a\"").unwrap_err().contains("not JSON"));
        for input in ["{}", "[]", "null", "7", r#"{"session_id": ""}"#, r#"{"session_id": 7}"#] {
            assert_eq!(read(input).unwrap_err(), "what the hook was sent names no session", "{input}");
        }
    }

    #[test]
    fn a_subagent_is_known_apart_from_its_session() {
        let session = |input: &str| read(input).unwrap().session;
        assert_eq!(session(r#"{"session_id": "a"}"#), "a");
        assert_eq!(session(r#"{"session_id": "a", "agent_id": "b"}"#), "a b");
        assert_eq!(session(r#"{"session_id": "a", "agent_id": null}"#), "a");
        assert_eq!(session(&json!({"session_id": "ä".repeat(5000)}).to_string()).chars().count(), 200);
    }

    #[test]
    fn who_was_broken_off_is_over_and_who_was_kept_says_so() {
        let of = |members: Value| {
            let mut input = json!({"session_id": "a"});
            input.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
            let stopping = read(&input.to_string()).unwrap();
            (stopping.kept, stopping.is_over)
        };
        assert_eq!(of(json!({})), (false, false));
        assert_eq!(of(json!({"stop_hook_active": false, "loop_count": 0})), (false, false));
        assert_eq!(of(json!({"stop_hook_active": "true"})), (false, false));
        assert_eq!(of(json!({"stop_hook_active": true})), (true, false));
        assert_eq!(of(json!({"stopHookActive": true, "stopReason": "end_turn"})), (true, false));
        assert_eq!(of(json!({"loop_count": 1, "status": "completed"})), (true, false));
        for over in
            [json!({"status": "aborted"}), json!({"status": "error"}), json!({"stopReason": "cancelled"})]
        {
            assert_eq!(of(over.clone()), (false, true), "{over}");
        }
    }
}
