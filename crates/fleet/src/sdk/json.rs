//! What is said over HTTP: JSON as grpc-gateway prints and reads it, with the names of the protocol,
//! nothing left out, and 64-bit integers as text.

use std::{collections::BTreeMap, fmt, net::IpAddr};

use greenroom_domain::sdk::{self, GameServer};
use greenroom_protocol::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A 64-bit integer: text when it is said; when it is heard, a number as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Int64(pub(super) i64);

impl Serialize for Int64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Int64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Int64;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an integer of 64 bits, as a number or as text")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Int64, E> {
                Ok(Int64(number))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Int64, E> {
                i64::try_from(number)
                    .map(Int64)
                    .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(number), &self))
            }

            // A whole number such as 5.0 or 1e3.
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Int64, E> {
                const EXACT_MAX: f64 = (1_u64 << f64::MANTISSA_DIGITS) as f64;
                if number.fract() == 0.0 && number.abs() <= EXACT_MAX {
                    return Ok(Int64(number as i64));
                }
                Err(E::invalid_value(de::Unexpected::Float(number), &self))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Int64, E> {
                text.parse().map(Int64).map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

/// A request that says nothing.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Nothing {}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Reserve {
    pub(super) seconds: Option<Int64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct KeyValue {
    pub(super) key: Option<String>,
    pub(super) value: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct CounterUpdate {
    pub(super) count: Option<Int64>,
    pub(super) capacity: Option<Int64>,
    #[serde(rename = "countDiff", alias = "count_diff")]
    pub(super) difference: Option<Int64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ListUpdate {
    pub(super) capacity: Option<Int64>,
    pub(super) values: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Value {
    pub(super) value: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Player {
    #[serde(rename = "playerID", alias = "player_id")]
    pub(super) id: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct PlayerCapacity {
    pub(super) count: Option<Int64>,
}

/// Why there is no other answer.
#[derive(Serialize)]
pub(super) struct Failure<'a> {
    pub(super) code: i32,
    pub(super) message: &'a str,
    pub(super) details: [(); 0],
}

#[derive(Serialize)]
pub(super) struct Empty {}

#[derive(Serialize)]
pub(super) struct Count {
    pub(super) count: Int64,
}

#[derive(Serialize)]
pub(super) struct Bool {
    pub(super) bool: bool,
}

#[derive(Serialize)]
pub(super) struct Players {
    pub(super) list: Vec<String>,
}

#[derive(Serialize)]
pub(super) struct Counter<'a> {
    pub(super) name: &'a str,
    pub(super) count: Int64,
    pub(super) capacity: Int64,
}

#[derive(Serialize)]
pub(super) struct List<'a> {
    pub(super) name: &'a str,
    pub(super) capacity: Int64,
    pub(super) values: Vec<String>,
}

/// One of those that are watched.
#[derive(Serialize)]
pub(super) struct Watched<'a> {
    pub(super) result: Object<'a>,
}

/// A game server as it sees itself.
#[derive(Serialize)]
pub(super) struct Object<'a> {
    #[serde(rename = "object_meta")]
    meta: Meta<'a>,
    spec: Spec,
    status: Status<'a>,
}

#[derive(Serialize)]
struct Meta<'a> {
    name: &'a str,
    namespace: &'a str,
    uid: &'a str,
    resource_version: &'a str,
    generation: Int64,
    creation_timestamp: Int64,
    deletion_timestamp: Int64,
    annotations: &'a BTreeMap<String, String>,
    labels: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Spec {
    health: Health,
}

#[derive(Serialize)]
struct Health {
    disabled: bool,
    period_seconds: i32,
    failure_threshold: i32,
    initial_delay_seconds: i32,
}

#[derive(Serialize)]
struct Status<'a> {
    state: &'static str,
    address: &'a str,
    addresses: Vec<Address<'a>>,
    ports: Vec<Port<'a>>,
    players: PlayerStatus<'a>,
    counters: BTreeMap<&'a str, CounterStatus>,
    lists: BTreeMap<&'a str, ListStatus<'a>>,
}

#[derive(Serialize)]
struct Address<'a> {
    r#type: &'static str,
    address: &'a str,
}

