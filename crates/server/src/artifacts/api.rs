//! Requests, responses and handlers of artifact reports.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use loopctl_core::fields::{FieldErrors, Fields, Length};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio_postgres::Row;
use utoipa::ToSchema;
use uuid::Uuid;

use super::store::{COUNT_ARTIFACTS, LIST_ARTIFACTS, STORY_PROJECT, insert};
use crate::App;
use crate::db::{DbError, Statement, Timestamp};
use crate::events;
use crate::http::caller::{Agent, Orchestrator};
use crate::http::page::Style;
use crate::http::{ApiError, ApiResult, AtLeast, Body, Caller, Exact, Id, List, Page, Query};

/// An artifact report.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ArtifactReport {
    pub(super) id: Uuid,
    tenant_id: Uuid,
    story_id: Uuid,
    /// `agent` or `orchestrator`, from the key's role.
    pub(super) reported_by: String,
    pub(super) reporter_agent_id: Option<Uuid>,
    pub(super) artifact_type: String,
    pub(super) path: String,
    pub(super) exists: bool,
    #[schema(value_type = Object)]
    details: Value,
    #[schema(value_type = String, format = DateTime)]
    inserted_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl ArtifactReport {
    /// Reads a row of `artifact_reports`.
    pub(crate) fn read(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            id: row.try_get("id")?,
            tenant_id: row.try_get("tenant_id")?,
            story_id: row.try_get("story_id")?,
            reported_by: row.try_get("reported_by")?,
            reporter_agent_id: row.try_get("reporter_agent_id")?,
            artifact_type: row.try_get("artifact_type")?,
            path: row.try_get("path")?,
            exists: row.try_get("exists")?,
            details: row.try_get("details")?,
            inserted_at: row.try_get("inserted_at")?,
            updated_at: row.try_get("updated_at")?,
        })
    }
}

/// An artifact to be reported, by itself or inside a story report.
#[derive(Debug, ToSchema)]
pub(crate) struct NewArtifact {
    /// Free-form, at most 255 characters: `migration`, `test`, …
    pub(super) artifact_type: String,
    /// At most 2000 characters.
    pub(super) path: String,
    /// Default true.
    pub(super) exists: bool,
    /// Default `{}`.
    #[schema(value_type = Option<Object>)]
    pub(super) details: Map<String, Value>,
}

impl NewArtifact {
    /// Reads and checks the fields.
    pub(crate) fn read(object: &Map<String, Value>) -> Result<Self, FieldErrors> {
        let mut fields = Fields::new(object);
        let new = Self {
            artifact_type: fields.required_text("artifact_type", Length::max(255)),
            path: fields.required_text("path", Length::max(2000)),
            exists: fields.boolean("exists").unwrap_or(true),
            details: fields.object("details").unwrap_or_default(),
        };
        fields.finish(new)
    }
}

/// Reports an artifact of a story.
#[utoipa::path(post, path = "/api/v1/stories/{id}/artifacts", tag = "Artifacts", params(("id" = Uuid, Path)),
    request_body = NewArtifact,
    responses((status = 201, body = ArtifactReport, description = "`{\"artifact_report\": …}`"), (status = 404), (status = 422)))]
pub(super) async fn create(
    State(app): State<App>,
    caller: Caller<Exact<(Agent, Orchestrator)>>,
    Id(story_id): Id,
    body: Body,
) -> ApiResult<(StatusCode, Json<Value>)> {
    let mut tx = app.db.tenant(caller.tenant_id).await?;
    let story = tx.query_opt(STORY_PROJECT, &[&caller.tenant_id, &story_id]).await?;
    let project_id = story.ok_or_else(ApiError::not_found)?.try_get("project_id")?;
    let new = body.read(NewArtifact::read)?;
    let (report, event) = insert(&mut tx, &caller, story_id, project_id, new).await?;
    events::record(tx, caller.tenant_id, &caller.attribution(), vec![event]).await?;
    Ok((StatusCode::CREATED, Json(json!({"artifact_report": report}))))
}

/// A story's artifacts, oldest first.
#[utoipa::path(get, path = "/api/v1/stories/{id}/artifacts", tag = "Artifacts",
    params(("id" = Uuid, Path), ("page" = Option<i64>, Query), ("page_size" = Option<i64>, Query)),
    responses((status = 200, body = List<ArtifactReport>), (status = 404)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller<AtLeast<Agent>>,
    Id(story_id): Id,
    query: Query,
) -> ApiResult<Json<List<ArtifactReport>>> {
    let page = Page::new(&query, Style::page(20, 100));
    let tx = app.db.tenant(caller.tenant_id).await?;
    let (count, rows) = tx
        .finish_list(
            Statement { sql: COUNT_ARTIFACTS, params: &[&caller.tenant_id, &story_id] },
            Statement {
                sql: LIST_ARTIFACTS,
                params: &[&caller.tenant_id, &story_id, &page.size, &page.skip],
            },
        )
        .await?;
    if !count.try_get::<_, bool>("known")? {
        return Err(ApiError::not_found());
    }
    let reports = rows.iter().map(ArtifactReport::read).collect::<Result<Vec<_>, _>>()?;
    Ok(Json(List { data: reports, meta: page.meta(count.try_get("total")?) }))
}
