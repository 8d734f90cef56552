//! What is done with runs, for whoever asks in whichever dialect. Findings and the end of a run take turns on the
//! run's row: no finding is lost, and a run ends once.

use loopctl_core::fields::FieldErrors;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::dialect::{Dialect, OPEN, stored_status};
use super::rules::{Completion, Finding, MAX_FINDINGS, Start};
use super::run::{RunList, RunMeta, RunPath, UiTestRun};
use super::store::{
    COMPLETE_RUN, COUNT_FINDING, COUNT_RUNS, INSERT_FINDING, INSERT_RUN, LIST_RUNS, LOCK_RUN, PROJECT_EXISTS,
    SHOW_RUN,
};
use crate::App;
use crate::db::{DbError, Statement, Tx};
use crate::events::{self, Event};
use crate::http::page::Style;
use crate::http::{ApiError, ApiResult, Body, Identity, Page, Query};

/// Starts a run in a project.
pub(super) async fn start(
    app: &App,
    caller: &Identity,
    dialect: Dialect,
    project_id: Uuid,
    body: &Body,
) -> ApiResult<UiTestRun> {
    let tenant_id = caller.tenant_id;
    let mut tx = app.db.tenant(tenant_id).await?;
    tx.query_opt(PROJECT_EXISTS, &[&tenant_id, &project_id]).await?.ok_or_else(ApiError::not_found)?;
    let new = body.read(|object| Start::read(dialect, object))?;
    let row = tx
        .query_one(
            INSERT_RUN,
            &[&tenant_id, &Uuid::now_v7(), &project_id, &caller.agent_id, &new.guide_reference, &new.notes],
        )
        .await?;
    let run = UiTestRun::read(&row)?;
    let state = json!({
        "project_id": project_id, "guide_reference": run.guide_reference,
        "started_by_agent_id": run.started_by_agent_id, "status": run.status,
    });
    let event = Event::new("ui_test_run", run.id, "ui_test.started", state).project(project_id);
    events::record(tx, tenant_id, &caller.attribution(), vec![event]).await?;
    Ok(run)
}

/// A project's runs, newest first.
pub(super) async fn list(
    app: &App,
    caller: &Identity,
    dialect: Dialect,
    project_id: Uuid,
    query: &Query,
) -> ApiResult<RunList> {
    let page = Page::new(query, Style::page(20, 100));
    let status = query.word("status", stored_status)?;
    let tenant_id = caller.tenant_id;
    let tx = app.db.tenant(tenant_id).await?;
    let (count, rows) = tx
        .finish_list(
            Statement { sql: COUNT_RUNS, params: &[&tenant_id, &project_id, &status] },
            Statement { sql: LIST_RUNS, params: &[&tenant_id, &project_id, &status, &page.size, &page.skip] },
        )
        .await?;
    if !count.try_get::<_, bool>("known")? {
        return Err(ApiError::not_found());
    }
    let runs = rows.iter().map(|row| UiTestRun::read(row).map(|run| run.in_dialect(dialect)));
    let total = count.try_get("total")?;
    Ok(RunList { data: runs.collect::<Result<_, _>>()?, meta: RunMeta { total, meta: page.meta(total) } })
}

/// One run.
pub(super) async fn show(app: &App, caller: &Identity, path: RunPath) -> ApiResult<UiTestRun> {
    let tx = app.db.tenant(caller.tenant_id).await?;
    let row = tx.finish_opt(SHOW_RUN, &[&caller.tenant_id, &path.id, &path.project_id]).await?;
    Ok(UiTestRun::read(&row.ok_or_else(ApiError::not_found)?)?)
}

