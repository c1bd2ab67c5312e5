//! The sign-ins of a player, and ending them.

use greenroom_protocol::auth::{SessionList, SessionView};

use super::{Players, SessionsEnded};
use crate::{failure::Failure, principal::PlayerPrincipal};

/// Most sessions that are listed.
const SESSIONS_LISTED_MAX: u32 = 100;

impl Players {
    /// The player's sessions that have not ended, newest first.
    pub async fn sessions(&self, player: &PlayerPrincipal) -> Result<SessionList, Failure> {
        let now = self.clock.now();
        let page = self
            .storage
            .sessions()
            .list(&player.id, None, SESSIONS_LISTED_MAX)
            .await
            .map_err(Failure::storage)?;
        let sessions = page
            .items
            .into_iter()
            .filter(|session| session.is_live(now))
            .map(|session| SessionView {
                current: session.id == player.session,
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
