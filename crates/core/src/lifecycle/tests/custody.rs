//! Ways around "nobody signs off their own work" that were tried, and why they do not lead there.

use super::world::{Step, World};
use super::*;

const AUTO_RESET: bool = true;

/// Story and people of one attempt.
struct Scene {
    world: World,
    auto_reset: bool,
}

impl Scene {
    fn new() -> Self {
        Self { world: World::new(LoopState::untouched()), auto_reset: AUTO_RESET }
    }

    fn step(&mut self, step: Step, who: Actor) -> Result<(), Refusal> {
        self.world.call(step, &who, self.auto_reset).map_err(|refusal| refusal.expect("the role is right"))
    }

    #[track_caller]
    fn done(&mut self, who: Actor, actions: &[Action]) -> &mut Self {
        for action in actions {
            if let Err(refusal) = self.step(Step::Act(*action), who) {
                panic!("{action}: {refusal:?}");
            }
        }
        self
    }

    #[track_caller]
    fn refused(&mut self, who: Actor, action: Action, code: &str) -> Refusal {
        let refusal = self.step(Step::Act(action), who).expect_err("refused");
        assert_eq!(refusal.code.as_str(), code, "{action}");
        refusal
    }

    #[track_caller]
    fn edit(&mut self, who: Actor) {
        self.step(Step::Edit, who).expect("edited");
    }

    fn is_verified(&self) -> bool {
        self.world.state.verified_status == VerifiedStatus::Verified
    }
}

fn agent(id: Uuid) -> Actor {
    actor(Role::Agent, Some(id))
}

fn orchestrator(id: Uuid) -> Actor {
    actor(Role::Orchestrator, Some(id))
}

const WORK: [Action; 3] = [Action::Contract, Action::Claim, Action::Start];
const REVIEW: [Action; 1] = [Action::ReviewComplete];
const VERIFY: [Action; 1] = [Action::Verify];

#[test]
fn a_puppet_takes_over_nothing() {
    let mut scene = Scene::new();
    scene.done(agent(A), &WORK).done(agent(A), &[Action::Unclaim]).done(agent(B), &WORK);
    let refusal = scene.refused(agent(A), Action::Report, "self_report_blocked");
    let held = refusal.context["held"].as_array().unwrap();
    assert!(held.len() == 1 && held[0]["from"].is_string() && held[0]["until"].is_string(), "{held:?}");
    scene.done(agent(C), &[Action::Report]);
    for (who, action, code) in [
        (agent(A), Action::ReviewComplete, "self_review_blocked"),
        (actor(Role::User, Some(A)), Action::ReviewComplete, "self_review_blocked"),
        (orchestrator(A), Action::Verify, "self_verify_blocked"),
        (orchestrator(A), Action::Reject, "self_verify_blocked"),
        (agent(B), Action::ReviewComplete, "self_review_blocked"),
        (orchestrator(B), Action::Verify, "self_verify_blocked"),
    ] {
        scene.refused(who, action, code);
    }
    scene.done(agent(C), &REVIEW).done(orchestrator(C), &VERIFY);
}

/// It is shown when they held it: from the first time to the last, and now.
#[test]
fn a_refusal_says_when_the_story_was_held() {
    let mut scene = Scene::new();
    scene.done(agent(A), &WORK).done(agent(A), &[Action::Unclaim]).done(agent(A), &WORK);
    let refusal = scene.refused(agent(A), Action::Report, "self_report_blocked");
    let held = refusal.context["held"].as_array().unwrap();
    assert!(held.len() == 1 && held[0]["until"].is_null(), "{held:?}");
    let mut scene = Scene::new();
    scene.done(agent(A), &[Action::Contract, Action::Claim]);
    let refusal = scene.step(Step::Edit, orchestrator(A)).unwrap_err();
    assert_eq!(refusal.context["held"].as_array().unwrap().len(), 1, "claimed, and not started");
    assert_eq!(refusal.conflict.unwrap().action, "change-criteria");
    well_formed(&refusal);
}

#[test]
fn contracting_or_claiming_once_is_no_work() {
    let mut scene = Scene::new();
    scene.done(agent(B), &[Action::Contract, Action::Claim, Action::Unclaim]);
    scene.done(agent(A), &WORK).done(agent(B), &[Action::Report, Action::ReviewComplete]);
    scene.done(orchestrator(B), &VERIFY);
}

