//! Everything that happened to a story, as the audit log tells it.

use axum::Json;
use loopctl_core::request::Request;
use schemars::JsonSchema;
use serde::Serialize;

use super::{AuditEntry, BOTH_STATES, Pagination, Weighed, weighed};
use crate::app::{Any, Caller};
use crate::db::{fitting, statements};
use crate::http::{ApiResult, Cursor, Feed, Id, Meta, Place, Query, pages};

statements! {
    /// A deleted story still has its history; a story that never was has none.
    STORY_HISTORY -> list of Weighed = {
        within: "
            (select id from stories where tenant_id = $1 and id = $2
             union all select id from audit_log where tenant_id = $1 and story_id = $2) as told_of",
        count: "count(*) from audit_log where tenant_id = $1 and story_id = $2",
        from: weighed!(BOTH_STATES, "order by inserted_at", "
            select * from audit_log
            where tenant_id = $1 and story_id = $2 and inserted_at > coalesce($5::timestamptz, '-infinity')
            order by inserted_at limit $3 offset $4"),
        page: fitting!("order by inserted_at"),
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
        caller.feed(&STORY_HISTORY, &[&story_id], &query.place, |row| row.entry.inserted_at).await?;
    query.place.page.check_size(data.iter().map(|row| row.upto))?;
    let data = data.into_iter().map(|row| row.entry).collect();
    Ok(Json(History { data, pagination: Pagination::of(&meta), meta, next_cursor }))
}
