//! The lobbies of a game, for players and for the console.

use greenroom_directory::Partition;
use greenroom_domain::lobby::Lobby;
use greenroom_protocol::{GameId, lobby::LobbyView};

use super::Lobbies;
use crate::{
    documents::{LOBBY, decode},
    failure::Failure,
};

impl Lobbies {
    /// The public lobbies of `game`.
    pub async fn list_public(&self, game: &GameId) -> Result<Vec<LobbyView>, Failure> {
        Ok(self.list(game).await?.into_iter().filter(|view| !view.is_private).collect())
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
