//! The change feed: what has happened since, to be followed by polling.

use axum::Json;
use chrono::{DateTime, Utc};
use constcat::concat;
use loopctl_core::fields::Fields;
use loopctl_core::json::JsonText;
use loopctl_core::request::{Custom, Request, custom, id, text};
use schemars::{JsonSchema, json_schema};
use serde::Serialize;
use uuid::Uuid;

use super::weighed;
use crate::app::{Any, KeyHolder};
use crate::db::{Row, Timestamp, fitting, statements};
use crate::http::{ApiResult, LARGEST_ANSWER, Moment, Query, cut, moment};

/// The most entries of one answer, and how many there are where nobody says otherwise.
const MOST: i64 = 1000;

/// One entry of the feed.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(super) struct Change {
    id: Uuid,
    entity_type: String,
    entity_id: Uuid,
    action: String,
    /// `api_key`, `superadmin`, `system` or `human`.
    actor_type: String,
    actor_label: Option<String>,
    new_state: Option<JsonText>,
    project_id: Option<Uuid>,
    metadata: JsonText,
    pub(super) inserted_at: Timestamp,
}

/// An entry, with how much of an answer those up to it are, in bytes.
#[derive(Row)]
pub(super) struct Weighed {
    #[row(flatten)]
    pub(super) change: Change,
    pub(super) upto: i64,
}

/// What is shown of an entry's states.
pub(super) const NEW_STATE: &str = "new_state";

statements! {
    /// A tenant's times are in the order of its commits, and an entry is seen by everybody once its commit is: whoever reads on
    /// after the last one that they saw misses none.
    CHANGES -> Weighed = concat!("select {*} from ", weighed!(NEW_STATE, "order by inserted_at", "
        select * from audit_log
        where tenant_id = $1 and inserted_at > $2
          and ((select $3::uuid) is null or project_id = (select $3::uuid))
          and ((select $4::text) is null or entity_type = (select $4::text))
          and ((select $5::text) is null or action = (select $5::text))
        order by inserted_at limit (select $6::bigint)"), " ", fitting!("order by inserted_at"));
    RETENTION_FLOOR -> Floor = "select {*} from tenants where id = $1";
}

/// From when on the log is kept.
#[derive(Row)]
pub(super) struct Floor {
    #[row(sql = "audit_log_floor()")]
    floor: Timestamp,
}

/// Which entries are of interest.
#[derive(Debug, Request)]
pub(super) struct Filters {
    #[rule(id())]
    pub(super) project_id: Option<Uuid>,
    #[rule(text(usize::MAX))]
    pub(super) entity_type: Option<String>,
    #[rule(text(usize::MAX))]
    pub(super) action: Option<String>,
}

impl Filters {
    /// Whether every entry is.
    pub(super) fn is_empty(&self) -> bool {
        self.project_id.is_none() && self.entity_type.is_none() && self.action.is_none()
    }
}

#[derive(Request)]
pub(super) struct ReadChanges {
    /// Required: what is later than this.
    #[rule(moment())]
    since: Moment,
    #[flatten]
    filters: Filters,
    /// The same as `page_size`.
    #[rule(size())]
    limit: i64,
}

/// `limit` or `page_size`; what is no number above zero counts as nothing.
const fn size() -> Custom<i64> {
    custom(
        |fields: &mut Fields<'_>, name| {
            let number = |name: &str| fields.filled(name)?.as_str()?.trim().parse::<i64>().ok();
            let sent = number(name).or_else(|| number("page_size"));
            sent.filter(|size| *size > 0).unwrap_or(MOST).min(MOST)
        },
        || json_schema!({"type": "integer", "minimum": 1, "maximum": MOST, "default": MOST}),
    )
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Changes {
    data: Vec<Change>,
    /// Whether there may be more: what does not fit into 16 MiB comes with the next answer.
    has_more: bool,
    /// The time of the last entry, when there are more.
    next_since: Option<Timestamp>,
    /// To be sent as `since` for what comes next, now or later.
    cursor: Timestamp,
    /// From when on entries are kept.
    retention_floor: Option<Timestamp>,
}

pub(super) async fn list(
    holder: KeyHolder<Any>,
    Query(query): Query<ReadChanges>,
) -> ApiResult<Json<Changes>> {
    let ReadChanges { since, filters: Filters { project_id, entity_type, action }, limit } = query;
    let since: DateTime<Utc> = since.required()?;
    let caller = holder.in_tenant()?;
    let most = limit + 1;
    let params = [&since as _, &project_id as _, &entity_type as _, &action as _, &most as _];
    let (mut rows, floor) = caller.read((CHANGES.with(&params), RETENTION_FLOOR.with(&[]))).await?;
    let fit = rows.iter().take_while(|row| row.upto <= LARGEST_ANSWER).count();
    // The first one is told whatever it weighs. Nothing was read beyond the one with which it is too much.
    let is_full = fit < rows.len();
    rows.truncate(fit.max(1));
    let has_more = cut(&mut rows, limit) || is_full;
    let data: Vec<_> = rows.into_iter().map(|row| row.change).collect();
    let last = data.last().map(|change| change.inserted_at);
    Ok(Json(Changes {
        has_more,
        next_since: last.filter(|_| has_more),
        cursor: last.unwrap_or(Timestamp(since)),
        retention_floor: floor.into_iter().next().map(|row| row.floor),
        data,
    }))
}
