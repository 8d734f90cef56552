//! The first page of the wiki: what there is to read, or what was found.

use askama::Template;
use axum::extract::State;
use loopctl_core::knowledge::Category;
use loopctl_core::request::{Request, text};
use loopctl_markdown::summary;
use uuid::Uuid;

use super::store::{Found, LOOK_FOR_SYSTEM_ARTICLES};
use crate::app::App;
use crate::http::{ApiError, ApiResult, Asked, Query};
use crate::web::SentPage;

/// In this order they are shown: first what everybody does, last what is looked up.
const ORDER: [Category; 5] =
    [Category::Convention, Category::Pattern, Category::Decision, Category::Finding, Category::Reference];

/// How many characters may be looked for.
const LONGEST: usize = 500;

/// As much of an article as a list tells.
const SUMMARY: usize = 160;

#[derive(Request)]
pub(super) struct LookFor {
    /// Part of a title or of a text, in either case.
    #[rule(text(usize::MAX))]
    q: Option<String>,
}

#[derive(Template)]
#[template(path = "knowledge/system/index.html")]
struct IndexPage<'a> {
    /// What is looked for.
    query: Option<&'a str>,
    /// How many were found.
    found: usize,
    groups: Vec<Group>,
    longest: usize,
}

struct Group {
    category: Category,
    articles: Vec<Entry>,
}

struct Entry {
    slug: String,
    title: String,
    summary: String,
}

pub(super) async fn page(
    State(app): State<App>,
    Query(query): Query<LookFor>,
    asked: Asked,
) -> ApiResult<SentPage> {
    if query.q.as_ref().is_some_and(|q| q.chars().nth(LONGEST).is_some()) {
        return Err(ApiError::bad_request(format!("Bad Request: q may have {LONGEST} characters")));
    }
    let found = app.db.read(Uuid::nil(), LOOK_FOR_SYSTEM_ARTICLES.with(&[&query.q])).await?;
    let page =
        IndexPage { query: query.q.as_deref(), found: found.len(), groups: grouped(found), longest: LONGEST };
    SentPage::now(&page, &asked)
}

fn grouped(found: Vec<Found>) -> Vec<Group> {
    let mut groups = ORDER.map(|category| Group { category, articles: Vec::new() });
    for Found { slug, title, category, beginning } in found {
        let group = groups.iter_mut().find(|group| group.category == category);
        if let Some(group) = group {
            group.articles.push(Entry { slug, title, summary: summary(&beginning, SUMMARY) });
        }
    }
    groups.into_iter().filter(|group| !group.articles.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_category_has_its_place() {
        let mut shown = ORDER.to_vec();
        shown.sort();
        assert_eq!(shown, Category::ALL);
        let found = |category| Found {
            slug: "s".to_owned(),
            title: "T".to_owned(),
            category,
            beginning: String::new(),
        };
        let groups = grouped([Category::Reference, Category::Pattern, Category::Reference].map(found).into());
        let counted: Vec<_> = groups.iter().map(|group| (group.category, group.articles.len())).collect();
        assert_eq!(counted, [(Category::Pattern, 1), (Category::Reference, 2)]);
    }
}
