//! The one error type and its envelope.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use loopctl_core::fields::FieldErrors;
use loopctl_core::lifecycle::{Refusal, Status};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::db::DbError;

/// What a handler returns.
pub(crate) type ApiResult<T> = Result<T, ApiError>;

/// What every refusal says of why. Depending on `code` there are further members.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RefusalDetails", extend("additionalProperties" = true))]
pub(crate) struct Envelope {
    /// The HTTP status.
    pub(crate) status: u16,
    /// A stable word for programs.
    code: String,
    /// A sentence for people.
    message: String,
}

/// An answer other than success: `{"error": {"status", "code", "message", …}}`.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    members: Map<String, Value>,
}

impl ApiError {
    /// An error with its stable code and one sentence that says what to do.
    pub(crate) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        let mut members = Map::new();
        members.insert("status".to_owned(), json!(status.as_u16()));
        members.insert("code".to_owned(), json!(code));
        members.insert("message".to_owned(), json!(message.into()));
        Self { status, members }
    }

    /// Adds a member beside `status`, `code` and `message`.
    #[must_use]
    pub(crate) fn with(mut self, member: &str, value: Value) -> Self {
        self.members.insert(member.to_owned(), value);
        self
    }

    /// 400.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// 401, no usable `Authorization` header.
    pub(crate) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "Unauthorized")
    }

    /// 401, key unknown, revoked or expired: not told apart.
    pub(crate) fn invalid_api_key() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "invalid_api_key", "Invalid API key")
    }

    /// 403.
    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    /// 404: absent, in another tenant, or no such route; not told apart.
    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "Not found")
    }

    /// 409.
    pub(crate) fn conflict(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    /// 422 for a business rule.
    pub(crate) fn unprocessable(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
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
            let next_action = refusal.hints.join(" ");
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
        self.with("message", message.into())
    }

    /// Whether the server failed, as opposed to having refused something.
    pub(crate) fn is_failure(&self) -> bool {
        self.status.is_server_error()
    }

    /// What it says, for an answer that tells other things besides.
    pub(crate) fn envelope(&self) -> Envelope {
        let text = |name| self.members.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        Envelope { status: self.status.as_u16(), code: text("code"), message: text("message") }
    }

    /// The members of an error, for an answer that tells several: `code`, `reason` (the message) and whatever else it
    /// has, without the status.
    pub(crate) fn into_members(self) -> Map<String, Value> {
        let mut error = self.naming_fields().members;
        let mut members = Map::new();
        for (name, told) in [("code", "code"), ("message", "reason")] {
            members.extend(error.remove(name).map(|value| (told.to_owned(), value)));
        }
        members.extend(error.into_iter().filter(|(name, _)| name != "status" && name != "remediation"));
        members
    }

    /// As [`Self::into_members`], for a refusal.
    ///
    /// # Errors
    /// The error itself when it is a failure of the server, which no answer may hide.
    pub(crate) fn into_refusal(self) -> Result<Map<String, Value>, Self> {
        if self.is_failure() { Err(self) } else { Ok(self.into_members()) }
    }

    /// 500. The reason belongs into the log, never into the answer.
    pub(crate) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "Internal server error")
    }
}

impl From<FieldErrors> for ApiError {
    fn from(errors: FieldErrors) -> Self {
        Self::unprocessable("validation_failed", "Validation failed").with("details", json!(errors.0))
    }
}

impl From<DbError> for ApiError {
    fn from(error: DbError) -> Self {
        if error.is_storage_failure() {
            tracing::error!(%error, "the database cannot write");
            let message = "Service Unavailable: the database's disk is full or read-only; nothing was changed; reading goes on, \
                           try again when the operator has made room";
            Self::new(StatusCode::SERVICE_UNAVAILABLE, "storage_unavailable", message)
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
            Self::new(StatusCode::SERVICE_UNAVAILABLE, "database_unavailable", message)
                .with("outcome", outcome.into())
        } else {
            tracing::error!(%error, "database error");
            Self::internal()
        }
    }
}

/// Where people read about an error code or an action.
pub(crate) fn learn_more(public_url: &str, topic: &str) -> String {
    format!("{public_url}/wiki/{}", topic.replace('_', "-"))
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, axum::Json(json!({"error": self.members}))).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
