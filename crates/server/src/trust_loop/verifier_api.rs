//! What reviewers and orchestrators call: review-complete, verify, reject, force-unclaim, and the list of
//! verification results (file 02 §5).

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use loopctl_core::lifecycle::{self, Action, Attempt, Backfill};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::evidence::{NewReview, NewVerification, has_evidence, required_reason};
use super::next_steps;
use super::outcome::{ReviewRecord, VerificationResult};
use super::store::{COUNT_VERIFICATIONS, LIST_VERIFICATIONS};
use super::transition::perform;
use crate::App;
use crate::db::Statement;
use crate::http::caller::{Agent, Orchestrator, User};
use crate::http::page::Style;
use crate::http::{ApiError, ApiResult, AtLeast, Body, Caller, Exact, Id, List, Page, Query};

/// Who may call what; a test holds these to `lifecycle::Action::roles`.
pub(super) type ByReviewer = Exact<(Agent, Orchestrator, User)>;
pub(super) type ByOrchestrator = Exact<(Orchestrator,)>;

/// `POST /stories/:id/reject`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents the body; the reason is read before anything else")]
struct RejectStory {
    /// Not blank.
    reason: String,
    /// An object or an array.
    #[schema(value_type = Option<Object>)]
    findings: Option<Value>,
    review_type: Option<String>,
}

/// Records a finished review of a reported story. Not for the implementer.
#[utoipa::path(post, path = "/api/v1/stories/{id}/review-complete", tag = "Progress", params(("id" = Uuid, Path)),
    request_body = NewReview,
    responses((status = 201, body = ReviewRecord, description = "`{\"review_record\": …, \"next_actions\": […]}`"),
              (status = 403), (status = 404), (status = 409, description = "`self_review_blocked` for the implementer"),
              (status = 422)))]
pub(super) async fn review_complete(
    State(app): State<App>,
    caller: Caller<ByReviewer>,
    Id(id): Id,
    body: Body,
) -> ApiResult<(StatusCode, Json<Value>)> {
    let outcome = perform(&app, &caller, id, &Attempt::ReviewComplete, &body.0).await?;
    let next = next_steps(&outcome.facts, &caller.actor(), id, &app.public_url);
    Ok((StatusCode::CREATED, Json(json!({"review_record": outcome.review, "next_actions": next}))))
}

/// Signs a story off. Not for its implementer, and not without a review record newer than the report.
#[utoipa::path(post, path = "/api/v1/stories/{id}/verify", tag = "Progress", params(("id" = Uuid, Path)),
    request_body = NewVerification,
    responses((status = 200, description = "`{\"status\": \"verified\", \"run_id\", \"story\": …, \"next_actions\": […]}`"),
              (status = 400, description = "The key has no agent"), (status = 403), (status = 404),
              (status = 409, description = "`self_verify_blocked`, or not reported_done"),
              (status = 422, description = "Review evidence or review record missing")))]
pub(super) async fn verify(
    State(app): State<App>,
    caller: Caller<ByOrchestrator>,
    Id(id): Id,
    body: Body,
) -> ApiResult<Json<Value>> {
    let attempt = Attempt::Verify { evidence: has_evidence(&body.0) };
    let outcome = perform(&app, &caller, id, &attempt, &body.0).await?;
    let next = next_steps(&outcome.facts, &caller.actor(), id, &app.public_url);
    Ok(Json(json!({
        "status": "verified",
        "run_id": null,
        "story": outcome.story,
        "verification": outcome.verification,
        "next_actions": next,
    })))
}

/// Sends a story back; by default it becomes pending again.
#[utoipa::path(post, path = "/api/v1/stories/{id}/reject", tag = "Progress", params(("id" = Uuid, Path)),
    request_body = RejectStory,
    responses((status = 200, description = "`{\"story\": …, \"next_actions\": […]}`"),
              (status = 400, description = "The key has no agent"), (status = 403), (status = 404), (status = 409),
              (status = 422, description = "No reason")))]
pub(super) async fn reject(
    State(app): State<App>,
    caller: Caller<ByOrchestrator>,
    Id(id): Id,
    body: Body,
) -> ApiResult<Json<Value>> {
    lifecycle::admit(Action::Reject, &caller.actor())
        .map_err(|refusal| ApiError::refused(refusal, &app.public_url))?;
    let attempt = Attempt::Reject { reason: required_reason(&body.0)?.to_owned() };
    let outcome = perform(&app, &caller, id, &attempt, &body.0).await?;
    let next = next_steps(&outcome.facts, &caller.actor(), id, &app.public_url);
    Ok(Json(json!({"story": outcome.story, "next_actions": next})))
}

