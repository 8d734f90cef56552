//! What is read of epics.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::store::{COUNT_EPICS, EPIC_PROGRESS, EPIC_STORIES, LIST_EPICS, SHOW_EPIC, read, read_mini};
use crate::App;
use crate::db::{Statement, Timestamp};
use crate::http::caller::Agent;
use crate::http::page::Style;
use crate::http::{ApiError, ApiResult, AtLeast, Caller, Id, List, Page, Query};
use crate::projects::{by_status, percentage};

/// An epic (file 03 §2.2).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Epic {
    pub(super) id: Uuid,
    pub(super) tenant_id: Uuid,
    pub(super) project_id: Uuid,
    pub(super) number: i32,
    pub(super) title: String,
    pub(super) description: Option<String>,
    pub(super) phase: Option<String>,
    pub(super) position: i32,
    #[schema(value_type = Object)]
    pub(super) metadata: Value,
    /// When all of its stories were verified for the first time.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(super) completed_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    pub(super) inserted_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub(super) updated_at: Timestamp,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EpicItem {
    #[serde(flatten)]
    epic: Epic,
    story_count: i64,
    /// Verified stories in per cent, one decimal; 0.0 without stories.
    completion_percentage: f64,
}

#[derive(Debug, Serialize, ToSchema)]
struct EpicDetail {
    #[serde(flatten)]
    epic: Epic,
    stories: Vec<StoryMini>,
}

/// A story in an epic's detail.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StoryMini {
    pub(super) id: Uuid,
    pub(super) number: String,
    pub(super) title: String,
    pub(super) agent_status: String,
    pub(super) verified_status: String,
}

/// How far an epic is (file 03 §4.2).
#[derive(Debug, Serialize, ToSchema)]
struct EpicProgress {
    total_stories: i64,
    /// Every status, also those with no stories.
    #[schema(value_type = Object)]
    stories_by_agent_status: Map<String, Value>,
    /// Every status, also those with no stories.
    #[schema(value_type = Object)]
    stories_by_verified_status: Map<String, Value>,
    /// Verified stories in per cent, one decimal.
    verification_percentage: f64,
}

/// A project's epics by position and number.
#[utoipa::path(get, path = "/api/v1/projects/{project_id}/epics", tag = "Epics",
    params(("project_id" = Uuid, Path), ("phase" = Option<String>, Query),
           ("page" = Option<i64>, Query), ("page_size" = Option<i64>, Query)),
    responses((status = 200, body = List<EpicItem>), (status = 404)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller<AtLeast<Agent>>,
    Id(project_id): Id,
    query: Query,
) -> ApiResult<Json<List<EpicItem>>> {
    let page = Page::new(&query, Style::page(20, 100));
    let phase = query.text("phase");
    let tenant_id = caller.tenant_id;
    let tx = app.db.tenant(tenant_id).await?;
    let (count, rows) = tx
        .finish_list(
            Statement { sql: COUNT_EPICS, params: &[&tenant_id, &project_id, &phase] },
            Statement { sql: LIST_EPICS, params: &[&tenant_id, &project_id, &phase, &page.size, &page.skip] },
        )
        .await?;
    if !count.try_get::<_, bool>("known")? {
        return Err(ApiError::not_found());
    }
    let mut epics = Vec::with_capacity(rows.len());
    for row in &rows {
        let story_count = row.try_get("story_count")?;
        let completion_percentage = percentage(row.try_get("verified_count")?, story_count);
        epics.push(EpicItem { epic: read(row)?, story_count, completion_percentage });
    }
    Ok(Json(List { data: epics, meta: page.meta(count.try_get("total")?) }))
}

/// One epic with its stories in number order.
#[utoipa::path(get, path = "/api/v1/epics/{id}", tag = "Epics", params(("id" = Uuid, Path)),
    responses((status = 200, body = EpicDetail, description = "`{\"epic\": …}`"), (status = 404)))]
pub(super) async fn show(
    State(app): State<App>,
    caller: Caller<AtLeast<Agent>>,
    Id(id): Id,
) -> ApiResult<Json<Value>> {
    let tx = app.db.tenant(caller.tenant_id).await?;
    let params: &[&(dyn tokio_postgres::types::ToSql + Sync)] = &[&caller.tenant_id, &id];
    let answers =
        tx.finish(&[Statement { sql: SHOW_EPIC, params }, Statement { sql: EPIC_STORIES, params }]).await?;
    let [epics, stories] = answers.as_slice() else {
        return Err(ApiError::internal());
    };
    let epic = EpicDetail {
        epic: read(epics.first().ok_or_else(ApiError::not_found)?)?,
        stories: stories.iter().map(read_mini).collect::<Result<_, _>>()?,
    };
    Ok(Json(json!({"epic": epic})))
}

/// How far an epic is.
#[utoipa::path(get, path = "/api/v1/epics/{id}/progress", tag = "Progress", params(("id" = Uuid, Path)),
    responses((status = 200, body = EpicProgress, description = "`{\"progress\": …}`"), (status = 404)))]
pub(super) async fn progress(
    State(app): State<App>,
    caller: Caller<AtLeast<Agent>>,
    Id(id): Id,
) -> ApiResult<Json<Value>> {
    let tx = app.db.tenant(caller.tenant_id).await?;
    let row = tx.finish_opt(EPIC_PROGRESS, &[&caller.tenant_id, &id]).await?;
    let row = row.filter(|row| row.try_get("known").unwrap_or(false)).ok_or_else(ApiError::not_found)?;
    let total_stories = row.try_get("total")?;
    let by_status = by_status(&row)?;
    let progress = EpicProgress {
        total_stories,
        stories_by_agent_status: by_status.agent,
        stories_by_verified_status: by_status.verified,
        verification_percentage: percentage(row.try_get("verified")?, total_stories),
    };
    Ok(Json(json!({"progress": progress})))
}
