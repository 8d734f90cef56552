//! Requests, answers and handlers of anomalies.

use axum::Json;
use loopctl_core::fields::INVALID;
use loopctl_core::request::{Request, boolean, flag, id, text};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::store::{CostAnomaly, LIST_ANOMALIES, LOCK_ANOMALY, PROJECT_OF_ANOMALIES, RESOLVE_ANOMALY};
use crate::app::{AtLeast, Caller, Identity, Orchestrator, User};
use crate::db::Timestamp;
use crate::events::Event;
use crate::http::{ApiError, ApiResult, Body, Id, List, Page, Query, one, pages};

#[derive(Request)]
struct Filters {
    /// `high_cost`, `suspiciously_low`, `budget_exceeded` or `claim_mismatch`.
    #[rule(text(usize::MAX))]
    anomaly_type: Option<String>,
    /// `true`: only those that somebody has resolved; anything else: only the others.
    #[rule(flag())]
    resolved: bool,
    /// Both.
    #[rule(flag())]
    include_resolved: bool,
    /// Those as well that are too old to be looked at.
    #[rule(flag())]
    include_archived: bool,
    #[rule(pages(20, 100))]
    page: Page,
}

#[derive(Request)]
pub(super) struct ListAnomalies {
    /// Of stories of this project; one that is not there has none.
    #[rule(id())]
    project_id: Option<Uuid>,
    #[flatten]
    filters: Filters,
}

async fn listed(
    caller: &Identity,
    project_id: Option<Uuid>,
    filters: &Filters,
) -> ApiResult<Json<List<CostAnomaly>>> {
    let Filters { anomaly_type, resolved, include_resolved, include_archived, page } = filters;
    let resolved = (!include_resolved).then_some(*resolved);
    caller
        .list(&LIST_ANOMALIES, &[anomaly_type, &project_id, &resolved, include_archived], page)
        .await
        .map(Json)
}

pub(super) async fn list(
    caller: Caller<AtLeast<Orchestrator>>,
    Query(query): Query<ListAnomalies>,
) -> ApiResult<Json<List<CostAnomaly>>> {
    listed(&caller, query.project_id, &query.filters).await
}

#[derive(Request)]
pub(super) struct ListAnomaliesOfProject {
    #[flatten]
    filters: Filters,
}

pub(super) async fn list_of_project(
    caller: Caller<AtLeast<Orchestrator>>,
    Id(id): Id,
    Query(query): Query<ListAnomaliesOfProject>,
) -> ApiResult<Json<List<CostAnomaly>>> {
    caller.find(PROJECT_OF_ANOMALIES, &[&id]).await?;
    listed(&caller, Some(id), &query.filters).await
}

/// `PATCH /cost-anomalies/:id`: a body is not needed.
#[derive(Request)]
pub(super) struct CostAnomalyUpdateRequest {
    /// Only `true`: what is resolved stays so.
    #[rule(boolean())]
    resolved: Option<bool>,
}

one! { pub(super) CostAnomalyResponse { cost_anomaly: ResolvedAnomaly } }

/// An anomaly that somebody has looked at.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ResolvedAnomaly {
    id: Uuid,
    resolved: bool,
    updated_at: Timestamp,
}

pub(super) async fn resolve(
    caller: Caller<AtLeast<User>>,
    Id(id): Id,
    body: Body<CostAnomalyUpdateRequest>,
) -> ApiResult<Json<CostAnomalyResponse>> {
    caller
        .change(async |mut change| {
            let old = change.found(LOCK_ANOMALY, &[&id]).await?;
            if body.valid()?.resolved == Some(false) {
                return Err(ApiError::invalid_field("resolved", INVALID));
            }
            let told = |updated_at| {
                Json(CostAnomalyResponse { cost_anomaly: ResolvedAnomaly { id, resolved: true, updated_at } })
            };
            if old.resolved {
                return change.unchanged(told(old.updated_at)).await;
            }
            let updated_at = change.one(RESOLVE_ANOMALY, &[&id]).await?;
            let event = Event::new("cost_anomaly", id, "resolved", json!({"resolved": true}));
            change.tell([event.old(json!({"resolved": false})).project(old.project_id)]);
            change.commit(told(updated_at)).await
        })
        .await
}
