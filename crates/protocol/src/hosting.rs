//! Dedicated servers: allocating, listing and stopping them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{ErrorCode, GameId, HostId, MatchId, RegionId, ServerId, Timestamp};

/// Largest payload of an allocation, in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 64 * 1024;

/// Largest payload that is also given in `GREENROOM_PAYLOAD`, in bytes.
pub const PAYLOAD_ENVIRONMENT_BYTES_MAX: usize = 32 * 1024;

/// The body of `POST /v1/games/{game}/servers`. Fields that are not known are ignored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AllocateRequest {
    /// Where; the game's default unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// What the game server is given byte for byte: at most [`PAYLOAD_BYTES_MAX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
    /// How long to wait until it is ready, at the longest; missing or 0: as long as the game says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<f64>,
    /// Which version, as its tag is written; the game's unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The text that people know it by, as the server browser shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Whether the server browser shows it; not unless given.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub listed: bool,
}

/// Longest version, in characters: that of an image's tag.
pub const VERSION_CHARS_MAX: usize = 128;

/// Whether `text` has the form of a version: what an image's tag may be, and `+`.
pub fn is_version_text(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte);
    text.len() <= VERSION_CHARS_MAX
        && text.bytes().all(fits)
        && text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
}

/// A body that is no allocation; the sentence says why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AllocateBodyError {
    /// Not JSON, or no object: 400.
    #[error("the body must be a JSON object such as {{\"region\": \"eu\", \"payload\": \"…\"}}")]
    NotJson,
    /// A field has the wrong type: 422.
    #[error("`{field}` must be {expected}")]
    Invalid {
        /// Which.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// The payload is too large: 413.
    #[error("`payload` has {bytes} bytes, more than the {PAYLOAD_BYTES_MAX} that are allowed")]
    PayloadTooLarge {
        /// How large it is.
        bytes: usize,
    },
}

impl AllocateBodyError {
    /// The stable code that goes with it.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::NotJson => ErrorCode::BadRequest,
            Self::Invalid { .. } => ErrorCode::Invalid,
            Self::PayloadTooLarge { .. } => ErrorCode::TooLarge,
        }
    }
}

impl AllocateRequest {
    /// Reads a body, whatever its Content-Type says. `null` is the same as missing.
    pub fn parse(body: &[u8]) -> Result<Self, AllocateBodyError> {
        let Ok(Value::Object(mut object)) = serde_json::from_slice(body) else {
            return Err(AllocateBodyError::NotJson);
        };
        let mut text = |field: &'static str| match object.remove(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(AllocateBodyError::Invalid { field, expected: "a string" }),
        };
        let (region, payload) = (text("region")?, text("payload")?);
        let (version, title) = (text("version")?, text("title")?);
        if version.as_deref().is_some_and(|version| !is_version_text(version)) {
            let expected = "a version such as 1.2.3: at most 128 letters, digits, dots, `_`, `+` and `-`";
            return Err(AllocateBodyError::Invalid { field: "version", expected });
        }
        let listed = match object.get("listed") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(listed)) => *listed,
            Some(_) => return Err(AllocateBodyError::Invalid { field: "listed", expected: "true or false" }),
        };
        if let Some(bytes) = payload.as_ref().map(String::len).filter(|bytes| *bytes > PAYLOAD_BYTES_MAX) {
            return Err(AllocateBodyError::PayloadTooLarge { bytes });
        }
        let timeout_seconds =
            match object.get("timeoutSeconds") {
                None | Some(Value::Null) => None,
                Some(value) => Some(value.as_f64().filter(|seconds| *seconds >= 0.0).ok_or(
                    AllocateBodyError::Invalid { field: "timeoutSeconds", expected: "a number, 0 or more" },
                )?),
            };
        Ok(Self { region, payload, timeout_seconds, version, title, listed })
    }
}

/// The answer to an allocation, when the server can accept players.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct AllocateResponse {
    /// The server.
    pub server: AllocatedServer,
}

/// A server that was allocated. The contract's fields come first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AllocatedServer {
    /// Unique for ever.
    pub name: String,
    /// Where players reach it: host name or IP address.
    pub address: String,
    /// Its first port.
    pub port: u16,
    /// Its id.
    pub id: ServerId,
    /// `allocated`; another one when an idempotent repeat finds that it has ended since.
    pub state: ServerState,
    /// Where it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<RegionId>,
    /// All its ports.
    #[serde(default)]
    pub ports: Vec<PortView>,
}

/// How far a game server is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum ServerState {
    /// It was, or is about to be, started and is not ready yet.
    Starting,
    /// It stands ready for an allocation.
    Ready,
    /// It was handed out.
    Allocated,
    /// It was told to stop.
    Stopping,
    /// It has exited; `exit` says how.
    Ended,
    /// It is gone, and nobody saw how.
    Lost,
}

