//! `POST /epics/:id/verify-all`.

use axum::Json;
use loopctl_core::lifecycle::{Action, Attempt};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::api::ByOrchestrator;
use super::evidence::{Evidence, NewVerification, has_evidence};
use super::store::REPORTED_IN_EPIC;
use super::transition::perform;
use crate::app::Caller;
use crate::http::{ApiError, ApiResult, Body, Id};

/// What verify-all did.
#[derive(Serialize, JsonSchema)]
pub(super) struct VerifyAll {
    verified_count: usize,
    skipped_count: usize,
    total_eligible: usize,
    errors: Vec<Skipped>,
}

/// A story that was skipped, and why: `code`, `reason` and more.
#[derive(Serialize, JsonSchema)]
struct Skipped {
    story_id: Uuid,
    number: String,
    #[serde(flatten)]
    error: Map<String, Value>,
}

pub(super) async fn verify_all(
    caller: Caller<ByOrchestrator>,
    Id(epic_id): Id,
    Body(sent): Body<NewVerification>,
) -> ApiResult<Json<VerifyAll>> {
    caller.admit(Action::Verify)?;
    let stories = caller.read(REPORTED_IN_EPIC.with(&[&epic_id])).await?;
    if stories.is_empty() {
        return Err(ApiError::not_found());
    }
    if !has_evidence(&sent) {
        return Err(ApiError::unprocessable(
            "review_evidence_required",
            "Review evidence required: send review_type and summary.",
        ));
    }
    // The same for every story; refused once rather than per story.
    sent.valid()?;
    let (attempt, evidence) = (Attempt::Verify { evidence: true }, Evidence::Verification(sent));
    let mut done = VerifyAll { verified_count: 0, skipped_count: 0, total_eligible: 0, errors: Vec::new() };
    for story in stories.into_iter().filter_map(|row| row.story) {
        done.total_eligible += 1;
        match perform(&caller, story.id, &attempt, &evidence).await {
            Ok(_) => done.verified_count += 1,
            // A failure of the server must not hide what was done before it.
            Err(error) if error.is_failure() && done.verified_count == 0 => return Err(error),
            Err(error) => {
                done.skipped_count += 1;
                done.errors.push(Skipped {
                    story_id: story.id,
                    number: story.number,
                    error: error.into_members(),
                });
            }
        }
    }
    Ok(Json(done))
}
