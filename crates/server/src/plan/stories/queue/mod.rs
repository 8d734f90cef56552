//! `GET /stories/ready` and `/stories/blocked`.

mod store;

use std::collections::HashMap;

use axum::Json;
use loopctl_core::request::{Request, id};
use schemars::JsonSchema;
use serde::Serialize;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use self::store::{
    BLOCKED_IN_EPIC, BLOCKED_IN_PROJECT, BLOCKED_IN_TENANT, BLOCKERS, Blocker, COUNT_BLOCKERS, Queued,
    READY_IN_EPIC, READY_IN_PROJECT, READY_IN_TENANT, StoryBrief,
};
use super::next_steps::{NextStep, next_steps};
use crate::app::{Agent, AtLeast, Caller, Identity};
use crate::db::Sql;
use crate::http::{ApiError, ApiResult, Id, List, Page, Query, pages};
use crate::plan::projects::PROJECT_KNOWN;

pub(crate) use self::store::STATEMENTS;

/// The three texts of a queue's statement, by scope.
struct Queue {
    project: Sql<Queued>,
    epic: Sql<Queued>,
    tenant: Sql<Queued>,
}

const READY: Queue = Queue { project: READY_IN_PROJECT, epic: READY_IN_EPIC, tenant: READY_IN_TENANT };
const BLOCKED: Queue =
    Queue { project: BLOCKED_IN_PROJECT, epic: BLOCKED_IN_EPIC, tenant: BLOCKED_IN_TENANT };

/// What a queue is asked for.
#[derive(Request)]
pub(super) struct InProject {
    #[rule(id())]
    epic_id: Option<Uuid>,
    #[rule(pages(100, 500))]
    page: Page,
}

#[derive(Request)]
pub(super) struct InTenant {
    /// Without it: every active project.
    #[rule(id())]
    project_id: Option<Uuid>,
    #[flatten]
    scope: InProject,
}

impl Queue {
    /// One page of the queue. `in_path` is the project of a path, which must be there.
    async fn page(
        &self,
        caller: &Identity,
        in_path: Option<Uuid>,
        project_id: Option<Uuid>,
        InProject { epic_id, page }: &InProject,
    ) -> ApiResult<List<StoryBrief>> {
        let (sql, scope) = match (project_id, epic_id) {
            (_, Some(_)) => (self.epic, *epic_id),
            (Some(_), None) => (self.project, project_id),
            (None, None) => (self.tenant, None),
        };
        let mut params: Vec<&(dyn ToSql + Sync)> = vec![&scope, &page.size, &page.skip];
        if epic_id.is_some() {
            params.push(&project_id);
        }
        let (known, queued) = caller.read((PROJECT_KNOWN.with(&[&in_path]), sql.with(&params))).await?;
        if in_path.is_some() && known.is_empty() {
            return Err(ApiError::not_found());
        }
        let total = queued.first().map_or(0, |queued| queued.total);
        let data = queued.into_iter().filter_map(|queued| queued.story).collect();
        Ok(List { data, meta: page.meta(total) })
    }
}

/// A story that can be worked on, and what the caller can do next on it.
#[derive(Serialize, JsonSchema)]
pub(super) struct Ready {
    #[serde(flatten)]
    story: StoryBrief,
    next_actions: Vec<NextStep>,
}

fn with_next_actions(caller: &Identity, stories: List<StoryBrief>) -> Json<List<Ready>> {
    Json(stories.map(|story| Ready { next_actions: next_steps(caller, &story.facts(), story.id), story }))
}

pub(super) async fn ready(
    caller: Caller<AtLeast<Agent>>,
    Query(InTenant { project_id, scope }): Query<InTenant>,
) -> ApiResult<Json<List<Ready>>> {
    let stories = READY.page(&caller, None, project_id, &scope).await?;
    Ok(with_next_actions(&caller, stories))
}

pub(super) async fn ready_in_project(
    caller: Caller<AtLeast<Agent>>,
    Id(project_id): Id,
    Query(scope): Query<InProject>,
) -> ApiResult<Json<List<Ready>>> {
    let stories = READY.page(&caller, Some(project_id), Some(project_id), &scope).await?;
    Ok(with_next_actions(&caller, stories))
}

/// A blocked story and why.
#[derive(Serialize, JsonSchema)]
pub(super) struct Blocked {
    story: StoryBrief,
    /// Prerequisite stories, and stories of prerequisite epics, that are not verified: at most 100, and 2,000 in one answer.
    blocking_dependencies: Vec<Blocker>,
    /// How many there are in all.
    blocking_count: i64,
}

pub(super) async fn blocked(
    caller: Caller<AtLeast<Agent>>,
    Query(InTenant { project_id, scope }): Query<InTenant>,
) -> ApiResult<Json<List<Blocked>>> {
    let stories = BLOCKED.page(&caller, None, project_id, &scope).await?;
    with_blockers(&caller, stories).await
}

pub(super) async fn blocked_in_project(
    caller: Caller<AtLeast<Agent>>,
    Id(project_id): Id,
    Query(scope): Query<InProject>,
) -> ApiResult<Json<List<Blocked>>> {
    let stories = BLOCKED.page(&caller, Some(project_id), Some(project_id), &scope).await?;
    with_blockers(&caller, stories).await
}

/// How many blockers are named of each story, and how many in one answer: one that names thousands for each of hundreds of stories helps
/// nobody.
const NAMED: i64 = 100;
const NAMED_IN_ALL: i64 = 2_000;

/// Adds what blocks each story.
async fn with_blockers(
    caller: &Identity,
    List { data, meta }: List<StoryBrief>,
) -> ApiResult<Json<List<Blocked>>> {
    let ids: Vec<Uuid> = data.iter().map(|story| story.id).collect();
    let (rows, counts) =
        caller.read((BLOCKERS.with(&[&ids, &NAMED, &NAMED_IN_ALL]), COUNT_BLOCKERS.with(&[&ids]))).await?;
    let totals: HashMap<Uuid, i64> = counts.into_iter().map(|count| (count.story_id, count.total)).collect();
    let mut blockers: HashMap<Uuid, Vec<Blocker>> = HashMap::new();
    for row in rows {
        blockers.entry(row.blocked_id).or_default().push(row.blocker);
    }
    // A story whose last blocker was verified since the first statement is not blocked any more.
    let still_blocked = |story: StoryBrief| {
        // None are named of who comes after so many others.
        let blocking_dependencies = blockers.remove(&story.id).unwrap_or_default();
        // Read by a statement of its own, which may know more.
        let blocking_count = totals.get(&story.id).copied()?.max(blocking_dependencies.len() as i64);
        (blocking_count > 0).then_some(Blocked { story, blocking_dependencies, blocking_count })
    };
    Ok(Json(List { data: data.into_iter().filter_map(still_blocked).collect(), meta }))
}
