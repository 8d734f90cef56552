//! The trust loop: everything that moves a story, and what is known of the work on it.
//!
//! All of it goes through [`transition::attempt`]: lock the stories, hand the facts of each to `loopctl_core::lifecycle`, write
//! the new states with one statement, record the events. There is no shorter way around a guard: one step is as many are,
//! whether they come in one bulk call ([`bulk`]) or at the same time ([`together`]).

mod api;
mod bulk;
mod detail;
mod evidence;
mod log;
mod spending;
mod store;
mod telemetry;
mod together;
mod transition;
mod verify_all;

use crate::app::Endpoint;
use crate::http::endpoints;

pub(crate) use store::STATEMENTS;
pub(crate) use together::Together;

/// The routes of this module.
pub(crate) fn routes() -> Vec<Endpoint> {
    endpoints! { "Stories";
        /// One story with its prerequisites, artifacts and latest verification, and what the caller can do next.
        GET "/api/v1/stories/{id}" => detail::show;

        "Progress";
        /// Acknowledges a story by echoing its title and number of acceptance criteria.
        POST "/api/v1/stories/{id}/contract" => api::contract as Contract;
        /// Takes a contracted story.
        ///
        /// Of any number of agents at once, exactly one gets it.
        POST "/api/v1/stories/{id}/claim" => api::claim as Claim;
        /// Begins work on a claimed story.
        POST "/api/v1/stories/{id}/start" | "/api/v1/stories/{id}/start-work" => api::start as Start;
        /// Says that the implementer is done; a different agent takes over.
        ///
        /// May be repeated after fixes.
        POST "/api/v1/stories/{id}/request-review" => api::request_review as RequestReview;
        /// Confirms another agent's implementation.
        POST "/api/v1/stories/{id}/report" | "/api/v1/stories/{id}/report-done" => api::report as Report;
        /// Gives a claimed story back.
        POST "/api/v1/stories/{id}/unclaim" => api::unclaim as Unclaim;
        /// Records a finished review of a reported story.
        ///
        /// Not for the implementer.
        POST "/api/v1/stories/{id}/review-complete" => api::review_complete as ReviewComplete;
        /// Signs a story off.
        ///
        /// Not for an implementer, and not without a review of this report, of title and criteria as they are now.
        POST "/api/v1/stories/{id}/verify" => api::verify as Verify;
        /// Sends a story back; by default it becomes pending again.
        POST "/api/v1/stories/{id}/reject" => api::reject as Reject, 422 ReasonRequired "no reason";
        /// Takes a story from whoever holds it.
        ///
        /// Repeating it changes nothing.
        POST "/api/v1/stories/{id}/force-unclaim" => api::force_unclaim as ForceUnclaim;
        /// A story's verification results, newest first.
        GET "/api/v1/stories/{story_id}/verifications" => api::verifications;
        /// Records a story that was finished outside the loop as done and verified.
        ///
        /// Never one that an agent ever contracted, claimed or reported an artifact for. Repeating it with the same body changes nothing.
        POST "/api/v1/stories/{id}/backfill" => api::backfill as Backfill;
        /// Claims contracted stories, each by the rules of a single claim.
        POST "/api/v1/stories/bulk/claim" => bulk::claim, 422 AgentRequired "the key is not bound to an agent",
            422 InvalidBatch "the list is missing, empty or too long", 422 NothingProcessed "none was let through; `results` says why for each";
        /// Verifies reported stories, each by the rules of a single verification.
        POST "/api/v1/stories/bulk/verify" => bulk::verify, 400 AgentRequired "the key is not bound to an agent",
            422 InvalidBatch "the list is missing, empty or too long", 422 NothingProcessed "none was let through; `results` says why for each";
        /// Rejects stories, each by the rules of a single rejection.
        POST "/api/v1/stories/bulk/reject" => bulk::reject, 400 AgentRequired "the key is not bound to an agent",
            422 InvalidBatch "the list is missing, empty or too long", 422 NothingProcessed "none was let through; `results` says why for each";
        /// Signs off stories that were done before the loop began.
        ///
        /// A story that an agent ever contracted, claimed or reported an artifact for is refused with `not_pre_existing`; one
        /// that is verified already is left as it is.
        POST "/api/v1/stories/bulk/mark-complete" => bulk::mark_complete, 400 AgentRequired "the key is not bound to an agent",
            422 InvalidBatch "the list is missing, empty or too long", 422 NothingProcessed "none was let through; `results` says why for each";
        /// Verifies every story of an epic that is reported and not yet verified.
        ///
        /// Each by the rules of a single verification and in a transaction of its own. A failure of the server ends it:
        /// what was verified stays, and the rest is told as `not_attempted`.
        POST "/api/v1/epics/{id}/verify-all" => verify_all::verify_all,
            400 AgentRequired "the key is not bound to an agent",
            422 ReviewEvidenceRequired "review_type or summary is missing";
    }
}
