//! The page of an article, and what is shown where there is none.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use loopctl_core::code::Code;
use uuid::Uuid;

use super::store::{Listed, PUBLISHED_SYSTEM_ARTICLE, SYSTEM_TITLES, SystemArticle};
use super::text::shown;
use crate::app::App;
use crate::http::{ApiResult, Asked, Name, Operation, Output};
use crate::web::{Page, SentPage};

#[derive(Template)]
#[template(path = "knowledge/system/show.html")]
struct ArticlePage<'a> {
    article: &'a SystemArticle,
    /// Made of its Markdown, and clean.
    html: String,
    /// All of them, by title.
    all: &'a [Listed],
}

#[derive(Template)]
#[template(path = "knowledge/system/missing.html")]
pub(super) struct MissingPage;

/// The article, or that there is none of that name.
pub(super) enum Article {
    Found(SentPage),
    Missing(Page<MissingPage>),
}

impl IntoResponse for Article {
    fn into_response(self) -> Response {
        match self {
            Self::Found(page) => page.into_response(),
            Self::Missing(page) => (StatusCode::NOT_FOUND, page).into_response(),
        }
    }
}

impl Output for Article {
    fn describe(operation: &mut Operation<'_>) {
        SentPage::describe(operation);
        operation.refuse(404, Code::NotFound, "the name is no text");
        operation.answer_also::<String>(404, "text/html");
    }
}

pub(super) async fn page(State(app): State<App>, Name(slug): Name, asked: Asked) -> ApiResult<Article> {
    let (found, all) = if slug.contains('\0') {
        (Vec::new(), Vec::new())
    } else {
        let wanted = [&slug as _];
        app.db.read(Uuid::nil(), (PUBLISHED_SYSTEM_ARTICLE.with(&wanted), SYSTEM_TITLES.with(&[]))).await?
    };
    let Some(article) = found.first() else { return Ok(Article::Missing(Page(MissingPage))) };
    let text = shown(&article.body, |slug| all.iter().any(|listed| listed.slug == slug));
    for missing in &text.missing {
        tracing::warn!(article = article.slug, missing, "an article leads to one that is not there");
    }
    let page = ArticlePage { article, html: text.html, all: &all };
    SentPage::now(&page, &asked).map(Article::Found)
}
