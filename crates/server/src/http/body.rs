//! Request bodies.

use std::borrow::Cow;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::{FromRequest, Request as HttpRequest};
use axum::http::{StatusCode, header};
use http_body_util::BodyExt as _;
use loopctl_core::code::Code;
use loopctl_core::fields::{FieldErrors, Fields, INVALID};
use loopctl_core::json::{Bounds, Fault, MAX_MEMBERS, Object, inspect};
use loopctl_core::request::{Request, schema_of};
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, sleep_until, timeout};

use super::endpoint::{Input, Operation};
use super::error::{ApiError, ApiResult};
use super::fair::Stay;
use super::query;

/// The most that a request body may be, in bytes.
pub(crate) const BODY_LIMIT: usize = 2_097_152;
/// The most that an import or a knowledge ingestion may be, in bytes.
pub(crate) const LARGE_BODY_LIMIT: usize = 10_485_760;

/// How long a client may pause within a body.
const PAUSE: Duration = Duration::from_secs(30);
/// How long it may come as slowly as it likes, and how many bytes have to come in each second after that.
const AT_EASE: Duration = Duration::from_secs(10);
const SLOWEST: u64 = 1024;
/// How long it may go on when the server stops.
pub(super) const LAST_PAUSE: Duration = Duration::from_millis(500);
/// How long a body may take from its first byte to its last.
const SENDING: Duration = Duration::from_secs(180);

/// What a body may be. It nests less deep than what can be read (128), so that what is stored can be read again deeper inside another
/// document: an export holds a story's metadata four levels further down.
const BOUNDS: Bounds = Bounds { depth: 100, growth: 65_536 };
/// An import or a knowledge ingestion: as deep as JSON is read, and it may become longer by all that it may be long, because an export
/// holds what many bodies have brought.
const LARGE_BOUNDS: Bounds = Bounds { depth: 128, growth: LARGE_BODY_LIMIT };

/// The request's parameters, read by the rules of `T`: the JSON (or form) body, with query parameters beneath it. What no
/// handler wants to see is refused at once: too large, malformed, not an object, NUL characters. What a rule refuses is
/// told when the handler asks, because an unknown record comes before a bad field.
#[derive(Debug)]
pub(crate) struct Body<T, const LARGE: bool = false>(pub(crate) Sent<T>);

/// The digest of a request's body, for whoever asked for it before the body was read.
#[derive(Debug, Clone, Default)]
pub(crate) struct BodyDigest(Arc<OnceLock<[u8; 32]>>);

impl BodyDigest {
    /// None as long as nothing has been read.
    pub(crate) fn get(&self) -> Option<[u8; 32]> {
        self.0.get().copied()
    }
}

/// A body with room for an import.
pub(crate) type LargeBody<T> = Body<T, true>;

/// A request that was sent, good or bad.
#[derive(Debug, Clone)]
pub(crate) struct Sent<T> {
    value: T,
    errors: FieldErrors,
    names_nothing: bool,
}

impl<T: Request> Sent<T> {
    /// Reads it from an object.
    pub(crate) fn of(object: &Object<'_>) -> Self {
        let mut fields = Fields::new(object);
        let value = T::read(&mut fields);
        let names_nothing = fields.names_nothing();
        Self { value, errors: fields.into_errors(), names_nothing }
    }
}

impl<T> Sent<T> {
    /// What was sent.
    ///
    /// # Errors
    /// 422 with every failing field, 404 for an id that is none.
    pub(crate) fn valid(&self) -> ApiResult<&T> {
        if !self.errors.is_empty() {
            return Err(self.errors.clone().into());
        }
        self.named()
    }

    /// As [`Self::valid`], with the failures that only the handler can find among the others.
    ///
    /// # Errors
    /// 422 with every failing field.
    pub(crate) fn checked(&self, check: impl FnOnce(&T, &mut FieldErrors)) -> ApiResult<&T> {
        Ok(self.errors_of(check)?)
    }

    /// As [`Self::checked`].
    ///
    /// # Errors
    /// Every failing field.
    pub(crate) fn errors_of(&self, check: impl FnOnce(&T, &mut FieldErrors)) -> Result<&T, FieldErrors> {
        let mut errors = self.errors.clone();
        check(&self.value, &mut errors);
        errors.check(&self.value)
    }

    /// Whether a field is not acceptable.
    pub(crate) fn has_failed(&self, field: &str) -> bool {
        self.errors.0.contains_key(field)
    }

    /// Fills in what was left out.
    #[must_use]
    pub(crate) fn amended(mut self, amend: impl FnOnce(&mut T)) -> Self {
        amend(&mut self.value);
        self
    }

