//! Requests, answers and handlers of dependencies.

use axum::Json;
use loopctl_core::code::Code;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::graph::DependencyGraph;
use super::level::{EPICS, Level, STORIES};
use super::store::{
    EpicDependency, EpicDependencyCreateRequest, LIST_EPIC_EDGES, LIST_STORY_EDGES, StoryDependency,
    StoryDependencyCreateRequest,
};
use crate::app::{Agent, AtLeast, Caller, Identity, Orchestrator, User};
use crate::db::{Params, Row};
use crate::http::{ApiError, ApiResult, Body, Created, Id, List, NoContent, PagedOrWhole, Query, one};
use crate::plan::projects::{lock_project, lock_project_of};

one! { pub(super) EpicDependencyResponse { epic_dependency: EpicDependency } }

pub(super) async fn create_between_epics(
    caller: Caller<AtLeast<Orchestrator>>,
    body: Body<EpicDependencyCreateRequest>,
) -> ApiResult<Created<EpicDependencyResponse>> {
    let EpicDependencyCreateRequest { epic_id, depends_on_epic_id } = *body.valid()?;
    let ends = [epic_id, depends_on_epic_id];
    create(&caller, &EPICS, ends, |epic_dependency| EpicDependencyResponse { epic_dependency }).await
}

one! { pub(super) StoryDependencyResponse { story_dependency: StoryDependency } }

pub(super) async fn create_between_stories(
    caller: Caller<AtLeast<Orchestrator>>,
    body: Body<StoryDependencyCreateRequest>,
) -> ApiResult<Created<StoryDependencyResponse>> {
    let StoryDependencyCreateRequest { story_id, depends_on_story_id } = *body.valid()?;
    let ends = [story_id, depends_on_story_id];
    create(&caller, &STORIES, ends, |story_dependency| StoryDependencyResponse { story_dependency }).await
}

/// Lets the first of the two ends wait for the second.
async fn create<D: Row, A: Serialize>(
    caller: &Identity,
    level: &Level<D>,
    ends: [Uuid; 2],
    answer: fn(D) -> A,
) -> ApiResult<Created<A>> {
    let [dependent, prerequisite] = ends;
    if dependent == prerequisite {
        return Err(ApiError::unprocessable(Code::DependsOnItself, level.depends_on_itself));
    }
    caller
        .change(async |mut change| {
            let project_id = level.project_of(&mut change, ends).await?;
            // One at a time in a project: every edge is checked against all that were there before it. The ends may be
            // gone by now; then they are not in the graph.
            lock_project(&mut change, project_id).await?;
            let graph = DependencyGraph::of_locked(&mut change, project_id).await?;
            graph.admits(level.edge, dependent, prerequisite)?;
            let params: Params<'_> = &[&project_id, &Uuid::now_v7(), &dependent, &prerequisite];
            let edge = change.one(level.insert, params).await.map_err(|error| {
                if !error.violates(level.unique) {
                    return error.into();
                }
                let description = "There is such a dependency already: nothing has to be done.";
                ApiError::conflict(Code::DependencyExists, "Conflict")
                    .with("remediation", json!({"description": description}))
            })?;
            change.tell([level.created(&edge)]);
            change.commit(Created(answer(edge))).await
        })
        .await
}

pub(super) async fn delete_between_epics(caller: Caller<AtLeast<User>>, Id(id): Id) -> ApiResult<NoContent> {
    delete(&caller, &EPICS, id).await
}

pub(super) async fn delete_between_stories(
    caller: Caller<AtLeast<User>>,
    Id(id): Id,
) -> ApiResult<NoContent> {
    delete(&caller, &STORIES, id).await
}

async fn delete<D: Row>(caller: &Identity, level: &Level<D>, id: Uuid) -> ApiResult<NoContent> {
    caller
        .change(async |mut change| {
            lock_project_of(&mut change, level.project, id).await?;
            let edge = change.found(level.delete, &[&id]).await?;
            change.tell([level.deleted(&edge)]);
            change.commit(NoContent).await
        })
        .await
}

pub(super) async fn list_of_project(
    caller: Caller<AtLeast<Agent>>,
    Id(project_id): Id,
    Query(query): Query<PagedOrWhole>,
) -> ApiResult<Json<List<EpicDependency>>> {
    caller.list(&LIST_EPIC_EDGES, &[&project_id], &query.page).await.map(Json)
}

pub(super) async fn list_of_epic(
    caller: Caller<AtLeast<Agent>>,
    Id(epic_id): Id,
    Query(query): Query<PagedOrWhole>,
) -> ApiResult<Json<List<StoryDependency>>> {
    caller.list(&LIST_STORY_EDGES, &[&epic_id], &query.page).await.map(Json)
}
