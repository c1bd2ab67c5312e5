use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures_util::{SinkExt, StreamExt};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Instant, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async_with_config,
    tungstenite::{
        self, Message, Utf8Bytes,
        handshake::server::{ErrorResponse, Request, Response},
        http::{StatusCode, Uri},
        protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode},
    },
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, warn};

use super::{
    assignment::readable_name,
    ticket::{Claims, Gate, Refusal},
};
use crate::protocol::{CLIENT_FRAME_BYTES_MAX, NumberedInput, ServerMessage, close, decode_input};

/// Sockets that wait to be let in; further ones wait in their own task.
pub(super) const JOINS_QUEUED_MAX: usize = 32;
/// Connections at once; further ones wait in the system's backlog.
const CONNECTIONS_MAX: usize = 128;
/// Frames that wait for one slow socket: about two seconds of snapshots. When it is full,
/// snapshots are skipped, and the socket is closed when anything else does not fit.
const OUTGOING_QUEUED_MAX: usize = 64;
/// Inputs that wait for the next ticks; further ones are dropped.
const INPUTS_QUEUED_MAX: usize = 8;
/// Frames a second that a socket may send on average, and how many at once.
const FRAMES_PER_SECOND: f64 = 60.0;
const FRAMES_BURST: f64 = 120.0;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// A browser sends inputs all the time; one that was silent for so long is gone.
const SILENCE_MAX: Duration = Duration::from_secs(75);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// Between two tries to accept when the system has no more descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Who wants to sit down.
#[derive(Debug)]
pub(super) enum Visitor {
    Ticket(Claims),
    /// Only where no Greenroom is behind the server.
    Guest {
        name: String,
    },
}

/// A socket that asks for its seat.
#[derive(Debug)]
pub(super) struct Join {
    pub visitor: Visitor,
    pub link: Link,
}

/// The game's end of a socket. Dropping it closes the socket.
#[derive(Debug)]
pub(super) struct Link {
    pub outgoing: mpsc::Sender<Outgoing>,
    pub inputs: mpsc::Receiver<NumberedInput>,
}

#[derive(Clone, Debug)]
pub(super) enum Outgoing {
    Frame(Message),
    Close(u16, &'static str),
}

/// What every connection needs to get in.
#[derive(Clone)]
pub(super) struct Door {
    joins: mpsc::Sender<Join>,
    gate: Arc<Gate>,
}

impl Door {
    pub(super) fn new(joins: mpsc::Sender<Join>, gate: Gate) -> Self {
        Self { joins, gate: Arc::new(gate) }
    }
}

/// Accepts connections until it is told to end.
pub(super) async fn accept(listener: TcpListener, door: Door, end: CancellationToken, tasks: TaskTracker) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    if !door.gate.is_open() {
        let gate = Arc::clone(&door.gate);
        let warm_up = async move { gate.warm_up().await };
        let end = end.clone();
        tasks.spawn(async move { end.run_until_cancelled(warm_up).await });
    }
    loop {
        let next = async {
            let permit = Arc::clone(&connections).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let Some((permit, accepted)) = end.run_until_cancelled(next).await else {
            return;
        };
        let Ok(permit) = permit else { return };
        match accepted {
            Ok((stream, peer)) => {
                tasks.spawn(serve(stream, peer, door.clone(), end.clone(), permit));
            }
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    door: Door,
    end: CancellationToken,
    _permit: OwnedSemaphorePermit,
) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%peer, %error, "packets may be held back");
    }
    let Some(Some((mut socket, uri))) = end.run_until_cancelled(shake_hands(stream, peer)).await else {
        return;
    };
    let visitor = match identify(&door.gate, &uri).await {
        Ok(visitor) => visitor,
        Err(refusal) => {
            debug!(%peer, %refusal, "refused");
            let reason = refusal.to_string();
            let text = ServerMessage::Refused { reason: &reason }.to_text();
            let _ = timeout(WRITE_TIMEOUT, socket.send(Message::text(text))).await;
            say_goodbye(&mut socket, close::TICKET, "ticket refused").await;
            return;
        }
    };
    let (outgoing, outgoing_queue) = mpsc::channel(OUTGOING_QUEUED_MAX);
    let (inputs, inputs_queue) = mpsc::channel(INPUTS_QUEUED_MAX);
    let link = Link { outgoing, inputs: inputs_queue };
    // The game is gone only when the server stops; the link dropped with the join says so.
    let _ = door.joins.send(Join { visitor, link }).await;
    drop(door);
    talk(&mut socket, peer, outgoing_queue, inputs).await;
}

