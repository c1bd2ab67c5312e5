//! A game server: its document, and what may become of it.
//!
//! The document says what should be. [`Server::next`] compares it with what the provider sees and
//! names the one thing to do; whoever does it commits the result by compare-and-set and asks again.
//! Doing a thing twice is harmless, so a death between two steps forgets none.

use std::time::Duration;

use greenroom_protocol::{BuildId, GameId, HostId, MatchId, RegionId, ServerId, StudioId, Timestamp};
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::{
    sdk::{Sdk, SdkSettings},
    settings::PortProtocol,
};

mod next;
#[cfg(test)]
mod tests;

pub use greenroom_protocol::hosting::ServerState;
pub use next::{Seen, Step};

/// Most entries of a server's state history. Further ones replace the last.
pub const HISTORY_MAX: usize = 32;

/// Most of a server's last log lines that are kept with its exit.
pub const LAST_LINES_MAX: usize = 20;

/// Longest last log line that is kept, in bytes. The rest is cut.
pub const LAST_LINE_BYTES_MAX: usize = 512;

/// First pause after a start that failed; doubles up to [`BACKOFF_MAX`].
pub const BACKOFF_MIN: Duration = Duration::from_millis(250);

/// Longest pause between starts that fail.
pub const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// Characters of generated ids and names: lower case without look-alikes.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// Characters of codes: upper case without look-alikes.
const CODE_ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// Why a server was started. A warm one that is given to an allocation stays `Warm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Ahead of demand.
    Warm,
    /// For an allocation that waits.
    Allocation,
}

/// One step of a server's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passage {
    /// The state it came into.
    pub state: ServerState,
    /// When.
    pub at: Timestamp,
}

/// One port that a server was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerPort {
    /// Its name in the fleet's settings.
    pub name: String,
    /// What is bound on it.
    pub protocol: PortProtocol,
    /// Its number; the first of `count`.
    pub port: u16,
    /// How many consecutive ones.
    pub count: u16,
    /// Its number inside the container, where that is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inner: Option<u16>,
}

impl ServerPort {
    /// The number that the program binds: the inner one, where there is one.
    pub fn bound(&self) -> u16 {
        self.inner.unwrap_or(self.port)
    }
}

/// Whom a server was given to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allocation {
    /// Unique to the request, so that an unknown outcome of the commit can be told afterwards.
    pub id: String,
    /// The idempotency document that names this server, if the request had a key.
    pub idempotency: Option<String>,
    /// What the server is to be told, byte for byte.
    pub payload: String,
    /// Whether the server has been told.
    pub payload_delivered: bool,
    /// The match it is for.
    pub match_id: Option<MatchId>,
    /// When it was asked for.
    pub at: Timestamp,
    /// Who asked: an API key, a lobby, an administrator.
    pub by: String,
}

/// How a server's process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// When it was seen.
    pub at: Timestamp,
    /// How.
    pub cause: ExitCause,
    /// Whether it had been ready.
    pub was_ready: bool,
    /// The end of its output.
    pub last_lines: Vec<String>,
}

/// What ended a server's process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "value", rename_all = "snake_case")]
pub enum ExitCause {
    /// It ended itself with this status.
    Exited(i32),
    /// A signal that we did not send.
    Signalled(i32),
    /// It was not ready in time, or could not be; the text says what was missing.
    NotReady(String),
    /// We stopped it.
    Stopped {
        /// It had to be killed after its grace.
        killed: bool,
    },
    /// Its supervisor died.
    SupervisorLost,
    /// It could not be started; the text says why.
    SpawnFailed(String),
    /// No port was free for it; the text says which were looked at.
    NoPort(String),
    /// The provider knows nothing of it.
    Vanished,
    /// Its host could not be reached any more before it was ready.
    HostLost,
    /// It used more memory than it may, and the system killed it.
    OutOfMemory,
    /// Somebody removed its container.
    Removed,
}

