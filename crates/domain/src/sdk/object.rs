//! The object that a game server sees of itself.

use std::collections::BTreeMap;

use greenroom_protocol::Timestamp;

use super::{Counter, Health, List, PLAYERS};
use crate::server::{Exit, Server, ServerPort, ServerState, StopReason};

/// What a label or an annotation that a server set is called to those who look at the object.
pub const SDK_PREFIX: &str = "agones.dev/sdk-";

/// The annotation that carries the payload of the server's allocation.
pub const PAYLOAD_ANNOTATION: &str = "greenroom.dev/payload";

/// The same for servers that were written for another host.
pub const PAYLOAD_ANNOTATION_GAMEFLOW: &str = "GAMEFLOW_PAYLOAD";

/// Where a game server stands, in the words of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its ports are being chosen.
    PortAllocation,
    /// It is about to be started.
    Creating,
    /// It is being started.
    Starting,
    /// It runs.
    Scheduled,
    /// It has said that it is ready, and is about to be.
    RequestReady,
    /// It can be given away.
    Ready,
    /// It has reserved itself.
    Reserved,
    /// It was given away.
    Allocated,
    /// It ends, or has ended.
    Shutdown,
    /// It failed.
    Error,
    /// Its pings did not come.
    Unhealthy,
}

impl State {
    /// Where a server stands; `is_running` tells whether its present try has a process.
    pub fn of(server: &Server, is_running: bool) -> Self {
        let sdk = server.sdk.as_deref();
        match server.state {
            ServerState::Starting if !is_running => Self::Creating,
            ServerState::Starting if sdk.is_some_and(|sdk| sdk.is_ready_said) => Self::RequestReady,
            ServerState::Starting => Self::Scheduled,
            ServerState::Ready if server.is_reserved() => Self::Reserved,
            ServerState::Ready => Self::Ready,
            ServerState::Allocated => Self::Allocated,
            _ if server.stop_reason == Some(StopReason::Unhealthy) => Self::Unhealthy,
            ServerState::Lost => Self::Error,
            ServerState::Ended if server.exit.as_ref().is_some_and(Exit::is_crash) => Self::Error,
            ServerState::Stopping | ServerState::Ended => Self::Shutdown,
        }
    }

    /// The protocol's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PortAllocation => "PortAllocation",
            Self::Creating => "Creating",
            Self::Starting => "Starting",
            Self::Scheduled => "Scheduled",
            Self::RequestReady => "RequestReady",
            Self::Ready => "Ready",
            Self::Reserved => "Reserved",
            Self::Allocated => "Allocated",
            Self::Shutdown => "Shutdown",
            Self::Error => "Error",
            Self::Unhealthy => "Unhealthy",
        }
    }
}

/// A game server as it sees itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GameServer {
    /// Its unique name.
    pub name: String,
    /// Whose it is: the studio's id.
    pub namespace: String,
    /// Its id.
    pub uid: String,
    /// Changes with every change of it.
    pub resource_version: String,
    /// The number of the try that started it.
    pub generation: i64,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it was told to end, or has ended.
    pub deleted_at: Option<Timestamp>,
    /// With their prefix, and the payload's.
    pub annotations: BTreeMap<String, String>,
    /// With their prefix.
    pub labels: BTreeMap<String, String>,
    /// What is expected of its pings.
    pub health: Health,
    /// Where it stands.
    pub state: State,
    /// Where players reach it.
    pub address: String,
    /// The ports that players are told.
    pub ports: Vec<Port>,
    /// By name.
    pub counters: BTreeMap<String, Counter>,
    /// By name; [`PLAYERS`] is always there.
    pub lists: BTreeMap<String, List>,
}

/// A port of a game server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Its number, as players see it.
    pub port: u16,
}

impl GameServer {
    /// The players that are connected.
    pub fn players(&self) -> &List {
        const NOBODY: &List = &List { capacity: 0, values: Vec::new() };
        self.lists.get(PLAYERS).unwrap_or(NOBODY)
    }

    /// How a server sees itself at `revision` of its document; none if it has no SDK. `ports` are
    /// those of its process while the document has none.
    pub fn of(server: &Server, ports: &[ServerPort], is_running: bool, revision: u64) -> Option<Self> {
        let sdk = server.sdk.as_deref()?;
        let birth = &server.birth;
        let prefixed = |(key, value): (&String, &String)| (format!("{SDK_PREFIX}{key}"), value.clone());
        let mut annotations: BTreeMap<_, _> = sdk.annotations.iter().map(prefixed).collect();
        // Not before it may be told: the driver marks that it was.
        let allocation = server.allocation.as_ref().filter(|_| server.state != ServerState::Starting);
        if let Some(allocation) = allocation {
            for name in [PAYLOAD_ANNOTATION, PAYLOAD_ANNOTATION_GAMEFLOW] {
                annotations.insert(name.to_owned(), allocation.payload.clone());
            }
        }
        let mut labels: BTreeMap<_, _> = sdk.labels.iter().map(prefixed).collect();
        labels.insert("agones.dev/fleet".into(), birth.game.to_string());
        labels.insert("greenroom.dev/region".into(), birth.region.to_string());
        labels.insert("greenroom.dev/version".into(), birth.version.clone());
        let ports = if server.ports.is_empty() { ports } else { &server.ports };
        let deleted_at = server.ended_at.or_else(|| {
            let stopping = server.history.iter().find(|passage| passage.state == ServerState::Stopping);
            stopping.map(|passage| passage.at)
        });
        Some(Self {
            name: birth.name.clone(),
            namespace: birth.studio.to_string(),
            uid: birth.id.to_string(),
            resource_version: revision.to_string(),
            generation: i64::from(server.tries),
            created_at: birth.created_at,
            deleted_at,
            annotations,
            labels,
            health: sdk.health,
            state: State::of(server, is_running),
            address: birth.address.clone(),
            ports: ports.iter().map(|port| Port { name: port.name.clone(), port: port.port }).collect(),
            counters: sdk.counters.clone(),
            lists: sdk.lists.clone(),
        })
    }
}
