//! Import of epics, stories and dependencies: from the request body to a plan of what to write .
//!
//! [`parse`] does what needs no database: the shape of the body and the field rules of every record.
//! [`Payload::plan`] does the rest against what the project has, which the caller reads under the project's
//! lock. The first failure in the contract's order is the answer: shape, numbers, duplicates, conflicts, missing titles,
//! fields, references, cycles. So a fault in a field that `parse` already knows is held back until conflicts have been
//! looked for.

mod edges;
mod ignored;
mod outline;
mod plan;
mod records;
#[cfg(test)]
mod tests;

use std::fmt;

use rust_decimal::Decimal;

use crate::breakdown::{EpicChange, StoryChange};
use crate::criteria::Criteria;
use crate::json::{JsonText, Object};
use crate::lifecycle::{AgentStatus, VerifiedStatus};
use crate::number::StoryNumber;
use edges::References;
pub use edges::written_number;
pub use ignored::{Ignored, STORY_TOLD};
use records::{EpicRecord, Untitled};

/// Epics that one import may hold.
pub const MAX_EPICS: usize = 500;
/// Stories that one import may hold.
pub const MAX_STORIES: usize = 5000;

/// Acceptance criteria that one import may hold: every one is a row.
pub const MAX_CRITERIA: usize = 20_000;

/// Values at all levels of the acceptance criteria that one import may hold: each is looked at when they are digested.
pub const MAX_CRITERIA_VALUES: usize = 400_000;

/// Dependencies of both kinds that one import may hold, duplicates included. Ours: the contract names no limit, and a
/// body has room for a million, which keep everybody waiting.
pub const MAX_DEPENDENCIES: usize = 50_000;

/// What to do with records that the project already has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Refuse them.
    Fresh,
    /// Update them.
    Merge,
}

/// Why nothing is imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportError {
    /// 422 with this message.
    Invalid(String),
    /// 409: a fresh import of numbers that exist. Both lists in number order.
    Conflict {
        /// The epic numbers that exist.
        epics: Vec<i32>,
        /// The story numbers that exist.
        stories: Vec<String>,
    },
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(message) => f.write_str(message),
            Self::Conflict { .. } => {
                f.write_str("Import conflicts with existing data. Use merge=true to update.")
            }
        }
    }
}

impl std::error::Error for ImportError {}

impl From<String> for ImportError {
    fn from(message: String) -> Self {
        Self::Invalid(message)
    }
}

/// What the project already has, read under its lock.
#[derive(Debug, Clone, Default)]
pub struct Existing {
    /// The numbers of its epics.
    pub epics: Vec<i32>,
    /// Its stories, each with the number of its epic.
    pub stories: Vec<(StoryNumber, i32)>,
    /// Its story dependencies, (dependent, prerequisite).
    pub story_edges: Vec<(String, String)>,
    /// Its epic dependencies, (dependent, prerequisite).
    pub epic_edges: Vec<(i32, i32)>,
}

/// A body of the right shape, without duplicates.
#[derive(Debug, Clone)]
pub struct Payload {
    mode: Mode,
    epic_numbers: Vec<i32>,
    story_numbers: Vec<String>,
    /// Records without a title, which is fine only for those that a merge matches.
    untitled: Vec<Untitled>,
    /// The records, or the first fault in a field.
    records: Result<Vec<EpicRecord>, String>,
    references: References,
    /// What nothing reads.
    pub ignored: Ignored,
}

/// What to write. Every number in it is valid and resolves against the plan plus what exists.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// Epics to create, in payload order.
    pub new_epics: Vec<NewEpic>,
    /// Existing epics that the payload names (merge).
    pub updated_epics: Vec<(i32, EpicChange)>,
    /// Stories to create, in payload order.
    pub new_stories: Vec<NewStory>,
    /// Existing stories that the payload names (merge).
    pub updated_stories: Vec<(StoryNumber, StoryChange)>,
    /// Story dependencies to create, (dependent, prerequisite).
    pub new_story_edges: Vec<(StoryNumber, StoryNumber)>,
    /// Epic dependencies to create, (dependent, prerequisite).
    pub new_epic_edges: Vec<(i32, i32)>,
    /// Dependencies of both kinds that the project had before.
    pub existing_edges: usize,
    /// Existing stories that the payload does not name, in number order.
    pub orphans: Vec<StoryNumber>,
}

