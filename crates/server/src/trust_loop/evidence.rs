//! What callers send along with a transition. Read only after the story's own guards have passed: that is
//! the contract's order of errors.

use chrono::{DateTime, TimeDelta, Utc};
use loopctl_core::fields::{FieldErrors, Fields, INVALID, Length};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::http::{ApiError, ApiResult};

/// How far a clock may run ahead of ours before a `completed_at` is refused.
const CLOCK_SKEW: TimeDelta = TimeDelta::seconds(60);
const LABEL: Length = Length::max(255);
const PROSE: Length = Length::max(50_000);

/// `POST /stories/:id/review-complete` (file 02 §5.1).
#[derive(Debug, ToSchema)]
pub(super) struct NewReview {
    pub(super) review_type: String,
    /// Default 0.
    pub(super) findings_count: i32,
    /// Default 0.
    pub(super) fixes_count: i32,
    /// Default 0.
    pub(super) disproved_count: i32,
    pub(super) summary: Option<String>,
    /// After the report, at most 60 s in the future; default now.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(super) completed_at: Option<DateTime<Utc>>,
}

impl NewReview {
    /// Reads the body for a story reported at `reported_done_at`, at time `now`.
    pub(super) fn read(
        object: &Map<String, Value>,
        reported_done_at: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<Self, FieldErrors> {
        let mut fields = Fields::new(object);
        let review_type = fields.required_text("review_type", LABEL);
        let [found, fixed, disproved] = ["findings_count", "fixes_count", "disproved_count"]
            .map(|name| fields.integer_at_least(name, 0).unwrap_or(0));
        if found > 0 && i64::from(fixed) + i64::from(disproved) < i64::from(found) {
            fields.fail(
                "fixes_count",
                format!("{found} findings confirmed but only {fixed} fixed and {disproved} disproved"),
            );
        }
        let summary = fields.text("summary", PROSE);
        let completed_at = fields.timestamp("completed_at");
        if let Some(time) = completed_at {
            if reported_done_at.is_some_and(|reported| time <= reported) {
                fields.fail("completed_at", "must be later than reported_done_at");
            }
            if time > now + CLOCK_SKEW {
                fields.fail("completed_at", "must not be in the future");
            }
        }
        fields.finish(Self {
            review_type,
            findings_count: found,
            fixes_count: fixed,
            disproved_count: disproved,
            summary,
            completed_at,
        })
    }
}

/// `POST /stories/:id/verify` (file 02 §5.2).
#[derive(Debug, ToSchema)]
pub(super) struct NewVerification {
    /// `pass` (default) or `partial`; use `reject` for a failure.
    #[schema(value_type = Option<String>)]
    pub(super) result: &'static str,
    pub(super) summary: Option<String>,
    pub(super) review_type: Option<String>,
    /// An object or an array; default `{}`.
    #[schema(value_type = Option<Object>)]
    pub(super) findings: Value,
    /// At most 64 hexadecimal digits.
    pub(super) commit_sha: Option<String>,
}

impl NewVerification {
    /// Reads the body of a verification.
    pub(super) fn read(object: &Map<String, Value>) -> Result<Self, FieldErrors> {
        let mut fields = Fields::new(object);
        let result = match fields.value("result").map(|value| value.as_str().unwrap_or_default()) {
            None | Some("pass") => "pass",
            Some("partial") => "partial",
            Some("fail") => {
                fields.fail(
                    "result",
                    "must be pass or partial; use POST /api/v1/stories/:id/reject for a failure",
                );
                "fail"
            }
            Some(_) => {
                fields.fail("result", "must be pass or partial");
                "fail"
            }
        };
        let commit_sha = fields.text("commit_sha", Length::max(64));
        if commit_sha.as_deref().is_some_and(|sha| !sha.bytes().all(|byte| byte.is_ascii_hexdigit())) {
            fields.fail("commit_sha", INVALID);
        }
        let new = Self {
            result,
            summary: fields.text("summary", PROSE),
            review_type: fields.text("review_type", LABEL),
            findings: findings(&mut fields),
            commit_sha,
        };
        fields.finish(new)
    }

