//! The fields of epics and stories that planners write, and their rules (file 03 §4.1, §5.2): the same for a single
//! create, a `PATCH` and an import.
//!
//! Everything is read as a change; creating a record is a change of nothing, with the defaults of a new one.

use rust_decimal::Decimal;
use serde_json::{Map, Value};

use crate::criteria::{self, Criterion};
use crate::fields::{Fields, INVALID, Length};

const TITLE: Length = Length::max(500);
const DESCRIPTION: Length = Length::max(50_000);
const PHASE: Length = Length::max(255);

/// What is to change of an epic: None leaves a column, Some(None) clears it. Its number never changes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EpicChange {
    /// New title.
    pub title: Option<String>,
    /// New description.
    pub description: Option<Option<String>>,
    /// New phase.
    pub phase: Option<Option<String>>,
    /// New position.
    pub position: Option<i32>,
    /// New metadata, as a whole.
    pub metadata: Option<Map<String, Value>>,
}

impl EpicChange {
    /// Reads the fields of an epic; what fails is recorded in `fields`.
    pub fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            title: fields.filled_text("title", TITLE),
            description: fields.text_change("description", DESCRIPTION),
            phase: fields.text_change("phase", PHASE),
            position: fields.integer_at_least("position", 0),
            metadata: fields.object("metadata"),
        }
    }
}

/// What is to change of a story: None leaves a column, Some(None) clears it. Its number and epic never change.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StoryChange {
    /// New title.
    pub title: Option<String>,
    /// New description.
    pub description: Option<Option<String>>,
    /// New criteria, as a whole.
    pub acceptance_criteria: Option<Vec<Criterion>>,
    /// New estimate.
    pub estimated_hours: Option<Decimal>,
    /// New metadata, as a whole.
    pub metadata: Option<Map<String, Value>>,
}

impl StoryChange {
    /// Reads the fields of a story, with its criteria as they were sent; what fails is recorded in `fields`.
    pub fn read(fields: &mut Fields<'_>) -> Self {
        let criteria = fields.value("acceptance_criteria").map(criteria::parse);
        if let Some(None) = criteria {
            fields.fail("acceptance_criteria", INVALID);
        }
        let criteria = criteria.flatten();
        for fault in criteria.iter().flat_map(|list| criteria::faults(list)) {
            fields.fail("acceptance_criteria", fault.message);
        }
        Self::with_criteria(fields, criteria)
    }

    /// As [`Self::read`], for criteria that were read and checked elsewhere.
    pub(crate) fn with_criteria(fields: &mut Fields<'_>, criteria: Option<Vec<Criterion>>) -> Self {
        Self {
            title: fields.filled_text("title", TITLE),
            description: fields.text_change("description", DESCRIPTION),
            acceptance_criteria: criteria,
            estimated_hours: fields.decimal("estimated_hours"),
            metadata: fields.object("metadata"),
        }
    }
}
