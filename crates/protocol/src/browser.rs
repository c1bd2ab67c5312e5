//! The server browser: what game servers say of themselves, and what players see of them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{RegionId, Timestamp, lobby::RequestId};

/// Entries of one answer unless the filter says otherwise.
pub const BROWSER_LIMIT_DEFAULT: u32 = 50;

/// Most entries of one answer.
pub const BROWSER_LIMIT_MAX: u32 = 200;

/// Most regions whose latency a filter tells.
pub const LATENCIES_MAX: usize = 64;

/// Most players that a game server may report.
pub const REPORTED_PLAYERS_MAX: u32 = 100_000;

/// Longest version that an announcement may name, in bytes.
pub const VERSION_BYTES_MAX: usize = 64;

/// One server of the list at `GET /api/list/servers`, as shipped clients read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct ListedServer {
    /// For people.
    pub name: String,
    /// Where players reach it: an IP address, or the configured host name.
    pub ip: String,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// Its port.
    pub port: u16,
    /// Whether it runs where this installation starts servers.
    pub official: bool,
    /// How many play on it.
    pub players: u32,
}

/// One game server as players see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BrowserEntry {
    /// The same for as long as it is listed.
    pub id: String,
    /// For people.
    pub name: String,
    /// Where players reach it: IP address or host name.
    pub address: String,
    /// Its port.
    pub port: u16,
    /// Where its WebSocket is on the installation's own address, such as `/games/race/AB3D/ws`; for
    /// servers that are reached through a proxy instead of by their port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// Whether it runs where this installation starts servers.
    pub official: bool,
    /// How many play on it; 0 as long as it has not said.
    pub players: u32,
    /// How many may, where it has said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub players_max: Option<u32>,
    /// Where it runs, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<RegionId>,
    /// The version it runs, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Since when it is there.
    pub since: Timestamp,
}

/// The answer of `GET /v1/games/{game}/browser`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub struct BrowserPage {
    /// In the order that was asked for.
    pub servers: Vec<BrowserEntry>,
    /// How many there are that the filter lets through, on all pages.
    pub total: u32,
    /// Gets the next page as `?cursor=`, with the same filter; missing on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What the list of game servers is sorted by. Among equals, the fuller one comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BrowserSort {
    /// The client's own latency to the server's region, the lowest first; unknown ones last.
    Latency,
    /// The most players first.
    Players,
    /// By name.
    Name,
}

/// Which game servers are shown, and how. Without anything in it, all are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BrowserFilter {
    /// Only those of this region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<RegionId>,
    /// Only those that run this version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Only those that are not known to be full.
    #[serde(default)]
    pub not_full: bool,
    /// Only those that somebody plays on.
    #[serde(default)]
    pub has_players: bool,
    /// Only those whose name has this in it, in whatever case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// By latency where latencies are given, else by players, unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sort: Option<BrowserSort>,
    /// The client's latency to each region, in milliseconds: at most [`LATENCIES_MAX`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub latencies: BTreeMap<RegionId, u32>,
    /// At most so many: [`BROWSER_LIMIT_DEFAULT`] unless given, [`BROWSER_LIMIT_MAX`] at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// To who watches the server browser: its newest state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BrowserNews {
    /// Those that the filter lets through, in its order, at most its limit.
    pub servers: Vec<BrowserEntry>,
    /// How many it lets through.
    pub total: u32,
    /// That of the message it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<RequestId>,
}

/// The first message of a game server over `/api/list/ws`. The contract's fields come first; a
/// server that knows the others may tell them too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Announcement {
    /// For people.
    pub name: String,
    /// Where it listens.
    pub port: u16,
    /// Whether it speaks TLS.
    #[serde(default)]
    pub tls: bool,
    /// How many play on it.
    #[serde(default)]
    pub players: u32,
    /// How many may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub players_max: Option<u32>,
    /// Where it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<RegionId>,
    /// The version it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// A later message of a game server over `/api/list/ws`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlayersReport {
    /// How many play on it.
    pub players: u32,
    /// How many may, if that has changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub players_max: Option<u32>,
}

/// Why a message of a game server does not fit; short enough for the reason of a close.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListMessageError {
    /// Not a JSON object.
    #[error("expected a JSON object such as {0}")]
    NotAnObject(&'static str),
    /// A field is missing or has the wrong type or value.
    #[error("`{field}` must be {expected}")]
    Invalid {
        /// Which.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
    },
}

impl Announcement {
    /// Reads the first message. Fields that are not known are ignored; of those that are not the
    /// contract's, `null` is the same as missing.
    pub fn parse(text: &str) -> Result<Self, ListMessageError> {
        let Ok(Value::Object(object)) = serde_json::from_str(text) else {
            return Err(ListMessageError::NotAnObject(r#"{"name": "…", "port": 7000, "tls": false}"#));
        };
        let invalid = |field, expected| ListMessageError::Invalid { field, expected };
        let Some(Value::String(name)) = object.get("name") else { return Err(invalid("name", "a string")) };
        let port = object.get("port").and_then(whole).and_then(|port| u16::try_from(port).ok());
        let port = port.filter(|port| *port > 0).ok_or(invalid("port", "a number from 1 to 65535"))?;
        let tls = match object.get("tls") {
            None => false,
            Some(Value::Bool(tls)) => *tls,
            Some(_) => return Err(invalid("tls", "true or false")),
        };
        let version = match object.get("version") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) if (1..=VERSION_BYTES_MAX).contains(&text.len()) => Some(text.clone()),
            Some(_) => return Err(invalid("version", "a string of 1 to 64 bytes")),
        };
        let region = match object.get("region") {
            None | Some(Value::Null) => None,
            Some(region) => {
                let id = region.as_str().and_then(|id| RegionId::new(id).ok());
                Some(id.ok_or(invalid("region", "the id of a region"))?)
            }
        };
        Ok(Self {
            name: name.clone(),
            port,
            tls,
            players: players(&object, "players")?.unwrap_or(0),
            players_max: players(&object, "playersMax")?,
            region,
            version,
        })
    }
}

impl PlayersReport {
    /// Reads a later message. Fields that are not known are ignored.
    pub fn parse(text: &str) -> Result<Self, ListMessageError> {
        let Ok(Value::Object(object)) = serde_json::from_str(text) else {
            return Err(ListMessageError::NotAnObject(r#"{"players": 3}"#));
        };
        let missing = ListMessageError::Invalid { field: "players", expected: PLAYERS_EXPECTED };
        Ok(Self {
            players: players(&object, "players")?.ok_or(missing)?,
            players_max: players(&object, "playersMax")?,
        })
    }
}

const PLAYERS_EXPECTED: &str = "a whole number from 0 to 100000";

fn players(object: &Map<String, Value>, field: &'static str) -> Result<Option<u32>, ListMessageError> {
    match object.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let count = whole(value).and_then(|count| u32::try_from(count).ok());
            let count = count.filter(|count| *count <= REPORTED_PLAYERS_MAX);
            count.map(Some).ok_or(ListMessageError::Invalid { field, expected: PLAYERS_EXPECTED })
        }
    }
}

/// A whole number, also one that a game engine whose numbers are all fractions wrote as `3.0`.
fn whole(value: &Value) -> Option<u64> {
    let of_fraction = |number: f64| {
        ((0.0..=f64::from(u32::MAX)).contains(&number) && number.fract() == 0.0).then_some(number as u64)
    };
    value.as_u64().or_else(|| value.as_f64().and_then(of_fraction))
}

#[cfg(test)]
mod tests;
