//! Handlers of UI test runs, for whoever asks in whichever dialect. Findings and the end of a run take turns on the run's
//! row: no finding is lost, and a run ends once.

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use loopctl_core::code::Code;
use loopctl_core::json::JsonText;
use loopctl_core::request::{Request, word};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::dialect::{Dialect, OPEN, STATUSES, stored_status};
use super::rules::{Audited, room_for};
use super::store::{
    COMPLETE_RUN, COUNT_FINDING, INSERT_FINDING, INSERT_RUN, KEEP_RUN_PROJECT, LOCK_RUN, LockedRun, SHOW_RUN,
};
use crate::app::{Agent, AtLeast, Caller, Change};
use crate::db::AsJson;
use crate::events::Event;
use crate::http::{
    ApiError, ApiResult, Body, Created, Id, Input, List, Meta, Operation, Page, Query, pages, path_ids,
};

/// A run in a path; one family's paths name its project before it. What is no UUID names nothing: 404.
#[derive(Debug, Clone, Copy)]
pub(super) struct RunPath {
    /// Where the run must be, if the path says so.
    project_id: Option<Uuid>,
    id: Uuid,
}

impl<S: Send + Sync> FromRequestParts<S> for RunPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        match path_ids(parts, state).await?[..] {
            [id] => Ok(Self { project_id: None, id }),
            [project_id, id] => Ok(Self { project_id: Some(project_id), id }),
            _ => Err(ApiError::not_found()),
        }
    }
}

impl Input for RunPath {
    fn describe(operation: &mut Operation<'_>) {
        Id::describe(operation);
    }
}

pub(super) async fn start<D: Dialect>(
    caller: Caller<AtLeast<Agent>>,
    Id(project_id): Id,
    body: Body<D::Start>,
) -> ApiResult<Created<D::Answer>> {
    caller
        .change(async |mut change| {
            change.found(KEEP_RUN_PROJECT, &[&project_id]).await?;
            let new = D::start(body.valid()?);
            let (id, agent_id) = (Uuid::now_v7(), &caller.agent_id);
            let whole = change
                .one(INSERT_RUN, &[&id, &project_id, agent_id, &new.guide_reference, &new.notes])
                .await?;
            let run = &whole.run;
            let told = json!({
                "project_id": project_id, "guide_reference": run.guide_reference,
                "started_by_agent_id": run.started_by_agent_id, "status": run.status,
            });
            change.tell([Event::new("ui_test_run", id, "ui_test.started", told).project(project_id)]);
            change.commit(Created(D::answer(whole))).await
        })
        .await
}

#[derive(Request)]
pub(super) struct ListRuns {
    /// In the words of either family.
    #[rule(word(STATUSES, stored_status))]
    status: Option<&'static str>,
    #[rule(pages(20, 100))]
    page: Page,
}

/// The `meta` of every list, and the name under which one family has the number of runs.
#[derive(Serialize, JsonSchema)]
struct RunMeta {
    /// Same as `total_count`.
    total: i64,
    #[serde(flatten)]
    meta: Meta,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct UiTestRunList<R> {
    data: Vec<R>,
    meta: RunMeta,
}

pub(super) async fn list<D: Dialect>(
    caller: Caller<AtLeast<Agent>>,
    Id(project_id): Id,
    Query(query): Query<ListRuns>,
) -> ApiResult<Json<UiTestRunList<D::Listed>>> {
    let runs = caller.list(D::LIST, &[&project_id, &query.status], &query.page).await?;
    let List { data, meta } = runs.map(D::tell);
    Ok(Json(UiTestRunList { data, meta: RunMeta { total: meta.total_count, meta } }))
}

pub(super) async fn show<D: Dialect>(
    caller: Caller<AtLeast<Agent>>,
    path: RunPath,
) -> ApiResult<Json<D::Answer>> {
    let run = caller.find(SHOW_RUN, &[&path.id, &path.project_id]).await?;
    Ok(Json(D::answer(run)))
}

/// What the audit log tells of a new finding.
#[derive(Serialize)]
struct FindingAdded<'a> {
    #[serde(flatten)]
    finding: Audited<'a>,
    findings_count: i32,
    finding_id: Uuid,
}

pub(super) async fn add_finding<D: Dialect>(
    caller: Caller<AtLeast<Agent>>,
    path: RunPath,
    body: Body<D::Finding>,
) -> ApiResult<D::Found> {
    caller
        .change(async |mut change| {
            let ended = (Code::RunNotInProgress, "Run is not in progress");
            let locked = lock_open(&mut change, path, ended).await?;
            let finding = D::finding(body.valid()?);
            let (content, counts) = (AsJson(finding.content()?), finding.counts());
            let new = room_for(&content.0, locked.findings_count, locked.findings_bytes)
                .map_err(|message| ApiError::unprocessable(Code::TooManyFindings, message))?;
            let (finding_id, position) = (Uuid::now_v7(), locked.findings_count + 1);
            change.execute(INSERT_FINDING, &[&finding_id, &path.id, &position, &content]).await?;
            let whole = change
                .one(COUNT_FINDING, &[&path.id, &counts.screenshots, &counts.critical, &counts.high, &new])
                .await?;
            let finding = finding.audited();
            let told = JsonText::of(&FindingAdded { finding, findings_count: position, finding_id })
                .map_err(|_| ApiError::internal())?;
            let event = Event::new("ui_test_run", whole.run.id, "ui_test.finding_added", told);
            change.tell([event.project(whole.run.project_id)]);
            change.commit(D::found(whole)).await
        })
        .await
}

pub(super) async fn complete<D: Dialect>(
    caller: Caller<AtLeast<Agent>>,
    path: RunPath,
    body: Body<D::Completion>,
) -> ApiResult<Json<D::Answer>> {
    caller
        .change(async |mut change| {
            let ended = (Code::RunAlreadyCompleted, "Run is already completed");
            let locked = lock_open(&mut change, path, ended).await?;
            let completion = D::completion(body.valid()?);
            let status = completion.status(locked.critical_count, locked.high_count);
            let whole = change.one(COMPLETE_RUN, &[&path.id, &status, &completion.summary]).await?;
            let run = &whole.run;
            let told = json!({
                "status": run.status, "findings_count": run.findings_count,
                "critical_count": run.critical_count, "high_count": run.high_count,
            });
            let event =
                Event::new("ui_test_run", run.id, "ui_test.completed", told).old(json!({"status": OPEN}));
            change.tell([event.project(run.project_id)]);
            change.commit(Json(D::answer(whole))).await
        })
        .await
}

/// Locks a run, which must be open: `ended` is the code and the message when it is not. A run that does not exist comes
/// before a run that is not open, and that before what is wrong with the body.
async fn lock_open(
    change: &mut Change<'_>,
    path: RunPath,
    (code, message): (Code, &str),
) -> ApiResult<LockedRun> {
    let run = change.found(LOCK_RUN, &[&path.id, &path.project_id]).await?;
    if run.status == OPEN {
        return Ok(run);
    }
    let hint = "This run has ended. Start a new one for what is still to be recorded.";
    Err(ApiError::unprocessable(code, message)
        .with("current_state", json!(run.status))
        .with("hints", json!([hint])))
}
