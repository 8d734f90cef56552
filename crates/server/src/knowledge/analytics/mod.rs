//! What is read of the knowledge, by whom and for what; and what is not.

mod agents;
mod asked;
mod projects;
mod stats;
mod top;
mod unused;

use crate::app::Endpoint;
use crate::http::endpoints;

pub(crate) use agents::STATEMENTS as AGENTS_STATEMENTS;
pub(crate) use asked::STATEMENTS as ASKED_STATEMENTS;
pub(crate) use projects::STATEMENTS as PROJECTS_STATEMENTS;
pub(crate) use stats::STATEMENTS as STATS_STATEMENTS;
pub(crate) use top::STATEMENTS as TOP_STATEMENTS;
pub(crate) use unused::STATEMENTS as UNUSED_STATEMENTS;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Endpoint> {
    endpoints! { "Knowledge Analytics";
        /// What is read most: by article, or by the project or the agent that it is read for.
        ///
        /// A filter that is none is left out. Reads that name no project belong to none.
        GET "/api/v1/knowledge/analytics/top-articles" => top::list;
        /// How often an article was read since it is there, and the last ten times. Asking is no read.
        GET "/api/v1/knowledge/articles/{id}/stats" => stats::show;
        /// What a key, or an agent with all its keys, has read.
        GET "/api/v1/knowledge/analytics/agents/{id}" => agents::show;
        /// What was read for a project, and how much each day.
        GET "/api/v1/knowledge/analytics/projects/{id}/usage" => projects::show;
        /// Published articles that nobody has read lately, the oldest first.
        GET "/api/v1/knowledge/analytics/unused-articles" => unused::list;
    }
}
