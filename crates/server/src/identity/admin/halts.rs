//! Superadmins end the halt of a tenant's custody, and not by themselves: one of that tenant's authenticators signs for it.

use axum::Json;
use loopctl_core::request::{Request, text};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use crate::app::{Admin, Change};
use crate::db::{Timestamp, statements};
use crate::events::Event;
use crate::http::{ApiResult, Body, Id, one};
use crate::identity::authenticators::{COUNT_AUTHENTICATORS, Sent, assertion, verify};
use crate::identity::tenants::LOCK_TENANT;

statements! {
    /// The application's role may not: the database lets it in the name of this key.
    CLEAR_CUSTODY_HALT = "select clear_custody_halt($2) where $1::uuid is not null";
}

/// `POST /admin/tenants/:id/clear-halt`.
#[derive(Debug, Request)]
pub(super) struct ClearHalt {
    #[rule(assertion())]
    webauthn_assertion: Sent,
    /// Why, of a tenant that has no authenticator to sign for it. Of any other it does not count.
    #[rule(text(2_000).trimmed())]
    override_reason: Option<String>,
}

/// A halt that is over.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ClearedHalt {
    id: Uuid,
    /// Always null.
    custody_halted_at: Option<Timestamp>,
    /// `halt_cleared`, also when there was none.
    status: &'static str,
}

one! { pub(super) ClearedHaltResponse { data: ClearedHalt } }

pub(super) async fn clear(
    admin: Admin,
    Id(id): Id,
    body: Body<ClearHalt>,
) -> ApiResult<Json<ClearedHaltResponse>> {
    let superadmin = admin.in_tenant(id).await?;
    superadmin
        .change(async |mut change| {
            // Authenticators come and go under this lock, and of two who clear the second finds what the first has done.
            let halted_at = change.found(LOCK_TENANT, &[]).await?.custody_halted_at;
            let sent = body.valid()?;
            let signed_by = allow(&mut change, sent).await?;
            // A tenant that is not halted has nothing to tell; the proof is used up all the same.
            if halted_at.is_some() {
                change.execute(CLEAR_CUSTODY_HALT, &[&superadmin.key_id]).await?;
                let mut told = json!({"cleared_by": superadmin.key_id});
                if signed_by.is_none() {
                    told["override_reason"] = json!(sent.override_reason);
                }
                let event = Event::new("tenant", id, "halt_cleared", told);
                let event = event.old(json!({"custody_halted_at": halted_at}));
                change.tell([event.meta("signed_by", json!(signed_by))]);
            }
            let data = ClearedHalt { id, custody_halted_at: None, status: "halt_cleared" };
            change.commit(Json(ClearedHaltResponse { data })).await
        })
        .await
}

/// Which authenticator has signed for it; None where there is no authenticator, and a reason instead.
///
/// # Errors
/// 401 without a proof, or with anything that is none; or when the database fails.
async fn allow(change: &mut Change<'_>, sent: &ClearHalt) -> ApiResult<Option<Uuid>> {
    let public_url = change.caller.app.public_url.clone();
    if change.one(COUNT_AUTHENTICATORS, &[]).await? > 0 {
        return verify(change, &public_url, &sent.webauthn_assertion).await.map(Some);
    }
    if matches!(sent.webauthn_assertion, Sent::Nothing) && sent.override_reason.is_some() {
        return Ok(None);
    }
    let hints = ["This tenant has no authenticator: send override_reason instead, which its log will tell."];
    let refused = verify(change, &public_url, &sent.webauthn_assertion).await;
    refused.map(Some).map_err(|error| error.with("hints", json!(hints)))
}
