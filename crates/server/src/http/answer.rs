//! What a change is answered with: known before it is committed, so that it can be kept along with it.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use loopctl_core::code::Code;
use loopctl_core::request::Member;
use schemars::{JsonSchema, json_schema};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::endpoint::{Created, CreatedSecret, NoContent, Operation};
use super::error::{ApiError, ApiResult};
use super::headers;

/// Members of answers that are told once and never again.
const SECRETS: &[&str] = &["raw_key", "signing_secret", "signing_secret_whsec"];

/// What a client knows a request by that it may repeat.
pub(crate) const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// How long that may be.
pub(crate) const LONGEST_KEY: usize = 255;

/// Says that an answer was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// An answer as it is kept, and given again.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    /// 2xx.
    pub(crate) status: u16,
    /// The JSON of its body, if it has one.
    pub(crate) body: Option<String>,
}

impl Kept {
    fn of(status: StatusCode, body: &impl Serialize) -> ApiResult<Option<Self>> {
        let body = serde_json::to_string(body).map_err(|_| ApiError::internal())?;
        Ok(Some(Self { status: status.as_u16(), body: Some(body) }))
    }

    /// With the status of an answer that is 200.
    pub(crate) fn ok(body: &impl Serialize) -> ApiResult<Option<Self>> {
        Self::of(StatusCode::OK, body)
    }

    /// With the status of an answer that is 201.
    pub(crate) fn created(body: &impl Serialize) -> ApiResult<Option<Self>> {
        Self::of(StatusCode::CREATED, body)
    }
}

impl IntoResponse for Kept {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        let replayed = [(REPLAYED, HeaderValue::from_static("true"))];
        match self.body {
            Some(body) => {
                (status, replayed, [(header::CONTENT_TYPE, "application/json")], body).into_response()
            }
            None => (status, replayed).into_response(),
        }
    }
}

/// The answer to a change.
pub(crate) trait Answer {
    /// As it is kept; None for one that is not worth it, because nothing was changed.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    fn kept(&self) -> ApiResult<Option<Kept>>;
}

impl<T: Serialize> Answer for Json<T> {
    fn kept(&self) -> ApiResult<Option<Kept>> {
        Kept::ok(&self.0)
    }
}

impl<T: Serialize> Answer for Created<T> {
    fn kept(&self) -> ApiResult<Option<Kept>> {
        Kept::created(&self.0)
    }
}

/// Without the secret, which is not kept anywhere, and with a word about that.
impl<T: Serialize> Answer for CreatedSecret<T> {
    fn kept(&self) -> ApiResult<Option<Kept>> {
        let mut body = serde_json::to_value(&self.0).map_err(|_| ApiError::internal())?;
        let mut omitted = Vec::new();
        leave_out_secrets(&mut body, &mut omitted);
        body["omitted"] = json!(omitted);
        Kept::created(&body)
    }
}

impl Answer for NoContent {
    fn kept(&self) -> ApiResult<Option<Kept>> {
        Ok(Some(Kept { status: StatusCode::NO_CONTENT.as_u16(), body: None }))
    }
}

fn leave_out_secrets(body: &mut Value, omitted: &mut Vec<String>) {
    let Value::Object(members) = body else { return };
    let (secret, rest) =
        std::mem::take(members).into_iter().partition(|(name, _)| SECRETS.contains(&name.as_str()));
    *members = rest;
    let secret: Map<_, _> = secret;
    omitted.extend(secret.into_iter().map(|(name, _)| name));
    members.values_mut().for_each(|value| leave_out_secrets(value, omitted));
}

/// What a client has to know of a route whose requests may be repeated.
pub(super) fn describe_repetition(operation: &mut Operation<'_>) {
    operation.headers.push(Member {
        name: IDEMPOTENCY_KEY,
        description: "A key of the client's choice for this request, such as a UUID. Sent again with the same key, it is not done \
            again, and an answer with 2xx is given again, with `Idempotent-Replayed: true` and without secrets (`omitted` names \
            them). Another request under the key is 422 `idempotency_key_reused`; while the same is still being done, it is 409 \
            `idempotency_in_progress`.",
        schema: json_schema!({"type": "string", "minLength": 1, "maxLength": LONGEST_KEY, "pattern": "^[!-~]+$"}),
        required: false,
    });
    operation.refuse(400, Code::BadRequest, "an `Idempotency-Key` that is none");
    operation.refuse(409, Code::IdempotencyInProgress, "the same request is being answered at this moment");
    operation.refuse(422, Code::IdempotencyKeyReused, "another request has this `Idempotency-Key`");
    for (_, answer) in operation.answers.range_mut(200..300) {
        answer.headers.push(&headers::REPLAYED);
    }
}

/// Says of an answer with secrets how it looks when it is given again.
pub(super) fn describe_omission<T: JsonSchema>(operation: &mut Operation<'_>) {
    if !operation.takes_keys() {
        return;
    }
    let definitions = operation.schemas.definitions_mut();
    for definition in definitions.values_mut() {
        if let Some(required) = definition.get_mut("required").and_then(Value::as_array_mut) {
            required.retain(|name| name.as_str().is_none_or(|name| !SECRETS.contains(&name)));
        }
    }
    if let Some(properties) = definitions.get_mut(&*T::schema_name()).and_then(|of| of.get_mut("properties"))
    {
        properties["omitted"] = json!({
            "description": "In an answer that is given again: the secrets that it had the first time.",
            "type": "array",
            "items": {"type": "string", "enum": SECRETS},
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_left_out_and_it_says_so() {
        let answer =
            CreatedSecret(json!({"api_key": {"id": 1, "raw_key": "lc_secret"}, "signing_secret": "s"}));
        let kept = answer.kept().unwrap().unwrap();
        assert_eq!(kept.status, 201);
        let body: Value = serde_json::from_str(&kept.body.unwrap()).unwrap();
        assert_eq!(body, json!({"api_key": {"id": 1}, "omitted": ["signing_secret", "raw_key"]}));
    }
}
