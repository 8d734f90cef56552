//! The one story object of the wire (file 02 §2.3, file 03 §2.3).

use loopctl_core::lifecycle::{AgentStatus, Backfill, Facts, LoopState, VerifiedStatus};
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::Value;
use tokio_postgres::Row;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::db::{DbError, Timestamp, word};

/// A story.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Story {
    pub(crate) id: Uuid,
    pub(crate) tenant_id: Uuid,
    pub(crate) project_id: Uuid,
    pub(crate) epic_id: Uuid,
    pub(crate) number: String,
    pub(crate) title: String,
    pub(crate) description: Option<String>,
    #[schema(value_type = Vec<Object>)]
    pub(crate) acceptance_criteria: Value,
    /// A decimal as a string.
    #[schema(value_type = Option<String>)]
    pub(crate) estimated_hours: Option<Decimal>,
    #[schema(value_type = String)]
    pub(crate) agent_status: AgentStatus,
    #[schema(value_type = String)]
    pub(crate) verified_status: VerifiedStatus,
    pub(crate) assigned_agent_id: Option<Uuid>,
    pub(crate) reported_by_agent_id: Option<Uuid>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) assigned_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) reported_done_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) verified_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) rejected_at: Option<Timestamp>,
    pub(crate) rejection_reason: Option<String>,
    /// `major * 10000 + minor * 10`.
    pub(crate) sort_key: i32,
    #[schema(value_type = Object)]
    pub(crate) metadata: Value,
    pub(crate) implementer_dispatch_id: Option<Uuid>,
    pub(crate) verifier_dispatch_id: Option<Uuid>,
    pub(crate) verifier_needed: bool,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) review_requested_at: Option<Timestamp>,
    pub(crate) contracted_by_agent_id: Option<Uuid>,
    /// When the story was claimed for the first time ever; never cleared.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) first_claimed_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    pub(crate) inserted_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub(crate) updated_at: Timestamp,
}

impl Story {
    /// Reads a row of `stories`.
    pub(crate) fn read(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            id: row.try_get("id")?,
            tenant_id: row.try_get("tenant_id")?,
            project_id: row.try_get("project_id")?,
            epic_id: row.try_get("epic_id")?,
            number: row.try_get("number")?,
            title: row.try_get("title")?,
            description: row.try_get("description")?,
            acceptance_criteria: row.try_get("acceptance_criteria")?,
            estimated_hours: row.try_get("estimated_hours")?,
            agent_status: word(row, "agent_status", AgentStatus::parse)?,
            verified_status: word(row, "verified_status", VerifiedStatus::parse)?,
            assigned_agent_id: row.try_get("assigned_agent_id")?,
            reported_by_agent_id: row.try_get("reported_by_agent_id")?,
            assigned_at: row.try_get("assigned_at")?,
            reported_done_at: row.try_get("reported_done_at")?,
            verified_at: row.try_get("verified_at")?,
            rejected_at: row.try_get("rejected_at")?,
            rejection_reason: row.try_get("rejection_reason")?,
            sort_key: row.try_get("sort_key")?,
            metadata: row.try_get("metadata")?,
            implementer_dispatch_id: row.try_get("implementer_dispatch_id")?,
            verifier_dispatch_id: row.try_get("verifier_dispatch_id")?,
            verifier_needed: row.try_get("verifier_needed")?,
            review_requested_at: row.try_get("review_requested_at")?,
            contracted_by_agent_id: row.try_get("contracted_by_agent_id")?,
            first_claimed_at: row.try_get("first_claimed_at")?,
            inserted_at: row.try_get("inserted_at")?,
            updated_at: row.try_get("updated_at")?,
        })
    }

    /// The story as the lifecycle's rules see it, before prerequisites and reviews are looked up.
    pub(crate) fn facts(&self) -> Facts {
        let time = |timestamp: Option<Timestamp>| timestamp.map(|Timestamp(time)| time);
        Facts {
            state: LoopState {
                agent_status: self.agent_status,
                verified_status: self.verified_status,
                assigned_agent_id: self.assigned_agent_id,
                assigned_at: time(self.assigned_at),
                contracted_by_agent_id: self.contracted_by_agent_id,
                first_claimed_at: time(self.first_claimed_at),
                review_requested_at: time(self.review_requested_at),
                reported_done_at: time(self.reported_done_at),
                reported_by_agent_id: self.reported_by_agent_id,
                verified_at: time(self.verified_at),
                rejected_at: time(self.rejected_at),
                rejection_reason: self.rejection_reason.clone(),
            },
            title: self.title.clone(),
            ac_count: self.acceptance_criteria.as_array().map_or(0, Vec::len),
            unmet: Vec::new(),
            reviewed: false,
            backfill: Backfill::recorded(&self.metadata),
        }
    }
}
