//! How far a connection is, and when its client has taken too long.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::refusal;
use crate::http::Stay;

/// How long a client may take from the first byte of a request to the end of its head.
pub(super) const HEAD: Duration = Duration::from_secs(30);
/// How long a connection may wait for its next request.
pub(super) const IDLE: Duration = Duration::from_secs(75);
/// How long a client may leave an answer unread.
pub(super) const UNREAD: Duration = Duration::from_secs(30);

/// What a connection is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It waits for a request.
    Idle = 0,
    /// A request has begun to arrive.
    Head = 1,
    /// A request is being answered.
    Answering = 2,
    /// The whole answer is written, and not all of it sent.
    Sending = 3,
}

/// How far a connection is, and since when.
pub(super) struct Progress {
    began: Instant,
    phase: AtomicU8,
    /// When the phase began, in milliseconds.
    since: AtomicU64,
    /// Since when the client has been leaving what was written unread, in milliseconds; 0: it does not.
    unread: AtomicU64,
    /// Bytes that the client was sent.
    sent: AtomicU64,
    /// Told when the deadline has come nearer.
    sooner: Notify,
    /// What the request that is being answered has of the process, until its answer is sent.
    stay: Mutex<Option<Stay>>,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            phase: AtomicU8::new(Phase::Idle as u8),
            since: AtomicU64::new(0),
            unread: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            sooner: Notify::new(),
            stay: Mutex::default(),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Idle,
            1 => Phase::Head,
            2 => Phase::Answering,
            _ => Phase::Sending,
        }
    }

    /// Whether the client has the word.
    pub(super) fn waits_for_client(&self) -> bool {
        matches!(self.phase(), Phase::Idle | Phase::Head)
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.since.store(self.now(), Ordering::Release);
        self.phase.store(phase as u8, Ordering::Release);
        match phase {
            Phase::Head => self.sooner.notify_one(),
            Phase::Idle => self.keep(None),
            Phase::Answering | Phase::Sending => {}
        }
    }

    /// Keeps this until the answer is sent.
    pub(super) fn keep(&self, stay: Option<Stay>) {
        *self.stay.lock().unwrap_or_else(PoisonError::into_inner) = stay;
    }

    /// When its client will have taken too long, if nothing happens until then.
    fn deadline(&self) -> Instant {
        let at = |milliseconds: u64, patience| self.began + Duration::from_millis(milliseconds) + patience;
        let since = self.since.load(Ordering::Acquire);
        let of_phase = match self.phase() {
            Phase::Idle => at(since, IDLE),
            Phase::Head => at(since, HEAD),
            // Whoever answers has deadlines of their own, and who reads on may take the time that it takes.
            Phase::Answering | Phase::Sending => Instant::now() + UNREAD,
        };
        match self.unread.load(Ordering::Acquire) {
            0 => of_phase,
            unread => of_phase.min(at(unread, UNREAD)),
        }
    }

    /// Whether the client leaves unread what was written.
    pub(super) fn is_unread(&self) -> bool {
        self.unread.load(Ordering::Acquire) > 0
    }

    /// How many bytes the client was sent so far.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Acquire)
    }

    /// Leaves a note in the log of an answer that is cut off.
    pub(super) fn tell_overdue(&self) {
        if self.is_unread() {
            tracing::info!("an answer was cut off: its client read nothing of it for {} s", UNREAD.as_secs());
        }
    }

    /// Waits until its client has taken too long.
    pub(super) async fn overdue(&self) {
        while self.deadline() > Instant::now() {
            tokio::select! {
                () = sleep_until(self.deadline()) => {}
                () = self.sooner.notified() => {}
            }
        }
    }
}

/// The bytes of a connection, which tell how far it is.
pub(super) struct Watched<S> {
    stream: S,
    progress: Arc<Progress>,
    /// What goes out instead of a refusal of hyper's; the last of the connection.
    refusal: Option<Refusal>,
    /// Whether the client knows that there is no more.
    ended: bool,
}

/// An answer to a head that could not be read.
struct Refusal {
    bytes: Vec<u8>,
    written: usize,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before && self.progress.phase() == Phase::Idle {
            self.progress.enter(Phase::Head);
        }
        read
    }
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, progress: Arc<Progress>) -> Self {
        Self { stream, progress, refusal: None, ended: false }
    }

    /// Notices when hyper refuses a head by itself.
    fn notice_refusal(&mut self, bytes: &[u8]) {
        if self.refusal.is_none()
            && self.progress.waits_for_client()
            && let Some(bytes) = refusal::instead_of(bytes)
        {
            self.refusal = Some(Refusal { bytes, written: 0 });
            // What the client still sends has the time of a head.
            self.progress.enter(Phase::Head);
        }
    }

    fn written(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(written) => {
                let bytes = written.as_ref().map_or(0, |bytes| *bytes as u64);
                self.progress.sent.fetch_add(bytes, Ordering::AcqRel);
                self.progress.unread.store(0, Ordering::Release);
            }
            Poll::Pending => {
                let now = self.progress.now().max(1);
                let unread = &self.progress.unread;
                if unread.compare_exchange(0, now, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                    self.progress.sooner.notify_one();
                }
            }
        }
        written
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Watched<S> {
    /// Writes what goes out instead of `length` bytes.
    fn poll_refuse(
        stream: &mut S,
        refusal: &mut Refusal,
        context: &mut Context<'_>,
        length: usize,
    ) -> Poll<io::Result<usize>> {
        while let Some(rest) = refusal.bytes.get(refusal.written..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut *stream).poll_write(context, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => refusal.written += count,
            }
        }
        Poll::Ready(Ok(length))
    }

    /// Reads what is still coming: closed with something unread, the connection would break before the client has read.
    fn poll_drain(stream: &mut S, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut bytes = [0; 4096];
        loop {
            let mut buffer = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        this.notice_refusal(bytes);
        let written = match &mut this.refusal {
            Some(refusal) => Self::poll_refuse(&mut this.stream, refusal, context, bytes.len()),
            None => Pin::new(&mut this.stream).poll_write(context, bytes),
        };
        self.written(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // A refusal of hyper's is one piece.
        if let [only] = bytes {
            return self.poll_write(context, only);
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.written(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        // Asked for when everything has been handed over.
        if flushed.is_ready() && self.progress.phase() == Phase::Sending {
            self.progress.enter(Phase::Idle);
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.ended {
            ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
            this.ended = true;
        }
        let drained = Self::poll_drain(&mut this.stream, context);
        // Who sent a head that was refused is still sending; of others, what has come is read.
        if this.refusal.is_none() { Poll::Ready(Ok(())) } else { drained }
    }
}

/// The body of an answer. When it is gone, all of it is written, if not sent.
pub(super) struct Answer {
    pub(super) body: Body,
    pub(super) progress: Arc<Progress>,
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.progress.enter(Phase::Sending);
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn every_phase_has_its_time() {
        for (phase, patience) in [(Phase::Idle, IDLE), (Phase::Head, HEAD)] {
            let progress = Progress::new();
            progress.enter(phase);
            let before = Instant::now();
            progress.overdue().await;
            assert!(before.elapsed() >= patience && before.elapsed() < patience * 2, "{phase:?}");
        }
        let progress = Progress::new();
        progress.enter(Phase::Answering);
        let long = tokio::time::timeout(IDLE * 10, progress.overdue()).await;
        assert!(long.is_err(), "an answer takes as long as it takes");
        progress.unread.store(progress.now(), Ordering::Release);
        let before = Instant::now();
        progress.overdue().await;
        assert!(before.elapsed() >= UNREAD && before.elapsed() < UNREAD * 2);
    }
}
