//! Requests whose answers are read, outside of what is measured by the thousand.

use std::time::{Duration, Instant};

use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};

use super::service::Service;

/// The API with one key.
pub(crate) struct Api {
    http: Client,
    address: String,
    pub(crate) key: String,
}

impl Api {
    pub(crate) fn new(service: &Service, key: String) -> Self {
        // The client wants one even where nothing is encrypted; somebody may have chosen it before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { http: Client::new(), address: service.address.clone(), key }
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        answer(path, self.http.get(self.url(path)).bearer_auth(&self.key)).await.json().await.expect("JSON")
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Value {
        let request = self.http.post(self.url(path)).bearer_auth(&self.key).json(body);
        answer(path, request).await.json().await.expect("JSON")
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) {
        let request = self.http.patch(self.url(path)).bearer_auth(&self.key).json(body);
        answer(path, request).await;
    }

    /// The id of a new project.
    pub(crate) async fn project(&self, slug: &str) -> String {
        let answer = self.post("/projects", &json!({"name": slug, "slug": slug})).await;
        answer["project"]["id"].as_str().expect("an id").to_owned()
    }

    /// The ids of a project's stories, in order.
    pub(crate) async fn stories(&self, project: &str) -> Vec<String> {
        let mut ids = Vec::new();
        loop {
            let path = format!("/stories?project_id={project}&limit=500&offset={}", ids.len());
            let page = self.get(&path).await;
            let stories = page["data"].as_array().expect("stories");
            ids.extend(stories.iter().map(|story| story["id"].as_str().expect("an id").to_owned()));
            if stories.len() < 500 {
                return ids;
            }
        }
    }

    /// How long an answer takes.
    pub(crate) async fn timed(&self, path: &str) -> Duration {
        let began = Instant::now();
        self.drain(path).await;
        began.elapsed()
    }

    /// Reads an answer to its end without keeping it; how long it was.
    pub(crate) async fn drain(&self, path: &str) -> u64 {
        let mut answer = answer(path, self.http.get(self.url(path)).bearer_auth(&self.key)).await;
        let mut length = 0;
        while let Some(chunk) = answer.chunk().await.expect("the whole answer") {
            length += chunk.len() as u64;
        }
        length
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/api/v1{path}", self.address)
    }
}

async fn answer(path: &str, request: RequestBuilder) -> Response {
    let answer = request.send().await.expect("an answer");
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
    answer
}
