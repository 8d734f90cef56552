//! Request bodies (file 01 §1.2, file 03 §0.3, decisions 6, 15, 16, 29).

use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use http_body_util::BodyExt as _;
use loopctl_core::fields::{FieldErrors, INVALID, find_nul};
use serde_json::{Map, Value};

use super::error::{ApiError, ApiResult};
use super::query::{Query, parse_form};

/// The most that a request body may be, in bytes.
pub(crate) const BODY_LIMIT: usize = 2_097_152;
/// The most that an import or a knowledge ingestion may be, in bytes.
pub(crate) const LARGE_BODY_LIMIT: usize = 10_485_760;

/// How deep a body may nest. Less than what can be read (128), so that what is stored can be read again deeper inside
/// another document: an export holds a story's metadata four levels further down.
const DEPTH: usize = 100;
/// How deep an import or a knowledge ingestion may nest: as deep as JSON is read.
const LARGE_DEPTH: usize = 128;

/// The request's parameters: the JSON (or form) body, with query parameters beneath it. Checked for what no
/// handler wants to see: too large, malformed, not an object, NUL characters.
#[derive(Debug)]
pub(crate) struct Body(pub Map<String, Value>);

/// As [`Body`], with room for an import.
#[derive(Debug)]
pub(crate) struct LargeBody(pub Map<String, Value>);

impl Body {
    /// Reads fields with a resource's own reader.
    ///
    /// # Errors
    /// 422 with every failing field.
    pub(crate) fn read<T>(
        &self,
        reader: impl FnOnce(&Map<String, Value>) -> Result<T, FieldErrors>,
    ) -> ApiResult<T> {
        reader(&self.0).map_err(ApiError::from)
    }
}

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Self::Rejection> {
        parameters(request, BODY_LIMIT, DEPTH).await.map(Self)
    }
}

impl<S: Send + Sync> FromRequest<S> for LargeBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Self::Rejection> {
        parameters(request, LARGE_BODY_LIMIT, LARGE_DEPTH).await.map(Self)
    }
}

async fn parameters(request: Request, limit: usize, depth: usize) -> ApiResult<Map<String, Value>> {
    let mut parameters = Query::parse(request.uri().query().unwrap_or_default())?.into_map();
    let content_type = request.headers().get(header::CONTENT_TYPE).map(|value| {
        let text = value.to_str().unwrap_or_default();
        text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    });
    let bytes = read(request, limit).await?;
    parameters.extend(parse(&bytes, content_type.as_deref(), depth)?);
    Ok(parameters)
}

/// Collects the body up to the limit; `layers::drain` reads what is left.
async fn read(request: Request, limit: usize) -> ApiResult<Vec<u8>> {
    // Answered before the first byte is asked for: a client that waits to be asked sends nothing.
    let announced =
        request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: u64| length > limit as u64) {
        return Err(too_large(limit));
    }
    let mut body = request.into_body();
    let mut bytes = Vec::with_capacity(announced.unwrap_or_default().min(65_536) as usize);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| ApiError::bad_request("Bad Request: the body was cut off"))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > limit {
            return Err(too_large(limit));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

fn too_large(limit: usize) -> ApiError {
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "Request Entity Too Large")
        .with("limit_bytes", limit.into())
}

fn parse(bytes: &[u8], content_type: Option<&str>, depth: usize) -> ApiResult<Map<String, Value>> {
    let trimmed = bytes.trim_ascii();
    if trimmed.is_empty() {
        return Ok(Map::new());
    }
    let json_type = content_type.is_some_and(|name| {
        name == "application/json" || (name.starts_with("application/") && name.ends_with("+json"))
    });
    let value = if json_type {
        serde_json::from_slice(trimmed).map_err(|error| malformed(&error))?
    } else {
        // curl without a content type sends JSON as a form.
        let looks_like_json = matches!(trimmed.first(), Some(b'{' | b'['));
        match (looks_like_json.then(|| serde_json::from_slice(trimmed)), content_type) {
            (Some(Ok(value)), _) => value,
            (_, Some("application/x-www-form-urlencoded")) => {
                let text = std::str::from_utf8(trimmed)
                    .map_err(|_| ApiError::bad_request("Bad Request: the form is not valid UTF-8"))?;
                Value::Object(parse_form(text)?)
            }
            (Some(Err(error)), None) => return Err(malformed(&error)),
            _ => {
                return Err(ApiError::new(
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    "unsupported_media_type",
                    "Unsupported Media Type",
                )
                .with("remediation", serde_json::json!({"description": "Send application/json."})));
            }
        }
    };
    if !is_within(&value, depth) {
        return Err(ApiError::bad_request(format!(
            "Bad Request: JSON nested too deeply: more than {depth} levels"
        )));
    }
    if let Some(path) = find_nul(&value) {
        let field = path.split(['.', '[']).next().unwrap_or_default();
        return Err(ApiError::from(FieldErrors::one(field, INVALID))
            .with("message", format!("Validation failed: {path} contains U+0000").into()));
    }
    match value {
        Value::Object(object) => Ok(object),
        _ => Err(ApiError::unprocessable("not_an_object", "Request body must be a JSON object")),
    }
}

/// Whether a value nests no deeper than so many levels. What was parsed is never so deep that this would matter to the
/// stack.
fn is_within(value: &Value, depth: usize) -> bool {
    match value {
        Value::Array(items) => depth > 0 && items.iter().all(|item| is_within(item, depth - 1)),
        Value::Object(members) => depth > 0 && members.values().all(|member| is_within(member, depth - 1)),
        _ => true,
    }
}

fn malformed(error: &serde_json::Error) -> ApiError {
    // Sound JSON, but beyond what is read: deeper than 128 levels, or a number that no float holds.
    let text = error.to_string();
    let reason = if text.starts_with("recursion limit exceeded") {
        "JSON nested too deeply"
    } else if text.starts_with("number out of range") {
        "number out of range"
    } else {
        "malformed JSON"
    };
    ApiError::bad_request(format!("Bad Request: {reason} at line {} column {}", error.line(), error.column()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_found_whatever_the_content_type() {
        for content_type in [None, Some("application/json"), Some("application/x-www-form-urlencoded")] {
            assert_eq!(parse(br#" {"a": 1}"#, content_type, 9).unwrap()["a"], 1);
        }
        assert_eq!(parse(b"a=1", Some("application/x-www-form-urlencoded"), 9).unwrap()["a"], "1");
        assert!(parse(b"", Some("application/json"), 9).unwrap().is_empty());
        assert!(parse(b"a=1", Some("text/plain"), 9).is_err());
        assert!(parse(b"[1]", Some("application/json"), 9).is_err());
        assert!(parse(b"{\"a\":", Some("application/json"), 9).is_err());
    }

    #[test]
    fn nesting_has_an_end() {
        let nested = |depth: usize| format!("{{\"a\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
        let parse = |depth| parse(nested(depth).as_bytes(), Some("application/json"), DEPTH);
        assert!(parse(DEPTH - 1).is_ok());
        assert!(parse(DEPTH).is_err());
        assert!(parse(500).is_err());
    }
}
