//! What a client says over its socket, and how it is read.

use std::{borrow::Cow, collections::BTreeMap};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Team;
use crate::{
    ErrorCode, PlayerId, RegionId,
    browser::{BrowserFilter, BrowserSort, LATENCIES_MAX},
};

/// Longest `id` of a client's message, in bytes. A longer one is not echoed.
pub const REQUEST_ID_BYTES_MAX: usize = 128;

/// What a client calls its message, given back with the direct answer to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum RequestId {
    /// A whole number.
    Number(i64),
    /// A text of at most [`REQUEST_ID_BYTES_MAX`] bytes.
    Text(String),
}

impl RequestId {
    /// Anything but a whole number or a short text counts as no id at all.
    fn read(value: Option<&Value>) -> Option<Self> {
        match value? {
            Value::Number(number) => number.as_i64().map(Self::Number),
            Value::String(text) if text.len() <= REQUEST_ID_BYTES_MAX => Some(Self::Text(text.clone())),
            _ => None,
        }
    }
}

/// A text frame of a client, read.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientFrame {
    /// The message's `id`, known also when the rest of it is no good.
    pub id: Option<RequestId>,
    /// The command, or what is wrong with it.
    pub message: Result<ClientMessage, ParseError>,
}

impl ClientFrame {
    /// Reads a text frame. Fields that are not known are ignored; `null` is the same as missing.
    pub fn parse(text: &str) -> Self {
        let object = match serde_json::from_str(text) {
            Ok(Value::Object(object)) => object,
            // The contract's clients see any other JSON as a message without a type.
            Ok(Value::Array(_) | Value::String(_) | Value::Number(_) | Value::Bool(_)) => {
                return Self { id: None, message: Err(ParseError::UnknownType) };
            }
            Ok(Value::Null) | Err(_) => return Self { id: None, message: Err(ParseError::InvalidFormat) },
        };
        let id = RequestId::read(object.get("id"));
        Self { id, message: ClientMessage::read(object) }
    }
}

/// Why a frame is no command. The sentence is what the client is told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Not JSON, or `null`.
    #[error("Invalid message format")]
    InvalidFormat,
    /// JSON without a `type` that is known.
    #[error("Unknown message type")]
    UnknownType,
    /// A field is missing or has the wrong type; the sentence names it.
    #[error("{0}")]
    Invalid(Cow<'static, str>),
}

impl ParseError {
    /// The stable code that goes with it.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::InvalidFormat | Self::UnknownType => ErrorCode::BadRequest,
            Self::Invalid(_) => ErrorCode::Invalid,
        }
    }
}

/// A command of a client.
///
/// The schema describes what is sent; [`ClientFrame::parse`] is what reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all_fields = "camelCase")]
pub enum ClientMessage {
    /// Asks for a `pong`.
    #[serde(rename = "ping")]
    Ping,
    /// Makes a lobby and joins team A of it.
    #[serde(rename = "lobby:create")]
    Create(LobbyCreate),
    /// Joins a lobby by code or id; `code` wins.
    #[serde(rename = "lobby:join")]
    Join(LobbyJoin),
    /// Leaves the lobby.
    #[serde(rename = "lobby:leave")]
    Leave,
    /// Says ready, or no longer ready.
    #[serde(rename = "lobby:ready")]
    Ready {
        /// True unless said otherwise.
        #[serde(default = "ready_unless_said")]
        ready: bool,
    },
    /// Starts the match; for the owner.
    #[serde(rename = "lobby:start")]
    Start,
    /// Fills both teams with bots; for the owner.
    #[serde(rename = "lobby:fill-bots")]
    FillBots,
    /// Removes a member or a bot; for the owner.
    #[serde(rename = "lobby:kick")]
    Kick {
        /// Who has to go.
        account_id: PlayerId,
    },
    /// Changes to the other team.
    #[serde(rename = "lobby:team")]
    Team {
        /// Where to.
        team: Team,
    },
    /// Gives the ownership to another member; for the owner.
    #[serde(rename = "lobby:transfer")]
    Transfer {
        /// The new owner.
        account_id: PlayerId,
    },
    /// Says something to all members.
    #[serde(rename = "lobby:chat")]
    Chat {
        /// What is said.
        text: String,
    },
    /// Changes the lobby's settings; for the owner.
    #[serde(rename = "lobby:settings")]
    Settings(LobbyChanges),
    /// Asks for the public lobbies and for news about them.
    #[serde(rename = "lobby:list:watch")]
    ListWatch,
    /// Wants no more news about the public lobbies.
    #[serde(rename = "lobby:list:unwatch")]
    ListUnwatch,
    /// Asks for the game servers and for news about them.
    #[serde(rename = "browser:watch")]
    BrowserWatch(BrowserFilter),
    /// Wants no more news about the game servers.
    #[serde(rename = "browser:unwatch")]
    BrowserUnwatch,
}

