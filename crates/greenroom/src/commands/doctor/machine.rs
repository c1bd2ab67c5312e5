//! The machine: what the system gives, and what it holds back.

use std::{
    fs,
    io::{self, ErrorKind},
    net::TcpListener,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use greenroom_fleet::examine;
use rustix::process::{Resource, getrlimit};

use super::{
    data,
    findings::{Findings, Grade, Part},
    owner::Owner,
};
use crate::{
    commands::size,
    config::{Config, value::ProviderKind},
};

/// Descriptors beside those of connections: databases, logs, what game servers are watched by.
const DESCRIPTORS_BESIDE: u64 = 1000;
/// With fewer, not even a small installation starts well.
const DESCRIPTORS_MIN: u64 = 512;
const MEMORY_ERROR_BYTES: u64 = 64 << 20;
const MEMORY_WARNING_BYTES: u64 = 256 << 20;
/// No clock is before this program was written: the start of 2026, in seconds.
const CLOCK_MIN_SECONDS: u64 = 1_767_225_600;

pub(super) fn examine(findings: &mut Findings, config: Option<&Config>, data_dir: &Path) {
    // Not set is no limit.
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    descriptors(findings, limit, config.map_or(0, |config| config.root.limits.connections_max.into()));
    let limit = fs::read_to_string("/sys/fs/cgroup/memory.max").unwrap_or_default();
    let used = fs::read_to_string("/sys/fs/cgroup/memory.current").unwrap_or_default();
    if let Ok(meminfo) = fs::read_to_string("/proc/meminfo") {
        memory(findings, &meminfo, &limit, &used);
    }
    clock(findings, SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()));
    match examine::socket_diagnostics() {
        Ok(()) => findings.good(Part::Machine, "sock_diag", "the kernel tells of open sockets (sock_diag)"),
        Err(error) => findings.note(
            Part::Machine,
            "sock_diag",
            format!(
                "the kernel does not tell of open sockets by sock_diag ({error}); the tables below /proc are read \
                 instead, which costs more with many game servers"
            ),
        ),
    }
    if let Some(config) = config {
        port(findings, config, data_dir);
        ephemeral(findings, config);
    }
}

fn descriptors(findings: &mut Findings, limit: u64, connections: u64) {
    let needed = connections + DESCRIPTORS_BESIDE;
    let found = format!(
        "this shell permits {limit} open files and sockets; limits.connections_max = {connections} \
                         takes {needed}"
    );
    let advice = format!(
        "raise it with `ulimit -n {needed}` or LimitNOFILE={needed} in the systemd unit, or lower limits.connections_max"
    );
    if limit < DESCRIPTORS_MIN {
        findings.error(Part::Machine, "descriptors", found, advice);
    } else if limit < needed {
        findings.warning(Part::Machine, "descriptors", found, advice);
    } else {
        findings.good(Part::Machine, "descriptors", format!("{limit} open files and sockets are permitted"));
    }
}

/// `limit` and `used` are those of the control group, where there is one.
fn memory(findings: &mut Findings, meminfo: &str, limit: &str, used: &str) {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    let Some(machine) = kib.map(|kib| kib * 1024) else { return };
    let group = limit.trim().parse::<u64>().ok().zip(used.trim().parse::<u64>().ok());
    let available = group.map_or(machine, |(limit, used)| machine.min(limit.saturating_sub(used)));
    let found = format!("{} of memory are free", size(available));
    let advice = "end what else runs here, or give the machine, or the container that this is, more memory";
    let grade = match available {
        ..MEMORY_ERROR_BYTES => Grade::Error,
        MEMORY_ERROR_BYTES..MEMORY_WARNING_BYTES => Grade::Warning,
        MEMORY_WARNING_BYTES.. => return findings.good(Part::Machine, "memory", found),
    };
    findings.bad(Part::Machine, "memory", grade, found, advice.to_owned());
}

fn clock(findings: &mut Findings, seconds: u64) {
    if seconds >= CLOCK_MIN_SECONDS {
        findings.good(Part::Machine, "clock", "the clock can be right");
        return;
    }
    findings.error(
        Part::Machine,
        "clock",
        "the clock is before 2026, before there was this program: no certificate and no token is good then",
        "set it; `timedatectl set-ntp true` keeps it right",
    );
}

