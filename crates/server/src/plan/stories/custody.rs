//! Who started a story, and what that means for a change of its title or criteria.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use loopctl_core::lifecycle::{self, AgentStatus, Holding, LoopState, VerifiedStatus};
use loopctl_core::webhooks::EventType;
use serde_json::json;
use uuid::Uuid;

use crate::app::Change;
use crate::db::{Row, statements};
use crate::events::{Event, Notice, OfStory};
use crate::http::ApiResult;

/// Those who started a story in its cycle, or in that of the report that stands, in the order of time: a column each.
#[derive(Row)]
pub(crate) struct Started {
    cycles: Option<Vec<i32>>,
    agent_ids: Option<Vec<Option<Uuid>>>,
    held_from: Option<Vec<DateTime<Utc>>>,
    held_until: Option<Vec<Option<DateTime<Utc>>>>,
}

impl Started {
    /// As the rules see it.
    pub(crate) fn holdings(self) -> Vec<Holding> {
        let cycles = self.cycles.unwrap_or_default().into_iter();
        let agents = self.agent_ids.unwrap_or_default();
        let held = self.held_from.unwrap_or_default().into_iter().zip(self.held_until.unwrap_or_default());
        let holdings = cycles.zip(agents).zip(held);
        holdings.map(|((cycle, agent_id), (from, until))| Holding { cycle, agent_id, from, until }).collect()
    }
}

/// Joins [`Started`] to stories of the alias `s`. Nobody is looked for of a story that was never claimed.
macro_rules! joining_started {
    () => {
        " left join lateral (
            select array_agg(b.cycle order by b.held_from, b.id) as cycles,
                   array_agg(b.agent_id order by b.held_from, b.id) as agent_ids,
                   array_agg(b.held_from order by b.held_from, b.id) as held_from,
                   array_agg(b.held_until order by b.held_from, b.id) as held_until
            from story_starts b
            where s.first_claimed_at is not null
              and b.tenant_id = s.tenant_id and b.story_id = s.id and b.cycle in (s.cycle, s.report_cycle)) started on true "
    };
}
pub(crate) use joining_started;

/// Where a story stands, as far as a change of its criteria is concerned.
#[derive(Row)]
pub(super) struct Standing {
    id: Uuid,
    project_id: Uuid,
    epic_id: Uuid,
    agent_status: AgentStatus,
    verified_status: VerifiedStatus,
    assigned_agent_id: Option<Uuid>,
    assigned_at: Option<DateTime<Utc>>,
    cycle: i32,
    report_cycle: Option<i32>,
    #[row(sql = "encode(criteria_digest, 'hex')")]
    digest: String,
    #[row(flatten)]
    started: Started,
}

/// Which story now has which digest of title and criteria.
#[derive(Row)]
pub(crate) struct Digested {
    #[row(sql = "s.id")]
    pub(crate) id: Uuid,
    #[row(sql = "encode(s.criteria_digest, 'hex')")]
    pub(crate) digest: String,
}

statements! {
    STANDING -> Standing = concat!(
        "select {*} from whole_stories s",
        joining_started!(),
        "where tenant_id = $1 and id = any($2) order by order_key, number, id"
    );
}

/// Stories under way whose title or criteria are being changed, with their digest before.
pub(crate) struct UnderWay(HashMap<Uuid, Before>);

/// A story before its criteria are changed.
struct Before {
    project_id: Uuid,
    epic_id: Uuid,
    digest: String,
}

impl UnderWay {
    /// Looks at locked stories whose title or criteria the caller is about to change.
    ///
    /// # Errors
    /// `self_criteria_blocked` when the caller implements one of them.
    pub(crate) async fn admit(change: &mut Change<'_>, ids: &[Uuid]) -> ApiResult<Self> {
        if ids.is_empty() {
            return Ok(Self(HashMap::new()));
        }
        let standing = change.all(STANDING, &[&ids]).await?;
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
            let started = story.started.holdings();
            lifecycle::admit_change_of_criteria(&state, &started, &caller.actor())
                .map_err(|refusal| caller.refused(refusal).with("story_id", json!(story.id)))?;
            if lifecycle::is_under_way(&state, &started) {
                let Standing { project_id, epic_id, digest, .. } = story;
                under_way.insert(story.id, Before { project_id, epic_id, digest });
            }
        }
        Ok(Self(under_way))
    }

    /// What is to be told of a story that now has this digest.
    pub(crate) fn changed(&self, id: Uuid, digest: &str) -> Option<Event> {
        let before = self.0.get(&id).filter(|before| before.digest != digest)?;
        let Before { project_id, epic_id, digest: old } = before;
        let what = json!({"old_criteria_digest": old, "new_criteria_digest": digest});
        let of_story = OfStory { story_id: id, project_id: *project_id, epic_id: *epic_id, what };
        let event = Event::new("story", id, "criteria_changed", json!({"criteria_digest": digest}))
            .old(json!({"criteria_digest": old}))
            .telling(Notice::new(EventType::StoryCriteriaChanged, &of_story));
        Some(event)
    }
}
