//! The proof: who did what, read from the audit log and not from what the demo remembers.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::team::{Team, text};
use crate::error::Error;

/// Who did what on one story, at its last attempt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Custody {
    pub(super) number: String,
    pub(super) implementer: Option<String>,
    pub(super) reporter: Option<String>,
    pub(super) reviewer: Option<String>,
    pub(super) verifier: Option<String>,
}

impl Custody {
    /// Reads a story's history, oldest first; agents by id.
    pub(super) fn of(number: &str, history: &[Value]) -> Self {
        let mut custody = Self { number: number.to_owned(), ..Self::default() };
        for entry in history {
            let new = &entry["new_state"];
            let id = |key: &str| new[key].as_str().map(str::to_owned);
            match (entry["action"].as_str(), new["agent_status"].as_str()) {
                (Some("status_changed"), Some("assigned")) => {
                    // A new attempt: what was before does not vouch for it.
                    custody = Self { number: custody.number, implementer: id("agent_id"), ..Self::default() };
                }
                (Some("status_changed"), Some("reported_done")) => custody.reporter = id("agent_id"),
                (Some("review_completed"), _) => custody.reviewer = id("reviewer_agent_id"),
                (Some("verified"), _) => custody.verifier = id("orchestrator_agent_id"),
                _ => {}
            }
        }
        custody
    }

    /// Whether somebody else than the implementer has reported, reviewed and verified the story. Whoever is
    /// unknown vouches for nothing.
    pub(super) fn holds(&self) -> bool {
        let others = [&self.reporter, &self.reviewer, &self.verifier];
        self.implementer.is_some() && others.iter().all(|who| who.is_some() && **who != self.implementer)
    }
}

/// The custody of every verified story.
#[derive(Debug)]
pub(super) struct Proof {
    /// With names instead of ids.
    pub(super) stories: Vec<Custody>,
    pub(super) exceptions: usize,
    /// Stories that ought to be verified.
    pub(super) expected: usize,
}

impl Proof {
    /// Reads the histories of all verified stories.
    pub(super) async fn read(team: &Team, expected: usize) -> Result<Self, Error> {
        let query =
            [("project_id", team.project.as_str()), ("verified_status", "verified"), ("limit", "500")];
        let list = team.user.get("/stories", &query).await?;
        let (mut stories, mut exceptions) = (Vec::new(), 0);
        for story in list["data"].as_array().into_iter().flatten() {
            let number = text(&story["number"])?;
            let history = team.user.get(&team.path(&number, "history"), &[("page_size", "100")]).await?;
            let entries = history["data"].as_array().map_or(&[][..], Vec::as_slice);
            let custody = Custody::of(&number, entries);
            exceptions += usize::from(!custody.holds());
            let name = |id: &Option<String>| team.name(id.as_deref());
            stories.push(Custody {
                implementer: name(&custody.implementer),
                reporter: name(&custody.reporter),
                reviewer: name(&custody.reviewer),
                verifier: name(&custody.verifier),
                number,
            });
        }
        Ok(Self { stories, exceptions, expected })
    }

    /// Whether every story is verified, and by somebody else.
    pub(super) fn holds(&self) -> bool {
        self.exceptions == 0 && self.stories.len() == self.expected
    }

    /// The result in one sentence.
    pub(super) fn line(&self) -> String {
        let verified = self.stories.len();
        let exceptions = match self.exceptions {
            1 => "1 exception".to_owned(),
            count => format!("{count} exceptions"),
        };
        let line = format!(
            "{} of {verified} verified stories were verified by somebody else than their implementer; {exceptions}",
            verified - self.exceptions
        );
        match self.expected - verified.min(self.expected) {
            0 => line,
            open => format!("{line}; {open} stories are not verified at all"),
        }
    }

    /// How many stories each implementer has built, in the order of their names.
    pub(super) fn by_implementer(&self) -> Vec<(String, usize)> {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for story in &self.stories {
            *counts.entry(story.implementer.as_deref().unwrap_or("nobody")).or_default() += 1;
        }
        let mut counts: Vec<_> = counts.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
        counts.sort_by_key(|(name, _)| (name.len(), name.clone()));
        counts
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let stories = self.stories.iter().map(|story| {
            json!({
                "number": story.number, "implementer": story.implementer, "reporter": story.reporter,
                "reviewer": story.reviewer, "verifier": story.verifier,
            })
        });
        json!({
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

    fn story(implementer: &str, verifier: &str) -> Custody {
        let history = [
            json!({"action": "created", "new_state": {"agent_status": "pending"}}),
            moved("contracted", implementer),
            moved("assigned", implementer),
            moved("implementing", implementer),
            json!({"action": "review_requested", "new_state": {"agent_id": implementer}}),
            moved("reported_done", "r"),
            json!({"action": "review_completed", "new_state": {"reviewer_agent_id": "r"}}),
            json!({"action": "verified", "new_state": {"orchestrator_agent_id": verifier}}),
        ];
        Custody::of("1.1", &history)
    }

    fn proof(stories: Vec<Custody>, expected: usize) -> Proof {
        let exceptions = stories.iter().filter(|story| !story.holds()).count();
        Proof { stories, exceptions, expected }
    }

    #[test]
    fn custody_is_read_from_the_history() {
        let custody = story("a", "o");
        let who = [&custody.implementer, &custody.reporter, &custody.reviewer, &custody.verifier];
        assert_eq!(who.map(|id| id.as_deref().unwrap()), ["a", "r", "r", "o"]);
        assert!(custody.holds());
        assert!(!story("o", "o").holds(), "verified by the implementer");
        assert!(!story("r", "o").holds(), "reported by the implementer");
        assert!(!Custody::of("1.1", &[]).holds(), "nobody did anything");
    }

    #[test]
    fn an_earlier_attempt_does_not_vouch_for_the_last_one() {
        let history = [
            moved("assigned", "a"),
            moved("reported_done", "r"),
            json!({"action": "verified", "new_state": {"orchestrator_agent_id": "o"}}),
            moved("assigned", "b"),
        ];
        let custody = Custody::of("1.1", &history);
        assert_eq!(custody.implementer.as_deref(), Some("b"));
        assert_eq!((&custody.reporter, &custody.verifier), (&None, &None));
    }

    #[test]
    fn the_line_tells_what_does_not_hold() {
        let good = proof(vec![story("a", "o"), story("b", "o")], 2);
        let line =
            "2 of 2 verified stories were verified by somebody else than their implementer; 0 exceptions";
        assert_eq!(good.line(), line);
        assert!(good.holds());
        let bad = proof(vec![story("a", "o"), story("o", "o")], 3);
        let line = "1 of 2 verified stories were verified by somebody else than their implementer; 1 exception; \
                    1 stories are not verified at all";
        assert_eq!(bad.line(), line);
        assert!(!bad.holds());
        assert!(!proof(vec![story("a", "o")], 2).holds());
    }
}
