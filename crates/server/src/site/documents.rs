//! The documents of the repository as pages, and their drawings.

use std::collections::HashMap;
use std::sync::LazyLock;

use askama::Template;
use axum::body::Bytes;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use loopctl_docs::{GUIDE, PAGES, PICTURES, Page};
use sha2::{Digest, Sha256};

use super::pages::Site;
use crate::http::{ApiError, ApiResult, Asked, Fixed, LOOK_AGAIN, Name};
use crate::web::{FixedPage, SentPage};

#[derive(Template)]
#[template(path = "site/document.html")]
pub(super) struct DocumentPage<'a> {
    page: &'a Page,
    /// Whether it is one of the documents, or stands beside them.
    is_listed: bool,
    /// Its text, in which this server has its own address.
    html: String,
}

/// What a server is called in the documents.
const ANY_SERVER: &str = "http://localhost:4000";

impl DocumentPage<'_> {
    /// A document on a server that clients reach by this URL.
    ///
    /// # Errors
    /// What is wrong with the template.
    pub(super) fn of(page: &Page, is_listed: bool, public_url: &str) -> askama::Result<FixedPage> {
        let html = page.html().replace(ANY_SERVER, public_url);
        FixedPage::of(&DocumentPage { page, is_listed, html })
    }
}

pub(super) async fn guide(site: Site, asked: Asked) -> ApiResult<SentPage> {
    site.page(GUIDE, &asked).await
}

pub(super) async fn terms(site: Site, asked: Asked) -> ApiResult<SentPage> {
    site.page("terms", &asked).await
}

pub(super) async fn privacy(site: Site, asked: Asked) -> ApiResult<SentPage> {
    site.page("privacy", &asked).await
}

/// What is served elsewhere is not served twice.
pub(super) async fn show(Name(name): Name, site: Site, asked: Asked) -> ApiResult<SentPage> {
    let is_here = PAGES.iter().any(|page| page.name == name && page.name != GUIDE);
    if is_here { site.page(&name, &asked).await } else { Err(ApiError::not_found()) }
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
