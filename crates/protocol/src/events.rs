//! Facts of the history: the CloudEvents 1.0 envelope, appending, and results of matches.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{GameId, LobbyId, MatchId, PlayerId, Timestamp, lobby::Team};

/// Largest event, in bytes of its envelope as JSON.
pub const EVENT_BYTES_MAX: usize = 64 * 1024;

/// Most events of one append.
pub const EVENTS_PER_APPEND_MAX: usize = 1000;

/// The `specversion` of every envelope.
pub const SPECVERSION: &str = "1.0";

/// `at` as RFC 3339 in UTC with milliseconds, as an envelope's `time` is written. Years that
/// RFC 3339 cannot write become the first or last that it can.
pub fn rfc3339(at: Timestamp) -> String {
    const YEAR_1_MS: i64 = -62_135_596_800_000;
    let ms = at.as_millis().max(YEAR_1_MS);
    let at = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX);
    format!("{at:.3}")
}

/// The point in time that an RFC 3339 text names, if it is one.
pub fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    text.parse::<jiff::Timestamp>().ok().map(|at| Timestamp::from_millis(at.as_millisecond()))
}

/// One event: CloudEvents 1.0 (JSON format) with the extension `sequence`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct CloudEvent {
    /// Always [`SPECVERSION`].
    pub specversion: String,
    /// With `source` unique; a repeated one within an hour is not appended again.
    pub id: String,
    /// Who says so, as a URI reference such as `/games/skirmish/servers/s1`.
    pub source: String,
    /// What kind of fact: the last tokens of the subject, such as `ended`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where it belongs, such as `v1.skirmish.matches.m1.events.ended`.
    pub subject: String,
    /// When it happened: RFC 3339 with milliseconds.
    pub time: String,
    /// The form of `data`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datacontenttype: Option<String>,
    /// The fact itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
    /// Its place in the studio's history, gapless: a decimal number as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<String>,
}

/// An event that is to be appended; what is missing is filled in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct NewEvent {
    /// Where it belongs, such as `v1.skirmish.matches.m1.events.ended`.
    pub subject: String,
    /// Makes a retry harmless; one is made up if it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Who says so; the asker unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What kind of fact; taken from the subject unless given.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// When it happened: RFC 3339; now unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// The form of `data`; `application/json` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datacontenttype: Option<String>,
    /// The fact itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

/// The body of `POST /v1/events`: one event, or several that are appended together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(untagged)]
pub enum AppendRequest {
    /// Several: all or none.
    Many(Vec<NewEvent>),
    /// One.
    One(NewEvent),
}

impl AppendRequest {
    /// The events, in the order in which they are appended.
    pub fn into_events(self) -> Vec<NewEvent> {
        match self {
            Self::One(event) => vec![event],
            Self::Many(events) => events,
        }
    }
}

/// The answer to an append, once it is durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct AppendResponse {
    /// In the order of the request.
    pub events: Vec<AppendedEvent>,
}

/// Where an event was put.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct AppendedEvent {
    /// The event's id.
    pub id: String,
    /// Its place in the studio's history: a decimal number as text.
    pub sequence: String,
}

/// The data of `v1.<game>.matches.<id>.events.ended`: how a match went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct MatchEnded {
    /// Everybody who played, as the game server saw it.
    pub players: Vec<PlayerResult>,
    /// Whatever else the game says.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// How a match went for one player.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct PlayerResult {
    /// The player, or `bot-<uuid>`.
    pub id: PlayerId,
    /// Its team.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<Team>,
    /// Its score.
    #[serde(default)]
    pub score: f64,
    /// Whether it won.
    #[serde(default)]
    pub won: bool,
}

/// One match in a player's own history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlayerMatch {
    /// Unique for ever.
    pub match_id: MatchId,
    /// The game.
    pub game: GameId,
    /// The lobby it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lobby_id: Option<LobbyId>,
    /// When it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When its end was reported; missing while it runs or where none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// The player's team.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<Team>,
    /// The player's score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Whether the player won.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub won: Option<bool>,
    /// Everybody who played.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub players: Vec<PlayerResult>,
}

/// A page of a player's own matches.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct PlayerMatches {
    /// Newest first.
    pub matches: Vec<PlayerMatch>,
    /// Gets the next page as `?cursor=`; missing on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

#[cfg(test)]
mod tests;
