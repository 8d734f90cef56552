//! An answer that is sent while it is written.

use std::marker::PhantomData;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::try_unfold;
use schemars::JsonSchema;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::timeout;
use tracing::Instrument as _;

use super::endpoint::{Operation, Output};
use super::headers;
use super::spool;
use crate::db::{DbError, Share};
use crate::life::Life;

const EVENT_STREAM: &str = "text/event-stream";

/// From this size on, what is written is sent.
const CHUNK: usize = 64 * 1024;

/// How long a client may take to read on. Nothing else ends the wait for one that holds its connection and does not
/// read, and all the while a snapshot of the database may stay open. Shorter than PostgreSQL's own patience with
/// transactions that do nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long the whole of an answer from a file may take, however steadily it is read.
const LIMIT: Duration = Duration::from_secs(300);

/// Why an answer ends before its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CutOff {
    #[error(transparent)]
    Db(#[from] DbError),
    #[error("not to be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("not to be written: {0}")]
    Io(#[from] std::io::Error),
    #[error("the client is gone")]
    Gone,
    #[error("the client takes too long to read")]
    Slow,
}

/// An answer that is sent while it is written: a `T`.
pub(crate) struct Streamed<T>(Body, PhantomData<fn() -> T>);

impl<T> Streamed<T> {
    pub(crate) fn new(body: Body) -> Self {
        Self(body, PhantomData)
    }
}

impl<T> IntoResponse for Streamed<T> {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, "application/json")], self.0).into_response()
    }
}

impl<T: JsonSchema> Output for Streamed<T> {
    fn describe(operation: &mut Operation<'_>) {
        let about = "Streamed: a connection that breaks before its end has not delivered the document";
        operation.answer::<T>(200, about);
    }
}

/// An answer that goes on for as long as its client wants to know: server-sent events, whose data are each a `T`.
pub(crate) struct EventStream<T>(Body, PhantomData<fn() -> T>);

impl<T> EventStream<T> {
    pub(crate) fn new(body: Body) -> Self {
        Self(body, PhantomData)
    }
}

impl<T> IntoResponse for EventStream<T> {
    fn into_response(self) -> Response {
        let headers = [
            (header::CONTENT_TYPE, EVENT_STREAM),
            (header::CACHE_CONTROL, "no-store"),
            // Proxies that collect an answer before they pass it on would keep everything.
            (HeaderName::from_static("x-accel-buffering"), "no"),
        ];
        (headers, self.0).into_response()
    }
}

impl<T: JsonSchema> Output for EventStream<T> {
    fn describe(operation: &mut Operation<'_>) {
        let about = "Server-sent events. The data of each is one entry, and its id is to be sent as `Last-Event-ID`, or as \
                     `since`, for what comes after it. Comments say that the connection lives";
        operation.answer::<T>(200, about);
        operation.answer_as(200, EVENT_STREAM);
        operation.answer_with(200, &headers::CACHE_CONTROL);
    }
}

/// A part of an answer; `None` says that it is complete.
pub(super) type Piece = Option<Bytes>;

/// Where the answer is written to.
pub(crate) struct Sink {
    /// What has been written and not yet sent.
    pub(crate) buffer: Vec<u8>,
    sender: Sender<Piece>,
    patience: Duration,
}

impl Sink {
    /// Sends what has been written, once it is worth a piece of its own. Waits until all but two pieces are taken.
    pub(crate) async fn flush(&mut self) -> Result<(), CutOff> {
        if self.buffer.len() < CHUNK {
            return Ok(());
        }
        self.send().await
    }

    /// Sends the rest, and that it is the rest.
    pub(crate) async fn finish(mut self) -> Result<(), CutOff> {
        self.send().await?;
        self.pass(None).await
    }

    /// Sends what has been written, however little it is.
    pub(crate) async fn send(&mut self) -> Result<(), CutOff> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = std::mem::take(&mut self.buffer);
        self.pass(Some(piece.into())).await
    }

    /// Waits until nobody reads any more.
    pub(crate) async fn abandoned(&self) {
        self.sender.closed().await;
    }

    async fn pass(&self, piece: Piece) -> Result<(), CutOff> {
        pass(&self.sender, piece, self.patience).await
    }
}

/// Hands a piece on, when there is room for it.
pub(super) async fn pass(to: &Sender<Piece>, piece: Piece, patience: Duration) -> Result<(), CutOff> {
    let sent = timeout(patience, to.send(piece)).await;
    sent.map_err(|_| CutOff::Slow)?.map_err(|_| CutOff::Gone)
}

