//! Skills: the prompts by which agents work, in versions that never change, and what came of each of them.

mod api;
mod cost;
mod import;
mod results;
mod rules;
mod store;
mod versions;

use crate::app::Endpoint;
use crate::http::endpoints;

pub(crate) use cost::STATEMENTS as COST_STATEMENTS;
pub(crate) use store::STATEMENTS;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Endpoint> {
    endpoints! { "Skills";
        /// Creates a skill with its first version.
        POST "/api/v1/skills" => api::create;
        /// The tenant's skills by name, archived ones as well, without their prompts.
        ///
        /// A `name` lists every skill whose name contains it, in either case; one that is called just that comes first.
        GET "/api/v1/skills" => api::list;
        /// One skill, archived or not, with the prompt of its current version.
        GET "/api/v1/skills/{id}" => api::show;
        /// Changes what is said about a skill.
        ///
        /// Its name and project stay; its prompt changes by a new version. `"status": "active"` brings an archived one back.
        PATCH + also_put "/api/v1/skills/{id}" => api::update;
        /// Lays a skill aside.
        ///
        /// It keeps its versions and results. Repeating it changes nothing.
        DELETE "/api/v1/skills/{id}" => api::archive;
        /// Creates skills, and new versions of those whose prompt is another one: all of them, or none.
        ///
        /// Skills are found by name, in their project or among those of the whole tenant. White space around a prompt does not make
        /// it another one. What is said about a skill that is there stays as it is.
        POST "/api/v1/skills/import" => import::import, 422 InvalidImport "a name is there twice";
        /// Adds a version, which is the current one from then on.
        POST "/api/v1/skills/{id}/versions" => versions::create;
        /// A skill's versions from the first one, without their prompts; all of them, unless a page is asked for.
        GET "/api/v1/skills/{id}/versions" => versions::list;
        /// One version, with its prompt.
        GET "/api/v1/skills/{id}/versions/{version}" => versions::show;
        /// What came of a version, newest first; all of it, unless a page is asked for.
        GET "/api/v1/skills/{id}/versions/{version}/results" => results::list;
        /// What each version with usage reports has cost, and what became of its stories.
        ///
        /// A version is compared with the one in the row before.
        GET "/api/v1/skills/{id}/cost-performance" => cost::performance;
        /// What came of each version that has results, from the first one; all of them, unless a page is asked for.
        GET "/api/v1/skills/{id}/stats" => results::stats;
        /// Notes by which version of a skill a verification came about.
        ///
        /// `metrics` may hold anything; `findings_count`, `false_positive_count`, `true_positive_count`, `review_duration_ms` and
        /// `iteration` are integers.
        POST "/api/v1/skill_results" => results::create;
    }
}
