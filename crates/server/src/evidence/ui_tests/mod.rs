//! UI test runs and their findings.
//!
//! Two families of paths serve the same runs, each in its own dialect: `/projects/{project_id}/ui-tests…`, and
//! `/projects/{id}/ui_test_runs` with `/ui_test_runs/{id}…`. What a family asks for and how it answers is in `dialect`,
//! what a body must hold and what it counts for in `rules`; everything else is there once for both.

mod api;
mod dialect;
mod rules;
mod store;

use crate::app::Endpoint;
use crate::http::endpoints;
use dialect::{UiTestRuns, UiTests};

pub(crate) use store::STATEMENTS;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Endpoint> {
    endpoints! { "UI Tests";
        /// Starts a UI test run along a guide.
        POST "/api/v1/projects/{project_id}/ui-tests" => api::start::<UiTests>;
        /// A project's UI test runs, newest first, each with its 20 newest findings.
        GET "/api/v1/projects/{project_id}/ui-tests" => api::list::<UiTests>;
        /// One UI test run with its findings.
        GET "/api/v1/projects/{project_id}/ui-tests/{id}" => api::show::<UiTests>;
        /// Adds a finding to a UI test run that is in progress.
        ///
        /// A finding is any of the fields, at least one.
        POST "/api/v1/projects/{project_id}/ui-tests/{id}/findings" => api::add_finding::<UiTests>,
            422 RunNotInProgress "the run has ended", 422 TooManyFindings "the run has as many findings, or bytes of them, as it may have";
        /// Ends a UI test run that is in progress.
        POST "/api/v1/projects/{project_id}/ui-tests/{id}/complete" => api::complete::<UiTests>, 422 RunAlreadyCompleted "the run has ended before";
        /// Starts a UI test run.
        POST "/api/v1/projects/{id}/ui_test_runs" => api::start::<UiTestRuns>;
        /// A project's UI test runs, newest first, without their findings.
        GET "/api/v1/projects/{id}/ui_test_runs" => api::list::<UiTestRuns>;
        /// One UI test run with its findings.
        GET "/api/v1/ui_test_runs/{id}" => api::show::<UiTestRuns>;
        /// Adds a finding to a UI test run that is running.
        POST "/api/v1/ui_test_runs/{id}/findings" => api::add_finding::<UiTestRuns>,
            422 RunNotInProgress "the run has ended", 422 TooManyFindings "the run has as many findings, or bytes of them, as it may have";
        /// Ends a UI test run that is running.
        POST "/api/v1/ui_test_runs/{id}/complete" => api::complete::<UiTestRuns>, 422 RunAlreadyCompleted "the run has ended before";
    }
}
