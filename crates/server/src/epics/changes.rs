//! What changes epics: creation, update, deletion.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use loopctl_core::breakdown::EpicChange;
use loopctl_core::fields::{FieldErrors, Fields};
use serde_json::{Map, Value, json};
use tokio_postgres::Row;
use utoipa::ToSchema;
use uuid::Uuid;

use super::api::Epic;
use super::store::{
    DELETE_EPIC, DELETE_EPIC_STORIES, EPIC_PROJECT, INSERT_EPIC, LOCK_EPIC, LOCK_EPIC_STORIES, UPDATE_EPIC,
    read,
};
use super::text::EpicText;
use crate::App;
use crate::db::Tx;
use crate::dependencies;
use crate::events::{self, Event};
use crate::http::caller::{Orchestrator, User};
use crate::http::error::retrying;
use crate::http::{ApiError, ApiResult, AtLeast, Body, Caller, Id, Identity};
use crate::projects::{lock_project, lock_project_of};

/// `POST /projects/:project_id/epics`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents the body, which `EpicChange` reads")]
struct CreateEpic {
    /// Greater than 0; unique in the project; never changes.
    number: i32,
    /// At most 500 characters.
    title: String,
    /// At most 50000 characters.
    description: Option<String>,
    /// At most 255 characters.
    phase: Option<String>,
    /// Not negative; default 0.
    position: Option<i32>,
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
}

/// `PATCH /epics/:id`: every field is optional; an empty string clears what may be empty. The number never changes.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents the body, which `EpicChange` reads")]
struct UpdateEpic {
    /// At most 500 characters.
    title: Option<String>,
    /// At most 50000 characters.
    description: Option<String>,
    /// At most 255 characters.
    phase: Option<String>,
    /// Not negative.
    position: Option<i32>,
    /// Replaces the whole object.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
}

/// A new epic: its number, and a change of nothing.
fn read_new(object: &Map<String, Value>) -> Result<(i32, EpicText), FieldErrors> {
    let mut fields = Fields::new(object);
    let number = fields.required("number", |fields| {
        let number = fields.integer("number")?;
        if number <= 0 {
            fields.fail("number", "must be greater than 0");
        }
        Some(number)
    });
    let change = EpicChange::read(&mut fields);
    let title = fields.required("title", |_| change.title.clone());
    let empty = EpicText { title, description: None, phase: None, position: 0, metadata: json!({}) };
    fields.finish((number, empty.changed(&change)))
}

fn read_change(object: &Map<String, Value>) -> Result<EpicChange, FieldErrors> {
    let mut fields = Fields::new(object);
    let change = EpicChange::read(&mut fields);
    fields.finish(change)
}

/// Adds an epic to a project.
#[utoipa::path(post, path = "/api/v1/projects/{project_id}/epics", tag = "Epics",
    params(("project_id" = Uuid, Path)), request_body = CreateEpic,
    responses((status = 201, body = Epic, description = "`{\"epic\": …}`"), (status = 403), (status = 404),
              (status = 422)))]
pub(super) async fn create(
    State(app): State<App>,
    caller: Caller<AtLeast<Orchestrator>>,
    Id(project_id): Id,
    body: Body,
) -> ApiResult<(StatusCode, Json<Value>)> {
    let epic = retrying(|| create_once(&app, &caller, project_id, &body)).await?;
    Ok((StatusCode::CREATED, Json(json!({"epic": epic}))))
}

async fn create_once(app: &App, caller: &Identity, project_id: Uuid, body: &Body) -> ApiResult<Epic> {
    let tenant_id = caller.tenant_id;
    let mut tx = app.db.tenant(tenant_id).await?;
    lock_project(&mut tx, tenant_id, project_id).await?;
    let (number, new) = body.read(read_new)?;
    let row = tx
        .query_one(
            INSERT_EPIC,
            &[
                &tenant_id,
                &Uuid::now_v7(),
                &project_id,
                &number,
                &new.title,
                &new.description,
                &new.phase,
                &new.position,
                &new.metadata,
            ],
        )
        .await
        .map_err(|error| ApiError::number_taken(error, "epics_number", &format!("Epic {number}")))?;
    let epic = read(&row)?;
    let event = Event::new("epic", epic.id, "created", told(&epic)).project(project_id);
    events::record(tx, tenant_id, &caller.attribution(), vec![event]).await?;
    Ok(epic)
}

