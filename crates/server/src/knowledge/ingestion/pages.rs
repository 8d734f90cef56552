//! Fetches pages that others name: on the public network alone, with few redirects, in little time, and no more than so much.

use std::sync::Arc;
use std::time::Duration;

use loopctl_core::webhooks::{PRIVATE, Policy};
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, LOCATION};
use reqwest::{Response, StatusCode, Url};
use tokio::time::timeout;

use super::decode::{MOST, TOO_LARGE, Written, decode};
use crate::reach::{Connector, Names, System, body, deepest, is_blocked};

/// How long a page may take, redirects included.
const EXCHANGE: Duration = Duration::from_secs(15);
/// How many redirects are followed.
const REDIRECTS: usize = 3;
/// How often it is tried, where that may help.
const TRIES: usize = 2;

/// Who fetches pages.
pub(crate) struct Pages(Connector);

/// Why there is no page. It is told to whoever named it.
#[derive(Debug)]
struct Failure {
    told: String,
    /// Whether it may help to try again.
    passes: bool,
}

impl Failure {
    fn lasting(told: impl Into<String>) -> Self {
        Self { told: told.into(), passes: false }
    }

    fn passing(told: impl Into<String>) -> Self {
        Self { told: told.into(), passes: true }
    }
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        if is_blocked(&error) {
            return Self::lasting(BLOCKED);
        }
        Self::passing(format!("the page could not be fetched: {}", deepest(&error)))
    }
}

/// What is said of a page on a network of ours.
const BLOCKED: &str = "blocked_address: the page is on a private network, or on this machine";

impl Pages {
    pub(in super::super) fn new(policy: Policy) -> Self {
        Self::asking(policy, Arc::new(System))
    }

    fn asking(policy: Policy, names: Arc<dyn Names>) -> Self {
        Self(Connector::new(policy, names, "Loopctl-Ingestion/1.0"))
    }

    /// The text of a page.
    ///
    /// # Errors
    /// Why there is none.
    pub(in super::super) async fn text(&self, url: &str) -> Result<String, String> {
        let mut tried = 0;
        let (bytes, written) = loop {
            tried += 1;
            let fetched = timeout(EXCHANGE, self.fetch(url)).await;
            match fetched.unwrap_or_else(|_| Err(Failure::passing("the page took too long"))) {
                Ok(page) => break page,
                Err(failure) if failure.passes && tried < TRIES => {}
                Err(failure) => return Err(failure.told),
            }
        };
        let decoded = tokio::task::spawn_blocking(move || decode(&bytes, &written)).await;
        decoded.map_err(|_| "the page cannot be read".to_owned())?
    }

    /// Follows redirects, each of which is looked at as the first URL is.
    async fn fetch(&self, url: &str) -> Result<(Vec<u8>, Written), Failure> {
        let mut url = self.allowed(url)?;
        for _ in 0..=REDIRECTS {
            let request = self.0.client(&url)?.get(url.clone());
            let request = request
                .header(ACCEPT, "text/html, text/*;q=0.9, application/json;q=0.8, */*;q=0.1")
                .header(ACCEPT_ENCODING, "gzip");
            let response = request.send().await?;
            let status = response.status();
            if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
                url = self.allowed(next(&url, &response)?.as_str())?;
                continue;
            }
            if !status.is_success() {
                let told = format!("the page answered HTTP {}", status.as_u16());
                let passes = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
                return Err(Failure { told, passes });
            }
            let written = Written::of(header(&response, &CONTENT_TYPE), header(&response, &CONTENT_ENCODING));
            let written = written.map_err(Failure::lasting)?;
            let bytes = body(response, MOST).await?.ok_or_else(|| Failure::lasting(TOO_LARGE))?;
            return Ok((bytes, written));
        }
        Err(Failure::lasting(format!("the page redirects more than {REDIRECTS} times")))
    }

    fn allowed(&self, url: &str) -> Result<Url, Failure> {
        self.0.url(url).map_err(|fault| match fault {
            PRIVATE => Failure::lasting(BLOCKED),
            fault => Failure::lasting(format!("the URL of the page {fault}")),
        })
    }
}

/// Where a redirect leads.
fn next(url: &Url, response: &Response) -> Result<Url, Failure> {
    let place = header(response, &LOCATION).and_then(|place| url.join(place).ok());
    place.ok_or_else(|| Failure::lasting("the page redirects to nowhere"))
}

fn header<'a>(response: &'a Response, name: &HeaderName) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

#[cfg(test)]
#[path = "pages_tests.rs"]
mod tests;
