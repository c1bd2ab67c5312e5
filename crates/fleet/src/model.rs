//! What the port speaks in: what is to be started, and what is known of it.

use std::{
    collections::BTreeMap, net::IpAddr, ops::RangeInclusive, path::PathBuf, sync::Arc, time::Duration,
};

use bytes::Bytes;
use greenroom_domain::settings::{
    ContainerSettings, Labels, PortProtocol, PortSettings, Readiness, RemoteSettings, ServerLimits,
};
use greenroom_protocol::{HostId, RegionId, ServerId, Timestamp};
use serde::{Deserialize, Serialize};

/// The program, its arguments and its environment, made once the ports are known.
#[derive(Clone, PartialEq, Eq)]
pub struct Launch {
    /// The program and its arguments, each passed on as it is: there is no shell.
    pub argv: Vec<String>,
    /// Environment beyond `PATH`, `HOME` and `LANG`.
    pub environment: BTreeMap<String, String>,
}

/// Makes the [`Launch`] from the ports that were reserved; the error is a sentence for people.
pub type Render = Arc<dyn Fn(&[BoundPort]) -> Result<Launch, String> + Send + Sync>;

/// A game server that is to be started.
#[derive(Clone)]
pub struct StartSpec {
    /// Which server. Starting it again gives the first answer.
    pub id: ServerId,
    /// Its unique name, for logs.
    pub name: String,
    /// The ports it needs, in the order in which they are bound.
    pub ports: Vec<PortSettings>,
    /// Where ports that are not fixed come from.
    pub port_range: RangeInclusive<u16>,
    /// When it counts as ready.
    pub ready: Readiness,
    /// How long it may take until it is; after that it is ended as not ready.
    pub ready_timeout: Duration,
    /// Between SIGTERM and SIGKILL when it is ended for not being ready.
    pub stop_grace: Duration,
    /// On which host; each host is one engine's.
    pub host: HostId,
    /// What kind of thing it is.
    pub program: Program,
    /// Limits, where the system allows.
    pub limits: ServerLimits,
    /// Its log is rotated at this size; one old part is kept.
    pub log_bytes_max: u64,
    /// The payload, if it is started for an allocation: in the payload file before it runs, and in
    /// `GREENROOM_PAYLOAD` up to [`PAYLOAD_ENVIRONMENT_BYTES_MAX`](crate::PAYLOAD_ENVIRONMENT_BYTES_MAX).
    pub payload: Option<Bytes>,
    /// Whether it finds the endpoint of the Agones SDK: see [`sdk`](crate::sdk).
    pub has_sdk: bool,
    /// Makes its command once its ports are known.
    pub render: Render,
    /// What it is for (game, studio, build, region): recorded with it and given back, so that its
    /// meaning is known after a restart.
    pub labels: BTreeMap<String, String>,
}

/// What kind of thing a game server is, and what its kind needs to know beyond its command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// A process of this machine.
    Process {
        /// Where it runs; a folder of its own unless set.
        working_dir: Option<PathBuf>,
    },
    /// A container; the command is the arguments of the image's program.
    Container {
        /// The image with its tag.
        image: String,
        /// How it is made.
        settings: Box<ContainerSettings>,
        /// Further labels, for other programs that look at the engine.
        labels: Labels,
        /// Whether its ports are published on the host. If not, each has its inner number alone
        /// ([`BoundPort::port`] is that one), and none of [`StartSpec::port_range`] is taken.
        is_published: bool,
    },
    /// A server that another host is asked for.
    Remote {
        /// Which host, and the game's id there.
        settings: Box<RemoteSettings>,
        /// The region, by its name there.
        region: RegionId,
    },
}

/// A port that a game server was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundPort {
    /// Its name.
    pub name: String,
    /// What is bound on it.
    pub protocol: PortProtocol,
    /// The number; the first of `count`.
    pub port: u16,
    /// How many consecutive ones.
    pub count: u16,
    /// The number inside the container, where that is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inner: Option<u16>,
}

/// A game server that was started and runs; not yet ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// Its ports, in the order of [`StartSpec::ports`].
    pub ports: Vec<BoundPort>,
    /// When.
    pub at: Timestamp,
}

/// What is known of a game server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Which.
    pub id: ServerId,
    /// Where it is in its life.
    pub phase: Phase,
    /// Its ports.
    pub ports: Vec<BoundPort>,
    /// What it is for, as it was started.
    pub labels: BTreeMap<String, String>,
    /// On which host.
    pub host: HostId,
    /// Where Greenroom itself reaches it, at its inner ports; none if that is not known.
    pub address: Option<IpAddr>,
    /// The address that players reach it at, where its host tells one.
    pub public_address: Option<String>,
    /// Whether its host can be asked at the moment. If not, the phase is the last that was seen.
    pub is_host_reachable: bool,
    /// Whether somebody has paused it: it is there, and does nothing.
    pub is_paused: bool,
}

