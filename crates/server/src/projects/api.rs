//! What is read of projects.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::fields::known_status;
use super::store::{COUNT_PROJECTS, LIST_PROJECTS, PROJECT_PROGRESS, SHOW_PROJECT, read, read_progress};
use crate::App;
use crate::db::{Statement, Timestamp};
use crate::http::caller::Agent;
use crate::http::page::Style;
use crate::http::{ApiError, ApiResult, AtLeast, Caller, Id, List, Page, Query};

/// A project (file 03 §2.1).
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Project {
    pub(super) id: Uuid,
    pub(super) tenant_id: Uuid,
    pub(super) name: String,
    pub(super) slug: String,
    pub(super) repo_url: Option<String>,
    pub(super) description: Option<String>,
    pub(super) tech_stack: Option<String>,
    /// `active` or `archived`.
    pub(super) status: String,
    pub(super) mission: Option<String>,
    #[schema(value_type = Object)]
    pub(super) metadata: Value,
    #[schema(value_type = String, format = DateTime)]
    pub(super) inserted_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub(super) updated_at: Timestamp,
}

/// A project with the size of its plan.
#[derive(Debug, Serialize, ToSchema)]
struct ProjectDetail {
    #[serde(flatten)]
    project: Project,
    epic_count: i64,
    story_count: i64,
}

/// How far a project is (file 03 §3.7).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Progress {
    pub(super) total_stories: i64,
    /// Every status, also those with no stories, in the order of a story's life.
    #[schema(value_type = Object)]
    pub(super) stories_by_agent_status: Map<String, Value>,
    /// Every status, also those with no stories.
    #[schema(value_type = Object)]
    pub(super) stories_by_verified_status: Map<String, Value>,
    pub(super) total_epics: i64,
    /// Epics with at least one story and every story verified.
    pub(super) epics_completed: i64,
    /// Verified stories in per cent, one decimal.
    pub(super) verification_percentage: f64,
    #[schema(value_type = f64)]
    pub(super) estimated_hours_total: Value,
    /// Of verified stories.
    #[schema(value_type = f64)]
    pub(super) estimated_hours_completed: Value,
}

/// The tenant's projects by name; active ones unless asked otherwise.
#[utoipa::path(get, path = "/api/v1/projects", tag = "Projects",
    params(("status" = Option<String>, Query, description = "`active` or `archived`; wins over include_archived"),
           ("include_archived" = Option<bool>, Query), ("slug" = Option<String>, Query, description = "Exact match"),
           ("page" = Option<i64>, Query), ("page_size" = Option<i64>, Query)),
    responses((status = 200, body = List<Project>), (status = 422)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller<AtLeast<Agent>>,
    query: Query,
) -> ApiResult<Json<List<Project>>> {
    let page = Page::new(&query, Style::page(20, 100));
    let named = query.word("status", known_status)?;
    let status = named.or((!query.flag("include_archived")).then_some("active"));
    let slug = query.text("slug");
    let tenant_id = caller.tenant_id;
    let tx = app.db.tenant(tenant_id).await?;
    let (count, rows) = tx
        .finish_list(
            Statement { sql: COUNT_PROJECTS, params: &[&tenant_id, &status, &slug] },
            Statement { sql: LIST_PROJECTS, params: &[&tenant_id, &status, &slug, &page.size, &page.skip] },
        )
        .await?;
    let projects = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok(Json(List { data: projects, meta: page.meta(count.try_get("total")?) }))
}

/// One project, archived or not.
#[utoipa::path(get, path = "/api/v1/projects/{id}", tag = "Projects", params(("id" = Uuid, Path)),
    responses((status = 200, body = ProjectDetail, description = "`{\"project\": …}`"), (status = 404)))]
pub(super) async fn show(
    State(app): State<App>,
    caller: Caller<AtLeast<Agent>>,
    Id(id): Id,
) -> ApiResult<Json<Value>> {
    let tx = app.db.tenant(caller.tenant_id).await?;
    let row =
        tx.finish_opt(SHOW_PROJECT, &[&caller.tenant_id, &id]).await?.ok_or_else(ApiError::not_found)?;
    let project = ProjectDetail {
        project: read(&row)?,
        epic_count: row.try_get("epic_count")?,
        story_count: row.try_get("story_count")?,
    };
    Ok(Json(json!({"project": project})))
}

/// How far a project is.
#[utoipa::path(get, path = "/api/v1/projects/{id}/progress", tag = "Progress",
    params(("id" = Uuid, Path), ("include_cost" = Option<bool>, Query)),
    responses((status = 200, body = Progress, description = "`{\"progress\": …}`"), (status = 404)))]
pub(super) async fn progress(
    State(app): State<App>,
    caller: Caller<AtLeast<Agent>>,
    Id(id): Id,
    query: Query,
) -> ApiResult<Json<Value>> {
    let tx = app.db.tenant(caller.tenant_id).await?;
    let row = tx.finish_opt(PROJECT_PROGRESS, &[&caller.tenant_id, &id]).await?;
    let progress = row.as_ref().map(read_progress).transpose()?.flatten().ok_or_else(ApiError::not_found)?;
    let mut progress = json!(progress);
    if let (true, Value::Object(members)) = (query.flag("include_cost"), &mut progress) {
        // Without usage reports every figure is null (file 03 §3.7), and there are none yet.
        for name in [
            "total_cost_millicents",
            "total_input_tokens",
            "total_output_tokens",
            "total_tokens",
            "budget_millicents",
            "utilization_pct",
        ] {
            members.insert(name.to_owned(), Value::Null);
        }
    }
    Ok(Json(json!({"progress": progress})))
}
