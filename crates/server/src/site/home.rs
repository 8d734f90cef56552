//! The front page.

use std::sync::Arc;

use askama::Template;
use loopctl_core::code::Code;

use super::pages::{HOME, Site};
use crate::VERSION;
use crate::http::{ApiResult, Asked};
use crate::web::SentPage;

#[derive(Template)]
#[template(path = "site/home.html")]
pub(super) struct HomePage {
    version: &'static str,
    /// How clients reach this server: whoever shows a preview of it elsewhere needs whole addresses.
    public_url: Arc<str>,
    refusals: &'static [(Code, &'static str, &'static str)],
}

/// What is refused, and why: what somebody tries, and what would be lost if they could.
const REFUSALS: [(Code, &str, &str); 8] = [
    (
        Code::SelfReportBlocked,
        "An agent calls its own work done.",
        "It always would. Somebody else looks first.",
    ),
    (
        Code::SelfReviewBlocked,
        "It reviews it, under another name.",
        "Every agent that started the story in this cycle counts as its implementer.",
    ),
    (
        Code::SelfVerifyBlocked,
        "An orchestrator verifies what its own agent built.",
        "The one who decides has nothing to gain.",
    ),
    (
        Code::ReviewNotConducted,
        "It verifies what nobody has reviewed.",
        "A verification rests on a review of this very report.",
    ),
    (
        Code::CriteriaChanged,
        "The criteria change after the review.",
        "What was reviewed is what is signed off, by its digest.",
    ),
    (
        Code::SelfCriteriaBlocked,
        "The implementer lowers the bar.",
        "Nobody sets the measure of their own work.",
    ),
    (
        Code::DependenciesNotMet,
        "It starts what rests on unverified work.",
        "Claims are no ground to build on.",
    ),
    (
        Code::NotPreExisting,
        "It books loop work as done long ago.",
        "What an agent has touched goes through the loop.",
    ),
];

impl HomePage {
    /// On a server that clients reach by this URL.
    pub(super) fn of(public_url: &Arc<str>) -> Self {
        Self { version: VERSION, public_url: public_url.clone(), refusals: &REFUSALS }
    }
}

pub(super) async fn show(site: Site, asked: Asked) -> ApiResult<SentPage> {
    site.page(HOME, &asked).await
}