/// A host, as its engine sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostStatus {
    /// Which.
    pub id: HostId,
    /// What runs game servers there, by its word in the configuration.
    pub provider: &'static str,
    /// Whether it can be asked.
    pub state: HostState,
    /// Since when it is in this state.
    pub since: Timestamp,
    /// What its engine calls its version, once it was asked.
    pub engine_version: Option<String>,
    /// How many of our servers are alive there, or were when it was last seen.
    pub running: u32,
}

/// Whether a host can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostState {
    /// It answers.
    Up,
    /// It does not, or was not asked yet; the sentence says why. What ran there may still run.
    Lost(String),
}

impl HostState {
    /// Whether it answers.
    pub const fn is_up(&self) -> bool {
        matches!(self, Self::Up)
    }
}

/// Where a game server is in its life. Never goes back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It runs, and does not accept players yet.
    Starting,
    /// It accepts players.
    Ready {
        /// Since when.
        at: Timestamp,
    },
    /// It runs no more; nothing of it is left but its log.
    Ended(Exit),
}

/// How a game server ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub cause: ExitCause,
    /// Whether it had been ready.
    pub was_ready: bool,
    /// The last lines of its output, oldest first, each cut.
    pub last_lines: Vec<String>,
}

/// Why a game server ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitCause {
    /// It exited by itself with this code; 0 is a normal end.
    Exited(i32),
    /// A signal that was not ours ended it.
    Signalled(i32),
    /// It was not ready in time and was ended; the sentence says what was seen instead.
    NotReady(String),
    /// A port that it was given turned out to be held by another process; it never became ready.
    PortTaken {
        /// Which.
        port: u16,
        /// Who holds it, if that can be seen.
        holder: Option<String>,
    },
    /// It was stopped as asked.
    Stopped {
        /// Whether the grace period passed, and it was killed.
        killed: bool,
    },
    /// Its supervisor died, and it with it.
    SupervisorLost,
    /// The system refused to run it; the sentence says why.
    SpawnFailed(String),
    /// It used more memory than it may, and the system killed it.
    OutOfMemory,
    /// Somebody removed its container.
    Removed,
}

impl ExitCause {
    /// One word for metrics and logs.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Exited(0) => "exited",
            Self::Exited(_) => "failed",
            Self::Signalled(_) => "signalled",
            Self::NotReady(_) => "not_ready",
            Self::PortTaken { .. } => "port_taken",
            Self::Stopped { killed: false } => "stopped",
            Self::Stopped { killed: true } => "killed",
            Self::SupervisorLost => "supervisor_lost",
            Self::SpawnFailed(_) => "spawn_failed",
            Self::OutOfMemory => "out_of_memory",
            Self::Removed => "removed",
        }
    }

    /// Whether this is a fault rather than a normal end.
    pub const fn is_crash(&self) -> bool {
        !matches!(self, Self::Exited(0) | Self::Stopped { .. })
    }
}

impl std::fmt::Display for ExitCause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited(0) => f.write_str("it exited normally"),
            Self::Exited(code) => write!(f, "it exited with code {code}"),
            Self::Signalled(signal) => write!(f, "signal {signal} ended it"),
            Self::NotReady(sentence) | Self::SpawnFailed(sentence) => f.write_str(sentence),
            Self::PortTaken { port, holder: Some(holder) } => {
                write!(f, "port {port} that it was given is held by {holder}")
            }
            Self::PortTaken { port, holder: None } => {
                write!(f, "port {port} that it was given is held by another process")
            }
            Self::Stopped { killed: false } => f.write_str("it was stopped"),
            Self::Stopped { killed: true } => {
                f.write_str("it was stopped, and killed because it did not end in its grace period")
            }
            Self::SupervisorLost => f.write_str("its supervisor died, and it with it"),
            Self::OutOfMemory => f.write_str("it ran out of memory and was killed"),
            Self::Removed => f.write_str("its container was removed"),
        }
    }
}

/// Which lines of a log are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogQuery {
    /// How many of the last lines there are, at most
    /// [`LOG_TAIL_LINES_MAX`](crate::LOG_TAIL_LINES_MAX).
    pub tail_lines: usize,
    /// Whether to go on with what is written, until the server has ended.
    pub follow: bool,
}

/// One line of a game server's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When it was written.
    pub at: Timestamp,
    /// By what.
    pub stream: LogStream,
    /// The text without its line end; bytes that are no UTF-8 are replaced, a long line is cut.
    pub text: String,
}

/// Where a line of a log comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogStream {
    /// The game server's standard output.
    Stdout,
    /// The game server's standard error.
    Stderr,
    /// Greenroom.
    System,
}

/// What a game server and its descendants use now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    /// CPU time since its start, in seconds.
    pub cpu_seconds: f64,
    /// Resident memory.
    pub memory_bytes: u64,
}
