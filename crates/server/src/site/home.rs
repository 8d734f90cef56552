//! The front page.

use std::sync::{Arc, LazyLock};

use askama::Template;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use loopctl_core::code::Code;

use crate::VERSION;
use crate::http::{ApiError, ApiResult, Asked, Input, Operation};
use crate::web::{FixedPage, SentPage};

#[derive(Template)]
#[template(path = "site/home.html")]
struct HomePage {
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
        "Every agent that started the story counts as its implementer.",
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

/// A page that is made for whoever asks first.
type Made = LazyLock<Option<FixedPage>, Box<dyn FnOnce() -> Option<FixedPage> + Send>>;

/// The page, which tells where it is.
#[derive(Clone)]
pub(crate) struct Site(Arc<Made>);

impl Site {
    /// Of a server that clients reach by this URL.
    pub(crate) fn of(public_url: Arc<str>) -> Self {
        let make = move || {
            let page = FixedPage::of(&HomePage { version: VERSION, public_url, refusals: &REFUSALS });
            page.inspect_err(|error| tracing::error!(%error, "the front page cannot be made")).ok()
        };
        Self(Arc::new(LazyLock::new(Box::new(make))))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Site {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> ApiResult<Self> {
        parts.extensions.get::<Self>().cloned().ok_or_else(ApiError::internal)
    }
}

impl Input for Site {
    fn describe(_: &mut Operation<'_>) {}
}

pub(super) async fn show(site: Site, asked: Asked) -> ApiResult<SentPage> {
    let page = LazyLock::force(&site.0).as_ref().ok_or_else(ApiError::internal)?;
    Ok(page.unless(&asked))
}
