//! Behind a proxy that ends TLS: whoever comes without it is sent to where it is.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ipnet::IpNet;

use super::client::is_trusted;
use super::layers::Peer;

/// For how long browsers remember to come with TLS: a year.
const REMEMBER: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// How clients reach the server.
#[derive(Debug, Clone)]
pub(crate) struct Front {
    /// The public URL.
    pub(crate) public_url: Arc<str>,
    /// Whose word is taken for whom they call for.
    pub(crate) trusted_proxies: Arc<[IpNet]>,
}

/// How a request came, as a proxy says that is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Came {
    Securely,
    Plainly,
    /// Nobody says, or the server is not one that is reached with TLS.
    Somehow,
}

impl Front {
    fn came(&self, peer: IpAddr, headers: &HeaderMap) -> Came {
        if !self.public_url.starts_with("https://") || !is_trusted(peer.to_canonical(), &self.trusted_proxies)
        {
            return Came::Somehow;
        }
        // The nearest proxy adds what it knows at the end.
        let said =
            headers.get_all("x-forwarded-proto").iter().next_back().and_then(|value| value.to_str().ok());
        match said.and_then(|said| said.rsplit(',').next()).map(str::trim) {
            Some(said) if said.eq_ignore_ascii_case("https") => Came::Securely,
            Some(said) if said.eq_ignore_ascii_case("http") => Came::Plainly,
            _ => Came::Somehow,
        }
    }

    /// Where a request is sent that came without TLS. Whether the server is well is told to anybody, and so is everything to whoever asks
    /// on the machine itself.
    fn elsewhere(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Option<(StatusCode, HeaderValue)> {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        if uri.path() == "/health" || ["localhost", "127.0.0.1"].contains(&name) {
            return None;
        }
        let rest = uri.path_and_query().map_or("/", |rest| rest.as_str());
        let location = HeaderValue::from_str(&format!("{}{rest}", self.public_url)).ok()?;
        // A method that sends something is to send it again.
        let keeps = !matches!(*method, Method::GET | Method::HEAD);
        let status = if keeps { StatusCode::TEMPORARY_REDIRECT } else { StatusCode::MOVED_PERMANENTLY };
        Some((status, location))
    }
}

/// Sends whoever comes without TLS to where it is, and lets browsers remember it that came with it.
pub(crate) async fn secure(State(front): State<Front>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().map(|Peer(address)| *address);
    let came = peer.map_or(Came::Somehow, |peer| front.came(peer, request.headers()));
    if came == Came::Plainly
        && let Some((status, location)) = front.elsewhere(request.method(), request.uri(), request.headers())
    {
        return (status, [(header::LOCATION, location)]).into_response();
    }
    let mut response = next.run(request).await;
    if came == Came::Securely {
        response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, REMEMBER);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::super::client::private_networks;
    use super::*;

    fn front(public_url: &str) -> Front {
        Front { public_url: public_url.into(), trusted_proxies: private_networks().into() }
    }

    fn headers(sent: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn a_trusted_proxy_says_how_a_request_came() {
        let https = front("https://loop.example");
        for (peer, sent, came) in [
            ("127.0.0.1", &[("x-forwarded-proto", "https")][..], Came::Securely),
            ("::ffff:10.0.0.1", &[("x-forwarded-proto", "HTTP")], Came::Plainly),
            ("127.0.0.1", &[("x-forwarded-proto", "https, http")], Came::Plainly),
            ("127.0.0.1", &[("x-forwarded-proto", "https"), ("x-forwarded-proto", "http")], Came::Plainly),
            ("127.0.0.1", &[("x-forwarded-proto", "gopher")], Came::Somehow),
            ("127.0.0.1", &[], Came::Somehow),
            ("203.0.113.7", &[("x-forwarded-proto", "http")], Came::Somehow),
        ] {
            assert_eq!(https.came(peer.parse().unwrap(), &headers(sent)), came, "{peer} {sent:?}");
        }
        let plain = headers(&[("x-forwarded-proto", "http")]);
        assert_eq!(front("http://localhost:4000").came("127.0.0.1".parse().unwrap(), &plain), Came::Somehow);
    }

    #[test]
    fn who_came_plainly_is_sent_where_tls_is() {
        let https = front("https://loop.example");
        let to = |method: Method, uri: &str, host: &'static str| {
            let sent = https.elsewhere(&method, &uri.parse().unwrap(), &headers(&[("host", host)]));
            sent.map(|(status, location)| (status.as_u16(), location.to_str().unwrap().to_owned()))
        };
        let expected = |status: u16, url: &str| Some((status, url.to_owned()));
        assert_eq!(
            to(Method::GET, "/signup?a=b", "evil.test"),
            expected(301, "https://loop.example/signup?a=b")
        );
        assert_eq!(to(Method::POST, "/signup", "loop.example"), expected(307, "https://loop.example/signup"));
        assert_eq!(to(Method::GET, "//evil.test", "x"), expected(301, "https://loop.example//evil.test"));
        for (uri, host) in [("/health", "loop.example"), ("/signup", "localhost:4000"), ("/", "127.0.0.1")] {
            assert_eq!(to(Method::GET, uri, host), None, "{uri} {host}");
        }
    }
}
