//! Requests as exporters send them, and answers as they read them: protobuf or JSON, perhaps compressed, and never more than a process
//! can hold.

use std::io::Read as _;

use axum::Json;
use axum::extract::{FromRequest, Request as HttpRequest};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::read::MultiGzDecoder;
use loopctl_core::code::Code;
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use prost::Message;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::http::{
    Answer, ApiError, ApiResult, Input, Kept, Operation, Output, RawBody, Stay, describe_faults, too_large,
};

/// The most that a request may be, in bytes, as it comes and when it is inflated.
pub(super) const LIMIT: usize = 4_194_304;

/// Of how many messages and texts it may consist; in JSON, of how many objects. Each takes more room than it has bytes.
const MOST_MESSAGES: usize = 80_000;

/// How deep they may nest.
const DEPTH: usize = 32;

const PROTOBUF: &str = "application/x-protobuf";

/// What exporters send, and how it is answered.
pub(super) trait Export: Message + Default + DeserializeOwned {
    /// What its body is called.
    const NAME: &'static str;
    /// The member of it that holds everything.
    const MEMBER: &'static str;

    /// The answer as JSON.
    type Told: Serialize + JsonSchema;

    /// What was not taken, and why; as JSON and as protobuf.
    fn answer(outcome: &Outcome) -> (Self::Told, Vec<u8>);
}

/// What became of a request.
#[derive(Debug, Clone, Default)]
pub(super) struct Outcome {
    /// How many points were refused.
    pub(super) rejected: i64,
    /// Why, and what else there is to say. Empty when all was taken.
    pub(super) message: String,
}

/// How a request is written, and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Protobuf,
    Json,
}

/// What an exporter has sent.
pub(super) struct Sent<E> {
    pub(super) export: E,
    pub(super) encoding: Encoding,
}

impl<S: Send + Sync, E: Export + Send + 'static> FromRequest<S> for Sent<E> {
    type Rejection = ApiError;

    async fn from_request(request: HttpRequest, _state: &S) -> Result<Self, Self::Rejection> {
        let is_compressed = is_compressed(request.headers())?;
        let stay = Stay::of(&request);
        let mut raw = RawBody::read(request, LIMIT).await?;
        // What is compressed may be as long as anything.
        let bytes = if is_compressed { LIMIT } else { raw.bytes.len() };
        stay.admit_body(bytes).await?;
        let read = move || {
            if is_compressed {
                raw.bytes = inflated(&raw.bytes)?;
            }
            if raw.content_type.as_deref() == Some(PROTOBUF) {
                Ok(Self { export: protobuf(&raw.bytes)?, encoding: Encoding::Protobuf })
            } else {
                Ok(Self { export: json(&raw.object_text()?)?, encoding: Encoding::Json })
            }
        };
        stay.read(bytes, read).await
    }
}

impl<E: Export> Input for Sent<E> {
    fn describe(operation: &mut Operation<'_>) {
        describe_faults(operation);
        let schema = json_schema!({
            "description": "As OTLP says; what is not named there is passed over.",
            "type": "object",
            "properties": {E::MEMBER: {"type": "array", "items": {"type": "object"}}},
        });
        operation.body = Some((E::NAME.to_owned(), schema));
        operation.body_also = &[PROTOBUF];
    }
}

/// Whether a body is compressed.
fn is_compressed(headers: &HeaderMap) -> ApiResult<bool> {
    let mut sent = headers.get_all(header::CONTENT_ENCODING).iter();
    match (sent.next().map(|value| value.to_str().unwrap_or_default().trim()), sent.next()) {
        (None, _) => Ok(false),
        (Some(one), None) if one.eq_ignore_ascii_case("gzip") => Ok(true),
        (Some(one), None) if one.is_empty() || one.eq_ignore_ascii_case("identity") => Ok(false),
        _ => {
            let message = "Unsupported Media Type: a body may be compressed with gzip, and with nothing else";
            Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::UnsupportedMediaType, message))
        }
    }
}

