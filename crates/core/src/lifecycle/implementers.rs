//! Who counts as the implementer of a story.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Actor, LoopState};

/// The time in which somebody who started a story held it, from the first time to the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// The cycle of the story in which they started it.
    pub cycle: i32,
    /// None for a superadmin, who has no agent: all of them are one.
    pub agent_id: Option<Uuid>,
    /// When it was claimed for the first time.
    pub from: DateTime<Utc>,
    /// When it was given back or taken away for the last time; None while it is held.
    pub until: Option<DateTime<Utc>>,
}

impl Holding {
    /// Notes among those of a story that its holder has started it, as the database does: for worlds without one.
    pub fn note(known: &mut Vec<Self>, cycle: i32, agent_id: Option<Uuid>, from: DateTime<Utc>) {
        match known.iter_mut().find(|holding| (holding.cycle, holding.agent_id) == (cycle, agent_id)) {
            Some(again) => again.until = None,
            None => known.push(Self { cycle, agent_id, from, until: None }),
        }
    }

    /// Whether it still counts when the story has come to this state: it is of the state's cycle, or of the cycle of the report
    /// that stands.
    pub fn counts_in(&self, state: &LoopState) -> bool {
        self.cycle == state.cycle || Some(self.cycle) == state.report_cycle
    }

    /// As the context of a refusal shows it.
    fn shown(&self) -> Value {
        let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Micros, true);
        json!({"from": time(self.from), "until": self.until.map(time)})
    }
}

impl Actor {
    /// Whether this actor implements (or implemented) what the story is now: whoever started it in this cycle, also if they
    /// gave it back, and whoever holds it. To have contracted or claimed it once does not count.
    pub(super) fn is_implementer(&self, state: &LoopState, started: &[Holding]) -> bool {
        self.holds(state) || started.iter().any(|holding| self.is(holding.agent_id))
    }

    /// When this actor held the story, for the context of a refusal.
    pub(super) fn held(&self, state: &LoopState, started: &[Holding]) -> Vec<Value> {
        let mine: Vec<_> = started.iter().filter(|holding| self.is(holding.agent_id)).collect();
        // Claimed and not started: no more than the state knows of it.
        let is_known = mine.iter().any(|holding| holding.until.is_none());
        let claimed = state.assigned_at.filter(|_| self.holds(state) && !is_known).map(|from| Holding {
            cycle: state.cycle,
            agent_id: self.agent_id,
            from,
            until: None,
        });
        mine.into_iter().chain(&claimed).map(Holding::shown).collect()
    }

    /// Whether this actor holds the claim. A claim made under impersonation has no agent, and then only such
    /// an impersonation holds it.
    pub(super) fn holds(&self, state: &LoopState) -> bool {
        state.assigned_at.is_some() && self.is(state.assigned_agent_id)
    }

    /// Whether this actor is that agent, or the superadmin where there is none.
    fn is(&self, agent_id: Option<Uuid>) -> bool {
        match agent_id {
            Some(_) => self.agent_id == agent_id,
            None => self.impersonating,
        }
    }
}
