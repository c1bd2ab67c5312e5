//! The connection to a game server: one a request, counted.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use hyper::client::conn::http1;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_util::sync::CancellationToken;

/// What is read of an answer before the client takes it, in bytes.
const BUFFER_BYTES: usize = 16 * 1024;

/// How requests are sent.
pub(super) fn builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(BUFFER_BYTES);
    builder
}

/// Sees a connection through, until it ends, the server has ended, nothing moves for `idle`, or
/// `shutdown`.
pub(super) async fn drive(
    connection: impl Future<Output = hyper::Result<()>>,
    moved: Arc<Moved>,
    idle: Duration,
    ended: CancellationToken,
    shutdown: CancellationToken,
) {
    let mut connection = std::pin::pin!(connection);
    loop {
        let before = moved.sum();
        // The ends that are not the connection's own first.
        tokio::select! {
            biased;
            () = ended.cancelled() => return,
            () = shutdown.cancelled() => return,
            outcome = connection.as_mut() => {
                if let Err(error) = outcome {
                    tracing::debug!(%error, "a connection to a game server broke");
                }
                return;
            }
            () = tokio::time::sleep(idle) => {}
        }
        if moved.sum() == before {
            return;
        }
    }
}

/// Bytes that passed, and those that were already told to the metrics.
#[derive(Debug, Default)]
pub(super) struct Moved {
    up: AtomicU64,
    down: AtomicU64,
}

impl Moved {
    pub(super) fn add(&self, up: u64, down: u64) {
        self.up.fetch_add(up, Ordering::Relaxed);
        self.down.fetch_add(down, Ordering::Relaxed);
    }

    /// Tells the metrics what passed since it was told last.
    pub(super) fn record(&self, game: &str) {
        for (direction, bytes) in [("up", &self.up), ("down", &self.down)] {
            let labels = [("game", game.to_owned()), ("direction", direction.to_owned())];
            metrics::counter!("greenroom_gateway_bytes_total", &labels)
                .increment(bytes.swap(0, Ordering::Relaxed));
        }
    }

    fn sum(&self) -> u64 {
        self.up.load(Ordering::Relaxed).wrapping_add(self.down.load(Ordering::Relaxed))
    }
}

/// A stream to a game server that counts what passes.
#[derive(Debug)]
pub(super) struct Link {
    stream: TcpStream,
    moved: Arc<Moved>,
}

impl Link {
    pub(super) fn new(stream: TcpStream, moved: Arc<Moved>) -> Self {
        Self { stream, moved }
    }

    pub(super) fn into_parts(self) -> (TcpStream, Arc<Moved>) {
        (self.stream, self.moved)
    }

    fn count_up(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &written {
            self.moved.add(*bytes as u64, 0);
        }
        written
    }
}

impl AsyncRead for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.moved.add(0, (buffer.filled().len() - before) as u64);
        read
    }
}

impl AsyncWrite for Link {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.count_up(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.count_up(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
