//! The headers of answers that clients may read, as they are described to them.

use serde_json::{Map, Value, json};

/// A header of an answer.
#[derive(Debug)]
pub(crate) struct Header {
    /// As it is written by people.
    pub(crate) name: &'static str,
    about: &'static str,
    /// A word of JSON Schema.
    kind: &'static str,
    /// Whether it is there wherever it is listed.
    always: bool,
}

impl Header {
    const fn text(name: &'static str, about: &'static str) -> Self {
        Self { name, about, kind: "string", always: true }
    }

    const fn number(name: &'static str, about: &'static str) -> Self {
        Self { name, about, kind: "integer", always: false }
    }
}

pub(crate) const REQUEST_ID: Header = Header::text(
    "X-Request-Id",
    "What the request is known by in the log of the server: the header of that name, if one of 20 to 200 characters was sent.",
);

pub(crate) const ETAG: Header =
    Header::text("ETag", "What the document is known by: sent as `If-None-Match`, it is not sent again.");

pub(crate) const CACHE_CONTROL: Header =
    Header::text("Cache-Control", "For how long the answer may be kept, and by whom.");

pub(crate) const CONTENT_DISPOSITION: Header =
    Header::text("Content-Disposition", "What the file is called.");

pub(crate) const LOCATION: Header = Header::text("Location", "Where to go instead.");

pub(crate) const SET_COOKIE: Header = Header::text("Set-Cookie", "The cookie of the session, or its end.");

const WWW_AUTHENTICATE: Header = Header::text("WWW-Authenticate", "`Bearer`: send a key, or another one.");

pub(super) const RETRY_AFTER: Header =
    Header::number("Retry-After", "In how many seconds it may be tried again.");

pub(crate) const REPLAYED: Header = Header {
    name: "Idempotent-Replayed",
    about: "`true` where nothing was done, because it was done before under the same `Idempotency-Key`: this is what was answered then.",
    kind: "string",
    always: false,
};

pub(super) const LIMIT: Header = Header::number(
    "X-RateLimit-Limit",
    "How many requests the key may make within a minute. Superadmin keys have no limit: they are told none of this, and nor is who \
     is not let in.",
);

pub(super) const REMAINING: Header = Header::number(
    "X-RateLimit-Remaining",
    "How many of them are left in this minute. It is 0 as well when all keys of the tenant together have reached their limit.",
);

pub(super) const RESET: Header =
    Header::number("X-RateLimit-Reset", "When the minute is over, in seconds since 1970.");

const ALL: [&Header; 12] = [
    &REQUEST_ID,
    &ETAG,
    &CACHE_CONTROL,
    &CONTENT_DISPOSITION,
    &LOCATION,
    &SET_COOKIE,
    &WWW_AUTHENTICATE,
    &RETRY_AFTER,
    &REPLAYED,
    &LIMIT,
    &REMAINING,
    &RESET,
];

/// What comes with a refusal of this status.
pub(super) fn of_refusal(status: u16) -> Option<&'static Header> {
    match status {
        401 => Some(&WWW_AUTHENTICATE),
        429 | 503 => Some(&RETRY_AFTER),
        _ => None,
    }
}

/// All of them, for the document.
pub(super) fn described() -> Value {
    let described = |header: &Header| {
        let schema = match header.kind {
            "integer" => json!({"type": "integer", "minimum": 0}),
            kind => json!({"type": kind}),
        };
        json!({"description": header.about, "required": header.always, "schema": schema})
    };
    ALL.iter().map(|header| (header.name.to_owned(), described(header))).collect::<Map<_, _>>().into()
}

/// Where an answer finds its own there.
pub(super) fn references<'a>(headers: impl IntoIterator<Item = &'a Header>) -> Value {
    let reference = |header: &Header| json!({"$ref": format!("#/components/headers/{}", header.name)});
    headers
        .into_iter()
        .map(|header| (header.name.to_owned(), reference(header)))
        .collect::<Map<_, _>>()
        .into()
}
