//! The audit log as a tenant's owner reads it.

use axum::Json;
use chrono::{DateTime, Utc};
use constcat::concat;
use loopctl_core::request::{Request, id, text};
use schemars::JsonSchema;
use serde::Serialize;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::{AuditEntry, BOTH_STATES, Pagination, Weighed, weighed};
use crate::app::{AtLeast, Caller, User};
use crate::db::{Timestamp, fitting, statements};
use crate::http::{ApiResult, List, Meta, Moment, Page, Query, last_moment, moment, pages};

const FILTERED: &str = "
    audit_log
    where tenant_id = $1 and ($2::text is null or entity_type = $2) and ($3::text is null or action = $3)
      and ($4::text is null or actor_type = $4) and ($5::uuid is null or actor_id = $5)
      and ($6::uuid is null or entity_type = 'story' and story_id = $6 or entity_type <> 'story' and entity_id = $6)
      and ($7::uuid is null or project_id = $7)
      and ($8::timestamptz is null or inserted_at >= $8) and ($9::timestamptz is null or inserted_at <= $9)";

statements! {
    /// Positions have no gap: where nothing is filtered they say how many entries there are.
    WHOLE_LOG -> list of Weighed = {
        within: "",
        count: "
            coalesce((select position from audit_log where tenant_id = $1 order by inserted_at desc limit 1)
                     - (select position from audit_log where tenant_id = $1 order by inserted_at limit 1) + 1, 0)",
        from: weighed!(BOTH_STATES, "order by inserted_at desc", "
            select * from audit_log where tenant_id = $1 order by inserted_at desc limit $2 offset $3"),
        page: fitting!("order by inserted_at desc"),
    };
    /// By the filters that are not null. Stories and everything else have an index each.
    AUDIT_LOG -> list of Weighed = {
        within: "",
        count: concat!("count(*) from ", FILTERED),
        from: weighed!(BOTH_STATES, "order by inserted_at desc", concat!(
            "select * from ", FILTERED, " order by inserted_at desc limit $10 offset $11")),
        page: fitting!("order by inserted_at desc"),
    };
}

/// Which entries are of interest.
#[derive(Request)]
pub(super) struct Filters {
    #[rule(text(usize::MAX))]
    entity_type: Option<String>,
    #[rule(text(usize::MAX))]
    action: Option<String>,
    /// `api_key`, `superadmin`, `system` or `human`.
    #[rule(text(usize::MAX))]
    actor_type: Option<String>,
    #[rule(id())]
    actor_id: Option<Uuid>,
    #[rule(id())]
    entity_id: Option<Uuid>,
    #[rule(id())]
    project_id: Option<Uuid>,
    /// Entries of this time and later.
    #[rule(moment())]
    from: Moment,
    /// Entries of this time and earlier; a day is included.
    #[rule(last_moment())]
    to: Moment,
}

/// The same, with their times looked at.
pub(super) struct Filter {
    filters: Filters,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
}

impl Filters {
    /// # Errors
    /// 400 for a time that is none.
    pub(super) fn read(self) -> ApiResult<Filter> {
        Ok(Filter { from: self.from.time()?, to: self.to.time()?, filters: self })
    }
}

impl Filter {
    /// The parameters of both logs from `$2` on.
    pub(super) fn params(&self) -> [&(dyn ToSql + Sync); 8] {
        let Filters { entity_type, action, actor_type, actor_id, entity_id, project_id, .. } = &self.filters;
        [entity_type, action, actor_type, actor_id, entity_id, project_id, &self.from, &self.to]
    }

    fn is_empty(&self) -> bool {
        let Filters { entity_type, action, actor_type, actor_id, entity_id, project_id, .. } = &self.filters;
        [entity_type, action, actor_type].into_iter().all(Option::is_none)
            && [actor_id, entity_id, project_id].into_iter().all(Option::is_none)
            && [self.from, self.to].iter().all(Option::is_none)
    }
}

#[derive(Request)]
pub(super) struct ReadAudit {
    #[flatten]
    filters: Filters,
    #[rule(pages(20, 100))]
    page: Page,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct AuditLog {
    data: Vec<AuditEntry>,
    pagination: Pagination,
    meta: AuditMeta,
}

#[derive(Debug, Serialize, JsonSchema)]
struct AuditMeta {
    #[serde(flatten)]
    meta: Meta,
    /// The time of the newest entry: null on all pages but the first. Sent as `to` it leaves out whatever comes later.
    as_of: Option<Timestamp>,
}

pub(super) async fn list(
    caller: Caller<AtLeast<User>>,
    Query(query): Query<ReadAudit>,
) -> ApiResult<Json<AuditLog>> {
    let ReadAudit { filters, page } = query;
    let filter = filters.read()?;
    let list = if filter.is_empty() {
        caller.list(&WHOLE_LOG, &[], &page).await?
    } else {
        caller.list(&AUDIT_LOG, &filter.params(), &page).await?
    };
    page.check_size(list.data.iter().map(|row| row.upto))?;
    let List { data, meta } = list.map(|row| row.entry);
    let as_of = data.first().filter(|_| page.skip == 0).map(|entry| entry.inserted_at);
    Ok(Json(AuditLog { data, pagination: Pagination::of(&meta), meta: AuditMeta { meta, as_of } }))
}
