//! Creating stories one by one (file 03 §5.2-§5.4).

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use loopctl_core::breakdown::StoryChange;
use loopctl_core::fields::{BLANK, FieldErrors, Fields, Length};
use loopctl_core::number::StoryNumber;
use serde_json::{Map, Value, json};
use tokio_postgres::Row;
use utoipa::ToSchema;
use uuid::Uuid;

use super::store::{COUNT_PROJECT_STORIES, INSERT_STORY, LOCK_EPIC, LOCK_EPIC_BY_NUMBER};
use super::{CriteriaList, Story, criteria_value, write_criteria};
use crate::App;
use crate::db::Tx;
use crate::epics::EPIC_PROJECT;
use crate::events::{self, Event};
use crate::http::caller::Orchestrator;
use crate::http::error::retrying;
use crate::http::{ApiError, ApiResult, AtLeast, Body, Caller, Id, Identity};
use crate::projects::{LockedProject, lock_project, lock_project_of};

/// `POST /epics/:epic_id/stories`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents the body, which `NewStory` reads")]
pub(super) struct CreateStory {
    /// `major` or `major.minor`, each below 10000; unique in the project, and final.
    number: String,
    /// At most 500 characters.
    title: String,
    /// At most 50000 characters.
    description: Option<String>,
    /// Objects with free keys; `id`, `criterion`, `description` and `verification_criterion` mean something.
    #[schema(value_type = Option<Vec<Object>>)]
    acceptance_criteria: Option<Vec<Value>>,
    /// Not negative; a numeric string will do.
    estimated_hours: Option<f64>,
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
}

/// `POST /projects/:project_id/stories`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents the body")]
pub(super) struct CreateStoryByNumber {
    /// The number of the story's epic.
    epic_number: i32,
    #[schema(inline)]
    #[serde(flatten)]
    story: CreateStory,
}

/// A story to be created.
#[derive(Clone)]
struct NewStory {
    number: StoryNumber,
    title: String,
    /// The rest, of which nothing is required.
    details: StoryChange,
}

impl NewStory {
    fn read(object: &Map<String, Value>) -> Result<Self, FieldErrors> {
        let mut fields = Fields::new(object);
        let text = fields.required_text("number", Length::max(usize::MAX));
        let number = match StoryNumber::parse(&text) {
            Ok(number) => Some(number),
            // That it is missing was told already.
            Err(_) if text.is_empty() => None,
            Err(reason) => {
                fields.fail("number", reason);
                None
            }
        };
        let details = StoryChange::read(&mut fields);
        let title = fields.required("title", |_| details.title.clone());
        let number = fields.finish(number)?.ok_or_else(|| FieldErrors::one("number", BLANK))?;
        Ok(Self { number, title, details })
    }
}

/// Creates a story in an epic. It starts pending and unverified, whatever the body says.
#[utoipa::path(post, path = "/api/v1/epics/{epic_id}/stories", tag = "Stories", params(("epic_id" = Uuid, Path)),
    request_body = CreateStory,
    responses((status = 201, body = Story, description = "`{\"story\": …}`"), (status = 403), (status = 404), (status = 422)))]
pub(super) async fn create(
    State(app): State<App>,
    caller: Caller<AtLeast<Orchestrator>>,
    Id(epic_id): Id,
    body: Body,
) -> ApiResult<(StatusCode, Json<Value>)> {
    let new = NewStory::read(&body.0);
    let story = retrying(async || {
        let tenant_id = caller.tenant_id;
        let mut tx = app.db.tenant(tenant_id).await?;
        let (project_id, project) = lock_project_of(&mut tx, EPIC_PROJECT, tenant_id, epic_id).await?;
        let epic = tx.query_opt(LOCK_EPIC, &[&tenant_id, &project_id, &epic_id]).await?;
        let epic = epic.ok_or_else(ApiError::not_found)?;
        insert(tx, &caller, project_id, &project, &epic, new.clone()?).await
    })
    .await?;
    Ok((StatusCode::CREATED, Json(json!({"story": story}))))
}

