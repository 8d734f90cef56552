//! Requests, responses and handlers of dependencies.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use utoipa::ToSchema;
use uuid::Uuid;

use super::graph::DependencyGraph;
use super::level::{EPICS, Ends, Level, STORIES};
use super::store::{COUNT_EPIC_EDGES, COUNT_STORY_EDGES, LIST_EPIC_EDGES, LIST_STORY_EDGES};
use crate::App;
use crate::db::{DbError, Statement, Timestamp};
use crate::events;
use crate::http::caller::{Agent, Orchestrator, User};
use crate::http::error::retrying;
use crate::http::page::Style;
use crate::http::{ApiError, ApiResult, AtLeast, Body, Caller, Id, Identity, List, Page, Query};
use crate::projects::{lock_project, lock_project_of};

/// An epic that waits for all stories of another (file 03 §2.4).
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EpicDependency {
    id: Uuid,
    tenant_id: Uuid,
    epic_id: Uuid,
    depends_on_epic_id: Uuid,
    #[schema(value_type = String, format = DateTime)]
    inserted_at: Timestamp,
}

impl EpicDependency {
    fn read(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            id: row.try_get("id")?,
            tenant_id: row.try_get("tenant_id")?,
            epic_id: row.try_get("epic_id")?,
            depends_on_epic_id: row.try_get("depends_on_epic_id")?,
            inserted_at: row.try_get("inserted_at")?,
        })
    }
}

/// A story that waits for another (file 03 §2.4).
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StoryDependency {
    id: Uuid,
    tenant_id: Uuid,
    story_id: Uuid,
    depends_on_story_id: Uuid,
    #[schema(value_type = String, format = DateTime)]
    inserted_at: Timestamp,
}

impl StoryDependency {
    fn read(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            id: row.try_get("id")?,
            tenant_id: row.try_get("tenant_id")?,
            story_id: row.try_get("story_id")?,
            depends_on_story_id: row.try_get("depends_on_story_id")?,
            inserted_at: row.try_get("inserted_at")?,
        })
    }
}

/// `POST /epic_dependencies`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents the body, which `Level` reads")]
pub(super) struct CreateEpicDependency {
    /// The epic that waits.
    epic_id: Uuid,
    /// The epic whose stories must all be verified first.
    depends_on_epic_id: Uuid,
}

/// `POST /story_dependencies`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents the body, which `Level` reads")]
pub(super) struct CreateStoryDependency {
    /// The story that waits.
    story_id: Uuid,
    /// The story that must be verified first.
    depends_on_story_id: Uuid,
}

/// Lets an epic wait for another of its project.
#[utoipa::path(post, path = "/api/v1/epic_dependencies", tag = "Dependencies", request_body = CreateEpicDependency,
    responses((status = 201, body = EpicDependency, description = "`{\"epic_dependency\": …}`"), (status = 403),
              (status = 404), (status = 409, description = "There is such a dependency"), (status = 422)))]
pub(super) async fn create_between_epics(
    State(app): State<App>,
    caller: Caller<AtLeast<Orchestrator>>,
    body: Body,
) -> ApiResult<(StatusCode, Json<Value>)> {
    let edge = EpicDependency::read(&create(&app, &caller, &EPICS, &body).await?)?;
    Ok((StatusCode::CREATED, Json(json!({"epic_dependency": edge}))))
}

/// Lets a story wait for another of its project.
#[utoipa::path(post, path = "/api/v1/story_dependencies", tag = "Dependencies", request_body = CreateStoryDependency,
    responses((status = 201, body = StoryDependency, description = "`{\"story_dependency\": …}`"), (status = 403),
              (status = 404), (status = 409, description = "There is such a dependency"), (status = 422)))]
pub(super) async fn create_between_stories(
    State(app): State<App>,
    caller: Caller<AtLeast<Orchestrator>>,
    body: Body,
) -> ApiResult<(StatusCode, Json<Value>)> {
    let edge = StoryDependency::read(&create(&app, &caller, &STORIES, &body).await?)?;
    Ok((StatusCode::CREATED, Json(json!({"story_dependency": edge}))))
}

/// The row of a new edge.
async fn create(app: &App, caller: &Identity, level: &Level, body: &Body) -> ApiResult<Row> {
    let ends = level.read(body)?;
    retrying(|| create_once(app, caller, level, ends)).await
}

async fn create_once(app: &App, caller: &Identity, level: &Level, ends: Ends) -> ApiResult<Row> {
    let tenant_id = caller.tenant_id;
    let Ends { dependent, prerequisite } = ends;
    let mut tx = app.db.tenant(tenant_id).await?;
    let project_id = level.project_of(&mut tx, tenant_id, ends).await?;
    // One at a time in a project: every edge is checked against all that were there before it. The ends may be gone
    // by now; then they are not in the graph.
    lock_project(&mut tx, tenant_id, project_id).await?;
    let graph = DependencyGraph::of_locked(&mut tx, tenant_id, project_id).await?;
    graph.admits(level.edge, dependent, prerequisite)?;
    let params: &[&(dyn ToSql + Sync)] =
        &[&tenant_id, &project_id, &Uuid::now_v7(), &dependent, &prerequisite];
    let row = tx.query_one(level.insert, params).await.map_err(|error| {
        if error.violates(level.unique) {
            let description = "There is such a dependency already: nothing has to be done.";
            return ApiError::conflict("dependency_exists", "Conflict")
                .with("remediation", json!({"description": description}));
        }
        error.into()
    })?;
    let event = level.created(&row)?;
    events::record(tx, tenant_id, &caller.attribution(), vec![event]).await?;
    Ok(row)
}

