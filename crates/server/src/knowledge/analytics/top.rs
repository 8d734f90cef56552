//! What is read most.

use axum::Json;
use loopctl_core::fields::parse_uuid;
use loopctl_core::knowledge::Category;
use loopctl_core::request::{Custom, Request, custom};
use schemars::{JsonSchema, json_schema};
use serde::Serialize;
use uuid::Uuid;

use super::asked::{DAYS_AGO, up_to_date};
use crate::app::{AtLeast, Caller, Orchestrator};
use crate::db::{Params, Row, Timestamp, statements};
use crate::http::{ApiError, ApiResult, Query, clamped};

/// The ways of reading that can be asked for.
const TYPES: &[&str] = &["search", "get", "context", "index"];
/// What rows can be of.
const GROUPS: &[&str] = &["article", "project", "agent"];

/// A way of reading; any other word counts as not sent.
const fn access_type() -> Custom<Option<&'static str>> {
    custom(|fields, name| one_of(TYPES, fields.filled(name)?.as_str()?), || json_schema!({"type": "string"}))
}

/// What rows are of; any other word counts as not sent.
const fn group_by() -> Custom<Option<&'static str>> {
    custom(|fields, name| one_of(GROUPS, fields.filled(name)?.as_str()?), || json_schema!({"type": "string"}))
}

fn one_of(words: &[&'static str], sent: &str) -> Option<&'static str> {
    words.iter().copied().find(|word| *word == sent)
}

/// An id; what is none counts as not sent.
const fn lenient_id() -> Custom<Option<Uuid>> {
    custom(
        |fields, name| fields.filled(name)?.as_str().and_then(parse_uuid),
        || json_schema!({"type": "string"}),
    )
}

#[derive(Request)]
pub(super) struct TopArticlesQuery {
    /// How many rows.
    #[rule(clamped(20, 1, 100))]
    limit: i32,
    /// Of how many days, up to now.
    #[rule(clamped(7, 1, 365))]
    since_days: i32,
    /// Only reads by `search`, `get` or `context`.
    #[rule(access_type())]
    access_type: Option<&'static str>,
    /// Only reads for this project.
    #[rule(lenient_id())]
    project_id: Option<Uuid>,
    /// What a row is of: `article`, which is the default, `project` or `agent`.
    #[rule(group_by())]
    group_by: Option<&'static str>,
}

/// The reads that are asked for.
const READ: &str = "article_access_events e
    where e.tenant_id = $1 and e.accessed_at >= now() - make_interval(days => $2)
      and ($3::text is null or e.access_type = $3) and ($4::uuid is null or e.project_id = $4)";

statements! {
    MOST_READ_ARTICLES -> TopArticle = ::constcat::concat!("
        select {*} from (
            select e.article_id, count(*) as access_count, count(distinct e.api_key_id) as unique_agents
            from ", READ, " group by 1) e
        join articles a on a.tenant_id = (select $1::uuid) and a.id = e.article_id
        order by access_count desc, a.title, a.id limit (select $5::integer)");
    MOST_READING_PROJECTS -> TopProject = ::constcat::concat!("
        select {*} from (
            select e.project_id as of_project, count(*) as access_count, count(distinct e.article_id) as unique_articles,
                   count(distinct e.api_key_id) as unique_api_keys
            from ", READ, " and e.project_id is not null group by 1) e
        join projects p on p.tenant_id = (select $1::uuid) and p.id = e.of_project
        order by access_count desc, p.name, p.id limit (select $5::integer)");
    /// A key that the tenant does not have is a superadmin's.
    MOST_READING_AGENTS -> TopAgent = ::constcat::concat!("
        select {*} from (
            select k.revoked_at is not null as revoked, case when k.revoked_at is null then k.agent_id end as of_agent,
                   count(*) as access_count, count(distinct e.article_id) as unique_articles,
                   count(distinct e.api_key_id) as api_key_count
            from (select e.article_id, e.api_key_id from ", READ, ") e
            left join api_keys k on k.tenant_id = (select $1::uuid) and k.id = e.api_key_id
            group by 1, 2) e
        left join agents a on a.tenant_id = (select $1::uuid) and a.id = e.of_agent
        order by access_count desc, agent_name, of_agent limit (select $5::integer)");
}

/// An article, and how often it was read.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(crate) struct TopArticle {
    #[row(sql = "a.id")]
    article_id: Uuid,
    title: String,
    category: Category,
    access_count: i64,
    /// Keys that read it.
    unique_agents: i64,
}

/// A project, and what was read for it.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(crate) struct TopProject {
    #[row(sql = "p.id")]
    project_id: Uuid,
    #[row(sql = "p.name")]
    project_name: String,
    access_count: i64,
    unique_articles: i64,
    unique_api_keys: i64,
}

/// An agent, and what it read with the keys that it has.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(crate) struct TopAgent {
    /// Null: reads with keys of no agent, or with keys that were revoked, as the name says.
    #[row(sql = "a.id")]
    agent_id: Option<Uuid>,
    /// Its name, or `unassigned` or `revoked`.
    #[row(sql = "coalesce(a.name, case when e.revoked then 'revoked' else 'unassigned' end)")]
    agent_name: String,
    #[row(sql = "a.agent_type")]
    agent_type: Option<String>,
    access_count: i64,
    unique_articles: i64,
    api_key_count: i64,
}

/// Rows of what was asked for.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
enum Rows {
    Articles(Vec<TopArticle>),
    Projects(Vec<TopProject>),
    Agents(Vec<TopAgent>),
}

impl Rows {
    fn count(&self) -> usize {
        match self {
            Self::Articles(rows) => rows.len(),
            Self::Projects(rows) => rows.len(),
            Self::Agents(rows) => rows.len(),
        }
    }
}

/// What is read most.
#[derive(Serialize, JsonSchema)]
pub(super) struct TopArticlesResponse {
    /// The most read first.
    data: Rows,
    meta: TopArticlesMeta,
}

/// What was asked for.
#[derive(Serialize, JsonSchema)]
struct TopArticlesMeta {
    count: usize,
    limit: i32,
    since: Timestamp,
    access_type: Option<&'static str>,
    project_id: Option<Uuid>,
    group_by: &'static str,
}

pub(super) async fn list(
    caller: Caller<AtLeast<Orchestrator>>,
    Query(query): Query<TopArticlesQuery>,
) -> ApiResult<Json<TopArticlesResponse>> {
    up_to_date(&caller).await;
    let TopArticlesQuery { limit, since_days, access_type, project_id, group_by } = query;
    let days: Params<'_> = &[&since_days];
    let params: Params<'_> = &[&since_days, &access_type, &project_id, &limit];
    let group_by = group_by.unwrap_or("article");
    let (since, data) = match group_by {
        "project" => {
            let (since, rows) =
                caller.read((DAYS_AGO.with(days), MOST_READING_PROJECTS.with(params))).await?;
            (since, Rows::Projects(rows))
        }
        "agent" => {
            let (since, rows) = caller.read((DAYS_AGO.with(days), MOST_READING_AGENTS.with(params))).await?;
            (since, Rows::Agents(rows))
        }
        _ => {
            let (since, rows) = caller.read((DAYS_AGO.with(days), MOST_READ_ARTICLES.with(params))).await?;
            (since, Rows::Articles(rows))
        }
    };
    let since = since.into_iter().next().ok_or_else(ApiError::internal)?;
    let meta = TopArticlesMeta { count: data.count(), limit, since, access_type, project_id, group_by };
    Ok(Json(TopArticlesResponse { data, meta }))
}
