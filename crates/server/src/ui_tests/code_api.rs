//! `/projects/:project_id/ui-tests…`: runs in `{"ui_test_run": …}`, open ones `in_progress`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::Value;
use utoipa::ToSchema;

use super::actions;
use super::dialect::Dialect::Code;
use super::run::{RunList, RunPath, UiTestRun};
use crate::App;
use crate::http::caller::Agent;
use crate::http::error::retrying;
use crate::http::{ApiResult, AtLeast, Body, Caller, Id, Query};

/// The start of a run, which follows a guide.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents the body, which `rules` reads")]
struct StartUiTest {
    /// At most 1000 characters: what is walked through.
    guide_reference: String,
    notes: Option<String>,
}

/// Something found on the way: any of these, at least one. The fields of the `ui_test_runs` paths are taken, too.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents the body, which `rules` reads")]
struct NewUiTestFinding {
    /// `critical`, `high`, `medium` or `low`; absent counts as `low`. `blocker`, `bug` and `enhancement` are taken, too.
    severity: Option<String>,
    /// Text or number.
    #[schema(value_type = Option<String>)]
    step: Option<Value>,
    r#type: Option<String>,
    description: Option<String>,
    screenshot_path: Option<String>,
    /// Text, array or object.
    console_errors: Option<Value>,
}

/// The end of a run.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents the body, which `rules` reads")]
struct CompleteUiTest {
    summary: String,
    /// `passed` or `failed`.
    status: String,
}

/// Starts a UI test run.
#[utoipa::path(post, path = "/api/v1/projects/{project_id}/ui-tests", tag = "UI Tests", params(("project_id" = Uuid, Path)),
    request_body = StartUiTest,
    responses((status = 201, body = UiTestRun, description = "`{\"ui_test_run\": …}`"), (status = 404), (status = 422)))]
pub(super) async fn start(
    State(app): State<App>,
    caller: Caller<AtLeast<Agent>>,
    Id(project_id): Id,
    body: Body,
) -> ApiResult<(StatusCode, Json<Value>)> {
    let run = retrying(|| actions::start(&app, &caller, Code, project_id, &body)).await?;
    Ok((StatusCode::CREATED, Json(Code.wrap(&run))))
}

/// A project's UI test runs, newest first, with their findings.
#[utoipa::path(get, path = "/api/v1/projects/{project_id}/ui-tests", tag = "UI Tests",
    params(("project_id" = Uuid, Path),
           ("status" = Option<String>, Query, description = "`in_progress` (or `running`), `passed`, `failed`, `cancelled`"),
           ("limit" = Option<i64>, Query, description = "At most 100; `page_size` is an alias"),
           ("offset" = Option<i64>, Query), ("page" = Option<i64>, Query)),
    responses((status = 200, body = RunList), (status = 404), (status = 422)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller<AtLeast<Agent>>,
    Id(project_id): Id,
    query: Query,
) -> ApiResult<Json<RunList>> {
    actions::list(&app, &caller, Code, project_id, &query).await.map(Json)
}

/// One UI test run with its findings.
#[utoipa::path(get, path = "/api/v1/projects/{project_id}/ui-tests/{id}", tag = "UI Tests",
    params(("project_id" = Uuid, Path), ("id" = Uuid, Path)),
    responses((status = 200, body = UiTestRun, description = "`{\"ui_test_run\": …}`"), (status = 404)))]
pub(super) async fn show(
    State(app): State<App>,
    caller: Caller<AtLeast<Agent>>,
    path: RunPath,
) -> ApiResult<Json<Value>> {
    let run = actions::show(&app, &caller, path).await?;
    Ok(Json(Code.wrap(&run)))
}

/// Adds a finding to a UI test run that is in progress.
#[utoipa::path(post, path = "/api/v1/projects/{project_id}/ui-tests/{id}/findings", tag = "UI Tests",
    params(("project_id" = Uuid, Path), ("id" = Uuid, Path)), request_body = NewUiTestFinding,
    responses((status = 200, body = UiTestRun, description = "`{\"ui_test_run\": …}`"), (status = 404), (status = 422)))]
pub(super) async fn add_finding(
    State(app): State<App>,
    caller: Caller<AtLeast<Agent>>,
    path: RunPath,
    body: Body,
) -> ApiResult<Json<Value>> {
    let run = retrying(|| actions::add_finding(&app, &caller, Code, path, &body)).await?;
    Ok(Json(Code.wrap(&run)))
}

/// Ends a UI test run that is in progress.
#[utoipa::path(post, path = "/api/v1/projects/{project_id}/ui-tests/{id}/complete", tag = "UI Tests",
    params(("project_id" = Uuid, Path), ("id" = Uuid, Path)), request_body = CompleteUiTest,
    responses((status = 200, body = UiTestRun, description = "`{\"ui_test_run\": …}`"), (status = 404), (status = 422)))]
pub(super) async fn complete(
    State(app): State<App>,
    caller: Caller<AtLeast<Agent>>,
    path: RunPath,
    body: Body,
) -> ApiResult<Json<Value>> {
    let run = retrying(|| actions::complete(&app, &caller, Code, path, &body)).await?;
    Ok(Json(Code.wrap(&run)))
}