async fn shake_hands(stream: TcpStream, peer: SocketAddr) -> Option<(WebSocketStream<TcpStream>, Uri)> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(CLIENT_FRAME_BYTES_MAX))
        .max_frame_size(Some(CLIENT_FRAME_BYTES_MAX))
        .read_buffer_size(4096)
        .write_buffer_size(0);
    let mut uri = Uri::default();
    #[expect(clippy::result_large_err, reason = "the callback's type is tungstenite's")]
    let callback = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        if request.uri().path() != "/play" {
            let mut refusal = ErrorResponse::new(Some("The game is at /play.".to_owned()));
            *refusal.status_mut() = StatusCode::NOT_FOUND;
            return Err(refusal);
        }
        uri = request.uri().clone();
        Ok(response)
    };
    let handshake = accept_hdr_async_with_config(stream, callback, Some(config));
    match timeout(HANDSHAKE_TIMEOUT, handshake).await {
        Ok(Ok(socket)) => Some((socket, uri)),
        Ok(Err(error)) => {
            debug!(%peer, %error, "no WebSocket");
            None
        }
        Err(_) => {
            debug!(%peer, "no WebSocket in time");
            None
        }
    }
}

async fn identify(gate: &Gate, uri: &Uri) -> Result<Visitor, Refusal> {
    let query = uri.query().unwrap_or_default();
    if gate.is_open() {
        let name = parameter(query, "name").unwrap_or_default();
        let name = readable_name(&percent_decoded(name));
        return Ok(Visitor::Guest { name });
    }
    // A JWT's letters are never escaped.
    let ticket = parameter(query, "ticket").ok_or(Refusal::Missing)?;
    gate.check(ticket).await.map(Visitor::Ticket)
}

fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    (query.split('&'))
        .filter_map(|pair| pair.split_once('='))
        .find_map(|(key, value)| (key == name).then_some(value))
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = match (first, after) {
            (b'%', [high, low, ..]) => {
                let digit = |letter: &u8| char::from(*letter).to_digit(16);
                digit(high).zip(digit(low)).map(|(high, low)| (high * 16 + low) as u8)
            }
            _ => None,
        };
        if let Some(byte) = escaped {
            bytes.push(byte);
            rest = &after[2..];
        } else {
            bytes.push(if *first == b'+' { b' ' } else { *first });
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Carries frames both ways until either side ends it.
async fn talk(
    socket: &mut WebSocketStream<TcpStream>,
    peer: SocketAddr,
    mut outgoing: mpsc::Receiver<Outgoing>,
    inputs: mpsc::Sender<NumberedInput>,
) {
    let mut allowance = Allowance::new(Instant::now());
    let mut silent_until = Instant::now() + SILENCE_MAX;
    loop {
        // What goes out first: a flood of inputs must not keep the game's last word back.
        tokio::select! {
            biased;
            next = outgoing.recv() => match next {
                Some(Outgoing::Frame(frame)) => {
                    match timeout(WRITE_TIMEOUT, socket.send(frame)).await {
                        Ok(Ok(())) => {}
                        _ => return,
                    }
                }
                Some(Outgoing::Close(code, reason)) => {
                    return say_goodbye(socket, code, reason).await;
                }
                None => return say_goodbye(socket, close::BUSY, "too slow").await,
            },
            incoming = socket.next() => {
                let Some(Ok(frame)) = incoming else {
                    if let Some(Err(tungstenite::Error::Capacity(error))) = incoming {
                        debug!(%peer, %error, "frame too large");
                        say_goodbye(socket, close::POLICY, "frame too large").await;
                    }
                    return;
                };
                let now = Instant::now();
                silent_until = now + SILENCE_MAX;
                if !allowance.take(now) {
                    debug!(%peer, "too many frames");
                    return say_goodbye(socket, close::POLICY, "too many frames").await;
                }
                match frame {
                    Message::Binary(bytes) => {
                        let Some(input) = decode_input(&bytes) else {
                            return say_goodbye(socket, close::POLICY, "malformed input").await;
                        };
                        // A full queue means that the next ticks have inputs enough.
                        let _ = inputs.try_send(input);
                    }
                    Message::Ping(_) | Message::Pong(_) => {}
                    Message::Close(_) => return,
                    Message::Text(_) | Message::Frame(_) => {
                        return say_goodbye(socket, close::POLICY, "text is not understood").await;
                    }
                }
            }
            () = tokio::time::sleep_until(silent_until) => {
                return say_goodbye(socket, close::NORMAL, "silent for too long").await;
            }
        }
    }
}

async fn say_goodbye(socket: &mut WebSocketStream<TcpStream>, code: u16, reason: &'static str) {
    let frame = CloseFrame { code: CloseCode::from(code), reason: Utf8Bytes::from_static(reason) };
    let goodbye = async {
        if socket.close(Some(frame)).await.is_ok() {
            // Until the other side has answered; what it still sends is not read.
            while let Some(Ok(_)) = socket.next().await {}
        }
    };
    let _ = timeout(CLOSE_TIMEOUT, goodbye).await;
}

/// A token bucket.
struct Allowance {
    left: f64,
    at: Instant,
}

impl Allowance {
    fn new(now: Instant) -> Self {
        Self { left: FRAMES_BURST, at: now }
    }

    fn take(&mut self, now: Instant) -> bool {
        let gained = now.duration_since(self.at).as_secs_f64() * FRAMES_PER_SECOND;
        self.left = (self.left + gained).min(FRAMES_BURST) - 1.0;
        self.at = now;
        self.left >= 0.0
    }
}
