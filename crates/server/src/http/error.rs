//! The one error type and its envelope.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use loopctl_core::code::Code;
use loopctl_core::fields::FieldErrors;
use loopctl_core::lifecycle::{Refusal, Status};
use schemars::{JsonSchema, Schema};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::answer::Kept;
use crate::db::{self, DbError};
use crate::secrets::SealError;

/// The constraint that a request violates whose key was used before.
const USED: &str = "idempotency_keys_pkey";

/// In how many seconds it may be tried again: a member, and the header of that name.
const RETRY_AFTER: &str = "retry_after_seconds";

/// In how many seconds it may be tried again when there is no room for a request.
const MOMENT: u32 = 2;

/// How many bytes an answer may have that is not streamed.
pub(crate) const LARGEST_ANSWER: i64 = db::LARGEST_ANSWER as i64;

/// What a handler returns.
pub(crate) type ApiResult<T> = Result<T, ApiError>;

/// What every refusal says of why. Depending on `code` there are further members.
// As the `error` of an answer: `{"error": {"status", "code", "message", …}}`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Error", transform = with_advice)]
pub(crate) struct ApiError {
    /// The HTTP status.
    #[serde(serialize_with = "number")]
    #[schemars(with = "u16")]
    status: StatusCode,
    /// A stable word for programs.
    code: Code,
    /// A sentence for people.
    message: String,
    // Boxed, because every result has the size of its error.
    #[serde(flatten)]
    members: Box<Map<String, Value>>,
    // What was done before ends a handler as a refusal does.
    #[serde(skip)]
    #[schemars(skip)]
    repeats: Repetition,
    // It would have been a large answer, whose turn has not come.
    #[serde(skip)]
    #[schemars(skip)]
    is_large: bool,
}

/// The members that many refusals have.
fn with_advice(schema: &mut Schema) {
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return };
    let further = [
        ("hints", json!({"description": "What to do next.", "type": "array", "items": {"type": "string"}})),
        (
            "details",
            json!({
                "description": "By field: what is wrong with it, in texts; or what is in the way, and how many.",
                "type": "object",
            }),
        ),
        (
            "context",
            json!({"description": "What was decided upon, such as where the story stands.", "type": "object"}),
        ),
        ("remediation", json!({"description": "A way out in words, with links.", "type": "object"})),
        (RETRY_AFTER, json!({"description": "As the header `Retry-After`.", "type": "integer"})),
    ];
    properties.extend(further.map(|(name, schema)| (name.to_owned(), schema)));
}

/// Whether it was done before, under the same key.
#[derive(Debug, Clone, Default)]
enum Repetition {
    /// Not that anybody knows.
    #[default]
    No,
    /// It was; what was answered then is still to be found out.
    Unread,
    /// It was, and this was answered.
    Answered(Box<Kept>),
}

fn number<S: Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

impl ApiError {
    /// An error with its stable code and one sentence that says what to do.
    pub(crate) fn new(status: StatusCode, code: Code, message: impl Into<String>) -> Self {
        let (members, repeats) = (Box::default(), Repetition::No);
        Self { status, code, message: message.into(), members, repeats, is_large: false }
    }

    /// Says it in another sentence.
    #[must_use]
    pub(crate) fn saying(self, message: String) -> Self {
        Self { message, ..self }
    }

    /// Adds a member beside `status`, `code` and `message`.
    #[must_use]
    pub(crate) fn with(mut self, member: &str, value: Value) -> Self {
        self.members.insert(member.to_owned(), value);
        self
    }

