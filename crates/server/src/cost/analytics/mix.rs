//! Which models do which work, and whether those who use several are better off.

use axum::Json;
use loopctl_core::cost::Total;
use loopctl_core::cost::agents::{self, AgentUsage};
use loopctl_core::request::{Request, id};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::filter::{COUNTED, Filters, SUMS};
use super::paged::PLANNED_ANEW;
use super::verified::Outcomes;
use crate::app::{AtLeast, Caller, Orchestrator};
use crate::db::{Row, statements};
use crate::http::{ApiResult, Query, one};

statements! {
    /// One pass over the sums, for two questions: the few rows that come of it are added up by model and phase, and by agent. Of the
    /// first there are no more than the matrix has.
    MIX -> MixRow = ::constcat::concat!("
        with m as (
            select d.agent_id, d.model_name, d.phase, ", SUMS, ",
                   count(*) filter (where d.phase_before < $3) as stories,
                   count(*) filter (where d.phase_before < $3 and s.verified_status = 'verified') as verified,
                   count(*) filter (where d.phase_before < $3 and s.verified_status = 'rejected') as rejected,
                   count(*) filter (where d.agent_before < $3) as agent_stories,
                   count(*) filter (where d.agent_before < $3 and s.verified_status = 'verified') as agent_verified,
                   count(*) filter (where d.agent_before < $3 and s.verified_status = 'rejected') as agent_rejected
            from usage_by_day d join story_states s on s.tenant_id = $1 and s.id = d.story_id
            where ", COUNTED, " group by 1, 2, 3
        ), cells as (
            select model_name, phase, sum(input_tokens) as input_tokens, sum(output_tokens) as output_tokens,
                   sum(cost_millicents) as cost_millicents, sum(reports)::bigint as reports, sum(stories)::bigint as stories,
                   sum(verified)::bigint as verified, sum(rejected)::bigint as rejected, 1::bigint as models
            from m group by 1, 2 order by 1, 2 limit 1000
        )
        select {*} from (
            select * from cells
            union all
            select null, null, sum(input_tokens), sum(output_tokens), sum(cost_millicents), sum(reports)::bigint,
                   sum(agent_stories)::bigint, sum(agent_verified)::bigint, sum(agent_rejected)::bigint,
                   count(distinct model_name)
            from m group by agent_id) u
        order by model_name, phase");
    /// What one agent has used of each model in each phase, as much of it as the matrix has.
    MIX_OF_AGENT -> MixRow = ::constcat::concat!("
        select {*} from (
            select d.model_name, d.phase, ", SUMS, ", count(distinct d.story_id) as stories,
                   count(distinct d.story_id) filter (where s.verified_status = 'verified') as verified,
                   count(distinct d.story_id) filter (where s.verified_status = 'rejected') as rejected, 1::bigint as models
            from usage_by_day d join story_states s on s.tenant_id = $1 and s.id = d.story_id
            where ", COUNTED, " and d.agent_id = $5 group by 1, 2) u
        order by model_name, phase limit 1000");
}

/// What was used of a model in a phase, or, where both are null, what an agent has used.
#[derive(Debug, Row)]
pub(crate) struct MixRow {
    model_name: Option<String>,
    phase: Option<String>,
    pub(super) input_tokens: Total,
    pub(super) output_tokens: Total,
    pub(super) cost_millicents: Total,
    pub(super) reports: i64,
    pub(super) stories: i64,
    #[row(flatten)]
    pub(super) outcomes: Outcomes,
    /// How many different ones.
    pub(super) models: i64,
}

impl MixRow {
    /// Which model in which phase.
    pub(super) fn cell(&self) -> Option<(&str, &str)> {
        self.model_name.as_deref().zip(self.phase.as_deref())
    }
}

one! { pub(super) ModelMixResponse { data: ModelMix } }

/// Which models do which work.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ModelMix {
    /// By model and phase; at most 1000.
    matrix: Vec<ModelInPhase>,
    comparative: Comparison,
}

/// A model in a phase.
#[derive(Debug, Serialize, JsonSchema)]
struct ModelInPhase {
    model_name: String,
    phase: String,
    total_input_tokens: Total,
    total_output_tokens: Total,
    total_tokens: Total,
    total_cost_millicents: Total,
    stories_count: i64,
    /// Stories that are verified now.
    verified_count: i64,
    /// Stories that are rejected now.
    rejected_count: i64,
    /// Of those that are either; null without any.
    verification_rate_pct: Option<Total>,
}

/// Agents that use several models beside those that use one.
#[derive(Debug, Serialize, JsonSchema)]
struct Comparison {
    mixed_model: AgentGroup,
    single_model: AgentGroup,
}

/// What agents come to on average, each counting as much as the others.
#[derive(Debug, Serialize, JsonSchema)]
struct AgentGroup {
    agent_count: i64,
    /// Of agents with stories that are verified or rejected; null without any.
    avg_verification_rate_pct: Option<Total>,
    /// Of agents that have cost something; null without agents.
    avg_cost_per_story_millicents: Option<Total>,
}

impl AgentGroup {
    fn of<'a>(agents: impl Iterator<Item = &'a MixRow>) -> Self {
        let usage = |agent: &MixRow| AgentUsage {
            cost_millicents: agent.cost_millicents,
            stories: agent.stories,
            verification_rate_pct: agent.outcomes.rate(),
        };
        let group = agents::AgentGroup::of(&agents.map(usage).collect::<Vec<_>>());
        Self {
            agent_count: group.count,
            avg_verification_rate_pct: group.verification_rate_pct,
            avg_cost_per_story_millicents: group.cost_per_story_millicents,
        }
    }
}

