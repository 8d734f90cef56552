//! Answers that are read as they arrive: those too large to hold, and those that go on and on.

use std::time::Duration;

use reqwest::Response;
use serde_json::Value;

use super::Client;
use crate::error::Error;

/// A successful answer of which nothing was read yet.
pub(crate) struct Download<'a> {
    pub(super) client: &'a Client,
    pub(super) response: Response,
    /// How long nothing may come.
    pub(super) limit: Duration,
}

impl Download<'_> {
    /// The next bytes; none at the end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<impl AsRef<[u8]> + use<>>, Error> {
        let limit = self.limit;
        match tokio::time::timeout(limit, self.response.chunk()).await {
            Ok(chunk) => chunk.map_err(|error| self.client.network_error(&error)),
            Err(_) => Err(self.client.cut_off(&format!("nothing more came for {} s", limit.as_secs()))),
        }
    }
}

/// Events, as they arrive.
pub(crate) struct Events<'a> {
    arriving: Download<'a>,
    arrived: Vec<u8>,
}

/// What happened, and what it is to be known by.
pub(crate) struct Event {
    pub(crate) id: String,
    /// Null when it says nothing but from where to go on.
    pub(crate) data: Value,
}

impl<'a> Events<'a> {
    pub(super) fn of(arriving: Download<'a>) -> Self {
        Self { arriving, arrived: Vec::new() }
    }

    /// The next one; none at the end. That the connection lives is no event.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>, Error> {
        const END: &[u8] = b"\n\n";
        loop {
            if let Some(at) = self.arrived.windows(END.len()).position(|bytes| bytes == END) {
                let block: Vec<u8> = self.arrived.drain(..at + END.len()).collect();
                let block = String::from_utf8_lossy(&block);
                let field =
                    |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
                let Some(id) = field("id:") else { continue };
                let data =
                    field("data:").map(serde_json::from_str).transpose().map_err(|_| Error::not_json())?;
                return Ok(Some(Event { id: id.to_owned(), data: data.unwrap_or_default() }));
            }
            match self.arriving.chunk().await? {
                Some(bytes) => self.arrived.extend_from_slice(bytes.as_ref()),
                None => return Ok(None),
            }
        }
    }
}
