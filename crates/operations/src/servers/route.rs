//! Where a player is passed on to who comes by a server's path.

use std::net::SocketAddr;

use greenroom_domain::settings::Connection;
use greenroom_protocol::{ErrorCode, ServerId};
use tokio_util::sync::CancellationToken;

use super::Servers;

/// A game server that players may be passed on to.
#[derive(Clone, Debug)]
pub struct Target {
    /// Which.
    pub server: ServerId,
    /// Where its first port is reached from here.
    pub address: SocketAddr,
    /// Cancelled once it has ended: nothing that still stands belongs to it.
    pub ended: CancellationToken,
}

/// Why nobody can be passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// No living server of a game with a gateway is at this path.
    #[error("There is no game server at this address. It may have ended.")]
    NotFound,
    /// It is there and takes nobody now: it is starting or ending, or its host is out of reach.
    #[error("The game server takes no players now: it is starting or ending. Try again in a moment.")]
    NotOpen,
}

impl RouteError {
    /// The stable code.
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::NotFound => ErrorCode::NotFound,
            Self::NotOpen => ErrorCode::Unavailable,
        }
    }
}

impl Servers {
    /// The server at `/games/<slug>/<code>/`, if its game's players come through the gateway.
    pub fn route(&self, slug: &str, code: &str) -> Result<Target, RouteError> {
        let game = {
            let settings = self.0.settings.borrow();
            let game = settings.game_of_slug(slug).ok_or(RouteError::NotFound)?;
            let connection = game.fleet.as_ref().map(|fleet| &fleet.connection);
            if !matches!(connection, Some(Connection::Gateway(_))) {
                return Err(RouteError::NotFound);
            }
            game.id.clone()
        };
        let (server, address) = self.0.view.of_code(&game, code).ok_or(RouteError::NotFound)?;
        if server.state.is_final() {
            return Err(RouteError::NotFound);
        }
        let port = server.ports.first().map(|port| port.inner.unwrap_or(port.port));
        let (Some(ip), Some(port)) = (address, port) else { return Err(RouteError::NotOpen) };
        let ended = self.0.view.end_of(server.id());
        Ok(Target { server: server.id().clone(), address: SocketAddr::new(ip, port), ended })
    }
}
