//! Requests, answers and handlers of agents.

use axum::Json;
use loopctl_core::code::Code;
use loopctl_core::fields::FieldErrors;
use loopctl_core::json::JsonText;
use loopctl_core::request::{Request, small_object, text, word};
use loopctl_core::webhooks::EventType;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::store::{Agent, BIND_KEY, INSERT_AGENT, KEY_IS_BOUND, LIST_AGENTS, SHOW_AGENT};
use crate::app::{self, AtLeast, Caller, Exact, Orchestrator};
use crate::db::{AsJson, DbError};
use crate::events::{Event, Notice};
use crate::http::{ApiError, ApiResult, Body, Created, Id, List, Meta, Page, Query, one, pages};

const TYPES: &[&str] = &["orchestrator", "implementer", "reviewer"];
const STATUSES: &[&str] = &["active", "idle", "deactivated"];
const SORTS: &[&str] = &["name", "agent_type", "status", "last_seen_at", "inserted_at"];

/// `POST /agents/register`.
#[derive(Debug, Request)]
pub(super) struct AgentRegisterRequest {
    /// Unique in the tenant.
    #[rule(text(255).shown().required())]
    name: String,
    /// What it does.
    #[rule(word(TYPES, known_type).required())]
    agent_type: &'static str,
    /// Free-form.
    #[rule(small_object())]
    metadata: Option<JsonText>,
}

fn known(words: &'static [&'static str], word: &str) -> Option<&'static str> {
    words.iter().copied().find(|known| *known == word)
}

fn known_type(word: &str) -> Option<&'static str> {
    known(TYPES, word)
}

one! { pub(super) AgentResponse { agent: Agent } }

pub(super) async fn register(
    caller: Caller<Exact<(app::Agent,)>>,
    body: Body<AgentRegisterRequest>,
) -> ApiResult<Created<AgentResponse>> {
    // A superadmin's key is not the tenant's and stays unbound.
    let binds = caller.impersonation.is_none();
    caller
        .change(async |mut change| {
            if binds {
                let bound = change.optional(KEY_IS_BOUND, &[&caller.key_id]).await?;
                if bound.ok_or_else(ApiError::invalid_api_key)? {
                    return Err(already_bound());
                }
            }
            let (new, agent_id) = (body.valid()?, Uuid::now_v7());
            let metadata = new.metadata.clone().unwrap_or_default();
            let agent = change
                .one(INSERT_AGENT, &[&agent_id, &new.name, &new.agent_type, &AsJson(&metadata)])
                .await
                .map_err(name_taken)?;
            if binds && change.optional(BIND_KEY, &[&caller.key_id, &agent_id]).await?.is_none() {
                return Err(already_bound());
            }
            let told = json!({"name": agent.name, "agent_type": agent.agent_type, "status": agent.status});
            let what =
                json!({"agent_id": agent.id, "agent_name": agent.name, "agent_type": agent.agent_type});
            let notice = Notice::new(EventType::AgentRegistered, &what);
            change.tell([Event::new("agent", agent.id, "registered", told).telling(notice)]);
            change.commit(Created(AgentResponse { agent })).await
        })
        .await
}

fn already_bound() -> ApiError {
    ApiError::conflict(
        Code::KeyAlreadyBound,
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

/// Words that are not known filter nothing.
#[derive(Request)]
pub(super) struct ListAgents {
    /// `orchestrator`, `implementer` or `reviewer`.
    #[rule(text(usize::MAX))]
    agent_type: Option<String>,
    /// `active`, `idle` or `deactivated`.
    #[rule(text(usize::MAX))]
    status: Option<String>,
    /// `name`, `agent_type`, `status`, `last_seen_at` or `inserted_at`.
    #[rule(text(usize::MAX))]
    sort_by: Option<String>,
    #[rule(pages(20, 100))]
    page: Page,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct AgentListResponse {
    agents: Vec<Agent>,
    /// The same as `agents`.
    data: Vec<Agent>,
    total: i64,
    page: i64,
    page_size: i64,
    meta: Meta,
}

pub(super) async fn list(
    caller: Caller<AtLeast<Orchestrator>>,
    Query(query): Query<ListAgents>,
) -> ApiResult<Json<AgentListResponse>> {
    let word = |words, sent: &Option<String>| known(words, sent.as_deref().unwrap_or_default());
    let (agent_type, status) = (word(TYPES, &query.agent_type), word(STATUSES, &query.status));
    let sort_by = word(SORTS, &query.sort_by).unwrap_or("name");
    caller.app.key_uses.write_now(&caller.app.db).await;
    let List { data, meta } =
        caller.list(&LIST_AGENTS, &[&agent_type, &status, &sort_by], &query.page).await?;
    Ok(Json(AgentListResponse {
        agents: data.clone(),
        data,
        total: meta.total_count,
        page: meta.page,
        page_size: meta.page_size,
        meta,
    }))
}

pub(super) async fn show(
    caller: Caller<AtLeast<Orchestrator>>,
    Id(id): Id,
) -> ApiResult<Json<AgentResponse>> {
    caller.app.key_uses.write_now(&caller.app.db).await;
    let agent = caller.find(SHOW_AGENT, &[&id]).await?;
    Ok(Json(AgentResponse { agent }))
}
