//! A story that somebody looks at: as much of it as can be looked at.

use serde_json::Value;
use uuid::Uuid;

use super::model::{Moment, moment, text, who, words};
use crate::output::rows_of;
use crate::table;

/// So much of a description, and of a criterion.
const LONGEST: usize = 4_000;
const LONGEST_CRITERION: usize = 600;
/// So many criteria, as many as a story may have, and entries of its history.
const MOST_CRITERIA: usize = 500;
const MOST_ENTRIES: usize = 100;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Opened {
    pub(super) id: Uuid,
    pub(super) description: Vec<String>,
    pub(super) estimate: Option<String>,
    /// Title or criteria have changed since they were agreed to, or verified.
    pub(super) is_stale: bool,
    pub(super) artifacts: usize,
    pub(super) criteria: Vec<Criterion>,
    /// Newest first.
    pub(super) history: Vec<Entry>,
    pub(super) entries: u64,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Criterion {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) status: String,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) at: Option<Moment>,
    pub(super) who: String,
    pub(super) what: String,
}

impl Opened {
    pub(super) fn of(id: Uuid, story: &Value, criteria: &Value, history: &Value) -> Self {
        let word = |value: &Value| text(value.as_str().unwrap_or_default());
        let description = cut(story["description"].as_str().unwrap_or_default(), LONGEST);
        let description = description.lines().map(table::one_line).collect();
        let criteria = rows_of(criteria).iter().take(MOST_CRITERIA).map(|row| Criterion {
            name: word(&row["ac_id"]),
            text: table::one_line(&cut(row["description"].as_str().unwrap_or_default(), LONGEST_CRITERION)),
            status: word(&row["status"]),
        });
        let entries = rows_of(history).iter().rev().take(MOST_ENTRIES);
        let entries =
            entries.map(|row| Entry { at: moment(&row["inserted_at"]), who: who(row), what: words(row) });
        let is = |member: &str| story[member] == true;
        Self {
            id,
            description,
            estimate: story["estimated_hours"].as_str().map(text),
            is_stale: is("contract_stale") || is("verification_stale"),
            artifacts: story["artifacts"].as_array().map_or(0, Vec::len),
            criteria: criteria.collect(),
            history: entries.collect(),
            entries: history["meta"]["total_count"].as_u64().unwrap_or_default(),
        }
    }
}

fn cut(text: &str, longest: usize) -> String {
    let mut kept: String = text.chars().take(longest).collect();
    if kept.len() < text.len() {
        kept.push('…');
    }
    kept
}
