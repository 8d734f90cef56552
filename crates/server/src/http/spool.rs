//! Between whoever writes an answer and a client that reads it more slowly: what is written and not sent waits in a file. So what is read
//! from a snapshot of the database is read as quickly as it can be, and the snapshot ends, however slow the client is: as long as there
//! is one, nothing that is changed anywhere can be cleared away.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until, timeout};

use super::stream::CutOff;

/// The most bytes that may wait. Who writes more waits for the client.
const MOST: u64 = 32 * 1024 * 1024;

/// So many bytes are sent at a time.
const PIECE: usize = 64 * 1024;

/// A part of an answer; None after the last.
type Piece = Option<Bytes>;

/// What waits, in a file without a name, which is gone when nobody has it open.
struct Spool {
    file: Arc<File>,
    /// Where what waits begins, and where it ends.
    begin: u64,
    end: u64,
}

impl Spool {
    async fn open() -> io::Result<Self> {
        let file = Arc::new(spawn_blocking(tempfile::tempfile).await??);
        Ok(Self { file, begin: 0, end: 0 })
    }

    const fn is_empty(&self) -> bool {
        self.begin == self.end
    }

    const fn is_full(&self) -> bool {
        self.end >= MOST
    }

    async fn put(&mut self, piece: Bytes) -> io::Result<()> {
        let (file, end, length) = (Arc::clone(&self.file), self.end, piece.len() as u64);
        spawn_blocking(move || file.write_all_at(&piece, end)).await??;
        self.end += length;
        Ok(())
    }

    async fn take(&mut self) -> io::Result<Bytes> {
        let (file, begin) = (Arc::clone(&self.file), self.begin);
        let length = PIECE.min(usize::try_from(self.end - begin).unwrap_or(PIECE));
        let read = move || {
            let mut bytes = vec![0; length];
            file.read_exact_at(&mut bytes, begin).map(|()| bytes)
        };
        let bytes = spawn_blocking(read).await??;
        self.begin += length as u64;
        if self.is_empty() {
            (self.begin, self.end) = (0, 0);
        }
        Ok(bytes.into())
    }
}

/// Passes on what is written until all of it is sent. A client may take so long to read on.
///
/// # Errors
/// When the client is gone, or takes longer. Whoever writes sees then that nobody reads; whoever reads sees that the end is missing
/// when it was not written.
pub(super) async fn pass_on(
    written: Receiver<Piece>,
    client: Sender<Piece>,
    patience: Duration,
) -> Result<(), CutOff> {
    match Spool::open().await {
        Ok(spool) => pass_through(spool, written, client, patience).await,
        Err(error) => {
            tracing::warn!(%error, "no file can be made for what a client has not read; it is waited for");
            pass_at_once(written, client, patience).await
        }
    }
}

async fn pass_at_once(
    mut written: Receiver<Piece>,
    client: Sender<Piece>,
    patience: Duration,
) -> Result<(), CutOff> {
    while let Some(piece) = written.recv().await {
        timeout(patience, client.send(piece)).await.map_err(|_| CutOff::Slow)?.map_err(|_| CutOff::Gone)?;
    }
    Ok(())
}

async fn pass_through(
    mut spool: Spool,
    mut written: Receiver<Piece>,
    client: Sender<Piece>,
    patience: Duration,
) -> Result<(), CutOff> {
    let mut is_written = false;
    let mut last_read = Instant::now();
    loop {
        if is_written && spool.is_empty() {
            let end = timeout(patience, client.send(None)).await;
            return end.map_err(|_| CutOff::Slow)?.map_err(|_| CutOff::Gone);
        }
        tokio::select! {
            piece = written.recv(), if !is_written && !spool.is_full() => match piece {
                Some(Some(piece)) if spool.is_empty() => match client.try_send(Some(piece)) {
                    Ok(()) => {}
                    Err(TrySendError::Full(piece)) => {
                        last_read = Instant::now();
                        // It is one that was just written.
                        spool.put(piece.unwrap_or_default()).await?;
                    }
                    Err(TrySendError::Closed(_)) => return Err(CutOff::Gone),
                },
                Some(Some(piece)) => spool.put(piece).await?,
                Some(None) => is_written = true,
                // It was not written to its end, and whoever wrote it has said why.
                None => return Ok(()),
            },
            place = client.reserve(), if !spool.is_empty() => {
                let place = place.map_err(|_| CutOff::Gone)?;
                place.send(Some(spool.take().await?));
                last_read = Instant::now();
            }
            () = sleep_until(last_read + patience), if !spool.is_empty() => return Err(CutOff::Slow),
            () = client.closed() => return Err(CutOff::Gone),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    /// What is sent of pieces that are all written before anybody reads.
    async fn sent(pieces: Vec<Piece>) -> Result<Vec<u8>, String> {
        let (writer, written) = mpsc::channel(1);
        let (client, mut sent) = mpsc::channel(1);
        let passing = tokio::spawn(pass_on(written, client, LONG));
        for piece in pieces {
            writer.send(piece).await.unwrap();
        }
        drop(writer);
        let mut all = Vec::new();
        loop {
            match sent.recv().await {
                Some(Some(piece)) => all.extend_from_slice(&piece),
                Some(None) => break,
                None => return Err("it has no end".to_owned()),
            }
        }
        passing.await.unwrap().unwrap();
        Ok(all)
    }

    #[tokio::test]
    async fn who_writes_does_not_wait_for_who_reads() {
        let pieces: Vec<Bytes> = (0..200_u8).map(|number| vec![number; 10_000].into()).collect();
        let all = pieces.concat();
        let mut written: Vec<Piece> = pieces.into_iter().map(Some).collect();
        assert!(sent(written.clone()).await.is_err(), "what has no end does not look complete");
        written.push(None);
        assert_eq!(sent(written).await.unwrap(), all);
        assert_eq!(sent(vec![None]).await.unwrap(), b"");
    }

    #[tokio::test]
    async fn no_more_waits_than_there_may_and_nobody_waits_for_ever() {
        let (writer, written) = mpsc::channel(1);
        let (client, sent) = mpsc::channel(1);
        let passing = tokio::spawn(pass_on(written, client, Duration::from_millis(300)));
        let piece = Bytes::from(vec![0; 1 << 20]);
        let mut count = 0;
        // The client reads nothing: what waits is bounded, and it is given up.
        while writer.send(Some(piece.clone())).await.is_ok() {
            count += 1;
        }
        assert!((32..=35).contains(&count), "{count} MiB");
        assert!(matches!(passing.await.unwrap(), Err(CutOff::Slow)));
        drop(sent);
    }

    #[tokio::test]
    async fn a_client_that_leaves_is_noticed() {
        let (writer, written) = mpsc::channel(1);
        let (client, sent) = mpsc::channel(1);
        let passing = tokio::spawn(pass_on(written, client, LONG));
        writer.send(Some(Bytes::from_static(b"a"))).await.unwrap();
        drop(sent);
        assert!(matches!(passing.await.unwrap(), Err(CutOff::Gone)));
        assert!(writer.send(None).await.is_err());
    }
}
