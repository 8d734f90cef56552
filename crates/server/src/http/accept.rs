//! What a client would rather read (RFC 9110, 12.5.1).

use axum::http::{HeaderMap, header};

/// Whether it would rather have a page than JSON, as browsers say for whoever sits before them. Who has no preference is a program.
pub(crate) fn prefers_html(headers: &HeaderMap) -> bool {
    let accepted: Vec<_> =
        headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let accepted = accepted.join(",");
    weight(&accepted, "text/html") > weight(&accepted, "application/json")
}

/// How much it would like a media type, from 0 to 1: the closest range decides.
fn weight(accepted: &str, media_type: &str) -> f32 {
    if accepted.trim().is_empty() {
        return 1.0;
    }
    let family = media_type.split('/').next().unwrap_or_default();
    let closeness = |range: &str| match range.split_once('/') {
        _ if range.eq_ignore_ascii_case(media_type) => Some(3),
        Some((of, "*")) if of.eq_ignore_ascii_case(family) => Some(2),
        Some(("*", "*")) => Some(1),
        _ => None,
    };
    let ranges = accepted.split(',').filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let closeness = closeness(parts.next()?)?;
        let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |q| q.parse().ok());
        Some((closeness, weight.unwrap_or(0.0)))
    });
    ranges.max_by_key(|(closeness, _)| *closeness).map_or(0.0, |(_, weight)| weight)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn browsers_prefer_pages() {
        for (accept, prefers) in [
            (None, false),
            (Some(""), false),
            (Some("*/*"), false),
            (Some("application/json"), false),
            (Some("text/html"), true),
            (Some("text/*"), true),
            (Some("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"), true),
            (Some("application/json, text/html;q=0.9"), false),
            (Some("text/html, application/json"), false),
            (Some("text/html;q=0, */*"), false),
            (Some("text/html;level=1;q=0.7, application/json;q=0.3"), true),
            (Some("image/png"), false),
            (Some("text/html;q=much"), false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            }
            assert_eq!(prefers_html(&headers), prefers, "{accept:?}");
        }
    }
}
