//! The proof: who did what, read from the audit log and not from what the demo remembers.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::team::{Team, text};
use crate::error::Error;
use crate::output::rows_of;
use crate::pages;
use crate::table::plain;

/// What has to be true of every story, in words; some lines of it.
const INVARIANT: [&str; 3] = [
    "no story is verified by `loop` unless an agent (or a person with a user key of no agent)",
    "that did not start it in this cycle reviewed this report of these criteria, and an agent",
    "that did not start it in this cycle verified it.",
];

/// Who did what on one story, in the cycle that its history ends with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Custody {
    pub(super) number: String,
    /// Whoever started it, in order.
    pub(super) implementers: Vec<String>,
    /// Of the last report, as all that follows.
    pub(super) reporter: Option<String>,
    pub(super) reviewer: Option<String>,
    pub(super) verifier: Option<String>,
    /// The digest of title and criteria that the reviewer saw.
    pub(super) reviewed: Option<String>,
    /// And the one that the verification is about.
    pub(super) verified: Option<String>,
}

impl Custody {
    /// Reads a story's history, oldest first; agents by id.
    pub(super) fn of(number: &str, history: &[Value]) -> Self {
        let mut custody = Self { number: number.to_owned(), ..Self::default() };
        for entry in history {
            let new = &entry["new_state"];
            let text = |key: &str| new[key].as_str().map(str::to_owned);
            match (entry["action"].as_str(), new["agent_status"].as_str()) {
                (Some("status_changed"), Some("implementing")) => {
                    let agent = text("agent_id").unwrap_or_else(|| plain(&entry["actor_label"]));
                    if !custody.implementers.contains(&agent) {
                        custody.implementers.push(agent);
                    }
                }
                // What was before vouches neither for another report nor for another cycle.
                (Some("status_changed"), Some("reported_done")) => {
                    let Self { number, implementers, .. } = custody;
                    custody = Self { number, implementers, reporter: text("agent_id"), ..Self::default() };
                }
                (Some("rejected"), _) => custody = Self { number: custody.number, ..Self::default() },
                (Some("review_completed"), _) => {
                    custody.reviewer = text("reviewer_agent_id").or_else(|| person(entry));
                    custody.reviewed = text("criteria_digest");
                }
                (Some("created"), _) if entry["entity_type"] == "verification_result" => {
                    custody.verified = text("criteria_digest");
                }
                (Some("verified"), _) => custody.verifier = text("orchestrator_agent_id"),
                _ => {}
            }
        }
        custody
    }

    /// Whether the story keeps to the invariant, and was reported by another, too. Whoever is unknown vouches for nothing.
    pub(super) fn holds(&self) -> bool {
        let others = [&self.reporter, &self.reviewer, &self.verifier];
        let is_other =
            |who: &Option<String>| who.as_ref().is_some_and(|who| !self.implementers.contains(who));
        !self.implementers.is_empty()
            && others.into_iter().all(is_other)
            && self.reviewed.is_some()
            && self.reviewed == self.verified
    }
}

/// Whoever acted with a user key that has no agent.
fn person(entry: &Value) -> Option<String> {
    entry["actor_label"].as_str().filter(|label| label.starts_with("user:")).map(str::to_owned)
}

/// The custody of every story that the loop has verified.
#[derive(Debug)]
pub(super) struct Proof {
    /// With names instead of ids.
    pub(super) stories: Vec<Custody>,
    pub(super) exceptions: usize,
    /// Stories that ought to be verified.
    pub(super) expected: usize,
}

impl Proof {
    /// Reads the histories of all stories that are verified by the loop.
    pub(super) async fn read(team: &Team, expected: usize) -> Result<Self, Error> {
        let query =
            [("project_id", team.project.as_str()), ("verified_status", "verified"), ("limit", "500")];
        let list = team.user.get("/stories", &query).await?;
        let verified = list["data"].as_array().into_iter().flatten();
        let (mut stories, mut exceptions) = (Vec::new(), 0);
        for story in verified.filter(|story| story["verification_source"] == "loop") {
            let number = text(&story["number"])?;
            let history = pages::by_page(&team.user, &team.path(&number, "history"), &[]).await?;
            let custody = Custody::of(&number, rows_of(&history));
            exceptions += usize::from(!custody.holds());
            let name = |id: Option<String>| team.name(id.as_deref());
            stories.push(Custody {
                implementers: custody.implementers.into_iter().filter_map(|id| name(Some(id))).collect(),
                reporter: name(custody.reporter),
                reviewer: name(custody.reviewer),
                verifier: name(custody.verifier),
                ..custody
            });
        }
        Ok(Self { stories, exceptions, expected })
    }

    /// Whether every story is verified, and keeps to the invariant.
    pub(super) fn holds(&self) -> bool {
        self.exceptions == 0 && self.stories.len() == self.expected
    }

    /// What is claimed, for people.
    pub(super) fn claim() -> String {
        format!("The invariant: {}", INVARIANT.join("\n"))
    }

    /// The result in one sentence.
    pub(super) fn line(&self) -> String {
        let verified = self.stories.len();
        let exceptions = match self.exceptions {
            1 => "1 exception".to_owned(),
            count => format!("{count} exceptions"),
        };
        let line = format!(
            "{} of {verified} stories that are verified by `loop` keep to the invariant; {exceptions}",
            verified - self.exceptions
        );
        match self.expected - verified.min(self.expected) {
            0 => line,
            open => format!("{line}; {open} stories are not verified by it at all"),
        }
    }

