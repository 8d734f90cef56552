//! What was used day by day, or week by week.

use axum::Json;
use loopctl_core::cost::Total;
use loopctl_core::request::{Request, text};
use schemars::JsonSchema;
use serde::Serialize;

use super::filter::{COUNTED, Filters};
use super::paged::{OfTotal, page, page_of};
use crate::app::{AtLeast, Caller, Orchestrator};
use crate::db::{Row, statements};
use crate::http::{ApiResult, List, Page, Query, pages};

statements! {
    /// Periods are days or weeks (`$5`), which begin on Monday. Days come first: there are few of them.
    TRENDS -> OfTotal<PeriodSums> = page_of!(
        ::constcat::concat!("
            by_day as (
                select d.day, date_trunc($5, d.day::timestamp)::date as period, d.agent_id,
                       sum(d.input_tokens) as input_tokens, sum(d.output_tokens) as output_tokens,
                       sum(d.cost_millicents) as cost_millicents, sum(d.reports) as reports,
                       count(*) filter (
                           where d.story_before < greatest(date_trunc($5, d.day::timestamp)::date, $3)) as stories
                from usage_by_day d where ", COUNTED, " group by 1, 2, 3
            ), by_period as (
                select period, sum(input_tokens) as input_tokens, sum(output_tokens) as output_tokens,
                       sum(cost_millicents) as cost_millicents, sum(reports)::bigint as reports,
                       sum(stories)::bigint as stories, count(distinct agent_id) as agents
                from by_day group by 1
            )"),
        "select *, row_number() over (order by period) as nth from by_period",
        "6", "7"
    );
}

/// What was used in a period.
#[derive(Debug, Row)]
pub(crate) struct PeriodSums {
    #[row(sql = "to_char(r.period, 'YYYY-MM-DD')")]
    period: String,
    input_tokens: Total,
    output_tokens: Total,
    cost_millicents: Total,
    reports: i64,
    stories: i64,
    agents: i64,
}

/// What a day or a week has cost.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct PeriodCost {
    /// The day, or the Monday of the week.
    period: String,
    total_cost_millicents: Total,
    total_input_tokens: Total,
    total_output_tokens: Total,
    total_tokens: Total,
    report_count: i64,
    unique_agents: i64,
    story_count: i64,
}

impl From<PeriodSums> for PeriodCost {
    fn from(sums: PeriodSums) -> Self {
        Self {
            period: sums.period,
            total_cost_millicents: sums.cost_millicents,
            total_input_tokens: sums.input_tokens,
            total_output_tokens: sums.output_tokens,
            total_tokens: sums.input_tokens + sums.output_tokens,
            report_count: sums.reports,
            unique_agents: sums.agents,
            story_count: sums.stories,
        }
    }
}

#[derive(Request)]
pub(super) struct ListTrends {
    /// `weekly`; anything else is `daily`.
    #[rule(text(usize::MAX))]
    granularity: Option<String>,
    #[flatten]
    filters: Filters,
    #[rule(pages(20, 100))]
    page: Page,
}

pub(super) async fn list(
    caller: Caller<AtLeast<Orchestrator>>,
    Query(query): Query<ListTrends>,
) -> ApiResult<Json<List<PeriodCost>>> {
    let filter = query.filters.read()?;
    let unit = if query.granularity.as_deref() == Some("weekly") { "week" } else { "day" };
    let params = [&filter.params()[..], &[&unit]].concat();
    let periods = page(&caller, TRENDS, &params, &query.page).await?;
    Ok(Json(periods.map(PeriodCost::from)))
}
