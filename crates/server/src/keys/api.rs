//! Requests, responses and handlers of API keys (file 01 §6).

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use loopctl_core::fields::{BLANK, FieldErrors, Fields, INVALID, Length};
use loopctl_core::role::Role;
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::store::{AGENT_EXISTS, COUNT_KEYS, COUNT_LIVE_KEYS, INSERT_KEY, LIST_KEYS, REVOKE_KEY, read};
use super::{hash_key, key_prefix, new_raw_key};
use crate::App;
use crate::db::{DbError, Statement, Timestamp};
use crate::events::{self, Event};
use crate::http::caller::User;
use crate::http::page::Style;
use crate::http::{ApiError, ApiResult, AtLeast, Body, Caller, Id, Meta, Page, Query};
use crate::tenants::{DEFAULT_MAX_API_KEYS, locked_limit};

/// An API key without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ApiKey {
    pub(super) id: Uuid,
    pub(super) name: String,
    /// The first 8 characters of the secret.
    pub(super) key_prefix: String,
    /// `user`, `orchestrator` or `agent`.
    pub(super) role: String,
    pub(super) agent_id: Option<Uuid>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(super) last_used_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(super) expires_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(super) revoked_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    pub(super) inserted_at: Timestamp,
}

/// A key just created: the only time that its secret is shown.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NewApiKey {
    id: Uuid,
    raw_key: String,
    key_prefix: String,
    role: String,
    name: String,
    agent_id: Option<Uuid>,
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    inserted_at: Timestamp,
}

/// `POST /api_keys`.
#[derive(Debug, ToSchema)]
pub(crate) struct CreateKey {
    /// 1..255 characters.
    name: String,
    /// `user`, `orchestrator` or `agent`.
    #[schema(value_type = String)]
    role: Role,
    /// RFC 3339, in the future; absent: never.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<DateTime<Utc>>,
    /// An agent of this tenant; not for user keys.
    agent_id: Option<Uuid>,
}

impl CreateKey {
    fn read(object: &Map<String, Value>) -> Result<Self, FieldErrors> {
        let mut fields = Fields::new(object);
        let name = fields.required_text("name", Length::max(255));
        let role = fields.value("role").and_then(Value::as_str).and_then(Role::parse);
        let role = role.unwrap_or_else(|| {
            // The contract's message for a missing role and for an unknown one alike.
            fields.fail("role", BLANK);
            Role::Agent
        });
        // Blank is no date either: a key must not live for ever because of a slip.
        if fields.value("expires_at").and_then(Value::as_str).is_some_and(|text| text.trim().is_empty()) {
            fields.fail("expires_at", INVALID);
        }
        let expires_at = fields.timestamp("expires_at");
        let agent_id = fields.uuid("agent_id");
        if role == Role::User && agent_id.is_some() {
            fields.fail("agent_id", INVALID);
        }
        fields.finish(Self { name, role, expires_at, agent_id })
    }
}

/// Creates a key for this tenant. Superadmin keys are not to be had over the network.
#[utoipa::path(post, path = "/api/v1/api_keys", tag = "Auth", request_body = CreateKey,
    responses((status = 201, body = NewApiKey, description = "`{\"api_key\": …}`; the raw key is shown once"),
              (status = 403), (status = 422)))]
