//! Makes drafts of a page or a text.

use std::collections::BTreeMap;

use loopctl_core::knowledge::{MOST_OF_CONTENT, accepted};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::super::articles::Origin;
use super::super::extraction::{Extracted, Extraction};
use super::super::work::{Finding, INGESTION_TO_DO, ToIngest};
use crate::db::Db;
use crate::jobs::{Job, JobError};

/// Fetches what is to be fetched, has it looked through, and writes drafts of what was found, once.
///
/// # Errors
/// When it cannot be fetched or looked through, or the database fails.
pub(crate) async fn ingest(db: &Db, extraction: &Extraction, job: Job) -> Result<Value, JobError> {
    let found = db.read(job.tenant_id, INGESTION_TO_DO.with(&[&job.id])).await?;
    // It was done before, or its project is gone.
    let Some(work) = found.into_iter().next() else { return Ok(json!({"nothing_to_do": true})) };
    let ToIngest { source_type, project_id, url, content, content_hash, metadata } = work;
    let text = match (&url, content) {
        (Some(url), _) => extraction.pages.text(url).await.map_err(JobError)?,
        (None, content) => content.unwrap_or_default(),
    };
    let Extracted { candidates, chunks_failed, source } = extraction.content(&source_type, text).await?;
    let mut said = Map::from_iter([("extraction_source".to_owned(), json!(source))]);
    said.extend(metadata.map(|metadata| ("ingestion".to_owned(), metadata.to_value())));
    let finding = Finding {
        tenant_id: job.tenant_id,
        job_id: job.id,
        origin: Origin { source_type: &source_type, source_id: Some(source_id(&content_hash)), project_id },
        found: accepted(candidates, MOST_OF_CONTENT),
        metadata: said,
        chunks_failed,
        action: "knowledge.content_ingested",
        worker: "content_ingestion",
        told: BTreeMap::from([("source_type", json!(source_type)), ("url", json!(url))]),
        once: false,
    };
    finding.keep(db).await
}

/// What drafts of the same page or text have in common.
fn source_id(content_hash: &str) -> Uuid {
    let digest: [u8; 32] = Sha256::digest(content_hash.as_bytes()).into();
    Uuid::from_u128(digest[..16].iter().fold(0, |id, byte| id << 8 | u128::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_text_has_the_same_source() {
        // `printf '%s' abc | sha256sum`
        assert_eq!(source_id("abc").simple().to_string(), "ba7816bf8f01cfea414140de5dae2223");
    }
}
