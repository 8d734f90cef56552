//! From facts and an attempt to the next state or a refusal.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::refusal::Refusal;
use super::table::{AgentLink, Guard};
use super::{
    Action, Actor, AgentStatus, Attempt, Echo, Facts, LoopState, Review, VerificationSource, VerifiedStatus,
};
use crate::role::Role;

/// What can be refused before the story is looked up: a key without an agent where one is needed.
///
/// # Errors
/// 400 for an orchestrator's key that was created without an agent, 422 for a key that has yet to register its own.
pub fn admit(action: Action, actor: &Actor) -> Result<(), Refusal> {
    // A superadmin acting as an agent has no agent identity and may claim all the same.
    let claiming_by_impersonation = action == Action::Claim && actor.impersonating;
    if actor.agent_id.is_some() || claiming_by_impersonation {
        return Ok(());
    }
    match action.rule().agent {
        AgentLink::NotNeeded => Ok(()),
        AgentLink::RequiredUnlessUser if actor.role == Role::User => Ok(()),
        AgentLink::RequiredUnlessUser => {
            Err(Refusal::agent_required(super::Status::Unprocessable, actor.role))
        }
        AgentLink::Required(status) => Err(Refusal::agent_required(status, actor.role)),
    }
}

/// The state after `attempt` by `actor` at time `now`.
///
/// # Errors
/// The first guard of the rule that fails, in the contract's order.
pub fn decide(
    facts: &Facts,
    attempt: &Attempt,
    actor: &Actor,
    now: DateTime<Utc>,
) -> Result<LoopState, Refusal> {
    let action = attempt.action();
    admit(action, actor)?;
    if is_done_already(facts, attempt) {
        return Ok(facts.state.clone());
    }
    for guard in action.rule().guards {
        check(*guard, facts, attempt, actor)?;
    }
    Ok(apply(facts, attempt, actor, now))
}

/// Repeating a bootstrap call is no mistake: it succeeds and changes nothing.
fn is_done_already(facts: &Facts, attempt: &Attempt) -> bool {
    facts.state.verified_status == VerifiedStatus::Verified
        && match attempt {
            Attempt::Backfill(backfill) => {
                facts.state.verification_source == Some(VerificationSource::Backfill)
                    && facts.backfill.as_ref() == Some(backfill)
            }
            Attempt::MarkComplete => true,
            _ => false,
        }
}

fn check(guard: Guard, facts: &Facts, attempt: &Attempt, actor: &Actor) -> Result<(), Refusal> {
    let state = &facts.state;
    let action = attempt.action();
    let passes = match guard {
        Guard::State | Guard::StateUnprocessable => action.rule().allows_state(state),
        Guard::Assignee => actor.holds(state),
        Guard::NotVerified => state.verified_status != VerifiedStatus::Verified,
        Guard::NotImplementer => !actor.is_implementer(state, &facts.started),
        Guard::Dependencies => facts.unmet.is_empty(),
        Guard::ReviewRecord => facts.review == Review::Current,
        Guard::Undecided => state.verified_status == VerifiedStatus::Unverified,
        Guard::PreExisting => action.rule().allows_state(state) && state.first_touched_at.is_none(),
        Guard::Evidence => matches!(attempt, Attempt::Verify { evidence: true }),
        Guard::Echo => match attempt {
            Attempt::Contract(echo) => return check_echo(facts, echo, actor),
            _ => false,
        },
    };
    if passes {
        return Ok(());
    }
    Err(match guard {
        Guard::Assignee => Refusal::not_assigned(state, action),
        Guard::NotImplementer => Refusal::own_work(facts, action, actor),
        Guard::Dependencies => Refusal::dependencies(state, &facts.unmet),
        Guard::ReviewRecord if facts.review == Review::Outdated => Refusal::criteria_changed(state),
        Guard::ReviewRecord => Refusal::no_review_record(state),
        Guard::Undecided => Refusal::decided(state, action),
        Guard::PreExisting => Refusal::not_pre_existing(state, action),
        Guard::Evidence => Refusal::evidence_required(state),
        Guard::StateUnprocessable => Refusal::not_reported(state, action),
        Guard::State | Guard::NotVerified | Guard::Echo => Refusal::invalid_state(state, action, actor),
    })
}

