//! The claims of tokens. Each kind has one algorithm, one key and one `typ`, never taken from the
//! token itself.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{GameId, LobbyId, MatchId, PlayerId, RoomId, SessionId, lobby::Team};

/// The `typ` of a ticket's header (RFC 8725, 3.11). Its algorithm is EdDSA, its key in the JWKS.
pub const TICKET_TYP: &str = "greenroom-ticket+jwt";

/// The `typ` of a player's access token. Its algorithm is HS256, as the contract's clients expect.
pub const ACCESS_TYP: &str = "JWT";

/// The `iss` of every token.
pub const ISSUER: &str = "greenroom";

/// What the holder of a seat may do.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum SeatRole {
    /// Plays.
    #[default]
    Player,
    /// Looks on.
    Spectator,
}

/// The claims of a room's or match's ticket: a short-lived proof that a player may take a seat.
///
/// Exactly one of `room` and `match` is there. A game server checks signature, `typ`, `exp`, and
/// that `match` or `room` is its own; of two tickets for one seat the later `generation` holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, schemars::JsonSchema)]
pub struct TicketClaims {
    /// [`ISSUER`].
    pub iss: String,
    /// The game.
    pub game: GameId,
    /// The room whose seat it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<RoomId>,
    /// The match whose seat it is.
    #[serde(rename = "match", default, skip_serializing_if = "Option::is_none")]
    pub match_id: Option<MatchId>,
    /// The lobby that the match came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lobby: Option<LobbyId>,
    /// Who may take the seat.
    pub player: PlayerId,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Which seat, from 0; joining again gives the same one.
    pub seat: u32,
    /// The team of the seat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<Team>,
    /// What the holder may do.
    pub role: SeatRole,
    /// Grows each time the room or match is moved to another server.
    pub generation: u64,
    /// When it was made, in seconds since the Unix epoch.
    pub iat: i64,
    /// When it ends, in seconds since the Unix epoch. A member that is connected outlives it.
    pub exp: i64,
}

/// The claims of a player's access token. The contract's come first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessClaims {
    /// The player.
    pub account_id: PlayerId,
    /// The player's Discord id; the account's id where it has none.
    pub discord_id: String,
    /// When it ends, in seconds since the Unix epoch.
    pub exp: i64,
    /// When it was made, in seconds since the Unix epoch.
    pub iat: i64,
    /// The game whose player it is; every other game refuses the token.
    pub game: GameId,
    /// The session that it ends with.
    pub sid: SessionId,
}

#[cfg(test)]
mod tests;
