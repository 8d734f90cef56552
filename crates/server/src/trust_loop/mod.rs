//! The trust loop: every endpoint that moves a story (file 02 §4, §5).
//!
//! All of them go through [`transition::perform`]: lock the story, hand the facts to `loopctl_core::lifecycle`,
//! write the new state with one statement, record the events. There is no shorter way around a guard: bulk calls
//! ([`batch`]) take the same step per story, inside one transaction.

mod agent_api;
mod batch;
mod bulk_api;
mod evidence;
mod log;
mod outcome;
mod store;
mod transition;
mod verifier_api;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::routes::alias;

pub(crate) use outcome::{NextStep, VerificationResult, next_steps};
pub(crate) use store::STATEMENTS;

/// The routes of this module.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(agent_api::contract))
        .routes(routes!(agent_api::claim))
        .routes(routes!(agent_api::start))
        .routes(alias("/api/v1/stories/{id}/start-work", routes!(agent_api::start)))
        .routes(routes!(agent_api::request_review))
        .routes(routes!(agent_api::report))
        .routes(alias("/api/v1/stories/{id}/report-done", routes!(agent_api::report)))
        .routes(routes!(agent_api::unclaim))
        .routes(routes!(verifier_api::review_complete))
        .routes(routes!(verifier_api::verify))
        .routes(routes!(verifier_api::reject))
        .routes(routes!(verifier_api::force_unclaim))
        .routes(routes!(verifier_api::verifications))
        .routes(routes!(verifier_api::backfill))
        .routes(routes!(bulk_api::claim))
        .routes(routes!(bulk_api::verify))
        .routes(routes!(bulk_api::reject))
        .routes(routes!(bulk_api::mark_complete))
        .routes(routes!(bulk_api::verify_all))
}
