//! Export of a project as a document that can be imported again.
//!
//! The document is read in one snapshot and sent while it is read: `store` reads it page by page, and `document` writes what
//! `api` describes.

mod api;
mod document;
mod hours;
mod store;

use crate::app::Endpoint;
use crate::http::endpoints;

pub(crate) use store::STATEMENTS;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Endpoint> {
    endpoints! { "Import/Export";
        /// A project with all its epics, stories and dependencies, as one document.
        ///
        /// It can be imported again as it is (within the limits of imports: 500 epics, 5000 stories, 50000 dependencies,
        /// 10 MiB). Two exports of an unchanged project differ only in `exported_at`.
        ///
        /// An import of the document starts every new story anew. With `include_status=true` those that are verified, or
        /// were reported done without anybody working on them in the loop, carry `initial_*` members, with which an
        /// import restores their status. Other statuses are not restored: work that is not verified belongs to the loop,
        /// and so do rejections. Stories that exist keep their status in any case.
        GET "/api/v1/projects/{id}/export" => api::export, 503 Overloaded "too many exports are being read";
    }
}
