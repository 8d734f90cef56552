//! HTTP: one request at a time, retries, and answers as JSON values.

mod address;
mod arriving;
mod connection;
mod quiet;

use std::error::Error as _;
use std::time::{Duration, Instant};

use loopctl_mcp::address::is_loopback;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Certificate, Method, Response, StatusCode, Url};
use serde_json::Value;
use uuid::Uuid;

pub(crate) use self::address::{address, is_local, server_for_agents, server_url};
pub(crate) use self::arriving::{Download, Events};
pub(crate) use self::connection::{Connection, Impersonation};
use crate::error::{Error, ServerError};
use crate::output;

/// A connection to a server.
#[derive(Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    server: Url,
    timeout: Duration,
}

/// Types of what is downloaded.
pub(crate) const JSON: &str = "application/json";
pub(crate) const ZIP: &str = "application/zip";
pub(crate) const PEM: &str = "application/x-pem-file";
/// A key in JSON (JSON Web Key).
pub(crate) const JWK: &str = "application/jwk+json";
/// Repetitions after the first attempt.
const RETRIES: u32 = 3;
/// In which form an answer is wanted.
const ACCEPT: &str = "Accept";
/// What a server knows a write by: repeated, it is answered as before, and not done again.
const IDEMPOTENCY_KEY: &str = "Idempotency-Key";
/// What has happened last of what a client has seen.
const LAST_EVENT_ID: &str = "Last-Event-ID";
/// How long a stream of events may say nothing at all, when it should say every 15 s that it lives.
const LONGEST_SILENCE: Duration = Duration::from_secs(45);
/// What is known of a write without an answer, and what to do.
const UNKNOWN: &str = "Sent, outcome unknown: look before repeating";
/// Who cannot even connect is told so: that is given up a little before the whole attempt.
const BEFORE: Duration = Duration::from_millis(50);
/// Longest obedience to `Retry-After`.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

