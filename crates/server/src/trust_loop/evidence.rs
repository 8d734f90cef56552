//! What callers send along with a transition. Told as wrong only after the story's own guards have passed: that is the
//! contract's order of errors.

use chrono::{DateTime, TimeDelta, Utc};
use loopctl_core::code::Code;
use loopctl_core::fields::{FieldErrors, INVALID};
use loopctl_core::json::{JsonText, scalar};
use loopctl_core::lifecycle::Echo;
use loopctl_core::request::{
    Custom, Request, Text, custom, integer, nested, nested_object, object_or_array, text, timestamp,
};
use schemars::json_schema;
use serde_json::{Value, json};

use crate::cost::usage::TokenUsage;
use crate::evidence::artifacts::ArtifactCreateRequest;
use crate::http::{ApiError, ApiResult, Sent};

/// How far a clock may run ahead of ours before a `completed_at` is refused.
const CLOCK_SKEW: TimeDelta = TimeDelta::seconds(60);
const LABEL: Text = text(255);
const PROSE: Text = text(50_000);

/// What comes with an attempt.
#[derive(Debug, Clone)]
pub(super) enum Evidence {
    /// Nothing that is kept.
    None,
    Report(Sent<ReportRequest>),
    Review(Sent<ReviewCompleteRequest>),
    Verification(Sent<VerifyRequest>),
    Completion(Sent<CompletionRequest>),
    Rejection(Sent<RejectRequest>),
}

/// `POST /stories/:id/contract`: compared as it was sent; a wrong type is a mismatch.
#[derive(Debug, Request)]
pub(super) struct ContractRequest {
    /// The story's title, to the letter.
    #[rule(as_sent(|| json_schema!({"type": "string"})))]
    story_title: Option<Value>,
    /// The number of acceptance criteria.
    #[rule(as_sent(|| json_schema!({"type": "integer"})))]
    ac_count: Option<Value>,
    /// For orchestrators only.
    #[rule(as_sent(|| json_schema!({"type": "boolean"})))]
    skip_contract_check: Option<Value>,
}

/// The most that is repeated of a value that is not what it should be.
const REPEATED: usize = 1000;

const fn as_sent(schema: fn() -> schemars::Schema) -> Custom<Option<Value>> {
    custom(
        |fields, name| {
            let raw = fields.raw(name)?;
            let is_small = raw.get().len() <= REPEATED;
            Some(if is_small { JsonText::from(raw).to_value() } else { scalar(raw) })
        },
        schema,
    )
}

impl ContractRequest {
    pub(super) fn echo(&self) -> Echo {
        Echo {
            story_title: self.story_title.clone(),
            ac_count: self.ac_count.clone(),
            skip: self
                .skip_contract_check
                .as_ref()
                .is_some_and(|flag| flag == &json!(true) || flag == "true"),
        }
    }
}

/// `POST /stories/:id/report`.
#[derive(Debug, Clone, Request)]
pub(super) struct ReportRequest {
    /// What was produced.
    #[rule(nested::<ArtifactCreateRequest>())]
    pub(super) artifact: Option<ArtifactCreateRequest>,
    /// What you have used for it.
    #[rule(nested_object::<TokenUsage>())]
    pub(super) token_usage: Option<TokenUsage>,
}

/// A story that is marked complete.
#[derive(Debug, Clone, Request)]
pub(super) struct CompletionRequest {
    #[flatten]
    pub(super) verification: VerifyRequest,
    /// What was used for it.
    #[rule(nested_object::<TokenUsage>())]
    pub(super) token_usage: Option<TokenUsage>,
}

/// `POST /stories/:id/review-complete`.
#[derive(Debug, Clone, Request)]
pub(super) struct ReviewCompleteRequest {
    #[rule(LABEL.required())]
    pub(super) review_type: String,
    #[rule(integer().not_negative().or(0))]
    pub(super) findings_count: i32,
    #[rule(integer().not_negative().or(0))]
    pub(super) fixes_count: i32,
    #[rule(integer().not_negative().or(0))]
    pub(super) disproved_count: i32,
    #[rule(PROSE)]
    pub(super) summary: Option<String>,
    /// After the report, at most 60 s in the future; default now.
    #[rule(timestamp())]
    pub(super) completed_at: Option<DateTime<Utc>>,
}

impl ReviewCompleteRequest {
    /// What is wrong with it for a story reported at `reported_done_at`, at time `now`.
    pub(super) fn check(
        &self,
        errors: &mut FieldErrors,
        reported_done_at: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) {
        let (found, fixed, disproved) = (self.findings_count, self.fixes_count, self.disproved_count);
        if found > 0 && i64::from(fixed) + i64::from(disproved) < i64::from(found) {
            let message =
                format!("{found} findings confirmed but only {fixed} fixed and {disproved} disproved");
            errors.add("fixes_count", message);
        }
        let Some(time) = self.completed_at else { return };
        if reported_done_at.is_some_and(|reported| time <= reported) {
            errors.add("completed_at", "must be later than reported_done_at");
        }
        if time > now + CLOCK_SKEW {
            errors.add("completed_at", "must not be in the future");
        }
    }
}

