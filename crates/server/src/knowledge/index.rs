//! The catalogue: what has been published, without its text.

use std::collections::BTreeMap;

use axum::Json;
use loopctl_core::knowledge::{Category, Status};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::app::{Agent, AtLeast, Caller, Endpoint};
use crate::db::{ListSql, Params, Row, Timestamp, statements};
use crate::http::{ApiError, ApiResult, Id, endpoints};

/// The most articles that a catalogue lists.
const MOST: i64 = 1000;

/// An article of the catalogue.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(crate) struct IndexedArticle {
    id: Uuid,
    title: String,
    category: Category,
    tags: Vec<String>,
    status: Status,
    updated_at: Timestamp,
}

macro_rules! published {
    () => {
        "articles
         where tenant_id = $1 and status = 'published' and ($2::uuid is null or project_id is null or project_id = $2)"
    };
}

statements! {
    INDEX -> list of IndexedArticle = {
        within: "",
        from: published!(),
        page: "order by updated_at desc, id limit $3",
    };
    INDEX_OF_PROJECT -> list of IndexedArticle = {
        within: "projects where tenant_id = $1 and id = $2",
        from: published!(),
        page: "order by updated_at desc, id limit $3",
    };
}

/// Published articles by their category, those that were changed last first.
#[derive(Serialize, JsonSchema)]
struct CatalogueResponse {
    data: BTreeMap<&'static str, Vec<IndexedArticle>>,
    meta: CatalogueMeta,
}

/// How much there is.
#[derive(Serialize, JsonSchema)]
struct CatalogueMeta {
    /// Of all published articles.
    total_count: i64,
    /// Of those that are listed, by category.
    categories: BTreeMap<&'static str, usize>,
    /// Whether there are more than the 1000 that are listed: those that were changed last.
    truncated: bool,
}

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Endpoint> {
    endpoints! { "Knowledge";
        /// What has been published, by category: the 1000 articles that were changed last, without their text.
        GET "/api/v1/knowledge/index" => index;
        /// What has been published of a project and of the whole tenant, by category.
        GET "/api/v1/projects/{project_id}/knowledge/index" => index_of_project;
    }
}

async fn index(caller: Caller<AtLeast<Agent>>) -> ApiResult<Json<CatalogueResponse>> {
    catalogue(&caller, &INDEX, None).await
}

async fn index_of_project(
    caller: Caller<AtLeast<Agent>>,
    Id(project_id): Id,
) -> ApiResult<Json<CatalogueResponse>> {
    catalogue(&caller, &INDEX_OF_PROJECT, Some(project_id)).await
}

async fn catalogue<A>(
    caller: &Caller<A>,
    list: &ListSql<IndexedArticle>,
    project_id: Option<Uuid>,
) -> ApiResult<Json<CatalogueResponse>> {
    let (filters, page): (Params<'_>, Params<'_>) = (&[&project_id], &[&project_id, &MOST]);
    let (count, rows) = caller.read((list.count.with(filters), list.rows.with(page))).await?;
    let count = count.first().filter(|count| count.known).ok_or_else(ApiError::not_found)?;
    let truncated = count.total > MOST;
    let mut data: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for article in rows {
        data.entry(article.category.as_str()).or_default().push(article);
    }
    let categories = data.iter().map(|(category, articles)| (*category, articles.len())).collect();
    let meta = CatalogueMeta { total_count: count.total, categories, truncated };
    Ok(Json(CatalogueResponse { data, meta }))
}
