//! Rows and SQL of the work.

use loopctl_core::json::JsonText;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::db::{Row, Timestamp, statements};

/// A row that is new.
#[derive(Debug, Row)]
pub(crate) struct Queued {
    pub(crate) id: i64,
    pub(crate) inserted_at: Timestamp,
}

/// A text or a page of which drafts are to be made.
#[derive(Debug, Row)]
pub(crate) struct ToIngest {
    pub(crate) source_type: String,
    pub(crate) project_id: Option<Uuid>,
    pub(crate) url: Option<String>,
    pub(crate) content: Option<String>,
    pub(crate) content_hash: String,
    pub(crate) metadata: Option<JsonText>,
}

/// A review of which drafts are to be made.
#[derive(Debug, Row)]
pub(crate) struct ReviewToDo {
    #[row(sql = "r.id")]
    pub(crate) review_record_id: Uuid,
    #[row(sql = "r.story_id")]
    pub(crate) story_id: Uuid,
    #[row(sql = "s.project_id")]
    pub(crate) project_id: Uuid,
    #[row(sql = "r.review_type")]
    pub(crate) review_type: String,
    #[row(sql = "r.findings_count")]
    pub(crate) findings_count: i32,
    #[row(sql = "r.fixes_count")]
    pub(crate) fixes_count: i32,
    #[row(sql = "r.summary")]
    pub(crate) summary: Option<String>,
    /// Whether there are drafts of it already.
    #[row(
        sql = "exists (select from articles a where a.tenant_id = k.tenant_id and a.source_type = $3 and a.source_id = r.id)"
    )]
    pub(crate) is_known: bool,
}

/// An ingestion, as its tenant sees it.
#[derive(Debug, Serialize, JsonSchema, Row)]
pub(crate) struct IngestionJob {
    id: i64,
    /// `available`, `executing`, `retryable`, `completed`, `discarded` or `cancelled`.
    state: String,
    source_type: String,
    /// Null: the content was sent along.
    url: Option<String>,
    /// SHA-256 of the URL or of the content.
    content_hash: String,
    inserted_at: Timestamp,
    completed_at: Option<Timestamp>,
    /// Of each attempt that failed: `attempt`, `at` and `error`.
    errors: JsonText,
    #[row(sql = "cardinality(article_ids)::bigint")]
    article_count: i64,
    /// The drafts that were made.
    article_ids: Vec<Uuid>,
    /// Pieces of the text that could not be looked through.
    chunks_failed: i32,
}

statements! {
    /// What is asked for twice within an hour is done once, unless it was given up.
    SAME_INGESTION -> i64 = "
        select id from knowledge_jobs
        where tenant_id = $1 and content_hash = $2 and project_id is not distinct from $3
          and inserted_at > statement_timestamp() - interval '3600 seconds'
          and state in ('available', 'executing', 'retryable', 'completed')
        order by inserted_at desc, id desc limit 1";
    INSERT_INGESTION -> Queued = "
        insert into knowledge_jobs (tenant_id, job_id, kind, project_id, source_type, url, content, content_hash, metadata)
        values ($1, $2, 'content_ingestion', $3, $4, $5, $6, $7, $8)
        returning {*}";
    INSERT_REVIEW_WORK = "
        insert into knowledge_jobs (tenant_id, job_id, kind, review_record_id) values ($1, $2, 'review_knowledge', $3)";
    INGESTION_TO_DO -> ToIngest = "
        select {*} from knowledge_jobs
        where tenant_id = $1 and job_id = $2 and kind = 'content_ingestion' and drafted_at is null";
    REVIEW_TO_DO -> ReviewToDo = "
        select {*} from knowledge_jobs k
        join review_records r on r.tenant_id = k.tenant_id and r.id = k.review_record_id
        join stories s on s.tenant_id = r.tenant_id and s.id = r.story_id
        where k.tenant_id = $1 and k.job_id = $2 and k.drafted_at is null";
    LOCK_UNDRAFTED -> i64 = "
        select id from knowledge_jobs where tenant_id = $1 and job_id = $2 and drafted_at is null for no key update";
    OF_SOURCE -> Uuid = "
        select id from articles where tenant_id = $1 and source_type = $2 and source_id = $3 limit 1";
    NOTE_DRAFTED = "
        update knowledge_jobs set drafted_at = clock_timestamp(), article_ids = $3, chunks_failed = $4
        where tenant_id = $1 and job_id = $2";
    INGESTION_JOBS -> IngestionJob = "
        select {*} from knowledge_jobs
        where tenant_id = $1 and kind = 'content_ingestion' and inserted_at > now() - interval '7 days'
        order by inserted_at desc, id desc limit 50";
}
