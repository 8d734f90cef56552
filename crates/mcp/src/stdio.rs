//! The protocol over standard input and output: a line is a message. What is no message is answered as the protocol says, and the
//! next one is read.

use std::io;
use std::sync::Arc;

use rmcp::model::ClientJsonRpcMessage;
use rmcp::service::{QuitReason, RxJsonRpcMessage, TxJsonRpcMessage, serve_directly};
use rmcp::transport::Transport;
use rmcp::{RoleServer, ServerHandler};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::Mutex;

use crate::api::MOST_BYTES;

struct Lines<R, W> {
    lines: BufReader<R>,
    /// What has arrived of a line. Whoever waits for the rest of it may give up, and it is there for the next one who does.
    begun: Vec<u8>,
    is_too_long: bool,
    output: Arc<Mutex<W>>,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Lines<R, W> {
    /// The next line; None at the end. One that is too long is read to its end, and is not valid.
    async fn line(&mut self) -> io::Result<Option<Result<Vec<u8>, ()>>> {
        loop {
            let buffer = self.lines.fill_buf().await?;
            let is_over = buffer.is_empty();
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let part = &buffer[..end.unwrap_or(buffer.len())];
            if self.begun.len() + part.len() > MOST_BYTES {
                self.is_too_long = true;
            } else {
                self.begun.extend_from_slice(part);
            }
            let read = end.map_or(buffer.len(), |end| end + 1);
            self.lines.consume(read);
            if is_over && self.begun.is_empty() {
                return Ok(None);
            }
            if end.is_some() || is_over {
                let line = std::mem::take(&mut self.begun);
                return Ok(Some(if std::mem::take(&mut self.is_too_long) { Err(()) } else { Ok(line) }));
            }
        }
    }
}

async fn write<W: AsyncWrite + Unpin>(output: &Mutex<W>, message: &impl serde::Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    let mut output = output.lock().await;
    output.write_all(&line).await?;
    output.flush().await
}

/// What a line says, or what is answered to one that says nothing.
fn read(line: &[u8]) -> Result<ClientJsonRpcMessage, Option<Value>> {
    let refuse = |code: i32, message: &str, id: &Value| {
        Err(Some(json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})))
    };
    if line.trim_ascii().is_empty() {
        return Err(None);
    }
    let Ok(value) = serde_json::from_slice::<Value>(line) else {
        return refuse(-32700, "Parse error", &Value::Null);
    };
    if !value.is_object() {
        return refuse(-32600, "Invalid Request: one message a line, and no batches", &Value::Null);
    }
    let (id, method) = (value["id"].clone(), value["method"].as_str().map(str::to_owned));
    match serde_json::from_value(value) {
        Ok(message) => Ok(message),
        // A notification is never answered.
        Err(_) if id.is_null() && method.is_some() => Err(None),
        Err(_) if method.is_some() => refuse(-32602, "Invalid params", &id),
        Err(_) => refuse(-32600, "Invalid Request", &id),
    }
}

impl<R, W> Transport<RoleServer> for Lines<R, W>
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send + 'static,
{
    type Error = io::Error;

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let output = Arc::clone(&self.output);
        async move { write(&output, &item).await }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        loop {
            let line = self.line().await.ok().flatten()?;
            let refused = match line.map(|line| read(&line)) {
                Ok(Ok(message)) => return Some(message),
                Ok(Err(None)) => continue,
                Ok(Err(Some(refused))) => refused,
                Err(()) => json!({"jsonrpc": "2.0", "id": null,
                                  "error": {"code": -32600, "message": format!("Invalid Request: more than {MOST_BYTES} bytes")}}),
            };
            write(&self.output, &refused).await.ok()?;
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Serves until the input ends.
///
/// # Errors
/// When the service cannot go on.
pub async fn serve<H, R, W>(server: H, input: R, output: W) -> Result<(), tokio::task::JoinError>
where
    H: ServerHandler,
    R: AsyncRead + Unpin + Send + 'static,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let lines = Lines {
        lines: BufReader::new(input),
        begun: Vec::new(),
        is_too_long: false,
        output: Arc::new(Mutex::new(output)),
    };
    // Whoever lists or calls tools before they have introduced themselves is answered: scripts do.
    match serve_directly(server, lines, None).waiting().await? {
        QuitReason::JoinError(error) => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: tokio::io::DuplexStream) -> Lines<tokio::io::DuplexStream, Vec<u8>> {
        Lines { lines: BufReader::new(input), begun: Vec::new(), is_too_long: false, output: Arc::default() }
    }

    #[tokio::test]
    async fn whoever_gives_up_waiting_loses_nothing() {
        let (mut client, input) = tokio::io::duplex(1024);
        let mut lines = lines(input);
        for part in ["{\"a\"", ": 1", "}\n"] {
            client.write_all(part.as_bytes()).await.unwrap();
            tokio::select! {
                biased;
                line = lines.line() => assert_eq!(line.unwrap(), Some(Ok(b"{\"a\": 1}".to_vec()))),
                () = tokio::task::yield_now() => {}
            }
        }
        drop(client);
        assert_eq!(lines.line().await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_is_too_long_is_passed_over() {
        let (mut client, input) = tokio::io::duplex(1024 * 1024);
        let mut lines = lines(input);
        let write = async {
            client.write_all(&vec![b'x'; MOST_BYTES + 1]).await.unwrap();
            client.write_all(b"\nshort").await.unwrap();
            drop(client);
        };
        let read = async {
            assert_eq!(lines.line().await.unwrap(), Some(Err(())));
            assert_eq!(lines.line().await.unwrap(), Some(Ok(b"short".to_vec())));
            assert_eq!(lines.line().await.unwrap(), None);
        };
        tokio::join!(write, read);
    }
}
