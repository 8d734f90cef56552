//! Texts and pages from elsewhere, of which drafts are made in the background.

mod api;
mod decode;
mod item;
mod job;
mod pages;

use crate::app::Endpoint;
use crate::http::endpoints;

pub(crate) use job::ingest;
pub(super) use pages::Pages;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Endpoint> {
    endpoints! { "Knowledge Ingestion";
        /// Has drafts made of a page or a text.
        ///
        /// The same for the same project within an hour is not done again. What is found in it becomes text of drafts and nothing else.
        POST "/api/v1/knowledge/ingest" => api::ingest, 422 InvalidIngestion "what was sent is not one page or one text";
        /// The same for up to 50 pages and texts.
        ///
        /// Each has its result, in their order; one that is not acceptable does not keep the others.
        POST "/api/v1/knowledge/ingest/batch" => api::ingest_batch, 422 InvalidIngestion "`items` is no list of 1 to 50";
        /// What became of the pages and texts of the last seven days: the newest 50.
        GET "/api/v1/knowledge/ingestion-jobs" => api::list;
    }
}
