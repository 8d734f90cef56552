//! Lint: the request, the answer and the handler.

use std::collections::{BTreeMap, HashMap};

use axum::Json;
use chrono::Utc;
use loopctl_core::knowledge::{Category, Contradiction, clusters};
use loopctl_core::request::{Custom, Request, Rule as _, custom, text};
use schemars::{JsonSchema, json_schema};
use serde::Serialize;
use uuid::Uuid;

use super::store::{
    BROKEN_SOURCES, BrokenSource, CONTRADICTIONS, COVERAGE, ORPHAN_ARTICLES, OrphanArticle, STALE_ARTICLES,
    StaleArticle, TITLES,
};
use crate::app::{AtLeast, Caller, Orchestrator};
use crate::db::{Params, Timestamp};
use crate::http::{ApiError, ApiResult, Id, Query};
use crate::plan::projects::PROJECT_KNOWN;

/// A number as it was sent.
const fn number() -> Custom<Option<String>> {
    custom(
        |fields, name| text(usize::MAX).read(fields, name),
        || json_schema!({"type": "integer", "minimum": 1}),
    )
}

#[derive(Request)]
pub(super) struct Lint {
    /// After how many days without a change an article is stale, at most 36500; default 90.
    #[rule(number())]
    stale_days: Option<String>,
    /// How many articles each category should have; default 3.
    #[rule(number())]
    min_coverage: Option<String>,
    /// The most items of each list, at most 500; default 50.
    #[rule(number())]
    max_per_category: Option<String>,
}

/// A number from 1 to `most`.
///
/// # Errors
/// 400 for anything else, with `what` it must be.
fn positive(sent: Option<&String>, default: i32, most: i32, what: &str) -> ApiResult<i32> {
    let Some(text) = sent else { return Ok(default) };
    let number = text.parse().ok().filter(|number| (1..=most).contains(number));
    number.ok_or_else(|| ApiError::bad_request(what))
}

/// Something that is wrong.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Lint{T}")]
struct Found<T> {
    #[serde(flatten)]
    what: T,
    severity: &'static str,
    suggested_action: &'static str,
}

/// A kind of thing that may be wrong.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    severity: &'static str,
    suggested_action: &'static str,
}

const STALE: Kind = Kind {
    name: "stale_articles",
    severity: "warning",
    suggested_action: "Review and update or archive this article",
};
const ORPHAN: Kind = Kind {
    name: "orphan_articles",
    severity: "info",
    suggested_action: "Consider linking to related articles or reviewing for relevance",
};
const CONTRADICTION: Kind = Kind {
    name: "contradiction_clusters",
    severity: "warning",
    suggested_action: "Resolve contradiction by updating or superseding one article",
};
const GAP: Kind =
    Kind { name: "coverage_gaps", severity: "info", suggested_action: "Add more articles in this category" };
const BROKEN: Kind = Kind {
    name: "broken_sources",
    severity: "warning",
    suggested_action: "Source entity was deleted; consider updating or removing source reference",
};

/// Articles that contradict each other, directly or through others.
#[derive(Serialize, JsonSchema)]
struct ContradictionCluster {
    article_ids: Vec<Uuid>,
    /// In the order of `article_ids`.
    titles: Vec<String>,
    link_ids: Vec<Uuid>,
}

/// A category with too few articles.
#[derive(Serialize, JsonSchema)]
struct CoverageGap {
    category: Category,
    current_count: i64,
    threshold: i32,
}

/// What is wrong, by kind.
#[derive(Serialize, JsonSchema)]
struct LintFindings {
    /// Oldest first.
    stale_articles: Vec<Found<StaleArticle>>,
    /// By title.
    orphan_articles: Vec<Found<OrphanArticle>>,
    contradiction_clusters: Vec<Found<ContradictionCluster>>,
    coverage_gaps: Vec<Found<CoverageGap>>,
    /// By title.
    broken_sources: Vec<Found<BrokenSource>>,
}