#[test]
fn roles_may_be_swapped_after_a_rejection() {
    for auto_reset in [true, false] {
        let mut scene = Scene { auto_reset, ..Scene::new() };
        scene.done(agent(A), &WORK).done(agent(B), &[Action::Report, Action::ReviewComplete]);
        scene.done(orchestrator(B), &[Action::Reject]);
        if !auto_reset {
            scene.done(agent(A), &[Action::Unclaim]);
        }
        scene.done(agent(B), &WORK).done(agent(A), &[Action::Report, Action::ReviewComplete]);
        scene.done(orchestrator(A), &VERIFY);
    }
}

/// What was rejected and stands is still the work of those who did it.
#[test]
fn a_rejection_without_reset_frees_nobody() {
    let mut scene = Scene { auto_reset: false, ..Scene::new() };
    scene.done(agent(A), &WORK).done(agent(A), &[Action::Unclaim]).done(agent(B), &WORK);
    scene.done(agent(C), &[Action::Report, Action::ReviewComplete]).done(orchestrator(C), &[Action::Reject]);
    for id in [A, B] {
        scene.refused(agent(id), Action::ReviewComplete, "self_review_blocked");
        scene.refused(orchestrator(id), Action::Verify, "self_verify_blocked");
    }
    // And the old review is one of what was rejected.
    scene.refused(orchestrator(C), Action::Verify, "review_not_conducted");
    scene.done(agent(C), &REVIEW).done(orchestrator(C), &VERIFY);
}

/// Nor does a verification: whose work it is stays known when it is taken from its holder.
#[test]
fn verified_work_stays_its_implementers() {
    let mut scene = Scene { auto_reset: false, ..Scene::new() };
    scene.done(agent(A), &WORK).done(agent(B), &[Action::Report, Action::ReviewComplete]);
    scene.done(orchestrator(B), &[Action::Reject]).done(agent(B), &REVIEW).done(orchestrator(B), &VERIFY);
    scene.done(orchestrator(B), &[Action::ForceUnclaim]);
    scene.refused(orchestrator(A), Action::Reject, "self_verify_blocked");
    assert_eq!(scene.step(Step::Edit, orchestrator(A)).unwrap_err().code.as_str(), "self_criteria_blocked");
    // Rejected once more, there is nothing of it left.
    scene.done(orchestrator(B), &[Action::Reject]).edit(orchestrator(A));
}

#[test]
fn a_review_is_of_one_report_whatever_the_clock_says() {
    for jump in [3600, -3600] {
        let mut scene = Scene::new();
        scene.done(agent(A), &WORK).done(agent(B), &[Action::Report, Action::ReviewComplete]);
        scene.done(orchestrator(C), &[Action::Reject]);
        scene.world.clock += jump;
        scene.done(agent(A), &WORK).done(agent(B), &[Action::Report]);
        scene.refused(orchestrator(C), Action::Verify, "review_not_conducted");
        scene.world.clock += jump;
        scene.done(agent(B), &REVIEW);
        scene.world.clock += jump;
        scene.done(orchestrator(C), &VERIFY);
    }
}

#[test]
fn a_review_is_of_the_criteria_that_it_saw() {
    let mut scene = Scene::new();
    scene.done(agent(A), &WORK).done(agent(B), &[Action::Report, Action::ReviewComplete]);
    scene.edit(orchestrator(C));
    let refusal = scene.refused(orchestrator(C), Action::Verify, "criteria_changed");
    assert!(refusal.hints[0].contains("Review again"), "{:?}", refusal.hints);
    // Back to what was reviewed.
    scene.edit(orchestrator(C));
    scene.done(orchestrator(C), &VERIFY);
    let state = &scene.world.state;
    assert_eq!(state.verified_digest, Some(scene.world.digest.clone()));
    assert_eq!(state.contracted_digest, state.verified_digest);
    scene.edit(actor(Role::User, None));
    assert!(scene.is_verified() && scene.world.state.verified_digest != Some(scene.world.digest.clone()));
    // The newest review decides.
    let mut scene = Scene::new();
    scene.done(agent(A), &WORK).done(agent(B), &[Action::Report, Action::ReviewComplete]);
    scene.edit(orchestrator(C));
    scene.done(agent(B), &REVIEW);
    scene.edit(orchestrator(C));
    scene.refused(orchestrator(C), Action::Verify, "criteria_changed");
}

