//! Every state of the model is visited, with each way of rejecting; and with each guard left out a property fails.

#![allow(clippy::panic, clippy::print_stdout, reason = "helpers of tests: clippy knows only test functions")]

use std::collections::BTreeSet;
use std::time::Instant;

use loopctl_model::cast::{USER, agent, orchestrator};
use loopctl_model::story::{Source, Verdict};
use loopctl_model::traces::{self, Kinds};
use loopctl_model::{Action, Key, Omission, Refusal, Rules, State, Step, Who};
use stateright::{Checker, HasDiscoveries, Model, Property};

const BY_OTHERS: &str = "what the loop verified was reviewed and verified by others";
const ADOPTED: &str = "what an agent touched is reviewed and verified or not at all";
const OWN_REPORT: &str = "nobody reports what they implemented";
const OWN_REJECTION: &str = "nobody rejects what they implemented";
const OWN_CRITERIA: &str = "nobody changes the criteria of their own work";
const STALE: &str = "a verification of other criteria says so";

type Promise = Property<Checked>;

/// The rules as the checker wants them.
struct Checked(Rules);

impl Model for Checked {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State::default()]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        steps.extend(Rules::steps(state));
    }

    fn next_state(&self, state: &State, step: Step) -> Option<State> {
        self.0.answer(state, step).ok()
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Promise::always(BY_OTHERS, |_, state| state.verified_work_was_reviewed_and_verified_by_others()),
            Promise::always(ADOPTED, |_, state| state.nothing_touched_was_adopted()),
            Promise::always(OWN_REPORT, |_, state| state.nobody_reported_their_own()),
            Promise::always(OWN_REJECTION, |_, state| state.nobody_rejected_their_own()),
            Promise::always(OWN_CRITERIA, |_, state| state.nobody_changed_their_own_criteria()),
            Promise::always(STALE, |_, state| state.stale_verifications_say_so()),
            Promise::sometimes("verified by the loop", |_, state| verified_by(state, Source::Loop)),
            Promise::sometimes("verified by backfill", |_, state| verified_by(state, Source::Backfill)),
            Promise::sometimes("verified by mark-complete", |_, state| {
                verified_by(state, Source::MarkComplete)
            }),
            Promise::sometimes("verified by import", |_, state| verified_by(state, Source::Import)),
            Promise::sometimes("verified by the loop and stale", |_, state| {
                verified_by(state, Source::Loop)
                    && state.story.is_some_and(|story| story.shown().verification_stale)
            }),
            Promise::sometimes("verified under a remembered number", |_, state| {
                state.remembered && verified_by(state, Source::Loop)
            }),
            Promise::sometimes("report refused", |model, state| {
                model.refuses(state, Refusal::SelfReportBlocked)
            }),
            Promise::sometimes("review refused", |model, state| {
                model.refuses(state, Refusal::SelfReviewBlocked)
            }),
            Promise::sometimes("verify refused", |model, state| {
                model.refuses(state, Refusal::SelfVerifyBlocked)
            }),
            Promise::sometimes("edit refused", |model, state| {
                model.refuses(state, Refusal::SelfCriteriaBlocked)
            }),
            Promise::sometimes("unreviewed", |model, state| {
                model.refuses(state, Refusal::ReviewNotConducted)
            }),
            Promise::sometimes("criteria changed", |model, state| {
                model.refuses(state, Refusal::CriteriaChanged)
            }),
            Promise::sometimes("not pre-existing", |model, state| {
                model.refuses(state, Refusal::NotPreExisting)
            }),
            Promise::sometimes("the superadmin is refused", |model, state| {
                let step = Step { key: Key { who: Some(Who::Root), ..USER }, action: Action::ReviewComplete };
                state.story.is_some() && model.0.answer(state, step) == Err(Refusal::SelfReviewBlocked)
            }),
        ]
    }
}

impl Checked {
    fn refuses(&self, state: &State, refusal: Refusal) -> bool {
        Rules::steps(state).into_iter().any(|step| self.0.answer(state, step) == Err(refusal))
    }
}

fn verified_by(state: &State, source: Source) -> bool {
    state.story.is_some_and(|story| story.verdict == Verdict::Verified(source))
}

fn every_state(auto_reset: bool) {
    let begun = Instant::now();
    let checker = Checked(Rules::new(auto_reset)).checker().spawn_bfs().join();
    println!(
        "auto-reset {auto_reset}: {} states, {} steps, depth {}, {:.1} s",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        begun.elapsed().as_secs_f64()
    );
    checker.assert_properties();
}

#[test]
fn every_state_with_auto_reset() {
    every_state(true);
}

#[test]
fn every_state_without_auto_reset() {
    every_state(false);
}

