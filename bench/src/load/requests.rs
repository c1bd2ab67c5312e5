//! A closed loop of requests: so many connections, on each one request after the other.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{bail, ensure};

use super::{
    http::head,
    latency::Latency,
    poller::{Poller, Ready},
};

/// How long no answer at all may come.
const SILENCE_MAX: Duration = Duration::from_mins(1);

/// How much is read at once.
const READ_BYTES: usize = 64 * 1024;

/// When a loop ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    /// After so many requests.
    Count(u64),
    /// After a time.
    Time(Duration),
}

/// What a loop came to.
#[derive(Debug)]
pub(crate) struct Done {
    /// Answers a second, of those within the time.
    pub(crate) per_second: f64,
    /// From a request to its answer.
    pub(crate) latency: Latency,
}

struct Connection {
    stream: TcpStream,
    unsent: Vec<u8>,
    answer: Vec<u8>,
    asked_at: Option<Instant>,
}

/// Sends requests over `connections` kept connections, each as soon as the one before is answered.
/// `write` appends the request with this number to a connection's buffer, `answered` is given each
/// body. An answer that is not 2xx is an error.
pub(crate) fn run(
    address: SocketAddr,
    connections: usize,
    until: Until,
    mut write: impl FnMut(u64, &mut Vec<u8>),
    mut answered: impl FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<Done> {
    let mut poller = Poller::new()?;
    let mut all = Vec::with_capacity(connections);
    for index in 0..connections {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        poller.add(&stream, index)?;
        all.push(Connection { stream, unsent: Vec::new(), answer: Vec::new(), asked_at: None });
    }
    let (count, time) = match until {
        Until::Count(count) => (count, None),
        Until::Time(time) => (u64::MAX, Some(time)),
    };
    let began = Instant::now();
    let is_over = |sent: u64, now: Instant| sent >= count || time.is_some_and(|time| now - began >= time);
    let (mut sent, mut outstanding, mut answers) = (0_u64, 0_usize, 0_u64);
    let mut latency = Latency::new()?;
    for (index, connection) in all.iter_mut().enumerate() {
        if !is_over(sent, Instant::now()) {
            connection.ask(&poller, index, |out| write(sent, out))?;
            sent += 1;
            outstanding += 1;
        }
    }
    let mut ready: Vec<Ready> = Vec::new();
    let mut scratch = vec![0; READ_BYTES];
    let mut last = began;
    while outstanding > 0 {
        ensure!(last.elapsed() < SILENCE_MAX, "{outstanding} requests are not answered");
        poller.wait(Instant::now() + SILENCE_MAX, &mut ready)?;
        for ready in &ready {
            let connection = &mut all[ready.index];
            if ready.writable && connection.flush()? {
                poller.want_write(&connection.stream, ready.index, false)?;
            }
            if !ready.readable || !connection.receive(&mut scratch, &mut answered)? {
                continue;
            }
            let now = Instant::now();
            outstanding -= 1;
            if let Some(asked_at) = connection.asked_at.take() {
                latency.record(now - asked_at);
            }
            last = now;
            if time.is_none_or(|time| now - began <= time) {
                answers += 1;
            }
            if !is_over(sent, now) {
                connection.ask(&poller, ready.index, |out| write(sent, out))?;
                sent += 1;
                outstanding += 1;
            }
        }
    }
    let took = time.unwrap_or(last - began);
    Ok(Done { per_second: answers as f64 / took.as_secs_f64(), latency })
}

impl Connection {
    fn ask(&mut self, poller: &Poller, index: usize, write: impl FnOnce(&mut Vec<u8>)) -> anyhow::Result<()> {
        self.asked_at = Some(Instant::now());
        write(&mut self.unsent);
        if !self.flush()? {
            poller.want_write(&self.stream, index, true)?;
        }
        Ok(())
    }

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

    /// Reads once; true if the answer is there.
    fn receive(
        &mut self,
        scratch: &mut [u8],
        answered: &mut impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<bool> {
        match self.stream.read(scratch) {
            Ok(0) => bail!("the server closed a connection"),
            Ok(read) => self.answer.extend(&scratch[..read]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        }
        let Some(head) = head(&self.answer)? else { return Ok(false) };
        if self.answer.len() < head.whole() {
            return Ok(false);
        }
        let body = &self.answer[head.body_at..head.whole()];
        ensure!(
            (200..300).contains(&head.status),
            "the server answers {}: {}",
            head.status,
            String::from_utf8_lossy(body)
        );
        answered(body)?;
        self.answer.clear();
        Ok(true)
    }
}
