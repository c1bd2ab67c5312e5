//! What the system tells of processes and sockets, read from `/proc`.

use std::{
    cmp::Reverse,
    collections::HashSet,
    fs::{self, File},
    io::{self, BufRead as _, BufReader},
    net::{IpAddr, Ipv4Addr},
    ops::ControlFlow,
};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use crate::{model::Usage, network::OpenSocket};

/// One process, for good: a process id alone is given again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) pid: i32,
    /// When it started, in clock ticks since the system's start.
    pub(crate) start_ticks: u64,
}

impl Identity {
    /// The identity of the process that has `pid` now.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        Stat::of(pid).map(|stat| Self { pid, start_ticks: stat.start_ticks })
    }

    /// Whether this very process is there, be it as a zombie.
    pub(crate) fn is_there(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// Sends `signal` to this very process, if it is there.
    pub(crate) fn signal(self, signal: Signal) {
        // The descriptor pins the process, so that the check and the signal mean the same one.
        let Some(pid) = Pid::from_raw(self.pid) else { return };
        if let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty())
            && self.is_there()
        {
            let _gone = pidfd_send_signal(pidfd, signal);
        }
    }
}

/// The system's start: process identities are valid only within it.
pub(crate) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map_or_else(|_| String::new(), |id| id.trim().to_owned())
}

/// The bridge of this machine whose own network `address` is in, if that is where it leads from here.
pub(crate) fn bridge_to(address: IpAddr) -> Option<String> {
    let IpAddr::V4(address) = address else { return None };
    let interface = own_network(&fs::read_to_string("/proc/net/route").ok()?, address)?;
    fs::exists(format!("/sys/class/net/{interface}/bridge"))
        .is_ok_and(|is_bridge| is_bridge)
        .then_some(interface)
}

/// The interface that is in the network of `address` itself; none where a gateway is between. `routes` is
/// `/proc/net/route`: interface, destination, gateway, flags, …, metric, mask, numbers as they lie in memory.
fn own_network(routes: &str, address: Ipv4Addr) -> Option<String> {
    let address = u32::from(address);
    let number = |field: &str| u32::from_str_radix(field, 16).ok().map(u32::from_be);
    let fitting = routes.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (destination, gateway) = (number(fields.get(1)?)?, number(fields.get(2)?)?);
        let (metric, mask) = (fields.get(6)?.parse::<u32>().ok()?, number(fields.get(7)?)?);
        let is_fitting = address & mask == destination;
        is_fitting.then(|| ((mask.count_ones(), Reverse(metric)), gateway, fields[0].to_owned()))
    });
    // The narrowest network, and of several ways there the cheapest.
    let (_, gateway, interface) = fitting.max_by_key(|(rank, _, _)| *rank)?;
    (gateway == 0).then_some(interface)
}

/// About the length of a line in the tables of sockets.
const SOCKET_LINE_BYTES: usize = 150;

/// What `/proc/<pid>/stat` tells.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stat {
    pub(crate) state: u8,
    pub(crate) ppid: i32,
    pub(crate) pgrp: i32,
    pub(crate) session: i32,
    pub(crate) cpu_ticks: u64,
    pub(crate) start_ticks: u64,
    pub(crate) rss_pages: u64,
}

impl Stat {
    pub(crate) fn of(pid: i32) -> Option<Self> {
        let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
        // The program's name may hold anything; the last `)` ends it.
        let end = text.iter().rposition(|b| *b == b')')?;
        let text = std::str::from_utf8(text.get(end + 2..)?).ok()?;
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let number = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok());
        Some(Self {
            state: *fields.first()?.as_bytes().first()?,
            ppid: fields.get(1)?.parse().ok()?,
            pgrp: fields.get(2)?.parse().ok()?,
            session: fields.get(3)?.parse().ok()?,
            // user and system time, its own and that of children it has waited for
            cpu_ticks: number(11)? + number(12)? + number(13)? + number(14)?,
            start_ticks: number(19)?,
            rss_pages: number(21)?,
        })
    }
}

/// Every process id that there is now.
pub(crate) fn all_pids() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// What the descendants of `root` use together; none if it is gone.
pub(crate) fn usage_below(root: Identity) -> Option<Usage> {
    usage(root, descendants(root.pid))
}

/// What `root` and its descendants use together; none if it is gone.
pub(crate) fn usage_from(root: Identity) -> Option<Usage> {
    let mut pids = descendants(root.pid);
    pids.push(root.pid);
    usage(root, pids)
}

fn usage(root: Identity, pids: Vec<i32>) -> Option<Usage> {
    let (mut ticks, mut pages) = (0, 0);
    for stat in pids.into_iter().filter_map(Stat::of) {
        ticks += stat.cpu_ticks;
        pages += stat.rss_pages;
    }
    // Looked at last: until now its number was its own, and so were its descendants.
    root.is_there().then(|| Usage {
        cpu_seconds: ticks as f64 / rustix::param::clock_ticks_per_second() as f64,
        memory_bytes: pages * rustix::param::page_size() as u64,
    })
}

/// All descendants of `root`, without itself; zombies included.
pub(crate) fn descendants(root: i32) -> Vec<i32> {
    let mut found = Vec::new();
    let mut open = vec![root];
    let mut by_parent: Option<Vec<(i32, i32)>> = None;
    while let Some(pid) = open.pop() {
        let from = found.len();
        if !children(pid, &mut found) {
            // A kernel without the lists of children: one pass over all processes.
            let all = by_parent.get_or_insert_with(|| {
                all_pids().into_iter().filter_map(|p| Some((Stat::of(p)?.ppid, p))).collect()
            });
            found.extend(all.iter().filter(|(ppid, _)| *ppid == pid).map(|(_, pid)| *pid));
        }
        open.extend_from_slice(&found[from..]);
    }
    found
}

