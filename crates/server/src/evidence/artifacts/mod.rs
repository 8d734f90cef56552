//! Artifact reports: what agents say they produced.

mod api;
mod store;

use crate::app::Endpoint;
use crate::http::endpoints;

pub(crate) use api::ArtifactCreateRequest;
pub(crate) use store::{ArtifactReport, Place, STATEMENTS, insert};

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Endpoint> {
    endpoints! { "Artifacts";
        /// Reports an artifact of a story.
        POST "/api/v1/stories/{id}/artifacts" => api::create;
        /// A story's artifacts, oldest first.
        GET "/api/v1/stories/{id}/artifacts" => api::list;
    }
}
