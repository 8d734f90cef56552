//! Epics.

mod api;
mod store;
mod text;

use crate::app::Endpoint;
use crate::http::endpoints;

pub(crate) use store::{EPIC_PROJECT, STATEMENTS};
pub(crate) use text::EpicText;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Endpoint> {
    endpoints! { "Epics";
        /// Adds an epic to a project.
        POST "/api/v1/projects/{project_id}/epics" => api::create;
        /// A project's epics by position and number.
        GET "/api/v1/projects/{project_id}/epics" => api::list;
        /// One epic with its stories in number order.
        GET "/api/v1/epics/{id}" => api::show;
        /// Changes an epic.
        ///
        /// An empty string clears what may be empty.
        PATCH + also_put "/api/v1/epics/{id}" => api::update;
        /// Deletes an epic with its stories, and everything that hangs on them.
        ///
        /// What is deleted is told one by one.
        DELETE "/api/v1/epics/{id}" => api::delete;

        "Progress";
        /// How far an epic is.
        GET "/api/v1/epics/{id}/progress" => api::progress;
    }
}
