//! How a key stands with its rate limit, told with every answer to it.

use std::sync::{Arc, OnceLock};

use axum::http::{HeaderMap, HeaderName};
use loopctl_core::rate::Standing;
use serde_json::{Map, Value, json};

/// What each header says; its name as it is written by people, and as it is sent.
const HEADERS: [(&str, HeaderName, &str); 3] = [
    (
        "X-RateLimit-Limit",
        HeaderName::from_static("x-ratelimit-limit"),
        "How many requests the key may make within a minute. Superadmin keys have no limit: they are told none of this, and nor is who \
         is not let in.",
    ),
    (
        "X-RateLimit-Remaining",
        HeaderName::from_static("x-ratelimit-remaining"),
        "How many of them are left in this minute. It is 0 as well when all keys of the tenant together have reached their limit.",
    ),
    (
        "X-RateLimit-Reset",
        HeaderName::from_static("x-ratelimit-reset"),
        "When the minute is over, in seconds since 1970.",
    ),
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
        for ((_, name, _), value) in HEADERS.into_iter().zip([limit, remaining, reset]) {
            headers.insert(name, (*value).into());
        }
    }
}

/// The headers, for the document.
pub(super) fn described() -> Value {
    let header = |about: &str| json!({"description": about, "schema": {"type": "integer", "minimum": 0}});
    HEADERS.iter().map(|(name, _, about)| ((*name).to_owned(), header(about))).collect::<Map<_, _>>().into()
}

/// Where an answer finds them there.
pub(super) fn references() -> Value {
    let reference = |name: &str| json!({"$ref": format!("#/components/headers/{name}")});
    HEADERS.iter().map(|(name, _, _)| ((*name).to_owned(), reference(name))).collect::<Map<_, _>>().into()
}
