//! The audit log as a tenant's owner reads it.

use axum::Json;
use loopctl_core::request::{Request, id, text};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::{AuditEntry, Pagination};
use crate::app::{AtLeast, Caller, User};
use crate::db::{Params, Timestamp, statements};
use crate::http::{ApiResult, List, Meta, Moment, Page, Query, last_moment, moment, pages};

statements! {
    /// Positions have no gap: where nothing is filtered they say how many entries there are.
    WHOLE_LOG -> list of AuditEntry = {
        within: "",
        count: "
            coalesce((select position from audit_log where tenant_id = $1 order by inserted_at desc limit 1)
                     - (select position from audit_log where tenant_id = $1 order by inserted_at limit 1) + 1, 0)",
        from: "audit_log where tenant_id = $1",
        page: "order by inserted_at desc limit $2 offset $3",
    };
    /// By the filters that are not null. Stories and everything else have an index each.
    AUDIT_LOG -> list of AuditEntry = {
        within: "",
        from: "
            audit_log
            where tenant_id = $1 and ($2::text is null or entity_type = $2) and ($3::text is null or action = $3)
              and ($4::text is null or actor_type = $4) and ($5::uuid is null or actor_id = $5)
              and ($6::uuid is null or entity_type = 'story' and story_id = $6 or entity_type <> 'story' and entity_id = $6)
              and ($7::uuid is null or project_id = $7)
              and ($8::timestamptz is null or inserted_at >= $8) and ($9::timestamptz is null or inserted_at <= $9)",
        page: "order by inserted_at desc limit $10 offset $11",
    };
}

#[derive(Request)]
pub(super) struct ReadAudit {
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
    let ReadAudit { entity_type, action, actor_type, actor_id, entity_id, project_id, from, to, page } =
        query;
    let (from, to) = (from.time()?, to.time()?);
    let filters: Params<'_> =
        &[&entity_type, &action, &actor_type, &actor_id, &entity_id, &project_id, &from, &to];
    let is_filtered = [&entity_type, &action, &actor_type].into_iter().any(Option::is_some)
        || [actor_id, entity_id, project_id].iter().any(Option::is_some)
        || [from, to].iter().any(Option::is_some);
    let List { data, meta } = if is_filtered {
        caller.list(&AUDIT_LOG, filters, &page).await?
    } else {
        caller.list(&WHOLE_LOG, &[], &page).await?
    };
    let as_of = data.first().filter(|_| page.skip == 0).map(|entry| entry.inserted_at);
    Ok(Json(AuditLog { data, pagination: Pagination::of(&meta), meta: AuditMeta { meta, as_of } }))
}