fn inflated(bytes: &[u8]) -> ApiResult<Vec<u8>> {
    let mut inflated = Vec::new();
    let read = MultiGzDecoder::new(bytes).take(LIMIT as u64 + 1).read_to_end(&mut inflated);
    read.map_err(|_| ApiError::bad_request("Bad Request: the body is not what gzip makes"))?;
    if inflated.len() > LIMIT { Err(too_large(LIMIT)) } else { Ok(inflated) }
}

fn protobuf<E: Export>(bytes: &[u8]) -> ApiResult<E> {
    let mut left = MOST_MESSAGES;
    if !is_bounded(bytes, DEPTH, &mut left) {
        return Err(too_many());
    }
    E::decode(bytes)
        .map_err(|_| ApiError::bad_request(format!("Bad Request: the body is no {} in protobuf", E::NAME)))
}

fn json<E: Export>(text: &str) -> ApiResult<E> {
    if text.bytes().filter(|byte| *byte == b'{').count() > MOST_MESSAGES {
        return Err(too_many());
    }
    serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        ApiError::bad_request(format!("Bad Request: no {} in JSON at line {line} column {column}", E::NAME))
    })
}

fn too_many() -> ApiError {
    let message = format!(
        "Request Entity Too Large: more than {MOST_MESSAGES} messages and texts (in JSON: objects), or more than {DEPTH} messages within \
         each other"
    );
    too_large(LIMIT).saying(message)
}

/// Whether these bytes hold no more messages than are left, and none too deep. Whatever has a length may be a message, and is counted as
/// one. What is cut off, or no message at all, the decoder finds as well, and reads no further than this.
fn is_bounded(mut bytes: &[u8], depth: usize, left: &mut usize) -> bool {
    while let Some((tag, rest)) = varint(bytes) {
        let next = match tag & 7 {
            0 => varint(rest).map(|(_, rest)| rest),
            1 => rest.get(8..),
            5 => rest.get(4..),
            2 => match with_length(rest) {
                Some((inner, rest)) => {
                    if depth == 0 || *left == 0 {
                        return false;
                    }
                    *left -= 1;
                    if !is_bounded(inner, depth - 1, left) {
                        return false;
                    }
                    Some(rest)
                }
                None => None,
            },
            // Groups, of which there are none any more: the decoder looks for their ends.
            3 | 4 => Some(rest),
            _ => None,
        };
        let Some(next) = next else { return true };
        bytes = next;
    }
    true
}

/// What has a length, and what comes after it.
fn with_length(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = varint(bytes)?;
    rest.split_at_checked(usize::try_from(length).ok()?)
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for (nth, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 127).checked_shl(7 * u32::try_from(nth).ok()?)?;
        if byte & 128 == 0 {
            return Some((value, bytes.get(nth + 1..)?));
        }
    }
    None
}

/// What an exporter is answered.
pub(super) struct Taken<E: Export> {
    encoding: Encoding,
    told: E::Told,
    message: Vec<u8>,
}

impl<E: Export> Taken<E> {
    pub(super) fn of(encoding: Encoding, outcome: &Outcome) -> Self {
        let (told, message) = E::answer(outcome);
        Self { encoding, told, message }
    }
}

impl<E: Export> IntoResponse for Taken<E> {
    fn into_response(self) -> Response {
        match self.encoding {
            Encoding::Json => Json(self.told).into_response(),
            Encoding::Protobuf => ([(header::CONTENT_TYPE, PROTOBUF)], self.message).into_response(),
        }
    }
}

/// As JSON, whatever the request is written in: who asks again is told so by the content type.
impl<E: Export> Answer for Taken<E> {
    fn kept(&self) -> ApiResult<Option<Kept>> {
        Kept::ok(&self.told)
    }
}

impl<E: Export> Output for Taken<E> {
    fn describe(operation: &mut Operation<'_>) {
        operation.answer::<E::Told>(200, "Taken, but for what `partialSuccess` tells");
        operation.answer_also::<Protobuf>(200, PROTOBUF);
    }
}

