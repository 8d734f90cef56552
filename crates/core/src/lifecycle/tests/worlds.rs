//! Every state that any sequence of calls by anyone can reach, and every step on the way.

use std::collections::{BTreeMap, HashSet, VecDeque};

use proptest::prelude::*;

use super::world::{Principal, Step, World, everyone, principal};
use super::*;

/// Explores every state that any sequence of calls by anyone can reach, and looks at each step taken.
#[test]
fn no_reachable_step_breaks_the_trust_model() {
    for auto_reset_on in [true, false] {
        let mut seen = HashSet::new();
        let mut queue: VecDeque<_> = World::beginnings().collect();
        let (mut steps, mut verifications) = (0, BTreeMap::new());
        while let Some(world) = queue.pop_front() {
            for step in Step::all() {
                for actor in everyone() {
                    let mut after = world.clone();
                    match after.call(step, &actor, auto_reset_on) {
                        Ok(()) => {}
                        Err(None) => continue,
                        Err(Some(refusal)) => {
                            assert_eq!(after.state, world.state, "a refusal changes nothing");
                            well_formed(&refusal);
                            continue;
                        }
                    }
                    steps += 1;
                    legal(&world, step, &actor, &after);
                    if turned_verified(&world, &after) {
                        *verifications.entry(after.state.verification_source).or_insert(0) += 1;
                    }
                    if seen.insert(after.shape()) {
                        queue.push_back(after);
                    }
                }
            }
        }
        println!("auto-reset {auto_reset_on}: {} states, {steps} steps, {verifications:?}", seen.len());
        assert!(seen.len() > 1000 && steps > 10_000, "{} states, {steps} steps", seen.len());
        assert_eq!(verifications.len(), VerificationSource::ALL.len(), "{verifications:?}");
    }
}

fn turned_verified(before: &World, after: &World) -> bool {
    let verified = |world: &World| world.state.verified_status == VerifiedStatus::Verified;
    verified(after) && !verified(before)
}

/// What must hold of every step that is let through.
fn legal(before: &World, step: Step, actor: &Actor, after: &World) {
    if let Step::Act(action) = step {
        legal_act(before, action, actor, after);
    }
    let (was, is) = (&before.state, &after.state);
    if turned_verified(before, after) {
        // What an agent touched is reviewed and verified or not at all, also after it was deleted.
        let judged = step == Step::Act(Action::Verify);
        assert!(judged || !before.happened.touched, "{step:?}");
        if judged {
            verified_by_others(before, actor);
        }
        let by_loop = is.verification_source == Some(VerificationSource::Loop);
        assert_eq!(by_loop, judged && before.happened.by_report, "{step:?}");
    }
    if step == Step::Edit {
        let who = principal(actor);
        let mut implementers = before.happened.started.iter().chain(&before.happened.reported);
        assert!(
            !implementers.any(|implementer| *implementer == who),
            "nobody moves the measure of their own work"
        );
    }
    assert_eq!(is.verification_source.is_some(), is.verified_status == VerifiedStatus::Verified);
    assert_eq!(is.verified_digest.is_some(), is.verified_status == VerifiedStatus::Verified);
    assert!(is.report_cycle.is_none_or(|cycle| cycle <= is.cycle));
    let replaced = matches!(step, Step::Replan | Step::Reimport);
    if !replaced {
        assert!(is.report_number >= was.report_number && is.cycle >= was.cycle, "order only grows");
        for (was, is) in
            [(was.first_claimed_at, is.first_claimed_at), (was.first_touched_at, is.first_touched_at)]
        {
            assert!(was.is_none() || was == is, "what was touched stays so");
        }
    }
    assert!(is.first_claimed_at.is_none() || is.first_touched_at.is_some());
    if is.assigned_at.is_some() {
        assert!(is.first_claimed_at.is_some());
    }
    match is.agent_status {
        AgentStatus::Pending | AgentStatus::Contracted => assert_eq!(is.assigned_at, None),
        AgentStatus::Assigned | AgentStatus::Implementing => assert!(is.assigned_at.is_some()),
        // Done outside the loop: nobody held it.
        AgentStatus::ReportedDone => assert!(is.assigned_at.is_some() || is.first_claimed_at.is_none()),
    }
    assert_eq!(is.agent_status == AgentStatus::ReportedDone, is.reported_done_at.is_some());
}

/// The invariant: an agent (or a person with a user key of no agent) that did not start the story in this cycle reviewed this
/// report of these criteria, and an agent that did not start it in this cycle verified it.
fn verified_by_others(before: &World, verifier: &Actor) {
    let happened = &before.happened;
    let started = |who: &Principal| happened.started.contains(who) || happened.reported.contains(who);
    let (reviewer, digest) = happened.reviewed.as_ref().expect("reviewed since the report and the rejection");
    assert!(!started(reviewer), "reviewed by {reviewer:?}: {happened:?}");
    assert_eq!(*digest, before.digest, "reviewed as it is");
    assert!(verifier.agent_id.is_some() && !started(&principal(verifier)), "verified by {verifier:?}");
}

