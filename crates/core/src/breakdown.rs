//! The fields of epics and stories that planners write, and their rules: the same for a single create, a `PATCH` and an
//! import.
//!
//! Everything is read as a change; creating a record is a change of nothing, with the defaults of a new one.

use rust_decimal::Decimal;

use crate::criteria::{self, Criteria};
use crate::json::JsonText;
use crate::request::{Request, Text, decimal, integer, small_object, text};

const TITLE: Text = text(500);
const DESCRIPTION: Text = text(50_000);

/// What is to change of an epic: None leaves a column, Some(None) clears it. Its number never changes.
#[derive(Debug, Clone, Default, PartialEq, Request)]
pub struct EpicChange {
    /// New title; not blank.
    #[rule(TITLE.filled())]
    pub title: Option<String>,
    /// New description; an empty one clears it.
    #[rule(DESCRIPTION.clearable())]
    pub description: Option<Option<String>>,
    /// New phase; an empty one clears it.
    #[rule(text(255).clearable())]
    pub phase: Option<Option<String>>,
    /// New place among the epics.
    #[rule(integer().not_negative())]
    pub position: Option<i32>,
    /// New metadata, as a whole.
    #[rule(small_object())]
    pub metadata: Option<JsonText>,
}

/// What is to change of a story: None leaves a column, Some(None) clears it. Its number and epic never change.
#[derive(Debug, Clone, Default, PartialEq, Request)]
pub struct StoryChange {
    /// New title; not blank.
    #[rule(TITLE.filled())]
    pub title: Option<String>,
    /// New description; an empty one clears it.
    #[rule(DESCRIPTION.clearable())]
    pub description: Option<Option<String>>,
    /// New criteria, as a whole: objects with free keys, of which `id`, `criterion`, `description` and
    /// `verification_criterion` mean something.
    #[rule(criteria::list())]
    pub acceptance_criteria: Option<Criteria>,
    /// New estimate; a numeric string will do.
    #[rule(decimal())]
    pub estimated_hours: Option<Decimal>,
    /// New metadata, as a whole.
    #[rule(small_object())]
    pub metadata: Option<JsonText>,
}
