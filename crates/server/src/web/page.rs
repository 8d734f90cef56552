//! Pages as they go out.

use askama::Template;
use axum::body::Bytes;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use crate::http::{ApiError, ApiResult, Asked, Fixed, LOOK_AGAIN, Operation, Output, Unless, headers};

/// What a browser may do on a page of ours: load from us and talk to us. No script stands in a page itself, and nobody else may put
/// a page of ours into theirs.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";

const HEADERS: [(HeaderName, HeaderValue); 5] = [
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    // For browsers that do not know the policy above.
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    // An address may hold a token, which is none of others' business.
    (header::REFERRER_POLICY, HeaderValue::from_static("strict-origin-when-cross-origin")),
    (HeaderName::from_static("x-permitted-cross-domain-policies"), HeaderValue::from_static("none")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
];

/// What is shown to somebody who has signed in is not to be found when they have left.
const KEPT_NOWHERE: [(HeaderName, HeaderValue); 1] =
    [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];

/// A page, made of its template.
pub(crate) struct Page<T>(pub(crate) T);

impl<T: Template> IntoResponse for Page<T> {
    fn into_response(self) -> Response {
        match self.0.render() {
            Ok(html) => (HEADERS, KEPT_NOWHERE, Html(html)).into_response(),
            Err(error) => {
                tracing::error!(%error, "a page cannot be made");
                ApiError::internal().into_response()
            }
        }
    }
}

impl<T> Output for Page<T> {
    fn describe(operation: &mut Operation<'_>) {
        operation.answer::<String>(200, "A page");
        operation.answer_as(200, "text/html");
        operation.answer_with(200, &headers::CACHE_CONTROL);
    }
}

/// A page, or where else to go.
pub(crate) enum Visit<T> {
    /// Here.
    Page(T),
    /// There, by a path of ours.
    Elsewhere(&'static str),
}

impl<T: Template> IntoResponse for Visit<T> {
    fn into_response(self) -> Response {
        match self {
            Self::Page(page) => Page(page).into_response(),
            Self::Elsewhere(path) => Elsewhere(path).into_response(),
        }
    }
}

impl<T> Output for Visit<T> {
    fn describe(operation: &mut Operation<'_>) {
        Page::<T>::describe(operation);
        Elsewhere::describe(operation);
    }
}

/// Where else to go, by a path of ours.
pub(crate) struct Elsewhere(pub(crate) &'static str);

impl IntoResponse for Elsewhere {
    fn into_response(self) -> Response {
        let location = [(header::LOCATION, HeaderValue::from_static(self.0))];
        (StatusCode::FOUND, HEADERS, KEPT_NOWHERE, location).into_response()
    }
}

impl Output for Elsewhere {
    fn describe(operation: &mut Operation<'_>) {
        operation.answer_empty(302, "Elsewhere");
        operation.answer_with(302, &headers::LOCATION);
        operation.answer_with(302, &headers::CACHE_CONTROL);
    }
}

/// A page that is the same for everybody for as long as the server runs.
#[derive(Debug)]
pub(crate) struct FixedPage(Fixed<String>);

impl FixedPage {
    /// Made of its template, once.
    ///
    /// # Errors
    /// What is wrong with the template.
    pub(crate) fn of(page: &impl Template) -> askama::Result<Self> {
        Ok(Self(Fixed::bytes(Bytes::from(page.render()?), HTML, LOOK_AGAIN)))
    }

    /// As it is sent to whoever has asked.
    pub(crate) fn unless(&self, asked: &Asked) -> SentPage {
        SentPage(self.0.unless(asked))
    }
}

/// A page, or word that the browser has it already.
pub(crate) struct SentPage(Unless<String>);

impl SentPage {
    /// Made of its template as it is at this moment.
    ///
    /// # Errors
    /// 500 when the template cannot be filled.
    pub(crate) fn now(page: &impl Template, asked: &Asked) -> ApiResult<Self> {
        let html = page.render().map_err(|error| {
            tracing::error!(%error, "a page cannot be made");
            ApiError::internal()
        })?;
        Ok(Self(Unless::now(html.into(), HTML, LOOK_AGAIN, asked)))
    }
}

impl IntoResponse for SentPage {
    fn into_response(self) -> Response {
        (HEADERS, self.0).into_response()
    }
}

impl Output for SentPage {
    fn describe(operation: &mut Operation<'_>) {
        Unless::<String>::describe(operation);
        operation.answer_as(200, "text/html");
    }
}
