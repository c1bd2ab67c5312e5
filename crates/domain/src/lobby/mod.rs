//! The lobby: players gathering before a match.
//!
//! [`create()`] makes one, [`apply()`] changes it, [`Lobby::next_deadline`] says when something is due
//! without anybody asking. While a match is `starting`, its roster stands: members may leave, drop
//! and return, chat and hand over the ownership; everything else is refused with `Match is
//! starting`. While a match is `playing` (kept lobbies only), members come and go, and settings
//! change; ready, teams, bots and start are refused until it has ended.

mod apply;
mod create;
mod refusal;
mod view;

use greenroom_protocol::{GameId, LobbyId, MatchId, PlayerId, Timestamp, lobby::Team};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::{apply::apply, create::create, refusal::Refusal};
use crate::{
    matches::{Match, MatchPlace, Roster},
    settings::LobbySettings,
};

/// How many members of a team bots fill up to where no team size is set.
pub const BOT_TEAM_SIZE: u32 = 2;

/// A lobby, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lobby {
    /// Unique for ever.
    pub id: LobbyId,
    /// The game.
    pub game: GameId,
    /// Six digits, unique among living lobbies.
    pub code: String,
    /// Grows with every change.
    pub revision: u64,
    /// Who may start, kick and change settings. Never a bot; connected whenever anybody is.
    pub owner: PlayerId,
    /// Who was the owner when everybody was dropped at once by us, and is so again on its return.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_before: Option<PlayerId>,
    /// In the order in which they joined: the longest-present first.
    pub members: Vec<Member>,
    /// Not listed, joined by code only.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_private: bool,
    /// Whether it stays when its match starts.
    #[serde(default, skip_serializing_if = "is_false")]
    pub keep: bool,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The map, as the game calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map: Option<String>,
    /// The mode, as the game calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Members of one team, where it differs from the game's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team_size: Option<u32>,
    /// What is asked of who joins: a salted hash that only the operation understands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_hash: Option<String>,
    /// How far it is.
    pub phase: Phase,
    /// When it was made.
    pub created_at: Timestamp,
}

/// One member of a lobby.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The player, or `bot-<uuid>`.
    pub player: PlayerId,
    /// Its name.
    pub username: String,
    /// Its team.
    pub team: Team,
    /// Whether it is ready. Bots always are; who is not connected never is.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ready: bool,
    /// Whether it is a bot.
    #[serde(default, skip_serializing_if = "is_false")]
    pub bot: bool,
    /// When it joined.
    pub joined_at: Timestamp,
    /// Its last socket closed; its place is kept until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped_until: Option<Timestamp>,
}

impl Member {
    /// Whether a socket of it is open. Bots always are connected.
    pub const fn is_connected(&self) -> bool {
        self.dropped_until.is_none()
    }
}

/// How far a lobby is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "lowercase")]
pub enum Phase {
    /// Its members gather.
    Waiting,
    /// A game server is being allocated. This is the pending effect itself: see
    /// [`Lobby::pending_start`].
    Starting {
        /// The match to be; also the allocation's idempotency key.
        match_id: MatchId,
        /// Since when.
        since: Timestamp,
        /// Who is to play: fixed, so that the allocation can be repeated.
        roster: Roster,
    },
    /// Its match runs.
    Playing {
        /// The match.
        match_id: MatchId,
        /// Until then at the longest, if nobody reports its end.
        until: Timestamp,
    },
}