impl Client {
    /// Prepares the connection; nothing is sent.
    pub(crate) fn new(connection: &Connection) -> Result<Self, Error> {
        let server = server_url(&connection.server)?;
        let mut headers = HeaderMap::new();
        if let Some(key) = &connection.api_key {
            let mut value = HeaderValue::from_str(&format!("Bearer {key}"))
                .map_err(|_| Error::Usage("The API key contains characters that no key has".to_owned()))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        if let Some(impersonation) = &connection.impersonation {
            headers.extend(impersonation.headers()?);
        }
        // Fails only when another part of the process chose the provider before us, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("loopctl-cli/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            // A redirected POST would become a GET without a word, and the key would go to another address.
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(connection.timeout.saturating_sub(BEFORE));
        if is_loopback(&server) {
            // A proxy would hardly reach this machine's own port, and the key is none of its business.
            builder = builder.no_proxy();
        }
        if server.scheme() == "http" {
            // Machines without any certificate store can still use plain http.
            builder = builder.tls_certs_only([]);
        } else if connection.insecure {
            builder = builder.tls_danger_accept_invalid_certs(true);
        } else if let Some(path) = &connection.cacert {
            builder = builder.tls_certs_merge(certificates(path)?);
        }
        let http = builder
            .build()
            .map_err(|error| Error::Network(format!("Cannot set up TLS: {}", deepest(&error))))?;
        Ok(Self { http, server, timeout: connection.timeout })
    }

    /// GET under `/api/v1`.
    pub(crate) async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, Error> {
        success(self.send(Method::GET, &self.api(path, query), None, true).await?)
    }

    /// The same of what the server has in several forms, in this one.
    pub(crate) async fn get_as(&self, path: &str, kind: &str) -> Result<Value, Error> {
        let (url, headers) = (self.api(path, &[]), [(ACCEPT, kind)]);
        let request =
            Request { method: Method::GET, url: &url, body: None, headers: &headers, how: Reading::Whole };
        let answer = self.exchange(&request, true).await?;
        success((answer.status, answer.body))
    }

    /// As [`Self::get`], for callers that have no time for a second attempt.
    pub(crate) async fn get_once(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, Error> {
        success(self.send(Method::GET, &self.api(path, query), None, false).await?)
    }

    /// GET under `/api/v1` of an answer too large to hold: its bytes come as they arrive.
    pub(crate) async fn download(&self, path: &str, kind: &'static str) -> Result<Download<'_>, Error> {
        let response = self.begin(&self.api(path, &[]), &[], Reading::Later(kind)).await?;
        Ok(Download { client: self, response, limit: self.timeout })
    }

    /// GET under `/api/v1` of events that go on and on, after the last one that was seen; None: from now on.
    pub(crate) async fn events(
        &self,
        path: &str,
        query: &[(&str, &str)],
        last: Option<&str>,
    ) -> Result<Events<'_>, Error> {
        let headers: Vec<_> = last.map(|last| (LAST_EVENT_ID, last)).into_iter().collect();
        let response = self.begin(&self.api(path, query), &headers, Reading::Events).await?;
        let arriving = Download { client: self, response, limit: LONGEST_SILENCE };
        Ok(Events::of(arriving))
    }

    /// An answer of which nothing is read yet.
    async fn begin(
        &self,
        url: &str,
        headers: &[(&'static str, &str)],
        how: Reading,
    ) -> Result<Response, Error> {
        let request = Request { method: Method::GET, url, body: None, headers, how };
        let answer = self.exchange(&request, true).await?;
        match answer.unread {
            Some(response) => Ok(response),
            None => success((answer.status, answer.body)).and(Err(Error::not_json())),
        }
    }

    /// POST under `/api/v1`, with or without a body.
    pub(crate) async fn post(&self, path: &str, body: Option<&Value>) -> Result<Value, Error> {
        self.write(Method::POST, path, body).await
    }

    /// Any method but GET under `/api/v1`.
    pub(crate) async fn write(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Error> {
        self.send_any(method, &self.api(path, &[]), body).await
    }

    /// A request to any path of the server, with its query.
    pub(crate) async fn raw(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Error> {
        self.send_any(method, &self.at(path), body).await
    }

    async fn send_any(&self, method: Method, url: &str, body: Option<&Value>) -> Result<Value, Error> {
        let reading = method == Method::GET;
        success(self.send(method, url, body, true).await?).map_err(|error| match error {
            // What stands before the server gave up on it, and does not know either.
            Error::Server(mut error) if !reading && matches!(error.status, 502 | 504) => {
                error.advice = Some(format!("{UNKNOWN}."));
                Error::Server(error)
            }
            other => other,
        })
    }

    /// GET of any path, once, with whatever status it has.
    pub(crate) async fn probe(&self, path: &str) -> Result<(u16, Value), Error> {
        self.send(Method::GET, &self.at(path), None, false).await
    }

    /// The same, with the server's `Date`.
    pub(crate) async fn probe_dated(&self, path: &str) -> Result<(u16, Value, Option<String>), Error> {
        let (url, method) = (self.at(path), Method::GET);
        let request = Request { method, url: &url, body: None, headers: &[], how: Reading::Whole };
        let answer = self.exchange(&request, false).await?;
        Ok((answer.status, answer.body, answer.date))
    }

    /// The address the client talks to.
    pub(crate) fn server(&self) -> &str {
        self.server.as_str().trim_end_matches('/')
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.server())
    }

    fn api(&self, path: &str, query: &[(&str, &str)]) -> String {
        let (path, fixed) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        let mut url = self.server.clone();
        url.set_path(&format!("{}/api/v1{path}", self.server.path().trim_end_matches('/')));
        url.set_query(fixed);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url.into()
    }

    async fn send(
        &self,
        method: Method,
        url: &str,
        body: Option<&Value>,
        retry: bool,
    ) -> Result<(u16, Value), Error> {
        let key = Uuid::now_v7().to_string();
        let key = [(IDEMPOTENCY_KEY, key.as_str())];
        let headers = if method == Method::GET { &[][..] } else { &key };
        let answer =
            self.exchange(&Request { method, url, body, headers, how: Reading::Whole }, retry).await?;
        Ok((answer.status, answer.body))
    }

    /// Sends, and again after any failure that passes by itself: reading does no harm, and of a write the server knows by its key
    /// that it is the same.
    async fn exchange(&self, request: &Request<'_>, retry: bool) -> Result<Answer, Error> {
        let reading = request.method == Method::GET;
        let started = Instant::now();
        let (mut failures, mut sent) = (0, false);
        loop {
            let again = retry && failures < RETRIES;
            let pause = Duration::from_millis(200) * 2_u32.pow(failures);
            failures += 1;
            // Not reqwest's own limits: they count the time that the reader of a download takes.
            let attempt = tokio::time::timeout(self.timeout, self.attempt(request)).await;
            match attempt {
                // A write that may have arrived is settled, however long that takes.
                Err(_) if again && !reading => sent = true,
                Err(_) if reading => return Err(self.unreached(&self.silence())),
                Err(_) => return Err(self.unknown(&self.silence())),
                Ok(Err(error)) => {
                    sent |= !reading && !error.is_connect() && !error.is_builder();
                    let lasting = error.is_builder() || error.is_timeout() || is_certificate(&error);
                    // Only while the caller's patience lasts.
                    let patient = sent || started.elapsed() + pause < self.timeout;
                    if again && !lasting && patient {
                        tokio::time::sleep(pause).await;
                        continue;
                    }
                    return Err(if sent {
                        self.unknown(&deepest(&error))
                    } else {
                        self.network_error(&error)
                    });
                }
                Ok(Ok(answer)) if again && answer.is_too_soon() => {
                    let wait = answer.retry_after.unwrap_or(pause).min(LONGEST_WAIT);
                    if wait >= Duration::from_secs(1) {
                        output::note(&format!(
                            "Rate limited by the server; trying again in {} s",
                            wait.as_secs()
                        ));
                    }
                    tokio::time::sleep(wait).await;
                }
                Ok(Ok(answer)) if again && answer.passes() => {
                    sent |= answer.is_uncertain();
                    tokio::time::sleep(pause).await;
                }
                // What was sent before may have been done, whatever is said of this time.
                Ok(Ok(answer)) if sent && answer.passes() && !answer.is_uncertain() => {
                    return Err(self.unknown(&format!("it answers {} since", answer.status)));
                }
                Ok(Ok(answer)) => return Ok(answer),
            }
        }
    }

    async fn attempt(&self, request: &Request<'_>) -> Result<Answer, reqwest::Error> {
        let mut sending = self.http.request(request.method.clone(), request.url);
        for (name, value) in request.headers {
            sending = sending.header(*name, *value);
        }
        if let Some(body) = request.body {
            sending = sending.json(body);
        }
        let response = sending.send().await?;
        let status = response.status();
        let header = |name| response.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let retry_after =
            header(RETRY_AFTER).and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
        let date = header(DATE).map(ToOwned::to_owned);
        let answer = Answer { status: status.as_u16(), retry_after, date, body: Value::Null, unread: None };
        let is = |wanted: &str| header(CONTENT_TYPE).is_some_and(|kind| kind.starts_with(wanted));
        let left = match request.how {
            Reading::Whole => false,
            Reading::Later(kind) => is(kind),
            Reading::Events => is("text/event-stream"),
        };
        if left && status.is_success() {
            return Ok(Answer { unread: Some(response), ..answer });
        }
        let location = header(LOCATION).map(ToOwned::to_owned);
        let text = response.text().await?;
        let body = match location {
            Some(location) if status.is_redirection() => {
                Value::from(format!("the server redirects to {location}; set that address as the server"))
            }
            _ if text.trim().is_empty() => Value::Null,
            _ => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        };
        Ok(Answer { body, ..answer })
    }

    fn network_error(&self, error: &reqwest::Error) -> Error {
        if error.is_timeout() {
            return self.unreached(&self.silence());
        }
        let reason = deepest(error);
        if error.is_body() || error.is_decode() {
            return self.cut_off(&reason);
        }
        let advice = if is_certificate(error) {
            " (--cacert FILE trusts a private authority, --insecure accepts any certificate)"
        } else {
            ""
        };
        self.unreached(&format!("{reason}{advice}"))
    }

    fn silence(&self) -> String {
        format!("no answer within {} s", self.timeout.as_secs())
    }

    fn unreached(&self, reason: &str) -> Error {
        Error::Network(format!("Cannot reach {}: {reason}", self.server()))
    }

    /// Of a write that the server may have received.
    fn unknown(&self, reason: &str) -> Error {
        Error::Unanswered(format!("No whole answer of {}: {reason}. {UNKNOWN}", self.server()))
    }

    fn cut_off(&self, reason: &str) -> Error {
        Error::Network(format!("The answer of {} was cut off: {reason}", self.server()))
    }
}

/// Query parameters as the client takes them.
pub(crate) fn borrowed<'a>(query: &'a [(&'a str, String)]) -> Vec<(&'a str, &'a str)> {
    query.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

/// What is sent, as often as it takes.
struct Request<'a> {
    method: Method,
    url: &'a str,
    body: Option<&'a Value>,
    headers: &'a [(&'static str, &'a str)],
    how: Reading,
}

struct Answer {
    status: u16,
    retry_after: Option<Duration>,
    date: Option<String>,
    /// Null when it was left unread.
    body: Value,
    unread: Option<Response>,
}

impl Answer {
    /// Whether the same request is let in later. What a budget blocks is not, before somebody raises it.
    fn is_too_soon(&self) -> bool {
        self.status == 429 && self.body["error"]["code"] != "token_budget_exceeded"
    }

    /// Whether it may well be another one in a moment.
    fn passes(&self) -> bool {
        matches!(self.status, 502..=504) || self.body["error"]["code"] == "idempotency_in_progress"
    }

    /// Whether the server does not know what became of the request.
    fn is_uncertain(&self) -> bool {
        self.body["error"]["outcome"] == "unknown"
    }
}

/// What to do with the body of a successful answer. All other bodies are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Whole,
    /// Of this type.
    Later(&'static str),
    /// Of server-sent events.
    Events,
}

fn success((status, body): (u16, Value)) -> Result<Value, Error> {
    if !StatusCode::from_u16(status).is_ok_and(|status| status.is_success()) {
        return Err(Error::Server(ServerError::new(status, body)));
    }
    match body {
        Value::String(_) => Err(Error::not_json()),
        body => Ok(body),
    }
}

fn certificates(path: &str) -> Result<Vec<Certificate>, Error> {
    let pem = std::fs::read(path).map_err(|error| Error::Usage(format!("Cannot read {path}: {error}")))?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(Error::Usage(format!("{path} holds no PEM certificate"))),
    }
}

fn deepest(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = inner.to_string();
        cause = inner.source();
    }
    text
}

/// True when the server's certificate was refused: repeating does not help.
fn is_certificate(error: &reqwest::Error) -> bool {
    deepest(error).contains("certificate")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(server: &str) -> Client {
        Client::new(&Connection {
            server: server.to_owned(),
            api_key: None,
            insecure: false,
            cacert: None,
            timeout: Duration::from_secs(1),
            impersonation: None,
        })
        .unwrap()
    }

    #[test]
    fn addresses_are_built_below_the_server() {
        let url = |server| client(server).api("/stories", &[("project_id", "a b&c")]);
        assert_eq!(url("http://h:1/"), "http://h:1/api/v1/stories?project_id=a+b%26c");
        assert_eq!(url("http://h/loop/"), "http://h/loop/api/v1/stories?project_id=a+b%26c");
        assert_eq!(client("http://h").api("/x?merge=true", &[]), "http://h/api/v1/x?merge=true");
        assert_eq!(client("http://h").at("/health"), "http://h/health");
    }
}