/// A checker that finds nothing may be blind: whatever is left out of the rules, a property fails.
#[test]
fn whatever_is_left_out_is_missed() {
    for omission in Omission::ALL {
        let rules = Rules { auto_reset: resets(omission), without: Some(omission) };
        let property = missed_by(omission);
        let once_found = HasDiscoveries::AnyOf(BTreeSet::from([property]));
        let checker = Checked(rules).checker().finish_when(once_found).spawn_bfs().join();
        let calls = checker.assert_any_discovery(property).into_actions().len();
        println!("without {omission:?}: {calls} calls, and it does not hold that {property}");
    }
}

/// Work stands after a rejection only without a reset; nothing else depends on it.
fn resets(omission: Omission) -> bool {
    !matches!(omission, Omission::WorkThatStands | Omission::ReviewOfCycle)
}

/// A property that fails.
fn missed_by(omission: Omission) -> &'static str {
    use Omission as O;
    match omission {
        O::SelfReport => OWN_REPORT,
        O::StartersAfterRelease | O::WorkThatStands | O::OnePrincipal | O::SelfReview | O::SelfVerify => {
            BY_OTHERS
        }
        O::Review | O::ReviewOfReport | O::ReviewOfCycle | O::ReviewOfCriteria | O::LoopIsReported => {
            BY_OTHERS
        }
        O::VerifiedIsClosed => BY_OTHERS,
        O::SelfReject => OWN_REJECTION,
        O::Holder | O::SelfCriteria => OWN_CRITERIA,
        O::ContractTouches | O::ClaimTouches | O::ArtifactTouches | O::TouchedAfterRelease => ADOPTED,
        O::BackfillPreExisting | O::MarkPreExisting | O::NumberRemembered | O::ImportPreExisting => ADOPTED,
        O::VerifiedDigest => STALE,
    }
}

/// What becomes of these calls, all of which must be permitted.
fn after(rules: &Rules, calls: &[(Key, Action)]) -> State {
    calls.iter().fold(State::default(), |state, &(key, action)| {
        let step = Step { key, action };
        rules.answer(&state, step).unwrap_or_else(|refusal| panic!("{step:?}: {refusal:?}"))
    })
}

/// A implements, B reviews; rejected; B implements, A reviews: and it is verified.
#[test]
fn after_a_rejection_roles_may_be_swapped() {
    let (a, b, o) = (agent(Who::A), agent(Who::B), orchestrator(Who::O));
    let round = |implementer, reviewer| {
        [
            (implementer, Action::Contract),
            (implementer, Action::Claim),
            (implementer, Action::Start),
            (reviewer, Action::Report),
            (reviewer, Action::ReviewComplete),
        ]
    };
    for (auto_reset, reset) in [(true, None), (false, Some((o, Action::ForceUnclaim)))] {
        let mut calls = vec![(USER, Action::Create)];
        calls.extend(round(a, b));
        calls.push((o, Action::Reject));
        calls.extend(reset);
        calls.extend(round(b, a));
        calls.push((o, Action::Verify));
        assert!(verified_by(&after(&Rules::new(auto_reset), &calls), Source::Loop));
    }
}

/// Who contracted or claimed a story once, and did not start it, may do everything else.
#[test]
fn to_have_contracted_or_claimed_is_not_to_have_worked() {
    let (a, b, o) = (agent(Who::A), agent(Who::B), orchestrator(Who::O));
    let state = after(
        &Rules::new(true),
        &[
            (USER, Action::Create),
            (b, Action::Contract),
            (b, Action::Claim),
            (b, Action::Unclaim),
            (b, Action::Contract),
            (a, Action::Claim),
            (a, Action::Start),
            (b, Action::Report),
            (b, Action::ReviewComplete),
            (o, Action::Verify),
        ],
    );
    assert!(verified_by(&state, Source::Loop));
}

/// What is to be replayed against a server, with one way of rejecting and then the other.
#[test]
fn traces_are_as_the_rules_say_and_the_same_every_time() {
    let both = || {
        let mut kinds = Kinds::default();
        [true, false].map(|auto_reset| {
            let rules = Rules::new(auto_reset);
            (rules, traces::covering(&rules, &mut kinds), traces::random(&rules, 7, 20, 60))
        })
    };
    let mut refused = BTreeSet::new();
    for (rules, covering, random) in both() {
        let calls: usize = covering.iter().map(Vec::len).sum();
        println!("auto-reset {}: {} traces of {calls} calls", rules.auto_reset, covering.len());
        let permitted = random.iter().flatten().filter(|call| call.refusal.is_none()).count();
        assert!((400..800).contains(&permitted), "{permitted} of 1200");
        for trace in covering.iter().chain(&random) {
            let mut state = State::default();
            for call in trace {
                match rules.answer(&state, call.step) {
                    Ok(next) => state = next,
                    Err(refusal) => assert_eq!(call.refusal, Some(refusal)),
                }
                assert_eq!(call.shown, state.story.map(|story| story.shown()));
                refused.extend(call.refusal);
            }
        }
    }
    assert_eq!(refused.len(), 15, "every refusal: {refused:?}");
    assert_eq!(format!("{:?}", both()), format!("{:?}", both()));
}
