//! What the server accepted and what it refused.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use super::plan::Cheat;
use crate::error::{Error, ServerError};

/// A step that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Contract,
    Claim,
    Start,
    Unclaim,
    RequestReview,
    Report,
    Review,
    Verify,
    Reject,
    ForceUnclaim,
}

impl Step {
    /// In the order of the loop.
    pub(super) const ALL: [Self; 10] = [
        Self::Contract,
        Self::Claim,
        Self::Start,
        Self::Unclaim,
        Self::RequestReview,
        Self::Report,
        Self::Review,
        Self::Verify,
        Self::Reject,
        Self::ForceUnclaim,
    ];

    /// The last part of its path.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Contract => "contract",
            Self::Claim => "claim",
            Self::Start => "start",
            Self::Unclaim => "unclaim",
            Self::RequestReview => "request-review",
            Self::Report => "report",
            Self::Review => "review-complete",
            Self::Verify => "verify",
            Self::Reject => "reject",
            Self::ForceUnclaim => "force-unclaim",
        }
    }

    /// Its name in numbers.
    pub(super) fn plural(self) -> &'static str {
        match self {
            Self::Contract => "contracts",
            Self::Claim => "claims",
            Self::Start => "starts",
            Self::Unclaim => "unclaims",
            Self::RequestReview => "review_requests",
            Self::Report => "reports",
            Self::Review => "reviews",
            Self::Verify => "verifications",
            Self::Reject => "rejections",
            Self::ForceUnclaim => "force_unclaims",
        }
    }
}

/// Refusals of one kind.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Refused {
    pub(super) count: u64,
    /// What the server said.
    pub(super) example: String,
}

/// The numbers of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Counts {
    pub(super) accepted: BTreeMap<Step, u64>,
    pub(super) refused: BTreeMap<Cheat, Refused>,
}

impl Counts {
    /// How often a step was accepted.
    pub(super) fn of(&self, step: Step) -> u64 {
        self.accepted.get(&step).copied().unwrap_or(0)
    }

    /// All refusals.
    pub(super) fn refusals(&self) -> u64 {
        self.refused.values().map(|refused| refused.count).sum()
    }
}

/// Counts, shared by the tasks.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<Counts>);

impl Tally {
    /// Counts a step that has to succeed.
    pub(super) fn accept(&self, step: Step, answer: Result<Value, Error>) -> Result<Value, Error> {
        let body = answer?;
        self.counts(|counts| *counts.accepted.entry(step).or_default() += 1);
        Ok(body)
    }

    /// Counts a cheat, which has to be refused in the one right way. Anything else ends the demo.
    pub(super) fn refuse(
        &self,
        cheat: Cheat,
        number: &str,
        answer: Result<Value, Error>,
    ) -> Result<(), Error> {
        let (status, code) = cheat.answer();
        let error = match answer {
            Err(Error::Server(error)) => error,
            Err(other) => return Err(other),
            Ok(_) => {
                return Err(Error::Other(format!(
                    "The server let an agent {} (story {number})",
                    cheat.label()
                )));
            }
        };
        if error.status != status || error.body["error"]["code"] != code {
            return Err(Error::Other(format!(
                "The attempt to {} (story {number}) was answered with {} instead of {status} {code}: {}",
                cheat.label(),
                error.status,
                error.body
            )));
        }
        self.counts(|counts| {
            let refused = counts.refused.entry(cheat).or_default();
            refused.count += 1;
            // The smallest, so that it does not depend on who came first.
            let said = sentence(&error);
            if refused.example.is_empty() || said < refused.example {
                refused.example = said;
            }
        });
        Ok(())
    }

    /// The numbers so far.
    pub(super) fn snapshot(&self) -> Counts {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn counts(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// The part of a refusal that says most to a reader: the message, or the hint where the message only restates
/// the story's state.
fn sentence(error: &ServerError) -> String {
    let message = error.message();
    let hint = error.body["error"]["hints"][0].as_str();
    match hint {
        Some(hint) if message == "Forbidden" || message.starts_with("Conflict") => hint.to_owned(),
        _ => message,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(status: u16, code: &str, message: &str) -> Result<Value, Error> {
        let body = json!({"error": {"code": code, "message": message, "hints": ["Do this."]}});
        Err(Error::Server(ServerError::new(status, body)))
    }

    #[test]
    fn refusals_are_counted_by_kind_with_one_example() {
        let tally = Tally::default();
        for message in ["Cannot report b", "Cannot report a"] {
            tally.refuse(Cheat::SelfReport, "1.1", answer(409, "self_report_blocked", message)).unwrap();
        }
        let text = "Conflict: Cannot claim: story is in …";
        tally.refuse(Cheat::ClaimTaken, "1.1", answer(409, "invalid_transition", text)).unwrap();
        let counts = tally.snapshot();
        assert_eq!(counts.refusals(), 3);
        assert_eq!(counts.refused[&Cheat::SelfReport].example, "Cannot report a");
        assert_eq!(counts.refused[&Cheat::ClaimTaken].example, "Do this.");
    }

    #[test]
    fn a_cheat_that_works_or_is_refused_otherwise_ends_the_demo() {
        let tally = Tally::default();
        let accepted = tally.refuse(Cheat::SelfVerify, "1.1", Ok(json!({})));
        assert!(format!("{accepted:?}").contains("The server let an agent verify the own story"));
        assert!(tally.refuse(Cheat::SelfVerify, "1.1", answer(500, "internal_error", "x")).is_err());
        assert!(tally.refuse(Cheat::SelfVerify, "1.1", answer(409, "invalid_transition", "x")).is_err());
        assert_eq!(tally.snapshot(), Counts::default());
    }

    #[test]
    fn steps_count_only_when_they_succeed() {
        let tally = Tally::default();
        tally.accept(Step::Claim, Ok(json!({}))).unwrap();
        assert!(tally.accept(Step::Claim, answer(409, "invalid_transition", "x")).is_err());
        assert_eq!(tally.snapshot().of(Step::Claim), 1);
    }
}
