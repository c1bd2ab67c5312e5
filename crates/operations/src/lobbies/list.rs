//! The lobbies of a game, for players and for the console.

use greenroom_directory::Partition;
use greenroom_domain::lobby::Lobby;
use greenroom_protocol::{ErrorCode, GameId, LobbyId, lobby::LobbyView};

use super::Lobbies;
use crate::{
    documents::{LOBBY, decode, load},
    failure::Failure,
};

impl Lobbies {
    /// The public lobbies of `game`.
    pub async fn list_public(&self, game: &GameId) -> Result<Vec<LobbyView>, Failure> {
        Ok(self.list(game).await?.into_iter().filter(|view| !view.is_private).collect())
    }

    /// One lobby of `game`.
    pub async fn get(&self, game: &GameId, id: &LobbyId) -> Result<LobbyView, Failure> {
        let rules = self.game(game)?;
        let found = load::<Lobby>(&self.inner.directory, game, LOBBY, id.as_str()).await?;
        let gone = "There is no such lobby. It was left or closed, or its match has started.";
        let stored = found.ok_or(Failure::new(ErrorCode::NotFound, gone))?;
        Ok(stored.value.view(&rules.lobby))
    }

    /// All lobbies of `game`.
    pub async fn list(&self, game: &GameId) -> Result<Vec<LobbyView>, Failure> {
        let game_settings = self.game(game)?;
        let documents =
            self.inner.directory.list(&Partition::game(game), LOBBY).await.map_err(Failure::directory)?;
        documents
            .iter()
            .map(|document| Ok(decode::<Lobby>(&document.value)?.view(&game_settings.lobby)))
            .collect()
    }
}
