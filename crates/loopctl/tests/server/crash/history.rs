//! Histories read after a crash: nothing acknowledged is missing, nothing old has changed, and every one replays
//! under the rules into the state that the story is in.

use std::collections::HashMap;

use serde_json::Value;

use super::world::{Ack, World};
use crate::support::client;

/// Every story's history, as last read.
#[derive(Default)]
pub(super) struct Histories {
    /// Ids of the entries, by story.
    seen: HashMap<String, Vec<String>>,
    /// `agent_status`, `verified_status`, by story.
    states: HashMap<String, (String, String)>,
}

impl Histories {
    /// Reads all stories and checks everything. Nobody may work meanwhile, or nothing acknowledged meanwhile
    /// counts.
    pub(super) async fn check(&mut self, world: &World, base: &str, round: usize) {
        let http = client();
        let mut acknowledged: HashMap<Ack, usize> = HashMap::new();
        for ack in world.acks() {
            *acknowledged.entry(ack).or_default() += 1;
        }
        let path = format!("/stories?project_id={}&limit=500", world.project);
        let stories = world.look(&http, base, &path).await;
        for story in stories["data"].as_array().unwrap() {
            let id = story["id"].as_str().unwrap();
            let history = world.look(&http, base, &format!("/stories/{id}/history?page_size=100")).await;
            let entries = history["data"].as_array().unwrap();
            assert_eq!(
                history["meta"]["total_count"].as_u64(),
                Some(entries.len() as u64),
                "more than a page"
            );
            let context = format!("round {round}, story {}: {history:#}", story["number"]);

            let ids: Vec<String> =
                entries.iter().map(|entry| entry["id"].as_str().unwrap().to_owned()).collect();
            let before = self.seen.insert(id.to_owned(), ids.clone()).unwrap_or_default();
            assert!(ids.starts_with(&before), "old entries have changed: {context}");
            for entry in entries {
                if let Some(count) = event(id, entry).and_then(|ack| acknowledged.get_mut(&ack)) {
                    *count = count.saturating_sub(1);
                }
            }
            let replayed = Replay::of(entries).unwrap_or_else(|reason| panic!("{reason}; {context}"));
            let text = |key: &str| story[key].as_str().map(str::to_owned);
            assert_eq!(text("agent_status").as_ref(), Some(&replayed.agent_status), "{context}");
            assert_eq!(text("verified_status").as_ref(), Some(&replayed.verified_status), "{context}");
            assert_eq!(text("assigned_agent_id"), replayed.holder, "{context}");
            self.states.insert(id.to_owned(), (replayed.agent_status, replayed.verified_status));
        }
        let lost: Vec<_> = acknowledged.iter().filter(|(_, missing)| **missing > 0).collect();
        assert!(lost.is_empty(), "round {round}: acknowledged and lost: {lost:#?}");
    }

    pub(super) fn all_verified(&self, expected: usize) {
        let done = ("reported_done".to_owned(), "verified".to_owned());
        let count = self.states.values().filter(|state| **state == done).count();
        assert_eq!((count, self.states.len()), (expected, expected));
    }
}

/// The transition that an entry tells of.
fn event(story: &str, entry: &Value) -> Option<Ack> {
    let new = &entry["new_state"];
    let (what, agent) = match entry["action"].as_str()? {
        "status_changed" => {
            let known = ["contracted", "assigned", "implementing", "reported_done"];
            let to = new["agent_status"].as_str()?;
            (*known.iter().find(|word| **word == to)?, &new["agent_id"])
        }
        "review_requested" => ("review_requested", &new["agent_id"]),
        "review_completed" => ("review_completed", &new["reviewer_agent_id"]),
        "verified" => ("verified", &new["orchestrator_agent_id"]),
        "rejected" => ("rejected", &new["orchestrator_agent_id"]),
        _ => return None,
    };
    Some(Ack { story: story.to_owned(), what, agent: agent.as_str()?.to_owned() })
}

/// A story's state, built from its history alone.
#[derive(Debug)]
struct Replay {
    agent_status: String,
    verified_status: String,
    holder: Option<String>,
    reviewed: bool,
    last: String,
}

impl Replay {
    fn of(entries: &[Value]) -> Result<Self, String> {
        let mut entries = entries.iter();
        let first = entries.next().ok_or("no history at all")?;
        if first["action"] != "created" {
            return Err("does not begin with its creation".to_owned());
        }
        let mut replay = Self {
            agent_status: "pending".to_owned(),
            verified_status: "unverified".to_owned(),
            holder: None,
            reviewed: false,
            last: first["inserted_at"].as_str().unwrap_or_default().to_owned(),
        };
        for entry in entries {
            replay.apply(entry).map_err(|reason| format!("{reason} at entry {}", entry["id"]))?;
        }
        Ok(replay)
    }

