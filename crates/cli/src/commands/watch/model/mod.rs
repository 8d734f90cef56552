//! What the board knows. No I/O and no clock: whoever has read something or was told of it says so, and what is shown follows from
//! that alone. What comes from the server is cut to what a line can hold, so that the memory is bounded by numbers of things.

mod apply;
mod needs;
mod read;
mod rows;
#[cfg(test)]
pub(super) mod tests;
mod waits;

use std::collections::{HashMap, VecDeque};

use chrono::{DateTime, Utc};
use loopctl_core::lifecycle::{AgentStatus, VerifiedStatus};
use serde_json::Value;
use uuid::Uuid;

pub(super) use self::apply::{Again, who, words};
pub(super) use self::needs::{Kind, Need};
pub(super) use self::read::{Answer, Part, first_report, parts};
pub(super) use self::rows::{Counts, Row, Shown, age};
pub(super) use self::waits::Waits;
use crate::table;

/// A moment as the server tells it.
pub(super) type Moment = DateTime<Utc>;

/// More stories are not held: of a larger plan a project is to be named.
pub(super) const MOST_STORIES: usize = 20_000;
/// So many projects are read.
pub(super) const MOST_PROJECTS: usize = 100;
/// So many agents are known by name.
const MOST_AGENTS: usize = 5_000;
/// So many budgets that are used up are held.
const MOST_BUDGETS: usize = 200;
/// So much of what happened is held.
const MOST_EVENTS: usize = 200;
/// So much of a text is held.
const LONGEST: usize = 200;

/// All that is known.
#[derive(Debug, Default)]
pub(super) struct Board {
    pub(super) tenant: Tenant,
    /// Only stories of this epic are shown; of the others it is only known what waits for them.
    pub(super) epic: Option<Uuid>,
    pub(super) projects: HashMap<Uuid, Project>,
    pub(super) stories: HashMap<Uuid, Story>,
    /// Stories that there was no room for.
    pub(super) left_out: usize,
    pub(super) agents: HashMap<Uuid, String>,
    pub(super) budgets: Vec<Budget>,
    /// Open ones, where the key may see them.
    pub(super) violations: u64,
    /// Newest last.
    pub(super) events: VecDeque<Event>,
    /// How many changes were taken in.
    pub(super) taken: u64,
    pub(super) waits: Waits,
}

#[derive(Debug, Default)]
pub(super) struct Tenant {
    pub(super) name: String,
    pub(super) halted_at: Option<Moment>,
}

#[derive(Debug, Default)]
pub(super) struct Project {
    pub(super) name: String,
    /// In the order in which projects are shown.
    pub(super) place: usize,
    pub(super) is_read: bool,
    pub(super) epics: HashMap<Uuid, String>,
    /// Which epic waits for which, and which story for which.
    pub(super) epic_edges: Vec<(Uuid, Uuid)>,
    pub(super) story_edges: Vec<(Uuid, Uuid)>,
}

#[derive(Debug, Clone)]
pub(super) struct Story {
    pub(super) project: Uuid,
    pub(super) epic: Uuid,
    /// In the plan.
    pub(super) place: usize,
    pub(super) number: String,
    pub(super) title: String,
    pub(super) agent_status: AgentStatus,
    pub(super) verified_status: VerifiedStatus,
    pub(super) holder: Option<Uuid>,
    /// Since when its holder has it.
    pub(super) held_since: Option<Moment>,
    /// When its implementer said to be finished.
    pub(super) finished_at: Option<Moment>,
    pub(super) reported_at: Option<Moment>,
    pub(super) reviewed_at: Option<Moment>,
    pub(super) rejected_at: Option<Moment>,
    /// Why it was rejected.
    pub(super) reason: Option<String>,
    /// The count of changes when one was about this story: what was asked before that does not know it.
    pub(super) touched: u64,
}

/// How a story stands, in the order in which it goes through this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stand {
    ToVerify,
    ToReview,
    ToReport,
    Implementing,
    Assigned,
    Contracted,
    Rejected,
    Ready,
    Blocked,
    Verified,
}

/// A budget that is used up.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    /// What it is of: a project, a story, an agent.
    pub(super) of: String,
    pub(super) story: Option<Uuid>,
    pub(super) project: Option<Uuid>,
    pub(super) percent: u64,
    pub(super) blocks: bool,
}

/// Something that happened.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) at: Option<Moment>,
    pub(super) who: String,
    pub(super) what: String,
    pub(super) story: Option<Uuid>,
}

