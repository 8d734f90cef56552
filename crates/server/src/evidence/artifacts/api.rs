//! Requests, answers and handlers of artifact reports.

use axum::Json;
use loopctl_core::json::JsonText;
use loopctl_core::request::{Request, boolean, object, text};
use schemars::JsonSchema;
use serde::Serialize;

use super::store::{ArtifactReport, KEEP_REPORTED_STORY, LIST_ARTIFACTS, insert};
use crate::app::{Agent, AtLeast, Caller, Exact, Orchestrator};
use crate::http::{ApiError, ApiResult, Body, Created, Id, List, Page, Query, pages};

/// An artifact to be reported, by itself or inside a story report.
#[derive(Debug, Clone, Request)]
pub(crate) struct NewArtifact {
    /// Free-form: `migration`, `test`, …
    #[rule(text(255).required())]
    pub(super) artifact_type: String,
    #[rule(text(2000).required())]
    pub(super) path: String,
    /// Whether it is there; default true.
    #[rule(boolean().or(true))]
    pub(super) exists: bool,
    /// Default `{}`.
    #[rule(object().below(65_536, "must be smaller than 64KB").or(JsonText::empty_object()))]
    pub(super) details: JsonText,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct OneArtifact {
    artifact_report: ArtifactReport,
}

pub(super) async fn create(
    caller: Caller<Exact<(Agent, Orchestrator)>>,
    Id(story_id): Id,
    body: Body<NewArtifact>,
) -> ApiResult<Created<OneArtifact>> {
    let artifact_report = caller
        .change(async |mut change| {
            let project_id = change.optional(KEEP_REPORTED_STORY, &[&caller.tenant_id, &story_id]).await?;
            let project_id = project_id.ok_or_else(ApiError::not_found)?;
            let (report, event) = insert(&mut change, &caller, story_id, project_id, body.valid()?).await?;
            change.tell([event]);
            change.commit(report).await
        })
        .await?;
    Ok(Created(OneArtifact { artifact_report }))
}

#[derive(Request)]
pub(super) struct ListArtifacts {
    #[rule(pages(20, 100))]
    page: Page,
}

pub(super) async fn list(
    caller: Caller<AtLeast<Agent>>,
    Id(story_id): Id,
    Query(query): Query<ListArtifacts>,
) -> ApiResult<Json<List<ArtifactReport>>> {
    caller.list(&LIST_ARTIFACTS, &[&caller.tenant_id, &story_id], &query.page).await.map(Json)
}
