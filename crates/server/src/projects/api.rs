//! Requests, responses and handlers of projects.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use loopctl_core::fields::{FieldErrors, Fields, Length};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::store::{
    COUNT_ACTIVE_PROJECTS, COUNT_PROJECTS, INSERT_PROJECT, LIST_PROJECTS, PROJECT_PROGRESS, SHOW_PROJECT,
    read, read_progress,
};
use crate::App;
use crate::db::{DbError, Statement, Timestamp};
use crate::events::{self, Event};
use crate::http::caller::{Agent, Orchestrator};
use crate::http::page::Style;
use crate::http::{ApiError, ApiResult, AtLeast, Body, Caller, Id, List, Page, Query};
use crate::tenants::{BAD_SLUG, DEFAULT_MAX_PROJECTS, is_slug, locked_limit};

/// A project (file 03 §2.1).
#[derive(Debug, Serialize, ToSchema)]
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

/// `POST /projects`.
#[derive(Debug, ToSchema)]
pub(crate) struct CreateProject {
    /// At most 255 characters.
    name: String,
    /// 2..63 characters, `[a-z0-9][a-z0-9-]*[a-z0-9]`; unique in the tenant, archived projects included.
    slug: String,
    repo_url: Option<String>,
    description: Option<String>,
    tech_stack: Option<String>,
    /// At most 2000 characters.
    mission: Option<String>,
    #[schema(value_type = Option<Object>)]
    metadata: Map<String, Value>,
}

impl CreateProject {
    fn read(object: &Map<String, Value>) -> Result<Self, FieldErrors> {
        let mut fields = Fields::new(object);
        let name = fields.required_text("name", Length::max(255));
        let slug = fields.required_text("slug", Length::range(2, 63));
        if !slug.is_empty() && !is_slug(&slug) {
            fields.fail("slug", BAD_SLUG);
        }
        let new = Self {
            name,
            slug,
            repo_url: fields.text("repo_url", Length::max(2048)),
            description: fields.text("description", Length::max(50_000)),
            tech_stack: fields.text("tech_stack", Length::max(255)),
            mission: fields.trimmed_text("mission", Length::max(2000)),
            metadata: fields.object("metadata").unwrap_or_default(),
        };
        fields.finish(new)
    }
}

/// Creates an active project.
#[utoipa::path(post, path = "/api/v1/projects", tag = "Projects", request_body = CreateProject,
    responses((status = 201, body = Project, description = "`{\"project\": …}`"), (status = 403), (status = 422)))]
pub(super) async fn create(
    State(app): State<App>,
    caller: Caller<AtLeast<Orchestrator>>,
    body: Body,
) -> ApiResult<(StatusCode, Json<Value>)> {
    let new = body.read(CreateProject::read)?;
    let tenant_id = caller.tenant_id;
    let mut tx = app.db.tenant(tenant_id).await?;
    let limit = locked_limit(&mut tx, tenant_id, "max_projects", DEFAULT_MAX_PROJECTS).await?;
    let active = tx.query_one(COUNT_ACTIVE_PROJECTS, &[&tenant_id]).await?;
    if active.try_get::<_, i64>("total")? >= limit {
        return Err(ApiError::unprocessable(
            "project_limit_reached",
            "Project limit reached for this tenant",
        ));
    }
    let row = tx
        .query_one(
            INSERT_PROJECT,
            &[
                &tenant_id,
                &Uuid::now_v7(),
                &new.name,
                &new.slug,
                &new.repo_url,
                &new.description,
                &new.tech_stack,
                &new.mission,
                &Value::Object(new.metadata),
            ],
        )
        .await
        .map_err(slug_taken)?;
    let project = read(&row)?;
    let event = Event::new(
        "project",
        project.id,
        "created",
        json!({"name": project.name, "slug": project.slug, "status": project.status}),
    )
    .project(project.id);
    events::record(tx, tenant_id, &caller.attribution(), vec![event]).await?;
    Ok((StatusCode::CREATED, Json(json!({"project": project}))))
}

fn slug_taken(error: DbError) -> ApiError {
    if error.violates("projects_slug") {
        return ApiError::invalid_field("slug", "has already been taken for this tenant");
    }
    error.into()
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
    let named =
        query.word("status", |word| ["active", "archived"].into_iter().find(|known| *known == word))?;
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