    /// A rejection's result row: its summary is the reason.
    pub(super) fn rejection(object: &Map<String, Value>, reason: &str) -> Result<Self, FieldErrors> {
        let mut fields = Fields::new(object);
        let new = Self {
            result: "fail",
            summary: Some(reason.to_owned()),
            review_type: fields.text("review_type", LABEL),
            findings: findings(&mut fields),
            commit_sha: None,
        };
        fields.finish(new)
    }
}

fn findings(fields: &mut Fields<'_>) -> Value {
    fields.object_or_array("findings").unwrap_or_else(|| Value::Object(Map::new()))
}

/// Whether both halves of the review evidence are there.
pub(super) fn has_evidence(object: &Map<String, Value>) -> bool {
    ["review_type", "summary"].iter().all(|name| is_filled(object.get(*name)))
}

fn is_filled(value: Option<&Value>) -> bool {
    value.and_then(Value::as_str).is_some_and(|text| !text.trim().is_empty())
}

/// The reason of a rejection, trimmed.
///
/// # Errors
/// 422 when it is missing, blank, no string or too long.
pub(super) fn required_reason(object: &Map<String, Value>) -> ApiResult<&str> {
    let text = object.get("reason").and_then(Value::as_str).map(str::trim).unwrap_or_default();
    if text.is_empty() {
        return Err(ApiError::unprocessable("reason_required", "reason is required and cannot be blank"));
    }
    if text.chars().count() > 50_000 {
        return Err(ApiError::invalid_field("reason", "should be at most 50000 character(s)"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn review(body: Value) -> Result<NewReview, FieldErrors> {
        let reported = DateTime::from_timestamp(1_800_000_000, 0);
        NewReview::read(body.as_object().unwrap(), reported, reported.unwrap() + TimeDelta::seconds(10))
    }

    #[test]
    fn findings_must_be_accounted_for() {
        let counts = |found: i32, fixed: i32, disproved: i32| {
            review(json!({"review_type": "enhanced", "findings_count": found, "fixes_count": fixed,
                          "disproved_count": disproved}))
        };
        let errors = counts(6, 4, 0).unwrap_err();
        assert!(errors.0["fixes_count"][0].contains("6 findings confirmed but only 4 fixed and 0 disproved"));
        assert!(counts(6, 4, 2).is_ok() && counts(2, 4, 2).is_ok() && counts(0, 0, 0).is_ok());
        assert!(counts(i32::MAX, i32::MAX, i32::MAX).is_ok());
        assert!(counts(-1, 0, 0).is_err());
    }

    #[test]
    fn a_review_is_after_the_report_and_not_in_the_future() {
        let at = |time: &str| review(json!({"review_type": "x", "completed_at": time})).is_ok();
        assert!(at("2027-01-15T08:00:05Z"));
        assert!(!at("2027-01-15T08:00:00Z"), "not later than the report");
        assert!(at("2027-01-15T08:01:00Z") && !at("2027-01-15T08:01:11Z"));
        assert!(!at("2028-01-15T08:00:05Z") && !at("yesterday"));
    }

    #[test]
    fn verification_results() {
        let read = |body: Value| NewVerification::read(body.as_object().unwrap());
        assert_eq!(read(json!({})).unwrap().result, "pass");
        assert_eq!(read(json!({"result": "partial", "findings": []})).unwrap().findings, json!([]));
        assert!(read(json!({"result": "fail"})).unwrap_err().0["result"][0].contains("reject"));
        for bad in [json!({"result": 1}), json!({"findings": 7}), json!({"commit_sha": "xyz"})] {
            assert!(read(bad.clone()).is_err(), "{bad}");
        }
    }
}
