//! What a client would rather read (RFC 9110, 12.5): lists of names, each perhaps with a weight.

use axum::http::{HeaderMap, HeaderName, header};

/// How many elements of a list are looked at: nobody who means it sends more.
const LOOKED_AT: usize = 32;

/// The elements of a header that is a list.
pub(crate) fn elements(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let sent = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    // Those that say nothing count as well: there may be a hundred thousand of them.
    sent.flat_map(|list| list.split(',')).take(LOOKED_AT).map(str::trim).filter(|element| !element.is_empty())
}

/// A name of a list, and its weight from 0 to 1.
fn weighed(element: &str) -> (&str, f32) {
    let mut parts = element.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let weight = parts.find_map(|part| part.split_once('=').filter(|(key, _)| key.eq_ignore_ascii_case("q")));
    let weight = weight.map_or(Some(1.0), |(_, weight)| weight.parse().ok());
    (name, weight.filter(|weight| (0.0..=1.0).contains(weight)).unwrap_or(0.0))
}

/// Whether it would rather have a page than JSON, as browsers say for whoever sits before them. Who has no preference is a program.
pub(crate) fn prefers_html(headers: &HeaderMap) -> bool {
    weight_of("text/html", headers) > weight_of("application/json", headers)
}

/// How much it would like a media type: the closest range decides.
fn weight_of(media_type: &str, headers: &HeaderMap) -> f32 {
    let family = media_type.split('/').next().unwrap_or_default();
    let closeness = |range: &str| match range.split_once('/') {
        _ if range.eq_ignore_ascii_case(media_type) => Some(3),
        Some((of, "*")) if of.eq_ignore_ascii_case(family) => Some(2),
        Some(("*", "*")) => Some(1),
        _ => None,
    };
    let ranges = elements(headers, header::ACCEPT).map(weighed);
    let fitting = ranges.filter_map(|(range, weight)| Some((closeness(range)?, weight)));
    fitting.max_by_key(|(closeness, _)| *closeness).map_or(0.0, |(_, weight)| weight)
}

/// Whether it can read what is compressed: it names it, and does not take it back.
pub(crate) fn reads_gzip(headers: &HeaderMap) -> bool {
    let codings = elements(headers, header::ACCEPT_ENCODING).map(weighed);
    let mut weights = codings.filter(|(name, _)| name.eq_ignore_ascii_case("gzip")).map(|(_, weight)| weight);
    weights.next().is_some_and(|first| first > 0.0 && weights.all(|weight| weight > 0.0))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(name: HeaderName, sent: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in sent {
            headers.append(name.clone(), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn browsers_prefer_pages() {
        for (accept, prefers) in [
            (&[][..], false),
            (&[""], false),
            (&["*/*"], false),
            (&["application/json"], false),
            (&["text/html"], true),
            (&["text/*"], true),
            (&["image/png", "text/html"], true),
            (&["text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"], true),
            (&["application/json, text/html;q=0.9"], false),
            (&["application/json;Q=0.5, text/html"], true),
            (&["text/html, application/json"], false),
            (&["text/html;q=0, */*"], false),
            (&["text/html;level=1;q=0.7, application/json;q=0.3"], true),
            (&["image/png"], false),
            (&["text/html;q=much"], false),
            (&["text/html;q=1e9"], false),
        ] {
            assert_eq!(prefers_html(&headers(header::ACCEPT, accept)), prefers, "{accept:?}");
        }
    }

    #[test]
    fn who_reads_gzip_says_so() {
        for (sent, reads) in [
            (&[][..], false),
            (&["gzip"], true),
            (&["GZIP"], true),
            (&["br, gzip;q=0.5"], true),
            (&["br", "deflate , gzip"], true),
            (&["gzip;q=0"], false),
            (&["gzip; q=0.0"], false),
            (&["gzip, gzip;q=0"], false),
            (&["identity"], false),
            (&["*"], false),
            (&["x-gzip"], false),
        ] {
            assert_eq!(reads_gzip(&headers(header::ACCEPT_ENCODING, sent)), reads, "{sent:?}");
        }
    }

    #[test]
    fn of_long_lists_the_beginning_counts() {
        let commas = ",".repeat(50_000);
        for (list, reads) in [(format!("gzip{commas}"), true), (format!("{commas}gzip"), false)] {
            assert_eq!(reads_gzip(&headers(header::ACCEPT_ENCODING, &[&list])), reads);
        }
        assert_eq!(elements(&headers(header::ACCEPT, &[&commas]), header::ACCEPT).count(), 0);
    }
}
