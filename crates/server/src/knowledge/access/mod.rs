//! Who reads what: noted in memory when something is read, and written in batches. No read waits for it or fails because of it.

mod queue;
mod store;

use std::sync::Arc;

use loopctl_core::fields::parse_uuid;
use loopctl_core::request::{Custom, Request, custom};
use schemars::json_schema;
use uuid::Uuid;

use crate::app::Identity;

pub(crate) use queue::Reads;
pub(crate) use store::STATEMENTS;

/// The most rows of one search or context that are noted.
const MOST_ROWS: usize = 20;

/// How articles are read. Queries are noted as they were asked.
#[derive(Debug, Clone)]
#[cfg_attr(not(test), expect(dead_code, reason = "searches and contexts are another folder's"))]
pub(crate) enum Access {
    /// One by its id.
    Get,
    /// As what was found for a query.
    Search {
        /// None: it was asked for by meaning alone.
        query: Option<Arc<str>>,
        /// `keyword`, `semantic`, `combined` or `combined_fallback`.
        mode: &'static str,
    },
    /// With their text, for a task.
    Context {
        /// The task.
        query: Arc<str>,
    },
}

/// What a reader says it works on. What is no id, or not the tenant's, is told in the log and counts as nothing; the read goes on.
#[derive(Debug, Clone, Copy, Default, Request)]
pub(crate) struct WorkedOn {
    /// The project that you work on: it is noted with the read.
    #[rule(noted_id())]
    pub(crate) project_id: Option<Uuid>,
    /// The story that you work on: it is noted with the read, and so is its project if you name none.
    #[rule(noted_id())]
    pub(crate) story_id: Option<Uuid>,
}

/// An id that is looked at after the answer. What is none names nothing.
pub(crate) const fn noted_id() -> Custom<Option<Uuid>> {
    custom(
        |fields, name| {
            let sent = fields.filled(name)?;
            Some(sent.as_str().and_then(parse_uuid).unwrap_or_default())
        },
        || json_schema!({"type": "string"}),
    )
}

/// Notes that these articles were read, in this order.
pub(crate) fn record(caller: &Identity, access: Access, on: WorkedOn, articles: Vec<Uuid>) {
    caller.app.reads.note(caller.tenant_id, caller.key_id, access, on, articles);
}