#[derive(Request)]
pub(super) struct ShowModelMix {
    #[flatten]
    filters: Filters,
    /// The matrix is of this agent alone; agents are compared all the same.
    #[rule(id())]
    agent_id: Option<Uuid>,
}

pub(super) async fn show(
    caller: Caller<AtLeast<Orchestrator>>,
    Query(query): Query<ShowModelMix>,
) -> ApiResult<Json<ModelMixResponse>> {
    let filter = query.filters.read()?;
    let filters = filter.params();
    let (all, cells) = match &query.agent_id {
        None => {
            let (_, all) = caller.read((PLANNED_ANEW.with(&[]), MIX.with(&filters))).await?;
            let (cells, agents) = all.into_iter().partition(|row| row.cell().is_some());
            (agents, cells)
        }
        Some(agent_id) => {
            let of_agent = [&filters[..], &[agent_id]].concat();
            let asked = (PLANNED_ANEW.with(&[]), MIX.with(&filters), MIX_OF_AGENT.with(&of_agent));
            let (_, all, cells) = caller.read(asked).await?;
            (all, cells)
        }
    };
    let agents =
        |several: bool| all.iter().filter(move |row| row.cell().is_none() && (row.models > 1) == several);
    let comparative =
        Comparison { mixed_model: AgentGroup::of(agents(true)), single_model: AgentGroup::of(agents(false)) };
    let matrix = cells.iter().filter_map(cell).collect();
    Ok(Json(ModelMixResponse { data: ModelMix { matrix, comparative } }))
}

fn cell(row: &MixRow) -> Option<ModelInPhase> {
    let (model_name, phase) = row.cell()?;
    Some(ModelInPhase {
        model_name: model_name.to_owned(),
        phase: phase.to_owned(),
        total_input_tokens: row.input_tokens,
        total_output_tokens: row.output_tokens,
        total_tokens: row.input_tokens + row.output_tokens,
        total_cost_millicents: row.cost_millicents,
        stories_count: row.stories,
        verified_count: row.outcomes.verified,
        rejected_count: row.outcomes.rejected,
        verification_rate_pct: row.outcomes.rate(),
    })
}