    /// What was sent, whatever is wrong with its fields.
    ///
    /// # Errors
    /// 404 for an id that is none.
    pub(crate) fn named(&self) -> ApiResult<&T> {
        if self.names_nothing { Err(ApiError::not_found()) } else { Ok(&self.value) }
    }

    /// What was sent, whatever is wrong with it elsewhere.
    pub(crate) fn anyway(&self) -> &T {
        &self.value
    }
}

impl<T, const LARGE: bool> std::ops::Deref for Body<T, LARGE> {
    type Target = Sent<T>;

    fn deref(&self) -> &Sent<T> {
        &self.0
    }
}

impl<S: Send + Sync, T: Request + Send + 'static, const LARGE: bool> FromRequest<S> for Body<T, LARGE> {
    type Rejection = ApiError;

    async fn from_request(request: HttpRequest, _state: &S) -> Result<Self, Self::Rejection> {
        let (limit, bounds) = if LARGE { (LARGE_BODY_LIMIT, LARGE_BOUNDS) } else { (BODY_LIMIT, BOUNDS) };
        let parameters = query::parse(request.uri().query().unwrap_or_default(), |text| text)?;
        let stay = Stay::of(&request);
        let raw = RawBody::read(request, limit).await?;
        let bytes = raw.bytes.len();
        let read = move || {
            let text = json_text(&raw.bytes, raw.content_type.as_deref())?;
            let object = parse(&text, bounds)?;
            Ok(Self(Sent::of(&object.above(parameters.object().unwrap_or_default()))))
        };
        stay.read(bytes, read).await
    }
}

/// A body as it came.
pub(crate) struct RawBody {
    pub(crate) bytes: Vec<u8>,
    /// Without its parameters, in lower case.
    pub(crate) content_type: Option<String>,
}

impl RawBody {
    /// Reads it up to a limit.
    ///
    /// # Errors
    /// What is too large, too slow, or cut off.
    pub(crate) async fn read(request: HttpRequest, limit: usize) -> ApiResult<Self> {
        let content_type = request.headers().get(header::CONTENT_TYPE).map(|value| {
            let text = value.to_str().unwrap_or_default();
            text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
        });
        let digest = request.extensions().get::<BodyDigest>().cloned();
        let bytes = read(request, limit).await?;
        if let Some(BodyDigest(digest)) = digest {
            digest.get_or_init(|| Sha256::digest(&bytes).into());
        }
        Ok(Self { bytes, content_type })
    }

    /// The text of an object, as every body may be written, for whoever reads it by other rules than those of [`Request`].
    ///
    /// # Errors
    /// What no handler wants to see.
    pub(crate) fn object_text(&self) -> ApiResult<Cow<'_, str>> {
        let text = json_text(&self.bytes, self.content_type.as_deref())?;
        parse(&text, BOUNDS)?;
        Ok(text)
    }
}

/// What every body is refused for that may be JSON.
pub(crate) fn describe_faults(operation: &mut Operation<'_>) {
    for (status, code, when) in [
        (400, Code::BadRequest, "a body that cannot be read"),
        (413, Code::BodyTooLarge, "a body beyond the limit"),
        (415, Code::UnsupportedMediaType, "another content type than JSON or a form"),
        (422, Code::NotAnObject, "a body that is JSON, and no object"),
        (422, Code::ValidationFailed, "a field is not acceptable"),
    ] {
        operation.refuse(status, code, when);
    }
}

impl<T: Request, const LARGE: bool> Input for Body<T, LARGE> {
    fn describe(operation: &mut Operation<'_>) {
        describe_faults(operation);
        let schema = schema_of::<T>();
        if schema.get("properties").and_then(Value::as_object).is_some_and(|members| !members.is_empty()) {
            operation.body = Some((T::NAME.to_owned(), schema));
        }
    }
}

/// A body of which nothing is needed.
#[derive(Debug, Clone, Request)]
pub(crate) struct Nothing {}

/// Collects the body up to the limit; `layers::drain` reads what is left.
async fn read(request: HttpRequest, limit: usize) -> ApiResult<Vec<u8>> {
    // Answered before the first byte is asked for: a client that waits to be asked sends nothing.
    let announced =
        request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: u64| length > limit as u64) {
        return Err(too_large(limit));
    }
    timeout(SENDING, collect(request, limit, announced)).await.map_err(|_| too_slow())?
}

