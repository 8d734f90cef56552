//! A run, as it is stored and as it is answered, and how paths name one.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use loopctl_core::fields::parse_uuid;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio_postgres::Row;
use utoipa::ToSchema;
use uuid::Uuid;

use super::dialect::Dialect;
use crate::db::{DbError, Timestamp};
use crate::http::{ApiError, Meta};

/// A UI test run (file 03 §11.1).
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UiTestRun {
    pub(super) id: Uuid,
    tenant_id: Uuid,
    pub(super) project_id: Uuid,
    /// The key's agent, if it has one.
    pub(super) started_by_agent_id: Option<Uuid>,
    /// `in_progress` (under `ui_test_runs`: `running`), `passed`, `failed` or `cancelled`.
    pub(super) status: String,
    /// Null only for runs that were started under `ui_test_runs`.
    pub(super) guide_reference: Option<String>,
    notes: Option<String>,
    /// In the order in which they were recorded: what was sent of each, its `id` and `recorded_at`.
    #[schema(value_type = Vec<Object>)]
    pub(super) findings: Vec<Map<String, Value>>,
    summary: Option<String>,
    screenshots_count: i32,
    pub(super) findings_count: i32,
    /// `critical` and `blocker`.
    pub(super) critical_count: i32,
    /// `high` and `bug`.
    pub(super) high_count: i32,
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    completed_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    inserted_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl UiTestRun {
    /// Reads a row of `ui_test_runs` with the columns of `with_findings!`.
    pub(super) fn read(row: &Row) -> Result<Self, DbError> {
        let (ids, contents): (Vec<Uuid>, Vec<Value>) =
            (row.try_get("finding_ids")?, row.try_get("finding_contents")?);
        let times: Vec<Timestamp> = row.try_get("finding_times")?;
        let findings = ids.into_iter().zip(contents).zip(times);
        Ok(Self {
            id: row.try_get("id")?,
            tenant_id: row.try_get("tenant_id")?,
            project_id: row.try_get("project_id")?,
            started_by_agent_id: row.try_get("started_by_agent_id")?,
            status: row.try_get("status")?,
            guide_reference: row.try_get("guide_reference")?,
            notes: row.try_get("notes")?,
            findings: findings.map(|((id, content), at)| finding(id, content, at)).collect(),
            summary: row.try_get("summary")?,
            screenshots_count: row.try_get("screenshots_count")?,
            findings_count: row.try_get("findings_count")?,
            critical_count: row.try_get("critical_count")?,
            high_count: row.try_get("high_count")?,
            started_at: row.try_get("started_at")?,
            completed_at: row.try_get("completed_at")?,
            inserted_at: row.try_get("inserted_at")?,
            updated_at: row.try_get("updated_at")?,
        })
    }

    /// The run as this family of paths shows it.
    pub(super) fn in_dialect(&self, dialect: Dialect) -> Value {
        let mut run = json!(self);
        run["status"] = dialect.status(&self.status).into();
        run
    }
}

fn finding(id: Uuid, content: Value, recorded_at: Timestamp) -> Map<String, Value> {
    let mut finding = Map::from_iter([("id".to_owned(), json!(id))]);
    if let Value::Object(sent) = content {
        finding.extend(sent);
    }
    finding.insert("recorded_at".to_owned(), json!(recorded_at));
    finding
}

/// `meta` of a list of runs: the server's, and the name under which the code's family has the number of runs.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RunMeta {
    /// Same as `total_count`.
    pub(super) total: i64,
    #[serde(flatten)]
    pub(super) meta: Meta,
}

/// A list of runs.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RunList {
    /// The runs of this page, in the family's dialect.
    #[schema(value_type = Vec<UiTestRun>)]
    pub(super) data: Vec<Value>,
    pub(super) meta: RunMeta,
}

/// A run in a path; the code's paths name its project before it. What is no UUID names nothing: 404.
#[derive(Debug, Clone, Copy)]
pub(super) struct RunPath {
    /// Where the run must be, if the path says so.
    pub(super) project_id: Option<Uuid>,
    pub(super) id: Uuid,
}

impl<S: Send + Sync> FromRequestParts<S> for RunPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let params = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| ApiError::bad_request("Bad Request: the path is not valid UTF-8"))?;
        let ids: Option<Vec<_>> = params.iter().map(|(_, text)| parse_uuid(text)).collect();
        match ids.as_deref() {
            Some([id]) => Ok(Self { project_id: None, id: *id }),
            Some([project_id, id]) => Ok(Self { project_id: Some(*project_id), id: *id }),
            _ => Err(ApiError::not_found()),
        }
    }
}
