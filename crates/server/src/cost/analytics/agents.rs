//! What each agent has cost, the cheapest first.

use std::collections::BTreeMap;

use axum::Json;
use loopctl_core::cost::Total;
use loopctl_core::cost::measured::compare::Claimed;
use loopctl_core::request::Request;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::filter::{COUNTED, Filters, SUMS};
use super::models_of::{ByModel, COLLECTED, FOLDED, ModelUsage, NAMED};
use super::paged::{OfTotal, page, page_of};
use crate::app::{AtLeast, Caller, Orchestrator};
use crate::cost::measured::MeasuredSums;
use crate::cost::measured::figures::{MeasuredFigures, of_agents};
use crate::db::{Row, column, statements};
use crate::http::{ApiResult, List, Page, Query, pages};

statements! {
    /// Cost by story is compared exactly: the quotients of two agents that differ, differ before the last of these digits.
    AGENTS -> OfTotal<AgentSums> = page_of!(
        ::constcat::concat!("
            by_model as (
                select d.agent_id, d.model_name, ", SUMS, ", count(*) filter (where d.agent_before < $3) as stories,
                       row_number() over (partition by d.agent_id
                                          order by sum(d.cost_millicents) desc, d.model_name) as place,
                       row_number() over (partition by d.agent_id
                                          order by sum(d.input_tokens + d.output_tokens) desc, d.model_name) as by_tokens
                from usage_by_day d where ", COUNTED, " group by 1, 2
            ), named as (
                select r.agent_id, ", NAMED, " as model_name, ", FOLDED, ", sum(r.stories) as stories,
                       max(r.model_name) filter (where r.by_tokens = 1) as most_used
                from by_model r group by 1, 2
            ), by_agent as (
                select m.agent_id, sum(m.stories)::bigint as stories, max(m.most_used) as primary_model, ", COLLECTED, "
                from named m group by 1
            )"),
        "select u.*, a.name as agent_name,
                row_number() over (
                    order by div(u.cost_millicents * 1000000000000000000, u.stories), a.name, u.agent_id) as nth
         from by_agent u join agents a on a.tenant_id = $1 and a.id = u.agent_id",
        "5", "6"
    );
}

/// What an agent has used.
#[derive(Debug, Row)]
pub(crate) struct AgentSums {
    agent_id: Uuid,
    agent_name: String,
    stories: i64,
    input_tokens: Total,
    output_tokens: Total,
    cost_millicents: Total,
    reports: i64,
    primary_model: Option<String>,
    nth: i64,
    #[row(flatten)]
    models: ByModel,
}

/// What an agent has cost.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct AgentCost {
    agent_id: Uuid,
    agent_name: String,
    /// Stories that its reports are of, whatever became of them.
    total_stories_reported: i64,
    total_input_tokens: Total,
    total_output_tokens: Total,
    total_tokens: Total,
    total_cost_millicents: Total,
    /// The same as `total_cost_millicents`.
    cost_millicents: Total,
    avg_cost_per_story_millicents: Total,
    avg_tokens_per_story: Total,
    report_count: i64,
    /// The model with the most tokens; of several the first by name.
    primary_model: Option<String>,
    /// By cost per story: 1 is the cheapest.
    efficiency_rank: i64,
    /// The 100 models that have cost most, and the others together as `(other)`.
    model_breakdown: BTreeMap<String, ModelUsage>,
    /// Of the same days, and of the same project if one is asked for.
    #[serde(flatten)]
    figures: MeasuredFigures,
}

impl AgentCost {
    fn of(sums: AgentSums, measured: Option<&MeasuredSums>) -> Self {
        let (cost, tokens) = (sums.cost_millicents, sums.input_tokens + sums.output_tokens);
        Self {
            agent_id: sums.agent_id,
            agent_name: sums.agent_name,
            total_stories_reported: sums.stories,
            total_input_tokens: sums.input_tokens,
            total_output_tokens: sums.output_tokens,
            total_tokens: tokens,
            total_cost_millicents: cost,
            cost_millicents: cost,
            avg_cost_per_story_millicents: cost.shared_by(sums.stories),
            avg_tokens_per_story: tokens.shared_by(sums.stories),
            report_count: sums.reports,
            primary_model: sums.primary_model,
            efficiency_rank: sums.nth,
            model_breakdown: sums.models.breakdown(),
            figures: MeasuredFigures::of(measured, Claimed { tokens, cost_millicents: cost }),
        }
    }
}

#[derive(Request)]
pub(super) struct ListAgentCosts {
    #[flatten]
    filters: Filters,
    #[rule(pages(20, 100))]
    page: Page,
}

pub(super) async fn list(
    caller: Caller<AtLeast<Orchestrator>>,
    Query(query): Query<ListAgentCosts>,
) -> ApiResult<Json<List<AgentCost>>> {
    let filter = query.filters.read()?;
    let agents = page(&caller, AGENTS, &filter.params(), &query.page).await?;
    let ids = column(&agents.data, |agent| agent.agent_id);
    let measured = of_agents(&caller, &ids, filter.params()).await?;
    Ok(Json(agents.map(|sums| {
        let measured = measured.get(&sums.agent_id);
        AgentCost::of(sums, measured)
    })))
}
