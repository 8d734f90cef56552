//! `POST /epics/:id/verify-all`.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use loopctl_core::code::Code;
use loopctl_core::lifecycle::{Action, Attempt};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::api::ByOrchestrator;
use super::evidence::{Evidence, VerifyRequest, has_evidence};
use super::store::{REPORTED_IN_EPIC, ReportedStory, StoryName};
use super::transition::{NOTHING, Wanted, by_itself};
use crate::app::{Caller, Identity};
use crate::http::{Answer, ApiError, ApiResult, Body, Id, Kept, Operation, Output, Sent};

/// What verify-all did.
#[derive(Default, Serialize, JsonSchema)]
pub(super) struct VerifyAll {
    verified_count: usize,
    skipped_count: usize,
    total_eligible: usize,
    verified: Vec<Verified>,
    errors: Vec<Skipped>,
    /// The common envelope besides, when the server failed before anything was verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ApiError>,
}

/// A story that was verified.
#[derive(Serialize, JsonSchema)]
struct Verified {
    story_id: Uuid,
    number: String,
}

/// A story that was skipped, and why: `code`, `reason` and more.
#[derive(Serialize, JsonSchema)]
struct Skipped {
    story_id: Uuid,
    number: String,
    #[serde(flatten)]
    error: Map<String, Value>,
}

impl VerifyAll {
    fn verified(&mut self, story: StoryName) {
        self.verified_count += 1;
        self.verified.push(Verified { story_id: story.id, number: story.number });
    }

    fn skipped(&mut self, story: StoryName, error: ApiError) {
        self.skipped_count += 1;
        self.errors.push(Skipped { story_id: story.id, number: story.number, error: error.into_members() });
    }
}

impl IntoResponse for VerifyAll {
    fn into_response(self) -> Response {
        match &self.error {
            Some(error) => error.beside(&self),
            None => Json(self).into_response(),
        }
    }
}

impl Answer for VerifyAll {
    fn kept(&self) -> ApiResult<Option<Kept>> {
        if self.error.is_some() { Ok(None) } else { Kept::ok(self) }
    }
}

impl Output for VerifyAll {
    fn describe(operation: &mut Operation<'_>) {
        operation.answer::<Self>(200, "What was verified, and what was not");
        operation.fail_with::<Self>();
    }
}

pub(super) async fn verify_all(
    caller: Caller<ByOrchestrator>,
    Id(epic_id): Id,
    Body(sent): Body<VerifyRequest>,
) -> ApiResult<VerifyAll> {
    caller.admit(Action::Verify)?;
    let stories = caller.read(REPORTED_IN_EPIC.with(&[&epic_id])).await?;
    if stories.is_empty() {
        return Err(ApiError::not_found());
    }
    if !has_evidence(&sent) {
        return Err(ApiError::unprocessable(
            Code::ReviewEvidenceRequired,
            "Review evidence required: review_type and summary",
        )
        .with(
            "hints",
            ["Repeat the call with a non-blank review_type and summary of what was checked."].into(),
        ));
    }
    // The same for every story; refused once rather than per story.
    sent.valid()?;
    // Each story is a change of its own, and one that is verified is not verified again.
    caller.answer_several(verify_each(caller.of_several(), stories, sent)).await
}

async fn verify_each(
    caller: Identity,
    stories: Vec<ReportedStory>,
    sent: Sent<VerifyRequest>,
) -> ApiResult<VerifyAll> {
    let (attempt, evidence) = (Attempt::Verify { evidence: true }, Evidence::Verification(sent));
    let mut done = VerifyAll::default();
    let mut failure: Option<ApiError> = None;
    for story in stories.into_iter().filter_map(|row| row.story) {
        done.total_eligible += 1;
        if failure.is_some() {
            done.skipped(story, not_attempted());
            continue;
        }
        match by_itself(&Wanted::of(&caller, story.id, attempt.clone(), evidence.clone()), NOTHING).await {
            Ok(_) => done.verified(story),
            Err(error) => {
                // What the server cannot do for one story it will not do for the next, and each would take its time.
                failure = error.is_failure().then(|| error.clone());
                done.skipped(story, error);
            }
        }
    }
    done.error = failure.filter(|_| done.verified_count == 0);
    Ok(done)
}

fn not_attempted() -> ApiError {
    let message = "Not attempted, because the server failed at a story before; call verify-all again";
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, Code::NotAttempted, message)
}
