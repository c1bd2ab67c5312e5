//! Finds the servers of an earlier life, and takes away what a dead supervisor has left.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use greenroom_protocol::ServerId;
use rustix::process::Signal;
use tokio::sync::{mpsc, watch};

use super::{Entry, Host, Own, link};
use crate::{
    folder::{FOLDER_VARIABLE, Folder, Spec, Status},
    local_address, log_file,
    model::{Exit, ExitCause, LogStream, Phase, Started},
    procfs::{self, Identity, Stat},
    sdk::Place,
    supervise::{LAST_LINE_BYTES_MAX, LAST_LINES_MAX, now, remove_cgroups},
};

/// How long leftovers are killed again and again, in case some fork while dying.
const KILL_MAX: Duration = Duration::from_secs(2);

/// A server of an earlier life.
pub(super) struct Found {
    id: ServerId,
    folder: Folder,
    spec: Spec,
    /// The newest recorded state; nothing if it lives and has recorded none yet.
    status: Option<Status>,
}

/// All servers in `servers_dir`. Those whose supervisor died are buried; folders of starts that
/// never came to anything are removed.
pub(super) fn scan(servers_dir: &Path) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(servers_dir)? {
        let entry = entry?;
        let Some(id) = entry.file_name().to_str().and_then(|name| ServerId::new(name).ok()) else { continue };
        if !entry.file_type()?.is_dir() {
            continue;
        }
        let folder = Folder::new(entry.path());
        match examine(&folder) {
            Ok(Some((spec, status))) => found.push(Found { id, folder, spec, status }),
            Ok(None) => folder.remove()?,
            Err(error) => {
                tracing::error!(server = %id, %error, path = %folder.path().display(), "a game server's folder cannot be read and is left alone");
            }
        }
    }
    Ok(found)
}

fn examine(folder: &Folder) -> io::Result<Option<(Spec, Option<Status>)>> {
    let lock = folder.try_lock()?;
    let missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let spec = match folder.read_spec() {
        Err(error) if missing(&error) && lock.is_some() => return Ok(None),
        spec => spec?,
    };
    let status = match folder.read_status() {
        Err(error) if missing(&error) => None,
        status => Some(status?),
    };
    if lock.is_none() {
        return Ok(Some((spec, status)));
    }
    Ok(match status {
        // A supervisor records a state before it starts anything.
        None => None,
        Some(status) if matches!(status.phase, Phase::Ended(_)) => Some((spec, Some(status))),
        Some(status) => Some((spec, Some(bury(folder, Some(status), false)))),
    })
}

/// Makes them known, takes their ports and follows those that live.
pub(super) fn take_over(host: &Arc<Host>, found: Vec<Found>) {
    let (mut alive, mut ended) = (0_u32, 0_u32);
    for Found { id, folder, spec, status } in found {
        let started = Started { ports: spec.ports.clone(), at: spec.at };
        let (_known, outcome) = watch::channel(Some(Ok(started)));
        let (commands_in, commands) = mpsc::channel(link::COMMANDS_MAX);
        let entry = Entry::starting(
            Own { sdk: spec.sdk, ..Own::new(folder.clone(), &spec.ready) },
            spec.labels,
            outcome,
            commands_in,
        );
        let _cannot_be_known = host.table.claim(&id, entry, usize::MAX);
        let lives = !status.as_ref().is_some_and(|s| matches!(s.phase, Phase::Ended(_)));
        host.table.update(&id, |entry| {
            entry.ports = spec.ports.as_slice().into();
            entry.address = Some(local_address());
            entry.own.supervisor = status.as_ref().map(|status| status.supervisor);
            if let Some(status) = status {
                entry.phase = status.phase;
            }
        });
        if lives {
            alive += 1;
            host.ports.adopt(&spec.ports);
            if let Some(ports) = spec.sdk {
                host.ports.adopt(&ports.bound());
                host.sdk.open_again(&id, Place::Here(ports));
            }
            host.links.spawn(link::Link::found(folder).follow(Arc::clone(host), id, commands));
        } else {
            ended += 1;
        }
    }
    if alive + ended > 0 {
        tracing::info!(alive, ended, "game servers of an earlier run found");
    }
}

/// The supervisor is dead and had recorded no end: takes away what is left of its server, and
/// records that.
///
/// To be called with the lock held. `witnessed` says that it died just now, before our eyes.
pub(super) fn bury(folder: &Folder, status: Option<Status>, witnessed: bool) -> Status {
    kill_leftovers(folder, status.as_ref(), witnessed);
    let mut status = status.unwrap_or_else(|| Status {
        boot_id: procfs::boot_id(),
        supervisor: Identity { pid: 0, start_ticks: 0 },
        game: None,
        phase: Phase::Starting,
        cgroups: Vec::new(),
    });
    remove_cgroups(&status.cgroups);
    let cause = ExitCause::SupervisorLost;
    let at = now();
    let last_lines = log_file::last(folder, LAST_LINES_MAX)
        .into_iter()
        .filter(|line| line.stream != LogStream::System)
        .map(|mut line| {
            line.text.truncate(line.text.floor_char_boundary(LAST_LINE_BYTES_MAX));
            line.text
        })
        .collect();
    let line = format!("{} s the game server has ended: {cause}\n", at.as_millis());
    let was_ready = matches!(status.phase, Phase::Ready { .. });
    status.phase = Phase::Ended(Exit { at, cause, was_ready, last_lines });
    let logged =
        OpenOptions::new().append(true).open(folder.log()).and_then(|mut log| log.write_all(line.as_bytes()));
    if let Err(error) = folder.write_status(&status).and(logged) {
        tracing::warn!(%error, path = %folder.path().display(), "the end of a game server could not be recorded");
    }
    status
}

/// Kills what is left of a server without its supervisor, which killed the server's own process as
/// it died, but not that one's descendants.
///
/// A process is the server's if its environment says so. Where we have `witnessed` the supervisor's
/// death, so is what is in the server's group: its number cannot have been given again so soon. After
/// a restart that would be a guess.
pub(super) fn kill_leftovers(folder: &Folder, status: Option<&Status>, witnessed: bool) {
    if status.is_some_and(|status| status.boot_id != procfs::boot_id()) {
        return;
    }
    let marker = format!("{FOLDER_VARIABLE}={}", folder.path().display());
    let group = status.and_then(|status| status.game).filter(|_| witnessed);
    let until = Instant::now() + KILL_MAX;
    loop {
        let mut any = false;
        for pid in procfs::all_pids() {
            let Some(stat) = Stat::of(pid).filter(|stat| stat.state != b'Z') else { continue };
            let is_its_own = || procfs::environment_has(pid, &marker);
            if group.is_some_and(|game| in_group(&stat, game)) || is_its_own() {
                any = true;
                Identity { pid, start_ticks: stat.start_ticks }.signal(Signal::KILL);
            }
        }
        if !any || Instant::now() >= until {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn in_group(stat: &Stat, game: Identity) -> bool {
    let leader_is_another = || Identity::of(game.pid).is_some_and(|now| now != game);
    stat.pgrp == game.pid
        && stat.session == game.pid
        && stat.start_ticks >= game.start_ticks
        && !leader_is_another()
}
