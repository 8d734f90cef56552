//! Every state that any sequence of calls by anyone can reach, and every step on the way.

use std::collections::{HashSet, VecDeque};

use proptest::prelude::*;

use super::*;

/// A story as the world keeps it: its columns and its review records' times.
#[derive(Debug, Clone)]
struct World {
    state: LoopState,
    reviews: Vec<DateTime<Utc>>,
    clock: i64,
}

impl World {
    fn new() -> Self {
        Self { state: LoopState::untouched(), reviews: Vec::new(), clock: 0 }
    }

    /// The states in which a story can come into being: planned, or imported as done or verified.
    fn beginnings() -> impl Iterator<Item = Self> {
        let reported = LoopState {
            agent_status: AgentStatus::ReportedDone,
            reported_done_at: Some(at(0)),
            ..LoopState::untouched()
        };
        let verified = LoopState {
            verified_status: VerifiedStatus::Verified,
            verified_at: Some(at(0)),
            ..reported.clone()
        };
        [LoopState::untouched(), reported, verified].into_iter().map(|state| Self { state, ..Self::new() })
    }

    fn facts(&self) -> Facts {
        let reported = self.state.reported_done_at;
        let reviewed = reported.is_some_and(|reported| self.reviews.iter().any(|time| *time > reported));
        Facts { reviewed, ..facts(self.state.clone()) }
    }

    /// What the server does with one request: role, then rules, then effects.
    fn call(&mut self, action: Action, actor: &Actor, auto_reset_on: bool) -> Result<(), Option<Refusal>> {
        self.clock += 1;
        if !action.roles().contains(&actor.role) {
            return Err(None);
        }
        let next = decide(&self.facts(), &attempt(action), actor, at(self.clock)).map_err(Some)?;
        self.state = if action == Action::Reject && auto_reset_on { auto_reset(&next) } else { next };
        if action == Action::ReviewComplete {
            self.reviews.push(at(self.clock));
        }
        Ok(())
    }

    /// Everything but the clock values, which do not change what is possible.
    fn shape(&self) -> String {
        let s = &self.state;
        format!(
            "{} {} {:?} {} {:?} {} {}",
            s.agent_status,
            s.verified_status,
            s.assigned_agent_id,
            s.first_claimed_at.is_some(),
            s.reported_by_agent_id,
            s.reported_done_at.is_some(),
            self.facts().reviewed,
        )
    }
}

fn everyone() -> Vec<Actor> {
    let mut all = vec![actor(Role::User, None), actor(Role::Agent, None), actor(Role::Orchestrator, None)];
    for agent in [A, B] {
        all.extend([Role::Agent, Role::Orchestrator, Role::User].map(|role| actor(role, Some(agent))));
    }
    all.push(Actor { role: Role::Agent, agent_id: None, impersonating: true });
    all.push(Actor { role: Role::Orchestrator, agent_id: None, impersonating: true });
    all
}

/// Explores every state that any sequence of calls by anyone can reach, and looks at each step taken.
#[test]
fn no_reachable_step_breaks_the_trust_model() {
    for auto_reset_on in [true, false] {
        let mut seen = HashSet::new();
        let mut queue: VecDeque<_> = World::beginnings().collect();
        let (mut steps, mut verifications) = (0, 0);
        while let Some(world) = queue.pop_front() {
            for action in Action::ALL {
                for actor in everyone() {
                    let before = world.clone();
                    let mut after = world.clone();
                    match after.call(*action, &actor, auto_reset_on) {
                        Ok(()) => {}
                        Err(None) => continue,
                        Err(Some(refusal)) => {
                            assert_eq!(after.state, before.state, "a refusal changes nothing");
                            well_formed(&refusal);
                            continue;
                        }
                    }
                    steps += 1;
                    legal(&before, *action, &actor, &after);
                    let turned_verified = before.state.verified_status != VerifiedStatus::Verified
                        && after.state.verified_status == VerifiedStatus::Verified;
                    verifications += usize::from(turned_verified);
                    if seen.insert(after.shape()) {
                        queue.push_back(after);
                    }
                }
            }
        }
        assert!(seen.len() > 25, "{} states", seen.len());
        assert!(steps > 200 && verifications > 0, "{steps} steps, {verifications} verifications");
    }
}

