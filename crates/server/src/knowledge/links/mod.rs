//! How articles hang together. A link is made and taken away, and never changed.

mod api;
mod store;

use crate::app::Endpoint;
use crate::http::endpoints;

pub(crate) use store::{
    ArticleLink, INCOMING_LINKS, LinkRow, OUTGOING_LINKS, STATEMENTS, SYSTEM_INCOMING_LINKS,
    SYSTEM_OUTGOING_LINKS,
};

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Endpoint> {
    endpoints! { "Knowledge";
        /// Links an article with another one.
        ///
        /// With `supersedes` the target becomes superseded, whatever its status. `relates_to` is the same in both directions.
        POST "/api/v1/article_links" => api::create, 409 LinkExists "they are related already, in the other direction";
        /// Takes a link away.
        ///
        /// What was superseded by it stays so: `unpublish` makes it a draft again.
        DELETE "/api/v1/article_links/{id}" => api::delete;
        /// The newest 100 links of an article, in either direction; none of an article that is not there.
        GET "/api/v1/articles/{article_id}/links" => api::list;
    }
}
