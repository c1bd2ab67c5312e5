//! What an operator decides, checked and in plain types. The binary reads it from the
//! configuration; the rules are given it.

use std::{collections::BTreeMap, ops::RangeInclusive, time::Duration};

use greenroom_protocol::{GameId, HostId, RegionId, StudioId};

use crate::sdk::SdkSettings;

mod place;

pub use place::*;

/// A tenant and its limits.
#[derive(Clone, Debug, PartialEq)]
pub struct StudioSettings {
    /// Which studio.
    pub id: StudioId,
    /// Most game servers that run at once over all its games.
    pub servers_max: u32,
    /// Limits of its history.
    pub events: EventLimits,
}

/// Limits of a studio's history. At `bytes_max`, `events_max` and `age_max` the oldest events go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventLimits {
    /// Bytes of all events together.
    pub bytes_max: u64,
    /// Number of events.
    pub events_max: u64,
    /// Age of the oldest event.
    pub age_max: Option<Duration>,
    /// Durable consumers.
    pub consumers_max: u32,
}

/// A title of a studio.
#[derive(Clone, Debug, PartialEq)]
pub struct GameSettings {
    /// Which game.
    pub id: GameId,
    /// Whose.
    pub studio: StudioId,
    /// Host names whose requests to contract paths mean this game.
    pub hosts: Vec<String>,
    /// Its name in the paths of the gateway, such as `/games/<slug>/…`.
    pub slug: String,
    /// How its lobbies behave.
    pub lobby: LobbySettings,
    /// Its game servers; none if it has no dedicated ones.
    pub fleet: Option<FleetSettings>,
}

/// How a game's lobbies behave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LobbySettings {
    /// Most members of one team; unset: only `members_max` bounds joins, and bots fill to 2.
    pub team_size: Option<u32>,
    /// Most members of a lobby, bots included. 64 unless set.
    pub members_max: u32,
    /// How long the place of a member whose last socket closed is kept. 30 s unless set.
    pub grace: Duration,
    /// How long a match that was started is remembered for who reconnects, at the longest.
    pub match_max: Duration,
}

impl Default for LobbySettings {
    fn default() -> Self {
        Self {
            team_size: None,
            members_max: 64,
            grace: Duration::from_secs(30),
            match_max: Duration::from_hours(4),
        }
    }
}

/// The game servers of one game.
#[derive(Clone, Debug, PartialEq)]
pub struct FleetSettings {
    /// What starts them.
    pub provider: ProviderSettings,
    /// How players reach them.
    pub connection: Connection,
    /// The program and its arguments, as templates: see `template`. In a container, the arguments
    /// alone: the program is the image's.
    pub command: Vec<String>,
    /// Further environment, values as templates.
    pub environment: BTreeMap<String, String>,
    /// Where the program runs; the server's own folder unless set.
    pub working_dir: Option<String>,
    /// The ports it is given, the first being the one that players are told.
    pub ports: Vec<PortSettings>,
    /// Where ports come from that are not fixed.
    pub port_range: RangeInclusive<u16>,
    /// When it counts as ready.
    pub ready: Readiness,
    /// How long it may take until it is.
    pub ready_timeout: Duration,
    /// How often a start is tried before the allocation fails.
    pub start_tries_max: u32,
    /// Between SIGTERM and SIGKILL.
    pub stop_grace: Duration,
    /// How many stand ready ahead of demand, at least.
    pub ready_min: u32,
    /// How many stand ready at the most, following demand; `ready_min` unless set.
    pub ready_max: Option<u32>,
    /// How many may run at once, starting and stopping ones included.
    pub running_max: u32,
    /// How a warm server is told its payload.
    pub warm_payload: WarmPayload,
    /// The Agones SDK's endpoint for each server; unset: there is none.
    pub sdk: Option<SdkSettings>,
    /// The version of servers that are asked for without one, and of those that stand ready. Unset, which
    /// only that of containers can be: the newest one that is supported.
    pub version: Option<String>,
    /// Regions it runs in; the first is the default.
    pub regions: Vec<RegionId>,
    /// Limits of one server, where the system allows.
    pub limits: ServerLimits,
    /// The log of one server is rotated at this size; one old part is kept.
    pub log_bytes_max: u64,
    /// How long the log and the state of an ended server are kept.
    pub ended_keep: Duration,
}