/// Agents must echo, which shows that they read the story; an orchestrator that sends an echo is checked too, unless it
/// skips.
fn check_echo(facts: &Facts, echo: &Echo, actor: &Actor) -> Result<(), Refusal> {
    let absent = echo.story_title.is_none() && echo.ac_count.is_none();
    if actor.role == Role::Orchestrator && (echo.skip || absent) {
        return Ok(());
    }
    if echo.story_title.as_ref().and_then(Value::as_str) != Some(facts.title.as_str()) {
        return Err(Refusal::title_mismatch());
    }
    let given = match &echo.ac_count {
        Some(Value::Number(number)) => number.as_u64(),
        Some(Value::String(text)) => text.parse().ok(),
        _ => None,
    };
    if given != Some(facts.ac_count as u64) {
        return Err(Refusal::count_mismatch(facts.ac_count, echo.ac_count.as_ref()));
    }
    Ok(())
}

/// What each action sets and clears. Only called after the guards.
fn apply(facts: &Facts, attempt: &Attempt, actor: &Actor, now: DateTime<Utc>) -> LoopState {
    let state = &facts.state;
    let mut next = state.clone();
    match attempt {
        Attempt::Contract(_) => {
            next.agent_status = AgentStatus::Contracted;
            next.contracted_by_agent_id = actor.agent_id.filter(|_| actor.role == Role::Agent);
            next.contracted_digest = Some(facts.digest.clone());
            if actor.role == Role::Agent {
                next.first_touched_at = state.first_touched_at.or(Some(now));
            }
        }
        Attempt::Claim => {
            next.agent_status = AgentStatus::Assigned;
            next.assigned_agent_id = actor.agent_id;
            next.assigned_at = Some(now);
            next.first_claimed_at = state.first_claimed_at.or(Some(now));
            next.first_touched_at = state.first_touched_at.or(Some(now));
        }
        Attempt::Start => next.agent_status = AgentStatus::Implementing,
        Attempt::RequestReview => next.review_requested_at = Some(now),
        Attempt::Report => {
            next.agent_status = AgentStatus::ReportedDone;
            next.reported_done_at = Some(now);
            next.reported_by_agent_id = actor.agent_id;
            next.report_number = state.report_number + 1;
            next.report_cycle = Some(state.cycle);
            // Reworked after a rejection: it awaits verification again.
            if state.verified_status == VerifiedStatus::Rejected {
                next.verified_status = VerifiedStatus::Unverified;
            }
        }
        Attempt::Unclaim | Attempt::ForceUnclaim => next = released(state),
        Attempt::ReviewComplete => {}
        Attempt::Verify { .. } => {
            // What arrived as reported was reviewed here, but not worked on: nobody knows whose work it is.
            let source = match state.report_number {
                0 => VerificationSource::Import,
                _ => VerificationSource::Loop,
            };
            verify(&mut next, source, &facts.digest, now);
        }
        Attempt::Reject { reason } => {
            next.verified_status = VerifiedStatus::Rejected;
            next.verification_source = None;
            next.verified_digest = None;
            next.cycle = state.cycle + 1;
            // What was taken from its holder meanwhile does not stand.
            next.report_cycle =
                state.report_cycle.filter(|_| state.agent_status == AgentStatus::ReportedDone);
            next.rejected_at = Some(now);
            next.rejection_reason = Some(reason.clone());
        }
        Attempt::Backfill(_) | Attempt::MarkComplete => {
            let source = match attempt {
                Attempt::Backfill(_) => VerificationSource::Backfill,
                _ => VerificationSource::MarkComplete,
            };
            next.agent_status = AgentStatus::ReportedDone;
            next.reported_done_at = state.reported_done_at.or(Some(now));
            verify(&mut next, source, &facts.digest, now);
        }
    }
    next
}

fn verify(state: &mut LoopState, source: VerificationSource, digest: &str, now: DateTime<Utc>) {
    state.verified_status = VerifiedStatus::Verified;
    state.verified_at = Some(now);
    state.verification_source = Some(source);
    state.verified_digest = Some(digest.to_owned());
    state.rejected_at = None;
    state.rejection_reason = None;
}

/// The state after the automatic reset that follows a rejection.
pub fn auto_reset(state: &LoopState) -> LoopState {
    released(state)
}

/// Back to `pending`, with nothing left of the holder. What was verified or rejected stays as it is, and so
/// does what is never cleared.
fn released(state: &LoopState) -> LoopState {
    LoopState {
        agent_status: AgentStatus::Pending,
        assigned_agent_id: None,
        assigned_at: None,
        contracted_by_agent_id: None,
        review_requested_at: None,
        reported_done_at: None,
        reported_by_agent_id: None,
        // Verified work stands, whoever held it.
        report_cycle: state.report_cycle.filter(|_| state.verified_status == VerifiedStatus::Verified),
        contracted_digest: None,
        ..state.clone()
    }
}
