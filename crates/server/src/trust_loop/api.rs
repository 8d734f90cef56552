//! What is done with one story: by agents, by reviewers and by orchestrators.

use axum::Json;
use loopctl_core::lifecycle::{Action, Attempt, Backfill};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::evidence::{
    ContractRequest, Evidence, RejectRequest, ReportRequest, ReviewCompleteRequest, VerifyRequest,
    has_evidence,
};
use super::store::{LIST_VERIFICATIONS, ReviewRecord, VerificationResult};
use super::transition::{Outcome, Wanted, perform};
use crate::app::{Agent, AtLeast, Caller, Exact, Identity, Orchestrator, User};
use crate::http::{ApiError, ApiResult, Body, Created, Id, List, Nothing, Paged, Query};
use crate::plan::stories::{NextStep, Story, next_steps};

/// Who may call what; a test holds these to `lifecycle::Action::roles`.
pub(super) type ByAgent = Exact<(Agent,)>;
type ByAgentOrOrchestrator = Exact<(Agent, Orchestrator)>;
type ByReviewer = Exact<(Agent, Orchestrator, User)>;
pub(super) type ByOrchestrator = Exact<(Orchestrator,)>;

/// A story that was moved, and what the caller can do next.
#[derive(Serialize, JsonSchema)]
pub(super) struct MovedStory {
    story: Story,
    next_actions: Vec<NextStep>,
}

/// The answer to a transition.
type Moved = ApiResult<Json<MovedStory>>;

/// Attempts a transition and answers with the story.
async fn transition(caller: &Identity, id: Uuid, attempt: Attempt, evidence: Evidence) -> Moved {
    let wanted = Wanted::of(caller, id, attempt, evidence);
    perform(wanted, |Outcome { story, facts, .. }| {
        let next_actions = next_steps(caller, &facts, id);
        Json(MovedStory { story, next_actions })
    })
    .await
}

pub(super) async fn contract(
    caller: Caller<ByAgentOrOrchestrator>,
    Id(id): Id,
    body: Body<ContractRequest>,
) -> Moved {
    transition(&caller, id, Attempt::Contract(body.valid()?.echo()), Evidence::None).await
}

pub(super) async fn claim(caller: Caller<ByAgent>, Id(id): Id, _body: Body<Nothing>) -> Moved {
    transition(&caller, id, Attempt::Claim, Evidence::None).await
}

pub(super) async fn start(caller: Caller<ByAgent>, Id(id): Id, _body: Body<Nothing>) -> Moved {
    transition(&caller, id, Attempt::Start, Evidence::None).await
}

pub(super) async fn request_review(caller: Caller<ByAgent>, Id(id): Id, _body: Body<Nothing>) -> Moved {
    transition(&caller, id, Attempt::RequestReview, Evidence::None).await
}

pub(super) async fn report(
    caller: Caller<ByAgentOrOrchestrator>,
    Id(id): Id,
    Body(sent): Body<ReportRequest>,
) -> Moved {
    transition(&caller, id, Attempt::Report, Evidence::Report(sent)).await
}

pub(super) async fn unclaim(caller: Caller<ByAgent>, Id(id): Id, _body: Body<Nothing>) -> Moved {
    transition(&caller, id, Attempt::Unclaim, Evidence::None).await
}

#[derive(Serialize, JsonSchema)]
pub(super) struct ReviewedStory {
    review_record: Option<ReviewRecord>,
    next_actions: Vec<NextStep>,
}

pub(super) async fn review_complete(
    caller: Caller<ByReviewer>,
    Id(id): Id,
    Body(sent): Body<ReviewCompleteRequest>,
) -> ApiResult<Created<ReviewedStory>> {
    let wanted = Wanted::of(&caller, id, Attempt::ReviewComplete, Evidence::Review(sent));
    perform(wanted, |Outcome { facts, review, .. }| {
        let next_actions = next_steps(&caller, &facts, id);
        Created(ReviewedStory { review_record: review, next_actions })
    })
    .await
}

#[derive(Serialize, JsonSchema)]
pub(super) struct VerifiedStory {
    /// `verified`.
    status: &'static str,
    run_id: Option<Uuid>,
    story: Story,
    verification: Option<VerificationResult>,
    next_actions: Vec<NextStep>,
}

pub(super) async fn verify(
    caller: Caller<ByOrchestrator>,
    Id(id): Id,
    Body(sent): Body<VerifyRequest>,
) -> ApiResult<Json<VerifiedStory>> {
    let attempt = Attempt::Verify { evidence: has_evidence(&sent) };
    let wanted = Wanted::of(&caller, id, attempt, Evidence::Verification(sent));
    perform(wanted, |Outcome { story, facts, verification, .. }| {
        let next_actions = next_steps(&caller, &facts, id);
        Json(VerifiedStory { status: "verified", run_id: None, story, verification, next_actions })
    })
    .await
}

pub(super) async fn reject(
    caller: Caller<ByOrchestrator>,
    Id(id): Id,
    Body(sent): Body<RejectRequest>,
) -> Moved {
    caller.admit(Action::Reject)?;
    let attempt = Attempt::Reject { reason: sent.anyway().required_reason()? };
    transition(&caller, id, attempt, Evidence::Rejection(sent)).await
}

pub(super) async fn force_unclaim(caller: Caller<ByOrchestrator>, Id(id): Id, _body: Body<Nothing>) -> Moved {
    transition(&caller, id, Attempt::ForceUnclaim, Evidence::None).await
}

pub(super) async fn backfill(
    caller: Caller<AtLeast<Orchestrator>>,
    Id(id): Id,
    body: Body<Backfill>,
) -> Moved {
    let backfill = body.valid().map_err(ApiError::naming_fields)?.clone();
    transition(&caller, id, Attempt::Backfill(backfill), Evidence::None).await
}

pub(super) async fn verifications(
    caller: Caller<AtLeast<Orchestrator>>,
    Id(id): Id,
    Query(query): Query<Paged>,
) -> ApiResult<Json<List<VerificationResult>>> {
    caller.list(&LIST_VERIFICATIONS, &[&id], &query.page).await.map(Json)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::Access;

    #[test]
    fn signatures_agree_with_the_transition_table() {
        for action in Action::ALL {
            let signature = match action {
                Action::Contract | Action::Report => ByAgentOrOrchestrator::roles(),
                Action::Claim | Action::Start | Action::RequestReview | Action::Unclaim => ByAgent::roles(),
                Action::ReviewComplete => ByReviewer::roles(),
                Action::Verify | Action::Reject | Action::ForceUnclaim | Action::MarkComplete => {
                    ByOrchestrator::roles()
                }
                Action::Backfill => <AtLeast<Orchestrator>>::roles(),
            };
            assert_eq!(signature, action.roles(), "{action}");
        }
    }
}
