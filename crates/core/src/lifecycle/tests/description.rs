//! What clients are told of the table, beside what really happens to a story.

use std::collections::{BTreeSet, HashSet, VecDeque};

use super::world::{self, World, everyone};
use super::*;

/// A step, or a refusal with its status, as somebody met it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Met {
    Step(Action, Standing, Standing),
    Refusal(Action, u16, &'static str),
}

fn standing(state: &LoopState) -> Standing {
    Standing { agent_status: state.agent_status, verified_status: state.verified_status }
}

/// What anybody meets who does anything with a story, whatever has happened to it before. The tenant may set at any time what comes
/// of a rejection.
fn met() -> BTreeSet<Met> {
    let mut met = BTreeSet::new();
    let mut seen = HashSet::new();
    let mut queue: VecDeque<_> = World::beginnings().collect();
    let calls: Vec<_> = world::Step::all()
        .into_iter()
        .flat_map(|step| everyone().into_iter().map(move |actor| (step, actor)))
        .flat_map(|(step, actor)| [true, false].map(|auto_reset_on| (step, actor, auto_reset_on)))
        .filter(|(step, _, auto_reset_on)| *step == world::Step::Act(Action::Reject) || *auto_reset_on)
        .collect();
    while let Some(world) = queue.pop_front() {
        for (step, actor, auto_reset_on) in &calls {
            let mut after = world.clone();
            let outcome = after.call(*step, actor, *auto_reset_on);
            if let world::Step::Act(action) = *step {
                note(&mut met, action, &world, &after, &outcome);
            }
            if outcome.is_ok() && seen.insert(after.shape()) {
                queue.push_back(after);
            }
        }
    }
    met
}

fn note(
    met: &mut BTreeSet<Met>,
    action: Action,
    before: &World,
    after: &World,
    outcome: &Result<(), Option<Refusal>>,
) {
    // What was adopted already is left as it is.
    let adopts = matches!(action, Action::Backfill | Action::MarkComplete);
    match outcome {
        Ok(()) if adopts && after.state == before.state => {}
        Ok(()) => {
            met.insert(Met::Step(action, standing(&before.state), standing(&after.state)));
        }
        Err(Some(refusal)) => {
            met.insert(Met::Refusal(action, refusal.status as u16, refusal.code.as_str()));
        }
        Err(None) => {}
    }
}

#[test]
fn clients_are_told_what_really_happens() {
    let mut told = BTreeSet::new();
    for transition in transitions() {
        let action = transition.action;
        told.extend(transition.steps.iter().map(|step| Met::Step(action, step.from, step.to)));
        told.extend(
            transition
                .refusals
                .iter()
                .map(|refused| Met::Refusal(action, refused.status, refused.code.as_str())),
        );
        assert!(transition.refusals.iter().all(|refused| !refused.when.is_empty()), "{transition:?}");
        assert_eq!(transition.roles, action.roles());
    }
    let met = met();
    let untold: Vec<_> = met.difference(&told).collect();
    assert!(untold.is_empty(), "happens, and is not told: {untold:#?}");
    // In that world everybody echoes, has evidence, nothing comes before the story, and there are no budgets.
    let elsewhere = |met: &Met| {
        let codes = [
            "contract_mismatch",
            "review_evidence_required",
            "dependencies_not_met",
            "budget_exhausted",
            "token_budget_exceeded",
        ];
        matches!(met, Met::Refusal(_, _, code) if codes.contains(code))
    };
    let unmet: Vec<_> = told.difference(&met).filter(|met| !elsewhere(met)).collect();
    assert!(unmet.is_empty(), "told, and does not happen: {unmet:#?}");
}

#[test]
fn cases_are_told_in_words() {
    let told = |action: Action, code: &str| {
        let transition = transitions().into_iter().find(|told| told.action == action).unwrap();
        let refused = transition.refusals.into_iter().find(|refused| refused.code.as_str() == code).unwrap();
        (refused.status, refused.when)
    };
    for (action, code, status, when) in [
        (Action::Claim, "must_contract_first", 409, "the story is pending"),
        (
            Action::Claim,
            "invalid_transition",
            409,
            "the story is assigned or implementing or reported_done or verified",
        ),
        (
            Action::Claim,
            "dependencies_not_met",
            409,
            "a story or an epic that comes before it is not verified",
        ),
        (Action::Contract, "contract_mismatch", 422, "title or number of criteria are not echoed exactly"),
        (Action::Verify, "criteria_changed", 422, "title or criteria have changed since the review"),
        (Action::ForceUnclaim, "agent_required", 400, "the key is not bound to an agent"),
        (Action::Backfill, "story_rejected", 422, "the story is rejected"),
    ] {
        assert_eq!(told(action, code), (status, when.to_owned()), "{action}");
    }
}

#[test]
fn a_rejection_leads_where_the_tenant_has_set_it() {
    let reject = transitions().into_iter().find(|told| told.action == Action::Reject).unwrap();
    let from =
        Standing { agent_status: AgentStatus::ReportedDone, verified_status: VerifiedStatus::Verified };
    let ends: Vec<_> = reject.steps.iter().filter(|step| step.from == from).collect();
    let to = ends.iter().map(|step| step.to.agent_status).collect::<Vec<_>>();
    assert_eq!(to, [AgentStatus::Pending, AgentStatus::ReportedDone]);
    assert!(
        ends.iter().all(|step| step.to.verified_status == VerifiedStatus::Rejected && step.when.is_some())
    );
}
