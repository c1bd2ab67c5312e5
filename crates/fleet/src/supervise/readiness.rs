//! When a game server counts as ready, from the system's tables: never by connecting to it, which
//! a game could take for a player.

use std::{
    collections::{BTreeSet, HashSet},
    time::{Duration, Instant},
};

use regex::Regex;

use crate::{
    folder::{ReadySpec, Spec},
    model::{BoundPort, ExitCause},
    network::{Network, OpenSocket},
    procfs,
    sockets::{CHECK_PORTS, Held, Socket, list, missing, sockets, wanted},
};

/// Between two looks in the first second.
const LOOK_FIRST: Duration = Duration::from_millis(2);

/// Between two looks at a server that takes its time.
const LOOK_LAST: Duration = Duration::from_millis(50);

/// How long the tables are read at every look after the server has a new socket: it takes a moment
/// from making one to listening on it.
const NEW_SOCKET: Duration = Duration::from_millis(100);

/// Looking takes at most one part in this many of a core, however long the tables are.
const LOOK_SHARE: u32 = 4;

/// What to look at when a server has not said that it is ready.
pub(crate) const CHECK_SDK: &str =
    "check that it has an Agones SDK and calls Ready, choose another `ready`, or raise ready_timeout";

/// Waits for readiness.
pub(super) enum Watch {
    Listening(Listening),
    Log(Regex),
    After(Instant),
    /// It says so itself, and we are told.
    Sdk,
}

impl Watch {
    pub(super) fn new(spec: &Spec, now: Instant) -> Result<Self, String> {
        Ok(match &spec.ready {
            ReadySpec::Listening => Self::Listening(Listening::new(&spec.ports, now)),
            ReadySpec::Log(regex) => Self::Log(
                Regex::new(regex).map_err(|error| format!("`ready` is no regular expression: {error}"))?,
            ),
            ReadySpec::After(delay) => Self::After(now + *delay),
            ReadySpec::Sdk => Self::Sdk,
            ReadySpec::Health => {
                return Err("`ready = \"health\"` is for containers: a process has no health check".into());
            }
        })
    }

    /// When there is something to do next; nothing if only output decides.
    pub(super) const fn next(&self) -> Option<Instant> {
        match self {
            Self::Listening(listening) => Some(listening.next),
            Self::Log(_) | Self::Sdk => None,
            Self::After(at) => Some(*at),
        }
    }

    /// Looks, if it is time; whether it is ready.
    pub(super) fn tick(&mut self, game: i32) -> bool {
        let now = Instant::now();
        match self {
            Self::Listening(listening) => now >= listening.next && listening.look(game, now),
            Self::Log(_) | Self::Sdk => false,
            Self::After(at) => now >= *at,
        }
    }

    /// Sees a line of output; whether it is ready.
    pub(super) fn line(&self, line: &str) -> bool {
        matches!(self, Self::Log(regex) if regex.is_match(line))
    }

    /// Why it is not ready, when its time is up.
    pub(super) fn verdict(&mut self, game: i32, after: Duration) -> ExitCause {
        let after = format!("{} s", after.as_secs_f64());
        match self {
            Self::Listening(listening) => listening.verdict(game, &after),
            Self::Log(regex) => ExitCause::NotReady(format!(
                "no line of its output matched \"{regex}\" within {after}; check `ready` or raise ready_timeout"
            )),
            Self::Sdk => {
                ExitCause::NotReady(format!("it did not call the SDK's Ready within {after}; {CHECK_SDK}"))
            }
            Self::After(_) => {
                ExitCause::NotReady(format!("ready_timeout ({after}) is shorter than the delay in `ready`"))
            }
        }
    }
}

/// Waits until the server's processes hold all the sockets it was given.
pub(super) struct Listening {
    wanted: BTreeSet<Socket>,
    /// The server's, once it was looked at.
    network: Option<Network>,
    began: Instant,
    next: Instant,
    known: HashSet<u64>,
    tables_until: Instant,
    tables_next: Instant,
}

impl Listening {
    fn new(ports: &[BoundPort], now: Instant) -> Self {
        Self {
            wanted: wanted(ports),
            network: None,
            began: now,
            next: now + LOOK_FIRST,
            known: HashSet::new(),
            tables_until: now,
            tables_next: now,
        }
    }

    fn look(&mut self, game: i32, now: Instant) -> bool {
        let held = Held::of(&procfs::descendants(std::process::id().cast_signed()));
        if held.inodes.iter().any(|inode| !self.known.contains(inode)) {
            self.tables_until = now + NEW_SOCKET;
        }
        let fresh = now < self.tables_until || !held.uids.is_empty();
        let any = !held.inodes.is_empty() || !held.uids.is_empty();
        let mut ready = self.wanted.is_empty();
        if any && now >= self.tables_next {
            let network = self.network.get_or_insert_with(|| Network::of(game));
            ready = ready || missing(network, &self.wanted, &held).is_empty();
            let took = now.elapsed();
            self.tables_next =
                if fresh { now + took * LOOK_SHARE } else { now + LOOK_LAST + took * LOOK_SHARE };
        }
        self.known = held.inodes;
        let took = now.elapsed();
        let pause = (self.began.elapsed() / 500).clamp(LOOK_FIRST, LOOK_LAST);
        self.next = now + pause.max(took * LOOK_SHARE);
        ready
    }

    fn verdict(&self, game: i32, after: &str) -> ExitCause {
        let held = Held::of(&procfs::descendants(std::process::id().cast_signed()));
        let network = &Network::of(game);
        let missing = missing(network, &self.wanted, &held);
        if let Some((port, holder)) = taken(network, &missing, |open| !held.has(open)) {
            return ExitCause::PortTaken { port, holder };
        }
        let both = [Socket::new(false, 0), Socket::new(true, 0)];
        let elsewhere: BTreeSet<Socket> = sockets(network, &both.into())
            .into_iter()
            .filter(|(socket, open)| held.inodes.contains(&open.inode) && !self.wanted.contains(socket))
            .map(|(socket, _)| socket)
            .collect();
        let missing = list(&missing);
        ExitCause::NotReady(if elsewhere.is_empty() {
            format!("it did not open {missing} within {after}; {CHECK_PORTS}, or raise ready_timeout")
        } else {
            format!("it listens on {} instead of {missing}; {CHECK_PORTS}", list(&elsewhere))
        })
    }
}

/// A port out of `ports` that somebody else holds after the server has ended by itself.
pub(super) fn taken_after_end(ports: &[BoundPort]) -> Option<(u16, Option<String>)> {
    taken(&Network::of(std::process::id().cast_signed()), &wanted(ports), |_| true)
}

fn taken(
    network: &Network,
    wanted: &BTreeSet<Socket>,
    counts: impl Fn(&OpenSocket) -> bool,
) -> Option<(u16, Option<String>)> {
    let (socket, open) = sockets(network, wanted)
        .into_iter()
        .find(|(socket, open)| wanted.contains(socket) && counts(open))?;
    Some((socket.port, procfs::holder_of(open.inode)))
}