    /// 400.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::BadRequest, message)
    }

    /// 401, no usable `Authorization` header.
    pub(crate) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, Code::Unauthorized, "Unauthorized")
    }

    /// 401, key unknown, revoked or expired: not told apart.
    pub(crate) fn invalid_api_key() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, Code::InvalidApiKey, "Invalid API key")
    }

    /// 403.
    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, Code::Forbidden, message)
    }

    /// 404: absent, in another tenant, or no such route; not told apart.
    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, Code::NotFound, "Not found")
    }

    /// 409.
    pub(crate) fn conflict(code: Code, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    /// 429 that is not about how often somebody calls: waiting does not help, so nothing is said of when to try again.
    pub(crate) fn blocked(code: Code, message: impl Into<String>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, code, message)
    }

    /// 422 for a business rule.
    pub(crate) fn unprocessable(code: Code, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
    }

    /// 422: an answer that would be larger than one may be. `fits` is how much of it is not, and `parameter` what says so.
    pub(crate) fn answer_too_large(parameter: &str, fits: i64) -> Self {
        let message = "Unprocessable: the answer would be larger than 16 MiB";
        let hint = format!("Ask for less: {} fit ({parameter}).", fits.max(1));
        Self::unprocessable(Code::AnswerTooLarge, message).with("hints", json!([hint]))
    }

    /// 422 for one field.
    pub(crate) fn invalid_field(field: &str, message: impl Into<String>) -> Self {
        FieldErrors::one(field, message).into()
    }

    /// A lifecycle rule's refusal in the contract's form. `learn_more` links start with
    /// `public_url`.
    pub(crate) fn refused(refusal: Refusal, public_url: &str) -> Self {
        let status = match refusal.status {
            Status::BadRequest => StatusCode::BAD_REQUEST,
            Status::Forbidden => StatusCode::FORBIDDEN,
            Status::Conflict => StatusCode::CONFLICT,
            Status::Unprocessable => StatusCode::UNPROCESSABLE_ENTITY,
        };
        let mut context = *refusal.context;
        let mut error = Self::new(status, refusal.code, refusal.message);
        if let Some(conflict) = refusal.conflict {
            context.insert("current_agent_status".to_owned(), json!(conflict.agent_status));
            context.insert("current_verified_status".to_owned(), json!(conflict.verified_status));
            context.insert("attempted_action".to_owned(), json!(conflict.action));
            let next_action =
                refusal.hints.iter().map(|hint| hint.trim_end_matches('.')).collect::<Vec<_>>().join(". ");
            error = error
                .with("current_state", json!(conflict.agent_status))
                .with("attempted_action", json!(conflict.action))
                .with(
                    "remediation",
                    json!({
                        "description": "The story's state or your identity does not allow this action.",
                        "next_action": next_action,
                        "learn_more": learn_more(public_url, refusal.code),
                    }),
                );
        }
        if !refusal.hints.is_empty() {
            error = error.with("hints", json!(refusal.hints));
        }
        if context.is_empty() { error } else { error.with("context", Value::Object(context)) }
    }

    /// Its stable word.
    pub(crate) fn code(&self) -> Code {
        self.code
    }

    /// Whether this is a 404.
    pub(crate) fn is_not_found(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
    }

    /// A 422 for fields that names them in its message, too, for clients that show no more than that.
    #[must_use]
    pub(crate) fn naming_fields(self) -> Self {
        let Some(Value::Object(details)) = self.members.get("details") else { return self };
        let told = details.iter().map(|(field, messages)| {
            let messages = messages.as_array().into_iter().flatten().filter_map(Value::as_str);
            format!("`{field}` {}", messages.collect::<Vec<_>>().join(", "))
        });
        let message = format!("Validation failed: {}", told.collect::<Vec<_>>().join("; "));
        self.saying(message)
    }

    /// Whether the server failed, as opposed to having refused something.
    pub(crate) fn is_failure(&self) -> bool {
        self.status.is_server_error()
    }

    /// Whether it may well be otherwise in a moment, and not before.
    pub(crate) fn is_unavailable(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE
    }

    /// An answer with its status and headers, and with a body that has it as its `error` and tells other things besides.
    pub(crate) fn beside(&self, body: &impl Serialize) -> Response {
        let mut response = (self.status, axum::Json(body)).into_response();
        response.extensions_mut().insert(Refused {
            code: self.code,
            message: self.message.clone(),
            is_large: self.is_large,
        });
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.members.get(RETRY_AFTER).and_then(Value::as_u64) {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }

    /// The members of an error, for an answer that tells several: `code`, `reason` (the message) and whatever else it
    /// has, without the status.
    pub(crate) fn into_members(self) -> Map<String, Value> {
        let Self { code, message, members: further, .. } = self.naming_fields();
        let mut members = Map::new();
        members.extend([("code".to_owned(), code.as_str().into()), ("reason".to_owned(), message.into())]);
        members.extend(further.into_iter().filter(|(name, _)| name != "remediation"));
        members
    }

    /// 409: the same is being done at this moment.
    pub(crate) fn idempotency_in_progress() -> Self {
        let message = "Conflict: a request with this Idempotency-Key is still being answered; send it again in a moment, with the \
                       same key";
        Self::conflict(Code::IdempotencyInProgress, message)
    }

    /// Nothing is to be done, because it was done before.
    fn used_key() -> Self {
        Self { repeats: Repetition::Unread, ..Self::idempotency_in_progress() }
    }

    /// The same, and this is what was answered then.
    pub(crate) fn replayed(answer: Kept) -> Self {
        Self { repeats: Repetition::Answered(Box::new(answer)), ..Self::used_key() }
    }

    /// Whether this was done before, which is no refusal: see [`Self::replayed`].
    pub(crate) fn is_repetition(&self) -> bool {
        !matches!(self.repeats, Repetition::No)
    }

    /// 503: what is asked for takes the owner's login, which this server does not have.
    pub(crate) fn admin_database_missing() -> Self {
        let message = "Service Unavailable: this server's database login may not see all tenants; the operator has to set \
                       ADMIN_DATABASE_URL to one that may (superuser, or BYPASSRLS)";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::AdminDatabaseMissing, message)
    }

    /// 503: what a text means cannot be made out.
    pub(crate) fn embedding_unavailable() -> Self {
        let message = "Embedding service unavailable";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::EmbeddingUnavailable, message)
    }

    /// 429: not before so many seconds.
    pub(crate) fn too_many_requests(message: &str, seconds: u32) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, Code::RateLimited, message).with(RETRY_AFTER, seconds.into())
    }

    /// 503: there is no room for it at this moment, and nothing of it was done.
    pub(crate) fn overloaded(reason: &str) -> Self {
        let message = format!(
            "Service Unavailable: {reason}; nothing was changed; try again in {MOMENT} s, and with fewer at once"
        );
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::Overloaded, message)
            .with("outcome", "unchanged".into())
            .with(RETRY_AFTER, MOMENT.into())
    }

    /// 503: the server stops, and does not begin it any more.
    pub(crate) fn stopping() -> Self {
        let message = "Service Unavailable: the server is stopping and did not begin this; nothing was changed; try again";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::Stopping, message)
            .with("outcome", "unchanged".into())
    }

    /// 503: it took longer than it may, was stopped, and was taken back.
    pub(crate) fn deadline_exceeded(patience: Duration) -> Self {
        let message = format!(
            "Service Unavailable: this took longer than {} s and was stopped; nothing was changed; ask for less at once, or try again \
             when the server has less to do",
            patience.as_secs()
        );
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::DeadlineExceeded, message)
            .with("outcome", "unchanged".into())
            .with(RETRY_AFTER, MOMENT.into())
    }

    /// 401: for what is done on pages by whoever has signed in.
    pub(crate) fn not_signed_in() -> Self {
        let message = "Unauthorized: nobody has signed in, or not for long enough; sign in at /sign-in";
        Self::new(StatusCode::UNAUTHORIZED, Code::NotSignedIn, message)
    }

    /// 403: a tenant that is suspended, or not there yet.
    pub(crate) fn tenant_not_active() -> Self {
        Self::new(StatusCode::FORBIDDEN, Code::TenantNotActive, "Access denied")
    }

    /// 503: authenticators sign for the name of a host, and this server has none.
    pub(crate) fn no_relying_party() -> Self {
        let message = "Service Unavailable: authenticators cannot sign for this server's public URL; the operator has to set \
                       LOOPCTL_PUBLIC_URL to one with the name of a host";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::WebauthnUnavailable, message)
    }

    /// 500: nothing is created whose key cannot be kept.
    pub(crate) fn audit_key_storage_failed(reason: &SealError) -> Self {
        let message = format!(
            "Internal server error: the tenant's audit key cannot be kept, so nothing was created; {reason}"
        );
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, Code::AuditKeyStorageFailed, message)
    }

    /// 500. The reason belongs into the log, never into the answer.
    pub(crate) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, Code::InternalError, "Internal server error")
    }
}

