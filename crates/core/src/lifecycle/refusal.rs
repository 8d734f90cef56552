//! Why an attempt was refused, and what to do about it.

use serde_json::{Map, Value, json};

use super::{Action, Actor, AgentStatus, Facts, Holding, LoopState, Prerequisite, VerifiedStatus};
use crate::code::Code;
use crate::role::Role;

/// How a refusal is answered: the number is that of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Status {
    /// 400.
    BadRequest = 400,
    /// 403.
    Forbidden = 403,
    /// 409.
    Conflict = 409,
    /// 422.
    Unprocessable = 422,
}

/// A refused attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// How it is answered.
    pub status: Status,
    /// Stable code for machines.
    pub code: Code,
    /// The contract's sentence. Clients compare it, so advice is no part of it.
    pub message: String,
    /// What to do instead.
    pub hints: Vec<String>,
    /// Where the story stands, where the refusal is about that; then there are hints.
    pub conflict: Option<Conflict>,
    /// Further facts, merged into the answer's `context`. Boxed: refusals are returned by value everywhere.
    pub context: Box<Map<String, Value>>,
}

/// Where the story stood when something was refused.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conflict {
    /// `current_state`.
    pub agent_status: AgentStatus,
    /// `context.current_verified_status`.
    pub verified_status: VerifiedStatus,
    /// `attempted_action`: that of an attempt, or `change-criteria`.
    pub action: &'static str,
}

/// What an agent does that cannot have a story.
const PICK_ANOTHER: &str = "Pick another one from GET /api/v1/stories/ready.";

/// What a change of title or criteria is called as an `attempted_action`.
const CHANGE_CRITERIA: &str = "change-criteria";

impl Refusal {
    fn about(state: &LoopState, action: Action, status: Status, code: Code, message: String) -> Self {
        Self::at(state, action.as_str(), status, code, message)
    }

    fn at(state: &LoopState, action: &'static str, status: Status, code: Code, message: String) -> Self {
        let (agent_status, verified_status) = (state.agent_status, state.verified_status);
        let conflict = Some(Conflict { agent_status, verified_status, action });
        Self { conflict, ..Self::plain(status, code, message) }
    }