impl Default for FleetSettings {
    fn default() -> Self {
        Self {
            provider: ProviderSettings::Process,
            connection: Connection::Ports,
            command: Vec::new(),
            environment: BTreeMap::new(),
            working_dir: None,
            ports: Vec::new(),
            port_range: 7000..=7999,
            ready: Readiness::Listening,
            ready_timeout: Duration::from_secs(30),
            start_tries_max: 3,
            stop_grace: Duration::from_secs(10),
            ready_min: 0,
            ready_max: None,
            running_max: 20,
            warm_payload: WarmPayload::Ignore,
            sdk: None,
            version: Some("1".into()),
            regions: Vec::new(),
            limits: ServerLimits::default(),
            log_bytes_max: 16 << 20,
            ended_keep: Duration::from_hours(24),
        }
    }
}

/// One port of a game server, or several consecutive ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortSettings {
    /// Its name: `{port:<name>}`, `GREENROOM_PORT_<NAME>`.
    pub name: String,
    /// What is bound on it.
    pub protocol: PortProtocol,
    /// How many consecutive ports; 1 unless set.
    pub count: u16,
    /// A fixed number instead of one from the range.
    pub fixed: Option<u16>,
    /// The number inside a container, of the first of `count`; the same as outside unless set.
    pub inner: Option<u16>,
}

/// What a game server binds on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum PortProtocol {
    /// TCP only.
    #[serde(rename = "tcp")]
    Tcp,
    /// UDP only.
    #[serde(rename = "udp")]
    Udp,
    /// Both, on the same number.
    #[serde(rename = "tcp+udp")]
    TcpUdp,
    /// One of the two, or both: the number is kept free for it, and one is enough to be ready.
    #[serde(rename = "tcp|udp")]
    Either,
}

/// When a game server counts as ready for players.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Its process or a descendant holds every socket it was given.
    Listening,
    /// A line of its output matches this regular expression.
    Log(String),
    /// This long after its start, if it still runs.
    After(Duration),
    /// The health check of its image says so; in containers alone.
    Health,
    /// It says so through the SDK.
    Sdk,
}

/// How a warm server is told the payload of its allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WarmPayload {
    /// By the file named in `GREENROOM_PAYLOAD_FILE`.
    File,
    /// By the annotations of the object that it watches through the SDK.
    Sdk,
    /// It needs none.
    Ignore,
}

/// Limits of one game server; unset ones are the system's.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ServerLimits {
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// CPU in cores.
    pub cpu_cores: Option<f64>,
    /// Open descriptors.
    pub descriptors: Option<u64>,
    /// Processes and threads; in containers alone.
    pub processes: Option<u64>,
}

/// Everything an operator decided about studios and games. Cheap to share behind an `Arc`;
/// replaced as a whole.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// By id.
    pub studios: BTreeMap<StudioId, StudioSettings>,
    /// By id.
    pub games: BTreeMap<GameId, GameSettings>,
    /// Where game servers run beside this machine's own processes: by id.
    pub hosts: BTreeMap<HostId, HostSettings>,
    /// The game of a contract path whose Host names none.
    pub default_game: Option<GameId>,
    /// The address that players reach game servers at.
    pub public_address: String,
    /// Where game servers reach us, such as `http://127.0.0.1:4700`.
    pub internal_url: String,
}

impl Settings {
    /// The game whose servers are at `/games/<slug>/…`.
    pub fn game_of_slug(&self, slug: &str) -> Option<&GameSettings> {
        self.games.values().find(|game| game.slug == slug)
    }

    /// The game that a request to a contract path means: the one whose `hosts` has `host`, else the
    /// default one, else the only one.
    pub fn game_of_host(&self, host: Option<&str>) -> Option<&GameSettings> {
        let name = host.map(|host| host.rsplit_once(':').map_or(host, |(name, _port)| name));
        let by_host = name.and_then(|name| {
            self.games.values().find(|game| game.hosts.iter().any(|h| h.eq_ignore_ascii_case(name)))
        });
        let by_default = || self.default_game.as_ref().and_then(|id| self.games.get(id));
        let only = || if self.games.len() == 1 { self.games.values().next() } else { None };
        by_host.or_else(by_default).or_else(only)
    }
}