#[test]
fn implementers_do_not_move_their_own_measure() {
    let mut scene = Scene::new();
    scene.done(agent(A), &WORK);
    for who in [orchestrator(A), actor(Role::User, Some(A))] {
        assert_eq!(scene.step(Step::Edit, who).unwrap_err().code.as_str(), "self_criteria_blocked");
    }
    scene.done(agent(A), &[Action::Unclaim]);
    assert_eq!(scene.step(Step::Edit, orchestrator(A)).unwrap_err().code.as_str(), "self_criteria_blocked");
    scene.edit(actor(Role::User, None));
}

#[test]
fn a_superadmin_is_one_whatever_role_it_takes() {
    let inside = |role| Actor { role, agent_id: None, impersonating: true };
    let mut scene = Scene::new();
    scene.done(inside(Role::Agent), &WORK);
    scene.refused(inside(Role::Agent), Action::Report, "agent_required");
    scene.done(agent(B), &[Action::Report]);
    scene.refused(inside(Role::User), Action::ReviewComplete, "self_review_blocked");
    assert_eq!(
        scene.step(Step::Edit, inside(Role::User)).unwrap_err().code.as_str(),
        "self_criteria_blocked"
    );
    scene
        .done(orchestrator(C), &[Action::ForceUnclaim])
        .done(agent(A), &WORK)
        .done(agent(B), &[Action::Report]);
    scene.refused(inside(Role::User), Action::ReviewComplete, "self_review_blocked");
    scene.done(actor(Role::User, None), &REVIEW).done(orchestrator(C), &VERIFY);
}

#[test]
fn what_an_agent_touched_is_not_pre_existing() {
    let ways: [fn(&mut Scene); 3] = [
        |scene| {
            scene.done(agent(A), &[Action::Contract]).done(orchestrator(C), &[Action::ForceUnclaim]);
        },
        |scene| scene.step(Step::Artifact, agent(A)).unwrap(),
        |scene| {
            scene.done(agent(A), &[Action::Contract]).done(orchestrator(C), &[Action::ForceUnclaim]);
            scene.step(Step::Replan, actor(Role::User, None)).unwrap();
        },
    ];
    for touch in ways {
        let mut scene = Scene::new();
        touch(&mut scene);
        for action in [Action::Backfill, Action::MarkComplete] {
            scene.refused(orchestrator(C), action, "not_pre_existing");
        }
        assert!(!scene.is_verified());
    }
    // What an orchestrator contracted may have been there before.
    let mut scene = Scene::new();
    scene.done(orchestrator(C), &[Action::Contract, Action::MarkComplete]);
    assert_eq!(scene.world.state.verification_source, Some(VerificationSource::MarkComplete));
}

/// What came as reported is reviewed and verified like any other, and known as what came.
#[test]
fn what_came_as_reported_is_not_of_the_loop() {
    let arrived = World::beginnings().nth(1).unwrap();
    let mut scene = Scene { world: arrived, auto_reset: false };
    scene.refused(orchestrator(C), Action::Verify, "review_not_conducted");
    scene.done(orchestrator(C), &[Action::ReviewComplete, Action::Verify]);
    assert_eq!(scene.world.state.verification_source, Some(VerificationSource::Import));
    scene.done(orchestrator(C), &[Action::Reject, Action::ReviewComplete, Action::Verify]);
    assert_eq!(scene.world.state.verification_source, Some(VerificationSource::Import));
    // Done again in the loop, it is of the loop.
    scene.done(orchestrator(C), &[Action::Reject, Action::ForceUnclaim]).done(agent(A), &WORK);
    scene.done(agent(B), &[Action::Report, Action::ReviewComplete]).done(orchestrator(B), &VERIFY);
    assert_eq!(scene.world.state.verification_source, Some(VerificationSource::Loop));
}

/// Registering is for agent keys: nobody else is sent there.
#[test]
fn a_key_without_an_agent_is_told_what_it_can_do() {
    let mut scene = Scene::new();
    scene.done(agent(A), &WORK);
    for (role, advice) in [(Role::Agent, "/api/v1/agents/register"), (Role::Orchestrator, "agent_id")] {
        let refusal = scene.step(Step::Act(Action::Report), actor(role, None)).unwrap_err();
        assert_eq!(refusal.code.as_str(), "agent_required");
        assert!(refusal.hints[0].contains(advice), "{:?}", refusal.hints);
    }
}
