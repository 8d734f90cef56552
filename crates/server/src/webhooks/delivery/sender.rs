//! A delivery on the wire: one request, and what came of it.

use std::sync::Arc;
use std::time::Duration;

use loopctl_core::webhooks::{PRIVATE, Policy};
use reqwest::header::HeaderMap;
use reqwest::{Response, Url};
use tokio::time::{Instant, timeout_at};

use crate::reach::{Connector, Names, deepest, is_blocked};

/// How long the whole exchange may take.
pub(super) const EXCHANGE: Duration = Duration::from_secs(10);
/// How much of an answer is read.
const ANSWER: usize = 64 * 1024;
/// How much of it is kept.
const EXCERPT: usize = 1024;
/// How much of it an error tells, in characters.
const TOLD: usize = 200;
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
pub(super) struct Sender(Connector);

impl Sender {
    pub(super) fn new(policy: Policy, names: Arc<dyn Names>) -> Self {
        Self(Connector::new(policy, names, "Loopctl-Webhook/1.0"))
    }

    /// Sends these bytes, once.
    pub(super) async fn post(&self, url: &str, headers: HeaderMap, body: Vec<u8>) -> Attempt {
        let url = match self.0.url(url) {
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
        let client = match self.0.client(&url) {
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
    if is_blocked(error) {
        return "blocked_address".to_owned();
    }
    if error.is_timeout() {
        return "timeout".to_owned();
    }
    let kind = if error.is_connect() || error.is_request() { "connection_error" } else { "delivery_error" };
    format!("{kind}: {}", deepest(error))
}

#[cfg(test)]
#[path = "sender_tests.rs"]
mod tests;