/// Creates a story in the epic with this number.
#[utoipa::path(post, path = "/api/v1/projects/{project_id}/stories", tag = "Stories",
    params(("project_id" = Uuid, Path)), request_body = CreateStoryByNumber,
    responses((status = 201, body = Story, description = "`{\"story\": …}`"), (status = 403), (status = 404), (status = 422)))]
pub(super) async fn create_by_number(
    State(app): State<App>,
    caller: Caller<AtLeast<Orchestrator>>,
    Id(project_id): Id,
    body: Body,
) -> ApiResult<(StatusCode, Json<Value>)> {
    let mut fields = Fields::new(&body.0);
    let epic_number = fields.integer("epic_number");
    let epic_number = fields.finish(epic_number);
    let new = NewStory::read(&body.0);
    let story = retrying(async || {
        let tenant_id = caller.tenant_id;
        let mut tx = app.db.tenant(tenant_id).await?;
        let project = lock_project(&mut tx, tenant_id, project_id).await?;
        let epic_number = epic_number.clone()?.ok_or_else(epic_number_required)?;
        let epic = tx.query_opt(LOCK_EPIC_BY_NUMBER, &[&tenant_id, &project_id, &epic_number]).await?;
        let epic = epic.ok_or_else(|| epic_not_found(epic_number))?;
        insert(tx, &caller, project_id, &project, &epic, new.clone()?).await
    })
    .await?;
    Ok((StatusCode::CREATED, Json(json!({"story": story}))))
}

fn epic_number_required() -> ApiError {
    ApiError::unprocessable(
        "epic_number_required",
        "`epic_number` is required. Pass it in the request body alongside the story fields.",
    )
}

fn epic_not_found(number: i32) -> ApiError {
    ApiError::unprocessable(
        "epic_not_found",
        format!(
            "Epic number {number} not found in this project. Use import_stories or POST /projects/:id/epics to create \
             it first."
        ),
    )
}

/// Inserts a story into a locked epic of a locked project, and commits.
async fn insert(
    mut tx: Tx,
    caller: &Identity,
    project_id: Uuid,
    project: &LockedProject,
    epic: &Row,
    new: NewStory,
) -> ApiResult<Story> {
    let tenant_id = caller.tenant_id;
    if project.has_story_limit() {
        let stories = tx.query_one(COUNT_PROJECT_STORIES, &[&tenant_id, &project_id]).await?;
        project.admits(stories.try_get::<_, i64>("total")?.unsigned_abs() + 1)?;
    }
    let NewStory { number, title, details } = new;
    let criteria = details.acceptance_criteria.unwrap_or_default();
    let row = tx
        .query_one(
            INSERT_STORY,
            &[
                &tenant_id,
                &project_id,
                &epic.try_get::<_, Uuid>("id")?,
                &epic.try_get::<_, i32>("position")?,
                &Uuid::now_v7(),
                &number.as_str(),
                &number.major(),
                &number.minor(),
                &title,
                &details.description.flatten(),
                &criteria_value(&criteria),
                &details.estimated_hours,
                &Value::Object(details.metadata.unwrap_or_default()),
            ],
        )
        .await
        .map_err(|error| ApiError::number_taken(error, "stories_number", &format!("Story {number}")))?;
    let story = Story::read(&row)?;
    let list = CriteriaList { story_id: story.id, criteria: &criteria, replaces: false };
    write_criteria(&mut tx, tenant_id, &[list]).await?;
    let event = Event::new(
        "story",
        story.id,
        "created",
        json!({
            "number": story.number, "title": story.title, "epic_id": story.epic_id, "project_id": project_id,
            "agent_status": story.agent_status, "verified_status": story.verified_status,
        }),
    )
    .project(project_id);
    events::record(tx, tenant_id, &caller.attribution(), vec![event]).await?;
    Ok(story)
}
