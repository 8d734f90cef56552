//! What a scan has found among the tenants' records that ought not to be there (`operator/violators`), and what superadmins make of it.

use axum::Json;
use loopctl_core::code::Code;
use loopctl_core::json::JsonText;
use loopctl_core::request::{Request, id, text, word};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use crate::app::Admin;
use crate::db::{Params, Row, Timestamp, statements};
use crate::events::Event;
use crate::http::{ApiError, ApiResult, Body, Id, List, Meta, Page, Query, limits, one};

statements! {
    /// Of the named tenant, or of all of them, which is what the nil UUID stands for.
    LIST_VIOLATIONS -> list of Violation = {
        within: "",
        from: "
            audit_pending_violations
            where ($1::uuid = '00000000-0000-0000-0000-000000000000' or tenant_id = $1)
              and ($2::text is null or violation_type = $2) and ($3::text is null or status = $3)",
        page: "order by discovered_at desc, id desc limit $4 offset $5",
    };
    /// Of all tenants, whoever `$1` is.
    NOTHING_IS_PENDING -> bool = "
        select not exists (select from audit_pending_violations where status = 'pending') as merge_ready
        where $1::uuid is not null";
    WHOSE_VIOLATION -> Uuid = "
        select tenant_id from audit_pending_violations where id = $2 and $1::uuid is not null";
    LOCK_VIOLATION -> Violation = "
        select {*} from audit_pending_violations where tenant_id = $1 and id = $2 for no key update";
    SETTLE_VIOLATION -> Violation = "
        update audit_pending_violations
        set status = $3, resolution_note = $4, resolved_by_api_key_id = $5, resolved_at = clock_timestamp()
        where tenant_id = $1 and id = $2
        returning {*}";
}

/// Something that ought not to be there.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(super) struct Violation {
    id: Uuid,
    tenant_id: Uuid,
    /// `nil_agent_non_user_key`, `orphaned_agent_ref` or `unreviewed_reported_done`.
    violation_type: String,
    /// `api_key` or `story`.
    entity_type: String,
    entity_id: Uuid,
    discovered_at: Timestamp,
    detail: JsonText,
    /// `pending`, `resolved` or `ignored`.
    status: String,
    /// When it was resolved or ignored.
    resolved_at: Option<Timestamp>,
    /// By whom.
    resolved_by_api_key_id: Option<Uuid>,
    resolution_note: Option<String>,
}

/// Of which status they are listed.
#[derive(Debug, Clone, Copy)]
enum Listed {
    All,
    Of(&'static str),
}

fn listed(word: &str) -> Option<Listed> {
    if word == "all" {
        return Some(Listed::All);
    }
    ["pending", "resolved", "ignored"].into_iter().find(|known| *known == word).map(Listed::Of)
}

#[derive(Request)]
pub(super) struct ListViolations {
    #[rule(id())]
    tenant_id: Option<Uuid>,
    #[rule(text(usize::MAX))]
    violation_type: Option<String>,
    /// `pending` when absent.
    #[rule(word(&["pending", "resolved", "ignored", "all"], listed))]
    status: Option<Listed>,
    #[rule(limits(50, 100))]
    page: Page,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Violations {
    data: Vec<Violation>,
    meta: Meta,
    /// Nothing is pending, of any tenant.
    merge_ready: bool,
}

pub(super) async fn list(admin: Admin, Query(query): Query<ListViolations>) -> ApiResult<Json<Violations>> {
    let ListViolations { tenant_id, violation_type, status, page } = query;
    let status = match status.unwrap_or(Listed::Of("pending")) {
        Listed::All => None,
        Listed::Of(status) => Some(status),
    };
    let filters: Params<'_> = &[&violation_type, &status];
    let List { data, meta } =
        admin.list(&LIST_VIOLATIONS, tenant_id.unwrap_or_default(), filters, &page).await?;
    let ready = admin.read(Uuid::nil(), NOTHING_IS_PENDING.with(&[])).await?;
    Ok(Json(Violations { data, meta, merge_ready: ready.first().is_some_and(|ready| *ready) }))
}

/// `POST /admin/violators/:id/resolve` and `/ignore`.
#[derive(Debug, Request)]
pub(super) struct ViolationSettleRequest {
    /// What was done about it, or why nothing is.
    #[rule(text(50_000).or(String::new()))]
    note: String,
}

one! { pub(super) ViolationResponse { data: Violation } }

pub(super) async fn resolve(
    admin: Admin,
    Id(id): Id,
    body: Body<ViolationSettleRequest>,
) -> ApiResult<Json<ViolationResponse>> {
    settle(admin, id, &body, "resolved").await
}

pub(super) async fn ignore(
    admin: Admin,
    Id(id): Id,
    body: Body<ViolationSettleRequest>,
) -> ApiResult<Json<ViolationResponse>> {
    settle(admin, id, &body, "ignored").await
}

async fn settle(
    admin: Admin,
    id: Uuid,
    body: &Body<ViolationSettleRequest>,
    status: &'static str,
) -> ApiResult<Json<ViolationResponse>> {
    let whose = admin.read(Uuid::nil(), WHOSE_VIOLATION.with(&[&id])).await?;
    let tenant_id = whose.first().copied().ok_or_else(ApiError::not_found)?;
    let superadmin = admin.in_tenant(tenant_id).await?;
    superadmin
        .change(async |mut change| {
            let old = change.found(LOCK_VIOLATION, &[&id]).await?;
            if old.status != "pending" {
                let message = format!("Violation is already {}", old.status);
                return Err(ApiError::unprocessable(Code::ViolationNotPending, message));
            }
            let note = &body.valid()?.note;
            let data = change.one(SETTLE_VIOLATION, &[&id, &status, note, &superadmin.key_id]).await?;
            let told = json!({"status": data.status, "resolution_note": data.resolution_note});
            let event = Event::new("audit_pending_violation", id, status, told);
            change.tell([event.old(json!({"status": old.status}))]);
            change.commit(Json(ViolationResponse { data })).await
        })
        .await
}
