//! What changes projects: creation, update, archiving.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::api::Project;
use super::fields::{ACTIVE, ARCHIVED, CreateProject, UpdateProject};
use super::store::{COUNT_ACTIVE_PROJECTS, INSERT_PROJECT, LOCK_PROJECT_ROW, UPDATE_PROJECT, read};
use crate::App;
use crate::db::{DbError, Tx};
use crate::events::{self, Event, members};
use crate::http::caller::{Access as _, Orchestrator, User};
use crate::http::error::retrying;
use crate::http::{ApiError, ApiResult, AtLeast, Body, Caller, Id, Identity};
use crate::tenants::{DEFAULT_MAX_PROJECTS, locked_limit};

/// Creates an active project.
#[utoipa::path(post, path = "/api/v1/projects", tag = "Projects", request_body = CreateProject,
    responses((status = 201, body = Project, description = "`{\"project\": …}`"), (status = 403), (status = 422)))]
pub(super) async fn create(
    State(app): State<App>,
    caller: Caller<AtLeast<Orchestrator>>,
    body: Body,
) -> ApiResult<(StatusCode, Json<Value>)> {
    let new = body.read(CreateProject::read)?;
    let project = retrying(|| create_once(&app, &caller, &new)).await?;
    Ok((StatusCode::CREATED, Json(json!({"project": project}))))
}

async fn create_once(app: &App, caller: &Identity, new: &CreateProject) -> ApiResult<Project> {
    let tenant_id = caller.tenant_id;
    let mut tx = app.db.tenant(tenant_id).await?;
    let limit = lock_limit(&mut tx, tenant_id).await?;
    admit_one_more(&mut tx, tenant_id, limit).await?;
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
                &Value::Object(new.metadata.clone()),
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
    Ok(project)
}

fn slug_taken(error: DbError) -> ApiError {
    if error.violates("projects_slug") {
        return ApiError::invalid_field("slug", "has already been taken for this tenant");
    }
    error.into()
}

/// How many active projects the tenant may have. Its row is locked: nobody else creates or reactivates one meanwhile.
async fn lock_limit(tx: &mut Tx, tenant_id: Uuid) -> Result<i64, DbError> {
    locked_limit(tx, tenant_id, "max_projects", DEFAULT_MAX_PROJECTS).await
}

/// Refuses an active project beyond the limit.
async fn admit_one_more(tx: &mut Tx, tenant_id: Uuid, limit: i64) -> ApiResult<()> {
    let active: i64 = tx.query_one(COUNT_ACTIVE_PROJECTS, &[&tenant_id]).await?.try_get("total")?;
    if active < limit {
        return Ok(());
    }
    Err(ApiError::unprocessable("project_limit_reached", "Project limit reached for this tenant"))
}

/// Changes a project. Archiving it takes a user key, reactivating it room within `max_projects`.
#[utoipa::path(patch, path = "/api/v1/projects/{id}", tag = "Projects", params(("id" = Uuid, Path)),
    request_body = UpdateProject,
    responses((status = 200, body = Project, description = "`{\"project\": …}`"), (status = 403), (status = 404),
              (status = 422)))]
pub(super) async fn update(
    State(app): State<App>,
    caller: Caller<AtLeast<Orchestrator>>,
    Id(id): Id,
    body: Body,
) -> ApiResult<Json<Value>> {
    let project = retrying(|| update_once(&app, &caller, id, &body)).await?;
    Ok(Json(json!({"project": project})))
}

async fn update_once(app: &App, caller: &Identity, id: Uuid, body: &Body) -> ApiResult<Project> {
    // Read before the project is locked, because the tenant's lock comes first; an unknown project is 404 whatever
    // the body says.
    let change = body.read(UpdateProject::read);
    let activates = change.as_ref().is_ok_and(|change| change.status == Some(ACTIVE));
    let tenant_id = caller.tenant_id;
    let mut tx = app.db.tenant(tenant_id).await?;
    let limit = if activates { Some(lock_limit(&mut tx, tenant_id).await?) } else { None };
    let old = lock(&mut tx, tenant_id, id).await?;
    let new = change?.applied_to(&old);
    if new.status == ARCHIVED && old.status != ARCHIVED {
        AtLeast::<User>::check(caller.role)?;
    }
    if let (Some(limit), ARCHIVED) = (limit, old.status.as_str()) {
        admit_one_more(&mut tx, tenant_id, limit).await?;
    }
    let event = Event::updated("project", id, &["name", "status"], state(&old), state(&new));
    save(tx, caller, new, event).await
}

/// Lays a project aside; it keeps all that it has. Repeating it changes nothing.
#[utoipa::path(delete, path = "/api/v1/projects/{id}", tag = "Projects", params(("id" = Uuid, Path)),
    responses((status = 200, body = Project, description = "`{\"project\": …}`"), (status = 403), (status = 404)))]
pub(super) async fn archive(
    State(app): State<App>,
    caller: Caller<AtLeast<User>>,
    Id(id): Id,
) -> ApiResult<Json<Value>> {
    let project = retrying(|| archive_once(&app, &caller, id)).await?;
    Ok(Json(json!({"project": project})))
}

async fn archive_once(app: &App, caller: &Identity, id: Uuid) -> ApiResult<Project> {
    let mut tx = app.db.tenant(caller.tenant_id).await?;
    let old = lock(&mut tx, caller.tenant_id, id).await?;
    let event = (old.status != ARCHIVED).then(|| {
        Event::new("project", id, "archived", json!({"status": ARCHIVED})).old(json!({"status": old.status}))
    });
    let new = Project { status: ARCHIVED.to_owned(), ..old };
    save(tx, caller, new, event).await
}

async fn lock(tx: &mut Tx, tenant_id: Uuid, id: Uuid) -> ApiResult<Project> {
    let row = tx.query_opt(LOCK_PROJECT_ROW, &[&tenant_id, &id]).await?.ok_or_else(ApiError::not_found)?;
    Ok(read(&row)?)
}

/// What a change is told by.
fn state(project: &Project) -> Map<String, Value> {
    members([
        ("name", project.name.as_str().into()),
        ("repo_url", project.repo_url.as_deref().into()),
        ("description", project.description.as_deref().into()),
        ("tech_stack", project.tech_stack.as_deref().into()),
        ("status", project.status.as_str().into()),
        ("mission", project.mission.as_deref().into()),
        ("metadata", project.metadata.clone()),
    ])
}

/// Writes a locked project with its event, and commits; without an event nothing has changed.
async fn save(mut tx: Tx, caller: &Identity, new: Project, event: Option<Event>) -> ApiResult<Project> {
    let Some(event) = event else {
        return Ok(new);
    };
    let row = tx
        .query_one(
            UPDATE_PROJECT,
            &[
                &new.tenant_id,
                &new.id,
                &new.name,
                &new.repo_url,
                &new.description,
                &new.tech_stack,
                &new.status,
                &new.mission,
                &new.metadata,
            ],
        )
        .await?;
    events::record(tx, new.tenant_id, &caller.attribution(), vec![event.project(new.id)]).await?;
    Ok(read(&row)?)
}
