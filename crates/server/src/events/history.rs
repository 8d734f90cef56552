//! `GET /stories/:id/history` (file 02 §7.2, file 04 §1.8).

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::Value;
use tokio_postgres::Row;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::App;
use crate::db::{DbError, Statement, Timestamp, statements};
use crate::http::page::Style;
use crate::http::{Any, ApiError, ApiResult, Caller, Id, Meta, Page, Query};

statements! {
    STORY_HISTORY = "
        select id, entity_type, entity_id, action, actor_type, actor_id, actor_label, old_state, new_state, metadata,
               inserted_at
        from audit_log
        where tenant_id = $1 and story_id = $2 order by inserted_at, id limit $3 offset $4";
    COUNT_STORY_HISTORY = "
        select count(*) as total, exists (select from stories where tenant_id = $1 and id = $2) as known
        from audit_log where tenant_id = $1 and story_id = $2";
}

/// The routes of this module.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(story_history))
}

/// One entry of the audit log, as a story's history shows it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HistoryEntry {
    id: Uuid,
    entity_type: String,
    entity_id: Uuid,
    action: String,
    actor_type: String,
    actor_id: Option<Uuid>,
    actor_label: Option<String>,
    #[schema(value_type = Option<Object>)]
    old_state: Option<Value>,
    #[schema(value_type = Option<Object>)]
    new_state: Option<Value>,
    #[schema(value_type = Object)]
    metadata: Value,
    #[schema(value_type = String, format = DateTime)]
    inserted_at: Timestamp,
}

impl HistoryEntry {
    fn read(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            id: row.try_get("id")?,
            entity_type: row.try_get("entity_type")?,
            entity_id: row.try_get("entity_id")?,
            action: row.try_get("action")?,
            actor_type: row.try_get("actor_type")?,
            actor_id: row.try_get("actor_id")?,
            actor_label: row.try_get("actor_label")?,
            old_state: row.try_get("old_state")?,
            new_state: row.try_get("new_state")?,
            metadata: row.try_get("metadata")?,
            inserted_at: row.try_get("inserted_at")?,
        })
    }
}

/// `pagination` of the audit lists, beside `meta`.
#[derive(Debug, Serialize, ToSchema)]
struct Pagination {
    total: i64,
    page: i64,
    page_size: i64,
}

#[derive(Debug, Serialize, ToSchema)]
struct History {
    data: Vec<HistoryEntry>,
    pagination: Pagination,
    meta: Meta,
}

/// Everything that happened to a story, oldest first. Reaches back as far as the audit log is kept.
#[utoipa::path(get, path = "/api/v1/stories/{id}/history", tag = "Stories",
    params(("id" = Uuid, Path), ("page" = Option<i64>, Query), ("page_size" = Option<i64>, Query, description = "At most 100; `limit` is an alias")),
    responses((status = 200, body = History), (status = 404)))]
async fn story_history(
    State(app): State<App>,
    caller: Caller<Any>,
    Id(story_id): Id,
    query: Query,
) -> ApiResult<Json<History>> {
    let page = Page::new(&query, Style::page(100, 100));
    let tx = app.db.tenant(caller.tenant_id).await?;
    let (count, entries) = tx
        .finish_list(
            Statement { sql: COUNT_STORY_HISTORY, params: &[&caller.tenant_id, &story_id] },
            Statement { sql: STORY_HISTORY, params: &[&caller.tenant_id, &story_id, &page.size, &page.skip] },
        )
        .await?;
    let (total, known): (i64, bool) = (count.try_get("total")?, count.try_get("known")?);
    // A deleted story still has its history; a story that never was has none.
    if !known && total == 0 {
        return Err(ApiError::not_found());
    }
    let data = entries.iter().map(HistoryEntry::read).collect::<Result<_, _>>()?;
    let meta = page.meta(total);
    Ok(Json(History {
        data,
        pagination: Pagination { total, page: meta.page, page_size: meta.page_size },
        meta,
    }))
}