/// An epic to create.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEpic {
    /// Its number.
    pub number: i32,
    /// Its title.
    pub title: String,
    /// What it is about.
    pub description: Option<String>,
    /// Free-form phase.
    pub phase: Option<String>,
    /// Its place among the epics; its index in the payload unless sent.
    pub position: i32,
    /// Free-form data.
    pub metadata: JsonText,
}

/// A story to create.
#[derive(Debug, Clone, PartialEq)]
pub struct NewStory {
    /// Its number.
    pub number: StoryNumber,
    /// The number of the epic it is listed under, new or existing.
    pub epic: i32,
    /// Its title.
    pub title: String,
    /// What it is about.
    pub description: Option<String>,
    /// Its criteria, normalised.
    pub acceptance_criteria: Criteria,
    /// Estimate.
    pub estimated_hours: Option<Decimal>,
    /// Free-form data.
    pub metadata: JsonText,
    /// The statuses it starts with.
    pub initial: InitialStatus,
}

/// The `initial_*` words of a story as they were sent, for its audit entry, and what they amount to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InitialStatus {
    /// `initial_agent_status`.
    pub initial_agent_status: Option<&'static str>,
    /// `initial_verified_status`.
    pub initial_verified_status: Option<&'static str>,
}

impl InitialStatus {
    /// `reported_done` where the import says so or says that the story is verified. The caller then stamps
    /// `reported_done_at`.
    pub fn agent_status(self) -> AgentStatus {
        if self.initial_agent_status == Some("reported_done")
            || self.verified_status() == VerifiedStatus::Verified
        {
            AgentStatus::ReportedDone
        } else {
            AgentStatus::Pending
        }
    }

    /// `verified` where the import says so. The caller then stamps `verified_at`.
    pub fn verified_status(self) -> VerifiedStatus {
        match self.initial_verified_status {
            Some("pass" | "verified") => VerifiedStatus::Verified,
            _ => VerifiedStatus::Unverified,
        }
    }

    /// The words with which an import restores these statuses. None are needed for a story at its beginning, and
    /// there are none for one that somebody works on or that was rejected: no import leads into the loop. Nor for work
    /// that waits for its verification while `assigned`: the assignment cannot be imported, and without it nothing
    /// would keep the implementer from verifying its own work.
    pub fn restoring(agent_status: AgentStatus, verified_status: VerifiedStatus, assigned: bool) -> Self {
        match (agent_status, verified_status) {
            (AgentStatus::ReportedDone, VerifiedStatus::Verified) => {
                Self { initial_verified_status: Some("verified"), ..Self::default() }
            }
            (AgentStatus::ReportedDone, VerifiedStatus::Unverified) if !assigned => {
                Self { initial_agent_status: Some("reported_done"), ..Self::default() }
            }
            _ => Self::default(),
        }
    }
}

/// Everything that needs no database: the shape, and the field rules, which [`Payload::plan`] reports in their turn.
///
/// # Errors
/// The first of `epics must be an array`, the limits, structural faults in payload order, bad epic numbers,
/// duplicates, and too many dependencies.
pub fn parse(body: &Object<'_>, mode: Mode) -> Result<Payload, ImportError> {
    let outline = outline::read(body, mode)?;
    let references = edges::collect(&outline);
    if references.stories.len() + references.epics.len() > MAX_DEPENDENCIES {
        return Err(edges::too_many().into());
    }
    let epic_numbers = outline.epics.iter().map(|epic| epic.number).collect();
    let story_numbers =
        outline.epics.iter().flat_map(|epic| &epic.stories).map(|story| story.number.clone()).collect();
    Ok(Payload {
        mode,
        epic_numbers,
        story_numbers,
        untitled: records::untitled(&outline.epics),
        records: records::read(&outline.epics),
        references,
        ignored: Ignored::of(body, &outline),
    })
}
