//! Server-sent events.

use serde_json::Value;

use super::PATIENCE;

/// Server-sent events, as they arrive.
pub(crate) struct Events {
    response: reqwest::Response,
    arrived: Vec<u8>,
}

/// An event, or the last id alone, or a comment.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Told {
    pub(crate) id: String,
    pub(crate) data: String,
}

impl Events {
    pub(crate) fn of(response: reqwest::Response) -> Self {
        Self { response, arrived: Vec::new() }
    }

    /// The next one, whatever it is; None at the end.
    ///
    /// # Errors
    /// When the connection breaks before the end.
    pub(crate) async fn next(&mut self) -> reqwest::Result<Option<Told>> {
        loop {
            if let Some(end) = self.arrived.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<u8> = self.arrived.drain(..end + 2).collect();
                let block = String::from_utf8(block).unwrap();
                let field = |name: &str| {
                    let line = block.lines().find_map(|line| line.strip_prefix(name));
                    line.unwrap_or_default().to_owned()
                };
                return Ok(Some(Told { id: field("id: "), data: field("data: ") }));
            }
            match self.response.chunk().await? {
                Some(chunk) => self.arrived.extend_from_slice(&chunk),
                None => return Ok(None),
            }
        }
    }

    /// The next entry of the feed.
    pub(crate) async fn entry(&mut self) -> (String, Value) {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.next()).await.expect("an event").unwrap();
            let told = next.expect("the stream goes on");
            if !told.data.is_empty() {
                return (told.id, serde_json::from_str(&told.data).unwrap());
            }
        }
    }

    /// The data of the first event that came with the answer; empty when none did.
    pub(crate) async fn already(mut self) -> String {
        let mut told = self.next().await.unwrap().expect("the id from which it goes on");
        while told.data.is_empty() && !self.arrived.is_empty() {
            told = self.next().await.unwrap().unwrap();
        }
        told.data
    }
}
