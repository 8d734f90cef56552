//! A delivery on the wire: one request, and what came of it.

use std::error::Error;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use loopctl_core::webhooks::{PRIVATE, Policy};
use reqwest::header::HeaderMap;
use reqwest::redirect;
use reqwest::{Client, Response, Url};
use tokio::time::{Instant, timeout_at};

use super::names::{Blocked, Names, Vetted};

/// How long the whole exchange may take.
pub(super) const EXCHANGE: Duration = Duration::from_secs(10);
/// How much of an answer is read.
const ANSWER: usize = 64 * 1024;
/// How much of it is kept.
const EXCERPT: usize = 1024;
/// How much of it, or of a reason, an error tells, in characters.
const TOLD: usize = 200;
/// How long a connection is kept for what is to be delivered next. It leads where it was opened to.
const IDLE: Duration = Duration::from_secs(5);
/// How many of them to one host: several webhooks may lead to it.
const KEPT: usize = 32;

/// What came of a request.
#[derive(Debug, Default)]
pub(super) struct Attempt {
    /// The status that was answered.
    pub(super) status: Option<i32>,
    /// Milliseconds.
    pub(super) latency: i32,
    /// The beginning of what was answered.
    pub(super) excerpt: Option<String>,
    /// What went wrong; None: it was delivered.
    pub(super) error: Option<String>,
}

impl Attempt {
    fn failed(error: impl Into<String>) -> Self {
        Self { error: Some(error.into()), ..Self::default() }
    }
}

/// Sends requests to where webhooks may lead.
pub(super) struct Sender {
    policy: Policy,
    resolver: Arc<Vetted>,
    plain: OnceLock<Client>,
    secure: OnceLock<Client>,
}

impl Sender {
    pub(super) fn new(policy: Policy, names: Arc<dyn Names>) -> Self {
        let resolver = Arc::new(Vetted { names, allowed: policy.allowed.clone() });
        // Fails only when another part of the process chose the provider before us, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { policy, resolver, plain: OnceLock::new(), secure: OnceLock::new() }
    }

    /// The client for this scheme. One that needs no certificates works on machines that have none.
    fn client(&self, is_secure: bool) -> reqwest::Result<Client> {
        let known = if is_secure { &self.secure } else { &self.plain };
        if let Some(client) = known.get() {
            return Ok(client.clone());
        }
        let builder = Client::builder()
            .user_agent("Loopctl-Webhook/1.0")
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(KEPT)
            .dns_resolver(Arc::clone(&self.resolver));
        let builder = if is_secure { builder } else { builder.tls_certs_only([]) };
        let client = builder.build()?;
        Ok(known.get_or_init(|| client).clone())
    }

    /// Sends these bytes, once.
    pub(super) async fn post(&self, url: &str, headers: HeaderMap, body: Vec<u8>) -> Attempt {
        let url = match self.policy.url(url) {
            Ok(url) => url,
            Err(PRIVATE) => return Attempt::failed("blocked_address"),
            Err(reason) => return Attempt::failed(format!("delivery_error: the URL {reason}")),
        };
        let began = Instant::now();
        let mut attempt = self.exchange(url, headers, body, began + EXCHANGE).await;
        attempt.latency = i32::try_from(began.elapsed().as_millis()).unwrap_or(i32::MAX);
        attempt
    }

    async fn exchange(&self, url: Url, headers: HeaderMap, body: Vec<u8>, deadline: Instant) -> Attempt {
        let client = match self.client(url.scheme() == "https") {
            Ok(client) => client,
            Err(error) => return Attempt::failed(format!("delivery_error: {}", deepest(&error))),
        };
        let sent = client.post(url).headers(headers).body(body).send();
        let mut response = match timeout_at(deadline, sent).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Attempt::failed(told(&error)),
            Err(_) => return Attempt::failed("timeout"),
        };
        let status = response.status();
        let mut answer = Vec::new();
        // What was acknowledged stays so, however the rest comes.
        let _ = timeout_at(deadline, read(&mut response, &mut answer)).await;
        let excerpt = excerpt(&answer);
        let error = (!status.is_success()).then(|| {
            let told: String = excerpt.chars().take(TOLD).collect();
            format!("HTTP {}: {told}", status.as_u16())
        });
        Attempt { status: Some(i32::from(status.as_u16())), latency: 0, excerpt: Some(excerpt), error }
    }
}

/// Reads an answer to its end, so that its connection can be used again, and keeps the beginning.
async fn read(response: &mut Response, answer: &mut Vec<u8>) {
    let mut length = 0;
    while let Ok(Some(bytes)) = response.chunk().await {
        let room = EXCERPT.saturating_sub(answer.len()).min(bytes.len());
        answer.extend_from_slice(bytes.get(..room).unwrap_or_default());
        length += bytes.len();
        if length > ANSWER {
            return;
        }
    }
}

/// As text that a database takes, and no longer than it may be.
fn excerpt(answer: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(answer).replace('\0', "\u{fffd}");
    if answer.len() >= EXCERPT {
        // The last character may have been cut.
        text.truncate(text.trim_end_matches('\u{fffd}').len());
    }
    text.truncate(text.floor_char_boundary(EXCERPT));
    text
}

/// A failure in the contract's words. They go to whoever reads the deliveries, and say nothing of this machine.
fn told(error: &reqwest::Error) -> String {
    if chain(error).any(|cause| cause.is::<Blocked>()) {
        return "blocked_address".to_owned();
    }
    if error.is_timeout() {
        return "timeout".to_owned();
    }
    let kind = if error.is_connect() || error.is_request() { "connection_error" } else { "delivery_error" };
    format!("{kind}: {}", deepest(error))
}

/// The end of the chain of causes, which has no URL in it.
fn deepest(error: &reqwest::Error) -> String {
    let reason = chain(error).last().map(ToString::to_string).unwrap_or_default();
    reason.chars().take(TOLD).map(|letter| if letter == '\0' { '\u{fffd}' } else { letter }).collect()
}

fn chain(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |cause: &&(dyn Error + 'static)| (*cause).source())
}

#[cfg(test)]
#[path = "sender_tests.rs"]
mod tests;
