//! Finds out whose access token it is.

use greenroom_protocol::{ErrorCode, GameId};

use super::Players;
use crate::{failure::Failure, principal::PlayerPrincipal};

impl Players {
    /// The player whose access token this is, if it is good, of `game`, and its session has not ended.
    pub async fn authenticate(&self, token: &str, game: &GameId) -> Result<PlayerPrincipal, Failure> {
        let invalid = || Failure::new(ErrorCode::Unauthorized, "Invalid token");
        let now = self.clock.now();
        let claims = self.tokens.verify_access(token, now).map_err(|error| invalid().because(error))?;
        if claims.game != *game {
            return Err(invalid());
        }
        let session = self.storage.sessions().get(&claims.sid).await.map_err(Failure::storage)?;
        let live = session.is_some_and(|session| session.is_live(now) && session.player == claims.account_id);
        if !live {
            return Err(invalid());
        }
        let player = self.storage.players().get(&claims.account_id).await.map_err(Failure::storage)?;
        let player = player.ok_or_else(invalid)?;
        if let Some(ban) = player.ban.as_ref().filter(|ban| ban.holds(now)) {
            return Err(super::ban::banned(ban));
        }
        Ok(PlayerPrincipal {
            id: player.id,
            game: player.game,
            session: claims.sid,
            username: player.username,
        })
    }
}