impl From<FieldErrors> for ApiError {
    fn from(errors: FieldErrors) -> Self {
        Self::unprocessable(Code::ValidationFailed, "Validation failed").with("details", json!(errors.0))
    }
}

impl From<DbError> for ApiError {
    fn from(error: DbError) -> Self {
        if error.violates(USED) {
            Self::used_key()
        } else if matches!(error, DbError::HeldUp) {
            Self::idempotency_in_progress()
        } else if matches!(error, DbError::Stopping) {
            Self::stopping()
        } else if let DbError::TooLong(patience) = error {
            Self::deadline_exceeded(patience)
        } else if let DbError::TooLarge(rows) = error {
            Self::answer_too_large("limit", i64::try_from(rows).unwrap_or(i64::MAX))
        } else if let DbError::Overloaded(reason) = error {
            Self { is_large: reason == db::OTHER_LARGE, ..Self::overloaded(reason) }
        } else if error.is_storage_failure() {
            tracing::error!(%error, "the database cannot write");
            let message = "Service Unavailable: the database's disk is full or read-only; nothing was changed; reading goes on, \
                           try again when the operator has made room";
            Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::StorageUnavailable, message)
                .with("outcome", "unchanged".into())
        } else if error.is_unavailable() {
            tracing::error!(%error, "database unavailable");
            let (outcome, advice) = if error.outcome_unknown() {
                let advice = "the connection was lost and the outcome is unknown; read the current state before you try again";
                ("unknown", advice)
            } else {
                ("unchanged", "nothing was changed; try again")
            };
            let message = format!("Service Unavailable: {advice}");
            Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::DatabaseUnavailable, message)
                .with("outcome", outcome.into())
        } else {
            tracing::error!(%error, "database error");
            Self::internal()
        }
    }
}

