//! Export of what has been published, as an archive of Markdown files that link to each other.
//!
//! The articles are read in one snapshot, and the archive is sent while it is written: `store` reads it piece by piece, and
//! `archive` writes it.

mod api;
mod archive;
mod store;

use crate::app::Endpoint;
use crate::http::endpoints;

pub(crate) use store::STATEMENTS;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Endpoint> {
    endpoints! { "Knowledge";
        /// What has been published, as a ZIP of Markdown files: `_index.md`, and `<category>/<title>.md` for each article.
        ///
        /// Files have their facts in front, and link to each other by their titles, as note-taking programs read them.
        GET "/api/v1/knowledge/export" => api::export, 413 ExportTooLarge "more than 5,000 articles are published";
        /// What has been published of a project and of the whole tenant, as a ZIP of Markdown files.
        GET "/api/v1/projects/{project_id}/knowledge/export" => api::export_of_project,
            413 ExportTooLarge "more than 5,000 articles are published";
    }
}
