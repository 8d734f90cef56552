//! `GET /knowledge/context`: what helps with a task, with its text.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use loopctl_core::knowledge::{Category, Status, passages, recency, shown, stems, usefulness};
use loopctl_core::request::{Request, integer, text};
use loopctl_core::role::Role;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::asked::{question, wanted};
use super::ranked::{Mode, by_words, ranked};
use super::store::{LINKED_WITH, READ_FOUND, Whole};
use crate::app::{Agent, AtLeast, Caller};
use crate::db::Timestamp;
use crate::http::{ApiError, ApiResult, Page, Query, clamped};
use crate::knowledge::access::{Access, WorkedOn, noted_id, record};

/// Articles that are looked at for each that is shown, and how many of them at most.
const LOOKED_AT: i64 = 3;
const MOST_LOOKED_AT: i64 = 50;
/// Tokens that an article takes beside its text.
const AROUND: usize = 20;

/// What somebody is about to do.
#[derive(Request)]
pub(super) struct ContextOfTask {
    /// Required: at most 500 characters.
    #[rule(text(usize::MAX))]
    query: Option<String>,
    /// Only of this project.
    #[rule(text(usize::MAX))]
    project_id: Option<String>,
    /// How many articles: default 5, at most 20.
    #[rule(clamped(5, 1, 20))]
    limit: i32,
    /// How much it counts that an article is new: from 0 to 1, by default 0.3.
    #[rule(text(usize::MAX))]
    recency_weight: Option<String>,
    /// People may ask for `draft` or `archived`; everybody else gets what is published.
    #[rule(text(usize::MAX))]
    status: Option<String>,
    /// The most tokens of all texts together.
    #[rule(integer().positive())]
    max_tokens: Option<i32>,
    /// The story that you work on: it is noted with the read, and so is its project if you name none.
    #[rule(noted_id())]
    story_id: Option<Uuid>,
}

/// An article that helps.
#[derive(Serialize, JsonSchema)]
struct HelpfulArticle {
    id: Uuid,
    title: String,
    category: Category,
    tags: Vec<String>,
    /// Markdown; with `max_tokens` perhaps only parts of it.
    body: String,
    updated_at: Timestamp,
    /// How well it answers, from 0 to 1.
    relevance_score: f64,
    /// How new it is, from 0 to 1.
    recency_score: f64,
    /// Both.
    combined_score: f64,
    /// Published articles that it is linked with, at most five.
    linked_articles: Vec<Neighbour>,
}

#[derive(Serialize, JsonSchema)]
struct Neighbour {
    id: Uuid,
    title: String,
    category: Category,
}

/// Something that is not there in full.
#[derive(Serialize, JsonSchema)]
struct Cut {
    id: Uuid,
    /// `passages`: only parts of it are there; `no_room`: nothing.
    reason: &'static str,
}

#[derive(Serialize, JsonSchema)]
struct ContextMeta {
    total_count: usize,
    limit: i64,
    recency_weight: f64,
    /// Only with `max_tokens`: what is not there in full.
    #[serde(skip_serializing_if = "Option::is_none")]
    cut: Option<Vec<Cut>>,
    /// Only there, and true, where nobody could make out what `query` means.
    #[serde(skip_serializing_if = "Option::is_none")]
    fallback: Option<bool>,
}

/// What helps with the task.
#[derive(Serialize, JsonSchema)]
pub(super) struct ContextResponse {
    data: Vec<HelpfulArticle>,
    meta: ContextMeta,
}

