//! Requests, answers and handlers of `/orchestrator/state/{project_id}`.

use axum::Json;
use loopctl_core::code::Code;
use loopctl_core::json::JsonText;
use loopctl_core::request::{Request, integer, object, text};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::store::{
    FIND_STATE, FIRST_SAVE, LIST_SAVES, NEXT_SAVE, OrchestratorState, SHOW_STATE, SavedState,
};
use crate::app::{Caller, Exact, Orchestrator, Superadmin};
use crate::db::AsJson;
use crate::events::Event;
use crate::http::{ApiError, ApiResult, Body, Feed, Id, Place, Query, one, pages};

/// The bytes below which a state must stay, without white space and needless escapes.
const MOST_BYTES: usize = 1 << 20;

/// The body of a save.
#[derive(Debug, Request)]
pub(super) struct OrchestratorStateSaveRequest {
    /// Keys are independent of each other.
    #[rule(text(255).trimmed().required())]
    state_key: String,
    /// Below 1 MB.
    #[rule(object().below(MOST_BYTES, "must be smaller than 1MB").required())]
    state_data: JsonText,
    /// The version that this save replaces; 0 or absent for the first one.
    #[rule(integer().or(0))]
    version: i32,
}

one! { pub(super) OrchestratorStateResponse { state: OrchestratorState } }

/// A state as the audit log tells of it.
#[derive(Serialize)]
struct Told<'a> {
    project_id: Uuid,
    state_key: &'a str,
    state_data: &'a JsonText,
    version: i32,
}

pub(super) async fn save(
    caller: Caller<Exact<(Orchestrator, Superadmin)>>,
    Id(project_id): Id,
    body: Body<OrchestratorStateSaveRequest>,
) -> ApiResult<Json<OrchestratorStateResponse>> {
    // The fields are due one by one: the key, then the project, then the version, whether it is the one that is saved,
    // and the data last.
    let sound = |field: &str| body.checked(|_, errors| errors.0.retain(|failed, _| failed == field));
    let new = sound("state_key")?;
    caller
        .change(async |mut change| {
            let place = [&project_id as _, &new.state_key as _];
            let found = change.optional(FIND_STATE, &place).await?.ok_or_else(ApiError::not_found)?;
            sound("version")?;
            if new.version != found.version {
                return Err(version_conflict(found.version, new.version));
            }
            let (data, new_id) = (AsJson(&body.valid()?.state_data), Uuid::now_v7());
            let saved = match &found.id {
                None => {
                    let first = [&new_id as _, &project_id as _, &new.state_key as _, &data as _];
                    change.optional(FIRST_SAVE, &first).await?
                }
                Some(id) => change.optional(NEXT_SAVE, &[id, &new.version, &data]).await?,
            };
            let Some(state) = saved else {
                let current = change.one(FIND_STATE, &place).await?.version;
                return Err(version_conflict(current, new.version));
            };
            let told = |version, state_data: &JsonText| {
                JsonText::of(&Told { project_id, state_key: &new.state_key, state_data, version })
                    .map_err(|_| ApiError::internal())
            };
            let now = told(state.version, &state.state_data)?;
            let mut event = Event::new("orchestrator_state", state.id, "saved", now).project(project_id);
            event.old_state = found.state_data.map(|before| told(found.version, &before)).transpose()?;
            change.tell([event]);
            change.commit(Json(OrchestratorStateResponse { state })).await
        })
        .await
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
    ApiError::conflict(Code::VersionConflict, message)
        .with("current_version", json!(current))
        .with("current_state", json!(format!("v{current}")))
        .with("attempted_action", json!("save_state"))
        .with("hints", json!([hint]))
}

#[derive(Request)]
pub(super) struct UnderKey {
    /// Default `main`.
    #[rule(text(usize::MAX).or("main".to_owned()))]
    state_key: String,
}

pub(super) async fn load(
    caller: Caller<Exact<(Orchestrator, Superadmin)>>,
    Id(project_id): Id,
    Query(query): Query<UnderKey>,
) -> ApiResult<Json<OrchestratorStateResponse>> {
    let state = caller.find(SHOW_STATE, &[&project_id, &query.state_key]).await?;
    Ok(Json(OrchestratorStateResponse { state }))
}

#[derive(Request)]
pub(super) struct ListSaves {
    #[flatten]
    under: UnderKey,
    #[rule(pages(25, 100).or_cursor())]
    place: Place,
}

pub(super) async fn history(
    caller: Caller<Exact<(Orchestrator, Superadmin)>>,
    Id(project_id): Id,
    Query(query): Query<ListSaves>,
) -> ApiResult<Json<Feed<SavedState>>> {
    let filters = [&project_id as _, &query.under.state_key as _];
    caller.feed(&LIST_SAVES, &filters, &query.place, |save| save.saved_at).await.map(Json)
}
