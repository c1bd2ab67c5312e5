//! A match is over: its lobby waits again, its players are free.

use std::collections::BTreeSet;

use greenroom_directory::{Change, DirectoryError, Expected, Partition};
use greenroom_domain::{
    lobby::Lobby,
    matches::{Match, Seat},
};
use greenroom_protocol::{ErrorCode, GameId, MatchId, PlayerId};

use super::Matches;
use crate::{
    documents::{LOBBY, MATCH, SEAT, load, put},
    failure::Failure,
    lobbies::LobbyError,
};

/// How often the commit is tried when its documents change meanwhile.
const COMMIT_TRIES_MAX: u32 = 16;

impl Matches {
    /// Ends the match, if it is still there. Doing it twice is harmless.
    pub(super) async fn end(&self, game: &GameId, match_id: &MatchId) -> Result<(), Failure> {
        let directory = &self.deps.directory;
        for _ in 0..COMMIT_TRIES_MAX {
            let Some(stored) = load::<Match>(directory, game, MATCH, match_id.as_str()).await? else {
                return Ok(());
            };
            let (ended, revision) = (stored.value, stored.revision);
            let lobby = load::<Lobby>(directory, game, LOBBY, ended.lobby.as_str()).await?;
            if lobby.is_some_and(|lobby| lobby.value.match_id() == Some(match_id)) {
                // The lobby was kept: its rule ends the match, in one commit with the seats.
                match self.deps.lobbies.match_ended(game, &ended.lobby, match_id.clone()).await {
                    Ok(_) | Err(LobbyError::Refused(_)) => continue,
                    Err(LobbyError::Failed(failure)) => return Err(failure),
                }
            }
            let mut changes = vec![Change::delete(MATCH, match_id.as_str(), Expected::At(revision))];
            let players: BTreeSet<&PlayerId> =
                ended.players.iter().filter(|player| !player.bot).map(|player| &player.player).collect();
            for player in players {
                let Some(seat) = load::<Seat>(directory, game, SEAT, player.as_str()).await? else {
                    continue;
                };
                if seat.value.match_id.as_ref() != Some(match_id) {
                    continue;
                }
                let expected = Expected::At(seat.revision);
                let left = Seat { match_id: None, ..seat.value };
                changes.push(if left.is_empty() {
                    Change::delete(SEAT, player.as_str(), expected)
                } else {
                    put(SEAT, player.as_str(), expected, &left)?
                });
            }
            match directory.commit(&Partition::game(game), changes).await {
                Ok(_) => return Ok(()),
                Err(DirectoryError::Conflict(_) | DirectoryError::OutcomeUnknown(_)) => {}
                Err(error) => return Err(Failure::directory(error)),
            }
        }
        Err(Failure::new(ErrorCode::Busy, "The match changes too fast. Try again in a moment."))
    }
}
