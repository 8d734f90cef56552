//! A provider of vectors, by the API of `OpenAI`. Its errors are told without its words, and without the key.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Client, StatusCode, Url};
use serde::Deserialize;
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::{Model, OpenAiOptions};
use crate::reach::{body, deepest, provider};

/// How long its vectors are. One of another length is refused.
const DIMENSIONS: usize = 1536;
/// From which similarity on its texts belong together.
const RELATED: f32 = 0.6;
/// How often it is asked, where asking again may help, and how long after a failure.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(300);
/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(30);
/// The most bytes of an answer.
const MOST: usize = 1024 * 1024;

/// Whom we ask.
#[derive(Debug)]
pub(super) struct OpenAi {
    client: Client,
    url: Url,
    model: String,
    headers: HeaderMap,
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Embedding>,
}

#[derive(Deserialize)]
struct Embedding {
    embedding: Vec<f32>,
}

/// Why there is no vector, in words that operators and tenants may read.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) why: String,
    pub(super) cause: Cause,
}

/// Of what a failure comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// How the provider is. It may pass.
    Health,
    /// What it was asked about: it takes no such text, now or later.
    Text,
    /// That it is another one than we take it for, or does not know us.
    Settings,
}

impl Failure {
    pub(super) const fn passing(why: String) -> Self {
        Self { why, cause: Cause::Health }
    }

    const fn lasting(why: String) -> Self {
        Self { why, cause: Cause::Settings }
    }
}

impl OpenAi {
    /// # Errors
    /// When it cannot be asked with these options.
    pub(super) fn new(options: &OpenAiOptions) -> Result<Self, String> {
        let base = options.base_url.trim_end_matches('/');
        let url = Url::parse(&format!("{base}/embeddings")).ok().filter(|url| url.has_host());
        let url = url.ok_or("OPENAI_BASE_URL is no URL")?;
        let mut key = HeaderValue::from_str(&format!("Bearer {}", options.api_key.trim()))
            .map_err(|_| "OPENAI_API_KEY cannot be sent")?;
        key.set_sensitive(true);
        let headers = HeaderMap::from_iter([(AUTHORIZATION, key)]);
        let client = provider(&url).map_err(|error| format!("the provider's client: {}", deepest(&error)))?;
        Ok(Self { client, url, model: options.model.clone(), headers })
    }

    pub(super) fn model(&self) -> Model {
        Model { name: format!("openai:{}", self.model), dimensions: DIMENSIONS, related: RELATED }
    }

    /// The vector of a text.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn vector(&self, text: &str) -> Result<Vec<f32>, Failure> {
        let mut tries = 1;
        loop {
            let answer = timeout(ANSWER, self.ask(text)).await;
            match answer.unwrap_or_else(|_| Err(Failure::passing("the provider does not answer".to_owned())))
            {
                Ok(vector) => return Ok(vector),
                Err(failure) if failure.cause == Cause::Health && tries < TRIES => {
                    sleep(PAUSE * 2_u32.pow(tries - 1)).await;
                    tries += 1;
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Asks once.
    async fn ask(&self, text: &str) -> Result<Vec<f32>, Failure> {
        let request = self.client.post(self.url.clone()).headers(self.headers.clone());
        let request = request.json(&json!({"input": text, "model": self.model}));
        let failed = |error: reqwest::Error| Failure::passing(format!("the provider: {}", deepest(&error)));
        let response = request.send().await.map_err(failed)?;
        let status = response.status();
        if !status.is_success() {
            return Err(Failure {
                why: format!("the provider answers {}", status.as_u16()),
                cause: match status {
                    StatusCode::TOO_MANY_REQUESTS => Cause::Health,
                    StatusCode::BAD_REQUEST
                    | StatusCode::PAYLOAD_TOO_LARGE
                    | StatusCode::UNPROCESSABLE_ENTITY => Cause::Text,
                    _ if status.is_server_error() => Cause::Health,
                    _ => Cause::Settings,
                },
            });
        }
        let bytes = body(response, MOST).await.map_err(failed)?;
        let bytes = bytes.ok_or_else(|| Failure::lasting("the provider's answer is too long".to_owned()))?;
        let answer: Answer = serde_json::from_slice(&bytes)
            .map_err(|_| Failure::lasting("the provider's answer is no list of vectors".to_owned()))?;
        let vector = answer.data.into_iter().next().map(|first| first.embedding).unwrap_or_default();
        if vector.len() != DIMENSIONS {
            let got = vector.len();
            let why = format!("dimension mismatch: expected {DIMENSIONS}, got {got}");
            return Err(Failure::lasting(why));
        }
        Ok(vector)
    }
}
