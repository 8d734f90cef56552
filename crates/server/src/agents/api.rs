//! Requests, responses and handlers of agents.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use loopctl_core::fields::{BLANK, FieldErrors, Fields, Length};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::store::{BIND_KEY, COUNT_AGENTS, INSERT_AGENT, KEY_IS_BOUND, LIST_AGENTS, SHOW_AGENT, read};
use crate::App;
use crate::db::{DbError, Statement, Timestamp};
use crate::events::{self, Event};
use crate::http::caller::{self, Orchestrator};
use crate::http::page::Style;
use crate::http::{ApiError, ApiResult, AtLeast, Body, Caller, Exact, Id, Page, Query};

/// An agent.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Agent {
    pub(super) id: Uuid,
    pub(super) tenant_id: Uuid,
    pub(super) name: String,
    /// `orchestrator` or `implementer`.
    pub(super) agent_type: String,
    /// `active`, `idle` or `deactivated`.
    pub(super) status: String,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(super) last_seen_at: Option<Timestamp>,
    #[schema(value_type = Object)]
    pub(super) metadata: Value,
    #[schema(value_type = String, format = DateTime)]
    pub(super) inserted_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub(super) updated_at: Timestamp,
}

/// `POST /agents/register`.
#[derive(Debug, ToSchema)]
pub(crate) struct RegisterAgent {
    /// 1..255 characters, unique in the tenant.
    name: String,
    /// `orchestrator` or `implementer`.
    agent_type: String,
    /// Free-form; default `{}`.
    #[schema(value_type = Option<Object>)]
    metadata: Map<String, Value>,
}

impl RegisterAgent {
    fn read(object: &Map<String, Value>) -> Result<Self, FieldErrors> {
        let mut fields = Fields::new(object);
        let name = fields.required_text("name", Length::max(255));
        // The contract answers an unknown type like a missing one.
        let agent_type = fields.value("agent_type").and_then(Value::as_str).and_then(agent_type);
        if agent_type.is_none() {
            fields.fail("agent_type", BLANK);
        }
        let metadata = fields.object("metadata").unwrap_or_default();
        fields.finish(Self { name, agent_type: agent_type.unwrap_or_default(), metadata })
    }
}

fn agent_type(word: &str) -> Option<String> {
    ["orchestrator", "implementer"].contains(&word).then(|| word.to_owned())
}

/// Registers the one agent of this key and binds the key to it.
#[utoipa::path(post, path = "/api/v1/agents/register", tag = "Agents", request_body = RegisterAgent,
    responses((status = 201, body = Agent, description = "`{\"agent\": …}`"),
              (status = 409, description = "The key has its agent already"), (status = 422)))]
pub(super) async fn register(
    State(app): State<App>,
    caller: Caller<Exact<(caller::Agent,)>>,
    body: Body,
) -> ApiResult<(StatusCode, Json<Value>)> {
    let mut tx = app.db.tenant(caller.tenant_id).await?;
    // A superadmin's key is not the tenant's and stays unbound.
    let binds = caller.impersonation.is_none();
    if binds {
        let row = tx.query_opt(KEY_IS_BOUND, &[&caller.tenant_id, &caller.key_id]).await?;
        if row.ok_or_else(ApiError::invalid_api_key)?.try_get("bound")? {
            return Err(already_bound());
        }
    }
    let new = body.read(RegisterAgent::read)?;
    let agent_id = Uuid::now_v7();
    let row = tx
        .query_one(
            INSERT_AGENT,
            &[&caller.tenant_id, &agent_id, &new.name, &new.agent_type, &Value::Object(new.metadata)],
        )
        .await
        .map_err(name_taken)?;
    let agent = read(&row)?;
    if binds && tx.query_opt(BIND_KEY, &[&caller.tenant_id, &caller.key_id, &agent_id]).await?.is_none() {
        return Err(already_bound());
    }
    let event = Event::new(
        "agent",
        agent.id,
        "registered",
        json!({"name": agent.name, "agent_type": agent.agent_type, "status": agent.status}),
    );
    events::record(tx, caller.tenant_id, &caller.attribution(), vec![event]).await?;
    Ok((StatusCode::CREATED, Json(json!({"agent": agent}))))
}

fn already_bound() -> ApiError {
    ApiError::conflict(
        "key_already_bound",
        "Conflict: API key is already linked to an agent. Create another agent key to register another agent.",
    )
}

fn name_taken(error: DbError) -> ApiError {
    if !error.violates("agents_name") {
        return error.into();
    }
    const MESSAGE: &str = "has already been taken for this tenant";
    let mut errors = FieldErrors::one("tenant_id", MESSAGE);
    errors.add("name", MESSAGE);
    errors.into()
}

/// The tenant's agents.
#[utoipa::path(get, path = "/api/v1/agents", tag = "Agents",
    params(("agent_type" = Option<String>, Query), ("status" = Option<String>, Query),
           ("sort_by" = Option<String>, Query, description = "name, agent_type, status, last_seen_at or inserted_at"),
           ("page" = Option<i64>, Query), ("page_size" = Option<i64>, Query)),
    responses((status = 200, body = Vec<Agent>, description = "`{\"agents\": […], \"data\": […], \"total\", \"page\", \"page_size\", \"meta\"}`")))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller<AtLeast<Orchestrator>>,
    query: Query,
) -> ApiResult<Json<Value>> {
    let page = Page::new(&query, Style::page(20, 100));
    let agent_type = query.text("agent_type").and_then(agent_type);
    let status = query.text("status").filter(|word| ["active", "idle", "deactivated"].contains(word));
    let sort_by = query
        .text("sort_by")
        .filter(|column| ["agent_type", "status", "last_seen_at", "inserted_at"].contains(column))
        .unwrap_or("name");
    let tenant_id = caller.tenant_id;
    let tx = app.db.tenant(tenant_id).await?;
    let (count, rows) = tx
        .finish_list(
            Statement { sql: COUNT_AGENTS, params: &[&tenant_id, &agent_type, &status] },
            Statement {
                sql: LIST_AGENTS,
                params: &[&tenant_id, &agent_type, &status, &sort_by, &page.size, &page.skip],
            },
        )
        .await?;
    let agents = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let total = count.try_get("total")?;
    let meta = page.meta(total);
    Ok(Json(json!({
        "agents": agents, "data": agents, "total": total, "page": meta.page, "page_size": meta.page_size, "meta": meta,
    })))
}

/// One agent.
#[utoipa::path(get, path = "/api/v1/agents/{id}", tag = "Agents", params(("id" = Uuid, Path)),
    responses((status = 200, body = Agent, description = "`{\"agent\": …}`"), (status = 404)))]
pub(super) async fn show(
    State(app): State<App>,
    caller: Caller<AtLeast<Orchestrator>>,
    Id(id): Id,
) -> ApiResult<Json<Value>> {
    let tx = app.db.tenant(caller.tenant_id).await?;
    let row = tx.finish_opt(SHOW_AGENT, &[&caller.tenant_id, &id]).await?;
    let agent = read(&row.ok_or_else(ApiError::not_found)?)?;
    Ok(Json(json!({"agent": agent})))
}