/// How a new lobby is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LobbyCreate {
    /// Not listed, joined by code only.
    #[serde(default)]
    pub is_private: bool,
    /// The lobby stays when its match starts and waits again when it has ended.
    #[serde(default)]
    pub keep: bool,
    /// A name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The map, as the game calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map: Option<String>,
    /// The mode, as the game calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Members of one team, at most what the game says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team_size: Option<u32>,
    /// Asked of everybody who joins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

/// Which lobby is joined, and how. Texts are as the client sent them, empty ones left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LobbyJoin {
    /// The lobby's id; for public ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lobby_id: Option<String>,
    /// The six digits that members give each other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The smaller one unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<Team>,
    /// The lobby's password, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

/// Settings to change; what is missing stays. An empty `name`, `map`, `mode` or `password` removes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LobbyChanges {
    /// A name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The map, as the game calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map: Option<String>,
    /// The mode, as the game calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Members of one team; 0 goes back to what the game says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team_size: Option<u32>,
    /// Asked of everybody who joins from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Not listed, joined by code only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_private: Option<bool>,
}

impl ClientMessage {
    /// Reads a text frame where its `id` does not matter.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        ClientFrame::parse(text).message
    }

    fn read(object: Map<String, Value>) -> Result<Self, ParseError> {
        let Some(Value::String(kind)) = object.get("type") else { return Err(ParseError::UnknownType) };
        let fields = Fields(&object);
        Ok(match kind.as_str() {
            "ping" => Self::Ping,
            "lobby:create" => Self::Create(LobbyCreate {
                is_private: fields.flag("isPrivate")?.unwrap_or(false),
                keep: fields.flag("keep")?.unwrap_or(false),
                name: fields.text("name")?,
                map: fields.text("map")?,
                mode: fields.text("mode")?,
                team_size: fields.count("teamSize")?,
                password: fields.text("password")?,
            }),
            "lobby:join" => Self::Join(LobbyJoin {
                lobby_id: fields.text("lobbyId")?.filter(|text| !text.is_empty()),
                code: fields.text("code")?.filter(|text| !text.is_empty()),
                team: fields.team("team")?,
                password: fields.text("password")?,
            }),
            "lobby:leave" => Self::Leave,
            "lobby:ready" => Self::Ready { ready: fields.flag("ready")?.unwrap_or_else(ready_unless_said) },
            "lobby:start" => Self::Start,
            "lobby:fill-bots" => Self::FillBots,
            "lobby:kick" => Self::Kick { account_id: fields.player("accountId")? },
            "lobby:team" => {
                let team = fields.team("team")?.ok_or(ParseError::Invalid(TEAM_EXPECTED.into()))?;
                Self::Team { team }
            }
            "lobby:transfer" => Self::Transfer { account_id: fields.player("accountId")? },
            "lobby:chat" => {
                let text = fields.text("text")?.ok_or_else(|| expected("text", "a string"))?;
                Self::Chat { text }
            }
            "lobby:settings" => Self::Settings(LobbyChanges {
                name: fields.text("name")?,
                map: fields.text("map")?,
                mode: fields.text("mode")?,
                team_size: fields.count("teamSize")?,
                password: fields.text("password")?,
                is_private: fields.flag("isPrivate")?,
            }),
            "lobby:list:watch" => Self::ListWatch,
            "lobby:list:unwatch" => Self::ListUnwatch,
            "browser:watch" => Self::BrowserWatch(fields.browser_filter()?),
            "browser:unwatch" => Self::BrowserUnwatch,
            _ => return Err(ParseError::UnknownType),
        })
    }
}

