//! What travels over a player's socket: commands of the client, news from the server, and the
//! lobby as players see it.

mod client;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use client::{
    ClientFrame, ClientMessage, LobbyChanges, LobbyCreate, LobbyJoin, ParseError, REQUEST_ID_BYTES_MAX,
    RequestId,
};

use crate::{ErrorCode, LobbyId, MatchId, PlayerId, Timestamp, browser::BrowserNews};

/// One of the two teams of a lobby.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema, JsonSchema,
)]
pub enum Team {
    /// The first; who joins without a wish on a tie comes here.
    A,
    /// The second.
    B,
}

/// A message to a client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all_fields = "camelCase")]
pub enum ServerMessage {
    /// The first frame: who we took the client for.
    #[serde(rename = "connected")]
    Connected {
        /// The player.
        account_id: PlayerId,
        /// Its name.
        username: String,
    },
    /// Answers `ping`.
    #[serde(rename = "pong")]
    Pong {
        /// That of the message it answers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<RequestId>,
    },
    /// A command was done whose effect is otherwise only seen as a broadcast. Sent to who gave an `id`.
    #[serde(rename = "ok")]
    Done {
        /// That of the message it answers.
        id: RequestId,
    },
    /// A command was refused.
    #[serde(rename = "error")]
    Error {
        /// A sentence for people; that of the contract where it has one.
        message: String,
        /// The stable word for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<ErrorCode>,
        /// That of the message it answers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<RequestId>,
    },
    /// To the creator: its new lobby.
    #[serde(rename = "lobby:created")]
    Created {
        /// The newest state.
        lobby: LobbyView,
        /// That of the message it answers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<RequestId>,
    },
    /// To all members: the newest state of their lobby.
    #[serde(rename = "lobby:updated")]
    Updated {
        /// The newest state.
        lobby: LobbyView,
    },
    /// The lobby is gone.
    #[serde(rename = "lobby:deleted")]
    Deleted {
        /// Which.
        lobby_id: LobbyId,
    },
    /// To who left: it is out.
    #[serde(rename = "lobby:left")]
    Left {
        /// That of the message it answers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<RequestId>,
    },
    /// To who was removed by the owner.
    #[serde(rename = "lobby:kicked")]
    Kicked {
        /// Out of which lobby.
        lobby_id: LobbyId,
    },
    /// A member said something.
    #[serde(rename = "lobby:chat")]
    Chat {
        /// Where.
        lobby_id: LobbyId,
        /// Who.
        account_id: PlayerId,
        /// Its name.
        username: String,
        /// What.
        text: String,
        /// When.
        sent_at: Timestamp,
    },
    /// Answers `lobby:list:watch`: all public lobbies.
    #[serde(rename = "lobby:list")]
    List {
        /// The newest state of each.
        lobbies: Vec<LobbyView>,
        /// That of the message it answers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<RequestId>,
    },
    /// To who watches the public lobbies: those that are new or changed, and those that are gone.
    #[serde(rename = "lobby:list:changed")]
    ListChanged {
        /// The newest state of each.
        changed: Vec<LobbyView>,
        /// No longer there, or no longer public.
        removed: Vec<LobbyId>,
    },
    /// Answers `browser:watch`, and again whenever the list changed: its newest state.
    #[serde(rename = "browser:updated")]
    BrowserUpdated(BrowserNews),
    /// The match has its server: connect there.
    #[serde(rename = "match:started")]
    MatchStarted {
        /// Who plays with whom, and where.
        match_data: MatchData,
    },
    /// To the members of a kept lobby: its match has ended.
    #[serde(rename = "match:ended")]
    MatchEnded {
        /// Which.
        match_id: MatchId,
        /// The lobby that waits again.
        lobby_id: LobbyId,
    },
}

/// How far a lobby is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LobbyPhase {
    /// Its members gather.
    #[default]
    Waiting,
    /// A game server is being allocated.
    Starting,
    /// Its match runs; only lobbies that are kept get here.
    Playing,
}

/// A lobby as players see it. The contract's fields come first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LobbyView {
    /// Unique for ever.
    pub id: LobbyId,
    /// Six digits, unique among living lobbies.
    pub code: String,
    /// Not listed, joined by code only.
    pub is_private: bool,
    /// In the order in which they joined.
    pub team_a: Vec<MemberView>,
    /// In the order in which they joined.
    pub team_b: Vec<MemberView>,
    /// Who may start, kick and change settings.
    pub owner_id: PlayerId,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The map, as the game calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map: Option<String>,
    /// The mode, as the game calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Most members of one team; missing where only `membersMax` bounds them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team_size: Option<u32>,
    /// Most members, bots included.
    pub members_max: u32,
    /// Whether who joins is asked for a password.
    pub has_password: bool,
    /// How far it is.
    pub phase: LobbyPhase,
    /// Whether it stays when its match starts.
    pub keep: bool,
    /// The match that it is starting or playing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub match_id: Option<MatchId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Grows with every change; of two states the one with the larger number is newer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
}

/// One member of a lobby.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemberView {
    /// The player, or `bot-<uuid>`.
    pub account_id: PlayerId,
    /// Its name.
    pub username: String,
    /// Whether it is ready; bots always are.
    pub ready: bool,
    /// Whether a socket of it is open; bots always are.
    pub connected: bool,
    /// Whether it is a bot.
    pub bot: bool,
    /// When it joined.
    pub joined_at: Timestamp,
}

/// What the members of a match are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MatchData {
    /// Unique for ever.
    pub match_id: MatchId,
    /// The lobby it came from.
    pub lobby_id: LobbyId,
    /// The first team.
    pub team_a: Vec<MatchMember>,
    /// The second team.
    pub team_b: Vec<MatchMember>,
    /// When its server was allocated.
    pub started_at: Timestamp,
    /// Where to connect.
    pub server: MatchServer,
    /// The receiver's own proof for its seat, shown to the game server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
}

/// One who plays in a match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MatchMember {
    /// The player, or `bot-<uuid>`.
    pub account_id: PlayerId,
    /// Its name.
    pub username: String,
}

/// Where a match is played.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MatchServer {
    /// Host name or IP address.
    pub address: String,
    /// The first port of the server.
    pub port: u16,
    /// The server's unique name.
    pub server_name: String,
}

#[cfg(test)]
mod tests;
