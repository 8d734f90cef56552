//! Requests, answers and handlers of API keys.

use axum::Json;
use chrono::{DateTime, Utc};
use loopctl_core::code::Code;
use loopctl_core::fields::{BLANK, FieldErrors, INVALID};
use loopctl_core::request::{Request, Text, flag, text, timestamp, uuid, word};
use loopctl_core::role::Role;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::store::{
    AGENT_EXISTS, ApiKey, COUNT_LIVE_KEYS, LIST_KEYS, REVOKE_KEY, Revoked, RevokedApiKey, insert_key,
};
use crate::app::{AtLeast, Caller, Change, User, new_raw_key};
use crate::db::{DbError, Timestamp};
use crate::events::Event;
use crate::http::{ApiError, ApiResult, Body, CreatedSecret, Id, List, Meta, Page, Query, one, pages};
use crate::identity::tenants::{MAX_API_KEYS, locked_limit};

/// What a key may be called.
pub(crate) const NAME: Text = text(255).shown();

/// `POST /api_keys`.
#[derive(Debug, Request)]
pub(super) struct ApiKeyCreateRequest {
    #[rule(NAME.required())]
    name: String,
    /// An unknown role is answered like a missing one; `superadmin` is refused.
    #[rule(word(&["user", "orchestrator", "agent"], Role::parse).or_else(BLANK))]
    role: Option<Role>,
    /// In the future; absent: never. Blank is no date: a key must not live for ever because of a slip.
    #[rule(timestamp().strict())]
    expires_at: Option<DateTime<Utc>>,
    /// An agent of this tenant; not for user keys.
    #[rule(uuid())]
    agent_id: Option<Uuid>,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct ApiKeyResponse {
    api_key: NewApiKey,
}

/// A key just created: the only time that its secret is shown.
#[derive(Serialize, JsonSchema)]
pub(super) struct NewApiKey {
    id: Uuid,
    raw_key: String,
    key_prefix: String,
    role: Role,
    name: String,
    agent_id: Option<Uuid>,
    expires_at: Option<Timestamp>,
    inserted_at: Timestamp,
}

impl NewApiKey {
    pub(super) fn of(key: ApiKey, raw_key: &str) -> Self {
        Self {
            id: key.id,
            raw_key: raw_key.to_owned(),
            key_prefix: key.key_prefix,
            role: key.role,
            name: key.name,
            agent_id: key.agent_id,
            expires_at: key.expires_at,
            inserted_at: key.inserted_at,
        }
    }
}

impl ApiKey {
    /// What is told of a key that was just created.
    pub(crate) fn created(&self) -> Event {
        let told = json!({
            "name": self.name, "role": self.role, "key_prefix": self.key_prefix, "agent_id": self.agent_id,
            "expires_at": self.expires_at,
        });
        Event::new("api_key", self.id, "created", told)
    }
}

pub(super) async fn create(
    caller: Caller<AtLeast<User>>,
    body: Body<ApiKeyCreateRequest>,
) -> ApiResult<CreatedSecret<ApiKeyResponse>> {
    if body.anyway().role == Some(Role::Superadmin) {
        return Err(ApiError::forbidden("Forbidden"));
    }
    let raw_key = new_raw_key();
    caller
        .change(async |mut change| {
            let now = room(&mut change).await?;
            let (new, role) = checked(&body)?;
            if new.expires_at.is_some_and(|time| time <= now.0) {
                return Err(ApiError::invalid_field("expires_at", "must be in the future"));
            }
            if let Some(agent_id) = new.agent_id
                && change.optional(AGENT_EXISTS, &[&agent_id]).await?.is_none()
            {
                return Err(ApiError::invalid_field("agent_id", "does not exist"));
            }
            let key = insert_key(&mut change, &raw_key, &new.name, role, new.agent_id, new.expires_at).await;
            let key = key.map_err(one_live_key_per_agent)?;
            change.tell([key.created()]);
            let api_key = NewApiKey::of(key, &raw_key);
            change.commit(CreatedSecret(ApiKeyResponse { api_key })).await
        })
        .await
}

/// Holds the tenant until another key is there, if there may be one; what time it is then.
///
/// # Errors
/// 422 when there are as many as there may be; or when the database fails.
async fn room(change: &mut Change<'_>) -> ApiResult<Timestamp> {
    let limit = locked_limit(change, MAX_API_KEYS).await?;
    let live = change.one(COUNT_LIVE_KEYS, &[]).await?;
    if live.total >= limit {
        let message = format!("API key limit reached (max: {limit})");
        return Err(ApiError::unprocessable(Code::ApiKeyLimitReached, message));
    }
    Ok(live.now)
}

/// Adds a key of role `user` for an owner who has shown to be one: `signed_by` is the authenticator.
///
/// # Errors
/// 422 when there are as many as there may be; or when the database fails.
pub(crate) async fn add_for_owner(
    change: &mut Change<'_>,
    name: &str,
    raw_key: &str,
    signed_by: Uuid,
) -> ApiResult<ApiKeyResponse> {
    room(change).await?;
    let key = insert_key(change, raw_key, name, Role::User, None, None).await?;
    change.tell([key.created().meta("signed_by", json!(signed_by))]);
    Ok(ApiKeyResponse { api_key: NewApiKey::of(key, raw_key) })
}

/// The body, and the role that it must name.
fn checked(body: &Body<ApiKeyCreateRequest>) -> ApiResult<(&ApiKeyCreateRequest, Role)> {
    let new = body.checked(|new, errors| {
        if new.role.is_none() && !errors.0.contains_key("role") {
            errors.add("role", BLANK);
        }
        if new.role == Some(Role::User) && new.agent_id.is_some() {
            errors.add("agent_id", INVALID);
        }
    })?;
    Ok((new, new.role.ok_or_else(ApiError::internal)?))
}

fn one_live_key_per_agent(error: DbError) -> ApiError {
    if !error.violates("api_keys_live_per_agent") {
        return error.into();
    }
    const MESSAGE: &str = "agent already has an active key with this role";
    let mut errors = FieldErrors::one("tenant_id", MESSAGE);
    errors.add("agent_id", MESSAGE);
    errors.into()
}

#[derive(Request)]
pub(super) struct ListKeys {
    /// Revoked keys as well.
    #[rule(flag())]
    include_revoked: bool,
    #[rule(pages(20, 100).or_whole())]
    page: Page,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct ApiKeyListResponse {
    api_keys: Vec<ApiKey>,
    /// The same as `api_keys`.
    data: Vec<ApiKey>,
    meta: Meta,
}

pub(super) async fn list(
    caller: Caller<AtLeast<User>>,
    Query(query): Query<ListKeys>,
) -> ApiResult<Json<ApiKeyListResponse>> {
    caller.app.key_uses.write_now(&caller.app.db).await;
    let List { data, meta } = caller.list(&LIST_KEYS, &[&query.include_revoked], &query.page).await?;
    Ok(Json(ApiKeyListResponse { api_keys: data.clone(), data, meta }))
}

one! { pub(super) ApiKeyRevokedResponse { api_key: RevokedApiKey } }

pub(super) async fn revoke(
    caller: Caller<AtLeast<User>>,
    Id(id): Id,
) -> ApiResult<Json<ApiKeyRevokedResponse>> {
    caller
        .change(async |mut change| {
            let Revoked { key, revoked_now } = change.found(REVOKE_KEY, &[&id]).await?;
            if revoked_now {
                let told = json!({"revoked_at": key.revoked_at});
                change.tell([Event::new("api_key", id, "revoked", told).old(json!({"revoked_at": null}))]);
            }
            change.commit(Json(ApiKeyRevokedResponse { api_key: key })).await
        })
        .await
}
