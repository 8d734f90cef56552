//! Requests, answers and handlers of artifact reports.

use axum::Json;
use loopctl_core::json::JsonText;
use loopctl_core::request::{Request, boolean, small_object, text};

use super::store::{ArtifactReport, KEEP_REPORTED_STORY, LIST_ARTIFACTS, insert};
use crate::app::{Agent, AtLeast, Caller, Exact, Orchestrator};
use crate::http::{ApiResult, Body, Created, Id, List, Paged, Query, one};

/// An artifact to be reported, by itself or inside a story report.
#[derive(Debug, Clone, Request)]
pub(crate) struct ArtifactCreateRequest {
    /// Free-form: `migration`, `test`, …
    #[rule(text(255).required())]
    pub(super) artifact_type: String,
    #[rule(text(2000).required())]
    pub(super) path: String,
    /// Whether it is there; default true.
    #[rule(boolean().or(true))]
    pub(super) exists: bool,
    /// Default `{}`.
    #[rule(small_object().or(JsonText::empty_object()))]
    pub(super) details: JsonText,
}

one! { pub(super) ArtifactResponse { artifact_report: ArtifactReport } }

pub(super) async fn create(
    caller: Caller<Exact<(Agent, Orchestrator)>>,
    Id(story_id): Id,
    body: Body<ArtifactCreateRequest>,
) -> ApiResult<Created<ArtifactResponse>> {
    caller
        .change(async |mut change| {
            let story = change.found(KEEP_REPORTED_STORY, &[&story_id]).await?;
            let (report, event) = insert(&mut change, &story, body.valid()?).await?;
            change.tell([event]);
            change.commit(Created(ArtifactResponse { artifact_report: report })).await
        })
        .await
}

pub(super) async fn list(
    caller: Caller<AtLeast<Agent>>,
    Id(story_id): Id,
    Query(query): Query<Paged>,
) -> ApiResult<Json<List<ArtifactReport>>> {
    caller.list(&LIST_ARTIFACTS, &[&story_id], &query.page).await.map(Json)
}
