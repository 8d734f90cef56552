//! Projects.

mod api;
mod lock;
mod store;

use crate::app::Endpoint;
use crate::http::endpoints;

pub(crate) use lock::{LockedProject, STATEMENTS as LOCK_STATEMENTS, lock_project, lock_project_of};
pub(crate) use store::{PROJECT_KNOWN, STATEMENTS, StatusCounts};

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Endpoint> {
    endpoints! { "Projects";
        /// Creates an active project.
        POST "/api/v1/projects" => api::create, 422 ProjectLimitReached "the tenant has as many projects as it may have";
        /// The tenant's projects by name.
        ///
        /// Active ones unless asked otherwise.
        GET "/api/v1/projects" => api::list;
        /// One project, archived or not.
        GET "/api/v1/projects/{id}" => api::show;
        /// Changes a project.
        ///
        /// Archiving it takes a user key, reactivating it room within `max_projects`.
        PATCH + also_put "/api/v1/projects/{id}" => api::update,
            422 ProjectLimitReached "it would be active again, and the tenant has as many projects as it may have";
        /// Lays a project aside.
        ///
        /// It keeps all that it has. Repeating it changes nothing.
        DELETE "/api/v1/projects/{id}" => api::archive;

        "Progress";
        /// How far a project is.
        GET "/api/v1/projects/{id}/progress" => api::progress;
    }
}
