//! Everything that happens: the one writer of events, and those who read what it wrote. An event is written with its change and
//! never altered; a tenant's events are in the order of their commits, without a gap, and so are the times by which they are
//! read on.

mod audit;
mod catalogue;
mod changes;
mod history;
mod record;

use loopctl_core::json::JsonText;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::app::Endpoint;
use crate::db::{Row, Timestamp};
use crate::http::{Meta, endpoints};

pub use catalogue::CATALOGUE;

pub(crate) use audit::STATEMENTS as AUDIT_STATEMENTS;
pub(crate) use changes::STATEMENTS as CHANGES_STATEMENTS;
pub(crate) use history::STATEMENTS as HISTORY_STATEMENTS;
pub(crate) use record::{Attribution, Event, Field, STATEMENTS, record, record_as_owner};

/// The routes of events.
pub(crate) fn routes() -> Vec<Endpoint> {
    endpoints! {
        "Stories";
        /// Everything that happened to a story, oldest first.
        ///
        /// Reaches back as far as the audit log is kept. A deleted story still has its history.
        GET "/api/v1/stories/{id}/history" => history::story_history;

        "Audit";
        /// The audit log, newest first.
        ///
        /// `meta.as_of` of the first page, sent as `to`, keeps the further ones where they are while entries arrive.
        GET "/api/v1/audit" => audit::list, 400 "a time that is none";
        /// What has happened since, oldest first.
        ///
        /// `cursor`, sent as `since` with the same filters, leads to exactly what comes next: nothing is left out, nothing comes twice,
        /// whoever writes meanwhile. When `since` lies before `retention_floor`, entries may be gone.
        GET "/api/v1/changes" => changes::list, 400 "`since` is missing, or no time";
    }
}

/// One entry of the audit log.
#[derive(Debug, Serialize, JsonSchema, Row)]
struct AuditEntry {
    id: Uuid,
    entity_type: String,
    entity_id: Uuid,
    action: String,
    /// `api_key`, `superadmin`, `system` or `human`.
    actor_type: String,
    actor_id: Option<Uuid>,
    actor_label: Option<String>,
    old_state: Option<JsonText>,
    new_state: Option<JsonText>,
    project_id: Option<Uuid>,
    metadata: JsonText,
    inserted_at: Timestamp,
}

/// `pagination` of the audit lists, beside `meta`.
#[derive(Debug, Serialize, JsonSchema)]
struct Pagination {
    total: i64,
    page: i64,
    page_size: i64,
}

impl Pagination {
    fn of(meta: &Meta) -> Self {
        Self { total: meta.total_count, page: meta.page, page_size: meta.page_size }
    }
}
