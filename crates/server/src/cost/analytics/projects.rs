//! What a project has cost.

use std::collections::BTreeMap;

use axum::Json;
use loopctl_core::cost::Total;
use loopctl_core::cost::measured::compare::Claimed;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::filter::SUMS;
use super::models_of::{FOLDED, ModelUsage, NAMED};
use crate::app::{Agent, AtLeast, Caller};
use crate::cost::measured::figures::{MeasuredFigures, of_projects};
use crate::db::{Row, statements};
use crate::http::{ApiError, ApiResult, Id, one};

statements! {
    /// What was used for a project, and of which budget. An unknown project yields no row.
    PROJECT_SPENDING -> ProjectSpending = "
        select {*}
        from projects p
        left join token_budgets b on b.tenant_id = $1 and b.scope_type = 'project' and b.scope_id = p.id
        cross join lateral (
            select coalesce(sum(input_tokens), 0) as input_tokens, coalesce(sum(output_tokens), 0) as output_tokens,
                   coalesce(sum(cost_millicents), 0) as cost_millicents, count(distinct agent_id) as agents,
                   count(distinct epic_id) as epics
            from usage_by_agent where tenant_id = $1 and project_id = p.id) u
        where p.tenant_id = $1 and p.id = $2";
    TOP_AGENTS -> TopAgent = "
        select {*} from (
            select agent_id, sum(cost_millicents) as cost_millicents from usage_by_agent
            where tenant_id = $1 and project_id = $2 group by 1) u
        join agents a on a.tenant_id = $1 and a.id = u.agent_id
        order by u.cost_millicents desc, a.name, a.id limit 3";
    BY_PHASE_AND_MODEL -> PhaseAndModel = ::constcat::concat!("
        select {*} from (
            select r.phase, ", NAMED, " as model_name, ", FOLDED, ", sum(r.stories)::bigint as stories
            from (
                select q.*, dense_rank() over (order by q.cost_of_model desc, q.model_name) as place
                from (
                    select d.phase, d.model_name, ", SUMS, ", count(*) filter (where d.story_before = '-infinity') as stories,
                           sum(sum(d.cost_millicents)) over (partition by d.model_name) as cost_of_model
                    from usage_by_day d where d.tenant_id = $1 and d.project_id = $2 group by 1, 2) q) r
            group by 1, 2) u");
}

/// What was used for a project.
#[derive(Debug, Row)]
pub(crate) struct ProjectSpending {
    #[row(sql = "p.name")]
    name: String,
    #[row(sql = "b.budget_millicents")]
    pub(crate) budget_millicents: Option<i64>,
    #[row(sql = "u.agents")]
    pub(crate) agents: i64,
    #[row(sql = "u.epics")]
    epics: i64,
    #[row(sql = "u.input_tokens")]
    pub(crate) input_tokens: Total,
    #[row(sql = "u.output_tokens")]
    pub(crate) output_tokens: Total,
    #[row(sql = "u.cost_millicents")]
    pub(crate) cost_millicents: Total,
}

impl ProjectSpending {
    /// How much of the budget that is; null without one.
    pub(crate) fn utilization_pct(&self) -> Option<Total> {
        self.budget_millicents.and_then(|budget| self.cost_millicents.percent_of(budget.into()))
    }
}

/// An agent, and what it has cost in the project.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(crate) struct TopAgent {
    #[row(sql = "a.id")]
    agent_id: Uuid,
    #[row(sql = "a.name")]
    agent_name: String,
    #[row(sql = "u.cost_millicents")]
    cost_millicents: Total,
}

/// What was used of a model in a phase.
#[derive(Debug, Row)]
pub(crate) struct PhaseAndModel {
    phase: String,
    model_name: String,
    input_tokens: Total,
    output_tokens: Total,
    cost_millicents: Total,
    stories: i64,
}

one! { pub(super) ProjectCostResponse { data: ProjectCost } }

