//! The sign-ins of a player, and ending them.

use greenroom_protocol::{
    GameId, PlayerId, SessionId,
    auth::{SessionList, SessionView},
};

use super::{Players, SessionsEnded};
use crate::{failure::Failure, principal::PlayerPrincipal};

/// Most sessions that are listed.
const SESSIONS_LISTED_MAX: u32 = 100;

impl Players {
    /// The player's sessions that have not ended, newest first.
    pub async fn sessions(&self, player: &PlayerPrincipal) -> Result<SessionList, Failure> {
        self.live_sessions(&player.id, Some(&player.session)).await
    }

    /// The sessions of a player of `game` that have not ended, newest first, for its studio.
    pub async fn sessions_of(&self, game: &GameId, player: &PlayerId) -> Result<SessionList, Failure> {
        let player = self.of_game(game, player).await?;
        self.live_sessions(&player.id, None).await
    }

    async fn live_sessions(
        &self,
        player: &PlayerId,
        current: Option<&SessionId>,
    ) -> Result<SessionList, Failure> {
        let now = self.clock.now();
        let page = self
            .storage
            .sessions()
            .list(player, None, SESSIONS_LISTED_MAX)
            .await
            .map_err(Failure::storage)?;
        let sessions = page
            .items
            .into_iter()
            .filter(|session| session.is_live(now))
            .map(|session| SessionView {
                current: Some(&session.id) == current,
                id: session.id,
                created_at: session.created_at,
                expires_at: session.expires_at,
                user_agent: session.user_agent,
            })
            .collect();
        Ok(SessionList { sessions })
    }

    /// Ends the session that asks, or all of the player's, and closes their sockets.
    pub async fn sign_out(&self, player: &PlayerPrincipal, everywhere: bool) -> Result<(), Failure> {
        let now = self.clock.now();
        let repository = self.storage.sessions();
        let sessions = if everywhere {
            repository.end_all(&player.id, "signed_out", now).await.map_err(Failure::storage)?;
            Vec::new()
        } else {
            repository.end(&player.session, "signed_out", now).await.map_err(Failure::storage)?;
            vec![player.session.clone()]
        };
        self.announce(SessionsEnded { player: player.id.clone(), game: player.game.clone(), sessions }).await;
        Ok(())
    }
}
