//! Finds a lobby by what players call it.

use greenroom_domain::lobby::Refusal;
use greenroom_protocol::{GameId, LobbyId};

use super::{JoinBy, Lobbies, LobbyError};
use crate::{
    documents::{LOBBY_CODE, load},
    failure::Failure,
};

impl Lobbies {
    /// The lobby that `by` names.
    pub(super) async fn find(&self, game: &GameId, by: &JoinBy) -> Result<LobbyId, LobbyError> {
        match by {
            JoinBy::Id(id) => LobbyId::new(id).map_err(|_| Refusal::LobbyNotFound.into()),
            JoinBy::Code(code) => {
                let code = code.trim();
                if code.len() != 6 || !code.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(Refusal::LobbyNotFound.into());
                }
                let found = load::<LobbyId>(&self.inner.directory, game, LOBBY_CODE, code).await;
                let found = found.map_err(LobbyError::Failed)?;
                Ok(found.ok_or(Refusal::LobbyNotFound)?.value)
            }
        }
    }

    pub(super) async fn code_is_taken(&self, game: &GameId, code: &str) -> Result<bool, Failure> {
        Ok(load::<LobbyId>(&self.inner.directory, game, LOBBY_CODE, code).await?.is_some())
    }
}
