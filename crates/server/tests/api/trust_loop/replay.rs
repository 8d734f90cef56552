//! Replays a story's history, and holds it against the rules and against the story as it is.

use serde_json::{Value, json};

use crate::support::{Caller, text};

/// The story as its history tells it.
struct Replay {
    agent_status: String,
    verified_status: String,
    /// `null` while a superadmin holds the claim.
    holder: Option<Value>,
    /// Who started it in this cycle, and in that of the report that stands. `null` for a superadmin.
    started: Vec<Value>,
    reported: Vec<Value>,
    /// Whether anybody ever held it, or an agent contracted it or reported an artifact for it.
    touched: bool,
    /// The digest that the newest review of this report in this cycle saw.
    reviewed: Option<Value>,
    /// The digest of title and criteria, where it was told.
    digest: Option<Value>,
    iterations: i64,
}

impl Replay {
    fn new() -> Self {
        Self {
            agent_status: "pending".to_owned(),
            verified_status: "unverified".to_owned(),
            holder: None,
            started: Vec::new(),
            reported: Vec::new(),
            touched: false,
            reviewed: None,
            digest: None,
            iterations: 0,
        }
    }

    fn entry(&mut self, entry: &Value, previous: Option<&Value>) {
        let action = entry["action"].as_str().unwrap();
        let (old, new) = (&entry["old_state"], &entry["new_state"]);
        match (entry["entity_type"].as_str().unwrap(), action) {
            ("story", "created") => {
                assert!(previous.is_none(), "a story is created once");
                self.agent_status = text(&new["agent_status"]);
                self.verified_status = text(&new["verified_status"]);
                let begins = (self.agent_status.as_str(), self.verified_status.as_str());
                let imported = [("reported_done", "unverified"), ("reported_done", "verified")];
                assert!(begins == ("pending", "unverified") || imported.contains(&begins), "{entry:#}");
                assert!(begins.0 == "pending" || entry["metadata"]["source"] == "import", "{entry:#}");
            }
            // Its text: nothing of what is told here.
            ("story", "updated") => {
                for state in [old, new] {
                    assert!(state.get("agent_status").is_none() && state.get("verified_status").is_none());
                }
            }
            ("story", "criteria_changed") => {
                assert_ne!(old["criteria_digest"], new["criteria_digest"]);
                if let Some(digest) = &self.digest {
                    assert_eq!(old["criteria_digest"], *digest, "a gap in the chain");
                }
                self.digest = Some(new["criteria_digest"].clone());
            }
            ("story", "status_changed") => self.status_changed(entry, old, new),
            ("story", "review_requested") => {
                assert_eq!(self.agent_status, "implementing");
                assert_eq!(self.holder.as_ref(), Some(&new["agent_id"]));
            }
            ("story", "review_completed") => {
                assert_eq!(self.agent_status, "reported_done");
                self.assert_not_implementer(&new["reviewer_agent_id"]);
                self.reviewed = Some(new["criteria_digest"].clone());
                self.digest = self.reviewed.clone();
            }
            ("story", "verified") => {
                self.assert_verdict(entry, previous);
                assert_eq!(self.agent_status, "reported_done");
                assert_ne!(self.verified_status, "verified");
                assert_eq!(new["verified_status"], "verified");
                assert!(self.reviewed.is_some(), "verified without a review of this report");
                assert_eq!(self.reviewed, self.digest, "verified without a review of these criteria");
                self.verified_status = text(&new["verified_status"]);
            }
            ("story", "rejected") => {
                self.assert_verdict(entry, previous);
                assert!(self.agent_status == "reported_done" || self.verified_status == "verified");
                self.verified_status = text(&new["verified_status"]);
                self.started.clear();
                self.reviewed = None;
            }
            ("story", "backfilled") => {
                assert_eq!(self.agent_status, "pending");
                assert_eq!(self.verified_status, "unverified");
                assert_eq!(new["source"], "pre_loopctl");
                self.done_before(old, new);
            }
            ("story", "mark_complete") => {
                assert_eq!(previous.unwrap()["entity_type"], "verification_result", "{entry:#}");
                assert!(new["orchestrator_agent_id"].is_string(), "{entry:#}");
                self.done_before(old, new);
            }
            ("story", "auto_reset") => {
                assert_eq!(previous.unwrap()["action"], "rejected", "{entry:#}");
                assert_eq!(entry["actor_type"], "system");
                self.release(old, new);
            }
            ("story", "force_unclaimed") => {
                assert_ne!(self.agent_status, "pending", "nothing to take, nothing to tell");
                self.release(old, new);
            }
            ("verification_result", "created") => {
                self.iterations += 1;
                assert_eq!(new["iteration"], self.iterations);
            }
            ("artifact_report", "created") => self.touched |= new["reported_by"] == "agent",
            other => panic!("an unknown entry {other:?}: {entry:#}"),
        }
    }

