//! One player's socket while it is open: what comes in becomes commands, one after another; what
//! the player is told goes out; silence, slowness and floods end it.

use std::{pin::pin, time::Duration};

use axum::{
    body::Bytes,
    extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket},
};
use futures_util::SinkExt as _;
use greenroom_operations::{
    PlayerPrincipal,
    realtime::{
        Connection,
        outbox::{Closing, Delivery},
    },
};
use greenroom_protocol::{ErrorCode, lobby::ServerMessage};
use tokio::time::{Sleep, timeout};
use tokio_tungstenite::tungstenite;

use super::keep_alive::{KeepAlive, Look};
use crate::{api::Api, limits::Pace, settings::SocketLimits};

/// Close codes (RFC 6455, 7.4.1), and one of our own.
pub(super) const POLICY: u16 = 1008;
const TOO_BIG: u16 = 1009;
const SERVICE_RESTART: u16 = 1012;
pub(super) const TRY_AGAIN_LATER: u16 = 1013;
pub(super) const SESSION_ENDED: u16 = 4401;

/// What a client that comes while we stop is told to wait.
pub(super) const RESTART_RETRY_MS: u32 = 1_000;

/// How a socket ends.
pub(super) enum Ending {
    /// The other side is gone, or will be in a moment.
    Gone,
    /// We close it.
    Close(u16, String),
}

/// Serves `player` on `socket` until either side has enough.
pub(super) async fn run(mut socket: WebSocket, api: Api, player: PlayerPrincipal) {
    let connection = api.node.hub.connect(player);
    let limits = api.settings.sockets;
    // Looked at after connecting: who connects before is closed by the hub, who connects after sees it.
    if api.closing.is_cancelled() {
        let ending = closed_because(Closing::Restart { retry_after_ms: RESTART_RETRY_MS });
        return end(socket, ending, limits.close_timeout).await;
    }
    drop(api);
    let ending = Session::new(&connection, &limits).converse(&mut socket).await;
    // The place in the lobby is given up, or kept for the grace period, before the last farewells.
    drop(connection);
    end(socket, ending, limits.close_timeout).await;
}

/// Tells why nobody is served on `socket`, and closes it.
pub(super) async fn refuse(
    mut socket: WebSocket,
    message: &str,
    code: ErrorCode,
    close: u16,
    limits: &SocketLimits,
) {
    let error = ServerMessage::Error { message: message.to_owned(), code: Some(code), id: None };
    let frame = Bytes::from(serde_json::to_vec(&error).unwrap_or_default());
    if write(&mut socket, vec![frame], limits.write_timeout).await.is_ok() {
        let ending = Ending::Close(close, message.chars().take(30).collect());
        end(socket, ending, limits.close_timeout).await;
    }
}

struct Session<'a> {
    connection: &'a Connection,
    limits: &'a SocketLimits,
    pace: Pace,
    /// Messages dropped and not yet made good by ones that came at a good pace.
    dropped: u32,
    keep_alive: KeepAlive,
}

impl<'a> Session<'a> {
    fn new(connection: &'a Connection, limits: &'a SocketLimits) -> Self {
        let pace = Pace::new(limits.commands);
        Self { connection, limits, pace, dropped: 0, keep_alive: KeepAlive::new() }
    }

    async fn converse(mut self, socket: &mut WebSocket) -> Ending {
        let mut timer = pin!(tokio::time::sleep(self.limits.ping_after));
        loop {
            // What the player is to be told first, so that a flood of commands cannot hold it back
            // and an order to close is heard; then what it says; the timer last, for it only asks
            // whether the others have been silent.
            let ending = tokio::select! {
                biased;
                delivery = self.connection.next() => self.deliver(socket, delivery).await,
                incoming = socket.recv() => self.take(socket, incoming).await,
                () = &mut timer => self.tick(socket, timer.as_mut()).await,
            };
            if let Some(ending) = ending {
                return ending;
            }
        }
    }

    async fn deliver(&self, socket: &mut WebSocket, delivery: Delivery) -> Option<Ending> {
        let (frames, closing) = match delivery {
            Delivery::Frames(frames) => (frames, None),
            Delivery::Close(frames, closing) => (frames, Some(closing)),
        };
        match write(socket, frames, self.limits.write_timeout).await {
            Ok(()) => closing.map(closed_because),
            Err(ending) => Some(ending),
        }
    }

