//! A backup as a stream: written on a thread, taken by a task.

use std::{
    io::{self, Write},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use tokio::{runtime::Handle, sync::mpsc, time::timeout};

use crate::error::BackupError;

/// Bytes of a chunk.
const CHUNK_BYTES: usize = 256 * 1024;

/// Chunks that wait for who takes them; the writer waits while there are so many.
const CHUNKS_MAX: usize = 8;

/// How long nothing may be taken: while a backup is made, the logs beside the databases grow.
const TAKEN_WITHIN_MAX: Duration = Duration::from_mins(1);

enum Piece {
    Chunk(Bytes),
    /// Without it, what was taken is not all.
    End,
}

/// A stream between a thread and a task. Must be called within a tokio runtime.
pub fn channel() -> (ChunkWriter, Chunks) {
    let (pieces, taken) = mpsc::channel(CHUNKS_MAX);
    let writer = ChunkWriter { pieces, runtime: Handle::current(), chunk: BytesMut::new() };
    (writer, Chunks { pieces: taken, is_ended: false })
}

/// The thread's side. Dropped before [`finish`](Self::finish), the other side ends with an error.
#[derive(Debug)]
pub struct ChunkWriter {
    pieces: mpsc::Sender<Piece>,
    runtime: Handle,
    chunk: BytesMut,
}

impl ChunkWriter {
    /// Sends what is left, and that this was all.
    pub fn finish(mut self) -> Result<(), BackupError> {
        let sent = self.send_chunk().and_then(|()| self.send(Piece::End));
        sent.map_err(|_| BackupError::NotTaken)
    }

    fn send_chunk(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = self.chunk.split().freeze();
        self.send(Piece::Chunk(chunk))
    }

    fn send(&self, piece: Piece) -> io::Result<()> {
        // The timer is made where the runtime is known.
        let sent = async { timeout(TAKEN_WITHIN_MAX, self.pieces.send(piece)).await };
        let sent = self.runtime.block_on(sent);
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(io::Error::other(BackupError::NotTaken)),
        }
    }
}

impl Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.chunk.extend_from_slice(bytes);
        if self.chunk.len() >= CHUNK_BYTES {
            self.send_chunk()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send_chunk()
    }
}

/// The task's side: the chunks of a backup in order. An error is the last, and says that it is not whole.
#[derive(Debug)]
pub struct Chunks {
    pieces: mpsc::Receiver<Piece>,
    is_ended: bool,
}

impl Stream for Chunks {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.is_ended {
            return Poll::Ready(None);
        }
        let Poll::Ready(piece) = self.pieces.poll_recv(context) else { return Poll::Pending };
        Poll::Ready(match piece {
            Some(Piece::Chunk(chunk)) => Some(Ok(chunk)),
            Some(Piece::End) => {
                self.is_ended = true;
                None
            }
            None => {
                self.is_ended = true;
                Some(Err(io::Error::other("the backup was not finished")))
            }
        })
    }
}
