//! What the model knows of stories, for the walk that compares the server with it.

use chrono::{DateTime, Utc};
use loopctl_core::lifecycle::{
    self, Action, Actor, AgentStatus, Attempt, Backfill, Facts, Holding, LoopState, Prerequisite, Refusal,
    Review, VerifiedStatus,
};
use loopctl_core::role::Role;
use serde_json::{Value, json};

use crate::support::story;

/// A story.
pub(super) struct Known {
    pub(super) id: String,
    pub(super) state: LoopState,
    started: Vec<Holding>,
    /// Of each review the number of its report, its cycle, and the digest that it saw.
    reviews: Vec<(i32, i32, String)>,
    /// Stands for the digest of title and criteria: the criteria themselves.
    pub(super) digest: String,
    backfill: Option<Backfill>,
}

impl Known {
    pub(super) fn new(id: String) -> Self {
        let digest = story("1.1")["acceptance_criteria"].to_string();
        let state = LoopState::untouched();
        Self { id, state, started: Vec::new(), reviews: Vec::new(), digest, backfill: None }
    }

    /// Other criteria than now, as many as now.
    pub(super) fn other(&self) -> Value {
        let planned = story("1.1")["acceptance_criteria"].clone();
        let mut other = planned.clone();
        other[0]["criterion"] = json!("It works well");
        let is_planned = self.digest == format!("{planned}");
        if is_planned { other } else { planned }
    }

    /// Gives it other criteria.
    pub(super) fn edit(&mut self, actor: &Actor) -> Result<(), Option<Refusal>> {
        if actor.role < Role::Orchestrator {
            return Err(None);
        }
        lifecycle::admit_change_of_criteria(&self.state, &self.counting(), actor).map_err(Some)?;
        self.digest = self.other().to_string();
        Ok(())
    }

    fn counting(&self) -> Vec<Holding> {
        self.started.iter().filter(|holding| holding.counts_in(&self.state)).cloned().collect()
    }

    fn review(&self) -> Review {
        let of_now = (self.state.report_number, self.state.cycle);
        match self.reviews.iter().rev().find(|(report, cycle, _)| (*report, *cycle) == of_now) {
            None => Review::Missing,
            Some((_, _, digest)) if *digest == self.digest => Review::Current,
            Some(_) => Review::Outdated,
        }
    }
}

pub(super) struct World {
    pub(super) stories: Vec<Known>,
    pub(super) auto_reset: bool,
    pub(super) clock: i64,
}

impl World {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + self.clock, 0).unwrap()
    }

    /// The second story depends on the first.
    pub(super) fn facts(&self, index: usize, action: Action) -> Facts {
        let known = &self.stories[index];
        let first = &self.stories[0];
        let waits =
            index == 1 && action == Action::Claim && first.state.verified_status != VerifiedStatus::Verified;
        let unmet = waits.then(|| Prerequisite::Story {
            id: first.id.parse().unwrap(),
            number: "1.1".to_owned(),
            verified_status: first.state.verified_status,
        });
        Facts {
            state: known.state.clone(),
            title: "Build API".to_owned(),
            ac_count: 2,
            digest: known.digest.clone(),
            started: known.counting(),
            unmet: unmet.into_iter().collect(),
            review: known.review(),
            backfill: known.backfill.clone(),
        }
    }

    pub(super) fn decide(
        &self,
        index: usize,
        attempt: &Attempt,
        actor: &Actor,
    ) -> Result<LoopState, Option<Refusal>> {
        if !attempt.action().roles().contains(&actor.role) {
            return Err(None);
        }
        let facts = self.facts(index, attempt.action());
        let next = lifecycle::decide(&facts, attempt, actor, self.now()).map_err(Some)?;
        Ok(match attempt {
            Attempt::Reject { .. } if self.auto_reset => lifecycle::auto_reset(&next),
            _ => next,
        })
    }

    pub(super) fn settle(&mut self, index: usize, attempt: &Attempt, next: LoopState) {
        self.clock += 1;
        let now = self.now();
        let known = &mut self.stories[index];
        match attempt {
            Attempt::ReviewComplete => {
                known.reviews.push((next.report_number, next.cycle, known.digest.clone()));
            }
            Attempt::Backfill(backfill) => known.backfill = Some(backfill.clone()),
            Attempt::Start => {
                let (agent_id, from) = (next.assigned_agent_id, next.assigned_at.unwrap());
                Holding::note(&mut known.started, next.cycle, agent_id, from);
            }
            _ => {}
        }
        if next.agent_status == AgentStatus::Pending {
            known.started.iter_mut().for_each(|holding| holding.until = holding.until.or(Some(now)));
        }
        known.state = next;
    }
}
