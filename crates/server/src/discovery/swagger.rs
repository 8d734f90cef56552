//! The OpenAPI document for people: Swagger UI, compiled in, so that nothing of it comes from another host.

use std::sync::LazyLock;

use askama::Template;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest as _, Sha256};

use crate::http::{ApiError, ApiResult, Asked, Name, Operation, Output};
use crate::web::{Elsewhere, FOREVER, FixedPage, HARMLESS, SentPage};

/// As for other pages. Its style sheet holds pictures of its own.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'none'; \
     base-uri 'none'; frame-ancestors 'none'",
);

/// A file of Swagger UI, compressed.
struct File {
    /// With a part of its hash, by which it may be kept for ever.
    name: String,
    content_type: &'static str,
    body: &'static [u8],
}

impl File {
    fn of(stem: &str, kind: &str, content_type: &'static str, body: &'static [u8]) -> Self {
        let hash = hex::encode(Sha256::digest(body));
        Self { name: format!("{stem}-{}.{kind}", &hash[..12]), content_type, body }
    }
}

static SCRIPT: LazyLock<File> = LazyLock::new(|| {
    let body = include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui-bundle.js.gz"));
    File::of("swagger-ui-bundle", "js", "text/javascript; charset=utf-8", body)
});

static STYLE: LazyLock<File> = LazyLock::new(|| {
    let body = include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui.css.gz"));
    File::of("swagger-ui", "css", "text/css; charset=utf-8", body)
});

#[derive(Template)]
#[template(path = "discovery/swagger.html")]
struct SwaggerPage {
    script: &'static str,
    style: &'static str,
}

static PAGE: LazyLock<Option<FixedPage>> = LazyLock::new(|| {
    let page = FixedPage::of(&SwaggerPage { script: &SCRIPT.name, style: &STYLE.name });
    page.inspect_err(|error| tracing::error!(%error, "the viewer's page cannot be made")).ok()
});

/// The page, with a policy of its own.
pub(super) struct Swagger(SentPage);

impl IntoResponse for Swagger {
    fn into_response(self) -> Response {
        let mut response = self.0.into_response();
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, POLICY);
        response
    }
}

impl Output for Swagger {
    fn describe(operation: &mut Operation<'_>) {
        SentPage::describe(operation);
    }
}

/// `GET /swaggerui`.
pub(super) async fn page(asked: Asked) -> ApiResult<Swagger> {
    PAGE.as_ref().map(|page| Swagger(page.unless(&asked))).ok_or_else(ApiError::internal)
}

/// `GET /swagger`.
pub(super) async fn elsewhere() -> Elsewhere {
    Elsewhere("/swaggerui")
}

/// `GET /swaggerui/{name}`. Whoever shows the page takes compressed files.
///
/// # Errors
/// 404.
pub(crate) async fn file(Name(name): Name) -> ApiResult<Response> {
    let file = [&SCRIPT, &STYLE].into_iter().find(|file| file.name == name);
    let File { content_type, body, .. } = &**file.ok_or_else(ApiError::not_found)?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (header::CONTENT_ENCODING, HeaderValue::from_static("gzip")),
        (header::CACHE_CONTROL, HeaderValue::from_static(FOREVER)),
        HARMLESS,
    ];
    Ok((headers, *body).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_there_and_compressed() {
        for file in [&SCRIPT, &STYLE] {
            assert!(file.body.starts_with(&[0x1f, 0x8b]) && file.body.len() > 10_000, "{}", file.name);
        }
    }
}
