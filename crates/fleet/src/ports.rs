//! Which ports are given to whom on this host.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::RangeInclusive,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use greenroom_domain::settings::{PortProtocol, PortSettings};
use parking_lot::Mutex;
use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt},
};

use crate::{error::StartError, model::BoundPort};

/// The record of uses is written anew when it has grown to this size.
const RECORD_BYTES_MAX: u64 = 256 * 1024;

/// The ports of one machine, shared by all engines that start servers on it.
#[derive(Clone)]
pub(crate) struct PortLedger(Arc<Mutex<PortPool>>);

impl PortLedger {
    /// The ledger that is kept at `path`.
    pub(crate) fn open(path: &Path, machine: Machine) -> io::Result<Self> {
        Ok(Self(Arc::new(Mutex::new(PortPool::open(path, machine)?))))
    }

    /// Reserves what `wanted` asks for, all or nothing, until the guard is dropped or kept. None of
    /// `except`.
    pub(crate) fn reserve(
        &self,
        wanted: &[PortSettings],
        range: &RangeInclusive<u16>,
        except: &HashSet<u16>,
    ) -> Result<Reserved, StartError> {
        let ports = self.0.lock().reserve(wanted, range, except)?;
        Ok(Reserved { ledger: self.clone(), ports })
    }

    /// Takes ports that a server was found to have.
    pub(crate) fn adopt(&self, ports: &[BoundPort]) {
        self.0.lock().adopt(ports);
    }

    /// Gives ports back that were kept or adopted.
    pub(crate) fn release(&self, ports: &[BoundPort]) {
        self.0.lock().release(ports);
    }
}

/// Ports that go back unless they are kept.
pub(crate) struct Reserved {
    ledger: PortLedger,
    pub(crate) ports: Vec<BoundPort>,
}

impl Reserved {
    /// They are the caller's now, to be given back by [`PortLedger::release`].
    pub(crate) fn keep(&mut self) -> Vec<BoundPort> {
        std::mem::take(&mut self.ports)
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if !self.ports.is_empty() {
            self.ledger.release(&self.ports);
        }
    }
}

/// Whose ports they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Machine {
    /// This one's: whether a port is free is seen by binding it.
    This,
    /// Another one's, whose engine alone can tell what else is held.
    Another,
}

/// Never one twice at a time, the least recently used first, so that a late packet or a client's
/// stale address does not reach the next match.
struct PortPool {
    machine: Machine,
    taken: HashSet<u16>,
    /// When each was last given out, as a running number.
    used: HashMap<u16, u64>,
    uses: u64,
    record: Record,
}

/// The order of uses on disk: two bytes for each, appended.
struct Record {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl PortPool {
    fn open(path: &Path, machine: Machine) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let mut used = HashMap::new();
        let mut uses = 0;
        for port in bytes.chunks_exact(2) {
            uses += 1;
            used.insert(u16::from_le_bytes([port[0], port[1]]), uses);
        }
        // Half a number at the end would shift all that follow.
        let whole = bytes.len() as u64 / 2 * 2;
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
        file.set_len(whole)?;
        drop(file);
        let file = OpenOptions::new().append(true).open(path)?;
        let record = Record { path: path.to_owned(), file, bytes: whole };
        Ok(Self { machine, taken: HashSet::new(), used, uses, record })
    }

    /// Reserves what `wanted` asks for: all or nothing.
    fn reserve(
        &mut self,
        wanted: &[PortSettings],
        range: &RangeInclusive<u16>,
        except: &HashSet<u16>,
    ) -> Result<Vec<BoundPort>, StartError> {
        let mut reserved: Vec<BoundPort> = Vec::with_capacity(wanted.len());
        for settings in wanted {
            match self.reserve_one(settings, range, except) {
                Ok(bound) => {
                    self.take(&bound);
                    reserved.push(bound);
                }
                Err(error) => {
                    self.release(&reserved);
                    return Err(error);
                }
            }
        }
        for port in reserved.iter().flat_map(numbers) {
            self.uses += 1;
            self.used.insert(port, self.uses);
        }
        self.write_record(&reserved);
        Ok(reserved)
    }

    /// Takes ports that a server was found to have.
    fn adopt(&mut self, ports: &[BoundPort]) {
        for bound in ports {
            self.take(bound);
        }
    }

    fn release(&mut self, ports: &[BoundPort]) {
        for port in ports.iter().flat_map(numbers) {
            self.taken.remove(&port);
        }
    }

    fn take(&mut self, bound: &BoundPort) {
        self.taken.extend(numbers(bound));
    }

