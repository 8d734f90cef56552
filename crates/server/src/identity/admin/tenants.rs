//! Tenants as superadmins see them: all of them, one of them, changed, suspended and activated.

use axum::Json;
use loopctl_core::code::Code;
use loopctl_core::request::{Request, text};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use crate::app::Admin;
use crate::db::{Row, Timestamp, statements};
use crate::events::Event;
use crate::http::{ApiError, ApiResult, Body, Id, List, Nothing, Page, Query, one, pages};
use crate::identity::tenants::{LOCK_TENANT, Tenant, TenantUpdateRequest, apply, checked};

statements! {
    /// `$1` is nobody. Text is compared as it is: nothing in it stands for anything else.
    EVERY_TENANT -> list of ListedTenant = {
        within: "",
        from: "
            tenants
            where $1::uuid is not null and ($2::text is null or status = $2)
              and ($3::text is null or position(lower($3) in lower(name)) > 0 or position(lower($3) in slug) > 0)",
        page: "order by name, id limit $4 offset $5",
    };
    SHOW_WHOLE_TENANT -> WholeTenant = "select {*} from tenants where id = $1";
    /// The application's role may not: the database lets it in the name of this key.
    CHANGE_TENANT_STATUS = "select change_tenant_status($2, $3) where $1::uuid is not null";
}

/// How much a tenant has.
#[derive(Debug, Serialize, JsonSchema, Row)]
struct Counts {
    /// Archived ones as well.
    #[row(sql = "(select count(*) from projects where tenant_id = tenants.id)")]
    project_count: i64,
    #[row(sql = "(select count(*) from epic_states where tenant_id = tenants.id)")]
    epic_count: i64,
    #[row(sql = "(select count(*) from story_states where tenant_id = tenants.id)")]
    story_count: i64,
    #[row(sql = "(select count(*) from agents where tenant_id = tenants.id)")]
    agent_count: i64,
    /// Those that are not revoked.
    #[row(sql = "(select count(*) from api_keys where tenant_id = tenants.id and revoked_at is null)")]
    api_key_count: i64,
}

/// A tenant among others.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(super) struct ListedTenant {
    id: Uuid,
    name: String,
    slug: String,
    email: Option<String>,
    /// `active`, `suspended`, `deactivated` or `pending_enrollment`.
    status: String,
    #[serde(flatten)]
    #[row(flatten)]
    counts: Counts,
    inserted_at: Timestamp,
}

/// A tenant by itself.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(super) struct WholeTenant {
    #[serde(flatten)]
    #[row(flatten)]
    tenant: Tenant,
    #[serde(flatten)]
    #[row(flatten)]
    counts: Counts,
    /// When one of its keys was last used.
    #[row(sql = "(select max(last_used_at) from api_keys where tenant_id = tenants.id)")]
    last_activity_at: Option<Timestamp>,
}

one! { pub(super) AdminTenantResponse { tenant: WholeTenant } }

const STATUSES: &[&str] = &["active", "suspended", "deactivated", "pending_enrollment"];

#[derive(Request)]
pub(super) struct ListTenants {
    /// `active`, `suspended`, `deactivated` or `pending_enrollment`; other words filter nothing.
    #[rule(text(usize::MAX))]
    status: Option<String>,
    /// A part of the name or the slug, in either case.
    #[rule(text(usize::MAX))]
    search: Option<String>,
    #[rule(pages(20, 100))]
    page: Page,
}

pub(super) async fn list(
    admin: Admin,
    Query(query): Query<ListTenants>,
) -> ApiResult<Json<List<ListedTenant>>> {
    let status = query.status.filter(|status| STATUSES.contains(&status.as_str()));
    admin.list(&EVERY_TENANT, Uuid::nil(), &[&status, &query.search], &query.page).await.map(Json)
}

pub(super) async fn show(admin: Admin, Id(id): Id) -> ApiResult<Json<AdminTenantResponse>> {
    admin.app.key_uses.write_now(&admin.app.db).await;
    let tenant = admin.in_tenant(id).await?.find(SHOW_WHOLE_TENANT, &[]).await?;
    Ok(Json(AdminTenantResponse { tenant }))
}

pub(super) async fn update(
    admin: Admin,
    Id(id): Id,
    body: Body<TenantUpdateRequest>,
) -> ApiResult<Json<AdminTenantResponse>> {
    let superadmin = admin.in_tenant(id).await?;
    let new = checked(&body)?;
    superadmin
        .change(async |mut change| {
            let (_, event) = apply(new, &mut change, &["name", "slug", "email", "settings"]).await?;
            change.tell(event.map(|event| Event { action: "tenant_updated", ..event }));
            let tenant = change.one(SHOW_WHOLE_TENANT, &[]).await?;
            change.commit(Json(AdminTenantResponse { tenant })).await
        })
        .await
}

/// A step that a superadmin has a tenant take.
struct Step {
    from: &'static str,
    to: &'static str,
    event: &'static str,
}

pub(super) async fn suspend(
    admin: Admin,
    Id(id): Id,
    _: Body<Nothing>,
) -> ApiResult<Json<AdminTenantResponse>> {
    take(&Step { from: "active", to: "suspended", event: "tenant_suspended" }, admin, id).await
}

pub(super) async fn activate(
    admin: Admin,
    Id(id): Id,
    _: Body<Nothing>,
) -> ApiResult<Json<AdminTenantResponse>> {
    take(&Step { from: "suspended", to: "active", event: "tenant_activated" }, admin, id).await
}

async fn take(step: &Step, admin: Admin, id: Uuid) -> ApiResult<Json<AdminTenantResponse>> {
    let superadmin = admin.in_tenant(id).await?;
    superadmin
        .change(async |mut change| {
            // Of two that come at once the second finds what the first has done.
            let status = change.found(LOCK_TENANT, &[]).await?.status;
            if status != step.from {
                return Err(impossible(step, &status));
            }
            change.execute(CHANGE_TENANT_STATUS, &[&superadmin.key_id, &step.to]).await?;
            let told = Event::new("tenant", id, step.event, json!({"status": step.to}));
            change.tell([told.old(json!({"status": status}))]);
            let tenant = change.one(SHOW_WHOLE_TENANT, &[]).await?;
            change.commit(Json(AdminTenantResponse { tenant })).await
        })
        .await
}

/// 422. A tenant whose enrolment is not complete must not come into being by a detour, and what was deactivated stays so.
fn impossible(step: &Step, status: &str) -> ApiError {
    if status == step.to {
        return ApiError::unprocessable(Code::TenantStatusUnchanged, format!("Tenant is already {status}"));
    }
    let message = format!("Tenant is {status}: only one that is {} can become {}", step.from, step.to);
    ApiError::unprocessable(Code::TenantStatusFinal, message)
}