/// How much is wrong, of which the lists may be a part.
#[derive(Serialize, JsonSchema)]
struct LintSummary {
    /// How many articles were looked at.
    total_articles: i64,
    total_issues: i64,
    /// Without those that there are none of.
    issues_by_severity: BTreeMap<&'static str, i64>,
    total_per_category: BTreeMap<&'static str, i64>,
    /// Whether the list of this kind is only a part.
    truncated: BTreeMap<&'static str, bool>,
    generated_at: Timestamp,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct LintResponse {
    data: LintFindings,
    summary: LintSummary,
}

/// Lists as they are filled, with what is counted of them.
struct Report {
    most: usize,
    summary: LintSummary,
}

impl Report {
    /// The part of a list that is shown. `total` is how many there are.
    fn list<T>(&mut self, kind: Kind, items: impl IntoIterator<Item = T>, total: usize) -> Vec<Found<T>> {
        let count = i64::try_from(total).unwrap_or(i64::MAX);
        if count > 0 {
            *self.summary.issues_by_severity.entry(kind.severity).or_default() += count;
        }
        self.summary.total_issues += count;
        self.summary.total_per_category.insert(kind.name, count);
        self.summary.truncated.insert(kind.name, total > self.most);
        let Kind { severity, suggested_action, .. } = kind;
        let shown = items.into_iter().take(self.most);
        shown.map(|what| Found { what, severity, suggested_action }).collect()
    }
}

/// How many rows there are, of which each tells.
fn total<R>(rows: &[R], of: impl Fn(&R) -> i64) -> usize {
    rows.first().map_or(0, |row| usize::try_from(of(row)).unwrap_or_default())
}

pub(super) async fn lint(
    caller: Caller<AtLeast<Orchestrator>>,
    Query(query): Query<Lint>,
) -> ApiResult<Json<LintResponse>> {
    report(&caller, None, &query).await
}

pub(super) async fn lint_of_project(
    caller: Caller<AtLeast<Orchestrator>>,
    Id(project_id): Id,
    Query(query): Query<Lint>,
) -> ApiResult<Json<LintResponse>> {
    caller.find(PROJECT_KNOWN, &[&project_id]).await?;
    report(&caller, Some(project_id), &query).await
}

async fn report<A>(
    caller: &Caller<A>,
    project_id: Option<Uuid>,
    query: &Lint,
) -> ApiResult<Json<LintResponse>> {
    let stale_days =
        positive(query.stale_days.as_ref(), 90, 36_500, "stale_days must be a positive integer")?;
    let threshold =
        positive(query.min_coverage.as_ref(), 3, i32::MAX, "min_coverage must be a positive integer")?;
    let most = "max_per_category must be a positive integer <= 500";
    let most = positive(query.max_per_category.as_ref(), 50, 500, most)?;
    let limit = i64::from(most);
    let (of_project, listed): (Params<'_>, Params<'_>) = (&[&project_id], &[&project_id, &limit]);
    let (coverage, stale, orphans, contradictions, broken) = caller
        .read((
            COVERAGE.with(of_project),
            STALE_ARTICLES.with(&[&project_id, &stale_days, &limit]),
            ORPHAN_ARTICLES.with(listed),
            CONTRADICTIONS.with(of_project),
            BROKEN_SOURCES.with(listed),
        ))
        .await?;
    let most = usize::try_from(most).unwrap_or_default();
    let links: Vec<_> =
        contradictions.iter().map(|link| (link.link_id, link.source_id, link.target_id)).collect();
    let found = clusters(&links);
    let shown: Vec<_> = found.iter().take(most).collect();
    let counts: HashMap<_, _> = coverage.iter().map(|of| (of.category, of.count)).collect();
    let current = |category: &Category| counts.get(category).copied().unwrap_or_default();
    let gaps: Vec<_> = Category::ALL
        .iter()
        .map(|category| CoverageGap { category: *category, current_count: current(category), threshold })
        .filter(|gap| gap.current_count < i64::from(threshold))
        .collect();
    let summary = LintSummary {
        total_articles: counts.values().sum(),
        total_issues: 0,
        issues_by_severity: BTreeMap::new(),
        total_per_category: BTreeMap::new(),
        truncated: BTreeMap::new(),
        generated_at: Timestamp(Utc::now()),
    };
    let mut report = Report { most, summary };
    let (stale_total, orphan_total) = (total(&stale, |row| row.total), total(&orphans, |row| row.total));
    let (broken_total, gap_total) = (total(&broken, |row| row.total), gaps.len());
    let data = LintFindings {
        stale_articles: report.list(STALE, stale, stale_total),
        orphan_articles: report.list(ORPHAN, orphans, orphan_total),
        contradiction_clusters: report.list(CONTRADICTION, titled(caller, &shown).await?, found.len()),
        coverage_gaps: report.list(GAP, gaps, gap_total),
        broken_sources: report.list(BROKEN, broken, broken_total),
    };
    Ok(Json(LintResponse { data, summary: report.summary }))
}

/// Clusters with the titles of their articles.
async fn titled<A>(
    caller: &Caller<A>,
    clusters: &[&Contradiction<Uuid>],
) -> ApiResult<Vec<ContradictionCluster>> {
    if clusters.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<_> = clusters.iter().flat_map(|cluster| cluster.articles.iter().copied()).collect();
    let titles = caller.read(TITLES.with(&[&ids])).await?;
    let mut titles: HashMap<_, _> = titles.into_iter().map(|row| (row.id, row.title)).collect();
    let clusters = clusters.iter().map(|cluster| ContradictionCluster {
        article_ids: cluster.articles.clone(),
        titles: cluster.articles.iter().map(|id| titles.remove(id).unwrap_or_default()).collect(),
        link_ids: cluster.links.clone(),
    });
    Ok(clusters.collect())
}
