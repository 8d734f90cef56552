//! `GET /knowledge/search`.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use loopctl_core::knowledge::{Category, beginning, shown};
use loopctl_core::request::{Request, flag, text};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::asked::{question, wanted};
use super::ranked::{Mode, ranked};
use super::store::SHOW_FOUND;
use crate::app::{Agent, AtLeast, Caller};
use crate::http::{ApiError, ApiResult, Meta, Page, Query, limits};
use crate::knowledge::access::{Access, WorkedOn, noted_id, record};

/// Characters of a snippet.
const SNIPPET: usize = 300;

/// What is looked for.
#[derive(Request)]
pub(super) struct SearchArticles {
    /// Required: at most 500 characters.
    #[rule(text(usize::MAX))]
    q: Option<String>,
    /// `keyword`, `semantic`, or `combined`, which is the default.
    #[rule(text(usize::MAX))]
    mode: Option<String>,
    /// Only of this project.
    #[rule(text(usize::MAX))]
    project_id: Option<String>,
    /// Beside those of the project those of the whole tenant.
    #[rule(flag())]
    include_tenant_wide: bool,
    /// `pattern`, `convention`, `decision`, `finding` or `reference`.
    #[rule(text(usize::MAX))]
    category: Option<String>,
    /// Separated by commas: articles with any of them.
    #[rule(text(usize::MAX))]
    tags: Option<String>,
    #[rule(limits(10, 50).strict())]
    page: Page,
    /// The story that you work on: it is noted with the read, and so is its project if you name none.
    #[rule(noted_id())]
    story_id: Option<Uuid>,
}

/// An article that was found.
#[derive(Serialize, JsonSchema)]
struct FoundArticle {
    id: Uuid,
    title: String,
    category: Category,
    tags: Vec<String>,
    /// `tenant`.
    scope: &'static str,
    /// From 0 to 1; with `keyword` as PostgreSQL ranks it.
    score: f64,
    /// What it says about it, with the words that were asked for between `**`; not there with `semantic`.
    #[serde(skip_serializing_if = "Option::is_none")]
    snippet: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct SearchMeta {
    #[serde(flatten)]
    page: Meta,
    /// `keyword`, `semantic`, `combined`; `keyword_only` where nobody could make out what `q` means.
    search_mode: &'static str,
    /// Only there, and true, where nobody could make out what `q` means.
    #[serde(skip_serializing_if = "Option::is_none")]
    fallback: Option<bool>,
}

/// What was found.
#[derive(Serialize, JsonSchema)]
pub(super) struct SearchResponse {
    data: Vec<FoundArticle>,
    meta: SearchMeta,
}

pub(super) async fn search(
    caller: Caller<AtLeast<Agent>>,
    Query(query): Query<SearchArticles>,
) -> ApiResult<Json<SearchResponse>> {
    let asked = question("q", query.q.as_deref())?;
    let (mode, name) = match query.mode.as_deref() {
        Some("keyword") => (Mode::Keyword, "keyword"),
        Some("semantic") => (Mode::Semantic, "semantic"),
        None | Some("combined") => (Mode::Combined, "combined"),
        Some(_) => {
            let message = "Invalid search mode. Valid modes: keyword, semantic, combined";
            return Err(ApiError::bad_request(message));
        }
    };
    let (project, category) = (query.project_id.as_deref(), query.category.as_deref());
    let wanted = wanted(project, query.include_tenant_wide, category, query.tags.as_deref())?;
    let ranking = ranked(&caller, mode, &asked, &wanted, &query.page).await?;
    let ids: Vec<Uuid> = ranking.rows.iter().map(|(id, ..)| *id).collect();
    let as_asked = mode == Mode::Keyword || ranking.fallback;
    let rows = caller.read(SHOW_FOUND.with(&[&ids, &asked, &as_asked])).await?;
    let mut rows: HashMap<Uuid, _> = rows.into_iter().map(|row| (row.id, row)).collect();
    let mut data = Vec::new();
    for (id, score, has_words) in ranking.rows {
        // What was withdrawn meanwhile is not there any more.
        let Some(row) = rows.remove(&id) else { continue };
        let headline = row.headline.filter(|_| has_words);
        let snippet = headline.map_or_else(|| beginning(&row.beginning, SNIPPET), cut);
        data.push(FoundArticle {
            id,
            title: row.title,
            category: row.category,
            tags: row.tags,
            scope: "tenant",
            score: shown(score),
            snippet: (mode != Mode::Semantic).then_some(snippet),
        });
    }
    let read = data.iter().map(|found| found.id).collect();
    let noted = Access::Search {
        query: (mode != Mode::Semantic).then(|| Arc::from(asked.as_str())),
        mode: if ranking.fallback { "combined_fallback" } else { name },
    };
    let on = WorkedOn { project_id: wanted.project_id, story_id: query.story_id };
    record(&caller, noted, on, read);
    let meta = SearchMeta {
        page: query.page.meta(ranking.total),
        search_mode: if ranking.fallback { "keyword_only" } else { name },
        fallback: ranking.fallback.then_some(true),
    };
    Ok(Json(SearchResponse { data, meta }))
}

/// A headline of a bearable length.
fn cut(headline: String) -> String {
    match headline.char_indices().nth(SNIPPET) {
        Some((end, _)) => format!("{}...", &headline[..end]),
        None => headline,
    }
}
