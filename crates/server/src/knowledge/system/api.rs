//! System articles as programs read them.

use axum::extract::State;
use loopctl_core::knowledge::Category;
use loopctl_core::request::{Request, text};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::store::{PUBLISHED_SYSTEM_ARTICLE, PUBLISHED_SYSTEM_ARTICLES, SystemArticle};
use crate::app::App;
use crate::http::{ApiError, ApiResult, Asked, Query, Unless};

/// Whoever has them may go on with that for so long.
const KEPT: &str = "public, max-age=300";

#[derive(Request)]
pub(super) struct ReadSystemArticles {
    /// Only those of this category: `pattern`, `convention`, `decision`, `finding` or `reference`.
    #[rule(text(usize::MAX))]
    category: Option<String>,
    /// Only the one that is called this.
    #[rule(text(usize::MAX))]
    slug: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct SystemArticles {
    data: OneOrAll,
}

/// The article that was asked for, or all of them.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
enum OneOrAll {
    One(Box<SystemArticle>),
    All(Vec<SystemArticle>),
}

pub(super) async fn read(
    State(app): State<App>,
    Query(query): Query<ReadSystemArticles>,
    asked: Asked,
) -> ApiResult<Unless<SystemArticles>> {
    let category = query.category.as_deref().map(|word| Category::parse(word).ok_or(word)).transpose();
    let category = category.map_err(|_| ApiError::bad_request("Invalid category"))?;
    let data = match &query.slug {
        Some(slug) => {
            let found = app.db.read(Uuid::nil(), PUBLISHED_SYSTEM_ARTICLE.with(&[slug])).await?;
            let fits = |article: &SystemArticle| category.is_none_or(|of| of == article.category);
            let article = found.into_iter().find(fits);
            let missing = || ApiError::not_found().saying("System article not found".to_owned());
            OneOrAll::One(Box::new(article.ok_or_else(missing)?))
        }
        None => OneOrAll::All(
            app.db
                .read(Uuid::nil(), PUBLISHED_SYSTEM_ARTICLES.with(&[&category.map(Category::as_str)]))
                .await?,
        ),
    };
    Unless::json_now(&SystemArticles { data }, KEPT, &asked)
}
