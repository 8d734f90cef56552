//! All pages of the site, as they go out: made once, for a server that clients reach by one address.

use std::collections::HashMap;
use std::sync::Arc;

use loopctl_docs::{LEGAL, PAGES};

use super::documents::DocumentPage;
use super::home::HomePage;
use crate::http::{ApiError, ApiResult, Asked, Late, Shared};
use crate::web::{FixedPage, SentPage};

/// What the front page is called among them.
pub(super) const HOME: &str = "home";

/// The pages by their names, at hand with every request.
pub(crate) type Site = Shared<Late<HashMap<&'static str, FixedPage>>>;

impl Site {
    /// Of a server that clients reach by this URL.
    pub(crate) fn of(public_url: Arc<str>) -> Self {
        Self(Arc::new(Late::new(move || {
            let documents =
                PAGES.iter().map(|page| (page, true)).chain(LEGAL.iter().map(|page| (page, false)));
            let documents = documents
                .map(|(page, is_listed)| (page.name, DocumentPage::of(page, is_listed, &public_url)));
            let home = (HOME, FixedPage::of(&HomePage::of(&public_url)));
            let made = std::iter::once(home).chain(documents).filter_map(|(name, page)| {
                let page = page.inspect_err(|error| tracing::error!(%error, name, "a page cannot be made"));
                page.ok().map(|page| (name, page))
            });
            made.collect()
        })))
    }

    /// One of them, as it is sent to whoever has asked.
    ///
    /// # Errors
    /// 404 when there is none of that name.
    pub(super) async fn page(&self, name: &str, asked: &Asked) -> ApiResult<SentPage> {
        self.0.get().await?.get(name).map(|page| page.unless(asked)).ok_or_else(ApiError::not_found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_of_them_can_be_made() {
        let site = Site::of("https://loop.example".into());
        assert_eq!(site.0.get().await.unwrap().len(), 1 + PAGES.len() + LEGAL.len());
    }
}
