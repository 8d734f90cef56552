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
use tokio::time::{Instant, sleep_until};

use super::stream::{CutOff, Piece, pass};

/// The most bytes that may wait. Who writes more waits for the client.
const MOST: u64 = 32 * 1024 * 1024;

/// So many bytes are sent at a time.
const PIECE: u64 = 64 * 1024;

/// What waits, in a file without a name, which is gone when nobody has it open. Behind its end it goes on at its beginning.
struct Spool {
    file: Arc<File>,
    /// How many bytes were put and taken.
    end: u64,
    begin: u64,
}

impl Spool {
    async fn open() -> io::Result<Self> {
        let file = Arc::new(spawn_blocking(tempfile::tempfile).await??);
        Ok(Self { file, end: 0, begin: 0 })
    }

    const fn is_empty(&self) -> bool {
        self.begin == self.end
    }

    /// As much of it as there is room for; the rest stays.
    async fn put(&mut self, piece: &mut Bytes) -> io::Result<()> {
        loop {
            let (at, free) = (self.end % MOST, MOST - (self.end - self.begin));
            let length = free.min(MOST - at).min(piece.len() as u64);
            if length == 0 {
                return Ok(());
            }
            let (file, part) = (Arc::clone(&self.file), piece.split_to(length as usize));
            spawn_blocking(move || file.write_all_at(&part, at)).await??;
            self.end += length;
        }
    }

    async fn take(&mut self) -> io::Result<Bytes> {
        let (file, at) = (Arc::clone(&self.file), self.begin % MOST);
        let length = (self.end - self.begin).min(MOST - at).min(PIECE);
        let read = move || {
            let mut bytes = vec![0; length as usize];
            file.read_exact_at(&mut bytes, at).map(|()| bytes)
        };
        let bytes = spawn_blocking(read).await??;
        self.begin += length;
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
        pass(&client, piece, patience).await?;
    }
    Ok(())
}

async fn pass_through(
    mut spool: Spool,
    mut written: Receiver<Piece>,
    client: Sender<Piece>,
    patience: Duration,
) -> Result<(), CutOff> {
    // What there was no room for yet.
    let (mut rest, mut is_written) = (Bytes::new(), false);
    let mut last_read = Instant::now();
    loop {
        if !rest.is_empty() {
            if spool.is_empty() {
                last_read = Instant::now();
            }
            spool.put(&mut rest).await?;
        }
        if is_written && spool.is_empty() {
            return pass(&client, None, patience).await;
        }
        tokio::select! {
            piece = written.recv(), if !is_written && rest.is_empty() => match piece {
                Some(Some(piece)) if spool.is_empty() => match client.try_send(Some(piece)) {
                    Ok(()) => {}
                    // It is the one that was just written.
                    Err(TrySendError::Full(piece)) => rest = piece.unwrap_or_default(),
                    Err(TrySendError::Closed(_)) => return Err(CutOff::Gone),
                },
                Some(Some(piece)) => rest = piece,
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
    use tokio::time::timeout;

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
    async fn who_reads_on_is_sent_more_than_fits() {
        let (writer, written) = mpsc::channel(1);
        let (client, mut sent) = mpsc::channel(1);
        let passing = tokio::spawn(pass_on(written, client, LONG));
        let piece = |number: u8| Some(Bytes::from(vec![number; 700_000]));
        // It fills the file before anything is read.
        let mut number = 0;
        while let Ok(place) = timeout(Duration::from_secs(2), writer.reserve()).await {
            place.unwrap().send(piece(number));
            number += 1;
        }
        assert!((45..60).contains(&number), "{number} pieces");
        let writing = tokio::spawn(async move {
            for number in number..100 {
                writer.send(piece(number)).await.unwrap();
            }
            writer.send(None).await.unwrap();
        });
        let mut length = 0;
        while let Some(Some(piece)) = sent.recv().await {
            for (place, byte) in piece.iter().enumerate() {
                assert_eq!(usize::from(*byte), (length + place) / 700_000);
            }
            length += piece.len();
        }
        assert_eq!(length, 70_000_000);
        writing.await.unwrap();
        passing.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn no_more_waits_than_there_may_and_nobody_waits_for_ever() {
        let (writer, written) = mpsc::channel(1);
        let (client, sent) = mpsc::channel(1);
        let passing = tokio::spawn(pass_on(written, client, Duration::from_secs(5)));
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
