//! `lobby:create`.

use greenroom_directory::{DirectoryError, Partition};
use greenroom_domain::{
    ids,
    lobby::{NewLobby, create},
};
use greenroom_protocol::{ErrorCode, lobby::LobbyCreate};

use super::{Created, Lobbies, LobbyError, password, plan::Plan};
use crate::{documents::LOBBY_CODE, failure::Failure, principal::PlayerPrincipal};

/// How often another code is tried when a living lobby has it.
const CODE_TRIES_MAX: u32 = 32;

impl Lobbies {
    /// Makes a lobby whose owner is `player`, who leaves the one it is in.
    pub async fn create(&self, player: &PlayerPrincipal, how: LobbyCreate) -> Result<Created, LobbyError> {
        let game = self.game(&player.game).map_err(LobbyError::Failed)?;
        let given = how.password.as_deref().filter(|password| !password.is_empty());
        let password_hash = given.map(password::hash).transpose().map_err(LobbyError::Failed)?;
        let partition = Partition::game(&player.game);
        for _ in 0..CODE_TRIES_MAX {
            let new = NewLobby {
                game: player.game.clone(),
                code: ids::lobby_code(&mut rand::rng()),
                owner: player.id.clone(),
                username: player.username.clone(),
                is_private: how.is_private,
                keep: how.keep,
                name: how.name.clone(),
                map: how.map.clone(),
                mode: how.mode.clone(),
                team_size: how.team_size,
                password_hash: password_hash.clone(),
            };
            let now = self.inner.clock.now();
            let (lobby, effects) = create(new, now, &game.lobby, &mut rand::rng())?;
            if self.code_is_taken(&player.game, &lobby.code).await.map_err(LobbyError::Failed)? {
                continue;
            }
            let plan = Plan::create(self, &game, &lobby, effects).await.map_err(LobbyError::Failed)?;
            match self.inner.directory.commit(&partition, plan.changes.clone()).await {
                Ok(revisions) => {
                    metrics::counter!("greenroom_lobbies_created_total", "game" => player.game.to_string())
                        .increment(1);
                    self.after_commit(&player.game, &plan);
                    let revision = revisions.get(plan.own).copied().unwrap_or(plan.read_at);
                    return Ok(Created { view: lobby.view(&game.lobby), revision });
                }
                // The code was taken in between, or the lobby that is left was changed: once more.
                Err(DirectoryError::Conflict(key)) => {
                    tracing::debug!(
                        kind = key.kind.name(),
                        code = key.kind == LOBBY_CODE,
                        "a new lobby met a change"
                    );
                }
                Err(error) => return Err(LobbyError::Failed(Failure::directory(error))),
            }
        }
        Err(LobbyError::Failed(Failure::new(
            ErrorCode::Busy,
            "No free lobby code was found. Try again in a moment.",
        )))
    }
}
