//! The audit log of everybody, as a superadmin reads it.

use axum::Json;
use constcat::concat;
use loopctl_core::request::{Request, id};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::log::Filters;
use super::{AuditEntry, BOTH_STATES, weighed};
use crate::app::Admin;
use crate::db::{Row, fitting, statements};
use crate::http::{ApiResult, List, Page, Query, pages};

const FILTERED: &str = "
    audit_log
    where ($1::uuid = '00000000-0000-0000-0000-000000000000' or tenant_id = $1)
      and ($2::text is null or entity_type = $2) and ($3::text is null or action = $3)
      and ($4::text is null or actor_type = $4) and ($5::uuid is null or actor_id = $5)
      and ($6::uuid is null or entity_id = $6) and ($7::uuid is null or project_id = $7)
      and ($8::timestamptz is null or inserted_at >= $8) and ($9::timestamptz is null or inserted_at <= $9)";

statements! {
    /// Of the named tenant, or of all of them and of none, which is what the nil UUID stands for.
    EVERYBODYS_LOG -> list of WeighedOfAny = {
        within: "",
        count: concat!("count(*) from ", FILTERED),
        from: weighed!(BOTH_STATES, "order by inserted_at desc, id desc", concat!(
            "select * from ", FILTERED, " order by inserted_at desc, id desc limit $10 offset $11")),
        page: fitting!("order by inserted_at desc, id desc"),
    };
}

/// An entry of some tenant's log, or of what belongs to none.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(super) struct AnyEntry {
    #[serde(flatten)]
    #[row(flatten)]
    entry: AuditEntry,
    /// Null for what belongs to no tenant.
    #[row(sql = "nullif(tenant_id, '00000000-0000-0000-0000-000000000000')")]
    tenant_id: Option<Uuid>,
    #[row(sql = "(select name from tenants where tenants.id = tenant_id)")]
    tenant_name: Option<String>,
    #[row(sql = "(select slug from tenants where tenants.id = tenant_id)")]
    tenant_slug: Option<String>,
}

#[derive(Row)]
pub(super) struct WeighedOfAny {
    #[row(flatten)]
    entry: AnyEntry,
    upto: i64,
}

#[derive(Request)]
pub(super) struct ReadEverybodysAudit {
    #[rule(id())]
    tenant_id: Option<Uuid>,
    #[flatten]
    filters: Filters,
    #[rule(pages(20, 100))]
    page: Page,
}

pub(super) async fn list(
    admin: Admin,
    Query(query): Query<ReadEverybodysAudit>,
) -> ApiResult<Json<List<AnyEntry>>> {
    let ReadEverybodysAudit { tenant_id, filters, page } = query;
    let filter = filters.read()?;
    let list = admin.list(&EVERYBODYS_LOG, tenant_id.unwrap_or_default(), &filter.params(), &page).await?;
    page.check_size(list.data.iter().map(|row| row.upto))?;
    Ok(Json(list.map(|row| row.entry)))
}