    fn status_changed(&mut self, entry: &Value, old: &Value, new: &Value) {
        assert_eq!(old["agent_status"], self.agent_status, "a gap in the chain");
        let next = text(&new["agent_status"]);
        match (self.agent_status.as_str(), next.as_str()) {
            ("pending", "contracted") => {
                assert_ne!(self.verified_status, "verified");
                let by_agent = entry["actor_label"].as_str().is_some_and(|label| label.starts_with("agent:"));
                self.touched |= by_agent || entry["metadata"]["effective_role"] == "agent";
            }
            ("contracted", "assigned") => {
                assert_ne!(self.verified_status, "verified");
                assert_eq!(self.holder, None, "two holders at once");
                assert_eq!(new["agent_id"], new["assigned_agent_id"]);
                self.holder = Some(new["assigned_agent_id"].clone());
                self.touched = true;
            }
            ("assigned", "implementing") => {
                assert_eq!(self.holder.as_ref(), Some(&new["agent_id"]));
                self.started.push(new["agent_id"].clone());
            }
            ("implementing", "reported_done") => {
                self.assert_not_implementer(&new["agent_id"]);
                self.reported = self.started.clone();
                assert!(new["reported_done_at"].is_string());
                if self.verified_status == "rejected" {
                    assert_eq!(old["verified_status"], "rejected");
                    assert_eq!(new["verified_status"], "unverified");
                    self.verified_status = text(&new["verified_status"]);
                }
                self.reviewed = None;
            }
            ("assigned" | "implementing" | "reported_done", "pending") => {
                assert_ne!(self.verified_status, "verified");
                assert_eq!(self.holder.as_ref(), Some(&new["agent_id"]), "unclaimed by its holder");
                self.release(old, new);
            }
            edge => panic!("no such transition: {edge:?}"),
        }
        self.agent_status = next;
    }

    fn release(&mut self, old: &Value, new: &Value) {
        assert_eq!(old["agent_status"], self.agent_status, "a gap in the chain");
        assert_eq!(old["assigned_agent_id"], self.holder.take().unwrap_or_default(), "taken from its holder");
        self.agent_status = text(&new["agent_status"]);
        assert_eq!(self.agent_status, "pending");
        self.reported.clear();
        self.reviewed = None;
    }

    /// Signed off without the loop, which is not for work of the loop.
    fn done_before(&mut self, old: &Value, new: &Value) {
        assert!(!self.touched, "work of the loop passed off as older");
        assert_ne!(self.verified_status, "verified");
        let was = json!({"agent_status": self.agent_status, "verified_status": self.verified_status});
        assert_eq!(*old, was, "a gap in the chain");
        self.reviewed = self.reviewed.take().filter(|_| self.agent_status == "reported_done");
        self.agent_status = text(&new["agent_status"]);
        self.verified_status = text(&new["verified_status"]);
        assert_eq!([&self.agent_status[..], &self.verified_status[..]], ["reported_done", "verified"]);
    }

    /// A verdict follows its result, fits what was before, and is not the implementer's.
    fn assert_verdict(&self, entry: &Value, previous: Option<&Value>) {
        assert_eq!(previous.unwrap()["entity_type"], "verification_result", "{entry:#}");
        assert_eq!(entry["old_state"]["verified_status"], self.verified_status);
        let verifier = &entry["new_state"]["orchestrator_agent_id"];
        assert!(verifier.is_string(), "{entry:#}");
        self.assert_not_implementer(verifier);
    }

    /// Nobody without an agent is an implementer here: whether it was the superadmin, the entries do not tell.
    fn assert_not_implementer(&self, who: &Value) {
        let mut implementers = self.started.iter().chain(&self.reported).chain(&self.holder);
        assert!(
            who.is_null() || !implementers.any(|started| started == who),
            "an implementer signed off its own work"
        );
    }
}