/// What is done to a lobby.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A player comes in. If it is in another lobby, the operation lets it leave that one first.
    Join {
        /// Who.
        player: PlayerId,
        /// Its name.
        username: String,
        /// The team it asked for.
        team: Option<Team>,
        /// Whether it named the lobby by its code.
        by_code: bool,
        /// Whether the password it gave is the lobby's; does not matter where there is none.
        password_ok: bool,
    },
    /// A member goes.
    Leave {
        /// Who.
        player: PlayerId,
    },
    /// A member says whether it is ready.
    SetReady {
        /// Who.
        player: PlayerId,
        /// Whether it is.
        ready: bool,
    },
    /// The owner starts the match.
    Start {
        /// Who asks.
        player: PlayerId,
    },
    /// The owner fills the teams with bots.
    FillBots {
        /// Who asks.
        player: PlayerId,
    },
    /// The owner removes a member.
    Kick {
        /// Who asks.
        player: PlayerId,
        /// Who has to go.
        target: PlayerId,
    },
    /// A member changes to a team.
    ChangeTeam {
        /// Who.
        player: PlayerId,
        /// Where to.
        team: Team,
    },
    /// The owner hands over the ownership.
    Transfer {
        /// Who asks.
        player: PlayerId,
        /// The new owner.
        target: PlayerId,
    },
    /// The owner changes settings.
    Settings {
        /// Who asks.
        player: PlayerId,
        /// What changes.
        changes: Changes,
    },
    /// A member's first socket opened.
    Connected {
        /// Who.
        player: PlayerId,
    },
    /// A member's last socket closed without `lobby:leave`.
    Dropped {
        /// Who.
        player: PlayerId,
    },
    /// After a start or stall of ours no socket is known: every player is dropped, with a full new
    /// term, also those whose term was running.
    DropAll,
    /// Does what is due by `now`: see [`Lobby::next_deadline`].
    Deadline,
    /// The game server of the match that is starting can accept players.
    AllocationSucceeded {
        /// The match.
        match_id: MatchId,
        /// Its server.
        place: MatchPlace,
    },
    /// No game server could be allocated for the match that is starting.
    AllocationFailed {
        /// The match.
        match_id: MatchId,
    },
    /// The match of a kept lobby has ended.
    MatchEnded {
        /// The match.
        match_id: MatchId,
    },
    /// An administrator closes the lobby.
    Close,
}

/// Settings to change; what is none stays. An empty text removes what was there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// A name for people.
    pub name: Option<String>,
    /// The map, as the game calls it.
    pub map: Option<String>,
    /// The mode, as the game calls it.
    pub mode: Option<String>,
    /// Members of one team; 0 goes back to what the game says.
    pub team_size: Option<u32>,
    /// Not listed, joined by code only.
    pub is_private: Option<bool>,
    /// What is asked of who joins from now on.
    pub password: PasswordChange,
}

/// What happens to a lobby's password.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PasswordChange {
    /// It stays.
    #[default]
    Keep,
    /// There is none any more.
    Remove,
    /// There is a new one, as the hash that the operation made of it.
    Set(String),
}

/// How a new lobby is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLobby {
    /// The game.
    pub game: GameId,
    /// Six digits that no living lobby has: see [`crate::ids::lobby_code`].
    pub code: String,
    /// Its first member and owner.
    pub owner: PlayerId,
    /// The owner's name.
    pub username: String,
    /// Not listed, joined by code only.
    pub is_private: bool,
    /// Whether it stays when its match starts.
    pub keep: bool,
    /// A name for people.
    pub name: Option<String>,
    /// The map, as the game calls it.
    pub map: Option<String>,
    /// The mode, as the game calls it.
    pub mode: Option<String>,
    /// Members of one team, at most the game's.
    pub team_size: Option<u32>,
    /// The hash that the operation made of the password.
    pub password_hash: Option<String>,
}

/// What a command did.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// What became of the lobby.
    pub state: After,
    /// What is to be done now, in this order.
    pub effects: Vec<Effect>,
}

/// What became of a lobby.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// It has changed.
    Changed,
    /// It is as it was; nothing has to be committed.
    Unchanged,
    /// It is gone. What is left of the value only says how it was at its end.
    Gone(GoneReason),
}

/// Why a lobby is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoneReason {
    /// No player is left, or bots alone.
    Empty,
    /// Its match has started, and it was not to be kept.
    Started,
    /// An administrator closed it.
    Closed,
}

impl GoneReason {
    /// The reason as events tell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Started => "started",
            Self::Closed => "closed",
        }
    }
}

