//! The two dialects: what each family of paths asks for, and how it answers.

use axum::Json;
use axum::response::IntoResponse;
use loopctl_core::request::{Custom, Request, Rule as _, Text, Word, custom, text, word};
use schemars::JsonSchema;
use serde::Serialize;

use super::rules::{Completion, Details, Finding, Start};
use super::store::{BareRun, LIST_BARE_RUNS, LIST_RUNS, ListedRun, UiTestFinding, UiTestRun};
use crate::db::{ListSql, Row};
use crate::http::{self, Created, Output, one};

/// The stored status of a run that takes findings.
pub(super) const OPEN: &str = "in_progress";

/// The words for a status in either family.
pub(super) const STATUSES: &[&str] = &[OPEN, "running", "passed", "failed", "cancelled"];

/// The stored status that a word of either family means.
pub(super) fn stored_status(word: &str) -> Option<&'static str> {
    match word {
        "running" => Some(OPEN),
        _ => one_of(STATUSES, word),
    }
}

fn one_of(words: &'static [&'static str], word: &str) -> Option<&'static str> {
    words.iter().copied().find(|known| *known == word)
}

/// A family of paths.
pub(super) trait Dialect {
    /// What it calls the status of a run that takes findings.
    const OPEN: &'static str;
    /// The body of a start.
    type Start: Request;
    /// The body of a finding.
    type Finding: Request;
    /// The body of an end.
    type Completion: Request;
    /// The answer with one run.
    type Answer: Serialize + JsonSchema;
    /// A run in a list.
    type Listed: Row + Serialize + JsonSchema + AsMut<BareRun> + 'static;
    /// The runs of a project.
    const LIST: &'static ListSql<Self::Listed>;
    /// The answer to a finding.
    type Found: http::Answer + IntoResponse + Output;

    fn start(sent: &Self::Start) -> Start<'_>;

    fn finding(sent: &Self::Finding) -> Finding<'_>;

    fn completion(sent: &Self::Completion) -> Completion<'_>;

    fn answer(run: UiTestRun) -> Self::Answer;

    /// Answers with the run, whose last finding it is.
    fn found(run: UiTestRun) -> Self::Found;

    /// What a stored status is called.
    fn status(stored: &str) -> &str {
        if stored == OPEN { Self::OPEN } else { stored }
    }

    /// The run in the family's words.
    fn tell<R: AsMut<BareRun>>(mut run: R) -> R {
        let status = &mut run.as_mut().status;
        *status = Self::status(status).to_owned();
        run
    }
}

const GUIDE: Text = text(1000);
const TITLE: Text = text(500);
const LONG: Text = text(50_000);

const ENDS: &[&str] = &["passed", "failed"];
const NO_END: &str = "must be passed or failed";
const END: Word<&str> = word(ENDS, |word| one_of(ENDS, word)).or_else(NO_END);

/// `/projects/{project_id}/ui-tests…`: runs along a guide, which whoever ends them passes or fails.
pub(super) struct UiTests;

/// The start of a run, which follows a guide.
#[derive(Debug, Request)]
pub(super) struct UiTestStartRequest {
    /// What is walked through.
    #[rule(GUIDE.required())]
    guide_reference: String,
    #[rule(LONG)]
    notes: Option<String>,
}

/// Something found on the way: any of these, at least one.
#[derive(Debug, Request)]
pub(super) struct UiTestFindingRequest {
    /// Absent counts as `low`.
    #[rule(word(SEVERITIES, |word| one_of(SEVERITIES, word)))]
    severity: Option<&'static str>,
    #[rule(TITLE)]
    title: Option<String>,
    #[flatten]
    details: Details,
}

const SEVERITIES: &[&str] = &["critical", "high", "medium", "low", "blocker", "bug", "enhancement"];

/// The end of a run.
#[derive(Debug, Request)]
pub(super) struct UiTestCompleteRequest {
    #[rule(LONG.required())]
    summary: String,
    #[rule(required_end())]
    status: Option<&'static str>,
}

const fn required_end() -> Custom<Option<&'static str>> {
    custom(
        |fields, name| {
            let end = END.read(fields, name);
            if end.is_none() && !fields.has_failed(name) {
                fields.fail(name, NO_END);
            }
            end
        },
        || END.schema(),
    )
    .mandatory()
}

one! { pub(super) UiTestResponse { ui_test_run: UiTestRun } }

