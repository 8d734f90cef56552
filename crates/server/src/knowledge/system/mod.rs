//! System articles: what this server itself explains, to everybody. They come along with loopctl and belong to no tenant; superadmins
//! write further ones, and may change those that came along. The public wiki shows them.

mod api;
mod changes;
mod index;
mod links;
mod seed;
mod show;
mod store;
mod text;

use crate::app::Endpoint;
use crate::http::endpoints;

pub(crate) use changes::{
    NewSystemArticle, Whose, beyond_tenants, change, create, find, forbidden, or_forbidden, set_status, whose,
};
pub use links::{BrokenLink, LinkCheck, check_links};
pub use seed::seed;
pub(crate) use store::STATEMENTS;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Endpoint> {
    endpoints! {
        "Knowledge";
        /// The published system articles by title, or one of them; no key is needed.
        ///
        /// They are the same for every tenant. With a `slug` the answer is the one article that is called that.
        GET "/api/v1/articles/system" => api::read, 404 NotFound "no published system article has this slug";
        "Pages";
        /// The public wiki: all system articles, or those that hold what is looked for.
        GET "/wiki" => index::page;
        /// A system article.
        GET "/wiki/{slug}" => show::page;
    }
}
