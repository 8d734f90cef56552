//! Creating stories one by one.

use loopctl_core::breakdown::StoryChange;
use loopctl_core::code::Code;
use loopctl_core::json::JsonText;
use loopctl_core::number::StoryNumber;
use loopctl_core::request::{Request, integer, text};
use serde_json::json;
use uuid::Uuid;

use super::api::StoryResponse;
use super::store::{COUNT_PROJECT_STORIES, EPIC_BY_NUMBER, EPIC_OF_STORY, INSERT_STORY, Story, then_find};
use super::text::check_metadata;
use super::{CriteriaList, write_criteria};
use crate::app::{AtLeast, Caller, Change, Orchestrator};
use crate::db::{AsJson, Params};
use crate::events::Event;
use crate::http::{ApiError, ApiResult, Body, Created, Id, Sent};
use crate::plan::epics::EPIC_PROJECT;
use crate::plan::projects::{LockedProject, lock_project, lock_project_of};
use crate::plan::{number_taken, require_title};

/// A story to be created; a title must be there.
#[derive(Debug, Clone, Request)]
pub(super) struct StoryCreateRequest {
    /// One to six parts of letters, digits, `_` or `-`, joined by points: `1.1`, `26.R.1`; unique in the project, and final.
    #[rule(text(usize::MAX).that(|number| StoryNumber::parse(number).map(drop).map_err(Into::into)).required())]
    number: String,
    #[flatten]
    details: StoryChange,
}

pub(super) async fn create(
    caller: Caller<AtLeast<Orchestrator>>,
    Id(epic_id): Id,
    body: Body<StoryCreateRequest>,
) -> ApiResult<Created<StoryResponse>> {
    caller
        .change(async |mut change| {
            let (project_id, project) = lock_project_of(&mut change, EPIC_PROJECT, epic_id).await?;
            let epic_id = change.found(EPIC_OF_STORY, &[&project_id, &epic_id]).await?;
            let new = checked(&body, |new| new)?;
            let story = insert(&mut change, project_id, &project, epic_id, new).await?;
            change.commit(Created(StoryResponse { story })).await
        })
        .await
}

/// A story to be created in the epic with a number.
#[derive(Debug, Clone, Request)]
pub(super) struct StoryCreateByNumberRequest {
    /// The number of the story's epic; required.
    #[rule(integer())]
    epic_number: Option<i32>,
    #[flatten]
    story: StoryCreateRequest,
}

pub(super) async fn create_by_number(
    caller: Caller<AtLeast<Orchestrator>>,
    Id(project_id): Id,
    body: Body<StoryCreateByNumberRequest>,
) -> ApiResult<Created<StoryResponse>> {
    caller
        .change(async |mut change| {
            let project = lock_project(&mut change, project_id).await?;
            if body.has_failed("epic_number") {
                body.valid()?;
            }
            let number = body.anyway().epic_number.ok_or_else(epic_number_required)?;
            let epic_id = change.optional(EPIC_BY_NUMBER, &[&project_id, &number]).await?;
            let epic_id = epic_id.ok_or_else(|| epic_not_found(number))?;
            let new = checked(&body, |new| &new.story)?;
            let story = insert(&mut change, project_id, &project, epic_id, new).await?;
            change.commit(Created(StoryResponse { story })).await
        })
        .await
}

/// The story of a body, which must have a title.
fn checked<T>(body: &Sent<T>, story: impl Fn(&T) -> &StoryCreateRequest) -> ApiResult<&StoryCreateRequest> {
    let sent = body.checked(|sent, errors| {
        let details = &story(sent).details;
        require_title(details.title.as_ref(), errors);
        check_metadata(&JsonText::empty_object(), details, errors);
    })?;
    Ok(story(sent))
}

fn epic_number_required() -> ApiError {
    ApiError::unprocessable(
        Code::EpicNumberRequired,
        "`epic_number` is required. Pass it in the request body alongside the story fields.",
    )
}

fn epic_not_found(number: i32) -> ApiError {
    ApiError::unprocessable(
        Code::EpicNotFound,
        format!(
            "Epic number {number} not found in this project. Use import_stories or POST /projects/:id/epics to create \
             it first."
        ),
    )
}

/// Inserts a story into an epic of a locked project.
async fn insert(
    change: &mut Change<'_>,
    project_id: Uuid,
    project: &LockedProject,
    epic_id: Uuid,
    new: &StoryCreateRequest,
) -> ApiResult<Story> {
    if project.has_story_limit() {
        let stories = change.one(COUNT_PROJECT_STORIES, &[&project_id]).await?;
        project.admits(stories.unsigned_abs() + 1)?;
    }
    let StoryCreateRequest { number, details } = new;
    let number = StoryNumber::parse(number).map_err(|reason| ApiError::invalid_field("number", reason))?;
    let criteria = details.acceptance_criteria.clone().unwrap_or_default();
    let metadata = details.metadata.clone().unwrap_or_default();
    let id = Uuid::now_v7();
    let params: Params<'_> = &[
        &project_id,
        &epic_id,
        &id,
        &number.as_str(),
        &details.title,
        &details.description.clone().flatten(),
        &AsJson(criteria.as_json()),
        &details.estimated_hours,
        &AsJson(&metadata),
    ];
    let story = then_find(change, INSERT_STORY.with(params), id)
        .await
        .map_err(|error| number_taken(error, "stories_number", &format!("Story {number}")))?
        .ok_or_else(ApiError::internal)?;
    let list = CriteriaList { story_id: id, criteria: &criteria, replaces: false };
    write_criteria(change, &[list]).await?;
    let facts = story.facts();
    let told = json!({
        "number": story.number, "title": facts.title, "epic_id": story.epic_id, "project_id": project_id,
        "agent_status": facts.state.agent_status, "verified_status": facts.state.verified_status,
    });
    change.tell([Event::new("story", story.id, "created", told).project(project_id)]);
    Ok(story)
}
