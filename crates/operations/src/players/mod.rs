//! Players: signing in and out, their accounts, who a token belongs to, bans.

mod account;
mod authenticate;
mod ban;
mod discord;
mod email;
mod flow;
mod id_token;
mod identities;
mod letters;
mod openid;
mod profile;
mod proven;
mod provider;
mod refresh;
mod sessions;
mod settings;
mod sign_in;
mod steam;

use std::sync::Arc;

use greenroom_directory::Directory;
use greenroom_protocol::{GameId, PlayerId, SessionId};
use greenroom_storage::Storage;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::{context::Clock, mail::Post, passwords::Passwords, tokens::Tokens};

pub use discord::{DiscordApplication, DiscordSettings};
pub use flow::{Away, Callback, FLOW_TTL};
pub use openid::OpenIdSettings;
pub use settings::{AuthSettings, EmailSettings, SignInSettings};
pub use steam::SteamSettings;

use openid::KnownProviders;
use provider::ProviderClient;

/// Subject under which nodes tell each other that sessions have ended.
pub const SESSIONS_ENDED: &str = "sessions-ended";

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
    provider: ProviderClient,
    openid: KnownProviders,
    passwords: Passwords,
    post: Post,
    /// Wakes the outbox of mails.
    outbox: Arc<Notify>,
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
        Self {
            storage,
            directory,
            tokens,
            clock,
            provider: ProviderClient::default(),
            openid: KnownProviders::default(),
            passwords: Passwords::default(),
            post: Post::new(settings.mail.clone()),
            outbox: Arc::default(),
            settings: Arc::new(settings),
        }
    }

    /// Whether players' browsers reach us by HTTPS.
    pub fn is_public_by_https(&self) -> bool {
        self.settings.public_url.starts_with("https:")
    }

    /// Where mails to players leave.
    pub fn post(&self) -> &Post {
        &self.post
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