/// Adds the children of all threads of `pid`; false if the system does not tell.
fn children(pid: i32, into: &mut Vec<i32>) -> bool {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return true };
    for task in tasks.flatten() {
        match fs::read_to_string(task.path().join("children")) {
            Ok(text) => into.extend(text.split_ascii_whitespace().filter_map(|p| p.parse::<i32>().ok())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // The thread may just have ended; only a living one without the file tells.
                if task.path().join("stat").exists() {
                    return false;
                }
            }
            Err(_) => {}
        }
    }
    true
}

/// Adds the inodes of the sockets that `pid` holds. An error means that its descriptors cannot be
/// read, not that it is gone.
pub(crate) fn socket_inodes(pid: i32, into: &mut HashSet<u64>) -> io::Result<()> {
    let fds = match fs::read_dir(format!("/proc/{pid}/fd")) {
        Ok(fds) => fds,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(error),
        Err(_) => return Ok(()),
    };
    for fd in fds.flatten() {
        let Ok(link) = fs::read_link(fd.path()) else { continue };
        let inode = link.to_str().and_then(|l| l.strip_prefix("socket:[")?.strip_suffix(']'));
        into.extend(inode.and_then(|inode| inode.parse::<u64>().ok()));
    }
    Ok(())
}

/// The user that a process runs as. Not the owner of its folder in `/proc`, which is root for a
/// process that hides its descriptors.
pub(crate) fn uid_of(pid: i32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let uids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    uids.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Shows the open TCP or UDP sockets of the network that `pid` is in, until told to stop.
///
/// Read a line at a time: the kernel lists listening TCP sockets first, and looking for whatever
/// comes after the last of them takes it a millisecond or more on a large machine.
pub(crate) fn visit_open_sockets(pid: i32, udp: bool, visit: &mut impl FnMut(OpenSocket) -> ControlFlow<()>) {
    let tables = if udp { ["udp", "udp6"] } else { ["tcp", "tcp6"] };
    for table in tables {
        let Ok(file) = File::open(format!("/proc/{pid}/net/{table}")) else { continue };
        let mut reader = BufReader::with_capacity(SOCKET_LINE_BYTES, file);
        let mut line = String::with_capacity(256);
        let mut first = true;
        while matches!(reader.read_line(&mut line), Ok(length) if length > 0) {
            if !first {
                match parse_socket(&line, udp) {
                    Some(Parsed::Open(socket)) if visit(socket).is_break() => return,
                    // The connections, which may be many, come after the last of them.
                    Some(Parsed::Connection) if !udp => break,
                    _ => {}
                }
            }
            first = false;
            line.clear();
        }
    }
}

enum Parsed {
    Open(OpenSocket),
    Connection,
}

fn parse_socket(line: &str, udp: bool) -> Option<Parsed> {
    let mut fields = line.split_ascii_whitespace();
    let local = fields.nth(1)?;
    let state = fields.nth(1)?;
    let (uid, inode) = (fields.nth(3)?, fields.nth(1)?);
    let open = if udp { state == "07" } else { state == "0A" };
    if !open {
        return Some(Parsed::Connection);
    }
    let port = u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()?;
    Some(Parsed::Open(OpenSocket { port, uid: uid.parse().ok()?, inode: inode.parse().ok()? }))
}

/// Who holds the socket with this inode, as `process 12 (nginx)`, if it can be seen.
pub(crate) fn holder_of(inode: u64) -> Option<String> {
    all_pids().into_iter().find_map(|pid| {
        let mut inodes = HashSet::new();
        socket_inodes(pid, &mut inodes).ok()?;
        if !inodes.contains(&inode) {
            return None;
        }
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        Some(format!("process {pid} ({})", name.trim()))
    })
}

/// Whether a control group that `pid` is in has `part` in its name.
pub(crate) fn cgroup_has(pid: i32, part: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|cgroups| cgroups.contains(part))
}

/// Whether the environment that `pid` was started with holds exactly `entry` (`NAME=value`).
pub(crate) fn environment_has(pid: i32, entry: &str) -> bool {
    fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|environment| environment.split(|b| *b == 0).any(|e| e == entry.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_endian = "little")]
    #[test]
    fn the_interface_of_a_network_is_found_and_none_where_a_gateway_is_between() {
        let routes = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n\
                      eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                      eth1\t000011AC\t00000000\t0001\t0\t0\t9\t0000FFFF\t0\t0\t0\n\
                      docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
                      eth0\t000511AC\t010200C0\t0003\t0\t0\t0\t00FFFFFF\t0\t0\t0\nnonsense\n";
        let network = |address: &str| own_network(routes, address.parse().unwrap());
        assert_eq!(network("172.17.0.2").as_deref(), Some("docker0"));
        assert_eq!(network("172.17.5.2"), None, "it is routed elsewhere");
        assert_eq!(network("10.0.0.1"), None, "the default route has a gateway");
        assert_eq!(own_network("", Ipv4Addr::LOCALHOST), None);
        let nowhere = IpAddr::from([192, 0, 2, 1]);
        assert_eq!(bridge_to(nowhere), None);
    }

    #[test]
    fn a_process_knows_itself() {
        let me = std::process::id().cast_signed();
        let identity = Identity::of(me).unwrap();
        assert!(identity.is_there());
        assert!(!Identity { start_ticks: identity.start_ticks + 1, ..identity }.is_there());
        assert_eq!(Stat::of(me).unwrap().ppid, std::os::unix::process::parent_id().cast_signed());
    }
}
