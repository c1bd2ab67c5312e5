//! The socket over which a game server lists itself: the first message announces it, later ones say
//! how many play. The server is listed for as long as the socket lives.

use std::pin::pin;

use axum::{
    extract::ws::{Message, WebSocket},
    response::{IntoResponse, Response},
};
use greenroom_operations::{
    browser::{AnnounceError, Announcing},
    realtime::outbox::Closing,
};
use greenroom_protocol::{
    ErrorCode, GameId, ServerId,
    browser::{Announcement, PlayersReport},
};
use tokio::{sync::OwnedSemaphorePermit, time::timeout};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::{
    READ_BUFFER_BYTES, Upgrade, WRITE_BUFFER_BYTES,
    keep_alive::{KeepAlive, Look},
    session::{Ending, POLICY, RESTART_RETRY_MS, TRY_AGAIN_LATER, broken, closed_because, end, ping},
};
use crate::{
    api::Api,
    credentials::Client,
    error::{ApiError, ApiResult},
    limits::{Pace, Place},
    serve::ConnectionPlace,
};

/// The subprotocol of shipped servers.
const PROTOCOL: &str = "json";

/// Who announces itself, and where.
pub(crate) struct Announcer {
    pub(crate) game: GameId,
    /// The server of the fleet that it has proved to be.
    pub(crate) server: Option<ServerId>,
    pub(crate) client: Client,
    pub(crate) connected: Option<ConnectionPlace>,
}

/// What a socket holds for as long as it is open.
struct Held {
    _token: TaskTrackerToken,
    _connection: Option<ConnectionPlace>,
    _place: Option<Place<std::net::IpAddr>>,
    _permit: Option<OwnedSemaphorePermit>,
}

/// Opens the socket. Whoever comes too many is told so on it.
pub(crate) fn open(api: Api, announcer: Announcer, upgrade: Upgrade) -> ApiResult<Response> {
    let upgrade =
        upgrade.map_err(|_| ApiError::bad_request("This is a WebSocket: ask for an upgrade, version 13."))?;
    // Taken before the upgrade: no moment passes in which the socket is counted by nobody.
    let permit = std::sync::Arc::clone(&api.limits.list_sockets_total).try_acquire_owned().ok();
    // A server of the fleet is bounded by how many of them may run.
    let is_counted = announcer.server.is_none();
    let address = announcer.client.limited_as();
    let place = is_counted.then(|| api.limits.list_sockets.take(&address)).flatten();
    let refused = if permit.is_none() {
        Some((TRY_AGAIN_LATER, "too many game servers are listed; try again later"))
    } else if is_counted && place.is_none() {
        Some((POLICY, "too many game servers of your address are listed"))
    } else {
        None
    };
    let held = Held {
        _token: api.tracker.token(),
        _connection: announcer.connected,
        _place: place,
        _permit: permit,
    };
    let visit = Visit { game: announcer.game, server: announcer.server, address: announcer.client.address };
    let bytes_max = api.settings.list.message_bytes_max;
    let upgraded = upgrade
        .protocols([PROTOCOL])
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_message_size(bytes_max)
        .max_frame_size(bytes_max)
        .on_upgrade(move |mut socket: WebSocket| async move {
            let close_timeout = api.settings.sockets.close_timeout;
            let ending = match refused {
                Some((code, reason)) => {
                    metrics::counter!("greenroom_announcements_refused_total", "reason" => "full")
                        .increment(1);
                    Ending::Close(code, reason.into())
                }
                None => visit.serve(&mut socket, &api).await,
            };
            end(socket, ending, close_timeout).await;
            drop(held);
        });
    Ok(upgraded.into_response())
}

/// One socket's time.
struct Visit {
    game: GameId,
    server: Option<ServerId>,
    address: std::net::IpAddr,
}

impl Visit {
    async fn serve(&self, socket: &mut WebSocket, api: &Api) -> Ending {
        let time_max = api.settings.list.first_message_timeout;
        let first = tokio::select! {
            // The shutdown first: nobody is listed any more.
            biased;
            () = api.closing.cancelled() => return restart(),
            first = timeout(time_max, first_message(socket)) => first,
        };
        let announcing = match first {
            Err(_) => self.refused("nothing was announced in time"),
            Ok(Err(ending)) => return ending,
            Ok(Ok(Message::Text(text))) => match Announcement::parse(&text) {
                Ok(said) => {
                    match api.node.browser.announce(&self.game, said, self.address, self.server.clone()) {
                        Ok(announcing) => Ok(announcing),
                        Err(AnnounceError::Full) => {
                            return Ending::Close(TRY_AGAIN_LATER, AnnounceError::Full.to_string());
                        }
                        Err(error @ AnnounceError::Nameless(_)) => self.refused(&error.to_string()),
                    }
                }
                Err(error) => self.refused(&error.to_string()),
            },
            Ok(Ok(_)) => self.refused("expected JSON in a text frame"),
        };
        match announcing {
            Ok(announcing) => {
                tracing::debug!(game = %self.game, address = %self.address, "a game server has announced itself");
                self.listen(socket, api, &announcing).await
            }
            Err(ending) => ending,
        }
    }