    fn apply(&mut self, entry: &Value) -> Result<(), String> {
        let (old, new) = (&entry["old_state"], &entry["new_state"]);
        let at = entry["inserted_at"].as_str().unwrap_or_default();
        if *at <= *self.last {
            return Err(format!("{at} is not later than {}", self.last));
        }
        at.clone_into(&mut self.last);
        let holder = |value: &Value| value.as_str().map(str::to_owned);
        let check = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
        let continues =
            |status: &str, value: &Value| check(*value == status, "gap: the old state is another one");
        match entry["action"].as_str().unwrap_or_default() {
            "status_changed" => {
                continues(&self.agent_status, &old["agent_status"])?;
                let to = new["agent_status"].as_str().unwrap_or_default();
                let by_holder = holder(&new["agent_id"]) == self.holder;
                match (self.agent_status.as_str(), to) {
                    ("pending", "contracted") => check(self.holder.is_none(), "contracted while held")?,
                    ("contracted", "assigned") => {
                        check(self.holder.is_none(), "a second holder")?;
                        self.holder = holder(&new["assigned_agent_id"]);
                        check(self.holder.is_some(), "claimed by nobody")?;
                    }
                    ("assigned", "implementing") => check(by_holder, "started by another agent")?,
                    ("implementing", "reported_done") => {
                        check(!by_holder, "reported by its implementer")?;
                        self.reviewed = false;
                        if self.verified_status == "rejected" {
                            "unverified".clone_into(&mut self.verified_status);
                        }
                    }
                    (from, to) => return Err(format!("no way leads from {from} to {to}")),
                }
                to.clone_into(&mut self.agent_status);
            }
            "review_requested" => {
                continues("implementing", &Value::from(self.agent_status.as_str()))?;
                check(holder(&new["agent_id"]) == self.holder, "requested by another agent")?;
            }
            "review_completed" => {
                continues("reported_done", &Value::from(self.agent_status.as_str()))?;
                check(holder(&new["reviewer_agent_id"]) != self.holder, "reviewed by its implementer")?;
                self.reviewed = true;
            }
            "verified" => {
                continues("reported_done", &Value::from(self.agent_status.as_str()))?;
                continues(&self.verified_status, &old["verified_status"])?;
                check(self.verified_status != "verified", "verified twice")?;
                check(self.reviewed, "verified without a review")?;
                check(holder(&new["orchestrator_agent_id"]) != self.holder, "verified by its implementer")?;
                "verified".clone_into(&mut self.verified_status);
            }
            "rejected" => {
                continues("reported_done", &Value::from(self.agent_status.as_str()))?;
                continues(&self.verified_status, &old["verified_status"])?;
                "rejected".clone_into(&mut self.verified_status);
            }
            "auto_reset" => {
                continues(&self.agent_status, &old["agent_status"])?;
                check(self.verified_status == "rejected", "reset without a rejection")?;
                check(holder(&old["assigned_agent_id"]) == self.holder, "reset of another holder")?;
                "pending".clone_into(&mut self.agent_status);
                self.holder = None;
            }
            "created" => check(entry["entity_type"] == "verification_result", "created twice")?,
            other => return Err(format!("nobody did {other}")),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn history(steps: &[(&str, &str, &str)]) -> Vec<Value> {
        let mut entries = vec![json!({"action": "created", "inserted_at": "00"})];
        for (from, to, agent) in steps {
            entries.push(json!({
                "action": "status_changed", "inserted_at": format!("{:02}", entries.len()),
                "old_state": {"agent_status": from},
                "new_state": {"agent_status": to, "agent_id": agent, "assigned_agent_id": agent},
            }));
        }
        entries
    }

    #[test]
    fn only_legal_histories_replay() {
        let loops = [
            ("pending", "contracted", "a"),
            ("contracted", "assigned", "a"),
            ("assigned", "implementing", "a"),
            ("implementing", "reported_done", "b"),
        ];
        let replay = Replay::of(&history(&loops)).unwrap();
        assert_eq!((replay.agent_status.as_str(), replay.holder.as_deref()), ("reported_done", Some("a")));

        let without = |index: usize| [&loops[..index], &loops[index + 1..]].concat();
        for gap in 0..3 {
            assert!(Replay::of(&history(&without(gap))).is_err(), "without step {gap}");
        }
        let mut stolen = loops;
        stolen[2].2 = "b";
        assert!(Replay::of(&history(&stolen)).is_err(), "started by another agent");
        let mut own = loops;
        own[3].2 = "a";
        assert!(Replay::of(&history(&own)).is_err(), "reported by its implementer");
        let mut twice = history(&loops[..2]);
        twice.push(json!({"action": "status_changed", "inserted_at": "09", "old_state": {"agent_status": "contracted"},
            "new_state": {"agent_status": "assigned", "agent_id": "b", "assigned_agent_id": "b"}}));
        assert!(Replay::of(&twice).is_err(), "a second holder");
    }
}
