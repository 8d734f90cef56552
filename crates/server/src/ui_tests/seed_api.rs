//! `/projects/:id/ui_test_runs` and `/ui_test_runs/:id…`: runs in `{"data": …}`, open ones `running`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::actions;
use super::dialect::Dialect::Seed;
use super::run::{RunList, RunPath, UiTestRun};
use crate::App;
use crate::http::caller::Agent;
use crate::http::error::retrying;
use crate::http::{ApiResult, AtLeast, Body, Caller, Id, Query};

/// The start of a run.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents the body, which `rules` reads")]
struct StartUiTestRun {
    notes: Option<String>,
    /// At most 1000 characters.
    guide_reference: Option<String>,
}

/// Something found on the way. The fields of the `ui-tests` paths are taken, too.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents the body, which `rules` reads")]
struct NewUiTestRunFinding {
    /// `bug`, `enhancement` or `blocker`.
    severity: String,
    /// At most 500 characters.
    title: String,
    /// Text, or an array.
    #[schema(value_type = Option<String>)]
    steps: Option<Value>,
    expected: Option<String>,
    actual: Option<String>,
    screenshot_path: Option<String>,
}

/// The end of a run.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents the body, which `rules` reads")]
struct CompleteUiTestRun {
    summary: String,
    /// `passed` or `failed`. Default: `failed` with any finding that is a `blocker`, `bug`, `critical` or `high`.
    status: Option<String>,
}

/// Starts a UI test run.
#[utoipa::path(post, path = "/api/v1/projects/{id}/ui_test_runs", tag = "UI Tests", params(("id" = Uuid, Path)),
    request_body = StartUiTestRun,
    responses((status = 201, body = UiTestRun, description = "`{\"data\": …}`"), (status = 404), (status = 422)))]
pub(super) async fn start(
    State(app): State<App>,
    caller: Caller<AtLeast<Agent>>,
    Id(project_id): Id,
    body: Body,
) -> ApiResult<(StatusCode, Json<Value>)> {
    let run = retrying(|| actions::start(&app, &caller, Seed, project_id, &body)).await?;
    Ok((StatusCode::CREATED, Json(Seed.wrap(&run))))
}

/// A project's UI test runs, newest first, with their findings.
#[utoipa::path(get, path = "/api/v1/projects/{id}/ui_test_runs", tag = "UI Tests",
    params(("id" = Uuid, Path),
           ("status" = Option<String>, Query, description = "`running` (or `in_progress`), `passed`, `failed`, `cancelled`"),
           ("page" = Option<i64>, Query),
           ("page_size" = Option<i64>, Query, description = "At most 100; `limit` is an alias"),
           ("offset" = Option<i64>, Query)),
    responses((status = 200, body = RunList), (status = 404), (status = 422)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller<AtLeast<Agent>>,
    Id(project_id): Id,
    query: Query,
) -> ApiResult<Json<RunList>> {
    actions::list(&app, &caller, Seed, project_id, &query).await.map(Json)
}

/// One UI test run with its findings.
#[utoipa::path(get, path = "/api/v1/ui_test_runs/{id}", tag = "UI Tests", params(("id" = Uuid, Path)),
    responses((status = 200, body = UiTestRun, description = "`{\"data\": …}`"), (status = 404)))]
pub(super) async fn show(
    State(app): State<App>,
    caller: Caller<AtLeast<Agent>>,
    path: RunPath,
) -> ApiResult<Json<Value>> {
    let run = actions::show(&app, &caller, path).await?;
    Ok(Json(Seed.wrap(&run)))
}

/// Adds a finding to a UI test run that is running.
#[utoipa::path(post, path = "/api/v1/ui_test_runs/{id}/findings", tag = "UI Tests", params(("id" = Uuid, Path)),
    request_body = NewUiTestRunFinding,
    responses((status = 201, body = NewUiTestRunFinding, description = "`{\"data\": <finding>, \"ui_test_run\": <run>}`"),
              (status = 404), (status = 422)))]
pub(super) async fn add_finding(
    State(app): State<App>,
    caller: Caller<AtLeast<Agent>>,
    path: RunPath,
    body: Body,
) -> ApiResult<(StatusCode, Json<Value>)> {
    let run = retrying(|| actions::add_finding(&app, &caller, Seed, path, &body)).await?;
    let answer = json!({"data": run.findings.last(), "ui_test_run": run.in_dialect(Seed)});
    Ok((StatusCode::CREATED, Json(answer)))
}

/// Ends a UI test run that is running.
#[utoipa::path(post, path = "/api/v1/ui_test_runs/{id}/complete", tag = "UI Tests", params(("id" = Uuid, Path)),
    request_body = CompleteUiTestRun,
    responses((status = 200, body = UiTestRun, description = "`{\"data\": …}`"), (status = 404), (status = 422)))]
pub(super) async fn complete(
    State(app): State<App>,
    caller: Caller<AtLeast<Agent>>,
    path: RunPath,
    body: Body,
) -> ApiResult<Json<Value>> {
    let run = retrying(|| actions::complete(&app, &caller, Seed, path, &body)).await?;
    Ok(Json(Seed.wrap(&run)))
}
