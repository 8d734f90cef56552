//! What the trust loop answers with.

use loopctl_core::lifecycle::{Actor, Facts, next_actions};
use serde::Serialize;
use serde_json::{Map, Value};
use tokio_postgres::Row;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::db::{DbError, Timestamp};
use crate::http::error::learn_more;

/// A call that would pass next (file 02 §2.5).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NextStep {
    action: String,
    method: &'static str,
    path: String,
    #[schema(value_type = Object)]
    required_body: Map<String, Value>,
    preconditions: Vec<&'static str>,
    learn_more: String,
}

/// What `actor` can do next on a story.
pub(crate) fn next_steps(facts: &Facts, actor: &Actor, story_id: Uuid, public_url: &str) -> Vec<NextStep> {
    next_actions(facts, actor)
        .into_iter()
        .map(|next| NextStep {
            action: next.action.as_str().replace('-', "_"),
            method: "POST",
            path: format!("/api/v1/stories/{story_id}/{}", next.action),
            required_body: next.required_body,
            preconditions: next.preconditions,
            learn_more: learn_more(public_url, next.action.as_str()),
        })
        .collect()
}

/// A finished review.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReviewRecord {
    pub(super) id: Uuid,
    tenant_id: Uuid,
    story_id: Uuid,
    /// None for a human with a user key.
    pub(super) reviewer_agent_id: Option<Uuid>,
    pub(super) review_type: String,
    pub(super) findings_count: i32,
    pub(super) fixes_count: i32,
    pub(super) disproved_count: i32,
    pub(super) summary: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    completed_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    inserted_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl ReviewRecord {
    /// Reads a row of `review_records`.
    pub(super) fn read(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            id: row.try_get("id")?,
            tenant_id: row.try_get("tenant_id")?,
            story_id: row.try_get("story_id")?,
            reviewer_agent_id: row.try_get("reviewer_agent_id")?,
            review_type: row.try_get("review_type")?,
            findings_count: row.try_get("findings_count")?,
            fixes_count: row.try_get("fixes_count")?,
            disproved_count: row.try_get("disproved_count")?,
            summary: row.try_get("summary")?,
            completed_at: row.try_get("completed_at")?,
            inserted_at: row.try_get("inserted_at")?,
            updated_at: row.try_get("updated_at")?,
        })
    }
}

/// The result of a verification or rejection.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VerificationResult {
    pub(super) id: Uuid,
    tenant_id: Uuid,
    story_id: Uuid,
    orchestrator_agent_id: Option<Uuid>,
    /// `pass`, `partial` or `fail`.
    pub(super) result: String,
    summary: Option<String>,
    #[schema(value_type = Object)]
    findings: Value,
    pub(super) review_type: Option<String>,
    commit_sha: Option<String>,
    /// 1, 2, … per story.
    pub(super) iteration: i32,
    #[schema(value_type = String, format = DateTime)]
    inserted_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl VerificationResult {
    /// Reads a row of `verification_results`.
    pub(crate) fn read(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            id: row.try_get("id")?,
            tenant_id: row.try_get("tenant_id")?,
            story_id: row.try_get("story_id")?,
            orchestrator_agent_id: row.try_get("orchestrator_agent_id")?,
            result: row.try_get("result")?,
            summary: row.try_get("summary")?,
            findings: row.try_get("findings")?,
            review_type: row.try_get("review_type")?,
            commit_sha: row.try_get("commit_sha")?,
            iteration: row.try_get("iteration")?,
            inserted_at: row.try_get("inserted_at")?,
            updated_at: row.try_get("updated_at")?,
        })
    }
}
