//! Sequences of calls, with the answers that are to be expected.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};

use crate::cast::Role;
use crate::rules::{Action, Refusal, Rules, Step};
use crate::story::{Shown, State};

/// A call and what is to be expected of it.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// Who does what.
    pub step: Step,
    /// Why it is refused, if it is.
    pub refusal: Option<Refusal>,
    /// What is to be seen of the story afterwards, if there is one.
    pub shown: Option<Shown>,
}

/// Calls, one after the other, that begin with a number which no story ever had.
pub type Trace = Vec<Call>;

/// What makes two calls much the same: what is to be seen before, the caller's role and whether an agent is behind it, what
/// it attempts, and what comes of it (which tells whether it is the holder, or an implementer, where that matters).
type Kind = (Option<Shown>, Role, bool, Action, Result<Option<Shown>, Refusal>);

/// The kinds of calls that occur in some traces.
#[derive(Debug, Default)]
pub struct Kinds(HashSet<Kind>);

fn shown(state: &State) -> Option<Shown> {
    state.story.map(|story| story.shown())
}

/// Takes a step, permitted or not.
fn take(rules: &Rules, state: &mut State, step: Step) -> Call {
    let answer = rules.answer(state, step);
    if let Ok(next) = answer {
        *state = next;
    }
    Call { step, refusal: answer.err(), shown: shown(state) }
}

/// Traces in which every kind of call occurs that there is in any state, refused ones included, unless it is among those
/// that are `covered` already. Each occurs where it first becomes possible, so traces are short.
pub fn covering(rules: &Rules, covered: &mut Kinds) -> Vec<Trace> {
    let explored = explore(rules, covered);
    let mut routes: Vec<Vec<Step>> = explored.samples.keys().map(|state| explored.way_to(state)).collect();
    let moves =
        explored.samples.iter().flat_map(|(state, steps)| steps.iter().map(move |step| (state, *step)));
    routes.extend(moves.filter(|(state, step)| moves_on(rules, state, *step)).map(|(state, step)| {
        let mut route = explored.way_to(state);
        route.push(step);
        route
    }));
    // A long way goes through the states of many shorter ones.
    routes.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
    let mut left = explored.samples;
    routes.into_iter().filter_map(|route| cover(rules, &route, &mut left)).collect()
}

fn moves_on(rules: &Rules, state: &State, step: Step) -> bool {
    rules.answer(state, step).is_ok_and(|next| next != *state)
}

/// The route, and on it whatever changes nothing and was not tried yet; none if there is nothing new.
fn cover(rules: &Rules, route: &[Step], left: &mut HashMap<State, Vec<Step>>) -> Option<Trace> {
    let (mut state, mut trace, mut new) = (State::default(), Trace::new(), false);
    for next in route.iter().map(Some).chain([None]) {
        if let Some(steps) = left.get_mut(&state) {
            let before = steps.len();
            steps.retain(|step| {
                let still = moves_on(rules, &state, *step);
                if !still {
                    trace.push(take(rules, &mut state.clone(), *step));
                }
                still && Some(step) != next
            });
            new |= steps.len() < before;
        }
        trace.extend(next.map(|step| take(rules, &mut state, *step)));
    }
    new.then_some(trace)
}

/// Every state, and the ways there.
struct Explored {
    /// The state before, and the step from it.
    came_from: HashMap<State, Option<(State, Step)>>,
    /// A state for each kind of call.
    samples: HashMap<State, Vec<Step>>,
}

impl Explored {
    fn way_to(&self, state: &State) -> Vec<Step> {
        let mut way = Vec::new();
        let mut at = state;
        while let Some(Some((before, step))) = self.came_from.get(at) {
            way.push(*step);
            at = before;
        }
        way.reverse();
        way
    }
}

fn explore(rules: &Rules, covered: &mut Kinds) -> Explored {
    let mut explored = Explored { came_from: HashMap::new(), samples: HashMap::new() };
    let mut queue = VecDeque::from([State::default()]);
    explored.came_from.insert(State::default(), None);
    while let Some(state) = queue.pop_front() {
        for step in Rules::steps(&state) {
            let answer = rules.answer(&state, step);
            let outcome = answer.as_ref().map(shown).map_err(|refusal| *refusal);
            let Step { key, action } = step;
            if covered.0.insert((shown(&state), key.role, key.has_agent(), action, outcome)) {
                explored.samples.entry(state).or_default().push(step);
            }
            if let Ok(next) = answer
                && let Entry::Vacant(unseen) = explored.came_from.entry(next)
            {
                unseen.insert(Some((state, step)));
                queue.push_back(next);
            }
        }
    }
    explored
}

/// So many walks of so many calls, the same ones for the same seed. About half of the calls are permitted.
pub fn random(rules: &Rules, seed: u64, walks: usize, calls: usize) -> Vec<Trace> {
    let mut dice = Dice(seed);
    let mut walk = |_| {
        let mut state = State::default();
        let mut call = |_| {
            let step = pick(rules, &state, &mut dice);
            take(rules, &mut state, step)
        };
        (0..calls).map(&mut call).collect()
    };
    (0..walks).map(&mut walk).collect()
}

/// Half of the time something that leads on, or a walk would get nowhere; and seldom what leads back to the beginning.
fn pick(rules: &Rules, state: &State, dice: &mut Dice) -> Step {
    let mut steps = Rules::steps(state);
    if dice.below(2) == 0 {
        let back = dice.below(8) == 0;
        let setback = |action| matches!(action, Action::Delete | Action::ForceUnclaim | Action::Unclaim);
        steps.retain(|step| moves_on(rules, state, *step) && (back || !setback(step.action)));
    }
    steps[dice.below(steps.len())]
}

/// A reproducible source of choices (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) as usize % bound
    }
}