async fn collect(request: HttpRequest, limit: usize, announced: Option<u64>) -> ApiResult<Vec<u8>> {
    let stay = Stay::of(&request);
    let mut stopped = pin!(stay.ended(LAST_PAUSE));
    // Room for what has come, and not for what somebody says is to come.
    let most = announced.map_or(limit, |length| length as usize);
    let mut room = most.min(65_536);
    let (mut began, mut is_large) = (Instant::now(), false);
    let mut body = request.into_body();
    let mut bytes = Vec::with_capacity(room);
    loop {
        let due = (Instant::now() + PAUSE).min(began + pace(bytes.len()));
        let frame = tokio::select! {
            biased;
            frame = body.frame() => frame,
            () = sleep_until(due) => return Err(too_slow()),
            () = &mut stopped => return Err(ApiError::stopping()),
        };
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|_| ApiError::bad_request("Bad Request: the body was cut off"))?;
        let Ok(data) = frame.into_data() else { continue };
        let length = bytes.len() + data.len();
        if length > limit {
            return Err(too_large(limit));
        }
        if length > room {
            if !is_large {
                is_large = true;
                let asked = Instant::now();
                stay.until_reading().await?;
                // That was not the client's time.
                began += asked.elapsed();
            }
            room = (2 * length).min(most.max(length));
            stay.admit_body(room).await?;
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

/// How long so many bytes may have taken, and the next one may take.
fn pace(bytes: usize) -> Duration {
    AT_EASE + Duration::from_secs(bytes as u64 / SLOWEST)
}

fn too_slow() -> ApiError {
    let message = format!(
        "Request Timeout: a body has to come at {SLOWEST} bytes/s after the first {} s, and may pause for {} s and take {} s in all; \
         nothing was changed",
        AT_EASE.as_secs(),
        PAUSE.as_secs(),
        SENDING.as_secs()
    );
    ApiError::new(StatusCode::REQUEST_TIMEOUT, Code::RequestTimeout, message)
}

/// 413.
pub(crate) fn too_large(limit: usize) -> ApiError {
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, Code::BodyTooLarge, "Request Entity Too Large")
        .with("limit_bytes", limit.into())
}

/// The body as the text of an object: a form is written as JSON.
fn json_text<'a>(bytes: &'a [u8], content_type: Option<&str>) -> ApiResult<Cow<'a, str>> {
    // Editors put a mark before a text; it says nothing.
    let trimmed = bytes.trim_ascii();
    let trimmed = trimmed.strip_prefix("\u{feff}".as_bytes()).unwrap_or(trimmed).trim_ascii();
    let json_type = content_type.is_some_and(|name| {
        name == "application/json" || (name.starts_with("application/") && name.ends_with("+json"))
    });
    let is_form = content_type == Some("application/x-www-form-urlencoded");
    // curl without a content type sends JSON as a form. A form that begins so would have one field, which nothing knows.
    let is_json = json_type || matches!(trimmed.first(), Some(b'{' | b'['));
    match std::str::from_utf8(trimmed) {
        _ if trimmed.is_empty() => Ok("{}".into()),
        Ok(text) if is_json => Ok(text.into()),
        Err(_) if is_json => Err(ApiError::bad_request("Bad Request: malformed JSON: it is not valid UTF-8")),
        Ok(text) if is_form => Ok(Value::Object(query::parse_form(text)?).to_string().into()),
        Err(_) if is_form => Err(ApiError::bad_request("Bad Request: the form is not valid UTF-8")),
        _ => Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Code::UnsupportedMediaType,
            "Unsupported Media Type",
        )
        .with("remediation", serde_json::json!({"description": "Send application/json."}))),
    }
}

fn parse(text: &str, bounds: Bounds) -> ApiResult<Object<'_>> {
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| malformed(&error))?;
    inspect(text, bounds).map_err(|fault| unacceptable(text, &fault, bounds))?;
    Object::parse(raw)
        .ok_or_else(|| ApiError::unprocessable(Code::NotAnObject, "Request body must be a JSON object"))
}