impl Exit {
    /// Whether it ended other than by itself with status 0 or on our word.
    pub fn is_crash(&self) -> bool {
        !matches!(self.cause, ExitCause::Exited(0) | ExitCause::Stopped { .. })
    }

    /// Says in one sentence how it ended.
    pub fn sentence(&self) -> String {
        match &self.cause {
            ExitCause::Exited(0) if !self.was_ready => "it ended by itself before it was ready".into(),
            ExitCause::Exited(0) => "it ended by itself".into(),
            ExitCause::Exited(status) => format!("it ended with exit status {status}"),
            ExitCause::Signalled(signal) => format!("it was killed by signal {signal}"),
            ExitCause::NotReady(why) => format!("it did not become ready: {why}"),
            ExitCause::Stopped { killed: false } => "it was stopped".into(),
            ExitCause::Stopped { killed: true } => {
                "it was killed after it did not stop within its grace".into()
            }
            ExitCause::SupervisorLost => "its supervisor died".into(),
            ExitCause::SpawnFailed(why) | ExitCause::NoPort(why) => format!("it could not be started: {why}"),
            ExitCause::Vanished => "its process was not found any more".into(),
            ExitCause::HostLost => "its host could not be reached any more".into(),
            ExitCause::OutOfMemory => "it ran out of memory and was killed".into(),
            ExitCause::Removed => "its container was removed".into(),
        }
    }

    /// The same with lines and length within their bounds.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        let surplus = self.last_lines.len().saturating_sub(LAST_LINES_MAX);
        self.last_lines.drain(..surplus);
        for line in &mut self.last_lines {
            if line.len() > LAST_LINE_BYTES_MAX {
                let mut end = LAST_LINE_BYTES_MAX;
                while !line.is_char_boundary(end) {
                    end -= 1;
                }
                line.truncate(end);
            }
        }
        self
    }
}

/// A fact that is still to be appended to the studio's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingFact {
    /// What happened. Each happens at most once to a server, so that server and kind are its identity.
    pub kind: FactKind,
    /// When.
    pub at: Timestamp,
}

/// What happens to a server that a studio is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FactKind {
    /// It became ready for players.
    Started,
    /// It ended after it had been ready.
    Stopped,
    /// It vanished after it had been ready.
    Lost,
}

impl FactKind {
    /// The last token of the event's subject.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Stopped => "stopped",
            Self::Lost => "lost",
        }
    }
}

/// What a server is from its birth on. Travels with the process as its label, so that a process
/// whose document is gone can be taken up again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Birth {
    /// Which server.
    pub id: ServerId,
    /// Unique among the game's servers: `<game>-<6 characters>`.
    pub name: String,
    /// The text a player gave it.
    pub title: Option<String>,
    /// Its name in paths, such as `/games/<slug>/<code>/`, unique among the game's living servers;
    /// where its game's connection has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Whether the server browser shows it.
    #[serde(default)]
    pub is_listed: bool,
    /// Of which game.
    pub game: GameId,
    /// Of which studio.
    pub studio: StudioId,
    /// The version that was asked for or is configured.
    pub version: String,
    /// The version's identity: see [`crate::fleet::build_of`].
    pub build: BuildId,
    /// Where it runs.
    pub region: RegionId,
    /// On which machine; another try may go to another one.
    pub host: HostId,
    /// Why it was started.
    pub purpose: Purpose,
    /// The address players reach it at.
    pub address: String,
    /// When it was asked for.
    pub created_at: Timestamp,
}