pub(super) async fn context(
    caller: Caller<AtLeast<Agent>>,
    Query(query): Query<ContextOfTask>,
) -> ApiResult<Json<ContextResponse>> {
    let asked = question("query", query.query.as_deref())?;
    let wanted = wanted(query.project_id.as_deref(), false, None, None)?;
    let limit = i64::from(query.limit);
    let weight = query.recency_weight.as_deref().and_then(|text| text.parse::<f64>().ok());
    let weight = weight.filter(|weight| !weight.is_nan()).unwrap_or(0.3).clamp(0.0, 1.0);
    let is_person = matches!(caller.role, Role::User | Role::Superadmin);
    let status = query.status.as_deref().filter(|_| is_person).and_then(Status::parse);
    let status = status.filter(|status| *status != Status::Superseded).unwrap_or(Status::Published);

    let page = Page::first((limit * LOOKED_AT).min(MOST_LOOKED_AT));
    let ranking = if status == Status::Published {
        ranked(&caller, Mode::Combined, &asked, &wanted, &page).await?
    } else {
        // What is not published is in nobody's memory.
        by_words(&caller, &asked, &wanted, status, &page).await?
    };
    let best = ranking.best.max(f64::EPSILON);
    let chosen = ranking.rows.iter().take(usize::try_from(limit * 2).unwrap_or_default());
    let relevance: HashMap<Uuid, f64> = chosen.map(|(id, score, _)| (*id, (score / best).min(1.0))).collect();
    let ids: Vec<Uuid> = relevance.keys().copied().collect();
    let rows = caller.read(READ_FOUND.with(&[&ids, &status.as_str()])).await?;
    let mut scored: Vec<(Whole, f64, f64, f64)> = rows
        .into_iter()
        .map(|row| {
            let (relevance, recency) =
                (relevance.get(&row.id).copied().unwrap_or_default(), recency(row.age_days));
            let both = usefulness(relevance, recency, weight);
            (row, relevance, recency, both)
        })
        .collect();
    scored.sort_by(|(one, .., of_one), (other, .., of_other)| {
        of_other.total_cmp(of_one).then(other.updated_at.cmp(&one.updated_at)).then(one.id.cmp(&other.id))
    });
    scored.truncate(usize::try_from(limit).unwrap_or_default());
    let mut cut = Vec::new();
    if let Some(room) = query.max_tokens {
        let room = usize::try_from(room).unwrap_or_default();
        let knowledge = caller.app.knowledge.clone();
        let asked = asked.clone();
        let fitted = caller.app.knowledge.meaning.aside(caller.tenant_id, move || {
            let tokens = |text: &str| knowledge.meaning.tokens(text);
            fit(scored, &stems(&asked), room, tokens)
        });
        (scored, cut) = fitted.await.map_err(|_| ApiError::embedding_unavailable())?;
    }
    let ids: Vec<Uuid> = scored.iter().map(|(row, ..)| row.id).collect();
    let mut linked: HashMap<Uuid, Vec<Neighbour>> = HashMap::new();
    for row in caller.read(LINKED_WITH.with(&[&ids])).await? {
        let neighbour = Neighbour { id: row.id, title: row.title, category: row.category };
        linked.entry(row.of).or_default().push(neighbour);
    }
    let on = WorkedOn { project_id: wanted.project_id, story_id: query.story_id };
    record(&caller, Access::Context { query: Arc::from(asked.as_str()) }, on, ids);
    let data: Vec<_> = scored
        .into_iter()
        .map(|(row, relevance, recency, both)| HelpfulArticle {
            id: row.id,
            title: row.title,
            category: row.category,
            tags: row.tags,
            body: row.body,
            updated_at: row.updated_at,
            relevance_score: shown(relevance),
            recency_score: shown(recency),
            combined_score: shown(both),
            linked_articles: linked.remove(&row.id).unwrap_or_default(),
        })
        .collect();
    let meta = ContextMeta {
        total_count: data.len(),
        limit,
        recency_weight: weight,
        cut: query.max_tokens.map(|_| cut),
        fallback: ranking.fallback.then_some(true),
    };
    Ok(Json(ContextResponse { data, meta }))
}

/// Articles with their scores.
type Scored = Vec<(Whole, f64, f64, f64)>;

/// The best ones whole, as long as there is room; then of others what answers best.
fn fit(scored: Scored, asked: &[String], room: usize, tokens: impl Fn(&str) -> usize) -> (Scored, Vec<Cut>) {
    let (mut fitting, mut cut, mut left) = (Vec::new(), Vec::new(), room);
    for (mut row, relevance, recency, both) in scored {
        let around = AROUND + tokens(&row.title);
        // Each word is a token at least: what has too many words need not be taken apart.
        let may_fit = row.body.split_whitespace().count() + around <= left;
        let whole = if may_fit { tokens(&row.body) + around } else { usize::MAX };
        if whole <= left {
            left -= whole;
        } else {
            let parts = passages(&row.body, asked, left.saturating_sub(around), &tokens);
            let reason = if parts.is_some() { "passages" } else { "no_room" };
            cut.push(Cut { id: row.id, reason });
            let Some(parts) = parts else { continue };
            left = left.saturating_sub(tokens(&parts) + around);
            row.body = parts;
        }
        fitting.push((row, relevance, recency, both));
    }
    (fitting, cut)
}