impl From<SealError> for ApiError {
    fn from(error: SealError) -> Self {
        match error {
            SealError::NoKey => {
                let message = format!("Service Unavailable: nothing was changed; {error}");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::SecretsKeyMissing, message)
                    .with("outcome", "unchanged".into())
            }
            SealError::TooLong => {
                tracing::error!(%error, "a secret was not encrypted");
                Self::internal()
            }
        }
    }
}

/// Beside the body of an answer that refuses something: why, for whoever tells it in another form.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    /// The stable word.
    pub(crate) code: Code,
    /// The sentence for people.
    pub(crate) message: String,
    /// Whether a large answer is refused because its turn to be read has not come.
    pub(super) is_large: bool,
}

/// Where an error is explained: what happened, why the rule is there, and what to do.
pub(crate) fn learn_more(public_url: &str, code: Code) -> String {
    format!("{public_url}/docs/errors#{code}")
}

impl IntoResponse for ApiError {
    fn into_response(mut self) -> Response {
        if let Repetition::Answered(answer) = std::mem::take(&mut self.repeats) {
            return answer.into_response();
        }
        self.beside(&json!({"error": self}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_beside_other_things_has_its_status_and_headers() {
        let error = ApiError::unauthorized().with("further", 1.into());
        let (alone, beside) =
            (error.clone().into_response(), error.beside(&json!({"results": [], "error": error})));
        assert_eq!(
            (alone.status(), alone.headers().get("www-authenticate").is_some()),
            (beside.status(), true)
        );
        let named = |response: &Response| response.headers().keys().cloned().collect::<Vec<_>>();
        assert_eq!(named(&beside), named(&alone));
        let told = json!({"status": 401, "code": "unauthorized", "message": "Unauthorized", "further": 1});
        assert_eq!(json!(error), told);
    }

    #[test]
    fn a_missing_key_is_the_operators_business_and_said_so() {
        let error = ApiError::from(SealError::NoKey);
        assert!(error.is_unavailable() && error.message.contains("set CLOAK_KEY"), "{error:?}");
        assert_eq!((error.code, &error.members["outcome"]), (Code::SecretsKeyMissing, &json!("unchanged")));
    }
}
