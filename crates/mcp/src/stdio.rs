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

/// Bytes of a message: a plan, and what is around it.
const MOST: usize = 8 * 1024 * 1024;

struct Lines<R, W> {
    lines: BufReader<R>,
    output: Arc<Mutex<W>>,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Lines<R, W> {
    /// The next line; None at the end. One that is too long is read to its end, and is not valid.
    async fn line(&mut self) -> io::Result<Option<Result<Vec<u8>, ()>>> {
        let (mut line, mut is_too_long) = (Vec::new(), false);
        loop {
            let buffer = self.lines.fill_buf().await?;
            if buffer.is_empty() {
                return Ok((!line.is_empty()).then_some(if is_too_long { Err(()) } else { Ok(line) }));
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let part = &buffer[..end.unwrap_or(buffer.len())];
            if line.len() + part.len() > MOST {
                is_too_long = true;
            } else {
                line.extend_from_slice(part);
            }
            let read = end.map_or(buffer.len(), |end| end + 1);
            self.lines.consume(read);
            if end.is_some() {
                return Ok(Some(if is_too_long { Err(()) } else { Ok(line) }));
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
                                  "error": {"code": -32600, "message": format!("Invalid Request: more than {MOST} bytes")}}),
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
    let lines = Lines { lines: BufReader::new(input), output: Arc::new(Mutex::new(output)) };
    // Whoever lists or calls tools before they have introduced themselves is answered: scripts do.
    match serve_directly(server, lines, None).waiting().await? {
        QuitReason::JoinError(error) => Err(error),
        _ => Ok(()),
    }
}
