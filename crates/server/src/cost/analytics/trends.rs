//! What was used day by day, or week by week.

use axum::Json;
use loopctl_core::cost::Total;
use loopctl_core::request::{Request, text};
use schemars::JsonSchema;
use serde::Serialize;

use super::filter::{COUNTED, Filters, SUMS};
use super::paged::{OfTotal, page, page_of};
use crate::app::{AtLeast, Caller, Orchestrator};
use crate::db::{Row, statements};
use crate::http::{ApiResult, List, Page, Query, pages};

/// The first day of the period of so many days (`$5`) that a day is in. Weeks begin on Monday, as the first day of our era did.
const PERIOD: &str = "(d.day - (d.day - date '0001-01-01') % $5::integer)";

statements! {
    /// Sums are few when they are ordered, and agents are looked at by themselves: both at once would be a sum for each agent and day.
    TRENDS -> OfTotal<PeriodSums> = page_of!(
        ::constcat::concat!("
            sums as (
                select ", PERIOD, " as period, ", SUMS, ",
                       count(*) filter (where d.story_before < greatest(", PERIOD, ", $3)) as stories
                from usage_by_day d where ", COUNTED, " group by 1
            ), agents as (
                select period, count(*) as agents from (
                    select ", PERIOD, " as period, d.agent_id from usage_by_day d where ", COUNTED, " group by 1, 2) a
                group by 1
            )"),
        "select *, row_number() over (order by period) as nth from sums join agents using (period)",
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
    let days = if query.granularity.as_deref() == Some("weekly") { 7 } else { 1 };
    let params = [&filter.params()[..], &[&days]].concat();
    let periods = page(&caller, TRENDS, &params, &query.page).await?;
    Ok(Json(periods.map(PeriodCost::from)))
}
