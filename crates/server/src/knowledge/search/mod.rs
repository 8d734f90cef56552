//! What is published is found by its words and by what it means.

mod api;
mod asked;
mod context;
mod ranked;
mod shelf;
mod store;

use crate::app::Endpoint;
use crate::http::endpoints;

pub(crate) use shelf::{Related, STATEMENTS as SHELF_STATEMENTS, Shelves};
pub(crate) use store::STATEMENTS;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Endpoint> {
    endpoints! { "Knowledge";
        /// Published articles that answer a question, best first.
        ///
        /// `keyword` looks for words as search engines do (quotes, `or`, `-word`), `semantic` for what means the same, and `combined`
        /// for both. Where nobody can make out what a text means, `combined` is `keyword`, and `meta.fallback` says so.
        GET "/api/v1/knowledge/search" => api::search,
            400 BadRequest "no `q`, a long one, or an unknown mode or category",
            503 EmbeddingUnavailable "by meaning alone, and nobody can make out what `q` means";
        /// The articles that help most with a task, with their text.
        ///
        /// Those that were changed last count more, by `recency_weight`. With `max_tokens` the best ones come whole, as long as there
        /// is room, and of others the parts that answer the question; `meta.cut` names what is not there in full.
        GET "/api/v1/knowledge/context" => context::context,
            400 BadRequest "no `query`, or a long one",
            422 ValidationFailed "`max_tokens` is no positive number";
    }
}
