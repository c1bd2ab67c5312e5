//! Player sockets: one that is waited for, and many that are listened to.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};

use super::{
    http::{Head, head},
    poller::{Poller, Ready},
    websocket::{self, Frame},
};

/// How long one socket is waited for.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// How much is read at once.
const READ_BYTES: usize = 64 * 1024;

/// A player's socket.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    /// The beginning of a frame that has not come whole.
    partial: Vec<u8>,
    /// What the system has not taken yet.
    unsent: Vec<u8>,
}

impl Socket {
    /// Opens the socket of the player whose token this is, and waits until it is greeted.
    pub(crate) fn connect(address: SocketAddr, token: &str) -> anyhow::Result<Self> {
        let mut socket = Self::open(address, &format!("/_ws?token={token}"))?;
        socket.wait_for("connected")?;
        Ok(socket)
    }

    /// Opens the socket at `path`.
    pub(crate) fn open(address: SocketAddr, path: &str) -> anyhow::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: Z3JlZW5yb29tLWJlbmNoIQ==\r\n\r\n"
        )?;
        let mut partial = Vec::new();
        let mut scratch = [0; 4096];
        let rest = loop {
            let read = stream.read(&mut scratch)?;
            ensure!(read > 0, "the server closed a socket before it answered");
            partial.extend(&scratch[..read]);
            if let Some(Head { status, body_at, .. }) = head(&partial)? {
                ensure!(status == 101, "the server answers {status} to an upgrade");
                break body_at;
            }
        };
        partial.drain(..rest);
        Ok(Self { stream, partial, unsent: Vec::new() })
    }

    /// Sends a message and waits until the system has taken it; before [`Sockets::new`].
    pub(crate) fn send(&mut self, text: &str) -> anyhow::Result<()> {
        let mut bytes = Vec::new();
        websocket::text(text.as_bytes(), &mut bytes);
        Ok(self.stream.write_all(&bytes)?)
    }

    /// Waits for the next message of this type, and passes over others; before [`Sockets::new`].
    pub(crate) fn wait_for(&mut self, kind: &str) -> anyhow::Result<String> {
        self.wait_until(kind, |_| true)
    }

    /// Waits for a message of this type that is `wanted`.
    pub(crate) fn wait_until(&mut self, kind: &str, wanted: impl Fn(&str) -> bool) -> anyhow::Result<String> {
        let prefix = format!("{{\"type\":\"{kind}\"");
        let mut scratch = vec![0; READ_BYTES];
        loop {
            while let Some((frame, taken)) = websocket::decode(&self.partial)? {
                let found = match frame {
                    Frame::Text(text) => {
                        let text = std::str::from_utf8(text)?;
                        refused(text)?;
                        (text.starts_with(&prefix) && wanted(text)).then(|| text.to_owned())
                    }
                    Frame::Close(code) => bail!("the server closed a socket with {code}"),
                    Frame::Ping(_) | Frame::Pong => None,
                };
                self.partial.drain(..taken);
                if let Some(text) = found {
                    return Ok(text);
                }
            }
            let read = self.stream.read(&mut scratch).with_context(|| format!("no {kind} came"))?;
            ensure!(read > 0, "the server closed a socket");
            self.partial.extend(&scratch[..read]);
        }
    }

    /// Reads what is there, once; the system tells again if there is more.
    fn receive(&mut self, scratch: &mut [u8], mut told: impl FnMut(&str)) -> anyhow::Result<()> {
        let read = match self.stream.read(scratch) {
            Ok(0) => bail!("the server closed a socket"),
            Ok(read) => read,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let whole;
        let bytes = if self.partial.is_empty() {
            &scratch[..read]
        } else {
            self.partial.extend(&scratch[..read]);
            whole = std::mem::take(&mut self.partial);
            &whole[..]
        };
        let mut rest = bytes;
        while let Some((frame, taken)) = websocket::decode(rest)? {
            match frame {
                Frame::Text(text) => told(std::str::from_utf8(text)?),
                Frame::Ping(payload) => websocket::pong(payload, &mut self.unsent),
                Frame::Pong => {}
                Frame::Close(code) => bail!("the server closed a socket with {code}"),
            }
            rest = &rest[taken..];
        }
        self.partial = rest.to_vec();
        Ok(())
    }

    /// Hands the system what it takes; true if that was all.
    fn flush(&mut self) -> anyhow::Result<bool> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(written) => drop(self.unsent.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }
}

/// Fails if `text` is a refusal: nothing that the load generator asks for is one to refuse.
pub(crate) fn refused(text: &str) -> anyhow::Result<()> {
    ensure!(!text.starts_with("{\"type\":\"error\""), "the server refuses: {text}");
    Ok(())
}

/// Many sockets, listened to at once. Pings are answered while it is polled.
pub(crate) struct Sockets {
    poller: Poller,
    all: Vec<Socket>,
    ready: Vec<Ready>,
    scratch: Vec<u8>,
}

impl Sockets {
    /// Listens to `sockets`; each goes by its place.
    pub(crate) fn new(sockets: Vec<Socket>) -> anyhow::Result<Self> {
        let poller = Poller::new()?;
        for (index, socket) in sockets.iter().enumerate() {
            socket.stream.set_nonblocking(true)?;
            poller.add(&socket.stream, index)?;
        }
        Ok(Self { poller, all: sockets, ready: Vec::new(), scratch: vec![0; READ_BYTES] })
    }

    /// Sends a message. What the system does not take at once is sent while polling.
    pub(crate) fn send(&mut self, index: usize, text: &str) -> anyhow::Result<()> {
        let socket = &mut self.all[index];
        let was_waiting = !socket.unsent.is_empty();
        websocket::text(text.as_bytes(), &mut socket.unsent);
        if !was_waiting && !socket.flush()? {
            self.poller.want_write(&socket.stream, index, true)?;
        }
        Ok(())
    }

    /// Waits until something comes or `until` is there, and passes on what came.
    pub(crate) fn poll(&mut self, until: Instant, mut told: impl FnMut(usize, &str)) -> anyhow::Result<()> {
        self.poller.wait(until, &mut self.ready)?;
        for ready in &self.ready {
            let index = ready.index;
            let socket = &mut self.all[index];
            let was_waiting = !socket.unsent.is_empty();
            if ready.readable {
                socket.receive(&mut self.scratch, |text| told(index, text))?;
            }
            if !socket.unsent.is_empty() || was_waiting {
                let is_waiting = !socket.flush()?;
                if is_waiting != was_waiting {
                    self.poller.want_write(&socket.stream, index, is_waiting)?;
                }
            }
        }
        Ok(())
    }
}