/// A game server from before its start until its end has been written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// What never changes.
    #[serde(flatten)]
    pub birth: Birth,
    /// SHA-256, as hex, of the secret in its bearer token.
    pub token_hash: String,
    /// Where it stands.
    pub state: ServerState,
    /// How it came there, oldest first; at most [`HISTORY_MAX`].
    pub history: Vec<Passage>,
    /// Its ports, the first being the one that players are told; empty until it was ready.
    pub ports: Vec<ServerPort>,
    /// Whom it was given to.
    pub allocation: Option<Allocation>,
    /// The number of the present try to start it, from 1.
    pub tries: u32,
    /// The present try begins no earlier.
    pub start_after: Option<Timestamp>,
    /// When it became ready.
    pub ready_at: Option<Timestamp>,
    /// When it was ready and an allocation's.
    pub allocated_at: Option<Timestamp>,
    /// When its end was seen.
    pub ended_at: Option<Timestamp>,
    /// Why it was told to end.
    pub stop_reason: Option<StopReason>,
    /// How its process ended; while it starts, how the last try did.
    pub exit: Option<Exit>,
    /// Facts to append; at most one of each kind.
    pub pending: Vec<PendingFact>,
    /// What it has said of itself; none if its fleet has no SDK, or between two tries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sdk: Option<Box<Sdk>>,
}

/// Why a server was told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// Somebody asked for it.
    Requested,
    /// The pool is larger than it should be, or the build is an old one.
    Pool,
    /// It was not ready before the allocation's deadline.
    Deadline,
    /// Whoever asked for it went away, and nobody else can know of it.
    Abandoned,
    /// Its host could not be reached when it was to be given away.
    HostLost,
    /// Greenroom's development mode ends.
    Shutdown,
    /// It asked for its own end.
    Itself,
    /// Its health pings did not come.
    Unhealthy,
}

/// A change that the server's state does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a server that is {} does not allow this", .0.as_str())]
pub struct WrongState(pub ServerState);

impl Server {
    /// A server that is to be started.
    pub fn new(birth: Birth, token_hash: String, allocation: Option<Allocation>) -> Self {
        let created = Passage { state: ServerState::Starting, at: birth.created_at };
        Self {
            birth,
            token_hash,
            state: ServerState::Starting,
            history: vec![created],
            ports: Vec::new(),
            allocation,
            tries: 1,
            start_after: None,
            ready_at: None,
            allocated_at: None,
            ended_at: None,
            stop_reason: None,
            exit: None,
            pending: Vec::new(),
            sdk: None,
        }
    }

    /// The same with the SDK, if its fleet has it.
    #[must_use]
    pub fn with_sdk(mut self, settings: Option<&SdkSettings>) -> Self {
        self.sdk = settings.map(|settings| Box::new(Sdk::declared(settings)));
        self
    }

    /// A server whose process was found without a document. It counts as given away, because
    /// nobody can tell whether it was.
    pub fn adopted(
        birth: Birth,
        token_hash: String,
        tries: u32,
        ports: Vec<ServerPort>,
        now: Timestamp,
    ) -> Self {
        let allocation = Allocation {
            id: format!("adopted-{}", birth.id),
            idempotency: None,
            payload: String::new(),
            // What it was told is unknown; telling it something else would be worse than nothing.
            payload_delivered: true,
            match_id: None,
            at: now,
            by: "adopted".into(),
        };
        Self { ports, tries, ..Self::new(birth, token_hash, Some(allocation)) }
    }

    /// Which server.
    pub fn id(&self) -> &ServerId {
        &self.birth.id
    }

    /// The port that players are told; none until it was ready.
    pub fn port(&self) -> Option<u16> {
        self.ports.first().map(|port| port.port)
    }

    /// What the provider knows the present try by. Another try is another process with its own log.
    pub fn instance(&self) -> ServerId {
        instance_of(self.id(), self.tries)
    }

    /// Whether it was started ahead of demand and is still nobody's.
    pub fn is_warm(&self) -> bool {
        self.allocation.is_none()
            && !self.is_reserved()
            && matches!(self.state, ServerState::Starting | ServerState::Ready)
    }

