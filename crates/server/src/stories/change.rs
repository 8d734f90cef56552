//! Changing and deleting stories one by one (file 03 §5.8, §5.9).

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use loopctl_core::breakdown::StoryChange;
use loopctl_core::fields::Fields;
use serde_json::{Value, json};
use tokio_postgres::types::ToSql;
use utoipa::ToSchema;
use uuid::Uuid;

use super::store::{DELETE_STORY, LOCK_STORY, STORY_PROJECT, UPDATE_STORY};
use super::{CriteriaList, Story, StoryText, write_criteria};
use crate::App;
use crate::dependencies::STORIES;
use crate::events::{self, Event};
use crate::http::caller::{Orchestrator, User};
use crate::http::error::retrying;
use crate::http::{ApiError, ApiResult, AtLeast, Body, Caller, Id, Identity};
use crate::projects::lock_project_of;

/// `PATCH /stories/:id`. What is absent or null stays.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents the body, which `StoryChange` reads")]
pub(super) struct ChangeStory {
    /// Not blank, at most 500 characters.
    title: Option<String>,
    /// At most 50000 characters; an empty one clears it.
    description: Option<String>,
    /// Replaces the whole list.
    #[schema(value_type = Option<Vec<Object>>)]
    acceptance_criteria: Option<Vec<Value>>,
    /// Not negative; a numeric string will do.
    estimated_hours: Option<f64>,
    /// Replaces the whole object.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
}

/// Changes what planners write of a story. Its number stays, and its statuses move only through the trust loop.
#[utoipa::path(patch, path = "/api/v1/stories/{id}", tag = "Stories", params(("id" = Uuid, Path)),
    request_body = ChangeStory,
    responses((status = 200, body = Story, description = "`{\"story\": …}`"), (status = 403), (status = 404), (status = 422)))]
pub(super) async fn update(
    State(app): State<App>,
    caller: Caller<AtLeast<Orchestrator>>,
    Id(id): Id,
    body: Body,
) -> ApiResult<Json<Value>> {
    let story = retrying(|| update_once(&app, &caller, id, &body)).await?;
    Ok(Json(json!({"story": story})))
}

async fn update_once(app: &App, caller: &Identity, id: Uuid, body: &Body) -> ApiResult<Story> {
    let tenant_id = caller.tenant_id;
    let mut tx = app.db.tenant(tenant_id).await?;
    let row = tx.query_opt(LOCK_STORY, &[&tenant_id, &id]).await?.ok_or_else(ApiError::not_found)?;
    let change = body.read(|object| {
        let mut fields = Fields::new(object);
        let change = StoryChange::read(&mut fields);
        fields.finish(change)
    })?;
    let old = StoryText::read(&row)?;
    let new = old.changed(&change);
    let Some(event) = old.updated(id, &new) else {
        return Ok(Story::read(&row)?);
    };
    let row = tx
        .query_one(
            UPDATE_STORY,
            &[
                &tenant_id,
                &id,
                &new.title,
                &new.description,
                &new.acceptance_criteria,
                &new.estimated_hours,
                &new.metadata,
            ],
        )
        .await?;
    if let Some(criteria) = &change.acceptance_criteria {
        let list = CriteriaList { story_id: id, criteria, replaces: true };
        write_criteria(&mut tx, tenant_id, &[list]).await?;
    }
    let story = Story::read(&row)?;
    let event = event.project(story.project_id);
    events::record(tx, tenant_id, &caller.attribution(), vec![event]).await?;
    Ok(story)
}

/// Deletes a story with its evidence, and the dependencies on either side of it.
#[utoipa::path(delete, path = "/api/v1/stories/{id}", tag = "Stories", params(("id" = Uuid, Path)),
    responses((status = 204), (status = 403), (status = 404)))]
pub(super) async fn delete(
    State(app): State<App>,
    caller: Caller<AtLeast<User>>,
    Id(id): Id,
) -> ApiResult<StatusCode> {
    retrying(|| delete_once(&app, &caller, id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn delete_once(app: &App, caller: &Identity, id: Uuid) -> ApiResult<()> {
    let tenant_id = caller.tenant_id;
    let params: &[&(dyn ToSql + Sync)] = &[&tenant_id, &id];
    let mut tx = app.db.tenant(tenant_id).await?;
    let (project_id, _) = lock_project_of(&mut tx, STORY_PROJECT, tenant_id, id).await?;
    let edges = STORIES.deleted_with(&mut tx, tenant_id, &[id]).await?;
    let story = tx.query_opt(DELETE_STORY, params).await?.ok_or_else(ApiError::not_found)?;
    let old = json!({
        "number": story.try_get::<_, String>("number")?,
        "title": story.try_get::<_, String>("title")?,
        "epic_id": story.try_get::<_, Uuid>("epic_id")?,
    });
    let mut events = vec![Event::deleted("story", id, old).project(project_id)];
    events.extend(edges);
    events::record(tx, tenant_id, &caller.attribution(), events).await?;
    Ok(())
}
