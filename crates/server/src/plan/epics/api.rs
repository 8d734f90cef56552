//! Requests, answers and handlers of epics.

use axum::Json;
use loopctl_core::breakdown::EpicChange;
use loopctl_core::request::{Request, integer, text};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::EpicText;
use super::store::{
    DELETE_EPIC, DELETE_EPIC_STORIES, EPIC_PROGRESS, EPIC_PROJECT, EPIC_STORIES, EPIC_STORY_IDS, Epic,
    EpicItem, EpicProgress, INSERT_EPIC, LIST_EPICS, LOCK_EPIC, SHOW_EPIC, StoryMini, UPDATE_EPIC,
};
use crate::app::{Agent, AtLeast, Caller, Change, Orchestrator, User};
use crate::db::{AsJson, Params};
use crate::events::Event;
use crate::http::{ApiError, ApiResult, Body, Created, Id, List, NoContent, Page, Query, one, pages};
use crate::plan::dependencies::{EPICS, STORIES};
use crate::plan::projects::{lock_project, lock_project_of};
use crate::plan::stories::LOCK_WITH_DEPENDENTS;
use crate::plan::{number_taken, require_title};

one! { pub(super) EpicResponse { epic: Epic } }

/// `POST /projects/:project_id/epics`: a number, and a change of nothing, which must bring a title.
#[derive(Request)]
pub(super) struct EpicCreateRequest {
    /// Unique in the project; never changes.
    #[rule(integer().positive().required())]
    number: i32,
    #[flatten]
    text: EpicChange,
}

pub(super) async fn create(
    caller: Caller<AtLeast<Orchestrator>>,
    Id(project_id): Id,
    body: Body<EpicCreateRequest>,
) -> ApiResult<Created<EpicResponse>> {
    caller
        .change(async |mut change| {
            lock_project(&mut change, project_id).await?;
            let EpicCreateRequest { number, text } =
                body.checked(|new, errors| require_title(new.text.title.as_ref(), errors))?;
            let new = EpicText::default().changed(text);
            let params: Params<'_> = &[
                &Uuid::now_v7(),
                &project_id,
                number,
                &new.title,
                &new.description,
                &new.phase,
                &new.position,
                &AsJson(&new.metadata),
            ];
            let epic = change
                .one(INSERT_EPIC, params)
                .await
                .map_err(|error| number_taken(error, "epics_number", &format!("Epic {number}")))?;
            change.tell([Event::new("epic", epic.id, "created", told(&epic)).project(project_id)]);
            change.commit(Created(EpicResponse { epic })).await
        })
        .await
}

/// What creation and deletion tell of an epic.
fn told(epic: &Epic) -> Value {
    json!({"number": epic.number, "title": epic.text.title, "project_id": epic.project_id})
}

#[derive(Request)]
pub(super) struct ListEpics {
    /// Exact match.
    #[rule(text(usize::MAX))]
    phase: Option<String>,
    #[rule(pages(20, 100))]
    page: Page,
}

pub(super) async fn list(
    caller: Caller<AtLeast<Agent>>,
    Id(project_id): Id,
    Query(query): Query<ListEpics>,
) -> ApiResult<Json<List<EpicItem>>> {
    caller.list(&LIST_EPICS, &[&project_id, &query.phase], &query.page).await.map(Json)
}

one! { pub(super) EpicDetailResponse { epic: EpicDetail } }

#[derive(Serialize, JsonSchema)]
pub(super) struct EpicDetail {
    #[serde(flatten)]
    epic: Epic,
    stories: Vec<StoryMini>,
}

pub(super) async fn show(caller: Caller<AtLeast<Agent>>, Id(id): Id) -> ApiResult<Json<EpicDetailResponse>> {
    let params: Params<'_> = &[&id];
    let (epics, stories) = caller.read((SHOW_EPIC.with(params), EPIC_STORIES.with(params))).await?;
    let epic = epics.into_iter().next().ok_or_else(ApiError::not_found)?;
    Ok(Json(EpicDetailResponse { epic: EpicDetail { epic, stories } }))
}

one! { pub(super) EpicProgressResponse { progress: EpicProgress } }

pub(super) async fn progress(
    caller: Caller<AtLeast<Agent>>,
    Id(id): Id,
) -> ApiResult<Json<EpicProgressResponse>> {
    let progress = caller.find(EPIC_PROGRESS, &[&id]).await?;
    Ok(Json(EpicProgressResponse { progress }))
}

pub(super) async fn update(
    caller: Caller<AtLeast<Orchestrator>>,
    Id(id): Id,
    body: Body<EpicChange>,
) -> ApiResult<Json<EpicResponse>> {
    let moves = body.valid().is_ok_and(|new| new.position.is_some());
    caller
        .change(async |mut change| {
            let epic = if moves {
                // A changed position reaches the stories.
                lock_with_stories(&mut change, id).await?.0
            } else {
                change.found(LOCK_EPIC, &[&id]).await?
            };
            let new = epic.text.changed(body.valid()?);
            let Some(event) = epic.text.updated(id, &new) else {
                return change.unchanged(Json(EpicResponse { epic })).await;
            };
            let metadata = AsJson(&new.metadata);
            let params: Params<'_> =
                &[&id, &new.title, &new.description, &new.phase, &new.position, &metadata];
            let epic = change.one(UPDATE_EPIC, params).await?;
            change.tell([event.project(epic.project_id)]);
            change.commit(Json(EpicResponse { epic })).await
        })
        .await
}

pub(super) async fn delete(caller: Caller<AtLeast<User>>, Id(id): Id) -> ApiResult<NoContent> {
    caller
        .change(async |mut change| {
            let (epic, stories) = lock_with_stories(&mut change, id).await?;
            let epic_edges = EPICS.deleted_with(&mut change, &[id]).await?;
            let story_edges = STORIES.deleted_with(&mut change, &stories).await?;
            let stories = change.all(DELETE_EPIC_STORIES, &[&id]).await?;
            change.execute(DELETE_EPIC, &[&id]).await?;
            change.tell([Event::deleted("epic", id, told(&epic)).project(epic.project_id)]);
            change.tell(stories.into_iter().map(|story| {
                let told = json!({"number": story.number, "title": story.title, "epic_id": id});
                Event::deleted("story", story.id, told).project(epic.project_id)
            }));
            change.tell(epic_edges.into_iter().chain(story_edges));
            change.commit(NoContent).await
        })
        .await
}

/// Locks an epic, all of its stories and those that wait for them, in the order of locks; the epic, and its stories' ids.
/// With the project's lock no story joins them.
async fn lock_with_stories(change: &mut Change<'_>, id: Uuid) -> ApiResult<(Epic, Vec<Uuid>)> {
    lock_project_of(change, EPIC_PROJECT, id).await?;
    let stories = change.all(EPIC_STORY_IDS, &[&id]).await?;
    change.execute(LOCK_WITH_DEPENDENTS, &[&stories]).await?;
    Ok((change.found(LOCK_EPIC, &[&id]).await?, stories))
}