pub(super) async fn create(
    State(app): State<App>,
    caller: Caller<AtLeast<User>>,
    body: Body,
) -> ApiResult<Response> {
    if body.0.get("role").and_then(Value::as_str) == Some(Role::Superadmin.as_str()) {
        return Err(ApiError::forbidden("Forbidden"));
    }
    let tenant_id = caller.tenant_id;
    let mut tx = app.db.tenant(tenant_id).await?;
    let limit = locked_limit(&mut tx, tenant_id, "max_api_keys", DEFAULT_MAX_API_KEYS).await?;
    let count = tx.query_one(COUNT_LIVE_KEYS, &[&tenant_id]).await?;
    if count.try_get::<_, i64>("total")? >= limit {
        return Err(ApiError::unprocessable(
            "api_key_limit_reached",
            format!("API key limit reached (max: {limit})"),
        ));
    }
    let new = body.read(CreateKey::read)?;
    let now: DateTime<Utc> = count.try_get("now")?;
    if new.expires_at.is_some_and(|time| time <= now) {
        return Err(ApiError::invalid_field("expires_at", "must be in the future"));
    }
    if let Some(agent_id) = new.agent_id
        && tx.query_opt(AGENT_EXISTS, &[&tenant_id, &agent_id]).await?.is_none()
    {
        return Err(ApiError::invalid_field("agent_id", "does not exist"));
    }
    let raw_key = new_raw_key();
    let row = tx
        .query_one(
            INSERT_KEY,
            &[
                &Uuid::now_v7(),
                &tenant_id,
                &new.name,
                &hash_key(&raw_key),
                &key_prefix(&raw_key),
                &new.role.as_str(),
                &new.agent_id,
                &new.expires_at,
            ],
        )
        .await
        .map_err(one_live_key_per_agent)?;
    let key = read(&row)?;
    let event = Event::new(
        "api_key",
        key.id,
        "created",
        json!({
            "name": key.name, "role": key.role, "key_prefix": key.key_prefix, "agent_id": key.agent_id,
            "expires_at": key.expires_at,
        }),
    );
    events::record(tx, tenant_id, &caller.attribution(), vec![event]).await?;
    let shown = NewApiKey {
        id: key.id,
        raw_key,
        key_prefix: key.key_prefix,
        role: key.role,
        name: key.name,
        agent_id: key.agent_id,
        expires_at: key.expires_at,
        inserted_at: key.inserted_at,
    };
    let mut response = (StatusCode::CREATED, Json(json!({"api_key": shown}))).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
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

/// The tenant's keys, newest first. All of them, unless a paging parameter is sent.
#[utoipa::path(get, path = "/api/v1/api_keys", tag = "Auth",
    params(("include_revoked" = Option<bool>, Query), ("page" = Option<i64>, Query), ("page_size" = Option<i64>, Query)),
    responses((status = 200, body = Vec<ApiKey>, description = "`{\"api_keys\": […], \"data\": […], \"meta\": …}`")))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller<AtLeast<User>>,
    query: Query,
) -> ApiResult<Json<Value>> {
    let paged = ["page", "page_size", "limit", "offset"].iter().any(|name| query.text(name).is_some());
    let style = if paged { Style::page(20, 100) } else { Style::page(i64::MAX, i64::MAX) };
    let page = Page::new(&query, style);
    let include_revoked = query.flag("include_revoked");
    let tenant_id = caller.tenant_id;
    let tx = app.db.tenant(tenant_id).await?;
    let (count, rows) = tx
        .finish_list(
            Statement { sql: COUNT_KEYS, params: &[&tenant_id, &include_revoked] },
            Statement { sql: LIST_KEYS, params: &[&tenant_id, &include_revoked, &page.size, &page.skip] },
        )
        .await?;
    let keys = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let total = count.try_get("total")?;
    let meta: Meta = if paged { page.meta(total) } else { Page::all(total).meta(total) };
    Ok(Json(json!({"api_keys": keys, "data": keys, "meta": meta})))
}

/// Revokes a key from the next request on. Repeating it changes nothing.
#[utoipa::path(delete, path = "/api/v1/api_keys/{id}", tag = "Auth", params(("id" = Uuid, Path)),
    responses((status = 200, description = "`{\"api_key\": {\"id\", \"name\", \"key_prefix\", \"role\", \"revoked_at\"}}`"),
              (status = 404)))]
pub(super) async fn revoke(
    State(app): State<App>,
    caller: Caller<AtLeast<User>>,
    Id(id): Id,
) -> ApiResult<Json<Value>> {
    let mut tx = app.db.tenant(caller.tenant_id).await?;
    let row = tx.query_opt(REVOKE_KEY, &[&caller.tenant_id, &id]).await?.ok_or_else(ApiError::not_found)?;
    let key = read(&row)?;
    let event = Event::new("api_key", id, "revoked", json!({"revoked_at": key.revoked_at}))
        .old(json!({"revoked_at": null}));
    let revoked_now: bool = row.try_get("revoked_now")?;
    let events = if revoked_now { vec![event] } else { Vec::new() };
    events::record(tx, caller.tenant_id, &caller.attribution(), events).await?;
    Ok(Json(json!({"api_key": {
        "id": key.id, "name": key.name, "key_prefix": key.key_prefix, "role": key.role, "revoked_at": key.revoked_at,
    }})))
}