/// Bytes, which are described elsewhere.
struct Protobuf;

impl JsonSchema for Protobuf {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Protobuf".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"description": "The same message in protobuf."})
    }
}

/// Declares an export with its answers, which differ in nothing but names.
macro_rules! exports {
    ($($request:ident($member:literal) is answered $told:ident { $partial:ident { $rejected:ident }, $response:ident, $success:ident })+) => {$(
        /// What was not taken.
        #[derive(Serialize, JsonSchema)]
        #[serde(rename_all = "camelCase")]
        pub(super) struct $partial {
            /// How many, as a text. `0` with a message: all was taken, and there is something to say.
            $rejected: String,
            /// Why, or what there is to say.
            error_message: String,
        }

        /// Empty where all was taken.
        #[derive(Serialize, JsonSchema)]
        #[serde(rename_all = "camelCase")]
        pub(super) struct $told {
            #[serde(skip_serializing_if = "Option::is_none")]
            partial_success: Option<$partial>,
        }

        impl Export for $request {
            const NAME: &'static str = stringify!($request);
            const MEMBER: &'static str = $member;

            type Told = $told;

            fn answer(outcome: &Outcome) -> ($told, Vec<u8>) {
                let Outcome { rejected, message } = outcome;
                let has_more = !message.is_empty();
                let told = has_more.then(|| $partial { $rejected: rejected.to_string(), error_message: message.clone() });
                let partial_success =
                    has_more.then(|| $success { $rejected: *rejected, error_message: message.clone() });
                ($told { partial_success: told }, $response { partial_success }.encode_to_vec())
            }
        }
    )+};
}

exports! {
    ExportMetricsServiceRequest("resourceMetrics") is answered ExportMetricsResponse {
        MetricsNotTaken { rejected_data_points }, ExportMetricsServiceResponse, ExportMetricsPartialSuccess
    }
    ExportLogsServiceRequest("resourceLogs") is answered ExportLogsResponse {
        LogsNotTaken { rejected_log_records }, ExportLogsServiceResponse, ExportLogsPartialSuccess
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> ApiResult<ExportMetricsServiceRequest> {
        protobuf(bytes)
    }

    #[test]
    fn messages_are_counted_before_room_is_made_for_them() {
        // Empty resources, two bytes each.
        let of = |count: usize| [0x0a, 0x00].repeat(count);
        assert_eq!(read(&of(1000)).unwrap().resource_metrics.len(), 1000);
        let error = read(&of(MOST_MESSAGES + 1)).unwrap_err();
        assert_eq!(error.code(), Code::BodyTooLarge);
        // One within the other.
        let nested = |depth: usize| {
            let mut bytes = Vec::new();
            for _ in 0..depth {
                let mut outer = vec![0x0a];
                prost::encoding::encode_varint(bytes.len() as u64, &mut outer);
                outer.extend(bytes);
                bytes = outer;
            }
            bytes
        };
        let mut left = MOST_MESSAGES;
        assert!(is_bounded(&nested(DEPTH), DEPTH, &mut left));
        assert!(!is_bounded(&nested(DEPTH + 1), DEPTH, &mut left));
        let error = json::<ExportMetricsServiceRequest>(&"{".repeat(MOST_MESSAGES + 1)).unwrap_err();
        assert_eq!(error.code(), Code::BodyTooLarge);
    }

    #[test]
    fn broken_protobuf_is_refused() {
        // What follows a group is counted as well.
        let hidden = [&[0x7b, 0x7c][..], &[0x0a, 0x00].repeat(MOST_MESSAGES + 1)].concat();
        assert_eq!(read(&hidden).unwrap_err().code(), Code::BodyTooLarge);
        for bytes in [&b"{}"[..], b"\x0a\x7f", b"\x0a", b"\xff\xff", b"\x0a\x02\x0a\x05", b"x"] {
            assert_eq!(read(bytes).unwrap_err().code(), Code::BadRequest, "{bytes:?}");
        }
        assert!(read(b"").unwrap().resource_metrics.is_empty());
    }
}