const fn ready_unless_said() -> bool {
    true
}

const TEAM_EXPECTED: &str = "`team` must be \"A\" or \"B\"";

fn expected(field: &str, what: &str) -> ParseError {
    ParseError::Invalid(format!("`{field}` must be {what}").into())
}

/// The fields of a message; each is read as one type or refused with a sentence that names it.
struct Fields<'a>(&'a Map<String, Value>);

impl Fields<'_> {
    fn flag(&self, field: &str) -> Result<Option<bool>, ParseError> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => Err(expected(field, "true or false")),
        }
    }

    fn text(&self, field: &str) -> Result<Option<String>, ParseError> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(expected(field, "a string")),
        }
    }

    fn count(&self, field: &str) -> Result<Option<u32>, ParseError> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                let count = value.as_u64().and_then(|count| u32::try_from(count).ok());
                count.map(Some).ok_or_else(|| expected(field, "a whole number"))
            }
        }
    }

    fn team(&self, field: &str) -> Result<Option<Team>, ParseError> {
        match self.text(field).map_err(|_| ParseError::Invalid(TEAM_EXPECTED.into()))?.as_deref() {
            None => Ok(None),
            Some("A") => Ok(Some(Team::A)),
            Some("B") => Ok(Some(Team::B)),
            Some(_) => Err(ParseError::Invalid(TEAM_EXPECTED.into())),
        }
    }

    fn browser_filter(&self) -> Result<BrowserFilter, ParseError> {
        let sort = match self.text("sort")?.as_deref() {
            None => None,
            Some("latency") => Some(BrowserSort::Latency),
            Some("players") => Some(BrowserSort::Players),
            Some("name") => Some(BrowserSort::Name),
            Some(_) => return Err(expected("sort", "\"latency\", \"players\" or \"name\"")),
        };
        let region = self.text("region")?.map(RegionId::new).transpose();
        Ok(BrowserFilter {
            region: region.map_err(|_| expected("region", "the id of a region"))?,
            version: self.text("version")?,
            not_full: self.flag("notFull")?.unwrap_or(false),
            has_players: self.flag("hasPlayers")?.unwrap_or(false),
            text: self.text("text")?,
            sort,
            latencies: self.latencies()?,
            limit: self.count("limit")?,
        })
    }

    fn latencies(&self) -> Result<BTreeMap<RegionId, u32>, ParseError> {
        let refused = || expected("latencies", "milliseconds by region, such as {\"eu\": 30}, at most 64");
        let given = match self.0.get("latencies") {
            None | Some(Value::Null) => return Ok(BTreeMap::new()),
            Some(Value::Object(given)) if given.len() <= LATENCIES_MAX => given,
            Some(_) => return Err(refused()),
        };
        let read = |(region, latency): (&String, &Value)| {
            // Clients measure fractions of a millisecond.
            let latency = latency.as_f64().filter(|ms| (0.0..=f64::from(u32::MAX)).contains(ms));
            Some((RegionId::new(region).ok()?, latency? as u32))
        };
        given.iter().map(read).collect::<Option<_>>().ok_or_else(refused)
    }

    fn player(&self, field: &str) -> Result<PlayerId, ParseError> {
        let text = self.text(field)?.ok_or_else(|| expected(field, "a string"))?;
        PlayerId::new(text).map_err(|_| expected(field, "the id of a member"))
    }
}