/// Takes a dependency between epics away.
#[utoipa::path(delete, path = "/api/v1/epic_dependencies/{id}", tag = "Dependencies", params(("id" = Uuid, Path)),
    responses((status = 204), (status = 403), (status = 404)))]
pub(super) async fn delete_between_epics(
    State(app): State<App>,
    caller: Caller<AtLeast<User>>,
    Id(id): Id,
) -> ApiResult<StatusCode> {
    delete(&app, &caller, &EPICS, id).await
}

/// Takes a dependency between stories away.
#[utoipa::path(delete, path = "/api/v1/story_dependencies/{id}", tag = "Dependencies", params(("id" = Uuid, Path)),
    responses((status = 204), (status = 403), (status = 404)))]
pub(super) async fn delete_between_stories(
    State(app): State<App>,
    caller: Caller<AtLeast<User>>,
    Id(id): Id,
) -> ApiResult<StatusCode> {
    delete(&app, &caller, &STORIES, id).await
}

async fn delete(app: &App, caller: &Identity, level: &Level, id: Uuid) -> ApiResult<StatusCode> {
    retrying(|| delete_once(app, caller, level, id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn delete_once(app: &App, caller: &Identity, level: &Level, id: Uuid) -> ApiResult<()> {
    let tenant_id = caller.tenant_id;
    let params: &[&(dyn ToSql + Sync)] = &[&tenant_id, &id];
    let mut tx = app.db.tenant(tenant_id).await?;
    lock_project_of(&mut tx, level.project, tenant_id, id).await?;
    let row = tx.query_opt(level.delete, params).await?.ok_or_else(ApiError::not_found)?;
    let event = level.deleted(&row)?;
    events::record(tx, tenant_id, &caller.attribution(), vec![event]).await?;
    Ok(())
}

/// The dependencies between a project's epics, oldest first.
#[utoipa::path(get, path = "/api/v1/projects/{id}/epic_dependencies", tag = "Dependencies",
    description = "All of them, unless `page`, `page_size` or `limit` is sent.",
    params(("id" = Uuid, Path), ("page" = Option<i64>, Query), ("page_size" = Option<i64>, Query)),
    responses((status = 200, body = List<EpicDependency>), (status = 404)))]
pub(super) async fn list_of_project(
    State(app): State<App>,
    caller: Caller<AtLeast<Agent>>,
    Id(project_id): Id,
    query: Query,
) -> ApiResult<Json<List<EpicDependency>>> {
    let statements = [COUNT_EPIC_EDGES, LIST_EPIC_EDGES];
    list(&app, &caller, statements, project_id, &query, EpicDependency::read).await
}

/// The dependencies with a story of the epic on either side, oldest first.
#[utoipa::path(get, path = "/api/v1/epics/{id}/story_dependencies", tag = "Dependencies",
    description = "All of them, unless `page`, `page_size` or `limit` is sent.",
    params(("id" = Uuid, Path), ("page" = Option<i64>, Query), ("page_size" = Option<i64>, Query)),
    responses((status = 200, body = List<StoryDependency>), (status = 404)))]
pub(super) async fn list_of_epic(
    State(app): State<App>,
    caller: Caller<AtLeast<Agent>>,
    Id(epic_id): Id,
    query: Query,
) -> ApiResult<Json<List<StoryDependency>>> {
    let statements = [COUNT_STORY_EDGES, LIST_STORY_EDGES];
    list(&app, &caller, statements, epic_id, &query, StoryDependency::read).await
}

/// The edges of a project or an epic: those of a page where one is asked for, else all.
async fn list<T>(
    app: &App,
    caller: &Identity,
    [count, list]: [&'static str; 2],
    parent: Uuid,
    query: &Query,
    read: fn(&Row) -> Result<T, DbError>,
) -> ApiResult<Json<List<T>>> {
    let paged = ["page", "page_size", "limit"].iter().any(|name| query.text(name).is_some());
    let page = paged.then(|| Page::new(query, Style::page(20, 100)));
    let (size, skip) = (page.map(|page| page.size), page.map_or(0, |page| page.skip));
    let tx = app.db.tenant(caller.tenant_id).await?;
    let (count, rows) = tx
        .finish_list(
            Statement { sql: count, params: &[&caller.tenant_id, &parent] },
            Statement { sql: list, params: &[&caller.tenant_id, &parent, &size, &skip] },
        )
        .await?;
    if !count.try_get::<_, bool>("known")? {
        return Err(ApiError::not_found());
    }
    let data = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let meta = match page {
        Some(page) => page.meta(count.try_get("total")?),
        None => {
            let total = data.len() as i64;
            Page::all(total).meta(total)
        }
    };
    Ok(Json(List { data, meta }))
}
