//! Whose page it is that calls.

use axum::http::{HeaderMap, StatusCode, header};
use loopctl_core::code::Code;
use url::Url;

use super::error::{ApiError, ApiResult};

/// When a page may not call.
pub(crate) const FOREIGN: &str = "it is called from a page of another origin";

/// What browsers call the origin of a server's pages.
///
/// # Errors
/// 503 when its public URL is none that pages can have.
pub(crate) fn origin_of(public_url: &str) -> ApiResult<String> {
    let url = Url::parse(public_url).map_err(|_| ApiError::no_relying_party())?;
    Ok(url.origin().ascii_serialization())
}

/// Whether it is one of our own pages that calls, or none at all: a browser says so whenever it sends something.
///
/// # Errors
/// 403 for pages of others.
pub(crate) fn admit_own_pages(headers: &HeaderMap, public_url: &str) -> ApiResult<()> {
    let own = origin_of(public_url)?;
    let mut sent = headers.get_all(header::ORIGIN).iter();
    if sent.all(|origin| origin.as_bytes() == own.as_bytes()) { Ok(()) } else { Err(foreign(&own)) }
}

/// As [`admit_own_pages`], for what only a page may do: who does not say where it is from is refused.
///
/// # Errors
/// 403 for anything else than our own pages.
pub(crate) fn require_own_page(headers: &HeaderMap, public_url: &str) -> ApiResult<()> {
    if headers.contains_key(header::ORIGIN) {
        return admit_own_pages(headers, public_url);
    }
    Err(foreign(&origin_of(public_url)?))
}

fn foreign(own: &str) -> ApiError {
    let message = format!("Forbidden: this may be called from pages of {own} alone");
    ApiError::new(StatusCode::FORBIDDEN, Code::OriginMismatch, message)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_our_own_pages_may_call() {
        let home = "https://Loop.example:443/below";
        for (sent, admitted, required) in [
            (&[][..], true, false),
            (&["https://loop.example"], true, true),
            (&["https://loop.example", "https://loop.example"], true, true),
            (&["https://loop.example", "https://evil.example"], false, false),
            (&["http://loop.example"], false, false),
            (&["https://loop.example:444"], false, false),
            (&["https://loop.example.evil.example"], false, false),
            (&["null"], false, false),
            (&[""], false, false),
        ] {
            let mut headers = HeaderMap::new();
            for origin in sent {
                headers.append(header::ORIGIN, HeaderValue::from_static(origin));
            }
            assert_eq!(admit_own_pages(&headers, home).is_ok(), admitted, "{sent:?}");
            assert_eq!(require_own_page(&headers, home).is_ok(), required, "{sent:?}");
        }
    }
}
