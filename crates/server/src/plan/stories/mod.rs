//! Stories: what planners write of them, lists, the ready queue and what blocks the rest. What moves a story, and what
//! is known of the work on it, is in `trust_loop`.

mod api;
mod create;
mod criteria;
mod custody;
mod locks;
mod next_steps;
mod queue;
mod store;
mod text;

use crate::app::Endpoint;
use crate::http::endpoints;

pub(crate) use criteria::{CriteriaList, STATEMENTS as CRITERIA_STATEMENTS, write_criteria};
pub(crate) use custody::{Digested, STATEMENTS as CUSTODY_STATEMENTS, Started, UnderWay, joining_started};
pub(crate) use locks::{
    LOCK_FREE_STORIES, LOCK_PROJECTS_OF_STORIES, LOCK_STORIES, LOCK_WITH_DEPENDENTS,
    STATEMENTS as LOCK_STATEMENTS,
};
pub(crate) use next_steps::{NextStep, next_steps};
pub(crate) use queue::STATEMENTS as QUEUE_STATEMENTS;
pub(crate) use store::{Asked, FIND_STORY, STATEMENTS, Story};
pub(crate) use text::StoryText;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Endpoint> {
    endpoints! { "Stories";
        /// A project's stories in order.
        ///
        /// Numbers compare as numbers: 1.9 comes before 1.10.
        GET "/api/v1/stories" => api::list;
        /// An epic's stories in number order.
        GET "/api/v1/epics/{epic_id}/stories" => api::list_of_epic;
        /// Creates a story in an epic.
        ///
        /// It starts pending and unverified, whatever the body says.
        POST "/api/v1/epics/{epic_id}/stories" => create::create,
            422 StoryLimitReached "the project has as many stories as it may have";
        /// Creates a story in the epic with this number.
        POST "/api/v1/projects/{project_id}/stories" => create::create_by_number,
            422 EpicNumberRequired "no epic is named", 422 EpicNotFound "there is no such epic",
            422 StoryLimitReached "the project has as many stories as it may have";
        /// Changes what planners write of a story.
        ///
        /// What is absent or null stays. Its number stays, and its statuses move only through the trust loop. Title and
        /// criteria are not for whoever implements it to change, and of a story that is under way their change is told by an
        /// audit entry of its own.
        PATCH + also_put "/api/v1/stories/{id}" => api::update,
            409 SelfCriteriaBlocked "the key is bound to an implementer of the story";
        /// Deletes a story with its evidence, and the dependencies on either side of it.
        DELETE "/api/v1/stories/{id}" => api::delete;
        /// A story's acceptance criteria, one by one, in the order of its list.
        GET "/api/v1/stories/{story_id}/acceptance_criteria" => api::acceptance_criteria;
        /// Stories that can be contracted now.
        ///
        /// Pending, and every prerequisite story and every story of the prerequisite epics is verified. `next_actions` has the
        /// call that contracts it.
        GET "/api/v1/stories/ready" => queue::ready;
        /// The ready queue of one project, archived or not.
        GET "/api/v1/projects/{project_id}/stories/ready" => queue::ready_in_project;
        /// Stories with a prerequisite that is not verified, and those prerequisites.
        GET "/api/v1/stories/blocked" => queue::blocked;
        /// The blocked stories of one project, archived or not.
        GET "/api/v1/projects/{project_id}/stories/blocked" => queue::blocked_in_project;
    }
}
