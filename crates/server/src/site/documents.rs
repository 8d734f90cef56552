//! The documents of the repository as pages, and their drawings.

use std::collections::HashMap;
use std::sync::LazyLock;

use askama::Template;
use axum::body::Bytes;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use loopctl_docs::{GUIDE, LEGAL, PAGES, PICTURES, Page};
use sha2::{Digest, Sha256};

use crate::http::{ApiError, ApiResult, Asked, Fixed, LOOK_AGAIN, Name};
use crate::web::{FixedPage, SentPage};

#[derive(Template)]
#[template(path = "site/document.html")]
struct DocumentPage {
    page: &'static Page,
    /// Whether it is one of the documents, or stands beside them.
    is_listed: bool,
}

/// All of them, by their names.
static DOCUMENTS: LazyLock<HashMap<&'static str, FixedPage>> = LazyLock::new(|| {
    let made = |page: &'static Page, is_listed| match FixedPage::of(&DocumentPage { page, is_listed }) {
        Ok(made) => Some((page.name, made)),
        Err(error) => {
            tracing::error!(%error, page = page.name, "a document cannot be made");
            None
        }
    };
    let documents = PAGES.iter().filter_map(|page| made(page, true));
    documents.chain(LEGAL.iter().filter_map(|page| made(page, false))).collect()
});

fn document(name: &str, asked: &Asked) -> ApiResult<SentPage> {
    DOCUMENTS.get(name).map(|page| page.unless(asked)).ok_or_else(ApiError::not_found)
}

pub(super) async fn guide(asked: Asked) -> ApiResult<SentPage> {
    document(GUIDE, &asked)
}

pub(super) async fn terms(asked: Asked) -> ApiResult<SentPage> {
    document("terms", &asked)
}

pub(super) async fn privacy(asked: Asked) -> ApiResult<SentPage> {
    document("privacy", &asked)
}

/// What is served elsewhere is not served twice.
pub(super) async fn show(Name(name): Name, asked: Asked) -> ApiResult<SentPage> {
    let is_here = PAGES.iter().any(|page| page.name == name && page.name != GUIDE);
    if is_here { document(&name, &asked) } else { Err(ApiError::not_found()) }
}

/// A drawing, and what it may do where it is looked at by itself: have its own styles, which are known by their hash.
struct Drawing {
    svg: Fixed<String>,
    policy: HeaderValue,
}

static DRAWINGS: LazyLock<HashMap<&'static str, Drawing>> = LazyLock::new(|| {
    let drawing = |svg: &'static str| {
        let styles = svg.split_once("<style>").and_then(|(_, rest)| rest.split_once("</style>"));
        let policy = styles.map(|(styles, _)| {
            let hash = BASE64_STANDARD.encode(Sha256::digest(styles));
            format!("default-src 'none'; style-src 'sha256-{hash}'")
        });
        let policy = policy.and_then(|policy| HeaderValue::from_str(&policy).ok());
        let policy = policy.unwrap_or(HeaderValue::from_static("default-src 'none'"));
        Drawing { svg: Fixed::bytes(Bytes::from_static(svg.as_bytes()), "image/svg+xml", LOOK_AGAIN), policy }
    };
    PICTURES.iter().map(|picture| (picture.name, drawing(picture.svg))).collect()
});

/// `GET /drawings/{name}`.
///
/// # Errors
/// 404.
pub(super) async fn drawing(Name(name): Name, asked: Asked) -> ApiResult<Response> {
    let Drawing { svg, policy } = DRAWINGS.get(name.as_str()).ok_or_else(ApiError::not_found)?;
    Ok(([(header::CONTENT_SECURITY_POLICY, policy.clone())], svg.unless(&asked)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_documents_can_be_made() {
        assert_eq!(DOCUMENTS.len(), PAGES.len() + LEGAL.len());
        assert_eq!(DRAWINGS.len(), PICTURES.len());
    }
}