    fn reserve_one(
        &self,
        wanted: &PortSettings,
        range: &RangeInclusive<u16>,
        except: &HashSet<u16>,
    ) -> Result<BoundPort, StartError> {
        let count = wanted.count.max(1);
        let bound = |port| BoundPort {
            name: wanted.name.clone(),
            protocol: wanted.protocol,
            port,
            count,
            inner: None,
        };
        if let Some(port) = wanted.fixed {
            let is_free = |p: u16| !except.contains(&p) && self.is_free(p, wanted.protocol, Test::Usable);
            return match numbers(&bound(port)).find(|p| !is_free(*p)) {
                None => Ok(bound(port)),
                Some(taken) => Err(StartError::PortInUse(taken)),
            };
        }
        let mut firsts: Vec<(u64, u16)> = range
            .clone()
            .filter(|first| first.checked_add(count - 1).is_some_and(|last| last <= *range.end()))
            .filter(|first| {
                numbers(&bound(*first)).all(|port| !self.taken.contains(&port) && !except.contains(&port))
            })
            .map(|first| {
                let used = numbers(&bound(first)).map(|port| self.used.get(&port).copied().unwrap_or(0));
                (used.max().unwrap_or(0), first)
            })
            .collect();
        firsts.sort_unstable();
        // Ports on which connections still linger are usable, but the last choice.
        for test in [Test::Untouched, Test::Usable] {
            let free = |first: u16| numbers(&bound(first)).all(|p| self.is_free(p, wanted.protocol, test));
            if let Some((_, first)) = firsts.iter().find(|(_, first)| free(*first)) {
                return Ok(bound(*first));
            }
        }
        let (first, last) = (*range.start(), *range.end());
        Err(StartError::NoPort { name: wanted.name.clone(), count, first, last })
    }

    fn is_free(&self, port: u16, protocol: PortProtocol, test: Test) -> bool {
        let bindable = |kind| self.machine == Machine::Another || bindable(port, kind, test);
        !self.taken.contains(&port)
            && (protocol == PortProtocol::Udp || bindable(SocketType::STREAM))
            && (protocol == PortProtocol::Tcp || bindable(SocketType::DGRAM))
    }

    /// Losing it loses an order, nothing else: a disk that is full must not keep servers from starting.
    fn write_record(&mut self, reserved: &[BoundPort]) {
        let bytes: Vec<u8> = reserved.iter().flat_map(numbers).flat_map(u16::to_le_bytes).collect();
        let record = &mut self.record;
        let written = if record.bytes + bytes.len() as u64 > RECORD_BYTES_MAX {
            let mut order: Vec<(u64, u16)> = self.used.iter().map(|(port, used)| (*used, *port)).collect();
            order.sort_unstable();
            let all: Vec<u8> = order.into_iter().flat_map(|(_, port)| port.to_le_bytes()).collect();
            record.replace(&all)
        } else {
            record.file.write_all(&bytes).map(|()| record.bytes += bytes.len() as u64)
        };
        if let Err(error) = written {
            let _keeps_pairs_together = record.file.set_len(record.bytes);
            tracing::warn!(%error, path = %record.path.display(), "the order in which ports were used could not be recorded");
        }
    }
}

impl Record {
    fn replace(&mut self, bytes: &[u8]) -> io::Result<()> {
        let next = self.path.with_extension("next");
        fs::write(&next, bytes)?;
        fs::rename(&next, &self.path)?;
        self.file = OpenOptions::new().append(true).open(&self.path)?;
        self.bytes = bytes.len() as u64;
        Ok(())
    }
}

fn numbers(bound: &BoundPort) -> RangeInclusive<u16> {
    bound.port..=bound.port.saturating_add(bound.count.max(1) - 1)
}

/// How free a port has to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Test {
    /// Nobody has anything on it, not even a closed connection that lingers.
    Untouched,
    /// A server that sets SO_REUSEADDR, as most do, can listen on it.
    Usable,
}

/// Whether a socket can be bound on all addresses, of both families. The system refuses whenever any
/// socket, on whatever address, would be in the way, so that its tables need not be read for it.
fn bindable(port: u16, kind: SocketType, test: Test) -> bool {
    let addresses =
        [SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)), SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))];
    addresses.into_iter().all(|address| match try_bind(address, kind, test) {
        Ok(()) => true,
        Err(error) => error != Errno::ADDRINUSE,
    })
}

fn try_bind(address: SocketAddr, kind: SocketType, test: Test) -> Result<(), Errno> {
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    // On UDP it would let two share a port.
    if test == Test::Usable && kind == SocketType::STREAM {
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    bind(&socket, &address)
}

#[cfg(test)]
#[path = "ports_tests.rs"]
mod tests;