impl Story {
    /// Somebody has it and is not finished, or has not said so.
    pub(super) fn is_held(&self) -> bool {
        use AgentStatus::{Assigned, Contracted, Implementing};
        matches!(self.agent_status, Contracted | Assigned | Implementing)
            && self.verified_status != VerifiedStatus::Verified
    }

    /// Whether it was reviewed after it was last reported.
    pub(super) fn is_reviewed(&self) -> bool {
        self.reviewed_at.is_some_and(|reviewed| self.reported_at.is_none_or(|reported| reviewed > reported))
    }

    /// Somebody is to do something with it: `waits` where it cannot be begun yet.
    pub(super) fn stand(&self, waits: bool) -> Stand {
        if self.verified_status == VerifiedStatus::Verified {
            return Stand::Verified;
        }
        match self.agent_status {
            AgentStatus::Implementing if self.finished_at.is_some() => Stand::ToReport,
            AgentStatus::Implementing => Stand::Implementing,
            AgentStatus::Assigned => Stand::Assigned,
            AgentStatus::Contracted => Stand::Contracted,
            _ if self.verified_status == VerifiedStatus::Rejected => Stand::Rejected,
            AgentStatus::ReportedDone if self.is_reviewed() => Stand::ToVerify,
            AgentStatus::ReportedDone => Stand::ToReview,
            AgentStatus::Pending if waits => Stand::Blocked,
            AgentStatus::Pending => Stand::Ready,
        }
    }
}

impl Stand {
    pub(super) const ALL: [Self; 10] = [
        Self::ToVerify,
        Self::ToReview,
        Self::ToReport,
        Self::Implementing,
        Self::Assigned,
        Self::Contracted,
        Self::Rejected,
        Self::Ready,
        Self::Blocked,
        Self::Verified,
    ];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::ToVerify => "reviewed",
            Self::ToReview => "reported",
            Self::ToReport => "finished",
            Self::Implementing => "implementing",
            Self::Assigned => "assigned",
            Self::Contracted => "contracted",
            Self::Rejected => "rejected",
            Self::Ready => "ready",
            Self::Blocked => "blocked",
            Self::Verified => "verified",
        }
    }
}

impl Board {
    pub(super) fn stand(&self, id: Uuid, story: &Story) -> Stand {
        story.stand(self.waits.waits(id))
    }

    /// The stories that are shown, in the order of the plan.
    pub(super) fn shown(&self) -> impl Iterator<Item = (Uuid, &Story)> {
        let shown = |(id, story): (&Uuid, _)| (*id, story);
        self.stories
            .iter()
            .map(shown)
            .filter(|(_, story): &(Uuid, &Story)| self.epic.is_none_or(|epic| story.epic == epic))
    }

    /// The name of an agent, or as much of its id as tells two apart.
    pub(super) fn agent(&self, id: Option<Uuid>) -> String {
        let Some(id) = id else { return String::new() };
        self.agents.get(&id).cloned().unwrap_or_else(|| format!("agent {}", short(id)))
    }

    /// A name that an agent is known by from now on.
    fn is_called(&mut self, id: Uuid, name: &str) {
        if self.agents.len() < MOST_AGENTS || self.agents.contains_key(&id) {
            self.agents.insert(id, text(name));
        }
    }

    /// `2.1`, or where several projects are shown `my-app 2.1`.
    pub(super) fn number(&self, story: &Story) -> String {
        match self.projects.get(&story.project) {
            Some(project) if self.projects.len() > 1 => format!("{} {}", project.name, story.number),
            _ => story.number.clone(),
        }
    }

    /// What follows from the rest is found out again.
    pub(super) fn settle(&mut self) {
        self.waits = Waits::of(&self.projects, &self.stories);
    }
}

fn short(id: Uuid) -> String {
    // Their beginnings are times, and much the same.
    let id = id.simple().to_string();
    id.chars().skip(id.len().saturating_sub(8)).collect()
}

/// A text of the server on one line, where it does nothing but stand there, and no more of it than a line holds.
pub(super) fn text(text: &str) -> String {
    table::one_line(&text.chars().take(LONGEST).collect::<String>())
}

fn id(value: &Value) -> Option<Uuid> {
    Uuid::try_parse(value.as_str()?).ok()
}

pub(super) fn moment(value: &Value) -> Option<Moment> {
    Some(DateTime::parse_from_rfc3339(value.as_str()?).ok()?.to_utc())
}

fn word(value: &Value) -> String {
    text(value.as_str().unwrap_or_default())
}
