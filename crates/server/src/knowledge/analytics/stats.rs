//! How often an article was read.

use std::collections::BTreeMap;

use axum::Json;
use loopctl_core::json::JsonText;
use loopctl_core::knowledge::{Category, Status};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::asked::{Sums, sums_from, up_to_date};
use crate::app::{AtLeast, Caller, Orchestrator};
use crate::db::{Params, Row, Timestamp, statements};
use crate::http::{ApiError, ApiResult, Id, one};

statements! {
    READ_ARTICLE -> Named = "select {*} from articles where tenant_id = $1 and id = $2";
    ARTICLE_READS -> Sums = sums_from!("article_access_events e where e.tenant_id = $1 and e.article_id = $2");
    RECENT_READS -> RecentAccess = "
        select {*} from article_access_events where tenant_id = $1 and article_id = $2
        order by accessed_at desc, id desc limit 10";
}

/// What is told of the article itself.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(crate) struct Named {
    #[row(sql = "id")]
    article_id: Uuid,
    title: String,
    category: Category,
    status: Status,
    tags: Vec<String>,
}

/// One of the last times that it was read.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(crate) struct RecentAccess {
    id: Uuid,
    api_key_id: Uuid,
    access_type: String,
    /// `query`, `rank` (from 1) and `mode` of a search.
    metadata: JsonText,
    accessed_at: Timestamp,
}

one! { pub(super) ArticleStatsResponse { data: ArticleStats } }

/// How often an article was read.
#[derive(Serialize, JsonSchema)]
pub(super) struct ArticleStats {
    #[serde(flatten)]
    article: Named,
    total_accesses: i64,
    /// Keys that read it.
    unique_agents: i64,
    last_accessed_at: Option<Timestamp>,
    accesses_by_type: BTreeMap<&'static str, i64>,
    /// The last ten.
    recent_accesses: Vec<RecentAccess>,
}

pub(super) async fn show(
    caller: Caller<AtLeast<Orchestrator>>,
    Id(id): Id,
) -> ApiResult<Json<ArticleStatsResponse>> {
    up_to_date(&caller).await;
    let params: Params<'_> = &[&id];
    let asked = (READ_ARTICLE.with(params), ARTICLE_READS.with(params), RECENT_READS.with(params));
    let (article, sums, recent_accesses) = caller.read(asked).await?;
    let article = article.into_iter().next().ok_or_else(ApiError::not_found)?;
    let sums = sums.into_iter().next().ok_or_else(ApiError::internal)?;
    let data = ArticleStats {
        article,
        total_accesses: sums.total_reads,
        unique_agents: sums.unique_keys,
        last_accessed_at: sums.last_at,
        accesses_by_type: sums.by_type(),
        recent_accesses,
    };
    Ok(Json(ArticleStatsResponse { data }))
}
