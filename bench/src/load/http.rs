//! HTTP/1.1 as far as the benchmarks need it, and one connection for single requests.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};

/// How long an answer is waited for.
const ANSWER_MAX: Duration = Duration::from_mins(1);

/// How long a connection may lie idle before the next request is given a new one: servers close those.
const IDLE_MAX: Duration = Duration::from_secs(5);

/// Longest head of an answer, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// The head of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The status.
    pub(crate) status: u16,
    /// Where the body begins.
    pub(crate) body_at: usize,
    /// Bytes of the body.
    pub(crate) body_bytes: usize,
}

impl Head {
    /// Bytes of head and body.
    pub(crate) const fn whole(&self) -> usize {
        self.body_at + self.body_bytes
    }
}

/// The head that `bytes` begins with, if it is there whole. Bodies must have their length told.
pub(crate) fn head(bytes: &[u8]) -> anyhow::Result<Option<Head>> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        ensure!(bytes.len() <= HEAD_BYTES_MAX, "an answer has too long a head");
        return Ok(None);
    };
    let text = std::str::from_utf8(&bytes[..end]).context("the head of an answer is no text")?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let status = status.with_context(|| format!("an answer is not HTTP: {text:?}"))?;
    let mut body_bytes = 0;
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            body_bytes = value.trim().parse().context("the length of a body is no number")?;
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            bail!("an answer comes in chunks, which the load generator does not read");
        }
    }
    Ok(Some(Head { status, body_at: end + 4, body_bytes }))
}

/// Appends a request. `headers` are whole lines.
pub(crate) fn request(method: &str, path: &str, headers: &str, body: &[u8], out: &mut Vec<u8>) {
    let length = body.len();
    // Writing to memory does not fail.
    let _ = write!(
        out,
        "{method} {path} HTTP/1.1\r\nHost: bench\r\n{headers}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    );
    out.extend(body);
}

/// A connection that is kept, for one request after the other.
#[derive(Debug)]
pub(crate) struct Http {
    address: SocketAddr,
    stream: TcpStream,
    used: Instant,
    headers: String,
}

impl Http {
    /// Connects.
    pub(crate) fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self { address, stream: stream(address)?, used: Instant::now(), headers: String::new() })
    }

    /// Where it is connected to.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The connection, with this header in every request.
    pub(crate) fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push_str(name);
        self.headers.push_str(": ");
        self.headers.push_str(value);
        self.headers.push_str("\r\n");
        self
    }

    /// Sends a request and waits for the body of its answer; an answer that is not 2xx is an error.
    pub(crate) fn call(&mut self, method: &str, path: &str, body: &[u8]) -> anyhow::Result<Vec<u8>> {
        let (status, body) = self.ask(method, path, body)?;
        ensure!(
            (200..300).contains(&status),
            "{method} {path} is answered with {status}: {}",
            String::from_utf8_lossy(&body)
        );
        Ok(body)
    }

    /// Sends a request and waits for its answer: the status and the body.
    pub(crate) fn ask(&mut self, method: &str, path: &str, body: &[u8]) -> anyhow::Result<(u16, Vec<u8>)> {
        let mut bytes = Vec::new();
        request(method, path, &self.headers, body, &mut bytes);
        if self.used.elapsed() > IDLE_MAX {
            self.stream = stream(self.address)?;
        }
        self.stream.write_all(&bytes)?;
        let mut answer = Vec::new();
        let mut scratch = [0; 16 * 1024];
        loop {
            if let Some(head) = head(&answer)?
                && answer.len() >= head.whole()
            {
                self.used = Instant::now();
                return Ok((head.status, answer.split_off(head.body_at)));
            }
            let read = self.stream.read(&mut scratch)?;
            ensure!(read > 0, "the server closed a connection instead of answering {method} {path}");
            answer.extend(&scratch[..read]);
        }
    }
}

fn stream(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_when_it_is_whole() {
        let bytes = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\nx: y\r\n\r\n{}HTTP";
        let found = head(bytes).unwrap().unwrap();
        assert_eq!((found.status, found.body_bytes), (202, 2));
        assert_eq!(&bytes[found.body_at..found.whole()], b"{}");
        assert_eq!(head(&bytes[..30]).unwrap(), None);
    }

    #[test]
    fn an_answer_without_a_body_ends_with_its_head() {
        let found = head(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap().unwrap();
        assert_eq!(found.whole(), found.body_at);
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        assert!(head(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
        assert!(head(b"SSH-2.0\r\n\r\n").is_err());
        assert!(head(&vec![b'x'; HEAD_BYTES_MAX + 1]).is_err());
    }
}
