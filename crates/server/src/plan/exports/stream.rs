//! An answer that is sent while it is written.

use std::marker::PhantomData;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream::try_unfold;
use schemars::JsonSchema;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::timeout;
use tracing::Instrument as _;

use crate::db::DbError;
use crate::http::{Operation, Output};
use crate::life::Life;

/// From this size on, what is written is sent.
const CHUNK: usize = 64 * 1024;

/// How long a client may take to read on. Nothing else ends the wait for one that holds its connection and does not
/// read, and all the while a snapshot of the database stays open. Shorter than PostgreSQL's own patience with
/// transactions that do nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long the whole answer may take, however steadily it is read: an open snapshot keeps what is deleted meanwhile
/// from being cleared away.
const LIMIT: Duration = Duration::from_secs(300);

/// Why an answer ends before its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum CutOff {
    #[error(transparent)]
    Db(#[from] DbError),
    #[error("not to be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the client is gone")]
    Gone,
    #[error("the client takes too long to read")]
    Slow,
}

/// An answer that is sent while it is written: a `T`.
pub(super) struct Streamed<T>(Body, PhantomData<fn() -> T>);

impl<T> Streamed<T> {
    pub(super) fn new(body: Body) -> Self {
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

/// Where the answer is written to.
pub(super) struct Sink {
    /// What has been written and not yet sent.
    pub(super) buffer: Vec<u8>,
    /// `None` says that the answer is complete.
    sender: Sender<Option<Bytes>>,
    patience: Duration,
}

impl Sink {
    /// Sends what has been written, once it is worth a piece of its own. Waits until the client has read all but
    /// two pieces.
    pub(super) async fn flush(&mut self) -> Result<(), CutOff> {
        if self.buffer.len() < CHUNK {
            return Ok(());
        }
        self.send().await
    }

    /// Sends the rest, and that it is the rest.
    pub(super) async fn finish(mut self) -> Result<(), CutOff> {
        self.send().await?;
        self.pass(None).await
    }

    async fn send(&mut self) -> Result<(), CutOff> {
        let piece = std::mem::take(&mut self.buffer);
        self.pass(Some(piece.into())).await
    }

    async fn pass(&self, piece: Option<Bytes>) -> Result<(), CutOff> {
        let sent = timeout(self.patience, self.sender.send(piece)).await;
        sent.map_err(|_| CutOff::Slow)?.map_err(|_| CutOff::Gone)
    }
}

/// A body with what `write` writes. Unless that calls [`Sink::finish`], the body ends in an error, and the client
/// sees its connection break: what has arrived never looks complete.
///
/// Writing is a task of its own. A body is only asked for more while its client reads, so by itself it could not
/// give up on one that does not.
pub(super) fn body<F>(life: &Life, write: impl FnOnce(Sink) -> F) -> Body
where
    F: Future<Output = Result<(), CutOff>> + Send + 'static,
{
    let (sink, receiver) = channel(PATIENCE);
    let writing = timeout(LIMIT, write(sink));
    let writing = async {
        match writing.await.unwrap_or(Err(CutOff::Slow)) {
            Ok(()) => {}
            Err(CutOff::Gone) => tracing::debug!("the client of a streamed answer is gone"),
            Err(reason @ CutOff::Slow) => tracing::warn!(%reason, "a streamed answer was cut off"),
            Err(reason) => tracing::error!(%reason, "a streamed answer was cut off"),
        }
    };
    life.spawn(writing.in_current_span());
    Body::from_stream(try_unfold(receiver, next))
}

fn channel(patience: Duration) -> (Sink, Receiver<Option<Bytes>>) {
    let (sender, receiver) = mpsc::channel(1);
    (Sink { buffer: Vec::new(), sender, patience }, receiver)
}

/// The next piece of the body.
async fn next(
    mut receiver: Receiver<Option<Bytes>>,
) -> Result<Option<(Bytes, Receiver<Option<Bytes>>)>, &'static str> {
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
