//! What each model has cost, the most expensive first, and what became of its stories.

use axum::Json;
use loopctl_core::cost::Total;
use loopctl_core::request::Request;
use schemars::JsonSchema;
use serde::Serialize;

use super::filter::{COUNTED, Filters, SUMS};
use super::paged::{OfTotal, page, page_of};
use super::verified::Outcomes;
use crate::app::{Agent, AtLeast, Caller};
use crate::db::{Row, statements};
use crate::http::{ApiResult, List, Page, Query, pages};

statements! {
    MODELS -> OfTotal<ModelSums> = page_of!(
        ::constcat::concat!("
            by_model as (
                select d.model_name, ", SUMS, ", count(*) filter (where d.model_before < $3) as stories,
                       count(*) filter (where d.model_before < $3 and s.verified_status = 'verified') as verified,
                       count(*) filter (where d.model_before < $3 and s.verified_status = 'rejected') as rejected
                from usage_by_day d join story_states s on s.tenant_id = $1 and s.id = d.story_id
                where ", COUNTED, " group by 1
            )"),
        "select *, row_number() over (order by cost_millicents desc, model_name) as nth from by_model",
        "5", "6"
    );
}

/// What was used of a model.
#[derive(Debug, Row)]
pub(crate) struct ModelSums {
    model_name: String,
    input_tokens: Total,
    output_tokens: Total,
    cost_millicents: Total,
    reports: i64,
    stories: i64,
    #[row(flatten)]
    outcomes: Outcomes,
}

/// What a model has cost.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ModelCost {
    model_name: String,
    total_input_tokens: Total,
    total_output_tokens: Total,
    total_cost_millicents: Total,
    report_count: i64,
    avg_cost_per_report_millicents: Total,
    story_count: i64,
    /// Stories with a report of this model that are verified now.
    stories_verified_count: i64,
    /// Stories with a report of this model that are rejected now.
    stories_rejected_count: i64,
    /// Of those that are either; null without any.
    verification_rate_pct: Option<Total>,
}

impl From<ModelSums> for ModelCost {
    fn from(sums: ModelSums) -> Self {
        Self {
            model_name: sums.model_name,
            total_input_tokens: sums.input_tokens,
            total_output_tokens: sums.output_tokens,
            total_cost_millicents: sums.cost_millicents,
            report_count: sums.reports,
            avg_cost_per_report_millicents: sums.cost_millicents.shared_by(sums.reports),
            story_count: sums.stories,
            stories_verified_count: sums.outcomes.verified,
            stories_rejected_count: sums.outcomes.rejected,
            verification_rate_pct: sums.outcomes.rate(),
        }
    }
}

#[derive(Request)]
pub(super) struct ListModelCosts {
    #[flatten]
    filters: Filters,
    #[rule(pages(20, 100))]
    page: Page,
}

pub(super) async fn list(
    caller: Caller<AtLeast<Agent>>,
    Query(query): Query<ListModelCosts>,
) -> ApiResult<Json<List<ModelCost>>> {
    let filter = query.filters.read()?;
    let models = page(&caller, MODELS, &filter.params(), &query.page).await?;
    Ok(Json(models.map(ModelCost::from)))
}
