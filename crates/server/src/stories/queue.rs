//! `GET /stories/ready` and `/stories/blocked` (file 03 §8.1, §8.2).

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use utoipa::ToSchema;
use uuid::Uuid;

use super::store::{
    BLOCKED_IN_EPIC, BLOCKED_IN_PROJECT, BLOCKED_IN_TENANT, BLOCKERS, COUNT_BLOCKERS, READY_IN_EPIC,
    READY_IN_PROJECT, READY_IN_TENANT,
};
use crate::App;
use crate::db::{DbError, Statement, Timestamp, Tx};
use crate::http::caller::Agent;
use crate::http::page::Style;
use crate::http::{ApiError, ApiResult, AtLeast, Caller, Id, List, Meta, Page, Query};
use crate::projects::PROJECT_KNOWN;

/// A story in a queue.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StoryBrief {
    id: Uuid,
    tenant_id: Uuid,
    project_id: Uuid,
    epic_id: Uuid,
    number: String,
    title: String,
    agent_status: String,
    verified_status: String,
    sort_key: i32,
    #[schema(value_type = String, format = DateTime)]
    inserted_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl StoryBrief {
    /// None for the row that only carries the count of an empty page.
    fn read(row: &Row) -> Result<Option<Self>, DbError> {
        let Some(id) = row.try_get("id")? else {
            return Ok(None);
        };
        Ok(Some(Self {
            id,
            tenant_id: row.try_get("tenant_id")?,
            project_id: row.try_get("project_id")?,
            epic_id: row.try_get("epic_id")?,
            number: row.try_get("number")?,
            title: row.try_get("title")?,
            agent_status: row.try_get("agent_status")?,
            verified_status: row.try_get("verified_status")?,
            sort_key: row.try_get("sort_key")?,
            inserted_at: row.try_get("inserted_at")?,
            updated_at: row.try_get("updated_at")?,
        }))
    }
}

/// A prerequisite that is not verified.
#[derive(Debug, Serialize, ToSchema)]
struct Blocker {
    id: Uuid,
    number: String,
    title: String,
    agent_status: String,
    verified_status: String,
    /// `story`: a prerequisite of the story; `epic`: a story of an epic that the story's epic depends on.
    via: String,
}

/// A blocked story and why.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Blocked {
    story: StoryBrief,
    /// Every prerequisite story that is not verified, and of each prerequisite epic at most 100 stories that are not.
    blocking_dependencies: Vec<Blocker>,
    /// How many there are in all.
    blocking_count: i64,
}

/// The three texts of a queue's statement, by scope.
struct ByScope {
    project: &'static str,
    epic: &'static str,
    tenant: &'static str,
}

const READY: ByScope = ByScope { project: READY_IN_PROJECT, epic: READY_IN_EPIC, tenant: READY_IN_TENANT };
const BLOCKED: ByScope =
    ByScope { project: BLOCKED_IN_PROJECT, epic: BLOCKED_IN_EPIC, tenant: BLOCKED_IN_TENANT };

/// What a queue is asked for.
struct Scope {
    project_id: Option<Uuid>,
    epic_id: Option<Uuid>,
    page: Page,
}

impl Scope {
    fn new(project_id: Option<Uuid>, query: &Query) -> ApiResult<Self> {
        let page = Page::new(query, Style::page(100, 500));
        Ok(Self { project_id, epic_id: query.id("epic_id")?, page })
    }

    /// One page of a queue with the size of the whole.
    async fn of(&self, tx: Tx, tenant_id: Uuid, queue: &ByScope) -> ApiResult<(Vec<StoryBrief>, Meta)> {
        let (sql, scope) = match (self.project_id, self.epic_id) {
            (_, Some(_)) => (queue.epic, self.epic_id),
            (Some(_), None) => (queue.project, self.project_id),
            (None, None) => (queue.tenant, None),
        };
        let mut params: Vec<&(dyn ToSql + Sync)> = vec![&tenant_id, &scope, &self.page.size, &self.page.skip];
        if self.epic_id.is_some() {
            params.push(&self.project_id);
        }
        let rows = tx.finish_query(sql, &params).await?;
        let total = rows.first().map_or(Ok(0), |row| row.try_get("total"))?;
        let mut stories = Vec::with_capacity(rows.len());
        for row in &rows {
            stories.extend(StoryBrief::read(row)?);
        }
        Ok((stories, self.page.meta(total)))
    }
}

/// A transaction in which the project of a path was found.
async fn in_project(app: &App, tenant_id: Uuid, project_id: Uuid) -> ApiResult<Tx> {
    let mut tx = app.db.tenant(tenant_id).await?;
    tx.query_opt(PROJECT_KNOWN, &[&tenant_id, &project_id]).await?.ok_or_else(ApiError::not_found)?;
    Ok(tx)
}

/// Stories that can be contracted now: pending, and every prerequisite story and every story of the
/// prerequisite epics is verified.
#[utoipa::path(get, path = "/api/v1/stories/ready", tag = "Stories",
    params(("project_id" = Option<Uuid>, Query, description = "Without it: every active project"),
           ("epic_id" = Option<Uuid>, Query), ("page" = Option<i64>, Query),
           ("page_size" = Option<i64>, Query, description = "Default 100, at most 500; `limit` is an alias")),
    responses((status = 200, body = List<StoryBrief>), (status = 404)))]