/// Whether `listen` can be had.
fn port(findings: &mut Findings, config: &Config, data_dir: &Path) {
    let listen = config.root.listen;
    let Err(error) = TcpListener::bind(listen) else {
        return findings.good(Part::Machine, "port", format!("{listen} can be listened on"));
    };
    if error.kind() != ErrorKind::AddrInUse {
        let (found, advice) = cannot_listen(&error, &listen.to_string());
        findings.error(Part::Machine, "port", found, advice);
        return;
    }
    let owner = Owner::of_port(listen.port());
    let ours = data::holder(data_dir);
    match owner {
        Some(owner) if Some(owner.pid) == ours => {
            findings.good(Part::Machine, "port", format!("{listen} is this installation's ({owner})"));
        }
        owner => {
            let by = owner
                .map_or_else(|| "a process that this user cannot see".to_owned(), |owner| owner.to_string());
            findings.error(
                Part::Machine,
                "port",
                format!("{listen} is in use by {by}"),
                "stop that one, or choose another address with `listen`",
            );
        }
    }
}

fn cannot_listen(error: &io::Error, listen: &str) -> (String, &'static str) {
    let found = format!("{listen} cannot be listened on ({error})");
    let advice = match error.kind() {
        ErrorKind::PermissionDenied => {
            "ports below 1024 need the right to them: AmbientCapabilities=CAP_NET_BIND_SERVICE in the systemd unit, or \
             listen above 1024 behind a proxy"
        }
        ErrorKind::AddrNotAvailable => {
            "this machine has no such address: `ip address` lists those that it has; \"0.0.0.0:4700\" is all of them"
        }
        _ => "choose another address with `listen`",
    };
    (found, advice)
}

/// Ports of game servers that the system gives to whoever asks for any.
fn ephemeral(findings: &mut Findings, config: &Config) {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut numbers = text.split_ascii_whitespace().filter_map(|number| number.parse::<u16>().ok());
    let (Some(first), Some(last)) = (numbers.next(), numbers.next()) else { return };
    for (game, fleet) in config.root.games.iter().filter_map(|(id, game)| Some((id, game.fleet.as_ref()?))) {
        let range = &fleet.port_range;
        if fleet.provider == ProviderKind::HostingApi || *range.start() > last || *range.end() < first {
            continue;
        }
        findings.warning(
            Part::Machine,
            "port_range",
            format!(
                "the ports {}-{} of game {game}'s servers are among those that the system gives to outgoing \
                 connections ({first}-{last}); a server's port may be taken when it is to start",
                range.start(),
                range.end()
            ),
            format!(
                "choose games.{game}.fleet.port_range below {first}, or reserve it with \
                     net.ipv4.ip_local_reserved_ports"
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grade(look: impl Fn(&mut Findings)) -> Grade {
        let mut findings = Findings::default();
        look(&mut findings);
        assert_eq!(findings.0.len(), 1);
        let finding = &findings.0[0];
        assert_eq!(finding.advice.is_some(), matches!(finding.grade, Grade::Warning | Grade::Error));
        finding.grade
    }

    #[test]
    fn memory_is_that_of_the_machine_or_of_its_group() {
        let meminfo = |kib: u64| format!("MemTotal: 1 kB\nMemAvailable:   {kib} kB\n");
        let of =
            |kib, limit: &str, used: &str| grade(|findings| memory(findings, &meminfo(kib), limit, used));
        assert_eq!(of(1 << 20, "max\n", "1\n"), Grade::Good);
        assert_eq!(of(100 << 10, "", ""), Grade::Warning);
        assert_eq!(of(10 << 10, "", ""), Grade::Error);
        assert_eq!(of(1 << 20, "104857600\n", "94371840\n"), Grade::Error, "10 MiB of the group are left");
    }

    #[test]
    fn what_cannot_be_listened_on_says_why() {
        let advice = |kind: ErrorKind| cannot_listen(&kind.into(), "0.0.0.0:80").1;
        assert!(advice(ErrorKind::PermissionDenied).contains("CAP_NET_BIND_SERVICE"));
        assert!(advice(ErrorKind::AddrNotAvailable).contains("ip address"));
    }
}