#[derive(Serialize)]
struct Port<'a> {
    name: &'a str,
    port: u16,
}

#[derive(Serialize)]
struct PlayerStatus<'a> {
    count: Int64,
    capacity: Int64,
    ids: &'a [String],
}

#[derive(Serialize)]
struct CounterStatus {
    count: Int64,
    capacity: Int64,
}

#[derive(Serialize)]
struct ListStatus<'a> {
    capacity: Int64,
    values: &'a [String],
}

impl<'a> Object<'a> {
    pub(super) fn of(server: &'a GameServer) -> Self {
        let players = server.players();
        let counter = |counter: &sdk::Counter| CounterStatus {
            count: Int64(counter.count),
            capacity: Int64(counter.capacity),
        };
        Self {
            meta: Meta {
                name: &server.name,
                namespace: &server.namespace,
                uid: &server.uid,
                resource_version: &server.resource_version,
                generation: Int64(server.generation),
                creation_timestamp: Int64(epoch_seconds(Some(server.created_at))),
                deletion_timestamp: Int64(epoch_seconds(server.deleted_at)),
                annotations: &server.annotations,
                labels: &server.labels,
            },
            spec: Spec {
                health: Health {
                    disabled: server.health.is_disabled,
                    period_seconds: seconds(server.health.period),
                    failure_threshold: i32::try_from(server.health.failure_threshold).unwrap_or(i32::MAX),
                    initial_delay_seconds: seconds(server.health.initial_delay),
                },
            },
            status: Status {
                state: server.state.as_str(),
                address: &server.address,
                addresses: vec![Address { r#type: address_kind(&server.address), address: &server.address }],
                ports: server.ports.iter().map(|port| Port { name: &port.name, port: port.port }).collect(),
                players: PlayerStatus {
                    count: Int64(players.values.len() as i64),
                    capacity: Int64(players.capacity),
                    ids: &players.values,
                },
                counters: server.counters.iter().map(|(name, of)| (name.as_str(), counter(of))).collect(),
                lists: server
                    .lists
                    .iter()
                    .map(|(name, list)| {
                        let status = ListStatus { capacity: Int64(list.capacity), values: &list.values };
                        (name.as_str(), status)
                    })
                    .collect(),
            },
        }
    }
}

/// Seconds since 1970; 0 if there is no such time.
pub(super) fn epoch_seconds(at: Option<Timestamp>) -> i64 {
    at.map_or(0, |at| at.as_millis().div_euclid(1000))
}

pub(super) fn seconds(time: std::time::Duration) -> i32 {
    i32::try_from(time.as_secs()).unwrap_or(i32::MAX)
}

/// What kind of address players are told.
pub(super) fn address_kind(address: &str) -> &'static str {
    if address.parse::<IpAddr>().is_ok() { "ExternalIP" } else { "ExternalDNS" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integer_is_heard_as_text_or_as_a_number_and_said_as_text() {
        for (text, number) in [
            ("\"5\"", 5),
            ("5", 5),
            ("-5", -5),
            ("\"-9223372036854775808\"", i64::MIN),
            ("9223372036854775807", i64::MAX),
            ("5.0", 5),
            ("1e3", 1000),
        ] {
            assert_eq!(serde_json::from_str::<Int64>(text).unwrap(), Int64(number), "{text}");
        }
        for wrong in ["5.5", "\"\"", "\"five\"", "true", "[]", "9223372036854775808", "1e300", "\"1.0\""] {
            assert!(serde_json::from_str::<Int64>(wrong).is_err(), "{wrong}");
        }
        assert_eq!(serde_json::to_string(&Int64(i64::MAX)).unwrap(), "\"9223372036854775807\"");
    }
}