/// A body with what `write` writes. Unless that calls [`Sink::finish`], the body ends in an error, and the client
/// sees its connection break: what has arrived never looks complete.
///
/// Writing is a task of its own. A body is only asked for more while its client reads, so by itself it could not
/// give up on one that does not.
pub(crate) fn body<F>(life: &Life, write: impl FnOnce(Sink) -> F) -> Body
where
    F: Future<Output = Result<(), CutOff>> + Send + 'static,
{
    let (sink, receiver) = channel(PATIENCE);
    spawn(life, write(sink));
    Body::from_stream(try_unfold(receiver, next))
}

/// As [`body`], for an answer that is read from a snapshot of the database: that is done as quickly as it can be, and what the client has
/// not read yet waits in a file. Its share is its own until all of it is sent.
pub(crate) fn spooled<F>(life: &Life, share: Share, write: impl FnOnce(Sink) -> F) -> Body
where
    F: Future<Output = Result<(), CutOff>> + Send + 'static,
{
    let (sink, written) = channel(LIMIT);
    let (client, receiver) = mpsc::channel(1);
    spawn(life, write(sink));
    spawn(life, async move {
        let _until_sent = share;
        let passing = timeout(LIMIT, spool::pass_on(written, client, PATIENCE));
        passing.await.unwrap_or(Err(CutOff::Slow))
    });
    Body::from_stream(try_unfold(receiver, next))
}

/// Has it go on by itself, and says what comes of it.
fn spawn(life: &Life, work: impl Future<Output = Result<(), CutOff>> + Send + 'static) {
    let work = async {
        match work.await {
            Ok(()) => {}
            Err(CutOff::Gone) => tracing::debug!("the client of a streamed answer is gone"),
            Err(reason @ CutOff::Slow) => tracing::warn!(%reason, "a streamed answer was cut off"),
            Err(reason) => tracing::error!(%reason, "a streamed answer was cut off"),
        }
    };
    life.spawn(work.in_current_span());
}

fn channel(patience: Duration) -> (Sink, Receiver<Piece>) {
    let (sender, receiver) = mpsc::channel(1);
    (Sink { buffer: Vec::new(), sender, patience }, receiver)
}

/// The next piece of the body.
async fn next(mut receiver: Receiver<Piece>) -> Result<Option<(Bytes, Receiver<Piece>)>, &'static str> {
    match receiver.recv().await {
        Some(piece) => Ok(piece.map(|piece| (piece, receiver))),
        None => Err("the answer was cut off"),
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    /// All of a body, or that it was cut off.
    async fn read(body: Body) -> Result<Vec<u8>, axum::Error> {
        Ok(body.collect().await?.to_bytes().to_vec())
    }

    #[tokio::test]
    async fn what_is_finished_arrives_whole() {
        let body = body(&Life::default(), async |mut sink: Sink| {
            for letter in [b'a', b'b', b'c'] {
                sink.buffer.resize(sink.buffer.len() + CHUNK / 2, letter);
                sink.flush().await?;
            }
            sink.finish().await
        });
        let expected = [b'a', b'b', b'c'].map(|letter| vec![letter; CHUNK / 2]).concat();
        assert_eq!(read(body).await.unwrap(), expected);
        assert_eq!(read(super::body(&Life::default(), Sink::finish)).await.unwrap(), b"");
    }

    #[tokio::test]
    async fn what_is_not_finished_ends_in_an_error() {
        // A failure, a panic, and a writer that forgets to finish.
        let failed = body(&Life::default(), async |mut sink: Sink| {
            sink.buffer.resize(CHUNK, b' ');
            sink.flush().await?;
            Err(CutOff::Db(DbError::Unexpected("test".to_owned())))
        });
        assert!(read(failed).await.is_err());
        let panicked = body(&Life::default(), async |sink: Sink| {
            assert!(sink.buffer.len() > 1, "a panic for the test");
            Ok(())
        });
        assert!(read(panicked).await.is_err());
        assert!(read(body(&Life::default(), async |_: Sink| Ok(()))).await.is_err());
    }

    #[tokio::test]
    async fn nobody_waits_for_ever_for_a_client() {
        let (mut sink, receiver) = channel(Duration::from_millis(1));
        sink.buffer.push(b' ');
        sink.send().await.unwrap();
        // There is room for one piece.
        sink.buffer.push(b' ');
        assert!(matches!(sink.send().await, Err(CutOff::Slow)));
        drop(receiver);
        assert!(matches!(sink.finish().await, Err(CutOff::Gone)));
    }
}
