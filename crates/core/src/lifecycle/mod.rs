//! The story lifecycle: what agents claim (`agent_status`) kept apart from what was verified
//! (`verified_status`), and nobody able to sign off their own work.
//!
//! Everything follows from one table ([`table::RULES`]): [`decide`] walks a rule's guards and yields the next
//! [`LoopState`] or a [`Refusal`] with its hints; [`next_actions`] asks the same rules what would pass.
//! Callers hold the story's row lock and bring the facts; nothing here reads a clock or a database.

mod backfill;
mod criteria;
mod decide;
mod description;
mod implementers;
mod next_actions;
mod provenance;
mod refusal;
mod table;
#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

pub use backfill::{BACKFILL, Backfill};
pub use criteria::{admit_change_of_criteria, is_under_way};
pub use decide::{admit, auto_reset, decide};
pub use description::{Refused, Standing, Step, Transition, refusals_of, transitions};
pub use implementers::Holding;
pub use next_actions::{NextAction, next_actions};
pub use provenance::{check_planned, imported, imported_over, planned};
pub use refusal::{Conflict, Refusal, Status};

use crate::role::Role;
use crate::words::words;

words! {
    /// What the implementing side claims.
    AgentStatus {
        /// Nobody has it.
        Pending = "pending",
        /// An agent has acknowledged title and criteria.
        Contracted = "contracted",
        /// An agent holds it.
        Assigned = "assigned",
        /// Work is in progress.
        Implementing = "implementing",
        /// Another agent has confirmed that the work is done.
        ReportedDone = "reported_done",
    }
}

words! {
    /// What was independently verified.
    VerifiedStatus {
        /// Not looked at yet.
        Unverified = "unverified",
        /// Signed off by an orchestrator that did not do the work.
        Verified = "verified",
        /// Sent back.
        Rejected = "rejected",
    }
}

words! {
    /// Where a verification comes from.
    VerificationSource {
        /// Worked on, reported, reviewed and verified in the loop, the latter by others than those who did the work.
        Loop = "loop",
        /// Recorded one by one as finished before the loop.
        Backfill = "backfill",
        /// Signed off in bulk as finished before the loop.
        MarkComplete = "mark_complete",
        /// Came verified with an import, or came as reported and was reviewed and verified here.
        Import = "import",
    }
}

words! {
    /// What a caller may attempt on a story, in the words of a conflict's `attempted_action`.
    Action {
        /// Echo title and number of criteria.
        Contract = "contract",
        /// Take the story.
        Claim = "claim",
        /// Begin work.
        Start = "start",
        /// Hand over to a reviewer.
        RequestReview = "request-review",
        /// Confirm another agent's work.
        Report = "report",
        /// Give the story back.
        Unclaim = "unclaim",
        /// Record a finished review.
        ReviewComplete = "review-complete",
        /// Sign off.
        Verify = "verify",
        /// Send back.
        Reject = "reject",
        /// Take the story from its holder.
        ForceUnclaim = "force-unclaim",
        /// Record work that was finished outside the loop.
        Backfill = "backfill",
        /// Sign off work that predates the loop.
        MarkComplete = "mark-complete",
    }
}

/// The columns of a story that the lifecycle owns. A transition yields a whole new value, which is written
/// with one statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoopState {
    /// What is claimed.
    pub agent_status: AgentStatus,
    /// What is verified.
    pub verified_status: VerifiedStatus,
    /// Who holds it.
    pub assigned_agent_id: Option<Uuid>,
    /// When the story was claimed.
    pub assigned_at: Option<DateTime<Utc>>,
    /// Who contracted it; none for an orchestrator.
    pub contracted_by_agent_id: Option<Uuid>,
    /// When the story was claimed for the first time ever. Never cleared.
    pub first_claimed_at: Option<DateTime<Utc>>,
    /// When an agent first had to do with it: contracted it, claimed it or reported an artifact for it. Never cleared: what
    /// was touched did not exist before the loop, which bars it from `backfill` and `mark-complete`.
    pub first_touched_at: Option<DateTime<Utc>>,
    /// When the implementer last asked for review.
    pub review_requested_at: Option<DateTime<Utc>>,
    /// When the work was reported as done.
    pub reported_done_at: Option<DateTime<Utc>>,
    /// The agent, other than the implementer, that reported it.
    pub reported_by_agent_id: Option<Uuid>,
    /// Which of its lives the story is in: the first begins with it, each rejection begins the next.
    pub cycle: i32,
    /// How often it was reported so far. A review is of the report that had this number when it was made.
    pub report_number: i32,
    /// The cycle in which the report was made, as long as the work stands: reported and not taken back, or verified.
    pub report_cycle: Option<i32>,
    /// The digest of title and criteria that the contract was about, as long as it stands.
    pub contracted_digest: Option<String>,
    /// When it was verified.
    pub verified_at: Option<DateTime<Utc>>,
    /// By which way, as long as it is verified.
    pub verification_source: Option<VerificationSource>,
    /// The digest of title and criteria that was verified, as long as it is.
    pub verified_digest: Option<String>,
    /// When it was last rejected.
    pub rejected_at: Option<DateTime<Utc>>,
    /// Why it was last rejected.
    pub rejection_reason: Option<String>,
}