/// `POST /stories/:id/verify`.
#[derive(Debug, Clone, Request)]
pub(super) struct VerifyRequest {
    /// `pass` (default) or `partial`; use `reject` for a failure.
    #[rule(result())]
    pub(super) result: &'static str,
    #[rule(PROSE)]
    pub(super) summary: Option<String>,
    #[rule(LABEL)]
    pub(super) review_type: Option<String>,
    #[rule(object_or_array())]
    pub(super) findings: Option<JsonText>,
    /// Hexadecimal digits.
    #[rule(text(64).that(|sha| check_sha(sha)))]
    pub(super) commit_sha: Option<String>,
    /// Whether nothing else than text stands for the evidence: what is no text is none.
    #[rule(only_text())]
    only_text: bool,
}

const fn only_text() -> Custom<bool> {
    custom(
        |fields, _| {
            let mut evidence = ["review_type", "summary"].iter().filter_map(|name| fields.value(name));
            evidence.all(|value| value.is_string())
        },
        schemars::Schema::default,
    )
    .hidden()
}

const fn result() -> Custom<&'static str> {
    custom(
        |fields, name| match fields.value(name).as_ref().map(|word| word.as_str().unwrap_or_default()) {
            None | Some("pass") => "pass",
            Some("partial") => "partial",
            Some("fail") => {
                let message = "must be pass or partial; use POST /api/v1/stories/:id/reject for a failure";
                fields.fail(name, message);
                "fail"
            }
            Some(_) => {
                fields.fail(name, "must be pass or partial");
                "fail"
            }
        },
        || json_schema!({"type": "string", "enum": ["pass", "partial"], "default": "pass"}),
    )
}

fn check_sha(sha: &str) -> Result<(), String> {
    if sha.bytes().all(|byte| byte.is_ascii_hexdigit()) { Ok(()) } else { Err(INVALID.to_owned()) }
}

/// Whether both halves of the review evidence are there, good or bad.
pub(super) fn has_evidence(sent: &Sent<VerifyRequest>) -> bool {
    let VerifyRequest { summary, review_type, only_text, .. } = sent.anyway();
    *only_text
        && (summary.is_some() || sent.has_failed("summary"))
        && (review_type.is_some() || sent.has_failed("review_type"))
}

/// `POST /stories/:id/reject`.
#[derive(Debug, Clone, Request)]
pub(super) struct RejectRequest {
    /// Not blank, at most 50000 characters.
    #[rule(reason())]
    reason: Option<String>,
    #[rule(object_or_array())]
    pub(super) findings: Option<JsonText>,
    #[rule(LABEL)]
    pub(super) review_type: Option<String>,
}

/// A reason that is missing or no text is told in words of its own.
const fn reason() -> Custom<Option<String>> {
    custom(
        |fields, name| fields.filled(name)?.as_str().map(|text| text.trim().to_owned()),
        || json_schema!({"type": "string", "maxLength": 50_000}),
    )
    .mandatory()
}

impl RejectRequest {
    /// The reason of a rejection, trimmed.
    ///
    /// # Errors
    /// 422 when it is missing, blank, no string or too long.
    pub(super) fn required_reason(&self) -> ApiResult<String> {
        let reason = self.reason.clone().ok_or_else(|| {
            ApiError::unprocessable(Code::ReasonRequired, "reason is required and cannot be blank")
        })?;
        if reason.chars().count() > 50_000 {
            return Err(ApiError::invalid_field("reason", "should be at most 50000 character(s)"));
        }
        Ok(reason)
    }

    /// The verification result that a rejection is.
    pub(super) fn failed(&self, reason: &str) -> VerifyRequest {
        VerifyRequest {
            result: "fail",
            summary: Some(reason.to_owned()),
            review_type: self.review_type.clone(),
            findings: self.findings.clone(),
            commit_sha: None,
            only_text: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn review(body: Value) -> Result<ReviewCompleteRequest, FieldErrors> {
        let reported = DateTime::from_timestamp(1_800_000_000, 0);
        let text = JsonText::from(body);
        let sent = Sent::<ReviewCompleteRequest>::of(&text.object().unwrap());
        let now = reported.unwrap() + TimeDelta::seconds(10);
        sent.errors_of(|review, errors| review.check(errors, reported, now)).cloned()
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
        let read = |body: Value| VerifyRequest::from_object(&JsonText::from(body).object().unwrap());
        assert_eq!(read(json!({})).unwrap().result, "pass");
        assert_eq!(
            read(json!({"result": "partial", "findings": []})).unwrap().findings,
            Some(json!([]).into())
        );
        assert!(read(json!({"result": "fail"})).unwrap_err().0["result"][0].contains("reject"));
        for bad in [json!({"result": 1}), json!({"findings": 7}), json!({"commit_sha": "xyz"})] {
            assert!(read(bad.clone()).is_err(), "{bad}");
        }
    }
}