impl ServerState {
    /// Whether nothing comes after it.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Ended | Self::Lost)
    }

    /// The state as it is written on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Allocated => "allocated",
            Self::Stopping => "stopping",
            Self::Ended => "ended",
            Self::Lost => "lost",
        }
    }
}

/// One port of a game server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct PortView {
    /// Its name.
    pub name: String,
    /// Its number.
    pub port: u16,
    /// `tcp`, `udp` or `tcp+udp`.
    pub protocol: String,
}

/// A game server as its studio sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerView {
    /// Unique for ever.
    pub id: ServerId,
    /// Unique for ever.
    pub name: String,
    /// The text that a player gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Its name in paths, where players reach it through Traefik or the gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Whose it is.
    pub game: GameId,
    /// How far it is.
    pub state: ServerState,
    /// Where it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<RegionId>,
    /// The version of its build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Where players reach it: host name or IP address.
    pub address: String,
    /// Its first port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// All its ports.
    #[serde(default)]
    pub ports: Vec<PortView>,
    /// Whether its host can be asked at the moment; if not, it is told as it was last seen. Missing
    /// once it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_reachable: Option<bool>,
    /// Whether somebody has paused its container: its players are stuck until it is unpaused, or stopped.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// What it was handed out for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocation: Option<AllocationView>,
    /// Its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<ExitView>,
    /// What it has said of itself through the SDK, where its fleet has that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sdk: Option<SdkView>,
    /// Every state it was in, oldest first.
    #[serde(default)]
    pub history: Vec<StateChange>,
}

/// What a game server has said of itself through the Agones SDK.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SdkView {
    /// Where it stands in the SDK's words, such as `Ready`, `Reserved` or `Allocated`.
    pub state: String,
    /// When its reservation runs out, if it has reserved itself for a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved_until: Option<Timestamp>,
    /// Labels that it set.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Annotations that it set.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// Its counters, by name.
    #[serde(default)]
    pub counters: BTreeMap<String, CounterView>,
    /// Its lists, by name; `players` is always there.
    #[serde(default)]
    pub lists: BTreeMap<String, ListView>,
}

/// A number with a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct CounterView {
    /// From 0 to `capacity`.
    pub count: i64,
    /// The most it can be.
    pub capacity: i64,
}

/// Distinct values with a bound on their number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct ListView {
    /// Most values.
    pub capacity: i64,
    /// In the order in which they were added.
    pub values: Vec<String>,
}

/// What a game server was handed out for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AllocationView {
    /// When.
    pub at: Timestamp,
    /// The match it plays, if a lobby started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub match_id: Option<MatchId>,
    /// Bytes of the payload it was given.
    #[serde(default)]
    pub payload_bytes: u64,
}

/// How a game server ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExitView {
    /// When.
    pub at: Timestamp,
    /// The exit status, unless a signal ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// The signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// A signal or status that nobody asked for.
    pub crashed: bool,
    /// A sentence for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The last lines of its log.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub last_lines: Vec<String>,
}

/// One step in the life of a game server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct StateChange {
    /// The state it went to.
    pub state: ServerState,
    /// When.
    pub at: Timestamp,
    /// Why, where there is something to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The answer of `GET /v1/games/{game}/servers`: a page of game servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct ServerList {
    /// Living ones first, then ended ones; newest first.
    pub servers: Vec<ServerView>,
    /// Gets the next page as `?cursor=`; missing on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// The answer of `GET /v1/games/{game}/regions`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct RegionList {
    /// The first is the default.
    pub regions: Vec<RegionView>,
}

/// One region of a game.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct RegionView {
    /// What `region` of an allocation says.
    pub id: RegionId,
}

/// The answer of `GET /v1/hosts`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct HostList {
    /// By id.
    pub hosts: Vec<HostView>,
}

/// Where game servers run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostView {
    /// Its name in the configuration; `local` is Greenroom's own machine.
    pub id: HostId,
    /// What runs game servers there: `process`, `docker` or `hosting-api`.
    pub provider: String,
    /// Where it stands; missing if games of any region run there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<RegionId>,
    /// Whether it can be asked.
    pub state: HostState,
    /// Since when.
    pub since: Timestamp,
    /// Why it is lost: a sentence for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What its engine calls its version, once it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine_version: Option<String>,
    /// The game servers on it, starting and stopping ones included.
    pub servers: u32,
    /// Most game servers at once; missing if the limits of games and studios alone count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub servers_max: Option<u32>,
    /// The address that players reach its servers at.
    pub address: String,
    /// What its game servers used of its processors when they were last looked at, in thousandths of a core;
    /// missing if no server there was looked at yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_millicores: Option<u64>,
    /// The memory that its game servers held then, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
}

/// Whether a host can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HostState {
    /// It answers.
    Up,
    /// It does not. What ran there may still run, and is taken up when it is back.
    Lost,
}

impl HostState {
    /// The state as it is written on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Lost => "lost",
        }
    }
}

#[cfg(test)]
mod tests;
