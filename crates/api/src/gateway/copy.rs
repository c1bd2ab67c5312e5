//! Bytes from one stream to another, both ways, through no buffer that lasts.
//!
//! What is read is written at once. Only what the other side does not take is kept, at most
//! [`CHUNK_BYTES`], and nothing more is read in that direction until it is gone: that is the
//! back-pressure. A pair of streams that is idle holds no buffer at all.

use std::{
    future::poll_fn,
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::frames::{self, Edges};

/// Most bytes that are read at once, and so that wait in one direction.
const CHUNK_BYTES: usize = 16 * 1024;

/// How long a last word, and what stands before it, may take to be taken.
const FAREWELL_MAX: Duration = Duration::from_secs(2);

/// Anything that bytes come from and go to.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Ends that no side asked for.
pub(crate) struct Ends<'a> {
    /// The game server has ended.
    pub(crate) server: &'a CancellationToken,
    /// Greenroom stops.
    pub(crate) greenroom: &'a CancellationToken,
    /// After this long without a byte in either direction.
    pub(crate) idle: Duration,
    /// What a client is told when Greenroom stops: when to come back.
    pub(crate) retry_after: Duration,
}

/// Why it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// A side closed.
    Closed,
    /// A side broke.
    Broken,
    Idle,
    ServerEnded,
    GreenroomStops,
}

impl End {
    /// One word, for metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Broken => "broken",
            Self::Idle => "idle",
            Self::ServerEnded => "server_ended",
            Self::GreenroomStops => "greenroom_stops",
        }
    }
}

/// What passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Passed {
    /// Bytes from the client to the server.
    pub(crate) up: u64,
    /// Bytes from the server to the client.
    pub(crate) down: u64,
}

/// Which side of a direction broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    Reader,
    Writer,
}

/// One direction.
#[derive(Default)]
struct Way {
    /// Read and not yet taken; empty and without memory most of the time.
    kept: Vec<u8>,
    /// How much of it was taken.
    taken: usize,
    has_ended: bool,
    is_done: bool,
    /// The writer may hold bytes of its own, as TLS does.
    is_unflushed: bool,
    bytes: u64,
    /// The frames that passed, where they are followed.
    edges: Option<Edges>,
}

/// Copies both ways until an end, and closes both streams. `client_first` and `server_first` were
/// read before. The streams speak WebSocket frames, into which the client's last word is put.
pub(crate) async fn both_ways<C: Stream, S: Stream>(
    mut client: C,
    client_first: &[u8],
    mut server: S,
    server_first: &[u8],
    ends: Ends<'_>,
) -> (End, Passed) {
    let mut up = Way::new(client_first, None);
    let mut down = Way::new(server_first, Some(Edges::default()));
    let mut idle_at = Instant::now() + ends.idle;
    let end = loop {
        let before = up.bytes + down.bytes;
        let copying = poll_fn(|cx| {
            // Both are polled each time: either may have been woken.
            match up.poll(cx, &mut client, &mut server) {
                Poll::Ready(Err(Broken::Reader)) => return Poll::Ready(End::Broken),
                // A server that hears no more may still have said something before.
                Poll::Ready(Err(Broken::Writer)) => up.is_done = true,
                Poll::Ready(Ok(())) | Poll::Pending => {}
            }
            // Once the server has said all, nobody is left to hear what the client still says.
            down.poll(cx, &mut server, &mut client)
                .map(|outcome| if outcome.is_ok() { End::Closed } else { End::Broken })
        });
        // The ends that are not a side's own first: a busy stream must not put them off.
        tokio::select! {
            biased;
            () = ends.server.cancelled() => break End::ServerEnded,
            () = ends.greenroom.cancelled() => break End::GreenroomStops,
            end = copying => break end,
            () = sleep_until(idle_at) => {}
        }
        if up.bytes + down.bytes == before {
            break End::Idle;
        }
        idle_at = Instant::now() + ends.idle;
    };
    let last_word = match end {
        End::Closed | End::Broken => None,
        End::Idle => Some(frames::close(1001, "Nothing was said for too long.")),
        End::ServerEnded => Some(frames::close(1001, "The game server has ended.")),
        End::GreenroomStops => {
            let reason = format!(r#"{{"retryAfterMs":{}}}"#, ends.retry_after.as_millis());
            Some(frames::close(1012, &reason))
        }
    };
    // The server first: what it does not hear of, it cannot answer to.
    drop(server);
    if end != End::Broken {
        // Who does not listen is closed all the same.
        let _ = timeout(FAREWELL_MAX, farewell(&mut client, &mut down, last_word)).await;
    }
    (end, Passed { up: up.bytes, down: down.bytes })
}

/// What is still kept, then the last word if one may follow; then waits until the client is gone.
async fn farewell<C: Stream>(client: &mut C, down: &mut Way, last_word: Option<Vec<u8>>) -> io::Result<()> {
    client.write_all(&down.kept[down.taken..]).await?;
    if let Some(frame) = last_word
        && down.edges.as_ref().is_some_and(Edges::is_open)
    {
        client.write_all(&frame).await?;
    }
    client.shutdown().await?;
    // Closing with unread input would have the system take back what was not yet delivered.
    tokio::io::copy(client, &mut tokio::io::sink()).await?;
    Ok(())
}

impl Way {
    fn new(first: &[u8], edges: Option<Edges>) -> Self {
        let mut way = Self { kept: first.to_vec(), edges, ..Self::default() };
        way.note(first);
        way
    }

    fn note(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        if let Some(edges) = &mut self.edges {
            edges.passed(bytes);
        }
    }

    /// Goes as far as it can. Ready once the reader has ended and the writer was told so.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut (impl AsyncRead + Unpin),
        writer: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<Result<(), Broken>> {
        if self.is_done {
            return Poll::Ready(Ok(()));
        }
        loop {
            while self.taken < self.kept.len() {
                match ready!(Pin::new(&mut *writer).poll_write(cx, &self.kept[self.taken..])) {
                    Ok(written) if written > 0 => self.taken += written,
                    Ok(_) | Err(_) => return Poll::Ready(Err(Broken::Writer)),
                }
            }
            if self.taken > 0 {
                (self.kept, self.taken) = (Vec::new(), 0);
            }
            if self.has_ended {
                ready!(Pin::new(&mut *writer).poll_shutdown(cx)).map_err(|_| Broken::Writer)?;
                self.is_done = true;
                return Poll::Ready(Ok(()));
            }
            let mut space = [MaybeUninit::uninit(); CHUNK_BYTES];
            let mut chunk = ReadBuf::uninit(&mut space);
            if Pin::new(&mut *reader).poll_read(cx, &mut chunk).map_err(|_| Broken::Reader)?.is_pending() {
                if self.is_unflushed {
                    ready!(Pin::new(&mut *writer).poll_flush(cx)).map_err(|_| Broken::Writer)?;
                    self.is_unflushed = false;
                }
                return Poll::Pending;
            }
            let chunk = chunk.filled();
            if chunk.is_empty() {
                self.has_ended = true;
                continue;
            }
            self.note(chunk);
            self.is_unflushed = true;
            let written = match Pin::new(&mut *writer).poll_write(cx, chunk) {
                Poll::Ready(Ok(written)) => written,
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Broken::Writer)),
                Poll::Pending => 0,
            };
            if written < chunk.len() {
                self.kept = chunk[written..].to_vec();
            }
        }
    }
}

#[cfg(test)]
mod tests;
