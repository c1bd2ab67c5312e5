//! A player as it sees itself, and as its studio finds it.

use greenroom_protocol::{
    ErrorCode, GameId, MatchId, PlayerId,
    auth::{AccountMe, DiscordUser},
    events::{PlayerMatch, PlayerMatches, PlayerResult},
    lobby::Team,
};
use greenroom_storage::{Cursor, Page, PlayedMatch, Player, StorageError};

use super::Players;
use crate::failure::Failure;

impl Players {
    /// What `GET /accounts/me` shows.
    pub async fn me(&self, player: &PlayerId) -> Result<AccountMe, Failure> {
        let player = self.storage.players().get(player).await.map_err(Failure::storage)?;
        let player = player.ok_or(Failure::new(ErrorCode::Unauthorized, "Invalid token"))?;
        Ok(AccountMe {
            id: player.id,
            username: player.username,
            discord: player.discord.map(|profile| DiscordUser {
                id: profile.id,
                username: profile.username,
                avatar: profile.avatar,
            }),
            created_at: player.created_at,
        })
    }

    /// A player of `game`.
    pub async fn of_game(&self, game: &GameId, player: &PlayerId) -> Result<Player, Failure> {
        let found = self.storage.players().get(player).await.map_err(Failure::storage)?;
        found
            .filter(|player| player.game == *game)
            .ok_or(Failure::new(ErrorCode::NotFound, "There is no such player in this game."))
    }

    /// Players of `game` whose names begin with `prefix`.
    pub async fn search(
        &self,
        game: &GameId,
        prefix: &str,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page<Player>, Failure> {
        self.storage.players().search(game, prefix, after, limit).await.map_err(page_failure)
    }

    /// How many players `game` has.
    pub async fn count(&self, game: &GameId) -> Result<u64, Failure> {
        self.storage.players().count(game).await.map_err(Failure::storage)
    }

    /// The player's own match history, newest first.
    pub async fn matches(
        &self,
        player: &PlayerId,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<PlayerMatches, Failure> {
        let cursor = cursor.map(str::parse::<Cursor>).transpose().map_err(page_failure)?;
        let page = self
            .storage
            .matches()
            .list_matches(player, cursor.as_ref(), limit)
            .await
            .map_err(page_failure)?;
        Ok(PlayerMatches {
            matches: page.items.into_iter().map(played).collect(),
            next: page.next.map(|cursor| cursor.to_string()),
        })
    }

    /// One match of the player's history.
    pub async fn match_of(&self, player: &PlayerId, id: &MatchId) -> Result<PlayerMatch, Failure> {
        let unknown =
            || Failure::new(ErrorCode::NotFound, "There is no such match in this player's history.");
        let record = self.storage.matches().get(id).await.map_err(Failure::storage)?.ok_or_else(unknown)?;
        let own = record.players.iter().find(|one| one.player == *player).cloned().ok_or_else(unknown)?;
        Ok(played(PlayedMatch {
            id: record.id,
            game: record.game,
            started_at: record.started_at,
            ended_at: record.ended_at,
            result: record.result,
            own,
        }))
    }
}

fn page_failure(error: StorageError) -> Failure {
    match error {
        StorageError::BadCursor => {
            Failure::new(ErrorCode::BadRequest, "`cursor` is not one that a page gave.")
        }
        other => Failure::storage(other),
    }
}

fn played(one: PlayedMatch) -> PlayerMatch {
    let team = match one.own.team.as_deref() {
        Some("A") => Some(Team::A),
        Some("B") => Some(Team::B),
        _ => None,
    };
    let players = one.result.get("players").cloned().unwrap_or_default();
    let lobby_id = one.result.get("lobbyId").and_then(|id| serde_json::from_value(id.clone()).ok());
    PlayerMatch {
        match_id: one.id,
        game: one.game,
        lobby_id,
        started_at: Some(one.started_at),
        ended_at: Some(one.ended_at),
        team,
        score: one.own.score,
        won: one.own.won,
        players: serde_json::from_value::<Vec<PlayerResult>>(players).unwrap_or_default(),
    }
}
