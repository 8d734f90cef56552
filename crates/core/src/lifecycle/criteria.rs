//! Title and criteria that change while a story is worked on, or after it was verified.

use super::refusal::Refusal;
use super::{Actor, AgentStatus, Holding, LoopState, VerifiedStatus};

/// Whether `actor` may change title or criteria: not whoever implements the story.
///
/// # Errors
/// `self_criteria_blocked`.
pub fn admit_change_of_criteria(
    state: &LoopState,
    started: &[Holding],
    actor: &Actor,
) -> Result<(), Refusal> {
    if actor.is_implementer(state, started) {
        return Err(Refusal::own_criteria(state, started, actor));
    }
    Ok(())
}

/// Whether somebody relies on title and criteria as they are: the story was contracted or more, or started in this cycle, or
/// is verified. A change of them is then told by an event of its own.
pub fn is_under_way(state: &LoopState, started: &[Holding]) -> bool {
    state.agent_status != AgentStatus::Pending
        || !started.is_empty()
        || state.verified_status == VerifiedStatus::Verified
}
