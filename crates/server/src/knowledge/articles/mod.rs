//! Articles: written as drafts, published for readers, laid aside, or superseded by others.

mod api;
mod bulk;
mod drafts;
mod moves;
mod store;
pub(crate) mod told;
mod update;

use crate::app::Endpoint;
use crate::http::endpoints;

pub(crate) use api::known_word;
pub(crate) use drafts::STATEMENTS as DRAFT_STATEMENTS;
pub(crate) use drafts::{Draft, Origin, insert_drafts};
pub(crate) use store::{Article, SET_STATUS, STATEMENTS};
pub(crate) use told::superseded;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Endpoint> {
    endpoints! { "Knowledge";
        /// Writes an article.
        ///
        /// Agents write drafts. An orchestrator may publish what it writes at once. Without a `slug` one is made of the title.
        POST "/api/v1/articles" => api::create,
            403 SystemScopeForbidden "`scope` is `system`, and the key is no superadmin's";
        /// Writes an article of a project.
        POST "/api/v1/projects/{project_id}/articles" => api::create_in_project,
            403 SystemScopeForbidden "`scope` is `system`, and the key is no superadmin's";
        /// The tenant's articles, newest first, drafts as well.
        ///
        /// `tags` are separated by commas; an article needs one of them.
        GET "/api/v1/articles" => api::list,
            400 BadRequest "an unknown category or status";
        /// The articles of a project, newest first, without those of the whole tenant.
        GET "/api/v1/projects/{project_id}/articles" => api::list_of_project,
            400 BadRequest "an unknown category or status";
        /// One article, with the newest 100 links in either direction.
        GET "/api/v1/articles/{id}" => api::show;
        /// Changes an article.
        ///
        /// What is null stays. A change of `status` takes the same ways as publishing, withdrawing and archiving do.
        PATCH + also_put "/api/v1/articles/{id}" => update::update,
            403 SystemScopeForbidden "it is a system article, and the key is no superadmin's",
            422 InvalidTransition "the article's status does not become the one that is asked for";
        /// Lays an article aside, whatever its status.
        ///
        /// It stays to be read. Repeating it changes nothing.
        DELETE "/api/v1/articles/{id}" => moves::delete,
            403 SystemScopeForbidden "it is a system article, and the key is no superadmin's";
        /// Publishes a draft.
        POST "/api/v1/articles/{id}/publish" => moves::publish,
            403 SystemScopeForbidden "it is a system article, and the key is no superadmin's",
            422 InvalidTransition "it is no draft";
        /// Makes a draft again of what was published, or superseded.
        POST "/api/v1/articles/{id}/unpublish" => moves::unpublish,
            403 SystemScopeForbidden "it is a system article, and the key is no superadmin's",
            422 InvalidTransition "it is neither published nor superseded",
            422 ValidationFailed "another article has taken its title";
        /// Lays a draft or a published article aside.
        POST "/api/v1/articles/{id}/archive" => moves::archive,
            403 SystemScopeForbidden "it is a system article, and the key is no superadmin's",
            422 InvalidTransition "it is neither a draft nor published";
        /// The drafts that wait to be published, newest first.
        GET "/api/v1/knowledge/drafts" => api::drafts;
        /// Publishes up to 100 drafts: all of them, or none.
        POST "/api/v1/knowledge/bulk-publish" => bulk::publish,
            400 BadRequest "`article_ids` is no list of 1 to 100 ids",
            404 NotFound "one of them is not there",
            422 InvalidTransition "one of them is no draft",
            422 AnswerTooLarge "their texts are larger than 16 MiB";
    }
}