    /// How many stories each implementer has built, in the order of their names. Of several, the one who finished it.
    pub(super) fn by_implementer(&self) -> Vec<(String, usize)> {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for story in &self.stories {
            *counts.entry(story.implementers.last().map_or("nobody", String::as_str)).or_default() += 1;
        }
        let mut counts: Vec<_> = counts.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
        counts.sort_by_key(|(name, _)| (name.len(), name.clone()));
        counts
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let stories = self.stories.iter().map(|story| {
            json!({
                "number": story.number, "implementers": story.implementers, "reporter": story.reporter,
                "reviewer": story.reviewer, "verifier": story.verifier, "criteria_digest": story.verified,
            })
        });
        json!({
            "invariant": INVARIANT.join(" "),
            "verified": self.stories.len(),
            "exceptions": self.exceptions,
            "holds": self.holds(),
            "line": self.line(),
            "stories": stories.collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(to: &str, agent: &str) -> Value {
        json!({"action": "status_changed", "new_state": {"agent_status": to, "agent_id": agent}})
    }

    fn reviewed(by: &str, digest: &str) -> Value {
        json!({"action": "review_completed", "new_state": {"reviewer_agent_id": by, "criteria_digest": digest}})
    }

    fn verified(by: &str, digest: &str) -> [Value; 2] {
        [
            json!({"entity_type": "verification_result", "action": "created", "new_state": {"criteria_digest": digest}}),
            json!({"action": "verified", "new_state": {"orchestrator_agent_id": by}}),
        ]
    }

    fn rejected() -> Value {
        json!({"action": "rejected", "new_state": {"verified_status": "rejected"}})
    }

    fn custody(steps: &[&[Value]]) -> Custody {
        Custody::of("1.1", &steps.concat())
    }

    fn story(implementer: &str, verifier: &str) -> Custody {
        custody(&[
            &[
                json!({"action": "created", "new_state": {"agent_status": "pending"}}),
                moved("contracted", implementer),
                moved("assigned", implementer),
                moved("implementing", implementer),
                json!({"action": "review_requested", "new_state": {"agent_id": implementer}}),
                moved("reported_done", "r"),
                reviewed("r", "d"),
            ],
            &verified(verifier, "d"),
        ])
    }

    fn proof(stories: Vec<Custody>, expected: usize) -> Proof {
        let exceptions = stories.iter().filter(|story| !story.holds()).count();
        Proof { stories, exceptions, expected }
    }

    #[test]
    fn custody_is_read_from_the_history() {
        let custody = story("a", "o");
        let who = [&custody.reporter, &custody.reviewer, &custody.verifier];
        assert_eq!(who.map(|id| id.as_deref().unwrap()), ["r", "r", "o"]);
        assert_eq!(custody.implementers, ["a"]);
        assert!(custody.holds());
        assert!(!story("o", "o").holds(), "verified by the implementer");
        assert!(!story("r", "o").holds(), "reported by the implementer");
        assert!(!Custody::of("1.1", &[]).holds(), "nobody did anything");
    }

    #[test]
    fn whoever_started_it_in_this_cycle_is_an_implementer() {
        let puppet = |reviewer: &str, verifier: &str| {
            let steps = [moved("implementing", "a"), moved("pending", "a"), moved("implementing", "p")];
            let report = [moved("reported_done", "r"), reviewed(reviewer, "d")];
            custody(&[&steps, &report, &verified(verifier, "d")])
        };
        assert_eq!(puppet("r", "o").implementers, ["a", "p"]);
        assert!(puppet("r", "o").holds());
        assert!(!puppet("a", "o").holds() && !puppet("r", "a").holds());
        let again = custody(&[
            &[moved("implementing", "a"), moved("reported_done", "r"), reviewed("r", "d"), rejected()],
            &[moved("implementing", "b"), moved("reported_done", "a"), reviewed("a", "d")],
            &verified("a", "d"),
        ]);
        assert!(again.holds(), "another cycle, other roles");
    }

    #[test]
    fn a_review_is_of_one_report_one_cycle_and_one_text() {
        let start = [moved("implementing", "a"), moved("reported_done", "r"), reviewed("r", "d")];
        let of = |between: &[Value], digest: &str| custody(&[&start, between, &verified("o", digest)]);
        assert!(of(&[], "d").holds());
        assert!(!of(&[], "e").holds(), "other criteria");
        assert!(!of(&[moved("reported_done", "r")], "d").holds(), "another report");
        let rework = [rejected(), moved("implementing", "a"), moved("reported_done", "r")];
        assert!(!of(&rework, "d").holds(), "another cycle");
        assert!(of(&[reviewed("r", "e")], "e").holds(), "the newest decides");
    }

    #[test]
    fn a_person_may_review_and_a_superadmin_is_not_known_to_be_one() {
        let reviewed_as = |label: &str| {
            let review = json!({"action": "review_completed", "actor_label": label,
                "new_state": {"reviewer_agent_id": null, "criteria_digest": "d"}});
            custody(&[
                &[moved("implementing", "a"), moved("reported_done", "r"), review],
                &verified("o", "d"),
            ])
        };
        assert!(reviewed_as("user:mine").holds());
        assert!(!reviewed_as("superadmin:impersonating:acme").holds());
    }

    #[test]
    fn the_line_tells_what_does_not_hold() {
        let good = proof(vec![story("a", "o"), story("b", "o")], 2);
        let line = "2 of 2 stories that are verified by `loop` keep to the invariant; 0 exceptions";
        assert_eq!(good.line(), line);
        assert!(good.holds());
        let bad = proof(vec![story("a", "o"), story("o", "o")], 3);
        let line = "1 of 2 stories that are verified by `loop` keep to the invariant; 1 exception; \
                    1 stories are not verified by it at all";
        assert_eq!(bad.line(), line);
        assert!(!bad.holds());
        assert!(!proof(vec![story("a", "o")], 2).holds());
    }
}
