//! What is learned by reviews: each is looked through once it is recorded, unless its tenant wants none of it.

use std::collections::BTreeMap;

use loopctl_core::json::JsonText;
use loopctl_core::knowledge::{MOST_OF_REVIEW, ReviewSummary, accepted};
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::articles::Origin;
use super::super::work::{Finding, INSERT_REVIEW_WORK, REVIEW_TO_DO, REVIEWS, ReviewToDo};
use super::{Extracted, Extraction};
use crate::db::{Db, DbError, Tx};
use crate::jobs::{Job, JobError, Queue};

/// `source_type` of drafts that come of reviews.
pub(crate) const REVIEW_FINDING: &str = "review_finding";

/// Has a review looked through that this transaction records.
///
/// # Errors
/// When the database fails.
pub(crate) async fn enqueue(queue: &Queue, tx: &mut Tx, review_record_id: Uuid) -> Result<(), DbError> {
    let args = JsonText::from(json!({"review_record_id": review_record_id}));
    let key = review_record_id.to_string();
    let Some(job_id) = queue.enqueue(tx, REVIEWS, &args, Some(&key)).await? else { return Ok(()) };
    tx.execute(INSERT_REVIEW_WORK, &[&job_id, &review_record_id]).await
}

/// Makes drafts of what was learned by a review, once.
///
/// # Errors
/// When it cannot be looked through, or the database fails.
pub(crate) async fn learn(db: &Db, extraction: &Extraction, job: Job) -> Result<Value, JobError> {
    let found = db.read(job.tenant_id, REVIEW_TO_DO.with(&[&job.id, &REVIEW_FINDING])).await?;
    // It was done before, or the review is gone.
    let Some(review) = found.into_iter().next() else { return Ok(json!({"nothing_to_do": true})) };
    let ReviewToDo { review_record_id, story_id, project_id, .. } = review;
    let summary = ReviewSummary {
        review_type: review.review_type,
        findings_count: review.findings_count,
        fixes_count: review.fixes_count,
        summary: review.summary,
    };
    // Nobody is asked about what is there.
    let Extracted { candidates, chunks_failed, source } =
        if review.is_known { Extracted::nothing() } else { extraction.review(&summary).await? };
    let metadata = json!({"extraction_source": source, "story_id": story_id, "project_id": project_id});
    let finding = Finding {
        tenant_id: job.tenant_id,
        job_id: job.id,
        origin: Origin { source_type: REVIEW_FINDING, source_id: Some(review_record_id), project_id: None },
        found: accepted(candidates, MOST_OF_REVIEW),
        metadata: metadata.as_object().cloned().unwrap_or_default(),
        chunks_failed,
        action: "knowledge.articles_extracted",
        worker: "review_knowledge",
        told: BTreeMap::from([("review_record_id", json!(review_record_id))]),
        once: true,
    };
    finding.keep(db).await
}