    async fn take(
        &mut self,
        socket: &mut WebSocket,
        incoming: Option<Result<Message, axum::Error>>,
    ) -> Option<Ending> {
        let message = match incoming {
            None => return Some(Ending::Gone),
            Some(Err(error)) => return Some(broken(error)),
            Some(Ok(message)) => message,
        };
        self.keep_alive.heard();
        if matches!(message, Message::Pong(_) | Message::Close(_)) {
            return None;
        }
        if !self.pace.take() {
            return self.drop_message();
        }
        self.dropped = self.dropped.saturating_sub(1);
        match message {
            Message::Text(text) => self.command(socket, text).await,
            Message::Binary(_) => {
                self.connection.receive_binary();
                None
            }
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) => None,
        }
    }

    fn drop_message(&mut self) -> Option<Ending> {
        metrics::counter!("greenroom_socket_messages_dropped_total").increment(1);
        if self.dropped == 0 {
            self.connection.rate_limited();
        }
        self.dropped += 1;
        (self.dropped > self.limits.dropped_max).then(|| Ending::Close(POLICY, "too many messages".into()))
    }

    /// Carries out a command. Until it is done no other is read, so that the sender feels how busy
    /// we are; what the player is told goes on.
    async fn command(&self, socket: &mut WebSocket, text: Utf8Bytes) -> Option<Ending> {
        // On the heap, so that a socket without a command stays small.
        let mut command = Box::pin(self.connection.receive(&text));
        loop {
            tokio::select! {
                biased;
                () = &mut command => return None,
                delivery = self.connection.next() => {
                    if let Some(ending) = self.deliver(socket, delivery).await {
                        // What was begun is done to its end, whoever still wants to know.
                        command.await;
                        return Some(ending);
                    }
                }
            }
        }
    }

    async fn tick(&mut self, socket: &mut WebSocket, mut timer: std::pin::Pin<&mut Sleep>) -> Option<Ending> {
        match self.keep_alive.look(self.limits) {
            Look::Gone => Some(Ending::Gone),
            Look::At(next) => {
                timer.as_mut().reset(next);
                None
            }
            Look::Ping(next) => {
                timer.as_mut().reset(next);
                ping(socket, self.limits.write_timeout).await
            }
        }
    }
}

/// Asks whether the other side is there.
pub(super) async fn ping(socket: &mut WebSocket, time_max: Duration) -> Option<Ending> {
    match timeout(time_max, socket.send(Message::Ping(Bytes::new()))).await {
        Ok(Ok(())) => None,
        Ok(Err(_)) | Err(_) => Some(Ending::Gone),
    }
}

/// Writes `frames` and flushes once.
async fn write(socket: &mut WebSocket, frames: Vec<Bytes>, time_max: Duration) -> Result<(), Ending> {
    let written = timeout(time_max, async {
        for frame in frames {
            // Every frame is JSON, which is UTF-8.
            let Ok(text) = Utf8Bytes::try_from(frame) else { continue };
            socket.feed(Message::Text(text)).await?;
        }
        socket.flush().await
    });
    match written.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Ending::Gone),
        Err(_) => {
            metrics::counter!("greenroom_sockets_too_slow_total").increment(1);
            // It does not read, so a farewell would not reach it either.
            Err(Ending::Gone)
        }
    }
}

pub(super) fn broken(error: axum::Error) -> Ending {
    let error = error.into_inner();
    match error.downcast_ref::<tungstenite::Error>() {
        Some(tungstenite::Error::Capacity(_)) => Ending::Close(TOO_BIG, "the message is too big".into()),
        _ => Ending::Gone,
    }
}

pub(super) fn closed_because(closing: Closing) -> Ending {
    match closing {
        Closing::TooSlow => Ending::Close(POLICY, "too slow".into()),
        Closing::SessionEnded => Ending::Close(SESSION_ENDED, "the session has ended".into()),
        Closing::Restart { retry_after_ms } => {
            Ending::Close(SERVICE_RESTART, format!(r#"{{"retryAfterMs":{retry_after_ms}}}"#))
        }
    }
}

/// Says why, and waits a moment for the other side to have heard it: closing with unread input would
/// have the system take back what was not yet delivered.
pub(super) async fn end(mut socket: WebSocket, ending: Ending, time_max: Duration) {
    let Ending::Close(code, reason) = ending else { return };
    metrics::counter!("greenroom_sockets_closed_total", "code" => code.to_string()).increment(1);
    let farewell = async {
        let frame = CloseFrame { code, reason: reason.into() };
        if socket.send(Message::Close(Some(frame))).await.is_ok() {
            while let Some(Ok(_)) = socket.recv().await {}
        }
    };
    // Who does not answer is closed all the same.
    let _ = timeout(time_max, farewell).await;
}
