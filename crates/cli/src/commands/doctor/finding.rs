//! A finding: how grave, about what, and what mends it.

use std::ops::Range;

use serde_json::{Value, json};

use crate::commands::settings::masked;

/// How grave a finding is, gravest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Note,
    /// It works, but not as it is probably meant.
    Warning,
    /// It does not work, or a secret is where it must not be.
    Error,
}

impl Level {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What was looked at, and how it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) level: Level,
    pub(super) check: &'static str,
    pub(super) what: String,
    /// The command that mends it, or what to do where there is none.
    pub(super) mend: Option<String>,
}

impl Finding {
    fn new(level: Level, check: &'static str, what: impl Into<String>) -> Self {
        Self { level, check, what: without_keys(&what.into()), mend: None }
    }

    pub(super) fn ok(check: &'static str, what: impl Into<String>) -> Self {
        Self::new(Level::Ok, check, what)
    }

    pub(super) fn note(check: &'static str, what: impl Into<String>) -> Self {
        Self::new(Level::Note, check, what)
    }

    pub(super) fn warning(check: &'static str, what: impl Into<String>) -> Self {
        Self::new(Level::Warning, check, what)
    }

    pub(super) fn error(check: &'static str, what: impl Into<String>) -> Self {
        Self::new(Level::Error, check, what)
    }

    pub(super) fn mend(self, command: impl Into<String>) -> Self {
        Self { mend: Some(without_keys(&command.into())), ..self }
    }

    pub(super) fn json(&self) -> Value {
        json!({"level": self.level.name(), "check": self.check, "what": self.what, "mend": self.mend})
    }
}

/// So many are of a level.
pub(super) fn count(findings: &[Finding], level: Level) -> usize {
    findings.iter().filter(|finding| finding.level == level).count()
}

/// Where keys are in a text: `lc_` and forty characters or more.
fn keys(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    const PREFIX: &str = "lc_";
    const LENGTH: usize = 40;
    text.match_indices(PREFIX).filter_map(|(at, _)| {
        let rest = text[at + PREFIX.len()..].bytes();
        let length = rest.take_while(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(byte)).count();
        (length >= LENGTH).then_some(at..at + PREFIX.len() + length)
    })
}

/// Whether there is a key in a text.
pub(super) fn has_key(text: &str) -> bool {
    keys(text).next().is_some()
}

/// A text in which of each key only the beginning is left: files of others may have one anywhere.
fn without_keys(text: &str) -> String {
    let (mut shown, mut end) = (String::new(), 0);
    for key in keys(text) {
        // One that begins within another is gone with it.
        if key.start >= end {
            shown.push_str(&text[end..key.start]);
            shown.push_str(&masked(&text[key.clone()]));
            end = key.end;
        }
    }
    shown + &text[end..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_wherever_they_stand() {
        let key = format!("lc_{}", "aB3_-".repeat(8));
        assert!(has_key(&key) && has_key(&format!("x = 'Bearer {key}'")));
        assert!(has_key(&format!("lc_short {key}")));
        for text in ["", "lc_", "lc_agent", &key[..42], "LOOPCTL_AGENT_KEY"] {
            assert!(!has_key(text), "{text}");
        }
    }

    #[test]
    fn a_finding_shows_no_key() {
        let key = format!("lc_{}", "lc_a".repeat(20));
        let finding =
            Finding::error("mcp", format!("ä {key}, lc_short and {key}")).mend(format!("export {key}=1"));
        assert_eq!(finding.what, "ä lc_lc_al..., lc_short and lc_lc_al...");
        assert_eq!(finding.mend.as_deref(), Some("export lc_lc_al...=1"));
        assert_eq!(without_keys("nothing"), "nothing");
    }
}