/// Asserts that a story's history is a legal, gap-free sequence that never has two holders at once, and that
/// it ends in the story as it is. `reader` is any key of the tenant.
pub(crate) async fn assert_legal(reader: &Caller, story: &str) {
    let mut entries = Vec::new();
    for page in 1.. {
        let path = format!("/stories/{story}/history?page={page}");
        let history = reader.get(&path).await.expect(200);
        entries.extend(history["data"].as_array().unwrap().iter().cloned());
        if page >= history["meta"]["total_pages"].as_i64().unwrap() {
            assert_eq!(history["meta"]["total_count"], entries.len());
            break;
        }
    }
    let mut replay = Replay::new();
    assert_eq!(entries[0]["action"], "created");
    let mut previous: Option<&Value> = None;
    for entry in &entries {
        if let Some(previous) = previous {
            assert!(text(&entry["inserted_at"]) > text(&previous["inserted_at"]), "in order");
        }
        replay.entry(entry, previous);
        previous = Some(entry);
    }
    let shown = reader.get(&format!("/stories/{story}")).await.expect(200);
    let now = &shown["story"];
    assert_eq!(now["agent_status"], replay.agent_status);
    assert_eq!(now["verified_status"], replay.verified_status);
    assert_eq!(now["assigned_agent_id"], replay.holder.unwrap_or_default());
    assert_eq!(now["iteration_count"], replay.iterations);
}

/// Replays status changes from one status to the next by these agents.
fn replay_changes(changes: &[(&str, &str, &str)]) {
    let mut replay = Replay::new();
    for (old, next, agent) in changes {
        let assigned = (*next == "assigned").then_some(agent);
        let old = json!({"agent_status": old, "assigned_agent_id": replay.holder});
        let new = json!({"agent_status": next, "agent_id": agent, "assigned_agent_id": assigned,
                         "reported_done_at": "now"});
        let entry =
            json!({"entity_type": "story", "action": "status_changed", "old_state": old, "new_state": new});
        replay.entry(&entry, None);
    }
}

const CLAIMED: [(&str, &str, &str); 2] = [("pending", "contracted", "a"), ("contracted", "assigned", "a")];

#[test]
fn a_legal_history_is_legal() {
    let begun = [CLAIMED[0], CLAIMED[1], ("assigned", "implementing", "a")];
    replay_changes(&begun);
    replay_changes(&[&begun[..], &[("implementing", "reported_done", "b")]].concat());
    replay_changes(&[&begun[..], &[("implementing", "pending", "a")], &CLAIMED].concat());
}

#[test]
#[should_panic(expected = "a gap in the chain")]
fn a_lost_update_is_noticed() {
    replay_changes(&[CLAIMED[0], CLAIMED[1], CLAIMED[1]]);
}

#[test]
#[should_panic(expected = "no such transition")]
fn a_skipped_step_is_noticed() {
    replay_changes(&[("pending", "assigned", "a")]);
}

#[test]
#[should_panic(expected = "unclaimed by its holder")]
fn a_stranger_is_noticed() {
    replay_changes(&[CLAIMED[0], CLAIMED[1], ("assigned", "pending", "b")]);
}

#[test]
#[should_panic(expected = "signed off its own work")]
fn a_puppet_is_noticed() {
    let begun = [CLAIMED[0], CLAIMED[1], ("assigned", "implementing", "a"), ("implementing", "pending", "a")];
    let puppet = [CLAIMED[0], ("contracted", "assigned", "b"), ("assigned", "implementing", "b")];
    replay_changes(&[&begun[..], &puppet, &[("implementing", "reported_done", "a")]].concat());
}

#[test]
#[should_panic(expected = "signed off its own work")]
fn an_own_report_is_noticed() {
    let report = [("assigned", "implementing", "a"), ("implementing", "reported_done", "a")];
    replay_changes(&[&CLAIMED[..], &report].concat());
}

#[test]
#[should_panic(expected = "passed off as older")]
fn a_laundered_story_is_noticed() {
    let mut replay = Replay::new();
    replay.touched = true;
    let old = json!({"agent_status": "pending", "verified_status": "unverified"});
    let new =
        json!({"agent_status": "reported_done", "verified_status": "verified", "source": "pre_loopctl"});
    let entry = json!({"entity_type": "story", "action": "backfilled", "old_state": old, "new_state": new});
    replay.entry(&entry, None);
}