impl Dialect for UiTests {
    const OPEN: &'static str = OPEN;
    type Start = UiTestStartRequest;
    type Finding = UiTestFindingRequest;
    type Completion = UiTestCompleteRequest;
    type Answer = UiTestResponse;
    type Listed = ListedRun;
    const LIST: &'static ListSql<ListedRun> = &LIST_RUNS;
    type Found = Json<UiTestResponse>;

    fn start(sent: &UiTestStartRequest) -> Start<'_> {
        Start { guide_reference: Some(&sent.guide_reference), notes: sent.notes.as_deref() }
    }

    fn finding(sent: &UiTestFindingRequest) -> Finding<'_> {
        Finding { severity: sent.severity, title: sent.title.as_deref(), details: &sent.details }
    }

    fn completion(sent: &UiTestCompleteRequest) -> Completion<'_> {
        Completion { summary: &sent.summary, status: sent.status }
    }

    fn answer(run: UiTestRun) -> UiTestResponse {
        UiTestResponse { ui_test_run: Self::tell(run) }
    }

    fn found(run: UiTestRun) -> Json<UiTestResponse> {
        Json(Self::answer(run))
    }
}

/// `/projects/{id}/ui_test_runs` and `/ui_test_runs/{id}…`: runs with or without a guide, which may end as their findings
/// say.
pub(super) struct UiTestRuns;

/// The start of a run.
#[derive(Debug, Request)]
pub(super) struct UiTestRunStartRequest {
    #[rule(LONG)]
    notes: Option<String>,
    /// What is walked through.
    #[rule(GUIDE)]
    guide_reference: Option<String>,
}

/// Something found on the way.
#[derive(Debug, Request)]
pub(super) struct UiTestRunFindingRequest {
    #[rule(word(GRAVE_OR_NOT, |word| one_of(GRAVE_OR_NOT, word)).required())]
    severity: &'static str,
    #[rule(TITLE.required())]
    title: String,
    #[flatten]
    details: Details,
}

const GRAVE_OR_NOT: &[&str] = &["bug", "enhancement", "blocker"];

/// The end of a run.
#[derive(Debug, Request)]
pub(super) struct UiTestRunCompleteRequest {
    #[rule(LONG.required())]
    summary: String,
    /// Default: `failed` with any finding that is a `blocker`, `bug`, `critical` or `high`.
    #[rule(END)]
    status: Option<&'static str>,
}

one! { pub(super) UiTestRunResponse { data: UiTestRun } }

#[derive(Serialize, JsonSchema)]
pub(super) struct FoundInRun {
    data: Option<UiTestFinding>,
    ui_test_run: UiTestRun,
}

impl Dialect for UiTestRuns {
    const OPEN: &'static str = "running";
    type Start = UiTestRunStartRequest;
    type Finding = UiTestRunFindingRequest;
    type Completion = UiTestRunCompleteRequest;
    type Answer = UiTestRunResponse;
    type Listed = BareRun;
    const LIST: &'static ListSql<BareRun> = &LIST_BARE_RUNS;
    type Found = Created<FoundInRun>;

    fn start(sent: &UiTestRunStartRequest) -> Start<'_> {
        Start { guide_reference: sent.guide_reference.as_deref(), notes: sent.notes.as_deref() }
    }

    fn finding(sent: &UiTestRunFindingRequest) -> Finding<'_> {
        Finding { severity: Some(sent.severity), title: Some(&sent.title), details: &sent.details }
    }

    fn completion(sent: &UiTestRunCompleteRequest) -> Completion<'_> {
        Completion { summary: &sent.summary, status: sent.status }
    }

    fn answer(run: UiTestRun) -> UiTestRunResponse {
        UiTestRunResponse { data: Self::tell(run) }
    }

    fn found(run: UiTestRun) -> Created<FoundInRun> {
        Created(FoundInRun { data: run.findings.0.last().cloned(), ui_test_run: Self::tell(run) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_open_status_has_two_names() {
        assert_eq!(UiTests::status(OPEN), "in_progress");
        assert_eq!(UiTestRuns::status(OPEN), "running");
        for called in [UiTests::status, UiTestRuns::status] {
            assert_eq!(stored_status(called(OPEN)), Some(OPEN));
            for status in ["passed", "failed", "cancelled"] {
                assert_eq!(called(status), status);
                assert_eq!(stored_status(status), Some(status));
            }
        }
        for word in ["", "Running", "open", "verified"] {
            assert_eq!(stored_status(word), None, "{word}");
        }
    }
}
