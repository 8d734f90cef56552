//! What each epic has cost, and of which budget: epics without usage as well.

use std::collections::BTreeMap;

use axum::Json;
use loopctl_core::cost::Total;
use loopctl_core::request::{Request, id};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::filter::SUMS;
use super::models_of::{ByModel, COLLECTED, FOLDED, ModelUsage, NAMED};
use crate::app::{Agent, AtLeast, Caller};
use crate::db::{Row, statements};
use crate::http::{ApiResult, List, Page, Query, pages};

statements! {
    /// Only the usage of the page's epics is added up.
    EPICS -> list of EpicSums = {
        within: "",
        count: "count(*) from epics where tenant_id = $1 and ($2::uuid is null or project_id = $2)",
        from: ::constcat::concat!("
            (select id, project_id, number, title from epics where tenant_id = $1 and ($2::uuid is null or project_id = $2)
             order by number, id limit $3 offset $4) e
            join epic_states s on s.tenant_id = $1 and s.id = e.id
            left join token_budgets b on b.tenant_id = $1 and b.scope_type = 'epic' and b.scope_id = e.id
            cross join lateral (
                select ", COLLECTED, "
                from (select ", NAMED, " as model_name, ", FOLDED, "
                      from (select d.model_name, ", SUMS, ",
                                   row_number() over (order by sum(d.cost_millicents) desc, d.model_name) as place
                            from usage_by_day d
                            where d.tenant_id = $1 and d.project_id = e.project_id and d.epic_id = e.id group by 1) r
                      group by 1) m) u"),
        page: "order by e.number, e.id",
    };
}

/// An epic with what was used for it.
#[derive(Debug, Row)]
pub(crate) struct EpicSums {
    #[row(sql = "e.id")]
    id: Uuid,
    #[row(sql = "e.number")]
    number: i32,
    #[row(sql = "e.title")]
    title: String,
    #[row(sql = "s.stories::bigint")]
    stories: i64,
    #[row(sql = "(s.stories - s.open)::bigint")]
    verified: i64,
    #[row(sql = "b.budget_millicents")]
    budget_millicents: Option<i64>,
    #[row(sql = "coalesce(u.input_tokens, 0)")]
    input_tokens: Total,
    #[row(sql = "coalesce(u.output_tokens, 0)")]
    output_tokens: Total,
    #[row(sql = "coalesce(u.cost_millicents, 0)")]
    cost_millicents: Total,
    #[row(flatten)]
    models: Option<ByModel>,
}

/// What an epic has cost.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct EpicCost {
    epic_id: Uuid,
    epic_name: String,
    /// The same as `epic_name`.
    epic_title: String,
    epic_number: i32,
    /// All stories of the epic.
    story_count: i64,
    /// Those that are verified.
    completed_story_count: i64,
    total_input_tokens: Total,
    total_output_tokens: Total,
    total_tokens: Total,
    total_cost_millicents: Total,
    /// The same as `total_cost_millicents`.
    cost_millicents: Total,
    avg_cost_per_story_millicents: Total,
    /// That of the epic itself.
    budget_millicents: Option<i64>,
    utilization_pct: Option<Total>,
    /// The same as `utilization_pct`.
    budget_utilization_pct: Option<Total>,
    /// The 100 models that have cost most, and the others together as `(other)`.
    model_breakdown: BTreeMap<String, ModelUsage>,
}

impl From<EpicSums> for EpicCost {
    fn from(sums: EpicSums) -> Self {
        let cost = sums.cost_millicents;
        let utilization = sums.budget_millicents.and_then(|budget| cost.percent_of(budget.into()));
        Self {
            epic_id: sums.id,
            epic_name: sums.title.clone(),
            epic_title: sums.title,
            epic_number: sums.number,
            story_count: sums.stories,
            completed_story_count: sums.verified,
            total_input_tokens: sums.input_tokens,
            total_output_tokens: sums.output_tokens,
            total_tokens: sums.input_tokens + sums.output_tokens,
            total_cost_millicents: cost,
            cost_millicents: cost,
            avg_cost_per_story_millicents: cost.shared_by(sums.stories),
            budget_millicents: sums.budget_millicents,
            utilization_pct: utilization,
            budget_utilization_pct: utilization,
            model_breakdown: sums.models.map(ByModel::breakdown).unwrap_or_default(),
        }
    }
}

#[derive(Request)]
pub(super) struct ListEpicCosts {
    /// Of this project alone; one that is not there has no epics.
    #[rule(id())]
    project_id: Option<Uuid>,
    #[rule(pages(20, 100))]
    page: Page,
}

pub(super) async fn list(
    caller: Caller<AtLeast<Agent>>,
    Query(query): Query<ListEpicCosts>,
) -> ApiResult<Json<List<EpicCost>>> {
    let epics = caller.list(&EPICS, &[&query.project_id], &query.page).await?;
    Ok(Json(epics.map(EpicCost::from)))
}
