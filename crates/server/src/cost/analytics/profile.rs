//! Which models an agent uses, and for what.

use axum::Json;
use loopctl_core::cost::Total;
use loopctl_core::request::Request;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::filter::Filters;
use super::mix::{MIX_OF_AGENT, MixRow};
use super::paged::PLANNED_ANEW;
use crate::app::{AtLeast, Caller, Orchestrator};
use crate::db::statements;
use crate::http::{ApiError, ApiResult, Id, Query, one};

statements! {
    AGENT_NAME -> String = "select name from agents where tenant_id = $1 and id = $2";
}

one! { pub(super) ModelProfileResponse { data: ModelProfile } }

/// Which models an agent uses.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ModelProfile {
    agent_id: Uuid,
    agent_name: String,
    model_count: usize,
    /// Whether it uses several.
    is_model_blender: bool,
    models_used: Vec<String>,
    total_cost_millicents: Total,
    /// By model and phase.
    usage: Vec<ProfileUsage>,
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
    let asked = (PLANNED_ANEW.with(&[]), AGENT_NAME.with(&of_agent), MIX_OF_AGENT.with(&params));
    let (_, name, rows) = caller.read(asked).await?;
    let agent_name = name.into_iter().next().ok_or_else(ApiError::not_found)?;
    let total = rows.iter().map(|row| row.cost_millicents).sum();
    let usage: Vec<_> = rows.iter().filter_map(|row| used(row, total)).collect();
    let mut models_used: Vec<_> = usage.iter().map(|usage| usage.model_name.clone()).collect();
    models_used.dedup();
    Ok(Json(ModelProfileResponse {
        data: ModelProfile {
            agent_id,
            agent_name,
            model_count: models_used.len(),
            is_model_blender: models_used.len() > 1,
            models_used,
            total_cost_millicents: total,
            usage,
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