/// Takes a story from whoever holds it. Repeating it changes nothing.
#[utoipa::path(post, path = "/api/v1/stories/{id}/force-unclaim", tag = "Progress", params(("id" = Uuid, Path)),
    responses((status = 200, description = "`{\"story\": …, \"next_actions\": […]}`"),
              (status = 400, description = "The key has no agent"), (status = 403), (status = 404)))]
pub(super) async fn force_unclaim(
    State(app): State<App>,
    caller: Caller<ByOrchestrator>,
    Id(id): Id,
    body: Body,
) -> ApiResult<Json<Value>> {
    let outcome = perform(&app, &caller, id, &Attempt::ForceUnclaim, &body.0).await?;
    let next = next_steps(&outcome.facts, &caller.actor(), id, &app.public_url);
    Ok(Json(json!({"story": outcome.story, "next_actions": next})))
}

/// `POST /stories/:id/backfill`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents the body, which `loopctl_core::lifecycle::Backfill` reads")]
struct BackfillStory {
    /// Why the story counts as done; 1 to 2000 characters.
    reason: String,
    /// An http or https URL without credentials; at most 2000 characters.
    evidence_url: Option<String>,
    /// A positive integer.
    pr_number: Option<i32>,
}

/// Records a story that was finished outside the loop as done and verified. Never one that was worked on in the
/// loop. Repeating it with the same body changes nothing.
#[utoipa::path(post, path = "/api/v1/stories/{id}/backfill", tag = "Progress", params(("id" = Uuid, Path)),
    request_body = BackfillStory,
    responses((status = 200, description = "`{\"story\": …, \"next_actions\": […]}`"), (status = 403), (status = 404),
              (status = 422, description = "Invalid body, already verified, rejected, or `not_pre_existing`")))]
pub(super) async fn backfill(
    State(app): State<App>,
    caller: Caller<AtLeast<Orchestrator>>,
    Id(id): Id,
    body: Body,
) -> ApiResult<Json<Value>> {
    let backfill = body.read(Backfill::read).map_err(ApiError::naming_fields)?;
    let attempt = Attempt::Backfill(backfill);
    let outcome = perform(&app, &caller, id, &attempt, &body.0).await?;
    let next = next_steps(&outcome.facts, &caller.actor(), id, &app.public_url);
    Ok(Json(json!({"story": outcome.story, "next_actions": next})))
}

/// A story's verification results, newest first.
#[utoipa::path(get, path = "/api/v1/stories/{story_id}/verifications", tag = "Progress",
    params(("story_id" = Uuid, Path), ("page" = Option<i64>, Query), ("page_size" = Option<i64>, Query)),
    responses((status = 200, body = List<VerificationResult>), (status = 404)))]
pub(super) async fn verifications(
    State(app): State<App>,
    caller: Caller<AtLeast<Orchestrator>>,
    Id(id): Id,
    query: Query,
) -> ApiResult<Json<List<VerificationResult>>> {
    let page = Page::new(&query, Style::page(20, 100));
    let tx = app.db.tenant(caller.tenant_id).await?;
    let (count, rows) = tx
        .finish_list(
            Statement { sql: COUNT_VERIFICATIONS, params: &[&caller.tenant_id, &id] },
            Statement { sql: LIST_VERIFICATIONS, params: &[&caller.tenant_id, &id, &page.size, &page.skip] },
        )
        .await?;
    if !count.try_get::<_, bool>("known")? {
        return Err(ApiError::not_found());
    }
    let results = rows.iter().map(VerificationResult::read).collect::<Result<Vec<_>, _>>()?;
    Ok(Json(List { data: results, meta: page.meta(count.try_get("total")?) }))
}

#[cfg(test)]
mod tests {
    use loopctl_core::role::Role;

    use super::super::agent_api::{ByAgent, ByAgentOrOrchestrator};
    use super::*;
    use crate::http::caller::Access;

    #[test]
    fn signatures_agree_with_the_transition_table() {
        fn allowed<A: Access>() -> Vec<Role> {
            Role::ALL.iter().copied().filter(|role| A::check(*role).is_ok()).collect()
        }
        for action in Action::ALL {
            let signature = match action {
                Action::Contract | Action::Report => allowed::<ByAgentOrOrchestrator>(),
                Action::Claim | Action::Start | Action::RequestReview | Action::Unclaim => {
                    allowed::<ByAgent>()
                }
                Action::ReviewComplete => allowed::<ByReviewer>(),
                Action::Verify | Action::Reject | Action::ForceUnclaim | Action::MarkComplete => {
                    allowed::<ByOrchestrator>()
                }
                Action::Backfill => allowed::<AtLeast<Orchestrator>>(),
            };
            assert_eq!(signature, action.roles(), "{action}");
        }
    }
}