    fn plain(status: Status, code: Code, message: String) -> Self {
        Self { status, code, message, hints: Vec::new(), conflict: None, context: Box::default() }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    fn with(mut self, key: &str, value: Value) -> Self {
        self.context.insert(key.to_owned(), value);
        self
    }

    pub(super) fn agent_required(status: Status, role: Role) -> Self {
        const LINKED: &str = "Call again with an orchestrator key that was created with an agent_id.";
        let (message, hint) = if status == Status::BadRequest {
            // Here the contract wants the way to such a key in the sentence itself.
            (
                "Orchestrator key must be linked to a registered agent. Register an agent with an agent key \
                 (POST /api/v1/agents/register), then create an orchestrator key with that agent_id \
                 (POST /api/v1/api_keys).",
                LINKED,
            )
        } else {
            (
                "Agent ID required for chain-of-custody",
                // Registering is for agent keys alone.
                if role == Role::Agent {
                    "Register an agent with this key first (POST /api/v1/agents/register \
                     {\"name\": \"<a name of its own>\", \"agent_type\": \"implementer\"}), then call again."
                } else {
                    LINKED
                },
            )
        };
        Self::plain(status, Code::AgentRequired, message.to_owned()).hint(hint)
    }

    pub(super) fn title_mismatch() -> Self {
        let message = "story_title does not match".to_owned();
        Self::plain(Status::Unprocessable, Code::ContractMismatch, message)
            .hint("Read the story (GET /api/v1/stories/:id) and send its exact title.")
    }

    pub(super) fn count_mismatch(expected: usize, given: Option<&Value>) -> Self {
        let given = given.cloned().unwrap_or(Value::Null);
        let message = format!("Contract mismatch: expected ac_count {expected} but got {given}");
        Self::plain(Status::Unprocessable, Code::ContractMismatch, message)
            .hint("Read the story (GET /api/v1/stories/:id) and count its acceptance_criteria.")
            .with("expected_ac_count", json!(expected))
            .with("provided_ac_count", given)
    }

    pub(super) fn not_assigned(state: &LoopState, action: Action) -> Self {
        let hint = match state.agent_status {
            AgentStatus::Contracted => {
                "Nobody holds this story yet. Claim it, or ask an orchestrator to force-unclaim it."
            }
            _ => "Another agent holds this story. Pick another one from GET /api/v1/stories/ready.",
        };
        Self::about(state, action, Status::Forbidden, Code::NotAssignedAgent, "Forbidden".to_owned())
            .hint(hint)
    }

    pub(super) fn own_work(facts: &Facts, action: Action, actor: &Actor) -> Self {
        let (code, verb, hint) = match action {
            Action::Report if actor.holds(&facts.state) => (
                Code::SelfReportBlocked,
                "report",
                "A different agent must call report. You implemented this story: call request-review and stop.",
            ),
            Action::Report => (
                Code::SelfReportBlocked,
                "report",
                "A different agent must call report. You started this story in this cycle, too, though you hold it no longer.",
            ),
            Action::ReviewComplete => (
                Code::SelfReviewBlocked,
                "review",
                "A different agent must complete the review of this story.",
            ),
            _ => (
                Code::SelfVerifyBlocked,
                "verify",
                "An orchestrator linked to another agent must verify or reject this story.",
            ),
        };
        let message = format!("Cannot {verb} your own implementation: nobody marks their own work as done.");
        Self::about(&facts.state, action, Status::Conflict, code, message)
            .hint(hint)
            .with("held", json!(actor.held(&facts.state, &facts.started)))
    }

    pub(super) fn own_criteria(state: &LoopState, started: &[Holding], actor: &Actor) -> Self {
        let message =
            "Cannot change title or criteria of your own implementation: nobody sets the measure of their own work."
                .to_owned();
        Self::at(state, CHANGE_CRITERIA, Status::Conflict, Code::SelfCriteriaBlocked, message)
            .hint("Leave title and acceptance_criteria as they are, or ask a user or another orchestrator to change them.")
            .with("held", json!(actor.held(state, started)))
    }

    pub(super) fn dependencies(state: &LoopState, unmet: &[Prerequisite]) -> Self {
        let named: Vec<String> = unmet
            .iter()
            .map(|prerequisite| match prerequisite {
                Prerequisite::Story { number, .. } => format!("unverified dependency {number}"),
                Prerequisite::Epic { number, .. } => format!("unverified prerequisite epic {number}"),
            })
            .collect();
        let message = format!("Conflict: Cannot claim: {}{}", named.join(", "), statuses(state));
        let code = Code::DependenciesNotMet;
        let mut refusal = Self::about(state, Action::Claim, Status::Conflict, code, message);
        let (mut stories, mut epics) = (Vec::new(), Vec::new());
        for prerequisite in unmet {
            refusal = match prerequisite {
                Prerequisite::Story { id, number, verified_status } => {
                    stories.push(json!(id));
                    refusal.hint(format!("Prerequisite story {number} is {verified_status}"))
                }
                Prerequisite::Epic { id, number, open_stories } => {
                    epics.push(json!(id));
                    refusal.hint(format!(
                        "Prerequisite epic {number} has {open_stories} stories that are not verified"
                    ))
                }
            };
        }
        refusal
            .hint(PICK_ANOTHER)
            .with("unmet_story_ids", json!(stories))
            .with("unmet_epic_ids", json!(epics))
    }

    pub(super) fn evidence_required(state: &LoopState) -> Self {
        let message = "Review evidence required: review_type and summary".to_owned();
        Self::about(state, Action::Verify, Status::Unprocessable, Code::ReviewEvidenceRequired, message)
            .hint("Repeat the call with a non-blank review_type and summary of what was checked.")
    }

    pub(super) fn no_review_record(state: &LoopState) -> Self {
        let message =
            "No review record found that is newer than the report: review-complete comes first".to_owned();
        Self::about(state, Action::Verify, Status::Unprocessable, Code::ReviewNotConducted, message).hint(
            "Another agent than the implementers reviews this report, after a rejection again: \
             POST /api/v1/stories/:id/review-complete; then verify.",
        )
    }

    pub(super) fn criteria_changed(state: &LoopState) -> Self {
        let message = "Title or acceptance criteria have changed since the review".to_owned();
        Self::about(state, Action::Verify, Status::Unprocessable, Code::CriteriaChanged, message).hint(
            "Review again: another agent than the implementer reads the story as it is now and calls \
             POST /api/v1/stories/:id/review-complete; then verify.",
        )
    }

    pub(super) fn not_reported(state: &LoopState, action: Action) -> Self {
        let message = format!("Cannot {action}: the story must be in reported_done first{}", statuses(state));
        Self::about(state, action, Status::Unprocessable, Code::InvalidTransition, message)
            .hint("A reviewer confirms the implementation with POST /api/v1/stories/:id/report first.")
    }

    pub(super) fn decided(state: &LoopState, action: Action) -> Self {
        let (code, word, hint) = match state.verified_status {
            VerifiedStatus::Verified => (
                Code::AlreadyVerified,
                "is already verified",
                "Nothing to do. To correct a backfill, reject the story and rework it through the loop.",
            ),
            _ => (
                Code::StoryRejected,
                "was rejected",
                "Rework it through the loop: contract, claim, start, report, review-complete, verify.",
            ),
        };
        let message = format!("Cannot {action}: the story {word}{}", statuses(state));
        Self::about(state, action, Status::Unprocessable, code, message).hint(hint)
    }

    pub(super) fn not_pre_existing(state: &LoopState, action: Action) -> Self {
        let message = format!(
            "Cannot {action}: the story has dispatch lineage, and this is for work done OUTSIDE the loopctl dispatch{}",
            statuses(state)
        );
        let hint = if state.first_claimed_at.is_some() {
            "The story was claimed. Finish it through the loop, up to review-complete and verify."
        } else if state.first_touched_at.is_some() {
            "An agent contracted the story, reported an artifact for it, or worked on it before it was deleted. Finish it \
             through the loop, up to review-complete and verify."
        } else {
            "Reset the story with force-unclaim if nobody has worked on it, or finish it through the loop."
        };
        Self::about(state, action, Status::Unprocessable, Code::NotPreExisting, message).hint(hint)
    }

    /// The story is in a state from which the action does not go; the hint depends on who asks.
    pub(super) fn invalid_state(state: &LoopState, action: Action, actor: &Actor) -> Self {
        use AgentStatus::{Assigned, Contracted, Implementing, Pending, ReportedDone};
        let verified = state.verified_status == VerifiedStatus::Verified;
        let mine = actor.holds(state);
        let (code, wants) = match (action, state.agent_status) {
            (Action::Claim | Action::Start, Pending) if !verified => {
                (Code::MustContractFirst, " (story must be contracted first)")
            }
            (Action::Start, Contracted) => (Code::MustClaimFirst, " (story must be claimed first)"),
            _ => (Code::InvalidTransition, ""),
        };
        let hint = match (action, state.agent_status) {
            (Action::Contract | Action::Claim, _)
            | (Action::Start | Action::RequestReview | Action::Report, Pending)
                if verified =>
            {
                "Story is already verified; nothing to claim. An orchestrator can reject it to reopen it."
            }
            (Action::Contract, Contracted) => {
                "Story is already contracted. Call claim (POST /api/v1/stories/:id/claim)."
            }
            (Action::Contract, Assigned) if mine => "You already hold this story. Next is start.",
            (Action::Contract, Implementing) if mine => {
                "You already hold this story. Next is request-review."
            }
            (Action::Contract, Assigned | Implementing) => {
                "Story is held by another agent. Only an orchestrator can take it away, with force-unclaim."
            }
            (Action::Contract, ReportedDone) => {
                "Story is reported done and waits for review and verification."
            }
            (Action::Claim, Pending) => "Call contract with story_title and ac_count first, then claim.",
            (Action::Claim, Assigned) if mine => "You already hold this claim. Call start.",
            (Action::Claim, Implementing) if mine => {
                "Already in progress. Call request-review when finished."
            }
            (Action::Claim, Assigned | Implementing) => {
                "Story is already claimed by another agent. Use force-unclaim to reset it."
            }
            (Action::Claim, ReportedDone) => "Story is already reported done; nothing to claim.",
            (Action::Start, Pending) => {
                "Call contract with story_title and ac_count first, then claim, then start."
            }
            (Action::Start, Contracted) => "Call claim first, then start.",
            (Action::Start, Implementing) => "Already started. Call request-review when done.",
            (Action::Start, _) => "Story is already reported done.",
            (Action::RequestReview, Pending) => {
                "Story must be implementing: contract, claim and start it first."
            }
            (Action::RequestReview, Contracted) => "Story must be implementing: claim and start it first.",
            (Action::RequestReview, Assigned) => "Story must be implementing: call start first.",
            (Action::RequestReview, _) => {
                "Story is no longer implementing: it is already reported done. Next is review-complete."
            }
            (Action::Report, ReportedDone) => {
                "Story is already reported done. Next is review-complete, then verify."
            }
            (Action::Report, _) => {
                "The implementer must reach implementing, and call request-review, before anyone reports."
            }
            (Action::Unclaim, Pending) => "Story is pending: nothing to release.",
            (Action::Unclaim, _) => {
                "Verified work cannot be released. Ask the orchestrator to reject or force-unclaim it."
            }
            (Action::Verify, _) if verified => "Story is already verified. Reject it if it must be reworked.",
            (Action::Verify, _) => "Story must be in reported_done before it can be verified.",
            (Action::Reject, _) => "Story must be reported_done or verified before it can be rejected.",
            // The rest passes its state guard or answers otherwise (`not_reported`).
            _ => "Read the story (GET /api/v1/stories/:id) and follow its next_actions.",
        };
        let gone = verified
            || match state.agent_status {
                Pending | Contracted => false,
                Assigned | Implementing => !mine,
                ReportedDone => true,
            };
        let message = format!("Conflict: Cannot {action}{wants}{}", statuses(state));
        let refusal = Self::about(state, action, Status::Conflict, code, message).hint(hint);
        match action {
            Action::Contract | Action::Claim if gone => refusal.hint(PICK_ANOTHER),
            _ => refusal,
        }
    }
}

fn statuses(state: &LoopState) -> String {
    format!(
        ": story is in agent_status='{}', verified_status='{}'",
        state.agent_status, state.verified_status
    )
}