/// What a project has cost.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ProjectCost {
    project_id: Uuid,
    project_name: String,
    total_cost_millicents: Total,
    total_cost_dollars: String,
    total_input_tokens: Total,
    total_output_tokens: Total,
    total_tokens: Total,
    /// That of the project itself.
    budget_millicents: Option<i64>,
    utilization_pct: Option<Total>,
    /// The same as `utilization_pct`.
    budget_utilization_pct: Option<Total>,
    /// The same as `utilization_pct`.
    budget_utilization_percent: Option<Total>,
    /// Only phases with reports.
    cost_by_phase: BTreeMap<String, Total>,
    /// The same as `cost_by_phase`.
    phase_breakdown: BTreeMap<String, Total>,
    /// The 100 models that have cost most, and the others together as `(other)`.
    model_breakdown: BTreeMap<String, ModelUsage>,
    /// The same, the most expensive first.
    models: Vec<ModelShare>,
    /// At most three, the most expensive first.
    top_agents: Vec<TopAgent>,
    /// Agents with reports.
    agent_count: i64,
    /// Stories with reports.
    story_count: i64,
    /// Epics with reports.
    epic_count: i64,
    avg_cost_per_story_millicents: Total,
    #[serde(flatten)]
    figures: MeasuredFigures,
}

/// A model, and its part in what the project has cost.
#[derive(Debug, Serialize, JsonSchema)]
struct ModelShare {
    model_name: String,
    cost_millicents: Total,
    /// Cut off; null where the project has cost nothing.
    percent: Option<Total>,
}

pub(super) async fn show(caller: Caller<AtLeast<Agent>>, Id(id): Id) -> ApiResult<Json<ProjectCostResponse>> {
    let params = [&id as _];
    let (spending, top_agents, parts) = caller
        .read((PROJECT_SPENDING.with(&params), TOP_AGENTS.with(&params), BY_PHASE_AND_MODEL.with(&params)))
        .await?;
    let spending = spending.into_iter().next().ok_or_else(ApiError::not_found)?;
    let claimed = Claimed {
        tokens: spending.input_tokens + spending.output_tokens,
        cost_millicents: spending.cost_millicents,
    };
    let figures = MeasuredFigures::of(of_projects(&caller, &[id]).await?.get(&id), claimed);
    Ok(Json(ProjectCostResponse { data: told(id, spending, top_agents, parts, figures) }))
}

fn told(
    project_id: Uuid,
    spending: ProjectSpending,
    top_agents: Vec<TopAgent>,
    parts: Vec<PhaseAndModel>,
    figures: MeasuredFigures,
) -> ProjectCost {
    let (cost, story_count) = (spending.cost_millicents, parts.iter().map(|part| part.stories).sum());
    let mut phases = BTreeMap::<String, Total>::new();
    let mut model_breakdown = BTreeMap::<String, ModelUsage>::new();
    for PhaseAndModel { phase, model_name, input_tokens, output_tokens, cost_millicents, .. } in parts {
        let of_phase = phases.entry(phase).or_default();
        *of_phase = *of_phase + cost_millicents;
        model_breakdown.entry(model_name).or_default().add(input_tokens, output_tokens, cost_millicents);
    }
    let share = |(name, usage): (&String, &ModelUsage)| ModelShare {
        model_name: name.clone(),
        cost_millicents: usage.cost_millicents,
        percent: usage.cost_millicents.percent_of(cost),
    };
    let mut models: Vec<_> = model_breakdown.iter().map(share).collect();
    // They are in the order of their names, which stays where they have cost the same.
    models.sort_by_key(|model| std::cmp::Reverse(model.cost_millicents));
    let utilization = spending.utilization_pct();
    ProjectCost {
        project_id,
        total_cost_millicents: cost,
        total_cost_dollars: cost.dollars(),
        total_input_tokens: spending.input_tokens,
        total_output_tokens: spending.output_tokens,
        total_tokens: spending.input_tokens + spending.output_tokens,
        budget_millicents: spending.budget_millicents,
        utilization_pct: utilization,
        budget_utilization_pct: utilization,
        budget_utilization_percent: utilization,
        phase_breakdown: phases.clone(),
        cost_by_phase: phases,
        model_breakdown,
        models,
        top_agents,
        agent_count: spending.agents,
        story_count,
        epic_count: spending.epics,
        avg_cost_per_story_millicents: cost.shared_by(story_count),
        project_name: spending.name,
        figures,
    }
}
