//! The sockets that a game server was given, and whether its processes hold them, from the system's
//! tables.

use std::{
    collections::{BTreeSet, HashSet},
    ops::ControlFlow,
};

use greenroom_domain::settings::PortProtocol;

use crate::{
    model::BoundPort,
    network::{Network, OpenSocket},
    procfs,
};

/// What to do about a server that does not listen where it should.
pub(crate) const CHECK_PORTS: &str =
    "check that its command uses the ports it is given: {port}, and {port:<name>} for further ones";

/// One socket of a server: the protocol and the port.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Socket {
    pub(crate) udp: bool,
    pub(crate) port: u16,
    /// Whether the other protocol on the same port does as well. No part of what socket it is.
    pub(crate) either: bool,
}

impl Socket {
    /// As the system's tables name it.
    pub(crate) const fn new(udp: bool, port: u16) -> Self {
        Self { udp, port, either: false }
    }

    /// The same port of the other protocol.
    const fn other(self) -> Self {
        Self { udp: !self.udp, ..self }
    }
}

impl PartialEq for Socket {
    fn eq(&self, other: &Self) -> bool {
        (self.udp, self.port) == (other.udp, other.port)
    }
}

impl Eq for Socket {}

impl PartialOrd for Socket {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Socket {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.udp, self.port).cmp(&(other.udp, other.port))
    }
}

impl std::fmt::Display for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", if self.udp { "udp" } else { "tcp" }, self.port)
    }
}

/// What the server's processes hold.
#[derive(Default)]
pub(crate) struct Held {
    pub(crate) inodes: HashSet<u64>,
    /// Users of processes whose descriptors cannot be read: what belongs to them counts as held.
    pub(crate) uids: HashSet<u32>,
}

impl Held {
    /// What these processes hold.
    pub(crate) fn of(pids: &[i32]) -> Self {
        let mut held = Self::default();
        for pid in pids {
            if procfs::socket_inodes(*pid, &mut held.inodes).is_err() {
                held.uids.extend(procfs::uid_of(*pid));
            }
        }
        held
    }

    pub(crate) fn has(&self, socket: &OpenSocket) -> bool {
        self.inodes.contains(&socket.inode) || self.uids.contains(&socket.uid)
    }
}

/// Which of `wanted` are not open in `network` on a socket that is `held`.
pub(crate) fn missing(network: &Network, wanted: &BTreeSet<Socket>, held: &Held) -> BTreeSet<Socket> {
    missing_if(network, wanted, |open| held.has(open))
}

/// Which of `wanted` are not open in `network` on a socket that `counts`.
pub(crate) fn missing_if(
    network: &Network,
    wanted: &BTreeSet<Socket>,
    counts: impl Fn(&OpenSocket) -> bool,
) -> BTreeSet<Socket> {
    let mut missing = wanted.clone();
    for udp in [false, true] {
        let some_left = |missing: &BTreeSet<Socket>| missing.iter().any(|socket| socket.udp == udp);
        if !some_left(&missing) {
            continue;
        }
        network.visit(udp, |open| {
            if counts(&open) {
                missing.remove(&Socket::new(udp, open.port));
            }
            if some_left(&missing) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
    }
    let found = |socket: &Socket| !missing.contains(socket);
    let enough: Vec<Socket> =
        missing.iter().copied().filter(|socket| socket.either && found(&socket.other())).collect();
    for socket in enough {
        missing.remove(&socket);
    }
    missing
}

/// Every socket that these ports mean.
pub(crate) fn wanted(ports: &[BoundPort]) -> BTreeSet<Socket> {
    let mut wanted = BTreeSet::new();
    for bound in ports {
        for port in bound.port..bound.port.saturating_add(bound.count.max(1)) {
            let either = bound.protocol == PortProtocol::Either;
            if bound.protocol != PortProtocol::Udp {
                wanted.insert(Socket { udp: false, port, either });
            }
            if bound.protocol != PortProtocol::Tcp {
                wanted.insert(Socket { udp: true, port, either });
            }
        }
    }
    wanted
}

/// All open sockets in `network` of the protocols that occur in `of`.
pub(crate) fn sockets(network: &Network, of: &BTreeSet<Socket>) -> Vec<(Socket, OpenSocket)> {
    let mut all = Vec::new();
    for udp in [false, true] {
        if of.iter().any(|socket| socket.udp == udp) {
            all.extend(network.open_sockets(udp).into_iter().map(|open| (Socket::new(udp, open.port), open)));
        }
    }
    all
}

/// As a sentence names them.
pub(crate) fn list(sockets: &BTreeSet<Socket>) -> String {
    sockets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
