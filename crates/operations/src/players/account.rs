//! What is kept about a player, told and deleted.

use greenroom_protocol::{
    ErrorCode, GameId, PlayerId,
    accounts::{ExportedIdentity, ExportedSession, PlayerExport},
    auth::BanView,
};
use greenroom_storage::{Cursor, StorageError};

use super::{Players, SessionsEnded};
use crate::failure::Failure;

/// Most sessions, and most matches, that an export has.
const EXPORTED_MAX: usize = 10_000;

/// How many are read at once.
const PAGE: u32 = 500;

impl Players {
    /// Everything that the records keep about a player of `game`.
    pub async fn export(&self, game: &GameId, id: &PlayerId) -> Result<PlayerExport, Failure> {
        let player = self.of_game(game, id).await?;
        let identities = self.storage.identities();
        let linked = identities.of_player(id).await.map_err(Failure::storage)?;
        let has_password = identities.password(id).await.map_err(Failure::storage)?.is_some();
        let mut sessions = Vec::new();
        let mut after: Option<Cursor> = None;
        loop {
            let page =
                self.storage.sessions().list(id, after.as_ref(), PAGE).await.map_err(Failure::storage)?;
            sessions.extend(page.items.into_iter().map(|session| ExportedSession {
                id: session.id,
                created_at: session.created_at,
                expires_at: session.expires_at,
                ended_at: session.ended_at,
                ended_why: session.ended_why,
                user_agent: session.user_agent,
                address: session.address,
            }));
            after = page.next;
            if after.is_none() || sessions.len() >= EXPORTED_MAX {
                break;
            }
        }
        let sessions_left = after.is_some();
        let mut matches = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let page = self.matches(id, cursor.as_deref(), PAGE).await?;
            matches.extend(page.matches);
            cursor = page.next;
            if cursor.is_none() || matches.len() >= EXPORTED_MAX {
                break;
            }
        }
        Ok(PlayerExport {
            exported_at: self.clock.now(),
            id: player.id.clone(),
            game: player.game,
            username: player.username,
            created_at: player.created_at,
            last_seen_at: player.last_seen_at,
            has_password,
            identities: linked
                .into_iter()
                .map(|identity| ExportedIdentity {
                    provider: identity.provider,
                    subject: identity.subject,
                    profile: identity.profile,
                    linked_at: identity.linked_at,
                })
                .collect(),
            ban: player.ban.map(|ban| BanView {
                player_id: player.id,
                reason: ban.reason,
                banned_at: ban.at,
                until: ban.until,
            }),
            sessions,
            matches,
            complete: !sessions_left && cursor.is_none(),
        })
    }

    /// Deletes a player of `game`: its records are gone and its identities free when this returns, its
    /// sessions have ended, and its sockets are closed.
    pub async fn delete(&self, game: &GameId, id: &PlayerId) -> Result<(), Failure> {
        let unit =
            self.storage.players().delete_unit(game, id).and(self.storage.matches().forget_player_unit(id));
        self.storage.apply(unit).await.map_err(|error| match error {
            StorageError::NotFound { .. } => {
                Failure::new(ErrorCode::NotFound, "There is no such player in this game.")
            }
            other => Failure::storage(other),
        })?;
        self.announce(SessionsEnded { player: id.clone(), game: game.clone(), sessions: Vec::new() }).await;
        metrics::counter!("greenroom_players_deleted_total", "game" => game.to_string()).increment(1);
        tracing::info!(player = %id, %game, "deleted a player");
        Ok(())
    }
}
