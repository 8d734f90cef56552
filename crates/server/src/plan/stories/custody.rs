//! Who started a story, and what that means for a change of its title or criteria.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use loopctl_core::lifecycle::{self, AgentStatus, Holding, LoopState, VerifiedStatus};
use serde_json::json;
use uuid::Uuid;

use crate::app::Change;
use crate::db::{Row, statements};
use crate::events::Event;
use crate::http::ApiResult;

/// Somebody who started a story in its cycle, or in that of the report that stands.
#[derive(Row)]
pub(crate) struct Started {
    #[row(sql = "b.cycle")]
    cycle: i32,
    agent_id: Option<Uuid>,
    held_from: DateTime<Utc>,
    held_until: Option<DateTime<Utc>>,
}

impl Started {
    /// As the rules see it.
    pub(crate) fn holding(self) -> Holding {
        Holding { cycle: self.cycle, agent_id: self.agent_id, from: self.held_from, until: self.held_until }
    }
}

/// As [`Started`], and which story.
#[derive(Row)]
pub(super) struct StartedStory {
    story_id: Uuid,
    #[row(flatten)]
    started: Started,
}

/// Where a story stands, as far as a change of its criteria is concerned.
#[derive(Row)]
pub(super) struct Standing {
    id: Uuid,
    agent_status: AgentStatus,
    verified_status: VerifiedStatus,
    assigned_agent_id: Option<Uuid>,
    assigned_at: Option<DateTime<Utc>>,
    cycle: i32,
    report_cycle: Option<i32>,
    #[row(sql = "encode(criteria_digest, 'hex')")]
    digest: String,
}

/// Which story now has which digest of title and criteria.
#[derive(Row)]
pub(crate) struct Digested {
    #[row(sql = "s.id")]
    pub(crate) id: Uuid,
    #[row(sql = "encode(s.criteria_digest, 'hex')")]
    pub(crate) digest: String,
}

/// Who started the stories with these ids, in order of time.
macro_rules! started {
    ($ids:literal) => {
        concat!(
            "select {*} from stories s
             join story_starts b
                 on b.tenant_id = s.tenant_id and b.story_id = s.id and b.cycle in (s.cycle, s.report_cycle)
             where s.tenant_id = $1 and s.id = ",
            $ids,
            " order by b.held_from, b.id"
        )
    };
}

statements! {
    STARTED -> Started = started!("$2");
    STARTED_AMONG -> StartedStory = started!("any($2)");
    STANDING -> Standing = "
        select {*} from stories where tenant_id = $1 and id = any($2) order by order_key, number, id";
}

/// Stories under way whose title or criteria are being changed, with their digest before.
pub(crate) struct UnderWay(HashMap<Uuid, String>);

impl UnderWay {
    /// Looks at locked stories whose title or criteria the caller is about to change.
    ///
    /// # Errors
    /// `self_criteria_blocked` when the caller implements one of them.
    pub(crate) async fn admit(change: &mut Change<'_>, ids: &[Uuid]) -> ApiResult<Self> {
        if ids.is_empty() {
            return Ok(Self(HashMap::new()));
        }
        let (standing, among) = change.batch((STANDING.with(&[&ids]), STARTED_AMONG.with(&[&ids]))).await?;
        let mut started: HashMap<Uuid, Vec<Holding>> = HashMap::new();
        for row in among {
            started.entry(row.story_id).or_default().push(row.started.holding());
        }
        let (caller, mut under_way) = (change.caller, HashMap::new());
        for story in standing {
            let state = LoopState {
                agent_status: story.agent_status,
                verified_status: story.verified_status,
                assigned_agent_id: story.assigned_agent_id,
                assigned_at: story.assigned_at,
                cycle: story.cycle,
                report_cycle: story.report_cycle,
                ..LoopState::untouched()
            };
            let started = started.remove(&story.id).unwrap_or_default();
            lifecycle::admit_change_of_criteria(&state, &started, &caller.actor())
                .map_err(|refusal| caller.refused(refusal).with("story_id", json!(story.id)))?;
            if lifecycle::is_under_way(&state, &started) {
                under_way.insert(story.id, story.digest);
            }
        }
        Ok(Self(under_way))
    }

    /// What is to be told of a story that now has this digest.
    pub(crate) fn changed(&self, id: Uuid, digest: &str) -> Option<Event> {
        let before = self.0.get(&id).filter(|before| *before != digest)?;
        let event = Event::new("story", id, "criteria_changed", json!({"criteria_digest": digest}));
        Some(event.old(json!({"criteria_digest": before})))
    }
}
