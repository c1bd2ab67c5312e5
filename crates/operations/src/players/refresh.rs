//! Exchanges a refresh token for new tokens.

use greenroom_protocol::{ErrorCode, GameId, SessionId, auth::TokenPair, ticket::AccessClaims};
use greenroom_storage::Rotation;

use super::{Players, SessionsEnded};
use crate::{failure::Failure, secret};

const PREFIX: &str = "gr_";

impl Players {
    /// New tokens for the session of `refresh_token`, which is good for one use. A token that was
    /// used before is held by two: then the session ends.
    pub async fn refresh(&self, game: &GameId, refresh_token: &str) -> Result<TokenPair, Failure> {
        let refused =
            || Failure::new(ErrorCode::Unauthorized, "The refresh token is not valid. Sign in again.");
        let id = session_of(refresh_token).ok_or_else(refused)?;
        let now = self.clock.now();
        let next = new_token(&id)?;
        let refresh_expires_at = now.after(self.settings.refresh_ttl);
        let rotation = self
            .storage
            .sessions()
            .rotate(&id, &secret::hash(refresh_token), &secret::hash(&next), refresh_expires_at, now)
            .await
            .map_err(Failure::storage)?;
        let session = match rotation {
            Rotation::Rotated(session) if session.game == *game => session,
            Rotation::Reused(session) => {
                tracing::warn!(player = %session.player, session = %session.id, "a refresh token was used twice; its session ends");
                self.storage
                    .sessions()
                    .end(&session.id, "token_reused", now)
                    .await
                    .map_err(Failure::storage)?;
                let sessions = vec![session.id];
                self.announce(SessionsEnded { player: session.player, game: session.game, sessions }).await;
                return Err(refused());
            }
            Rotation::Rotated(_) | Rotation::Refused => return Err(refused()),
        };
        let player = self.storage.players().get(&session.player).await.map_err(Failure::storage)?;
        let player = player.ok_or_else(refused)?;
        let expires_at = now.after(self.settings.access_ttl);
        let claims = AccessClaims {
            discord_id: player.discord.map_or_else(|| player.id.to_string(), |profile| profile.id),
            account_id: player.id,
            exp: expires_at.as_millis() / 1_000,
            iat: now.as_millis() / 1_000,
            game: session.game,
            sid: session.id,
        };
        let access_token = self.tokens.sign_access(&claims).map_err(Failure::internal)?;
        Ok(TokenPair { access_token, expires_at, refresh_token: next, refresh_expires_at })
    }
}

/// `gr_<session id>_<secret>`. The session's id has no `_`, so the parts are told apart.
pub(super) fn new_token(session: &SessionId) -> Result<String, Failure> {
    Ok(format!("{PREFIX}{session}_{}", secret::new_secret()?))
}

fn session_of(token: &str) -> Option<SessionId> {
    let (id, _secret) = token.strip_prefix(PREFIX)?.split_once('_')?;
    SessionId::new(id).ok()
}
