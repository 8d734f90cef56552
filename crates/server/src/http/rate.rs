//! How a key stands with its rate limit, told with every answer to it.

use std::sync::{Arc, OnceLock};

use axum::http::{HeaderMap, HeaderName};
use loopctl_core::rate::Standing;

/// The headers that tell it, as they are sent.
const HEADERS: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit"),
    HeaderName::from_static("x-ratelimit-remaining"),
    HeaderName::from_static("x-ratelimit-reset"),
];

/// Where whoever counts a request notes how its key stands, for the answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Noted(Arc<OnceLock<Standing>>);

impl Noted {
    /// Notes it. What was noted first counts.
    pub(crate) fn note(&self, standing: Standing) {
        let _ = self.0.set(standing);
    }

    /// Tells what was noted, if anything.
    pub(super) fn tell(&self, headers: &mut HeaderMap) {
        let Some(Standing { limit, remaining, reset }) = self.0.get() else { return };
        for (name, value) in HEADERS.into_iter().zip([limit, remaining, reset]) {
            headers.insert(name, (*value).into());
        }
    }
}
