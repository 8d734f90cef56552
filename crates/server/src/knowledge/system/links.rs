//! Whether everything that leads into the wiki leads somewhere: links of articles and of documents, what the server tells programs, and
//! where refusals say that there is more to read.

use loopctl_core::code::Code;
use loopctl_docs::{LEGAL, PAGES};
use loopctl_markdown::links;
use serde::Serialize;

use super::text::article_of;
use crate::db::migrate::connect;
use crate::db::{DbError, Login};
use crate::{discovery, http, identity};

const PUBLISHED: &str = "select slug, body from system_articles where status = 'published' order by slug";

/// What was looked at, and what is wrong with it.
#[derive(Debug, Serialize)]
pub struct LinkCheck {
    /// How many published system articles there are.
    pub articles: usize,
    /// How many links were followed.
    pub followed: usize,
    /// How many of them lead nowhere.
    pub broken: usize,
    /// Those.
    pub links: Vec<BrokenLink>,
}

/// A link that leads nowhere.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct BrokenLink {
    /// Where it stands.
    pub from: String,
    /// Where it was to lead.
    pub to: String,
}

/// Follows all links into the wiki, and to the section of each code.
///
/// # Errors
/// When the database is not to be reached, or fails.
pub async fn check_links(owner: &Login) -> Result<LinkCheck, DbError> {
    let rows = connect(owner).await?.query(PUBLISHED, &[]).await?;
    let read = rows.iter().map(|row| Ok((row.try_get("slug")?, row.try_get("body")?)));
    let articles: Vec<(String, String)> = read.collect::<Result<_, tokio_postgres::Error>>()?;
    Ok(checked(&articles))
}

/// The articles with their slugs.
fn checked(articles: &[(String, String)]) -> LinkCheck {
    let mut references: Vec<(String, String)> = Vec::new();
    for (slug, body) in articles {
        let from = format!("/wiki/{slug}");
        references.extend(links(body).into_iter().map(|to| (from.clone(), to)));
    }
    for page in PAGES.iter().chain(LEGAL) {
        let html = page.html();
        let hrefs = html.split(" href=\"").skip(1).filter_map(|rest| rest.split('"').next());
        references.extend(hrefs.map(|to| (page.path(), to.to_owned())));
    }
    let told = discovery::told_pages();
    references.extend(told.into_iter().map(|to| ("/.well-known/loopctl".to_owned(), to)));
    references.push(("/signup".to_owned(), identity::signup::LEARN_MORE.to_owned()));
    references.retain(|(_, to)| article_of(to).is_some());
    let mut followed = references.len();
    let is_there = |to: &str| article_of(to).is_some_and(|of| articles.iter().any(|(slug, _)| slug == of));
    let mut broken: Vec<_> = references.into_iter().filter(|(_, to)| !is_there(to)).collect();
    for code in Code::ALL {
        let to = http::learn_more("", *code);
        followed += 1;
        if !leads_to_a_section(&to) {
            broken.push((format!("code {code}"), to));
        }
    }
    let broken: Vec<_> = broken.into_iter().map(|(from, to)| BrokenLink { from, to }).collect();
    LinkCheck { articles: articles.len(), followed, broken: broken.len(), links: broken }
}

/// Whether a link leads to a document's heading.
fn leads_to_a_section(to: &str) -> bool {
    let Some((path, id)) = to.split_once('#') else { return false };
    let page = PAGES.iter().find(|page| page.path() == path);
    page.is_some_and(|page| page.contents.iter().any(|heading| heading.id == id))
}

#[cfg(test)]
mod tests {
    use loopctl_docs::ARTICLES;

    use super::*;

    fn shipped() -> Vec<(String, String)> {
        ARTICLES.iter().map(|article| (article.slug.to_owned(), article.body.to_owned())).collect()
    }

    #[test]
    fn what_comes_along_leads_somewhere() {
        let check = checked(&shipped());
        assert_eq!(check.links, []);
        let articles = ARTICLES.len();
        assert!(check.articles == articles && check.followed > articles + Code::ALL.len(), "{check:?}");
    }

    #[test]
    fn whatever_is_missing_is_told_with_all_that_leads_there() {
        let mut articles = shipped();
        articles.retain(|(slug, _)| slug != "tenant-signup");
        articles.push(("mine".to_owned(), "[a](/wiki/nowhere#x) [b](/wiki) [c](/docs/nothing)".to_owned()));
        let check = checked(&articles);
        let leads = |from: &str, to: &str| {
            check.links.iter().any(|link| (link.from.as_str(), link.to.as_str()) == (from, to))
        };
        assert!(leads("/wiki/mine", "/wiki/nowhere#x"), "{check:?}");
        assert!(leads("/signup", "/wiki/tenant-signup"), "{check:?}");
        assert!(leads("/wiki/chain-of-custody", "/wiki/tenant-signup"), "{check:?}");
        assert_eq!(check.broken, check.links.len());
    }

    #[test]
    fn sections_are_known() {
        assert!(leads_to_a_section("/docs/errors#not_found"));
        for wrong in ["/docs/errors", "/docs/errors#nothing", "/docs/nothing#not_found", "#not_found"] {
            assert!(!leads_to_a_section(wrong), "{wrong}");
        }
    }
}
