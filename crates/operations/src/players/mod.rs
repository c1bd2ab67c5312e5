//! Players: signing in and out, who a token belongs to, bans.

mod authenticate;
mod ban;
mod discord;
mod profile;
mod refresh;
mod sessions;
mod sign_in;

use std::{sync::Arc, time::Duration};

use greenroom_directory::Directory;
use greenroom_protocol::{GameId, PlayerId, SessionId};
use greenroom_storage::Storage;
use serde::{Deserialize, Serialize};

use crate::{context::Clock, tokens::Tokens};

pub use discord::DiscordSettings;

use discord::DiscordClient;

/// Subject under which nodes tell each other that sessions have ended.
pub const SESSIONS_ENDED: &str = "sessions-ended";

/// How sign-ins behave.
#[derive(Clone, Debug)]
pub struct AuthSettings {
    /// How long an access token of the contract's paths is good.
    pub contract_access_ttl: Duration,
    /// How long an access token of the native paths is good; it can be refreshed.
    pub access_ttl: Duration,
    /// How long a session lasts without being refreshed.
    pub refresh_ttl: Duration,
    /// How long a sign-in to the console lasts.
    pub console_ttl: Duration,
    /// Signing in by Discord.
    pub discord: DiscordSettings,
}

impl Default for AuthSettings {
    fn default() -> Self {
        Self {
            contract_access_ttl: Duration::from_hours(30 * 24),
            access_ttl: Duration::from_mins(15),
            refresh_ttl: Duration::from_hours(90 * 24),
            console_ttl: Duration::from_hours(12),
            discord: DiscordSettings::default(),
        }
    }
}

/// Which kind of tokens a sign-in is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// One access token that is good for long, as the contract's clients expect.
    Contract,
    /// A short-lived access token and a refresh token.
    Native,
}

/// What is known of the program that signs in.
#[derive(Clone, Debug, Default)]
pub struct ClientInfo {
    /// As it called itself.
    pub user_agent: Option<String>,
    /// Where it came from.
    pub address: Option<String>,
}

/// Told to all nodes when sessions have ended, so that their sockets are closed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SessionsEnded {
    /// Whose.
    pub player: PlayerId,
    /// In which game.
    pub game: GameId,
    /// Which; all of the player's if none is named.
    pub sessions: Vec<SessionId>,
}

/// The players of all games. Cheap to clone.
#[derive(Clone)]
pub struct Players {
    storage: Storage,
    directory: Directory,
    tokens: Arc<Tokens>,
    clock: Arc<dyn Clock>,
    settings: Arc<AuthSettings>,
    discord: DiscordClient,
}

impl Players {
    /// The players that `storage` holds.
    pub fn new(
        storage: Storage,
        directory: Directory,
        tokens: Arc<Tokens>,
        clock: Arc<dyn Clock>,
        settings: AuthSettings,
    ) -> Self {
        let discord = DiscordClient::default();
        Self { storage, directory, tokens, clock, settings: Arc::new(settings), discord }
    }

    /// The public keys that tickets are checked with, as a JWK set.
    pub fn jwks(&self) -> &str {
        self.tokens.jwks()
    }

    async fn announce(&self, ended: SessionsEnded) {
        let payload = serde_json::to_vec(&ended).unwrap_or_default();
        if let Err(error) = self.directory.publish(SESSIONS_ENDED, payload.into()).await {
            // The sessions are ended all the same; the sockets find out when they next ask.
            tracing::warn!(player = %ended.player, %error, "could not tell the nodes that sessions ended");
        }
    }
}
