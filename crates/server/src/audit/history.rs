//! Everything that happened to a story, as the audit log tells it.

use axum::Json;
use loopctl_core::request::Request;
use schemars::JsonSchema;
use serde::Serialize;

use super::{AuditEntry, Pagination};
use crate::app::{Any, Caller};
use crate::db::statements;
use crate::http::{ApiResult, Cursor, Feed, Id, Meta, Place, Query, pages};

statements! {
    /// A deleted story still has its history; a story that never was has none.
    STORY_HISTORY -> list of AuditEntry = {
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
pub(super) struct ReadHistory {
    #[rule(pages(100, 100).or_cursor())]
    place: Place,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct History {
    data: Vec<AuditEntry>,
    pagination: Pagination,
    meta: Meta,
    /// To be sent as `cursor` for what comes next; null at the end.
    next_cursor: Option<Cursor>,
}

pub(super) async fn story_history(
    caller: Caller<Any>,
    Id(story_id): Id,
    Query(query): Query<ReadHistory>,
) -> ApiResult<Json<History>> {
    let Feed { data, meta, next_cursor } =
        caller.feed(&STORY_HISTORY, &[&story_id], &query.place, |entry| entry.inserted_at).await?;
    Ok(Json(History { data, pagination: Pagination::of(&meta), meta, next_cursor }))
}
