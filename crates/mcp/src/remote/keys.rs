//! Whose keys the environment holds, and which one a call is made with.

use std::fmt;

use crate::api::{KeyFor, ONLY_A_PERSON};
use crate::seats::Seat;

/// Of whom nothing is known.
pub(super) const EVERYBODY: [Seat; 3] = [Seat::Implementer, Seat::Reviewer, Seat::Orchestrator];

/// The keys.
#[derive(Clone, Default)]
pub struct Keys {
    any: Option<String>,
    orchestrator: Option<String>,
    agent: Option<String>,
    reviewer: Option<String>,
    user: Option<String>,
}

impl fmt::Debug for Keys {
    /// Which there are, and never what they are.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Keys").finish_non_exhaustive()
    }
}

impl Keys {
    /// Reads them.
    pub(super) fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        // Clients that know no value for a variable pass on its name.
        let is_key = |key: &String| !key.is_empty() && !key.starts_with('$');
        let key = |name: &str| variable(name).map(|key| key.trim().to_owned()).filter(is_key);
        Self {
            any: key("LOOPCTL_API_KEY"),
            orchestrator: key("LOOPCTL_ORCH_KEY"),
            agent: key("LOOPCTL_AGENT_KEY"),
            reviewer: key("LOOPCTL_REVIEWER_KEY"),
            user: key("LOOPCTL_USER_KEY"),
        }
    }

    /// The key for a call: one for everything first, then the call's own, then the orchestrator's. None: the call needs none.
    ///
    /// # Errors
    /// Which variable to set.
    pub(super) fn find(&self, wanted: KeyFor) -> Result<Option<&str>, String> {
        let own = match wanted {
            KeyFor::Anyone => self.orchestrator.as_ref().or(self.agent.as_ref()).or(self.reviewer.as_ref()),
            KeyFor::Agent => self.agent.as_ref(),
            KeyFor::Reviewer => self.reviewer.as_ref(),
            KeyFor::Orchestrator => self.orchestrator.as_ref(),
            KeyFor::User => {
                return self
                    .any
                    .as_ref()
                    .or(self.user.as_ref())
                    .map(|key| Some(key.as_str()))
                    .ok_or_else(|| format!("Set LOOPCTL_USER_KEY to a user's key: {ONLY_A_PERSON}"));
            }
        };
        // Whoever has but one key reads with it; what it may not do, the server says.
        let found = self.any.as_ref().or(own).or(self.orchestrator.as_ref());
        let found = found.or(self.agent.as_ref()).or(self.reviewer.as_ref());
        match found {
            Some(key) => Ok(Some(key)),
            None if wanted == KeyFor::Anyone => Ok(None),
            None => Err(
                "No API key: set LOOPCTL_AGENT_KEY, LOOPCTL_REVIEWER_KEY or LOOPCTL_ORCH_KEY to the key of what you do, or \
                 LOOPCTL_API_KEY"
                    .to_owned(),
            ),
        }
    }

    /// What whoever holds these keys does in the loop; empty: no variable says.
    pub(super) fn seats(&self) -> Vec<Seat> {
        if self.any.is_some() {
            return Vec::new();
        }
        let held = [
            (self.agent.is_some(), Seat::Implementer),
            (self.reviewer.is_some(), Seat::Reviewer),
            (self.orchestrator.is_some() || self.user.is_some(), Seat::Orchestrator),
        ];
        held.into_iter().filter_map(|(is_held, seat)| is_held.then_some(seat)).collect()
    }

    /// What weakens the separation of who works and who judges.
    pub(super) fn warnings(&self) -> Vec<&'static str> {
        let mut warnings = Vec::new();
        if self.agent.is_some() && self.reviewer.is_some() {
            warnings.push(
                "LOOPCTL_AGENT_KEY and LOOPCTL_REVIEWER_KEY are both set: whoever implements and whoever reviews should not share a \
                 process (the server still refuses to let one sign off the other's work as the same agent)",
            );
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(set: &'static [(&str, &str)]) -> Keys {
        Keys::of(|name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn each_call_has_its_key() {
        let all = keys(&[("LOOPCTL_ORCH_KEY", "o"), ("LOOPCTL_AGENT_KEY", "a"), ("LOOPCTL_USER_KEY", "u")]);
        assert_eq!(all.find(KeyFor::Agent), Ok(Some("a")));
        assert_eq!(all.find(KeyFor::Orchestrator), Ok(Some("o")));
        assert_eq!(all.find(KeyFor::Reviewer), Ok(Some("o")));
        assert_eq!(all.find(KeyFor::User), Ok(Some("u")));
        let one = keys(&[("LOOPCTL_API_KEY", "g"), ("LOOPCTL_AGENT_KEY", "a")]);
        for wanted in [KeyFor::Agent, KeyFor::Orchestrator, KeyFor::Reviewer, KeyFor::User, KeyFor::Anyone] {
            assert_eq!(one.find(wanted), Ok(Some("g")));
        }
        let reviewer = keys(&[("LOOPCTL_REVIEWER_KEY", "r"), ("LOOPCTL_ORCH_KEY", "o")]);
        assert_eq!(reviewer.find(KeyFor::Reviewer), Ok(Some("r")));
        let agent = keys(&[("LOOPCTL_AGENT_KEY", "a"), ("LOOPCTL_ORCH_KEY", "")]);
        assert_eq!(agent.find(KeyFor::Orchestrator), Ok(Some("a")));
        assert!(agent.find(KeyFor::User).unwrap_err().contains("LOOPCTL_USER_KEY"));
        let none =
            keys(&[("LOOPCTL_AGENT_KEY", "${LOOPCTL_AGENT_KEY}"), ("LOOPCTL_ORCH_KEY", "$LOOPCTL_ORCH_KEY")]);
        assert!(none.find(KeyFor::Orchestrator).unwrap_err().contains("LOOPCTL_ORCH_KEY"));
        assert_eq!(none.find(KeyFor::Anyone), Ok(None));
    }

    #[test]
    fn keys_say_who_sits_here() {
        assert_eq!(keys(&[("LOOPCTL_AGENT_KEY", "a")]).seats(), [Seat::Implementer]);
        assert_eq!(keys(&[("LOOPCTL_REVIEWER_KEY", "r")]).seats(), [Seat::Reviewer]);
        assert_eq!(keys(&[("LOOPCTL_ORCH_KEY", "o")]).seats(), [Seat::Orchestrator]);
        assert_eq!(keys(&[("LOOPCTL_API_KEY", "g"), ("LOOPCTL_ORCH_KEY", "o")]).seats(), []);
        let both = keys(&[("LOOPCTL_AGENT_KEY", "secret-a"), ("LOOPCTL_REVIEWER_KEY", "secret-r")]);
        assert_eq!(both.warnings().len(), 1);
        assert!(!format!("{both:?}").contains("secret"));
    }
}
