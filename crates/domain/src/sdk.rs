//! The game server's side: what a server may say of itself through the Agones SDK, what becomes of
//! it, and the object that it sees.
//!
//! Source: the Agones client SDK's public interface. Where Agones answers in a way that clients do
//! not expect (500, or an empty list), the kinds of [`Refusal`] say what they do expect.

use std::{collections::BTreeMap, time::Duration};

use greenroom_protocol::Timestamp;
use serde::{Deserialize, Serialize};

mod change;
mod object;
#[cfg(test)]
mod tests;

pub use object::{GameServer, PAYLOAD_ANNOTATION, PAYLOAD_ANNOTATION_GAMEFLOW, Port, SDK_PREFIX, State};

/// The list that player tracking works on; every server has it.
pub const PLAYERS: &str = "players";

/// The capacity of [`PLAYERS`] unless declared otherwise.
pub const PLAYERS_CAPACITY: i64 = 100;

/// Largest capacity of a list, as Agones has it.
pub const LIST_CAPACITY_MAX: i64 = 1_000;

/// Longest value of a list, in bytes. A longer one is refused as a bad argument.
pub const LIST_VALUE_BYTES_MAX: usize = 256;

/// Most labels, and most annotations, that a server may set. A further one is refused as out of range.
pub const LABELS_MAX: usize = 64;

/// Longest key of a label or an annotation, and longest value of a label, in bytes.
pub const LABEL_BYTES_MAX: usize = 63;

/// Longest value of an annotation, in bytes.
pub const ANNOTATION_BYTES_MAX: usize = 4 * 1024;

/// Longest time that a server may reserve itself for. A longer one is refused as a bad argument.
pub const RESERVE_MAX: Duration = Duration::from_hours(24 * 365);

/// What a fleet declares of the SDK of its servers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SdkSettings {
    /// What is expected of their pings.
    pub health: Health,
    /// Counters that each begins with.
    pub counters: BTreeMap<String, Counter>,
    /// Lists that each begins with, beside [`PLAYERS`].
    pub lists: BTreeMap<String, List>,
}

/// What is expected of a game server's pings. Enforced after the first one, or from the start where
/// the SDK tells readiness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Whether nothing is expected.
    pub is_disabled: bool,
    /// A ping is expected as often.
    pub period: Duration,
    /// So many in a row may be missed, less one: the last one makes it unhealthy.
    pub failure_threshold: u32,
    /// None is expected for so long after its start, or ours.
    pub initial_delay: Duration,
}

impl Default for Health {
    fn default() -> Self {
        let five = Duration::from_secs(5);
        Self { is_disabled: false, period: five, failure_threshold: 3, initial_delay: five }
    }
}

impl Health {
    /// How long a server may be silent that was heard of last by a ping, or (`is_first`) whose first ping is
    /// waited for.
    pub fn patience(&self, is_first: bool) -> Duration {
        let misses = self.period.saturating_mul(self.failure_threshold.max(1));
        if is_first { misses.saturating_add(self.initial_delay) } else { misses }
    }
}

/// A number with a bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counter {
    /// From 0 to `capacity`.
    pub count: i64,
    /// At least 0.
    pub capacity: i64,
}

/// Distinct values with a bound on their number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct List {
    /// From 0 to [`LIST_CAPACITY_MAX`].
    pub capacity: i64,
    /// In the order in which they were added.
    pub values: Vec<String>,
}

/// What a server has said of itself; part of its document. Begins anew with each try to start it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sdk {
    /// What is expected of its pings; as it was declared when it was started.
    pub health: Health,
    /// It has said that it is ready.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_ready_said: bool,
    /// It has taken itself out of what is given away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved: Option<Reserved>,
    /// Labels that it set, without their prefix.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations that it set, without their prefix.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// By name; those that were declared.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counters: BTreeMap<String, Counter>,
    /// By name; those that were declared, and [`PLAYERS`].
    pub lists: BTreeMap<String, List>,
}

/// How long a server has reserved itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reserved {
    /// From then on it is ready again; never by itself if unset.
    pub until: Option<Timestamp>,
}

impl Sdk {
    /// What a server begins with whose fleet declares `settings`.
    pub fn declared(settings: &SdkSettings) -> Self {
        let mut lists = settings.lists.clone();
        lists
            .entry(PLAYERS.to_owned())
            .or_insert_with(|| List { capacity: PLAYERS_CAPACITY, values: Vec::new() });
        Self { health: settings.health, counters: settings.counters.clone(), lists, ..Self::default() }
    }

    /// The players that it says are connected, as player tracking has them.
    pub fn players(&self) -> Option<&List> {
        self.lists.get(PLAYERS)
    }
}

/// What a game server asks for. See [`crate::server::Server::change_by_sdk`] for what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It accepts players; from allocated or reserved, it is free again.
    Ready,
    /// It gives itself away.
    Allocate,
    /// It is not to be given away for so long; unset: until it says otherwise.
    Reserve(Option<Duration>),
    /// It is to be stopped.
    Shutdown,
    /// Sets a label.
    Label {
        /// Without the prefix.
        key: String,
        /// Its new value.
        value: String,
    },
    /// Sets an annotation.
    Annotation {
        /// Without the prefix.
        key: String,
        /// Its new value.
        value: String,
    },
    /// Changes a counter.
    Counter {
        /// Which.
        name: String,
        /// How.
        change: CounterChange,
    },
    /// Changes what is given of a list.
    List {
        /// Which.
        name: String,
        /// Its new capacity; values beyond it go.
        capacity: Option<i64>,
        /// Its new values; a repeated one counts once, those beyond the capacity go.
        values: Option<Vec<String>>,
    },
    /// Adds a value to a list.
    AddValue {
        /// Which list.
        list: String,
        /// What.
        value: String,
    },
    /// Takes a value from a list.
    RemoveValue {
        /// Which list.
        list: String,
        /// What.
        value: String,
    },
    /// A player has connected; one that is there already changes nothing.
    PlayerConnect(String),
    /// A player has gone; one that is not there changes nothing.
    PlayerDisconnect(String),
    /// So many players may connect.
    PlayerCapacity(i64),
}

/// How a counter is changed: to absolute numbers, or by a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CounterChange {
    /// To these; what is unset stays. A count beyond a smaller capacity becomes the capacity.
    Set {
        /// The new count.
        count: Option<i64>,
        /// The new capacity.
        capacity: Option<i64>,
    },
    /// By this.
    By(i64),
}

/// Why a change is refused; each is one status of the protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request says nothing that can be done: 400, code 3.
    #[error("{0}")]
    BadArgument(String),
    /// There is no such list, counter or value: 404, code 5.
    #[error("{0}")]
    NotFound(String),
    /// The list has the value: 409, code 6.
    #[error("{0}")]
    AlreadyExists(String),
    /// The server's life does not allow it any more: 400, code 9.
    #[error("{0}")]
    WrongState(String),
    /// Beyond a capacity or a bound: 400, code 11.
    #[error("{0}")]
    OutOfRange(String),
}
