//! The control socket: tells every state, takes commands.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    os::unix::net::{UnixListener, UnixStream},
};

use crate::folder::{Command, Status};

/// Most connections at once; one more is closed at once.
pub(super) const CLIENTS_MAX: usize = 8;

/// Longest command, in bytes; who sends a longer one is disconnected.
const COMMAND_BYTES_MAX: usize = 4096;

/// One connection.
pub(super) struct Client {
    pub(super) stream: UnixStream,
    buffer: Vec<u8>,
}

impl Client {
    /// Takes the next connection that waits.
    pub(super) fn accept(listener: &UnixListener) -> Option<Self> {
        let (stream, _address) = listener.accept().ok()?;
        stream.set_nonblocking(true).ok()?;
        Some(Self { stream, buffer: Vec::new() })
    }

    /// Tells the state; false if the other side does not keep up or is gone. It connects again, and
    /// then reads the newest.
    pub(super) fn tell(&mut self, line: &[u8]) -> bool {
        self.stream.write_all(line).is_ok()
    }

    /// Reads what came; the commands, and whether the connection goes on.
    pub(super) fn read(&mut self) -> (Vec<Command>, bool) {
        let mut commands = Vec::new();
        let mut chunk = [0; 1024];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return (commands, false),
                Ok(length) => self.buffer.extend_from_slice(&chunk[..length]),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return (commands, error.kind() == ErrorKind::WouldBlock),
            }
            while let Some(end) = self.buffer.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                match serde_json::from_slice(&line) {
                    Ok(command) => commands.push(command),
                    Err(_) => return (commands, false),
                }
            }
            if self.buffer.len() > COMMAND_BYTES_MAX {
                return (commands, false);
            }
        }
    }
}

/// A state as a line.
pub(super) fn line(status: &Status) -> Vec<u8> {
    let mut line = serde_json::to_vec(status).unwrap_or_default();
    line.push(b'\n');
    line
}