fn legal_act(before: &World, action: Action, actor: &Actor, after: &World) {
    let (was, is) = (&before.state, &after.state);
    if turned_verified(before, after) {
        match action {
            Action::Verify => {
                assert_eq!(actor.role, Role::Orchestrator);
                assert_eq!(was.agent_status, AgentStatus::ReportedDone);
            }
            Action::MarkComplete => assert_eq!(actor.role, Role::Orchestrator),
            Action::Backfill => {
                assert!(actor.role >= Role::Orchestrator);
                assert_eq!(was.verified_status, VerifiedStatus::Unverified);
                assert_eq!(was.agent_status, AgentStatus::Pending);
            }
            other => panic!("{other} verifies nothing"),
        }
    }
    if is.agent_status == AgentStatus::ReportedDone && was.agent_status != AgentStatus::ReportedDone {
        assert!(matches!(action, Action::Report | Action::Backfill | Action::MarkComplete));
        let started = before.happened.started.contains(&principal(actor));
        assert!(
            action != Action::Report || actor.agent_id.is_some() && !started,
            "nobody reports their own work"
        );
    }
    if is.assigned_agent_id != was.assigned_agent_id && was.assigned_agent_id.is_some() {
        assert_eq!(is.assigned_agent_id, None, "a story is never passed from holder to holder");
        assert!(matches!(action, Action::Unclaim | Action::ForceUnclaim | Action::Reject));
    }
}

/// Every action that is offered to somebody who may do it passes, in every reachable state.
#[test]
fn next_actions_never_promise_what_would_be_refused() {
    let mut seen = HashSet::new();
    let mut queue: VecDeque<_> = World::beginnings().collect();
    while let Some(world) = queue.pop_front() {
        for actor in everyone() {
            for next in next_actions(&world.facts(), &actor) {
                let mut after = world.clone();
                match after.call(Step::Act(next.action), &actor, true) {
                    Ok(()) => {}
                    // `contract` and `claim` are shown to everyone, and a review is offered before `verify`.
                    Err(None) => assert!(matches!(next.action, Action::Contract | Action::Claim)),
                    Err(Some(refusal)) => assert!(
                        matches!(
                            refusal.code.as_str(),
                            "agent_required" | "review_not_conducted" | "criteria_changed"
                        ),
                        "{next:?} for {actor:?}: {refusal:?}"
                    ),
                }
            }
            for step in Step::all() {
                let mut after = world.clone();
                if after.call(step, &actor, true).is_ok() && seen.insert(after.shape()) {
                    queue.push_back(after);
                }
            }
        }
    }
}

/// A world in which all that happened is that A has the story in work.
fn in_work() -> World {
    let mut world = World::new(LoopState::untouched());
    for action in [Action::Contract, Action::Claim, Action::Start] {
        assert!(world.call(Step::Act(action), &actor(Role::Agent, Some(A)), true).is_ok());
    }
    world
}

proptest! {
    /// The heart of the product: whatever the keys of one agent do, in whatever order, once it has started the story, its own
    /// work is never verified; and not with the help of a puppet that does as it is told but never reviews or verifies.
    #[test]
    fn no_sequence_by_the_implementers_keys_verifies(
        calls in prop::collection::vec((0..Action::ALL.len(), 0..4_usize), 1..60),
        auto_reset_on: bool,
    ) {
        let mut keys = [Role::Agent, Role::Orchestrator, Role::User].map(|role| actor(role, Some(A))).to_vec();
        keys.push(actor(Role::Agent, Some(B)));
        let mut world = in_work();
        for (action, key) in calls {
            let action = Action::ALL[action];
            // What the puppet is for. Its own review would be another's, and is what the two of them cannot be kept from.
            let held_by_puppet = world.state.assigned_agent_id == Some(B);
            let puppet = key == 3;
            let puppets = matches!(action, Action::Contract | Action::Claim | Action::Start | Action::Unclaim);
            if puppet && !puppets || !puppet && !held_by_puppet && action == Action::Report {
                continue;
            }
            let _ = world.call(Step::Act(action), &keys[key], auto_reset_on);
            prop_assert_ne!(world.state.verified_status, VerifiedStatus::Verified);
        }
    }

    /// With everybody taking part in any order, and a clock that jumps: what holds of each step holds of all.
    #[test]
    fn whoever_verifies_is_not_the_implementer(
        calls in prop::collection::vec((0..Step::all().len(), 0..64_usize, -5000..5000_i64), 1..160),
        auto_reset_on: bool,
    ) {
        let (people, steps) = (everyone(), Step::all());
        let mut world = World::new(LoopState::untouched());
        for (step, person, jump) in calls {
            let before = world.clone();
            world.clock += jump;
            let person = &people[person % people.len()];
            if world.call(steps[step], person, auto_reset_on).is_ok() {
                legal(&before, steps[step], person, &world);
            }
        }
    }
}
