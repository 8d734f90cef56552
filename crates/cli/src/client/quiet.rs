//! Requests of whoever draws the screen: nothing is said beside it, and nothing is asked a second time by itself.

use reqwest::Method;
use serde_json::Value;

use super::{Answer, Client, Download, Events, LAST_EVENT_ID, LONGEST_SILENCE, Reading, Request, success};
use crate::error::Error;

impl Client {
    /// GET under `/api/v1`.
    pub(crate) async fn get_quietly(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, Error> {
        let url = self.api(path, query);
        let request =
            Request { method: Method::GET, url: &url, body: None, headers: &[], how: Reading::Whole };
        settled(self.exchange(&request, false).await?)
    }

    /// As [`Client::events`].
    pub(crate) async fn events_quietly(
        &self,
        path: &str,
        query: &[(&str, &str)],
        last: Option<&str>,
    ) -> Result<Events<'_>, Error> {
        let (url, how) = (self.api(path, query), Reading::Events);
        let headers: Vec<_> = last.map(|last| (LAST_EVENT_ID, last)).into_iter().collect();
        let request = Request { method: Method::GET, url: &url, body: None, headers: &headers, how };
        let mut answer = self.exchange(&request, false).await?;
        match answer.unread.take() {
            Some(response) => Ok(Events::of(Download { client: self, response, limit: LONGEST_SILENCE })),
            None => settled(answer).and(Err(Error::not_json())),
        }
    }
}

/// A refusal knows how long it is to last, because its caller waits by itself.
fn settled(answer: Answer) -> Result<Value, Error> {
    let retry_after = answer.retry_after;
    success((answer.status, answer.body)).map_err(|error| match error {
        Error::Server(mut refused) => {
            refused.retry_after = retry_after;
            Error::Server(refused)
        }
        other => other,
    })
}
