//! What is the same for everybody for as long as the server runs: known by its hash, and not sent again to who has it.

use std::convert::Infallible;
use std::marker::PhantomData;

use axum::body::Bytes;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use loopctl_core::request::Member;
use schemars::{JsonSchema, json_schema};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::endpoint::{Input, Operation, Output};
use super::headers;

/// A document of the type `T`.
#[derive(Debug)]
pub(crate) struct Fixed<T> {
    body: Bytes,
    etag: String,
    content_type: &'static str,
    cache_control: &'static str,
    of: PhantomData<fn() -> T>,
}

impl<T> Clone for Fixed<T> {
    fn clone(&self) -> Self {
        let Self { body, etag, content_type, cache_control, of } = self;
        let (body, etag) = (body.clone(), etag.clone());
        Self { body, etag, content_type, cache_control, of: *of }
    }
}

impl<T> Fixed<T> {
    /// This JSON, which may be kept as `cache_control` says.
    pub(crate) fn new(document: &Value, content_type: &'static str, cache_control: &'static str) -> Self {
        let body = document.to_string();
        let hash = hex::encode(Sha256::digest(&body));
        // Weak, because whoever compresses it on the way does not change what it says.
        let etag = format!("W/\"{}\"", &hash[..16]);
        Self { body: body.into(), etag, content_type, cache_control, of: PhantomData }
    }

    /// As it is sent to somebody who has this already.
    pub(crate) fn unless(&self, known: &IfNoneMatch) -> Unless<T> {
        Unless { document: self.clone(), is_known: known.names(&self.etag) }
    }
}

/// A document, or word that the client has it already.
pub(crate) struct Unless<T> {
    document: Fixed<T>,
    is_known: bool,
}

impl<T> IntoResponse for Unless<T> {
    fn into_response(self) -> Response {
        let Fixed { body, etag, content_type, cache_control, .. } = self.document;
        let kept = [(header::ETAG, etag), (header::CACHE_CONTROL, cache_control.to_owned())];
        if self.is_known {
            return (StatusCode::NOT_MODIFIED, kept).into_response();
        }
        (kept, [(header::CONTENT_TYPE, HeaderValue::from_static(content_type))], body).into_response()
    }
}

impl<T: JsonSchema> Output for Unless<T> {
    fn describe(operation: &mut Operation<'_>) {
        operation.answer::<T>(200, "The document, with its `ETag`");
        operation.answer_empty(304, "The client has it: `If-None-Match` names its `ETag`");
        for status in [200, 304] {
            operation.answer_with(status, &headers::ETAG);
            operation.answer_with(status, &headers::CACHE_CONTROL);
        }
    }
}

/// What a client says that it has.
#[derive(Debug)]
pub(crate) struct IfNoneMatch(Vec<String>);

impl IfNoneMatch {
    fn of(headers: &HeaderMap) -> Self {
        let sent = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        Self(sent.flat_map(|list| list.split(',')).map(|tag| tag.trim().to_owned()).collect())
    }

    /// Whether it is among that; weak and strong tags are not told apart.
    fn names(&self, etag: &str) -> bool {
        let opaque = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).to_owned();
        self.0.iter().any(|tag| tag == "*" || opaque(tag) == opaque(etag))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfNoneMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.headers))
    }
}

impl Input for IfNoneMatch {
    fn describe(operation: &mut Operation<'_>) {
        operation.headers.push(Member {
            name: "If-None-Match",
            description: "The `ETag` of what the client has, several of them, or `*`.",
            schema: json_schema!({"type": "string"}),
            required: false,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_it_says_so_in_many_ways() {
        let ours = "W/\"0123456789abcdef\"";
        for (sent, is_known) in [
            (&[][..], false),
            (&[ours], true),
            (&["\"0123456789abcdef\""], true),
            (&["*"], true),
            (&["\"a\" , W/\"0123456789abcdef\",\"b\""], true),
            (&["\"a\"", ours], true),
            (&["\"a\"", "W/\"b\""], false),
            (&["0123456789abcdef"], false),
            (&[""], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in sent {
                headers.append(header::IF_NONE_MATCH, HeaderValue::from_static(value));
            }
            assert_eq!(IfNoneMatch::of(&headers).names(ours), is_known, "{sent:?}");
        }
    }
}
