//! Several stories at once: the bulk calls of file 02 §6, and verify-all (§5.7).

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use loopctl_core::lifecycle::{self, Action, Attempt};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::agent_api::ByAgent;
use super::batch::{self, Asked, Results, read_items};
use super::evidence::{NewVerification, has_evidence, required_reason};
use super::store::REPORTED_IN_EPIC;
use super::transition;
use super::verifier_api::ByOrchestrator;
use crate::App;
use crate::http::{ApiError, ApiResult, Body, Caller, Id};

/// `POST /stories/bulk/claim`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents the body, which is read item by item")]
struct BulkClaim {
    /// 1 to 50.
    story_ids: Vec<Uuid>,
}

/// `POST /stories/bulk/verify`, `/reject` and `/mark-complete`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents the body, which is read item by item")]
struct BulkStories {
    /// 1 to 50.
    stories: Vec<BulkStory>,
}

/// One story of a bulk call.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents the body, which is read item by item")]
struct BulkStory {
    story_id: Uuid,
    /// reject: why; not blank.
    reason: Option<String>,
    /// verify: `pass` (default) or `partial`.
    result: Option<String>,
    /// verify, mark-complete: what was checked.
    summary: Option<String>,
    /// Default `bulk_verify`, `bulk_reject` or `pre_existing`.
    review_type: Option<String>,
    /// verify, reject: an object or an array.
    #[schema(value_type = Option<Object>)]
    findings: Option<Value>,
}

/// What verify-all did.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct VerifyAll {
    verified_count: usize,
    skipped_count: usize,
    total_eligible: usize,
    /// Each skipped story: `story_id`, `number`, `code`, `reason` and more.
    #[schema(value_type = Vec<Object>)]
    errors: Vec<Value>,
}

/// Claims contracted stories, each by the rules of a single claim.
#[utoipa::path(post, path = "/api/v1/stories/bulk/claim", tag = "Progress", request_body = BulkClaim,
    responses((status = 200, body = Results, description = "At least one was claimed"), (status = 403),
              (status = 422, body = Results, description = "None was claimed, or the list is not acceptable")))]
pub(super) async fn claim(
    State(app): State<App>,
    caller: Caller<ByAgent>,
    body: Body,
) -> ApiResult<(StatusCode, Json<Value>)> {
    let items = read_items(&app, &caller, Action::Claim, &body.0, "story_ids", |element| {
        (element.as_str(), Ok((Attempt::Claim, Map::new())))
    })?;
    batch::perform(&app, &caller, items).await
}

/// Verifies reported stories, each by the rules of a single verification.
#[utoipa::path(post, path = "/api/v1/stories/bulk/verify", tag = "Progress", request_body = BulkStories,
    responses((status = 200, body = Results, description = "At least one was verified"),
              (status = 400, description = "The key has no agent"), (status = 403),
              (status = 422, body = Results, description = "None was verified, or the list is not acceptable")))]
pub(super) async fn verify(
    State(app): State<App>,
    caller: Caller<ByOrchestrator>,
    body: Body,
) -> ApiResult<(StatusCode, Json<Value>)> {
    let items = read_items(&app, &caller, Action::Verify, &body.0, "stories", |element| {
        story(element, |item| {
            let item = with_defaults(item, "Verified via bulk operation", "bulk_verify");
            Ok((Attempt::Verify { evidence: has_evidence(&item) }, item))
        })
    })?;
    batch::perform(&app, &caller, items).await
}

/// Rejects stories, each by the rules of a single rejection.
#[utoipa::path(post, path = "/api/v1/stories/bulk/reject", tag = "Progress", request_body = BulkStories,
    responses((status = 200, body = Results, description = "At least one was rejected"),
              (status = 400, description = "The key has no agent"), (status = 403),
              (status = 422, body = Results, description = "None was rejected, or the list is not acceptable")))]
pub(super) async fn reject(
    State(app): State<App>,
    caller: Caller<ByOrchestrator>,
    body: Body,
) -> ApiResult<(StatusCode, Json<Value>)> {
    let items = read_items(&app, &caller, Action::Reject, &body.0, "stories", |element| {
        story(element, |item| {
            let reason = required_reason(item)?.to_owned();
            let mut item = item.clone();
            fill(&mut item, "review_type", "bulk_reject");
            Ok((Attempt::Reject { reason }, item))
        })
    })?;
    batch::perform(&app, &caller, items).await
}

