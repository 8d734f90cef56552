//! How what was learned by reviews becomes knowledge: what waits, what came of it, and what failed.

use axum::Json;
use loopctl_core::json::JsonText;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::app::{AtLeast, Caller, Endpoint, Orchestrator};
use crate::db::{Row, Timestamp, statements};
use crate::http::{ApiError, ApiResult, endpoints, one};

statements! {
    PIPELINE_COUNTS -> Counts = "select {*} where $1::uuid is not null";
    RECENT_DRAFTS -> RecentDraft = "
        select {*} from articles
        where tenant_id = $1 and source_type = 'review_finding' and status = 'draft'
        order by inserted_at desc, id desc limit 20";
    /// Work that failed goes with its last error.
    RECENT_FAILURES -> FailedExtraction = "
        select {*} from knowledge_jobs
        where tenant_id = $1 and kind = 'review_knowledge' and state in ('retryable', 'discarded')
          and inserted_at > now() - interval '30 days'
        order by attempted_at desc nulls last, id desc limit 5";
}

#[derive(Debug, Row)]
pub(crate) struct Counts {
    #[row(sql = "(select count(*) from knowledge_jobs where tenant_id = $1 and kind = 'review_knowledge'
                  and state = 'available' and inserted_at > now() - interval '7 days')")]
    pending: i64,
    #[row(sql = "(select count(*) from articles where tenant_id = $1 and source_type = 'review_finding'
                  and status = 'published')")]
    published: i64,
    #[row(sql = "(select count(*) from articles where tenant_id = $1 and source_type = 'review_finding'
                  and status = 'draft')")]
    drafts: i64,
    #[row(sql = "(select count(*) from knowledge_jobs where tenant_id = $1 and kind = 'review_knowledge'
                  and state in ('retryable', 'discarded') and inserted_at > now() - interval '30 days')")]
    failed: i64,
    #[row(
        sql = "(select settings -> 'knowledge_auto_extract' from tenants where id = $1) is distinct from 'false'"
    )]
    auto_extract: bool,
}

/// A draft that came of a review.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(crate) struct RecentDraft {
    id: Uuid,
    title: String,
    /// The review record.
    source_id: Option<Uuid>,
    inserted_at: Timestamp,
}

/// A review that could not be looked through, so far or at all.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(crate) struct FailedExtraction {
    id: i64,
    /// `retryable` or `discarded`.
    state: String,
    /// Of the last attempt: `attempt`, `at` and `error`.
    #[row(sql = "errors -> -1")]
    error_reason: Option<JsonText>,
    attempted_at: Option<Timestamp>,
}

one! { pub(super) PipelineResponse { data: Pipeline } }

/// How what was learned by reviews becomes knowledge.
#[derive(Serialize, JsonSchema)]
pub(super) struct Pipeline {
    /// Reviews of the last seven days that are yet to be looked through.
    pending_extractions: i64,
    /// The newest 20.
    recent_drafts: Vec<RecentDraft>,
    /// Of the articles that came of reviews and are drafts or published: how many are published, from 0 to 1.
    publish_rate: f64,
    extraction_errors: ExtractionErrors,
    /// The setting `knowledge_auto_extract`.
    auto_extract_enabled: bool,
}

/// What failed in the last 30 days.
#[derive(Serialize, JsonSchema)]
struct ExtractionErrors {
    count: i64,
    /// The last five.
    recent: Vec<FailedExtraction>,
}

/// The route.
pub(crate) fn routes() -> Vec<Endpoint> {
    endpoints! { "Knowledge Ingestion";
        /// How what was learned by reviews becomes knowledge: what waits, the newest drafts, what failed.
        GET "/api/v1/knowledge/pipeline" => show;
    }
}

async fn show(caller: Caller<AtLeast<Orchestrator>>) -> ApiResult<Json<PipelineResponse>> {
    let asked = (PIPELINE_COUNTS.with(&[]), RECENT_DRAFTS.with(&[]), RECENT_FAILURES.with(&[]));
    let (counts, recent_drafts, recent) = caller.read(asked).await?;
    let counts = counts.into_iter().next().ok_or_else(ApiError::internal)?;
    let data = Pipeline {
        pending_extractions: counts.pending,
        recent_drafts,
        publish_rate: rate(counts.published, counts.drafts),
        extraction_errors: ExtractionErrors { count: counts.failed, recent },
        auto_extract_enabled: counts.auto_extract,
    };
    Ok(Json(PipelineResponse { data }))
}

/// With four digits; 0 of nothing.
fn rate(published: i64, drafts: i64) -> f64 {
    let all = published + drafts;
    if all == 0 { 0.0 } else { (published as f64 / all as f64 * 10_000.0).round() / 10_000.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_has_four_digits() {
        assert_eq!((rate(0, 0), rate(1, 3), rate(2, 1), rate(5, 0)), (0.0, 0.25, 0.6667, 1.0));
    }
}