/// Adds a finding to an open run. Yields the run, whose last finding it is.
pub(super) async fn add_finding(
    app: &App,
    caller: &Identity,
    dialect: Dialect,
    path: RunPath,
    body: &Body,
) -> ApiResult<UiTestRun> {
    let read = |object: &Map<String, Value>| Finding::read(dialect, object);
    let (mut tx, locked, finding) =
        locked(app, caller, path, body, read, ("run_not_in_progress", "Run is not in progress")).await?;
    if locked.findings_count >= MAX_FINDINGS {
        let message = format!("A run has at most {MAX_FINDINGS} findings; complete it and start another");
        return Err(ApiError::unprocessable("too_many_findings", message));
    }
    let (tenant_id, finding_id, position) = (caller.tenant_id, Uuid::now_v7(), locked.findings_count + 1);
    let (counts, mut state) = (finding.counts(), finding.audited());
    tx.query(INSERT_FINDING, &[&tenant_id, &finding_id, &path.id, &position, &finding.into_content()])
        .await?;
    let row = tx
        .query_one(
            COUNT_FINDING,
            &[&tenant_id, &path.id, &counts.screenshots, &counts.critical, &counts.high],
        )
        .await?;
    let run = UiTestRun::read(&row)?;
    state.insert("findings_count".to_owned(), run.findings_count.into());
    state.insert("finding_id".to_owned(), json!(finding_id));
    let event = Event::new("ui_test_run", run.id, "ui_test.finding_added", Value::Object(state))
        .project(run.project_id);
    events::record(tx, tenant_id, &caller.attribution(), vec![event]).await?;
    Ok(run)
}

/// Ends an open run.
pub(super) async fn complete(
    app: &App,
    caller: &Identity,
    dialect: Dialect,
    path: RunPath,
    body: &Body,
) -> ApiResult<UiTestRun> {
    let read = |object: &Map<String, Value>| Completion::read(dialect, object);
    let (mut tx, locked, completion) =
        locked(app, caller, path, body, read, ("run_already_completed", "Run is already completed")).await?;
    let tenant_id = caller.tenant_id;
    let status = completion.status(locked.critical_count, locked.high_count);
    let row = tx.query_one(COMPLETE_RUN, &[&tenant_id, &path.id, &status, &completion.summary]).await?;
    let run = UiTestRun::read(&row)?;
    let state = json!({
        "status": run.status, "findings_count": run.findings_count, "critical_count": run.critical_count,
        "high_count": run.high_count,
    });
    let event = Event::new("ui_test_run", run.id, "ui_test.completed", state)
        .old(json!({"status": OPEN}))
        .project(run.project_id);
    events::record(tx, tenant_id, &caller.attribution(), vec![event]).await?;
    Ok(run)
}

/// What the next finding, or the end, needs to know of a locked run.
struct Locked {
    findings_count: i32,
    critical_count: i32,
    high_count: i32,
}

/// Locks an open run and reads the body. A run that does not exist comes before a run that is not open, and that
/// before what is wrong with the body.
async fn locked<T>(
    app: &App,
    caller: &Identity,
    path: RunPath,
    body: &Body,
    read: impl FnOnce(&Map<String, Value>) -> Result<T, FieldErrors>,
    (code, message): (&str, &str),
) -> ApiResult<(Tx, Locked, T)> {
    let mut tx = app.db.tenant(caller.tenant_id).await?;
    let row = tx.query_opt(LOCK_RUN, &[&caller.tenant_id, &path.id, &path.project_id]).await?;
    let row = row.ok_or_else(ApiError::not_found)?;
    let status: String = row.try_get("status").map_err(DbError::from)?;
    if status != OPEN {
        return Err(ApiError::unprocessable(code, message).with("current_state", json!(status)).with(
            "hints",
            json!(["This run has ended. Start a new one for what is still to be recorded."]),
        ));
    }
    let count = |column: &str| -> Result<i32, DbError> { Ok(row.try_get(column)?) };
    let locked = Locked {
        findings_count: count("findings_count")?,
        critical_count: count("critical_count")?,
        high_count: count("high_count")?,
    };
    Ok((tx, locked, body.read(read)?))
}