/// Signs off stories that were done before the loop began. A story that was ever claimed is refused with
/// `not_pre_existing`; one that is verified already is left as it is.
#[utoipa::path(post, path = "/api/v1/stories/bulk/mark-complete", tag = "Progress", request_body = BulkStories,
    responses((status = 200, body = Results, description = "At least one is complete"),
              (status = 400, description = "The key has no agent"), (status = 403),
              (status = 422, body = Results, description = "None is complete, or the list is not acceptable")))]
pub(super) async fn mark_complete(
    State(app): State<App>,
    caller: Caller<ByOrchestrator>,
    body: Body,
) -> ApiResult<(StatusCode, Json<Value>)> {
    let items = read_items(&app, &caller, Action::MarkComplete, &body.0, "stories", |element| {
        story(element, |item| {
            // Nobody reviewed anything: there is no other result than `pass`, and there are no findings.
            let told = item.iter().filter(|(name, _)| ["summary", "review_type"].contains(&name.as_str()));
            let told = told.map(|(name, value)| (name.clone(), value.clone())).collect();
            let item = with_defaults(&told, "Marked complete (pre-existing work)", "pre_existing");
            Ok((Attempt::MarkComplete, item))
        })
    })?;
    batch::perform(&app, &caller, items).await
}

/// Verifies every story of an epic that is reported and not yet verified, each by the rules of a single
/// verification and in a transaction of its own.
#[utoipa::path(post, path = "/api/v1/epics/{id}/verify-all", tag = "Progress", params(("id" = Uuid, Path)),
    request_body = NewVerification,
    responses((status = 200, body = VerifyAll), (status = 400, description = "The key has no agent"), (status = 403),
              (status = 404), (status = 422, description = "Review evidence missing")))]
pub(super) async fn verify_all(
    State(app): State<App>,
    caller: Caller<ByOrchestrator>,
    Id(epic_id): Id,
    body: Body,
) -> ApiResult<Json<VerifyAll>> {
    lifecycle::admit(Action::Verify, &caller.actor())
        .map_err(|refusal| ApiError::refused(refusal, &app.public_url))?;
    let tx = app.db.tenant(caller.tenant_id).await?;
    let rows = tx.finish_query(REPORTED_IN_EPIC, &[&caller.tenant_id, &epic_id]).await?;
    if rows.is_empty() {
        return Err(ApiError::not_found());
    }
    if !has_evidence(&body.0) {
        return Err(ApiError::unprocessable(
            "review_evidence_required",
            "Review evidence required: send review_type and summary.",
        ));
    }
    // The same for every story; refused once rather than per story.
    body.read(NewVerification::read)?;
    let mut done = VerifyAll { verified_count: 0, skipped_count: 0, total_eligible: 0, errors: Vec::new() };
    for row in &rows {
        let Some(story_id) = row.try_get::<_, Option<Uuid>>("id")? else { continue };
        done.total_eligible += 1;
        let attempt = Attempt::Verify { evidence: true };
        match transition::perform(&app, &caller, story_id, &attempt, &body.0).await {
            Ok(_) => done.verified_count += 1,
            // A failure of the server must not hide what was done before it.
            Err(error) if error.is_failure() && done.verified_count == 0 => return Err(error),
            Err(error) => {
                let mut told = json!({"story_id": story_id, "number": row.try_get::<_, String>("number")?});
                for (name, value) in error.into_members() {
                    told[name] = value;
                }
                done.skipped_count += 1;
                done.errors.push(told);
            }
        }
    }
    Ok(Json(done))
}

/// An element that should be an object with a `story_id`; if it is none, it has no id.
fn story(
    element: &Value,
    read: impl FnOnce(&Map<String, Value>) -> ApiResult<(Attempt, Map<String, Value>)>,
) -> Asked<'_> {
    let story_id = element.get("story_id").and_then(Value::as_str);
    (story_id, read(element.as_object().unwrap_or(&Map::new())))
}

fn with_defaults(item: &Map<String, Value>, summary: &str, review_type: &str) -> Map<String, Value> {
    let mut item = item.clone();
    fill(&mut item, "summary", summary);
    fill(&mut item, "review_type", review_type);
    item
}

/// Writes a default where there is nothing, or a blank.
fn fill(item: &mut Map<String, Value>, name: &str, default: &str) {
    let blank = match item.get(name) {
        None | Some(Value::Null) => true,
        Some(value) => value.as_str().is_some_and(|text| text.trim().is_empty()),
    };
    if blank {
        item.insert(name.to_owned(), default.into());
    }
}