pub(super) async fn ready(
    State(app): State<App>,
    caller: Caller<AtLeast<Agent>>,
    query: Query,
) -> ApiResult<Json<List<StoryBrief>>> {
    let scope = Scope::new(query.id("project_id")?, &query)?;
    let tx = app.db.tenant(caller.tenant_id).await?;
    let (data, meta) = scope.of(tx, caller.tenant_id, &READY).await?;
    Ok(Json(List { data, meta }))
}

/// The ready queue of one project, archived or not.
#[utoipa::path(get, path = "/api/v1/projects/{project_id}/stories/ready", tag = "Stories",
    params(("project_id" = Uuid, Path), ("epic_id" = Option<Uuid>, Query), ("page" = Option<i64>, Query),
           ("page_size" = Option<i64>, Query, description = "Default 100, at most 500; `limit` is an alias")),
    responses((status = 200, body = List<StoryBrief>), (status = 404)))]
pub(super) async fn ready_in_project(
    State(app): State<App>,
    caller: Caller<AtLeast<Agent>>,
    Id(project_id): Id,
    query: Query,
) -> ApiResult<Json<List<StoryBrief>>> {
    let scope = Scope::new(Some(project_id), &query)?;
    let tx = in_project(&app, caller.tenant_id, project_id).await?;
    let (data, meta) = scope.of(tx, caller.tenant_id, &READY).await?;
    Ok(Json(List { data, meta }))
}

/// Stories with a prerequisite that is not verified, and those prerequisites.
#[utoipa::path(get, path = "/api/v1/stories/blocked", tag = "Stories",
    params(("project_id" = Option<Uuid>, Query, description = "Without it: every active project"),
           ("epic_id" = Option<Uuid>, Query), ("page" = Option<i64>, Query),
           ("page_size" = Option<i64>, Query, description = "Default 100, at most 500; `limit` is an alias")),
    responses((status = 200, body = List<Blocked>), (status = 404)))]
pub(super) async fn blocked(
    State(app): State<App>,
    caller: Caller<AtLeast<Agent>>,
    query: Query,
) -> ApiResult<Json<List<Blocked>>> {
    let scope = Scope::new(query.id("project_id")?, &query)?;
    let tx = app.db.tenant(caller.tenant_id).await?;
    let (stories, meta) = scope.of(tx, caller.tenant_id, &BLOCKED).await?;
    Ok(Json(List { data: with_blockers(&app, caller.tenant_id, stories).await?, meta }))
}

/// The blocked stories of one project, archived or not.
#[utoipa::path(get, path = "/api/v1/projects/{project_id}/stories/blocked", tag = "Stories",
    params(("project_id" = Uuid, Path), ("epic_id" = Option<Uuid>, Query), ("page" = Option<i64>, Query),
           ("page_size" = Option<i64>, Query, description = "Default 100, at most 500; `limit` is an alias")),
    responses((status = 200, body = List<Blocked>), (status = 404)))]
pub(super) async fn blocked_in_project(
    State(app): State<App>,
    caller: Caller<AtLeast<Agent>>,
    Id(project_id): Id,
    query: Query,
) -> ApiResult<Json<List<Blocked>>> {
    let scope = Scope::new(Some(project_id), &query)?;
    let tx = in_project(&app, caller.tenant_id, project_id).await?;
    let (stories, meta) = scope.of(tx, caller.tenant_id, &BLOCKED).await?;
    Ok(Json(List { data: with_blockers(&app, caller.tenant_id, stories).await?, meta }))
}

/// How many stories of one prerequisite epic are named as blockers. Ours: an answer that names thousands for each of
/// hundreds of stories helps nobody.
const NAMED_PER_EPIC: i64 = 100;

/// Adds what blocks each story.
async fn with_blockers(app: &App, tenant_id: Uuid, stories: Vec<StoryBrief>) -> ApiResult<Vec<Blocked>> {
    let ids: Vec<Uuid> = stories.iter().map(|story| story.id).collect();
    let tx = app.db.tenant(tenant_id).await?;
    let answers = tx
        .finish(&[
            Statement { sql: BLOCKERS, params: &[&tenant_id, &ids, &NAMED_PER_EPIC] },
            Statement { sql: COUNT_BLOCKERS, params: &[&tenant_id, &ids] },
        ])
        .await?;
    let [rows, counts] = answers.as_slice() else {
        return Err(ApiError::internal());
    };
    let mut totals: HashMap<Uuid, i64> = HashMap::new();
    for row in counts {
        totals.insert(row.try_get("story_id")?, row.try_get("total")?);
    }
    let mut blockers: HashMap<Uuid, Vec<Blocker>> = HashMap::new();
    for row in rows {
        blockers.entry(row.try_get("story_id")?).or_default().push(Blocker {
            id: row.try_get("id")?,
            number: row.try_get("number")?,
            title: row.try_get("title")?,
            agent_status: row.try_get("agent_status")?,
            verified_status: row.try_get("verified_status")?,
            via: row.try_get("via")?,
        });
    }
    // A story whose last blocker was verified since the first statement is not blocked any more.
    let still_blocked = |story: StoryBrief| {
        let blocking_dependencies = blockers.remove(&story.id)?;
        // Read by a statement of its own, which may know more.
        let blocking_count = totals.get(&story.id).copied()?.max(blocking_dependencies.len() as i64);
        Some(Blocked { story, blocking_dependencies, blocking_count })
    };
    Ok(stories.into_iter().filter_map(still_blocked).collect())
}
