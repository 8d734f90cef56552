//! Dependencies between epics and between stories, and the graph that they form.

mod api;
mod graph;
mod level;
mod store;

use crate::app::Endpoint;
use crate::http::endpoints;

pub(crate) use level::{EPICS, STORIES};
pub(crate) use store::STATEMENTS;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Endpoint> {
    endpoints! { "Dependencies";
        /// Lets an epic wait for another of its project.
        POST "/api/v1/epic_dependencies" => api::create_between_epics,
            404 NotFound "there is no such record", 409 DependencyExists "the dependency is there already",
            422 DependsOnItself "both ends are the same", 422 DifferentProjects "the ends are in different projects",
            422 DependencyCycle "something would wait for itself",
            422 CrossLevelDeadlock "stories and epics would wait for each other";
        /// Takes a dependency between epics away.
        DELETE "/api/v1/epic_dependencies/{id}" => api::delete_between_epics;
        /// The dependencies between a project's epics, oldest first.
        ///
        /// All of them, unless a paging parameter is sent.
        GET "/api/v1/projects/{id}/epic_dependencies" => api::list_of_project;
        /// Lets a story wait for another of its project.
        POST "/api/v1/story_dependencies" => api::create_between_stories,
            404 NotFound "there is no such record", 409 DependencyExists "the dependency is there already",
            422 DependsOnItself "both ends are the same", 422 DifferentProjects "the ends are in different projects",
            422 DependencyCycle "something would wait for itself",
            422 CrossLevelDeadlock "stories and epics would wait for each other";
        /// Takes a dependency between stories away.
        DELETE "/api/v1/story_dependencies/{id}" => api::delete_between_stories;
        /// The dependencies with a story of the epic on either side, oldest first.
        ///
        /// All of them, unless a paging parameter is sent.
        GET "/api/v1/epics/{id}/story_dependencies" => api::list_of_epic;
        /// A project's epics and stories, and what waits for what.
        GET "/api/v1/projects/{id}/dependency_graph" => graph::show;
    }
}
