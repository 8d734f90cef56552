//! What `export --dir` notes in a story file about the story it came from, its statuses above all, under `metadata.export`.
//!
//! The note is not part of the story: importing the file takes it out again.

use loopctl_core::import::InitialStatus;
use loopctl_core::lifecycle::{AgentStatus, VerifiedStatus};
use serde_json::{Map, Value};

/// The member of the metadata that holds the note.
const KEY: &str = "export";
/// In the note: what the story itself had under that name.
const OWN: &str = "own_export";

/// Puts the note into the metadata.
pub(super) fn add(metadata: &mut Map<String, Value>, mut note: Map<String, Value>) {
    if let Some(own) = metadata.shift_remove(KEY) {
        note.insert(OWN.to_owned(), own);
    }
    metadata.insert(KEY.to_owned(), note.into());
}

/// Whether there is a note: anybody may have an `export` of their own.
pub(super) fn is_in(metadata: &Map<String, Value>) -> bool {
    metadata
        .get(KEY)
        .is_some_and(|value| value["agent_status"].is_string() && value["verified_status"].is_string())
}

/// Takes the note out of the metadata, if there is one.
pub(super) fn take(metadata: &mut Map<String, Value>) -> Option<Map<String, Value>> {
    if !is_in(metadata) {
        return None;
    }
    let Some(Value::Object(mut note)) = metadata.shift_remove(KEY) else {
        return None;
    };
    if let Some(own) = note.shift_remove(OWN) {
        metadata.insert(KEY.to_owned(), own);
    }
    Some(note)
}

/// What the import can say about a new story, from the note. None when no words of an import lead to these statuses
/// (somebody works on the story, or it was rejected).
pub(super) fn initial(note: &Map<String, Value>) -> Option<Map<String, Value>> {
    let text = |key: &str| note.get(key).and_then(Value::as_str).unwrap_or_default();
    let agent = AgentStatus::parse(text("agent_status"))?;
    let verified = VerifiedStatus::parse(text("verified_status"))?;
    let assigned = note.get("assigned_at").is_some_and(|time| !time.is_null());
    let words = InitialStatus::restoring(agent, verified, assigned);
    let members = [
        ("initial_agent_status", words.initial_agent_status),
        ("initial_verified_status", words.initial_verified_status),
    ];
    let members = members.into_iter().filter_map(|(key, word)| Some((key.to_owned(), word?.into())));
    ((words.agent_status(), words.verified_status()) == (agent, verified)).then(|| members.collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        let Value::Object(members) = value else { panic!("{value} is no object") };
        members
    }

    #[test]
    fn a_note_comes_out_as_it_went_in() {
        let note = object(json!({"agent_status": "pending", "verified_status": "unverified"}));
        for before in [json!({}), json!({"a": 1, "export": {"agent_status": "x", "verified_status": "y"}})] {
            let mut metadata = object(before.clone());
            add(&mut metadata, note.clone());
            assert_eq!(metadata["export"]["agent_status"], "pending");
            assert_eq!(take(&mut metadata), Some(note.clone()));
            assert_eq!(Value::Object(metadata), before);
        }
    }

    #[test]
    fn an_export_of_another_kind_stays() {
        let mut metadata = object(json!({"export": {"to": "csv"}}));
        assert_eq!(take(&mut metadata), None);
        assert_eq!(metadata["export"]["to"], "csv");
    }

    #[test]
    fn only_finished_work_is_taken_over() {
        let of = |agent: &str, verified: &str| {
            initial(&object(json!({"agent_status": agent, "verified_status": verified}))).map(Value::Object)
        };
        assert_eq!(of("reported_done", "verified"), Some(json!({"initial_verified_status": "verified"})));
        assert_eq!(of("reported_done", "unverified"), Some(json!({"initial_agent_status": "reported_done"})));
        let waiting = json!({"agent_status": "reported_done", "verified_status": "unverified",
                             "assigned_at": "2026-03-27T12:00:00.000000Z"});
        assert_eq!(initial(&object(waiting)), None, "somebody's work, not verified yet");
        assert_eq!(of("pending", "unverified"), Some(json!({})));
        assert_eq!(of("implementing", "unverified"), None);
        assert_eq!(of("reported_done", "rejected"), None);
        assert_eq!(
            of("implementing", "verified"),
            None,
            "the server's own export does not say verified either"
        );
        assert_eq!(of("paused", "verified"), None);
    }
}
