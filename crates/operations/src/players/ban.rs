//! Bans players, and lets them in again.

use greenroom_domain::text;
use greenroom_protocol::{
    ErrorCode, GameId, PlayerId,
    auth::{BanRequest, BanView},
};
use greenroom_storage::{Ban, Cursor, Page, StorageError};

use super::{Players, SessionsEnded};
use crate::failure::Failure;

impl Players {
    /// Bans the player: its sessions end and its sockets are closed at once.
    pub async fn ban(
        &self,
        game: &GameId,
        player: &PlayerId,
        request: BanRequest,
    ) -> Result<BanView, Failure> {
        let now = self.clock.now();
        if request.until.is_some_and(|until| until <= now) {
            return Err(Failure::new(ErrorCode::Invalid, "`until` must lie in the future, or be left out."));
        }
        self.of_game(game, player).await?;
        let reason = text::reason(&request.reason);
        let ban = Ban { reason, until: request.until, at: now };
        let unit = self
            .storage
            .players()
            .ban_unit(player, &ban)
            .and(self.storage.sessions().end_all_unit(player, "banned", now));
        self.storage.apply(unit).await.map_err(Failure::storage)?;
        self.announce(SessionsEnded { player: player.clone(), game: game.clone(), sessions: Vec::new() })
            .await;
        tracing::info!(%player, %game, reason = %ban.reason, "banned a player");
        Ok(view(player.clone(), ban))
    }

    /// Lifts the player's ban.
    pub async fn unban(&self, game: &GameId, player: &PlayerId) -> Result<(), Failure> {
        self.of_game(game, player).await?;
        if self.storage.players().unban(player).await.map_err(Failure::storage)? {
            Ok(())
        } else {
            Err(Failure::new(ErrorCode::NotFound, "The player is not banned."))
        }
    }

    /// The bans of a game, newest first.
    pub async fn bans(
        &self,
        game: &GameId,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<BanView>, Failure> {
        let page = self.storage.players().bans(game, after, limit).await.map_err(|error| match error {
            StorageError::BadCursor => {
                Failure::new(ErrorCode::BadRequest, "`cursor` is not one that a page gave.")
            }
            other => Failure::storage(other),
        })?;
        let items = page.items.into_iter().map(|banned| view(banned.player, banned.ban)).collect();
        Ok(Page { items, next: page.next })
    }
}

/// What a banned player is told.
pub(super) fn banned(ban: &Ban) -> Failure {
    let mut sentence = String::from("This account is banned");
    if let Some(until) = ban.until {
        sentence.push_str(" until ");
        sentence.push_str(&greenroom_protocol::events::rfc3339(until));
    }
    if !ban.reason.is_empty() {
        sentence.push_str(": ");
        sentence.push_str(&ban.reason);
    }
    Failure::new(ErrorCode::Banned, sentence)
}

fn view(player_id: PlayerId, ban: Ban) -> BanView {
    BanView { player_id, reason: ban.reason, banned_at: ban.at, until: ban.until }
}
