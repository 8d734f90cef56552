//! `GET /orchestrator/state/:project_id/history`.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::Value;
use tokio_postgres::Row;
use utoipa::ToSchema;

use super::DEFAULT_KEY;
use super::store::{COUNT_SAVES, LIST_SAVES};
use crate::App;
use crate::db::{DbError, Statement, Timestamp};
use crate::http::caller::{Orchestrator, Superadmin};
use crate::http::page::Style;
use crate::http::{ApiError, ApiResult, Caller, Exact, Id, List, Page, Query};

/// A save, as the audit log tells of it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SavedState {
    version: i32,
    #[schema(value_type = Object)]
    state_data: Value,
    /// `orchestrator:<key name>`.
    saved_by: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    saved_at: Timestamp,
}

impl SavedState {
    fn read(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            version: row.try_get("version")?,
            state_data: row.try_get("state_data")?,
            saved_by: row.try_get("actor_label")?,
            saved_at: row.try_get("inserted_at")?,
        })
    }
}

/// The saves under a key, newest first. Reaches back as far as the audit log is kept (90 days).
#[utoipa::path(get, path = "/api/v1/orchestrator/state/{project_id}/history", tag = "Orchestrator",
    params(("project_id" = Uuid, Path), ("state_key" = Option<String>, Query, description = "Default `main`"),
           ("page" = Option<i64>, Query),
           ("page_size" = Option<i64>, Query, description = "Default 25, at most 100; `limit` is an alias")),
    responses((status = 200, body = List<SavedState>), (status = 403), (status = 404)))]
pub(super) async fn history(
    State(app): State<App>,
    caller: Caller<Exact<(Orchestrator, Superadmin)>>,
    Id(project_id): Id,
    query: Query,
) -> ApiResult<Json<List<SavedState>>> {
    let page = Page::new(&query, Style::page(25, 100));
    let key = query.text("state_key").unwrap_or(DEFAULT_KEY);
    let tenant_id = caller.tenant_id;
    let tx = app.db.tenant(tenant_id).await?;
    let (count, rows) = tx
        .finish_list(
            Statement { sql: COUNT_SAVES, params: &[&tenant_id, &project_id, &key] },
            Statement { sql: LIST_SAVES, params: &[&tenant_id, &project_id, &key, &page.size, &page.skip] },
        )
        .await?;
    if !count.try_get::<_, bool>("known")? {
        return Err(ApiError::not_found());
    }
    let data = rows.iter().map(SavedState::read).collect::<Result<_, _>>()?;
    Ok(Json(List { data, meta: page.meta(count.try_get("total")?) }))
}