/// What is to be done beside keeping the lobby.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// The player's seat names this lobby from now on: in the same commit.
    SeatTaken {
        /// Who.
        player: PlayerId,
    },
    /// The player's seat no longer names this lobby: in the same commit.
    SeatFreed {
        /// Who.
        player: PlayerId,
        /// Why.
        why: FreedReason,
    },
    /// Allocate a game server. It stands in the document until it is done: see
    /// [`Lobby::pending_start`].
    StartMatch(StartMatch),
    /// Nobody waits for this match any more: its server is to be stopped, now or once it is there.
    CancelMatch {
        /// The match.
        match_id: MatchId,
    },
    /// The match has its server: keep the document, let the seat of each player in it name the
    /// match (in the same commit), and tell them.
    MatchStarted(Box<Match>),
    /// The player came to a lobby whose match runs: give it a seat there with
    /// [`Match::join`] if there is room.
    JoinMatch {
        /// The match.
        match_id: MatchId,
        /// Who.
        player: PlayerId,
        /// Its name.
        username: String,
        /// The team it joined.
        team: Team,
    },
    /// The match of this lobby is over: seats no longer name it.
    MatchEnded {
        /// The match.
        match_id: MatchId,
    },
    /// Append this to the history.
    Event(Event),
}

/// A match that needs a game server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartMatch {
    /// The match to be; also the allocation's idempotency key.
    pub match_id: MatchId,
    /// Who is to play; [`Roster::payload`] is what the server is given.
    pub roster: Roster,
}

/// Why a player is no longer in a lobby.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FreedReason {
    /// It left.
    Left,
    /// The owner removed it.
    Kicked,
    /// Its grace period was over.
    GraceOver,
    /// The match started and the lobby was not kept.
    Started,
    /// An administrator closed the lobby.
    Closed,
}

/// A fact for the history.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The same for the same change of the same lobby, so that appending it twice is harmless.
    pub id: String,
    /// Where it belongs, such as `v1.skirmish.lobbies.<id>.events.created`.
    pub subject: String,
    /// The fact itself.
    pub data: Value,
}

impl Lobby {
    /// The member that `player` is.
    pub fn member(&self, player: &PlayerId) -> Option<&Member> {
        self.members.iter().find(|member| &member.player == player)
    }

    /// The members that are people, longest-present first.
    pub fn humans(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| !member.bot)
    }

    /// Most members of one team; none where only the lobby's size bounds them.
    pub fn team_size(&self, rules: &LobbySettings) -> Option<u32> {
        self.team_size.or(rules.team_size)
    }

    /// When [`Command::Deadline`] has something to do.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let match_end = match &self.phase {
            Phase::Playing { until, .. } => Some(*until),
            Phase::Waiting | Phase::Starting { .. } => None,
        };
        self.members.iter().filter_map(|member| member.dropped_until).chain(match_end).min()
    }

    /// The allocation that was asked for and of which nothing is known yet. Whoever finds it may
    /// carry it out (again): the match id makes it one server.
    pub fn pending_start(&self) -> Option<StartMatch> {
        match &self.phase {
            Phase::Starting { match_id, roster, .. } => {
                Some(StartMatch { match_id: match_id.clone(), roster: roster.clone() })
            }
            Phase::Waiting | Phase::Playing { .. } => None,
        }
    }

    /// The match that it is starting or playing.
    pub const fn match_id(&self) -> Option<&MatchId> {
        match &self.phase {
            Phase::Waiting => None,
            Phase::Starting { match_id, .. } | Phase::Playing { match_id, .. } => Some(match_id),
        }
    }

    fn count(&self, team: Team) -> usize {
        self.members.iter().filter(|member| member.team == team).count()
    }

    fn event(&self, name: &str, data: Value) -> Effect {
        let subject = format!("v1.{}.lobbies.{}.events.{name}", self.game, self.id);
        Effect::Event(Event { id: format!("{}.{}.{name}", self.id, self.revision), subject, data })
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

#[cfg(test)]
mod tests;
