//! What work has cost, by agent, epic, project, model, day and phase: added up from the usage as it is now.

mod agents;
mod epics;
mod filter;
mod mix;
mod models;
mod models_of;
mod paged;
mod profile;
mod projects;
mod stories;
mod trends;
mod verified;

use crate::app::Endpoint;
use crate::http::endpoints;

pub(crate) use agents::STATEMENTS as AGENTS_STATEMENTS;
pub(crate) use epics::STATEMENTS as EPICS_STATEMENTS;
pub(crate) use mix::STATEMENTS as MIX_STATEMENTS;
pub(crate) use models::STATEMENTS as MODELS_STATEMENTS;
pub(crate) use paged::STATEMENTS as PAGED_STATEMENTS;
pub(crate) use profile::STATEMENTS as PROFILE_STATEMENTS;
pub(crate) use projects::{PROJECT_SPENDING, ProjectSpending, STATEMENTS as PROJECTS_STATEMENTS};
pub(crate) use stories::{STATEMENTS as STORIES_STATEMENTS, TOTALS_OF_STORIES};
pub(crate) use trends::STATEMENTS as TRENDS_STATEMENTS;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Endpoint> {
    endpoints! { "Token Efficiency";
        /// What each agent has cost, the cheapest by story first.
        ///
        /// Days are those of UTC on which usage was reported.
        GET "/api/v1/analytics/agents" => agents::list;
        /// What each epic has cost, by its number; epics without usage as well.
        GET "/api/v1/analytics/epics" => epics::list;
        /// What a project has cost: by phase, by model, and of its budget.
        GET "/api/v1/analytics/projects/{id}" | "/api/v1/projects/{id}/token-usage" => projects::show;
        /// What each model has cost, the most expensive first, and what became of its stories.
        GET "/api/v1/analytics/models" => models::list;
        /// What was used day by day, or week by week, the oldest first. Days without reports are left out.
        GET "/api/v1/analytics/trends" => trends::list;
        /// Which models are used in which phase, and whether agents that use several do better than those that use one.
        GET "/api/v1/analytics/model-mix" => mix::show;
        /// Which models an agent uses, for what, and what became of it.
        GET "/api/v1/analytics/agents/{id}/model-profile" => profile::show;
    }
}