    /// Whether its allocation was answered, or could have been: it was ready and has its payload.
    pub fn was_given(&self) -> bool {
        let told = self.allocation.as_ref().is_some_and(|allocation| allocation.payload_delivered);
        told && self.allocated_at.is_some()
    }

    /// Gives a warm server away. One that still starts is the allocation's as soon as it is ready.
    pub fn allocate(&mut self, allocation: Allocation, now: Timestamp) -> Result<(), WrongState> {
        if !self.is_warm() {
            return Err(WrongState(self.state));
        }
        self.allocation = Some(allocation);
        if self.state == ServerState::Ready {
            self.allocated_at = Some(now);
            self.pass(ServerState::Allocated, now);
        }
        Ok(())
    }

    /// Tells a server to end. Telling it again changes nothing.
    pub fn stop(&mut self, reason: StopReason, now: Timestamp) -> Result<(), WrongState> {
        match self.state {
            ServerState::Starting | ServerState::Ready | ServerState::Allocated => {
                self.stop_reason = Some(reason);
                self.pass(ServerState::Stopping, now);
                Ok(())
            }
            ServerState::Stopping => Ok(()),
            ServerState::Ended | ServerState::Lost => Err(WrongState(self.state)),
        }
    }

    /// The idempotency document that must go, because the allocation failed: failures are not remembered.
    pub fn forgotten_idempotency(&self) -> Option<&str> {
        let failed = !self.was_given() && self.state >= ServerState::Stopping;
        self.allocation.as_ref().filter(|_| failed)?.idempotency.as_deref()
    }

    /// Marks that the history has `kind`.
    pub fn fact_appended(&mut self, kind: FactKind) {
        self.pending.retain(|fact| fact.kind != kind);
    }

    pub(crate) fn pass(&mut self, state: ServerState, at: Timestamp) {
        self.state = state;
        if self.history.len() >= HISTORY_MAX {
            self.history.pop();
        }
        self.history.push(Passage { state, at });
    }
}

/// What the provider knows try `tries` of a server by.
pub fn instance_of(id: &ServerId, tries: u32) -> ServerId {
    // An id of ours has 16 characters, so that this always fits.
    ServerId::new(format!("{id}-{tries}")).unwrap_or_else(|_| id.clone())
}

/// A new server's id.
pub fn new_id(rng: &mut impl Rng) -> ServerId {
    let text = letters(ALPHABET, rng, 16);
    ServerId::new(&text).unwrap_or_else(|_| unreachable!("{text} has the form of an id"))
}

/// A new server's name: `<game>-<6 characters>`. The caller makes sure that no running one has it.
pub fn new_name(game: &GameId, rng: &mut impl Rng) -> String {
    format!("{game}-{}", letters(ALPHABET, rng, 6))
}

/// A new server's code: upper-case letters and 2–9 without look-alikes, at least one character. The
/// caller makes sure that no living one of the game has it.
pub fn new_code(length: u32, rng: &mut impl Rng) -> String {
    letters(CODE_ALPHABET, rng, length.max(1) as usize)
}

/// The pause after `failures` failures in a row: none, then [`BACKOFF_MIN`], doubling up to [`BACKOFF_MAX`].
pub fn backoff(failures: u32) -> Duration {
    if failures == 0 {
        return Duration::ZERO;
    }
    let factor = 1_u32.checked_shl(failures - 1).unwrap_or(u32::MAX);
    BACKOFF_MIN.saturating_mul(factor).min(BACKOFF_MAX)
}

/// Whether the point `due` has come. One further away than [`BACKOFF_MAX`] counts as come: the clock
/// was set back.
pub fn is_due(due: Timestamp, now: Timestamp) -> bool {
    due <= now || due > now.after(BACKOFF_MAX)
}

fn letters(alphabet: &[u8; 32], rng: &mut impl Rng, count: usize) -> String {
    (0..count).map(|_| char::from(alphabet[rng.random_range(0..alphabet.len())])).collect()
}
