//! The one transition table.

use super::Action::{
    Backfill, Claim, Contract, ForceUnclaim, MarkComplete, Reject, Report, RequestReview, ReviewComplete,
    Start, Unclaim, Verify,
};
use super::AgentStatus::{Assigned, Contracted, Implementing, Pending, ReportedDone};
use super::refusal::Status;
use super::{Action, AgentStatus, LoopState, VerifiedStatus};
use crate::role::Role;

/// One row of the transition table.
pub(super) struct Rule {
    pub(super) action: Action,
    /// Roles that may call it, exactly; checked before the story is looked up.
    pub(super) roles: &'static [Role],
    /// Whether the caller's key must be bound to an agent.
    pub(super) agent: AgentLink,
    /// Statuses in which the action makes sense.
    pub(super) from: &'static [AgentStatus],
    /// What `verified_status` must (not) be.
    pub(super) verified: Verified,
    /// Guards in the order in which they are evaluated; the first failure answers.
    pub(super) guards: &'static [Guard],
    /// Whether the action is offered among `next_actions`.
    pub(super) suggest: Suggest,
}

/// Whether a key without an agent may call.
#[derive(Clone, Copy)]
pub(super) enum AgentLink {
    NotNeeded,
    /// Refused with this status.
    Required(Status),
    /// A user key without an agent is a human; everybody else needs an agent.
    RequiredUnlessUser,
}

/// What a rule asks of `verified_status`.
#[derive(Clone, Copy)]
pub(super) enum Verified {
    Any,
    Forbidden,
    /// `verified` makes the action possible whatever the agent status (late rejection).
    Suffices,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Guard {
    /// The story is in a state from which the action is possible; else 409.
    State,
    /// As `State`, answered with 422 because the contract wants it so.
    StateUnprocessable,
    /// The caller holds the story; else 403.
    Assignee,
    /// The story is not verified; else 409. Separate from `State` where it comes later.
    NotVerified,
    /// The caller neither started the story in this cycle nor holds it; else 409.
    NotImplementer,
    /// Title and number of criteria are echoed; else 422.
    Echo,
    /// Every prerequisite is verified; else 409.
    Dependencies,
    /// `review_type` and `summary` are given; else 422.
    Evidence,
    /// The newest review of this report, in this cycle, is of these criteria; else 422.
    ReviewRecord,
    /// The story is neither verified nor rejected; else 422.
    Undecided,
    /// No agent has ever touched the story; else 422.
    PreExisting,
}

/// When an action that would pass is offered as a next step.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Suggest {
    Never,
    /// To every caller: it tells what happens next, even if somebody else must do it.
    Anyone,
    /// To callers that may do it.
    Permitted,
}

const AGENT: &[Role] = &[Role::Agent];
const AGENT_OR_ORCHESTRATOR: &[Role] = &[Role::Agent, Role::Orchestrator];
const ORCHESTRATOR: &[Role] = &[Role::Orchestrator];
const ORCHESTRATOR_OR_HIGHER: &[Role] = &[Role::Orchestrator, Role::User, Role::Superadmin];

/// Every transition, in the order of a story's life.
pub(super) const RULES: &[Rule] = &[
    Rule {
        action: Contract,
        roles: AGENT_OR_ORCHESTRATOR,
        agent: AgentLink::NotNeeded,
        from: &[Pending],
        verified: Verified::Forbidden,
        guards: &[Guard::State, Guard::Echo],
        suggest: Suggest::Anyone,
    },
    Rule {
        action: Claim,
        roles: AGENT,
        agent: AgentLink::Required(Status::Unprocessable),
        from: &[Contracted],
        verified: Verified::Forbidden,
        guards: &[Guard::State, Guard::Dependencies],
        suggest: Suggest::Anyone,
    },
    Rule {
        action: Start,
        roles: AGENT,
        agent: AgentLink::NotNeeded,
        from: &[Assigned],
        verified: Verified::Any,
        guards: &[Guard::State, Guard::Assignee],
        suggest: Suggest::Permitted,
    },
    Rule {
        action: RequestReview,
        roles: AGENT,
        agent: AgentLink::NotNeeded,
        from: &[Implementing],
        verified: Verified::Any,
        guards: &[Guard::State, Guard::Assignee],
        suggest: Suggest::Permitted,
    },
    Rule {
        action: Report,
        roles: AGENT_OR_ORCHESTRATOR,
        agent: AgentLink::Required(Status::Unprocessable),
        from: &[Implementing],
        verified: Verified::Any,
        guards: &[Guard::State, Guard::NotImplementer],
        suggest: Suggest::Permitted,
    },
    Rule {
        action: Unclaim,
        roles: AGENT,
        agent: AgentLink::NotNeeded,
        from: &[Contracted, Assigned, Implementing, ReportedDone],
        verified: Verified::Any,
        guards: &[Guard::State, Guard::Assignee, Guard::NotVerified],
        suggest: Suggest::Permitted,
    },
    Rule {
        action: ReviewComplete,
        roles: &[Role::Agent, Role::Orchestrator, Role::User],
        agent: AgentLink::RequiredUnlessUser,
        from: &[ReportedDone],
        verified: Verified::Any,
        guards: &[Guard::NotImplementer, Guard::StateUnprocessable],
        suggest: Suggest::Permitted,
    },
    Rule {
        action: Verify,
        roles: ORCHESTRATOR,
        agent: AgentLink::Required(Status::BadRequest),
        from: &[ReportedDone],
        verified: Verified::Forbidden,
        guards: &[Guard::NotImplementer, Guard::State, Guard::Evidence, Guard::ReviewRecord],
        suggest: Suggest::Permitted,
    },
    Rule {
        action: Reject,
        roles: ORCHESTRATOR,
        agent: AgentLink::Required(Status::BadRequest),
        from: &[ReportedDone],
        verified: Verified::Suffices,
        guards: &[Guard::NotImplementer, Guard::State],
        suggest: Suggest::Permitted,
    },
    Rule {
        action: ForceUnclaim,
        roles: ORCHESTRATOR,
        agent: AgentLink::Required(Status::BadRequest),
        from: AgentStatus::ALL,
        verified: Verified::Any,
        guards: &[],
        suggest: Suggest::Never,
    },
    Rule {
        action: Backfill,
        roles: ORCHESTRATOR_OR_HIGHER,
        agent: AgentLink::NotNeeded,
        from: &[Pending],
        verified: Verified::Forbidden,
        guards: &[Guard::Undecided, Guard::PreExisting],
        suggest: Suggest::Never,
    },
    Rule {
        action: MarkComplete,
        roles: ORCHESTRATOR,
        agent: AgentLink::Required(Status::BadRequest),
        from: AgentStatus::ALL,
        verified: Verified::Forbidden,
        guards: &[Guard::PreExisting],
        suggest: Suggest::Never,
    },
];

impl Action {
    /// The roles that may attempt this, exactly: no role stands in for another.
    pub fn roles(self) -> &'static [Role] {
        self.rule().roles
    }

    pub(super) fn rule(self) -> &'static Rule {
        // `RULES` is in the declaration order of `Action`; a test holds the two together.
        &RULES[self as usize]
    }
}

impl Rule {
    pub(super) fn allows_state(&self, state: &LoopState) -> bool {
        let verified = state.verified_status == VerifiedStatus::Verified;
        let from = self.from.contains(&state.agent_status);
        match self.verified {
            Verified::Any => from,
            Verified::Forbidden => from && !verified,
            Verified::Suffices => from || verified,
        }
    }
}
