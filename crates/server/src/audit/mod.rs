//! Those who read what happened: the history of a story, the audit log, and the change feed, by page and as it
//! happens. All of them read what `events` wrote. And who sees to it that there is room for it, and that it goes when its time is
//! over.

mod all;
mod changes;
mod history;
mod log;
pub(crate) mod partitions;
mod stream;

use loopctl_core::json::JsonText;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::app::Endpoint;
use crate::db::{Row, Timestamp};
use crate::http::{Meta, endpoints};

/// Some entries of the log, in an order. `$shown` is what is shown of an entry's states, which may be large.
macro_rules! weighed {
    ($shown:expr, $order:expr, $entries:expr) => {
        $crate::db::weighed!(
            ::constcat::concat!("octet_length(concat(", $shown, ", metadata)) + 1024"),
            $order,
            $entries,
            "audit_log"
        )
    };
}
use weighed;

pub(crate) use all::STATEMENTS as ALL_STATEMENTS;
pub(crate) use changes::STATEMENTS as CHANGES_STATEMENTS;
pub(crate) use history::STATEMENTS as HISTORY_STATEMENTS;
pub(crate) use log::STATEMENTS;
pub(crate) use stream::STATEMENTS as STREAM_STATEMENTS;

/// The routes of this module.
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
        GET "/api/v1/audit" => log::list, 400 BadRequest "a time that is none";
        /// The audit log of all tenants, and of what belongs to none, newest first.
        GET "/api/v1/admin/audit" => all::list, 400 BadRequest "a time that is none",
            503 AdminDatabaseMissing "the server has no login that may see all tenants";
        /// What has happened since, oldest first.
        ///
        /// `cursor`, sent as `since` with the same filters, leads to exactly what comes next: nothing is left out, nothing comes twice,
        /// whoever writes meanwhile. An answer ends early, with `has_more`, where it would be larger than 16 MiB. When `since` lies
        /// before `retention_floor`, entries may be gone.
        GET "/api/v1/changes" => changes::list, 400 BadRequest "`since` is missing, or no time";
        /// What happens, as it does.
        ///
        /// Begins after `Last-Event-ID` or `since`, with what has happened meanwhile, and without either of them now. Nothing is left
        /// out, nothing comes twice. It ends when the key is revoked and when the server stops: whoever comes back with the last id goes
        /// on from there. A client that does not read is cut off.
        GET "/api/v1/changes/stream" => stream::follow, 400 BadRequest "`since` or `Last-Event-ID` is no time", 429 TooManyStreams "too many streams are open";
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

/// An entry of a page, with how much of an answer the page is up to it, in bytes.
#[derive(Row)]
struct Weighed {
    #[row(flatten)]
    entry: AuditEntry,
    upto: i64,
}

/// What is shown of an entry's states.
const BOTH_STATES: &str = "old_state, new_state";

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