/// What clients called something, as far as it is worth repeating.
fn shown(name: &str) -> String {
    const MOST: usize = 100;
    match name.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

/// What is well-formed JSON and not to be had all the same.
fn unacceptable(text: &str, fault: &Fault, bounds: Bounds) -> ApiError {
    let Bounds { depth, growth } = bounds;
    let at = |place: usize| {
        let before = &text.as_bytes()[..place];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count();
        format!("at line {line} column {column}")
    };
    let reason = match fault {
        Fault::TooDeep(place) => {
            format!("JSON nested too deeply {}: more than {depth} levels", at(place + 1))
        }
        Fault::TooManyMembers => format!("an object has more than {MAX_MEMBERS} members"),
        Fault::Duplicate(path) => format!("{} is there twice", shown(path)),
        Fault::LoneSurrogate(place) => format!("malformed JSON {}: half of a surrogate pair", at(*place)),
        Fault::OutOfRange(place) => format!("number out of range {}", at(*place)),
        Fault::TooManyDigits(place) => format!(
            "numbers with exponents stand for more than {growth} further digits {}: send them as strings",
            at(*place)
        ),
        Fault::Nul { path, field } => {
            let place = if path.is_empty() { "a member's name".to_owned() } else { shown(path) };
            return ApiError::from(FieldErrors::one(&shown(field), INVALID))
                .saying(format!("Validation failed: {place} contains U+0000"));
        }
    };
    ApiError::bad_request(format!("Bad Request: {reason}"))
}

fn malformed(error: &serde_json::Error) -> ApiError {
    ApiError::bad_request(format!(
        "Bad Request: malformed JSON at line {} column {}",
        error.line(),
        error.column()
    ))
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse as _;
    use tokio::time::sleep;

    use super::*;
    use crate::db::Shares;
    use crate::http::Fair;
    use crate::life::Life;
    use crate::metrics::Usage;

    fn read(bytes: &[u8], content_type: Option<&str>, depth: usize) -> ApiResult<Value> {
        let text = json_text(bytes, content_type)?;
        parse(&text, Bounds { depth, ..BOUNDS })?;
        Ok(serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn names_of_any_length_are_not_repeated_whole() {
        let long = "<".repeat(100_000);
        for body in [format!(r#"{{"{long}":"\u0000"}}"#), format!(r#"{{"{long}":1,"{long}":2}}"#)] {
            let refused = serde_json::json!(read(body.as_bytes(), None, 8).unwrap_err()).to_string();
            assert!(refused.contains("<<<…") && refused.len() < 1_000, "{} bytes", refused.len());
        }
    }

    #[test]
    fn json_is_found_whatever_the_content_type() {
        for content_type in [None, Some("application/json"), Some("application/x-www-form-urlencoded")] {
            assert_eq!(read(br#" {"a": 1}"#, content_type, 9).unwrap()["a"], 1);
        }
        assert_eq!(read(b"a=1", Some("application/x-www-form-urlencoded"), 9).unwrap()["a"], "1");
        assert_eq!(read(b"", Some("application/json"), 9).unwrap(), serde_json::json!({}));
        assert!(read(b"a=1", Some("text/plain"), 9).is_err());
        assert!(read(b"[1]", Some("application/json"), 9).is_err());
        assert!(read(b"{\"a\":", Some("application/json"), 9).is_err());
        assert!(read(b"{\"a\": \"\xff\"}", Some("application/json"), 9).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_has_its_time() {
        use std::convert::Infallible;

        use axum::body::{Body, Bytes};
        use futures_util::stream::{self, StreamExt as _};

        let second = Duration::from_secs(1);
        // Some bytes every so often, so many times, and then no end.
        let send = async |pause: Duration, times: usize, bytes: usize| {
            let drops = stream::iter(0..times).then(move |_| async move {
                sleep(pause).await;
                Ok::<_, Infallible>(Bytes::from(vec![b' '; bytes]))
            });
            let began = Instant::now();
            let request = HttpRequest::new(Body::from_stream(drops.chain(stream::pending())));
            let error = super::read(request, BODY_LIMIT).await.unwrap_err();
            assert_eq!(error.into_response().status(), 408);
            began.elapsed()
        };
        assert!(send(second, 0, 1).await - AT_EASE < second);
        assert!(send(second, 1000, 1).await - AT_EASE < second);
        assert!(send(second, 10, 100_000).await - (PAUSE + 10 * second) < 2 * second);
        assert!(send(second * 9, 1000, 50_000).await - SENDING < second);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_is_not_waited_for_when_the_server_stops() {
        let life = Life::default();
        let mut request = HttpRequest::new(axum::body::Body::from_stream(futures_util::stream::pending::<
            Result<&str, std::convert::Infallible>,
        >()));
        let fair = Fair::new(Fair::ROOM, &Shares::of(1), life.clone(), Usage::default());
        request.extensions_mut().insert(Stay::new(fair, None));
        let reading = tokio::spawn(async move { super::read(request, BODY_LIMIT).await.unwrap_err() });
        life.end(Duration::ZERO).await;
        assert_eq!(reading.await.unwrap().into_response().status(), 503);
    }

    #[test]
    fn nesting_has_an_end() {
        let nested = |depth: usize| format!("{{\"a\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
        let read = |depth| read(nested(depth).as_bytes(), Some("application/json"), BOUNDS.depth);
        assert!(read(BOUNDS.depth - 1).is_ok());
        assert!(read(BOUNDS.depth).is_err());
        assert!(parse(&nested(500), BOUNDS).is_err());
    }
}