/// What creation and deletion tell of an epic.
fn told(epic: &Epic) -> Value {
    json!({"number": epic.number, "title": epic.title, "project_id": epic.project_id})
}

/// Changes an epic.
#[utoipa::path(patch, path = "/api/v1/epics/{id}", tag = "Epics", params(("id" = Uuid, Path)),
    request_body = UpdateEpic,
    responses((status = 200, body = Epic, description = "`{\"epic\": …}`"), (status = 403), (status = 404),
              (status = 422)))]
pub(super) async fn update(
    State(app): State<App>,
    caller: Caller<AtLeast<Orchestrator>>,
    Id(id): Id,
    body: Body,
) -> ApiResult<Json<Value>> {
    let epic = retrying(|| update_once(&app, &caller, id, &body)).await?;
    Ok(Json(json!({"epic": epic})))
}

async fn update_once(app: &App, caller: &Identity, id: Uuid, body: &Body) -> ApiResult<Epic> {
    let change = body.read(read_change);
    let tenant_id = caller.tenant_id;
    let mut tx = app.db.tenant(tenant_id).await?;
    let moves = change.as_ref().is_ok_and(|change| change.position.is_some());
    let row = if moves {
        // A changed position reaches the stories.
        lock_with_stories(&mut tx, tenant_id, id).await?.0
    } else {
        lock(&mut tx, tenant_id, id).await?
    };
    let change = change?;
    let (epic, old) = (read(&row)?, EpicText::read(&row)?);
    let new = old.changed(&change);
    let Some(event) = old.updated(id, &new) else {
        return Ok(epic);
    };
    let row = tx
        .query_one(
            UPDATE_EPIC,
            &[&tenant_id, &id, &new.title, &new.description, &new.phase, &new.position, &new.metadata],
        )
        .await?;
    let event = event.project(epic.project_id);
    events::record(tx, tenant_id, &caller.attribution(), vec![event]).await?;
    Ok(read(&row)?)
}

/// Deletes an epic with its stories, and everything that hangs on them. What is deleted is told one by one.
#[utoipa::path(delete, path = "/api/v1/epics/{id}", tag = "Epics", params(("id" = Uuid, Path)),
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
    let mut tx = app.db.tenant(tenant_id).await?;
    let (row, stories) = lock_with_stories(&mut tx, tenant_id, id).await?;
    let epic = read(&row)?;
    let mut edges = dependencies::EPICS.deleted_with(&mut tx, tenant_id, &[id]).await?;
    edges.extend(dependencies::STORIES.deleted_with(&mut tx, tenant_id, &stories).await?);
    let mut events = vec![Event::deleted("epic", id, told(&epic))];
    for row in tx.query(DELETE_EPIC_STORIES, &[&tenant_id, &id]).await? {
        let (number, title): (String, String) = (row.try_get("number")?, row.try_get("title")?);
        let old_state = json!({"number": number, "title": title, "epic_id": id});
        events.push(Event::deleted("story", row.try_get("id")?, old_state));
    }
    tx.query(DELETE_EPIC, &[&tenant_id, &id]).await?;
    events.extend(edges);
    let events = events.into_iter().map(|event| event.project(epic.project_id)).collect();
    events::record(tx, tenant_id, &caller.attribution(), events).await?;
    Ok(())
}

async fn lock(tx: &mut Tx, tenant_id: Uuid, id: Uuid) -> ApiResult<Row> {
    tx.query_opt(LOCK_EPIC, &[&tenant_id, &id]).await?.ok_or_else(ApiError::not_found)
}

/// Locks an epic and all of its stories, in the order of locks; the epic's row and the stories' ids. With the project's
/// lock no story joins them.
async fn lock_with_stories(tx: &mut Tx, tenant_id: Uuid, id: Uuid) -> ApiResult<(Row, Vec<Uuid>)> {
    lock_project_of(tx, EPIC_PROJECT, tenant_id, id).await?;
    let stories = tx.query(LOCK_EPIC_STORIES, &[&tenant_id, &id]).await?;
    let stories = stories.iter().map(|row| row.try_get("id")).collect::<Result<_, _>>()?;
    Ok((lock(tx, tenant_id, id).await?, stories))
}
