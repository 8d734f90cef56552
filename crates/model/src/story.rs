//! What the rules look at.

use crate::cast::{People, Who};
use crate::history::History;

/// How far the work is, as agents say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AgentStatus {
    /// `pending`
    Pending,
    /// `contracted`
    Contracted,
    /// `assigned`
    Assigned,
    /// `implementing`
    Implementing,
    /// `reported_done`
    ReportedDone,
}

impl AgentStatus {
    /// As the server writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Contracted => "contracted",
            Self::Assigned => "assigned",
            Self::Implementing => "implementing",
            Self::ReportedDone => "reported_done",
        }
    }
}

/// What others have found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    /// `unverified`
    Unverified,
    /// `rejected`
    Rejected,
    /// `verified`, and from where
    Verified(Source),
}

impl Verdict {
    /// As the server writes it: `verified_status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unverified => "unverified",
            Self::Rejected => "rejected",
            Self::Verified(_) => "verified",
        }
    }

    /// `verification_source`
    pub fn source(self) -> Option<&'static str> {
        let Self::Verified(source) = self else { return None };
        Some(match source {
            Source::Loop => "loop",
            Source::Backfill => "backfill",
            Source::MarkComplete => "mark_complete",
            Source::Import => "import",
        })
    }
}

/// Where a verification comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// Work in the loop, reviewed and verified.
    Loop,
    /// `backfill`
    Backfill,
    /// `mark_complete`
    MarkComplete,
    /// `import`
    Import,
}

/// One of the two things that the criteria may say; its digest is the same as itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Text {
    /// What the story is made with.
    First,
    /// What it can be changed to, and back.
    Second,
}

impl Text {
    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

/// A story.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Story {
    /// How far the work is.
    pub agent_status: AgentStatus,
    /// What others have found.
    pub verdict: Verdict,
    /// Who holds it.
    pub holder: Option<Who>,
    /// Who started it in this cycle, whether they hold it still or not.
    pub started: People,
    /// As long as a report stands: who had started it in the cycle of that report.
    pub reported_work_of: People,
    /// The newest review of the current report in the current cycle: of which criteria it was.
    pub review: Option<Text>,
    /// What the criteria say.
    pub criteria: Text,
    /// What they said when it was contracted, as long as it is.
    pub contracted: Option<Text>,
    /// What they said when it was verified, as long as it is.
    pub verified: Option<Text>,
    /// Whether an agent ever had to do with it.
    pub touched: bool,
    /// Whether it was ever reported, and not only brought as reported.
    pub reported: bool,
}

impl Story {
    /// A new one, pending.
    pub fn new(touched: bool) -> Self {
        Self {
            agent_status: AgentStatus::Pending,
            verdict: Verdict::Unverified,
            holder: None,
            started: People::NOBODY,
            reported_work_of: People::NOBODY,
            review: None,
            criteria: Text::First,
            contracted: None,
            verified: None,
            touched,
            reported: false,
        }
    }

    /// Whether it is verified, from wherever.
    pub fn is_verified(&self) -> bool {
        matches!(self.verdict, Verdict::Verified(_))
    }

    /// What anybody may see of it.
    pub fn shown(&self) -> Shown {
        let stale = |seen: Option<Text>| seen.is_some_and(|seen| seen != self.criteria);
        Shown {
            agent_status: self.agent_status,
            verdict: self.verdict,
            contract_stale: stale(self.contracted),
            verification_stale: stale(self.verified),
        }
    }
}

/// What anybody may see of a story.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shown {
    /// `agent_status`
    pub agent_status: AgentStatus,
    /// `verified_status` and `verification_source`
    pub verdict: Verdict,
    /// `contract_stale`
    pub contract_stale: bool,
    /// `verification_stale`
    pub verification_stale: bool,
}

/// A number of a project, and the story that has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct State {
    /// The story, unless it was deleted or does not exist yet.
    pub story: Option<Story>,
    /// Whether a story of this number was deleted that an agent had to do with.
    pub remembered: bool,
    /// What really happened. No rule looks at it.
    pub history: History,
}
