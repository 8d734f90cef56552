//! The work that makes drafts of texts and reviews, as its tenant sees it: a row beside the job of the queue that does it. Whoever has
//! made its drafts writes them and notes that in one transaction, so that it is done once, however often it is begun.

mod store;

use std::collections::BTreeMap;

use loopctl_core::json::JsonText;
use loopctl_core::knowledge::Found;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::articles::{Draft, Origin, insert_drafts};
use crate::db::{Db, Params, Tx};
use crate::events::{self, Attribution, Event};
use crate::jobs::{JobError, Task};

pub(crate) use store::STATEMENTS;
pub(super) use store::{
    INGESTION_JOBS, INGESTION_TO_DO, INSERT_INGESTION, INSERT_REVIEW_WORK, IngestionJob, Queued,
    REVIEW_TO_DO, ReviewToDo, SAME_INGESTION, ToIngest,
};

/// Makes drafts of a text or a page.
pub(crate) const INGESTION: Task = Task { name: "content_ingestion", queue: "ingestion", attempts: 3 };
/// Makes drafts of what was learned by a review.
pub(crate) const REVIEWS: Task = Task { name: "review_knowledge", queue: "review_knowledge", attempts: 3 };

/// What was found for a job, and where it belongs.
pub(super) struct Finding<'a> {
    pub(super) tenant_id: Uuid,
    /// Of the queue.
    pub(super) job_id: Uuid,
    pub(super) origin: Origin<'a>,
    pub(super) found: Vec<Found>,
    /// What each draft says of where it comes from.
    pub(super) metadata: Map<String, Value>,
    pub(super) chunks_failed: i32,
    /// The action of the log, and whose doing it is.
    pub(super) action: &'static str,
    pub(super) worker: &'static str,
    /// What the log is told besides.
    pub(super) told: BTreeMap<&'static str, Value>,
    /// Whether nothing is written where an article of this origin is there already.
    pub(super) once: bool,
}

impl Finding<'_> {
    /// Writes it as drafts. Nothing, where that was done before.
    ///
    /// # Errors
    /// When the database fails; then nothing is written.
    pub(super) async fn keep(self, db: &Db) -> Result<Value, JobError> {
        let metadata = JsonText::from(Value::Object(self.metadata.clone()));
        let drafts: Vec<_> = self
            .found
            .iter()
            .map(|found| Draft {
                title: found.title.clone(),
                body: found.body.clone(),
                category: found.category,
                tags: found.tags.clone(),
                metadata: metadata.clone(),
            })
            .collect();
        let work = async |tx: Tx| self.write(tx, &drafts).await;
        db.transaction(self.tenant_id, work).await
    }

    async fn write(&self, mut tx: Tx, drafts: &[Draft]) -> Result<Value, JobError> {
        let job: Params<'_> = &[&self.job_id];
        if tx.optional(store::LOCK_UNDRAFTED, job).await?.is_none() {
            return Ok(json!({"done_before": true}));
        }
        let Origin { source_type, source_id, .. } = &self.origin;
        let known = self.once && tx.optional(store::OF_SOURCE, &[source_type, source_id]).await?.is_some();
        let drafts = if known { &[] } else { drafts };
        let inserted = if drafts.is_empty() {
            Default::default()
        } else {
            insert_drafts(&mut tx, &self.origin, drafts).await?
        };
        let (ids, skipped) = (inserted.ids, inserted.skipped_titles);
        tx.execute(store::NOTE_DRAFTED, &[&self.job_id, &ids, &self.chunks_failed]).await?;
        let told = json!({"article_count": ids.len(), "skipped": skipped.len(), "chunks_failed": self.chunks_failed});
        let mut events = inserted.events;
        if !drafts.is_empty() {
            let mut state = self.told.clone();
            state.insert("article_count", json!(ids.len()));
            state.insert("article_ids", json!(ids));
            state.insert("skipped_titles", json!(skipped));
            let of = source_id.unwrap_or(self.job_id);
            events.push(Event::of("article", of, self.action, &state).project(self.origin.project_id));
        }
        events::record(tx, &Attribution::worker(self.worker), events, None).await?;
        Ok(told)
    }
}
