//! Everything that happened to a story, as the audit log tells it.

use axum::Json;
use loopctl_core::json::JsonText;
use loopctl_core::request::Request;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::app::{Any, Caller, Endpoint};
use crate::db::{Row, Timestamp, statements};
use crate::http::{ApiResult, Cursor, Feed, Id, Meta, Place, Query, endpoints, pages};

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Endpoint> {
    endpoints! { "Stories";
        /// Everything that happened to a story, oldest first.
        ///
        /// Reaches back as far as the audit log is kept. A deleted story still has its history.
        GET "/api/v1/stories/{id}/history" => story_history;
    }
}

/// One entry of the audit log.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(crate) struct HistoryEntry {
    id: Uuid,
    entity_type: String,
    entity_id: Uuid,
    action: String,
    /// `api_key`, `superadmin`, `system` or `human`.
    actor_type: String,
    actor_id: Option<Uuid>,
    actor_label: Option<String>,
    old_state: Option<JsonText>,
    new_state: Option<JsonText>,
    metadata: JsonText,
    inserted_at: Timestamp,
}

statements! {
    /// A deleted story still has its history; a story that never was has none.
    STORY_HISTORY -> list of HistoryEntry = {
        within: "
            (select id from stories where tenant_id = $1 and id = $2
             union all select id from audit_log where tenant_id = $1 and story_id = $2) as told_of",
        from: "audit_log where tenant_id = $1 and story_id = $2",
        page: "
            and inserted_at > coalesce($5::timestamptz, '-infinity')
            order by inserted_at limit $3 offset $4",
    };
}

#[derive(Request)]
struct ReadHistory {
    #[rule(pages(100, 100).or_cursor())]
    place: Place,
}

/// `pagination` of the audit lists, beside `meta`.
#[derive(Debug, Serialize, JsonSchema)]
struct Pagination {
    total: i64,
    page: i64,
    page_size: i64,
}

#[derive(Debug, Serialize, JsonSchema)]
struct History {
    data: Vec<HistoryEntry>,
    pagination: Pagination,
    meta: Meta,
    /// To be sent as `cursor` for what comes next; null at the end.
    next_cursor: Option<Cursor>,
}

async fn story_history(
    caller: Caller<Any>,
    Id(story_id): Id,
    Query(query): Query<ReadHistory>,
) -> ApiResult<Json<History>> {
    let Feed { data, meta, next_cursor } =
        caller.feed(&STORY_HISTORY, &[&story_id], &query.place, |entry| entry.inserted_at).await?;
    let pagination = Pagination { total: meta.total_count, page: meta.page, page_size: meta.page_size };
    Ok(Json(History { data, pagination, meta, next_cursor }))
}
