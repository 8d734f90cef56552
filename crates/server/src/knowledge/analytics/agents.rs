//! What a key has read, or an agent.

use std::collections::BTreeMap;

use axum::Json;
use loopctl_core::request::Request;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::asked::{DAYS_AGO, ReadArticle, Sums, sums_from, top_from, up_to_date};
use crate::app::{AtLeast, Caller, Orchestrator};
use crate::db::{Params, Row, Timestamp, statements};
use crate::http::{ApiError, ApiResult, Id, Query, clamped};

statements! {
    /// Ids of keys and agents are never the same.
    READER -> Reader = "
        select {*} from (
            select k.id as key_id, null::uuid as agent_id, null::text as name, null::text as agent_type, 0::bigint as live_keys
            from api_keys k where k.tenant_id = $1 and k.id = $2
            union all
            select null, a.id, a.name, a.agent_type,
                   (select count(*) from api_keys k
                    where k.tenant_id = $1 and k.agent_id = a.id and k.revoked_at is null)
            from agents a where a.tenant_id = $1 and a.id = $2) r
        order by key_id nulls last limit 1";
    /// Of the key of this id, or of all keys of the agent of this id.
    READS_OF_READER -> Sums = sums_from!("article_access_events e
        where e.tenant_id = $1 and e.accessed_at >= now() - make_interval(days => $2)
          and e.api_key_id in (select k.id from api_keys k
                               where k.tenant_id = (select $1::uuid) and (k.id = $3 or k.agent_id = $3))");
    /// Of keys of an agent those that are not revoked.
    TOP_OF_READER -> ReadArticle = top_from!("article_access_events e
        where e.tenant_id = $1 and e.accessed_at >= now() - make_interval(days => $2)
          and e.api_key_id in (select k.id from api_keys k
                               where k.tenant_id = (select $1::uuid)
                                 and (k.id = $4 or k.agent_id = $4 and k.revoked_at is null))");
}

/// Who reads: a key or an agent.
#[derive(Debug, Row)]
pub(crate) struct Reader {
    key_id: Option<Uuid>,
    agent_id: Option<Uuid>,
    name: Option<String>,
    agent_type: Option<String>,
    live_keys: i64,
}

#[derive(Request)]
pub(super) struct ReaderQuery {
    /// How many articles.
    #[rule(clamped(20, 1, 100))]
    limit: i32,
    /// Of how many days, up to now.
    #[rule(clamped(7, 1, 365))]
    since_days: i32,
}

/// What a key or an agent has read.
#[derive(Serialize, JsonSchema)]
pub(super) struct ReaderResponse {
    data: ReaderUsage,
    meta: ReaderMeta,
}

/// Which days were asked for.
#[derive(Serialize, JsonSchema)]
struct ReaderMeta {
    limit: i32,
    since: Timestamp,
}

/// Whose id it is: a key's or an agent's.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
enum ReaderUsage {
    Key(KeyUsage),
    Agent(AgentUsage),
}

/// What a key has read.
#[derive(Serialize, JsonSchema)]
struct KeyUsage {
    /// `api_key`
    resolved_as: &'static str,
    api_key_id: Uuid,
    #[serde(flatten)]
    usage: Usage,
}

/// What an agent has read, with all keys that it had.
#[derive(Serialize, JsonSchema)]
struct AgentUsage {
    /// `agent`
    resolved_as: &'static str,
    agent_id: Uuid,
    agent_name: String,
    agent_type: String,
    /// Of those that are not revoked, as `top_articles` is.
    api_key_count: i64,
    #[serde(flatten)]
    usage: Usage,
}

/// What was read.
#[derive(Serialize, JsonSchema)]
struct Usage {
    total_reads: i64,
    unique_articles: i64,
    access_by_type: BTreeMap<&'static str, i64>,
    /// The most read first.
    top_articles: Vec<ReadArticle>,
}

impl Reader {
    /// None of what is neither.
    fn used(self, usage: Usage) -> Option<ReaderUsage> {
        let Self { key_id, agent_id, name, agent_type, live_keys } = self;
        if let Some(api_key_id) = key_id {
            return Some(ReaderUsage::Key(KeyUsage { resolved_as: "api_key", api_key_id, usage }));
        }
        Some(ReaderUsage::Agent(AgentUsage {
            resolved_as: "agent",
            agent_id: agent_id?,
            agent_name: name?,
            agent_type: agent_type?,
            api_key_count: live_keys,
            usage,
        }))
    }
}

pub(super) async fn show(
    caller: Caller<AtLeast<Orchestrator>>,
    Id(id): Id,
    Query(ReaderQuery { limit, since_days }): Query<ReaderQuery>,
) -> ApiResult<Json<ReaderResponse>> {
    up_to_date(&caller).await;
    let (days, of_id): (Params<'_>, Params<'_>) = (&[&since_days], &[&id]);
    let (sums, top): (Params<'_>, Params<'_>) = (&[&since_days, &id], &[&since_days, &limit, &id]);
    let asked =
        (DAYS_AGO.with(days), READER.with(of_id), READS_OF_READER.with(sums), TOP_OF_READER.with(top));
    let (since, reader, sums, top_articles) = caller.read(asked).await?;
    let reader = reader.into_iter().next().ok_or_else(ApiError::not_found)?;
    let sums = sums.into_iter().next().ok_or_else(ApiError::internal)?;
    let since = since.into_iter().next().ok_or_else(ApiError::internal)?;
    let usage = Usage {
        total_reads: sums.total_reads,
        unique_articles: sums.unique_articles,
        access_by_type: sums.by_type(),
        top_articles,
    };
    let data = reader.used(usage).ok_or_else(ApiError::not_found)?;
    Ok(Json(ReaderResponse { data, meta: ReaderMeta { limit, since } }))
}
