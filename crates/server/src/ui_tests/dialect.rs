//! The words in which the two families of paths differ (file 03 §11).

use serde_json::{Map, Value};

use super::run::UiTestRun;

/// The stored status of a run that takes findings.
pub(super) const OPEN: &str = "in_progress";

/// Who is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `/projects/:project_id/ui-tests…`
    Code,
    /// `/projects/:id/ui_test_runs`, `/ui_test_runs/:id…`
    Seed,
}

impl Dialect {
    /// What a stored status is called.
    pub(super) fn status(self, stored: &str) -> &str {
        match (self, stored) {
            (Self::Seed, OPEN) => "running",
            _ => stored,
        }
    }

    /// The answer with one run.
    pub(super) fn wrap(self, run: &UiTestRun) -> Value {
        let name = match self {
            Self::Code => "ui_test_run",
            Self::Seed => "data",
        };
        Value::Object(Map::from_iter([(name.to_owned(), run.in_dialect(self))]))
    }

    /// The severities that this family's findings may have.
    pub(super) fn severities(self) -> &'static [&'static str] {
        match self {
            Self::Code => &["critical", "high", "medium", "low", "blocker", "bug", "enhancement"],
            Self::Seed => &["bug", "enhancement", "blocker"],
        }
    }
}

/// The stored status that a word of either family means.
pub(super) fn stored_status(word: &str) -> Option<&'static str> {
    match word {
        "running" => Some(OPEN),
        _ => [OPEN, "passed", "failed", "cancelled"].into_iter().find(|status| *status == word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_open_status_has_two_names() {
        assert_eq!(Dialect::Code.status(OPEN), "in_progress");
        assert_eq!(Dialect::Seed.status(OPEN), "running");
        for dialect in [Dialect::Code, Dialect::Seed] {
            assert_eq!(stored_status(dialect.status(OPEN)), Some(OPEN));
            for status in ["passed", "failed", "cancelled"] {
                assert_eq!(dialect.status(status), status);
                assert_eq!(stored_status(status), Some(status));
            }
        }
        for word in ["", "Running", "open", "verified"] {
            assert_eq!(stored_status(word), None, "{word}");
        }
    }
}
