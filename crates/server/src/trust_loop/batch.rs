//! Bulk calls (file 02 §6): up to 50 stories in one transaction, each by the same step as in its single-story call.
//!
//! All stories are locked first, in the order of their ids, and all epics last: calls that overlap never wait for
//! each other in a circle. An item that is refused has written nothing and leaves the others alone.

use std::collections::{BTreeMap, HashSet};

use axum::Json;
use axum::http::StatusCode;
use loopctl_core::fields::parse_uuid;
use loopctl_core::lifecycle::{self, Action, Attempt};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::store::LOCK_BATCH;
use super::transition::{Step, complete_epic, step};
use crate::App;
use crate::db::Timestamp;
use crate::events;
use crate::http::error::retrying;
use crate::http::{ApiError, ApiResult, Identity};
use crate::stories::Story;

/// The most items that one call may hold.
const MAX_ITEMS: usize = 50;

/// One story of a call.
pub(super) struct Item {
    /// `story_id` as it was sent; None when there is none.
    echo: Option<String>,
    /// What to attempt, on which story, or why the item is refused as it stands.
    work: Result<Work, Refused>,
}

/// Why an item failed, as its result tells it.
type Refused = Map<String, Value>;

struct Work {
    story_id: Uuid,
    attempt: Attempt,
    body: Map<String, Value>,
}

/// What an element of a list asks for: the story's id as it was sent, and what to attempt with which body.
pub(super) type Asked<'a> = (Option<&'a str>, ApiResult<(Attempt, Map<String, Value>)>);

/// What became of one item.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ItemResult {
    /// As sent; null when the item had none.
    story_id: Option<String>,
    /// `success` or `error`.
    status: &'static str,
    /// Why, on an error: `code`, `reason`, and what else the single-story call would tell (`hints`, `details`, …).
    #[serde(flatten)]
    #[schema(value_type = Object)]
    error: Refused,
}

/// The answer of a bulk call.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Results {
    /// In the order of the request.
    results: Vec<ItemResult>,
}

/// Reads the list of a bulk call, named `name`; `read` makes of each element a story's id, as sent, and what to
/// attempt.
///
/// # Errors
/// 422 for a list that is missing, empty or too long; 400 or 422 for a key that needs an agent and has none.
pub(super) fn read_items(
    app: &App,
    caller: &Identity,
    action: Action,
    body: &Map<String, Value>,
    name: &str,
    read: impl Fn(&Value) -> Asked<'_>,
) -> ApiResult<Vec<Item>> {
    let refused = |message: String| ApiError::unprocessable("invalid_batch", message);
    let Some(Value::Array(list)) = body.get(name) else {
        return Err(refused(format!("{name} is required and must be an array")));
    };
    lifecycle::admit(action, &caller.actor())
        .map_err(|refusal| ApiError::refused(refusal, &app.public_url))?;
    if list.is_empty() {
        return Err(refused(format!("{name} must not be empty")));
    }
    if list.len() > MAX_ITEMS {
        return Err(refused(format!("Maximum batch size is {MAX_ITEMS} stories")));
    }
    let mut seen = HashSet::new();
    let items = list
        .iter()
        .map(|element| {
            let (sent, attempt) = read(element);
            let story_id = sent.and_then(parse_uuid);
            let work = match (sent, story_id) {
                (None, _) => Err(ApiError::unprocessable(
                    "invalid_item",
                    "Story not found: story_id is required and must be a string",
                )),
                (Some(_), None) => Err(unknown()),
                (Some(_), Some(id)) if !seen.insert(id) => Err(ApiError::unprocessable(
                    "duplicate",
                    "The story is listed more than once; only its first place counts",
                )),
                (Some(_), Some(story_id)) => attempt.map(|(attempt, body)| Work { story_id, attempt, body }),
            };
            let echo = story_id.map(|id| id.to_string()).or_else(|| sent.map(str::to_owned));
            Item { echo, work: work.map_err(ApiError::into_members) }
        })
        .collect();
    Ok(items)
}

fn unknown() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "not_found", "Story not found")
}

/// Attempts every item in one transaction and answers with what became of each: 200 when at least one succeeded,
/// else 422.
///
/// # Errors
/// When the database fails; then nothing of the call is kept.
pub(super) async fn perform(
    app: &App,
    caller: &Identity,
    items: Vec<Item>,
) -> ApiResult<(StatusCode, Json<Value>)> {
    let results = retrying(|| perform_once(app, caller, &items)).await?;
    let failed = results.iter().all(|result| result.status == "error");
    let mut answer = json!(Results { results });
    if !failed {
        return Ok((StatusCode::OK, Json(answer)));
    }
    // The common envelope besides, for clients that look no further than the status.
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    let message = "No story was processed; results says why for each";
    answer["error"] = json!({"status": status.as_u16(), "code": "nothing_processed", "message": message});
    Ok((status, Json(answer)))
}

async fn perform_once(app: &App, caller: &Identity, items: &[Item]) -> ApiResult<Vec<ItemResult>> {
    let tenant_id = caller.tenant_id;
    let mut tx = app.db.tenant(tenant_id).await?;
    let ids: Vec<Uuid> = items.iter().filter_map(|item| Some(item.work.as_ref().ok()?.story_id)).collect();
    tx.query(LOCK_BATCH, &[&tenant_id, &ids]).await?;
    let mut results = Vec::with_capacity(items.len());
    let mut events = Vec::new();
    // By id: the order in which epics are locked.
    let mut epics: BTreeMap<Uuid, (Story, Timestamp)> = BTreeMap::new();
    for item in items {
        let outcome = match &item.work {
            Err(refused) => Err(refused.clone()),
            Ok(work) => match step(app, &mut tx, caller, work.story_id, &work.attempt, &work.body).await {
                Ok(step) => Ok(step),
                Err(error) if error.is_not_found() => Err(unknown().into_members()),
                Err(error) => Err(error.into_refusal()?),
            },
        };
        results.push(ItemResult {
            story_id: item.echo.clone(),
            status: if outcome.is_ok() { "success" } else { "error" },
            error: outcome.as_ref().err().cloned().unwrap_or_default(),
        });
        if let Ok(Step { outcome, events: told, verified_at }) = outcome {
            events.extend(told);
            if let Some(now) = verified_at {
                epics.insert(outcome.story.epic_id, (outcome.story, now));
            }
        }
    }
    for (story, now) in epics.values() {
        events.extend(complete_epic(&mut tx, story, *now).await?);
    }
    events::record(tx, tenant_id, &caller.attribution(), events).await?;
    Ok(results)
}
