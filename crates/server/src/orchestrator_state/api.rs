//! `PUT` and `GET /orchestrator/state/:project_id`.

use axum::Json;
use axum::extract::State;
use loopctl_core::fields::{FieldErrors, Fields, Length};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio_postgres::Row;
use utoipa::ToSchema;
use uuid::Uuid;

use super::DEFAULT_KEY;
use super::store::{FIND_STATE, FIRST_SAVE, NEXT_SAVE, SHOW_STATE};
use crate::App;
use crate::db::{DbError, Timestamp};
use crate::events::{self, Event};
use crate::http::caller::{Orchestrator, Superadmin};
use crate::http::error::retrying;
use crate::http::{ApiError, ApiResult, Body, Caller, Exact, Id, Identity, Query};

/// A checkpoint.
#[derive(Debug, Serialize, ToSchema)]
struct OrchestratorState {
    id: Uuid,
    tenant_id: Uuid,
    project_id: Uuid,
    state_key: String,
    /// As it was saved.
    #[schema(value_type = Object)]
    state_data: Value,
    /// 1 after the first save, and one more with each.
    version: i32,
    #[schema(value_type = String, format = DateTime)]
    inserted_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl OrchestratorState {
    fn read(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            id: row.try_get("id")?,
            tenant_id: row.try_get("tenant_id")?,
            project_id: row.try_get("project_id")?,
            state_key: row.try_get("state_key")?,
            state_data: row.try_get("state_data")?,
            version: row.try_get("version")?,
            inserted_at: row.try_get("inserted_at")?,
            updated_at: row.try_get("updated_at")?,
        })
    }
}

/// The body of a save.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents the body, whose fields are read one by one")]
struct SaveOrchestratorState {
    /// 1..255 characters; keys are independent of each other.
    state_key: String,
    #[schema(value_type = Object)]
    state_data: Map<String, Value>,
    /// The version that this save replaces; 0 or absent for the first one.
    version: Option<i32>,
}

fn read_key(object: &Map<String, Value>) -> Result<String, FieldErrors> {
    let mut fields = Fields::new(object);
    let key = fields.required("state_key", |fields| fields.trimmed_text("state_key", Length::max(255)));
    fields.finish(key)
}

fn read_version(object: &Map<String, Value>) -> Result<i32, FieldErrors> {
    let mut fields = Fields::new(object);
    let version = fields.integer("version").unwrap_or(0);
    fields.finish(version)
}

fn read_data(object: &Map<String, Value>) -> Result<Value, FieldErrors> {
    let mut fields = Fields::new(object);
    let data = fields.required("state_data", |fields| fields.object("state_data"));
    fields.finish(Value::Object(data))
}

/// What is saved before this save.
struct Saved {
    id: Uuid,
    version: i32,
    state_data: Value,
}

impl Saved {
    /// Reads the row of `FIND_STATE`; None when nothing was saved under this key.
    fn read(row: &Row) -> Result<Option<Self>, DbError> {
        let Some(id) = row.try_get("id")? else { return Ok(None) };
        Ok(Some(Self { id, version: row.try_get("version")?, state_data: row.try_get("state_data")? }))
    }
}

/// The answer to a save that somebody else overtook, or that came before.
fn version_conflict(current: i32, sent: i32) -> ApiError {
    let (message, hint) = match current {
        0 => (
            format!("Conflict: nothing is saved under this key, and the save names version {sent}"),
            "Send version 0 for the first save of a key.".to_owned(),
        ),
        _ => (
            format!("Conflict: the state is at version {current}, and the save names version {sent}"),
            format!(
                "Read the state first: your save may have arrived, or somebody else's. Then save with version \
                 {current}."
            ),
        ),
    };
    ApiError::conflict("version_conflict", message)
        .with("current_version", json!(current))
        .with("current_state", json!(format!("v{current}")))
        .with("attempted_action", json!("save_state"))
        .with("hints", json!([hint]))
}

/// Saves a checkpoint, if nobody has saved another since the version that it names.
#[utoipa::path(put, path = "/api/v1/orchestrator/state/{project_id}", tag = "Orchestrator",
    params(("project_id" = Uuid, Path)), request_body = SaveOrchestratorState,
    responses((status = 200, body = OrchestratorState, description = "`{\"state\": …}`"), (status = 403), (status = 404),
              (status = 409, description = "`version_conflict`, with `current_version`"), (status = 422)))]
pub(super) async fn save(
    State(app): State<App>,
    caller: Caller<Exact<(Orchestrator, Superadmin)>>,
    Id(project_id): Id,
    body: Body,
) -> ApiResult<Json<Value>> {
    let state = retrying(|| save_once(&app, &caller, project_id, &body)).await?;
    Ok(Json(json!({"state": state})))
}

async fn save_once(
    app: &App,
    caller: &Identity,
    project_id: Uuid,
    body: &Body,
) -> ApiResult<OrchestratorState> {
    let key = body.read(read_key)?;
    let tenant_id = caller.tenant_id;
    let mut tx = app.db.tenant(tenant_id).await?;
    let found = tx.query_opt(FIND_STATE, &[&tenant_id, &project_id, &key]).await?;
    let current = Saved::read(&found.ok_or_else(ApiError::not_found)?)?;
    let version = body.read(read_version)?;
    let current_version = current.as_ref().map_or(0, |saved| saved.version);
    if version != current_version {
        return Err(version_conflict(current_version, version));
    }
    let data = body.read(read_data)?;
    let row = match &current {
        None => tx.query_opt(FIRST_SAVE, &[&tenant_id, &Uuid::now_v7(), &project_id, &key, &data]).await?,
        Some(saved) => tx.query_opt(NEXT_SAVE, &[&tenant_id, &saved.id, &version, &data]).await?,
    };
    let Some(row) = row else {
        let found = tx.query_one(FIND_STATE, &[&tenant_id, &project_id, &key]).await?;
        return Err(version_conflict(Saved::read(&found)?.map_or(0, |saved| saved.version), version));
    };
    let state = OrchestratorState::read(&row)?;
    let audited = |version: i32, data: &Value| json!({"project_id": project_id, "state_key": key, "state_data": data, "version": version});
    let new = audited(state.version, &state.state_data);
    let mut event = Event::new("orchestrator_state", state.id, "saved", new).project(project_id);
    event.old_state = current.map(|saved| audited(saved.version, &saved.state_data));
    events::record(tx, tenant_id, &caller.attribution(), vec![event]).await?;
    Ok(state)
}

/// The latest checkpoint under a key.
#[utoipa::path(get, path = "/api/v1/orchestrator/state/{project_id}", tag = "Orchestrator",
    params(("project_id" = Uuid, Path), ("state_key" = Option<String>, Query, description = "Default `main`")),
    responses((status = 200, body = OrchestratorState, description = "`{\"state\": …}`"), (status = 403), (status = 404)))]
pub(super) async fn load(
    State(app): State<App>,
    caller: Caller<Exact<(Orchestrator, Superadmin)>>,
    Id(project_id): Id,
    query: Query,
) -> ApiResult<Json<Value>> {
    let key = query.text("state_key").unwrap_or(DEFAULT_KEY);
    let tx = app.db.tenant(caller.tenant_id).await?;
    let row = tx.finish_opt(SHOW_STATE, &[&caller.tenant_id, &project_id, &key]).await?;
    let state = OrchestratorState::read(&row.ok_or_else(ApiError::not_found)?)?;
    Ok(Json(json!({"state": state})))
}