/// What must hold of every step that is let through.
fn legal(before: &World, action: Action, actor: &Actor, after: &World) {
    let (was, is) = (&before.state, &after.state);
    if is.verified_status == VerifiedStatus::Verified && was.verified_status != VerifiedStatus::Verified {
        if was.first_claimed_at.is_some() {
            assert_eq!(action, Action::Verify, "work of the loop is verified in one way only");
            assert!(was.reported_by_agent_id.is_some() && was.reported_by_agent_id != was.assigned_agent_id);
        }
        match action {
            Action::Verify => {
                assert_eq!(actor.role, Role::Orchestrator);
                assert!(actor.agent_id.is_some() && actor.agent_id != was.assigned_agent_id);
                assert_eq!(was.agent_status, AgentStatus::ReportedDone);
                assert!(before.facts().reviewed);
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
        assert!(action != Action::Report || actor.agent_id.is_some());
        assert!(actor.agent_id.is_none() || actor.agent_id != was.assigned_agent_id);
    }
    if is.assigned_agent_id != was.assigned_agent_id && was.assigned_agent_id.is_some() {
        assert_eq!(is.assigned_agent_id, None, "a story is never passed from holder to holder");
        assert!(matches!(action, Action::Unclaim | Action::ForceUnclaim | Action::Reject));
    }
    if was.first_claimed_at.is_some() {
        assert_eq!(is.first_claimed_at, was.first_claimed_at, "the proof of dispatch is never lost");
    }
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

/// Every action that is offered to somebody who may do it passes, in every reachable state.
#[test]
fn next_actions_never_promise_what_would_be_refused() {
    let mut seen = HashSet::new();
    let mut queue: VecDeque<_> = World::beginnings().collect();
    while let Some(world) = queue.pop_front() {
        for actor in everyone() {
            for next in next_actions(&world.facts(), &actor) {
                let mut after = world.clone();
                match after.call(next.action, &actor, true) {
                    Ok(()) => {}
                    // `contract` and `claim` are shown to everyone, and a review is offered before `verify`.
                    Err(None) => assert!(matches!(next.action, Action::Contract | Action::Claim)),
                    Err(Some(refusal)) => assert!(
                        matches!(refusal.code, "agent_required" | "review_not_conducted"),
                        "{next:?} for {actor:?}: {refusal:?}"
                    ),
                }
            }
            for action in Action::ALL {
                let mut after = world.clone();
                if after.call(*action, &actor, true).is_ok() && seen.insert(after.shape()) {
                    queue.push_back(after);
                }
            }
        }
    }
}

proptest! {
    /// The heart of the product: whatever the keys of one agent do, in whatever order, once it has claimed the
    /// story, its own work is never verified.
    #[test]
    fn no_sequence_by_the_implementers_keys_verifies(
        calls in prop::collection::vec((0..Action::ALL.len(), 0..3_usize), 1..60),
        auto_reset_on: bool,
    ) {
        let keys = [Role::Agent, Role::Orchestrator, Role::User].map(|role| actor(role, Some(A)));
        let mut world = World::new();
        for action in [Action::Contract, Action::Claim] {
            prop_assert!(world.call(action, &keys[0], auto_reset_on).is_ok());
        }
        for (action, key) in calls {
            let _ = world.call(Action::ALL[action], &keys[key], auto_reset_on);
            prop_assert_ne!(world.state.verified_status, VerifiedStatus::Verified);
            prop_assert_ne!(world.state.agent_status, AgentStatus::ReportedDone);
        }
    }

    /// With everybody taking part in any order: what gets verified was claimed by one agent, and reported and
    /// verified by others.
    #[test]
    fn whoever_verifies_is_not_the_implementer(
        calls in prop::collection::vec((0..Action::ALL.len(), 0..11_usize), 1..120),
        auto_reset_on: bool,
    ) {
        let people = everyone();
        let mut world = World::new();
        for (action, person) in calls {
            let before = world.clone();
            if world.call(Action::ALL[action], &people[person % people.len()], auto_reset_on).is_ok() {
                legal(&before, Action::ALL[action], &people[person % people.len()], &world);
            }
        }
    }
}