    fn refused(&self, reason: &str) -> Result<Announcing, Ending> {
        metrics::counter!("greenroom_announcements_refused_total", "reason" => "invalid").increment(1);
        tracing::info!(game = %self.game, address = %self.address, reason, "a game server's announcement does not fit");
        Err(Ending::Close(POLICY, reason.to_owned()))
    }

    /// Follows what an announced server says, until its socket ends.
    async fn listen(&self, socket: &mut WebSocket, api: &Api, announcing: &Announcing) -> Ending {
        let (limits, sockets) = (api.settings.list, api.settings.sockets);
        let (mut pace, mut keep_alive, mut dropped, mut ignored) =
            (Pace::new(limits.messages), KeepAlive::new(), 0_u32, 0_u64);
        let mut timer = pin!(tokio::time::sleep(sockets.ping_after));
        loop {
            // The shutdown first, so that a flood cannot hold it up; the timer last, for it only asks
            // whether the server has been silent.
            let message = tokio::select! {
                biased;
                () = api.closing.cancelled() => return restart(),
                incoming = socket.recv() => match incoming {
                    None => return Ending::Gone,
                    Some(Err(error)) => return broken(error),
                    Some(Ok(message)) => message,
                },
                () = &mut timer => {
                    let next = match keep_alive.look(&sockets) {
                        Look::Gone => {
                            tracing::info!(game = %self.game, address = %self.address, "a game server fell silent and is no longer listed");
                            return Ending::Gone;
                        }
                        Look::At(next) => next,
                        Look::Ping(next) => match ping(socket, sockets.write_timeout).await {
                            Some(ending) => return ending,
                            None => next,
                        },
                    };
                    timer.as_mut().reset(next);
                    continue;
                }
            };
            keep_alive.heard();
            announcing.heard();
            let report = match &message {
                Message::Pong(_) | Message::Close(_) => continue,
                _ if !pace.take() => {
                    metrics::counter!("greenroom_socket_messages_dropped_total").increment(1);
                    dropped += 1;
                    if dropped > limits.dropped_max {
                        return Ending::Close(POLICY, "too many messages".into());
                    }
                    continue;
                }
                Message::Ping(_) => continue,
                Message::Text(text) => PlayersReport::parse(text).map_err(|error| error.to_string()),
                Message::Binary(_) => Err("expected JSON in a text frame".to_owned()),
            };
            dropped = dropped.saturating_sub(1);
            match report {
                Ok(report) => announcing.report(report),
                Err(reason) => {
                    ignored += 1;
                    // Once is a hint to whoever writes the game; always would be its say over our log.
                    if ignored == 1 {
                        tracing::info!(game = %self.game, address = %self.address, reason, "a game server's message does not fit and is ignored; further ones are logged at debug");
                    } else {
                        tracing::debug!(game = %self.game, address = %self.address, reason, ignored, "a game server's message is ignored");
                    }
                }
            }
        }
    }
}

/// The first message that says something.
async fn first_message(socket: &mut WebSocket) -> Result<Message, Ending> {
    loop {
        match socket.recv().await {
            None | Some(Ok(Message::Close(_))) => return Err(Ending::Gone),
            Some(Err(error)) => return Err(broken(error)),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(message)) => return Ok(message),
        }
    }
}

fn restart() -> Ending {
    closed_because(Closing::Restart { retry_after_ms: RESTART_RETRY_MS })
}

/// The server of the fleet that a token proves the caller to be, with its game.
pub(crate) fn proved(api: &Api, token: &str) -> ApiResult<(GameId, ServerId)> {
    let server = api.node.servers.authenticate(token);
    let server = server.ok_or_else(|| {
        ApiError::new(ErrorCode::Unauthorized, "The game server's token is unknown or its server has ended.")
    })?;
    Ok((server.birth.game.clone(), server.id().clone()))
}
