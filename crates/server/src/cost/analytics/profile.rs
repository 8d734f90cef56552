//! Which models an agent uses, and for what.

use axum::Json;
use loopctl_core::cost::Total;
use loopctl_core::cost::measured::compare::Claimed;
use loopctl_core::request::Request;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::filter::{COUNTED, Filters, SUMS};
use super::mix::MixRow;
use super::models_of::NAMED;
use super::paged::PLANNED_ANEW;
use crate::app::{AtLeast, Caller, Orchestrator};
use crate::cost::measured::figures::{MeasuredFigures, of_agents};
use crate::db::statements;
use crate::http::{ApiError, ApiResult, Id, Query, one};

statements! {
    AGENT_NAME -> String = "select name from agents where tenant_id = $1 and id = $2";
    /// What it has used of each model that is told by its name, and of the others, in each phase. A story is counted once, also where
    /// several models are told together.
    PROFILE -> MixRow = ::constcat::concat!("
        with places as (
            select d.model_name, row_number() over (order by sum(d.cost_millicents) desc, d.model_name) as place
            from usage_by_day d where ", COUNTED, " and d.agent_id = $5 group by 1
        )
        select {*} from (
            select ", NAMED, " as model_name, d.phase, ", SUMS, ", count(distinct d.story_id) as stories,
                   count(distinct d.story_id) filter (where s.verified_status = 'verified') as verified,
                   count(distinct d.story_id) filter (where s.verified_status = 'rejected') as rejected,
                   (select count(*) from places) as models
            from usage_by_day d
            join places r on r.model_name = d.model_name
            join story_states s on s.tenant_id = $1 and s.id = d.story_id
            where ", COUNTED, " and d.agent_id = $5 group by 1, 2) u
        order by model_name, phase");
}

one! { pub(super) ModelProfileResponse { data: ModelProfile } }

/// Which models an agent uses.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ModelProfile {
    agent_id: Uuid,
    agent_name: String,
    model_count: i64,
    /// Whether it uses several.
    is_model_blender: bool,
    /// The 100 that have cost most, and `(other)` for the others.
    models_used: Vec<String>,
    total_cost_millicents: Total,
    /// By model and phase; of the models that are not named in `models_used` together, as `(other)`.
    usage: Vec<ProfileUsage>,
    /// Of the same days, and of the same project if one is asked for.
    #[serde(flatten)]
    figures: MeasuredFigures,
}

/// What an agent uses a model for.
#[derive(Debug, Serialize, JsonSchema)]
struct ProfileUsage {
    model_name: String,
    phase: String,
    total_input_tokens: Total,
    total_output_tokens: Total,
    total_cost_millicents: Total,
    report_count: i64,
    stories_count: i64,
    /// Stories that are verified now.
    verified_count: i64,
    /// Stories that are rejected now.
    rejected_count: i64,
    /// Of those that are either; null without any.
    verification_rate_pct: Option<Total>,
    /// Its part in what the agent has cost, cut off; null where that is nothing.
    cost_share_pct: Option<Total>,
}

#[derive(Request)]
pub(super) struct ShowModelProfile {
    #[flatten]
    filters: Filters,
}

pub(super) async fn show(
    caller: Caller<AtLeast<Orchestrator>>,
    Id(agent_id): Id,
    Query(query): Query<ShowModelProfile>,
) -> ApiResult<Json<ModelProfileResponse>> {
    let filter = query.filters.read()?;
    let params = [&filter.params()[..], &[&agent_id]].concat();
    let of_agent = [&agent_id as _];
    let asked = (PLANNED_ANEW.with(&[]), AGENT_NAME.with(&of_agent), PROFILE.with(&params));
    let (_, name, rows) = caller.read(asked).await?;
    let agent_name = name.into_iter().next().ok_or_else(ApiError::not_found)?;
    let total = rows.iter().map(|row| row.cost_millicents).sum();
    let usage: Vec<_> = rows.iter().filter_map(|row| used(row, total)).collect();
    let mut models_used: Vec<_> = usage.iter().map(|usage| usage.model_name.clone()).collect();
    models_used.dedup();
    let model_count = rows.first().map_or(0, |row| row.models);
    let tokens = rows.iter().map(|row| row.input_tokens + row.output_tokens).sum();
    let measured = of_agents(&caller, &[agent_id], filter.params()).await?;
    let claimed = Claimed { tokens, cost_millicents: total };
    Ok(Json(ModelProfileResponse {
        data: ModelProfile {
            agent_id,
            agent_name,
            model_count,
            is_model_blender: model_count > 1,
            models_used,
            total_cost_millicents: total,
            usage,
            figures: MeasuredFigures::of(measured.get(&agent_id), claimed),
        },
    }))
}

fn used(row: &MixRow, total: Total) -> Option<ProfileUsage> {
    let (model_name, phase) = row.cell()?;
    Some(ProfileUsage {
        model_name: model_name.to_owned(),
        phase: phase.to_owned(),
        total_input_tokens: row.input_tokens,
        total_output_tokens: row.output_tokens,
        total_cost_millicents: row.cost_millicents,
        report_count: row.reports,
        stories_count: row.stories,
        verified_count: row.outcomes.verified,
        rejected_count: row.outcomes.rejected,
        verification_rate_pct: row.outcomes.rate(),
        cost_share_pct: row.cost_millicents.percent_of(total),
    })
}
