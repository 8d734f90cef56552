//! What nobody reads.

use axum::Json;
use loopctl_core::knowledge::Category;
use loopctl_core::request::{Request, flag};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::asked::up_to_date;
use crate::app::{AtLeast, Caller, Orchestrator};
use crate::db::{Row, Timestamp, statements};
use crate::http::{ApiResult, Query, clamped};

statements! {
    UNUSED_ARTICLES -> UnusedArticle = "
        select {*} from articles a
        where a.tenant_id = $1 and a.status = 'published'
          and (not $3 or a.inserted_at < now() - make_interval(days => $2))
          and not exists (
              select from article_access_events e
              where e.tenant_id = $1 and e.article_id = a.id and e.accessed_at >= now() - make_interval(days => $2))
        order by a.inserted_at, a.title, a.id limit (select $4::integer)";
}

/// A published article that nobody has read.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(crate) struct UnusedArticle {
    #[row(sql = "a.id")]
    article_id: Uuid,
    title: String,
    category: Category,
    tags: Vec<String>,
    inserted_at: Timestamp,
    updated_at: Timestamp,
}

#[derive(Request)]
pub(super) struct UnusedArticlesQuery {
    /// For how many days nobody has read them.
    #[rule(clamped(30, 1, 365))]
    days_unused: i32,
    /// How many articles.
    #[rule(clamped(50, 1, 200))]
    limit: i32,
    /// Without articles that are younger than that.
    #[rule(flag())]
    exclude_new: bool,
}

/// What nobody reads.
#[derive(Serialize, JsonSchema)]
pub(super) struct UnusedArticlesResponse {
    /// The oldest first.
    data: Vec<UnusedArticle>,
    meta: UnusedArticlesMeta,
}

/// What was asked for.
#[derive(Serialize, JsonSchema)]
struct UnusedArticlesMeta {
    count: usize,
    days_unused: i32,
    limit: i32,
}

pub(super) async fn list(
    caller: Caller<AtLeast<Orchestrator>>,
    Query(UnusedArticlesQuery { days_unused, limit, exclude_new }): Query<UnusedArticlesQuery>,
) -> ApiResult<Json<UnusedArticlesResponse>> {
    up_to_date(&caller).await;
    let data = caller.read(UNUSED_ARTICLES.with(&[&days_unused, &exclude_new, &limit])).await?;
    let meta = UnusedArticlesMeta { count: data.len(), days_unused, limit };
    Ok(Json(UnusedArticlesResponse { data, meta }))
}