impl LoopState {
    /// Whether it was claimed, and neither reported nor given back.
    pub fn is_held(&self) -> bool {
        matches!(self.agent_status, AgentStatus::Assigned | AgentStatus::Implementing)
    }

    /// A story that nobody has touched.
    pub const fn untouched() -> Self {
        Self {
            agent_status: AgentStatus::Pending,
            verified_status: VerifiedStatus::Unverified,
            assigned_agent_id: None,
            assigned_at: None,
            contracted_by_agent_id: None,
            first_claimed_at: None,
            first_touched_at: None,
            review_requested_at: None,
            reported_done_at: None,
            reported_by_agent_id: None,
            cycle: 1,
            report_number: 0,
            report_cycle: None,
            contracted_digest: None,
            verified_at: None,
            verification_source: None,
            verified_digest: None,
            rejected_at: None,
            rejection_reason: None,
        }
    }
}

/// Who attempts something. Comes from the API key alone, never from a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Actor {
    /// The effective role.
    pub role: Role,
    /// The agent that the key is bound to.
    pub agent_id: Option<Uuid>,
    /// A superadmin acting inside a tenant: has no agent identity, and every act is audited as such.
    pub impersonating: bool,
}

/// A story as the rules see it.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The lifecycle columns.
    pub state: LoopState,
    /// The title that a contract must echo.
    pub title: String,
    /// The number of acceptance criteria that a contract must echo.
    pub ac_count: usize,
    /// The digest of title and criteria as they are now.
    pub digest: String,
    /// Who started it in this cycle, and, as long as what was reported stands, in the cycle of that report: each once.
    pub started: Vec<Holding>,
    /// Prerequisites that are not verified; looked up for claims only.
    pub unmet: Vec<Prerequisite>,
    /// What the newest review of the report is of.
    pub review: Review,
    /// The backfill that made the story verified, if one did.
    pub backfill: Option<Backfill>,
}

/// The newest review of the story's report in its cycle. Order decides, never a clock: a review knows the number of the report
/// and the cycle that it saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Review {
    /// There is none.
    Missing,
    /// It is of another title or of other criteria than the story has now.
    Outdated,
    /// It is of what the story asks for now.
    Current,
}

/// A prerequisite that is not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prerequisite {
    /// A story that this story depends on.
    Story {
        /// Its id.
        id: Uuid,
        /// Its number.
        number: String,
        /// Its verified status.
        verified_status: VerifiedStatus,
    },
    /// An epic that the story's epic depends on.
    Epic {
        /// Its id.
        id: Uuid,
        /// Its number.
        number: i32,
        /// How many of its stories are not verified.
        open_stories: i64,
    },
}

/// What is attempted, with what the rules need of the request's body.
#[derive(Debug, Clone)]
pub enum Attempt {
    /// `POST /stories/:id/contract`.
    Contract(Echo),
    /// `POST /stories/:id/claim`.
    Claim,
    /// `POST /stories/:id/start`.
    Start,
    /// `POST /stories/:id/request-review`.
    RequestReview,
    /// `POST /stories/:id/report`.
    Report,
    /// `POST /stories/:id/unclaim`.
    Unclaim,
    /// `POST /stories/:id/review-complete`.
    ReviewComplete,
    /// `POST /stories/:id/verify`.
    Verify {
        /// Whether both `review_type` and `summary` were given.
        evidence: bool,
    },
    /// `POST /stories/:id/reject`.
    Reject {
        /// Why; trimmed and not blank.
        reason: String,
    },
    /// `POST /stories/:id/force-unclaim`.
    ForceUnclaim,
    /// `POST /stories/:id/backfill`.
    Backfill(Backfill),
    /// `POST /stories/bulk/mark-complete`.
    MarkComplete,
}

impl Attempt {
    /// The action attempted.
    pub const fn action(&self) -> Action {
        match self {
            Self::Contract(_) => Action::Contract,
            Self::Claim => Action::Claim,
            Self::Start => Action::Start,
            Self::RequestReview => Action::RequestReview,
            Self::Report => Action::Report,
            Self::Unclaim => Action::Unclaim,
            Self::ReviewComplete => Action::ReviewComplete,
            Self::Verify { .. } => Action::Verify,
            Self::Reject { .. } => Action::Reject,
            Self::ForceUnclaim => Action::ForceUnclaim,
            Self::Backfill(_) => Action::Backfill,
            Self::MarkComplete => Action::MarkComplete,
        }
    }
}

/// The contract echo as it was sent; wrong types are a mismatch, not a validation error.
#[derive(Debug, Clone, Default)]
pub struct Echo {
    /// `story_title`.
    pub story_title: Option<Value>,
    /// `ac_count`.
    pub ac_count: Option<Value>,
    /// `skip_contract_check`; has no effect for agents.
    pub skip: bool,
}
