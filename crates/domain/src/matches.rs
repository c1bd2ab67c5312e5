//! Matches that were started, and the seats that players hold.

use greenroom_protocol::{
    GameId, LobbyId, MatchId, PlayerId, ServerId, Timestamp,
    lobby::{MatchData, MatchMember, MatchServer, Team},
};
use serde::{Deserialize, Serialize};

use crate::lobby::{FreedReason, Refusal};

/// Who is to play: the teams as they were when the match was started.
///
/// As JSON it is the payload of the allocation: `{"players": [ids], "teamA": [{accountId,
/// username}], "teamB": […]}`. `players` are the ids of all members of both teams, bots included,
/// team A first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Roster {
    /// All ids.
    pub players: Vec<PlayerId>,
    /// The first team.
    pub team_a: Vec<MatchMember>,
    /// The second team.
    pub team_b: Vec<MatchMember>,
}

impl Roster {
    /// The roster of two teams.
    pub fn new(team_a: Vec<MatchMember>, team_b: Vec<MatchMember>) -> Self {
        let players = team_a.iter().chain(&team_b).map(|member| member.account_id.clone()).collect();
        Self { players, team_a, team_b }
    }

    /// What the game server is given. The same roster always gives the same bytes, so that an
    /// allocation may be repeated under its idempotency key.
    pub fn payload(&self) -> String {
        serde_json::to_string(self).expect("ids and names are always JSON")
    }
}

/// A match: the document kept from its start until nobody needs to be told of it any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Match {
    /// Unique for ever; also the idempotency key of its server's allocation.
    pub id: MatchId,
    /// The game.
    pub game: GameId,
    /// The lobby it came from.
    pub lobby: LobbyId,
    /// Who holds a seat, in the order of the seats.
    pub players: Vec<MatchPlayer>,
    /// The number of the next seat. A number is never given twice, for its ticket may be about.
    pub next_seat: u32,
    /// When its server was allocated.
    pub started_at: Timestamp,
    /// Where it is played.
    pub server: MatchPlace,
    /// How far it is.
    pub state: MatchState,
    /// Grows each time it is moved to another server; tickets carry it.
    pub generation: u64,
    /// Until then who reconnects is told of it; then the document goes.
    pub keep_until: Timestamp,
}

/// One seat of a match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatchPlayer {
    /// The player, or the bot.
    pub player: PlayerId,
    /// Its name.
    pub username: String,
    /// Its team.
    pub team: Team,
    /// The seat's number.
    pub seat: u32,
    /// Whether it is a bot.
    #[serde(default, skip_serializing_if = "is_false")]
    pub bot: bool,
}

/// The game server that a match is played on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatchPlace {
    /// Its id.
    pub id: ServerId,
    /// Its unique name.
    pub name: String,
    /// Host name or IP address.
    pub address: String,
    /// Its first port.
    pub port: u16,
}

/// How far a match is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MatchState {
    /// It runs.
    Playing,
    /// Its end was reported, its server ended, or its time was up.
    Ended,
}

impl Match {
    /// The seat of `player`, if it holds one.
    pub fn seat_of(&self, player: &PlayerId) -> Option<&MatchPlayer> {
        self.players.iter().find(|seated| &seated.player == player)
    }

    /// Gives `player` a seat while the match runs, or finds the one it holds already.
    ///
    /// `team_size` and `members_max` are those of its lobby. The team of a seat that is held stays.
    pub fn join(
        &mut self,
        player: &PlayerId,
        username: &str,
        team: Team,
        team_size: Option<u32>,
        members_max: u32,
    ) -> Result<MatchPlayer, Refusal> {
        if let Some(seated) = self.seat_of(player) {
            return Ok(seated.clone());
        }
        if self.state == MatchState::Ended {
            return Err(Refusal::MatchOver);
        }
        if self.players.len() >= members_max as usize {
            return Err(Refusal::LobbyFull);
        }
        let in_team = self.players.iter().filter(|seated| seated.team == team).count();
        if team_size.is_some_and(|size| in_team >= size as usize) {
            return Err(Refusal::TeamFull);
        }
        let seated = MatchPlayer {
            player: player.clone(),
            username: username.to_owned(),
            team,
            seat: self.next_seat,
            bot: false,
        };
        self.next_seat += 1;
        self.players.push(seated.clone());
        Ok(seated)
    }

    /// Frees the seat of `player`; whether it held one.
    pub fn leave(&mut self, player: &PlayerId) -> bool {
        let before = self.players.len();
        self.players.retain(|seated| &seated.player != player);
        self.players.len() != before
    }

    /// Ends the match: nobody is sent to its server any more, and the document may go at once.
    /// Whether it was still running.
    pub fn end(&mut self, now: Timestamp) -> bool {
        let was_playing = self.state == MatchState::Playing;
        self.state = MatchState::Ended;
        self.keep_until = self.keep_until.min(now);
        was_playing
    }

    /// What its members are told; the ticket is each member's own and is added to it.
    pub fn data(&self) -> MatchData {
        let team = |team| {
            let members = self.players.iter().filter(move |seated| seated.team == team);
            let member = |seated: &MatchPlayer| MatchMember {
                account_id: seated.player.clone(),
                username: seated.username.clone(),
            };
            members.map(member).collect()
        };
        MatchData {
            match_id: self.id.clone(),
            lobby_id: self.lobby.clone(),
            team_a: team(Team::A),
            team_b: team(Team::B),
            started_at: self.started_at,
            server: MatchServer {
                address: self.server.address.clone(),
                port: self.server.port,
                server_name: self.server.name.clone(),
            },
            ticket: None,
        }
    }
}

/// Where a player is: the document kept per player. It changes in the same commit as the lobby or
/// match that it names, so that nobody is in two lobbies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seat {
    /// The lobby it is a member of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lobby: Option<LobbyId>,
    /// The match it holds a seat of.
    #[serde(rename = "match", default, skip_serializing_if = "Option::is_none")]
    pub match_id: Option<MatchId>,
    /// How it last went out of a lobby, for who has to tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Departure>,
}

/// How a player went out of a lobby.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Departure {
    /// Which lobby.
    pub lobby: LobbyId,
    /// Why.
    pub why: FreedReason,
    /// Whether the lobby went with it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub gone: bool,
}

impl Seat {
    /// Whether it names nothing, so that the document may go.
    pub const fn is_empty(&self) -> bool {
        self.lobby.is_none() && self.match_id.is_none()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}
