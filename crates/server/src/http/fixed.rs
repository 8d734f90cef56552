//! What is the same for everybody for as long as the server runs: known by its hash, not sent again to who has it, and compressed once
//! instead of for each.

use std::convert::Infallible;
use std::io::Write as _;
use std::marker::PhantomData;

use axum::body::Bytes;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use loopctl_core::request::Member;
use schemars::{JsonSchema, json_schema};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::accept::{elements, reads_gzip};
use super::endpoint::{Input, Operation, Output};
use super::error::{ApiError, ApiResult};
use super::headers;

/// For what may be otherwise when the server is another version.
pub(crate) const LOOK_AGAIN: &str = "public, max-age=0, must-revalidate";

/// A document of the type `T`.
#[derive(Debug)]
pub(crate) struct Fixed<T> {
    plain: Form,
    /// None where it would not be smaller.
    gzip: Option<Form>,
    content_type: &'static str,
    cache_control: &'static str,
    of: PhantomData<fn() -> T>,
}

/// The bytes that are sent, and what they are known by.
#[derive(Debug, Clone)]
struct Form {
    body: Bytes,
    etag: String,
}

impl<T> Fixed<T> {
    /// This JSON, which may be kept as `cache_control` says. Its tag is weak: however it is compressed, it says the same.
    pub(crate) fn json(document: &Value, content_type: &'static str, cache_control: &'static str) -> Self {
        let body = Bytes::from(document.to_string());
        let etag = format!("W/\"{}\"", hash_of(&body));
        let gzip = gzip(&body, Compression::best()).map(|body| Form { body, etag: etag.clone() });
        Self { plain: Form { body, etag }, gzip, content_type, cache_control, of: PhantomData }
    }

    /// These bytes. Their tag is strong, and each form has its own.
    pub(crate) fn bytes(body: Bytes, content_type: &'static str, cache_control: &'static str) -> Self {
        let hash = hash_of(&body);
        let gzip =
            gzip(&body, Compression::best()).map(|body| Form { body, etag: format!("\"{hash}-gzip\"") });
        let plain = Form { etag: format!("\"{hash}\""), body };
        Self { plain, gzip, content_type, cache_control, of: PhantomData }
    }

    /// As it is sent to somebody who has this already, and reads that.
    pub(crate) fn unless(&self, asked: &Asked) -> Unless<T> {
        let form = self.gzip.as_ref().filter(|_| asked.reads_gzip).unwrap_or(&self.plain);
        Unless {
            form: form.clone(),
            is_known: asked.has(&form.etag),
            is_gzip: self.gzip.is_some() && asked.reads_gzip,
            varies: self.gzip.is_some(),
            content_type: self.content_type,
            cache_control: self.cache_control,
            of: PhantomData,
        }
    }
}

fn hash_of(body: &[u8]) -> String {
    let mut hash = hex::encode(Sha256::digest(body));
    hash.truncate(16);
    hash
}

fn gzip(body: &[u8], effort: Compression) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), effort);
    // Into memory it cannot fail; if it does, there is no such form.
    let smaller = encoder.write_all(body).and_then(|()| encoder.finish()).ok()?;
    (smaller.len() < body.len()).then(|| smaller.into())
}

/// A document, or word that the client has it already.
pub(crate) struct Unless<T> {
    form: Form,
    is_known: bool,
    is_gzip: bool,
    /// Whether there is more than one form of it.
    varies: bool,
    content_type: &'static str,
    cache_control: &'static str,
    of: PhantomData<fn() -> T>,
}

impl<T> Unless<T> {
    /// What may be another document the next time: made for this one, and compressed only if it is sent. Its tag is weak.
    pub(crate) fn now(
        body: Bytes,
        content_type: &'static str,
        cache_control: &'static str,
        asked: &Asked,
    ) -> Self {
        let etag = format!("W/\"{}\"", hash_of(&body));
        let is_known = asked.has(&etag);
        let is_wanted = asked.reads_gzip && !is_known;
        let smaller = is_wanted.then(|| gzip(&body, Compression::fast())).flatten();
        let is_gzip = smaller.is_some();
        let form = Form { body: smaller.unwrap_or(body), etag };
        Self { form, is_known, is_gzip, varies: true, content_type, cache_control, of: PhantomData }
    }
}

impl<T: Serialize> Unless<T> {
    /// As [`Self::now`], of a document that is JSON.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn json_now(document: &T, cache_control: &'static str, asked: &Asked) -> ApiResult<Self> {
        let body = serde_json::to_vec(document).map_err(|error| {
            tracing::error!(%error, "a document cannot be written");
            ApiError::internal()
        })?;
        Ok(Self::now(body.into(), "application/json", cache_control, asked))
    }
}

impl<T> IntoResponse for Unless<T> {
    fn into_response(self) -> Response {
        let kept = [(header::ETAG, self.form.etag), (header::CACHE_CONTROL, self.cache_control.to_owned())];
        let mut response = if self.is_known {
            (StatusCode::NOT_MODIFIED, kept).into_response()
        } else {
            let content_type = HeaderValue::from_static(self.content_type);
            (kept, [(header::CONTENT_TYPE, content_type)], self.form.body).into_response()
        };
        let headers = response.headers_mut();
        if self.varies {
            headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        }
        if self.is_gzip && !self.is_known {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
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

/// What a client has of a document, and in which form it can read the rest.
#[derive(Debug)]
pub(crate) struct Asked {
    /// Tags without the mark of the weak ones.
    known: Vec<String>,
    reads_gzip: bool,
}

impl Asked {
    fn of(headers: &HeaderMap) -> Self {
        let tags = elements(headers, header::IF_NONE_MATCH).map(|tag| opaque(tag).to_owned());
        Self { known: tags.collect(), reads_gzip: reads_gzip(headers) }
    }

    /// Whether it has that; weak and strong tags are not told apart.
    fn has(&self, etag: &str) -> bool {
        self.known.iter().any(|tag| tag == "*" || tag == opaque(etag))
    }
}

fn opaque(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.headers))
    }
}

impl Input for Asked {
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

    fn asked(name: header::HeaderName, sent: &[&'static str]) -> Asked {
        let mut headers = HeaderMap::new();
        for value in sent {
            headers.append(name.clone(), HeaderValue::from_static(value));
        }
        Asked::of(&headers)
    }

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
            assert_eq!(asked(header::IF_NONE_MATCH, sent).has(ours), is_known, "{sent:?}");
        }
    }

    #[test]
    fn each_form_is_known_by_a_tag_of_its_own() {
        let text = Bytes::from("loopctl ".repeat(100));
        let document: Fixed<String> = Fixed::bytes(text.clone(), "text/plain", LOOK_AGAIN);
        let plain = document.unless(&asked(header::ACCEPT_ENCODING, &[]));
        let gzip = document.unless(&asked(header::ACCEPT_ENCODING, &["gzip"]));
        assert_eq!(plain.form.body, text);
        assert!(gzip.form.body.len() < text.len() && gzip.form.etag != plain.form.etag);
        assert!(plain.varies && gzip.varies);
        // What compression makes longer is sent as it is.
        let short: Fixed<String> = Fixed::bytes(Bytes::from_static(b"x"), "text/plain", LOOK_AGAIN);
        let short = short.unless(&asked(header::ACCEPT_ENCODING, &["gzip"]));
        assert!(!short.is_gzip && !short.varies);
    }
}
