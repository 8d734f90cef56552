//! What agents call: contract, claim, start, request-review, report, unclaim (file 02 §4).

use axum::Json;
use axum::extract::State;
use loopctl_core::lifecycle::{Attempt, Echo};
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::next_steps;
use super::transition::perform;
use crate::App;
use crate::artifacts::NewArtifact;
use crate::http::caller::{Agent, Orchestrator};
use crate::http::{ApiResult, Body, Caller, Exact, Id, Identity};

/// Who may call what; a test holds these to `lifecycle::Action::roles`.
pub(super) type ByAgent = Exact<(Agent,)>;
pub(super) type ByAgentOrOrchestrator = Exact<(Agent, Orchestrator)>;

/// `POST /stories/:id/contract`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents the body; the echo is compared as it was sent")]
struct ContractStory {
    /// The story's title, to the letter.
    story_title: Option<String>,
    /// The number of acceptance criteria.
    ac_count: Option<i32>,
    /// For orchestrators only.
    skip_contract_check: Option<bool>,
}

/// `POST /stories/:id/report`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents the body; the artifact is read after the story's guards")]
struct ReportStory {
    artifact: Option<NewArtifact>,
}

async fn transition(
    app: &App,
    caller: &Identity,
    id: Uuid,
    attempt: Attempt,
    body: &Body,
) -> ApiResult<Json<Value>> {
    let outcome = perform(app, caller, id, &attempt, &body.0).await?;
    let next = next_steps(&outcome.facts, &caller.actor(), id, &app.public_url);
    Ok(Json(json!({"story": outcome.story, "next_actions": next})))
}

/// Acknowledges a story by echoing its title and number of acceptance criteria.
#[utoipa::path(post, path = "/api/v1/stories/{id}/contract", tag = "Progress", params(("id" = Uuid, Path)),
    request_body = ContractStory,
    responses((status = 200, description = "`{\"story\": …, \"next_actions\": […]}`"), (status = 403), (status = 404),
              (status = 409), (status = 422, description = "The echo does not match")))]
pub(super) async fn contract(
    State(app): State<App>,
    caller: Caller<ByAgentOrOrchestrator>,
    Id(id): Id,
    body: Body,
) -> ApiResult<Json<Value>> {
    let echo = Echo {
        story_title: body.0.get("story_title").filter(|value| !value.is_null()).cloned(),
        ac_count: body.0.get("ac_count").filter(|value| !value.is_null()).cloned(),
        skip: body.0.get("skip_contract_check").is_some_and(|flag| flag == &json!(true) || flag == "true"),
    };
    transition(&app, &caller, id, Attempt::Contract(echo), &body).await
}

/// Takes a contracted story. Of any number of agents at once, exactly one gets it.
#[utoipa::path(post, path = "/api/v1/stories/{id}/claim", tag = "Progress", params(("id" = Uuid, Path)),
    responses((status = 200, description = "`{\"story\": …, \"next_actions\": […]}`"), (status = 403), (status = 404),
              (status = 409), (status = 422)))]
pub(super) async fn claim(
    State(app): State<App>,
    caller: Caller<ByAgent>,
    Id(id): Id,
    body: Body,
) -> ApiResult<Json<Value>> {
    transition(&app, &caller, id, Attempt::Claim, &body).await
}

/// Begins work on a claimed story. `start-work` is the same.
#[utoipa::path(post, path = "/api/v1/stories/{id}/start", tag = "Progress", params(("id" = Uuid, Path)),
    responses((status = 200, description = "`{\"story\": …, \"next_actions\": […]}`"),
              (status = 403, description = "Not the assignee"), (status = 404), (status = 409)))]
pub(super) async fn start(
    State(app): State<App>,
    caller: Caller<ByAgent>,
    Id(id): Id,
    body: Body,
) -> ApiResult<Json<Value>> {
    transition(&app, &caller, id, Attempt::Start, &body).await
}

/// Says that the implementer is done; a different agent takes over. May be repeated after fixes.
#[utoipa::path(post, path = "/api/v1/stories/{id}/request-review", tag = "Progress", params(("id" = Uuid, Path)),
    responses((status = 200, description = "`{\"story\": …, \"next_actions\": […]}`"),
              (status = 403, description = "Not the assignee"), (status = 404), (status = 409)))]
pub(super) async fn request_review(
    State(app): State<App>,
    caller: Caller<ByAgent>,
    Id(id): Id,
    body: Body,
) -> ApiResult<Json<Value>> {
    transition(&app, &caller, id, Attempt::RequestReview, &body).await
}

/// Confirms another agent's implementation. `report-done` is the same.
#[utoipa::path(post, path = "/api/v1/stories/{id}/report", tag = "Progress", params(("id" = Uuid, Path)),
    request_body = ReportStory,
    responses((status = 200, description = "`{\"story\": …, \"next_actions\": […]}`"), (status = 403), (status = 404),
              (status = 409, description = "`self_report_blocked` for the implementer"), (status = 422)))]
pub(super) async fn report(
    State(app): State<App>,
    caller: Caller<ByAgentOrOrchestrator>,
    Id(id): Id,
    body: Body,
) -> ApiResult<Json<Value>> {
    transition(&app, &caller, id, Attempt::Report, &body).await
}

/// Gives a claimed story back.
#[utoipa::path(post, path = "/api/v1/stories/{id}/unclaim", tag = "Progress", params(("id" = Uuid, Path)),
    responses((status = 200, description = "`{\"story\": …, \"next_actions\": […]}`"),
              (status = 403, description = "Not the assignee"), (status = 404), (status = 409)))]
pub(super) async fn unclaim(
    State(app): State<App>,
    caller: Caller<ByAgent>,
    Id(id): Id,
    body: Body,
) -> ApiResult<Json<Value>> {
    transition(&app, &caller, id, Attempt::Unclaim, &body).await
}
