use greenroom_protocol::{Timestamp, lobby::Team};
use rand::Rng;
use serde_json::json;

use super::{Effect, Lobby, Member, NewLobby, Phase, Refusal};
use crate::{ids, settings::LobbySettings, text};

/// Makes a lobby: its creator is in team A, not ready, and owns it.
pub fn create(
    new: NewLobby,
    now: Timestamp,
    rules: &LobbySettings,
    rng: &mut impl Rng,
) -> Result<(Lobby, Vec<Effect>), Refusal> {
    let lobby = Lobby {
        id: ids::lobby_id(now, rng),
        game: new.game,
        code: new.code,
        revision: 1,
        owner: new.owner.clone(),
        owner_before: None,
        members: vec![Member {
            player: new.owner,
            username: new.username,
            team: Team::A,
            ready: false,
            bot: false,
            joined_at: now,
            dropped_until: None,
        }],
        is_private: new.is_private,
        keep: new.keep,
        name: new.name.as_deref().and_then(text::lobby_name),
        map: new.map.as_deref().and_then(text::label),
        mode: new.mode.as_deref().and_then(text::label),
        team_size: new.team_size.map_or(Ok(None), |size| own_team_size(size, rules))?,
        password_hash: new.password_hash,
        phase: Phase::Waiting,
        created_at: now,
    };
    let data = json!({ "owner": lobby.owner, "isPrivate": lobby.is_private, "keep": lobby.keep });
    let effects = vec![Effect::SeatTaken { player: lobby.owner.clone() }, lobby.event("created", data)];
    Ok((lobby, effects))
}

/// The team size that a lobby asks for itself: within the game's, 0 for the game's own.
pub(super) fn own_team_size(size: u32, rules: &LobbySettings) -> Result<Option<u32>, Refusal> {
    let size_max = rules.team_size.unwrap_or(rules.members_max);
    match size {
        0 => Ok(None),
        size if size <= size_max => Ok(Some(size)),
        _ => Err(Refusal::TeamSizeOutOfRange),
    }
}
