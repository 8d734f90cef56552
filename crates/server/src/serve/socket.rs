//! The socket of a connection, for two: whoever serves it, and whoever watches whether its client is still there. Who serves it reads
//! only when more is wanted, and does not see until then that nobody is at the other end.

use std::future::pending;
use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::AsRawFd as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use nix::sys::socket::{Shutdown, shutdown};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

#[derive(Clone)]
pub(super) struct Socket(Arc<TcpStream>);

impl Socket {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self(Arc::new(stream))
    }

    /// Waits until the client sends nothing any more, even if what it has sent is not read yet. Whoever has left is one of those, and who
    /// only closes its side is answered no longer either.
    #[cfg(target_os = "linux")]
    pub(super) async fn left(&self) {
        // There is no urgent data to wait for; the system tells of the end of all data with it.
        if self.0.ready(Interest::PRIORITY).await.is_err() {
            pending::<()>().await;
        }
    }

    /// Elsewhere it is seen when it is read.
    #[cfg(not(target_os = "linux"))]
    pub(super) async fn left(&self) {
        pending::<()>().await;
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.poll_read_ready(context))?;
            match self.0.try_read_buf(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read.map(|_| ())),
            }
        }
    }
}

impl Socket {
    /// Writes as soon as there is room.
    fn poll_writing(
        &self,
        context: &mut Context<'_>,
        write: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(context))?;
            match write(&self.0) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_writing(context, |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_writing(context, |stream| stream.try_write_vectored(bytes))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Nothing is kept here.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(shutdown(self.0.as_raw_fd(), Shutdown::Write).map_err(io::Error::from))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    async fn connected() -> (TcpStream, Socket) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (client, accepted) =
            tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        (client.unwrap(), Socket::new(accepted.unwrap().0))
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn who_leaves_is_seen_before_anything_is_read() {
        use std::time::Duration;

        use tokio::time::timeout;

        let (mut client, mut socket) = connected().await;
        client.write_all(b"something").await.unwrap();
        let is_there = timeout(Duration::from_millis(50), socket.left()).await.is_err();
        assert!(is_there);
        drop(client);
        socket.left().await;
        let mut sent = String::new();
        socket.read_to_string(&mut sent).await.unwrap();
        assert_eq!(sent, "something");
        socket.left().await;
    }

    #[tokio::test]
    async fn what_is_written_arrives_and_ends() {
        let (mut client, mut socket) = connected().await;
        let text = "a".repeat(1 << 20);
        let sending = {
            let text = text.clone();
            tokio::spawn(async move {
                socket.write_all(text.as_bytes()).await.unwrap();
                socket.shutdown().await.unwrap();
                socket
            })
        };
        let mut read = String::new();
        client.read_to_string(&mut read).await.unwrap();
        assert_eq!(read, text);
        drop(sending.await.unwrap());
    }
}
