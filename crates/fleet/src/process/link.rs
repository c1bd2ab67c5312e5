//! Follows one supervisor: takes its states, gives it commands, and sees it die.

use std::{
    io,
    process::ExitStatus,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use greenroom_protocol::ServerId;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::UnixStream,
    process::Child,
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};

use super::{Host, SaidReady, adopt};
use crate::{
    folder::{Command, Folder, Status},
    model::Phase,
};

/// Stops that wait for one link; more change nothing.
pub(super) const COMMANDS_MAX: usize = 4;

/// Longest state, in bytes.
const STATUS_BYTES_MAX: u64 = 256 * 1024;

/// Between two tries to reach a supervisor that lives but does not answer.
const RECONNECT: Duration = Duration::from_millis(50);

/// Longest grace period; a longer one means this.
const GRACE_MAX: Duration = Duration::from_hours(24);

/// How long after the grace period a supervisor may take to end its server, before it is itself
/// killed, and the server with it.
const STOP_EXTRA: Duration = Duration::from_secs(5);

/// Where a server is goes into the table; one that has ended gives its ports back first, so that who
/// sees the end can have them. Whether it has ended.
pub(super) fn apply(host: &Host, id: &ServerId, status: &Status) -> bool {
    let Some(known) = host.table.get(id) else { return true };
    let Phase::Ended(exit) = &status.phase else {
        host.table.update(id, |entry| {
            entry.own.supervisor = Some(status.supervisor);
            entry.phase = status.phase.clone();
        });
        return false;
    };
    if !matches!(known.phase, Phase::Ended(_)) {
        host.ports.release(&known.ports);
        if let Some(ports) = known.own.sdk {
            host.sdk.close(id);
            host.ports.release(&ports.bound());
        }
        metrics::counter!("greenroom_fleet_exits_total", "cause" => exit.cause.word()).increment(1);
        let last_line = exit.last_lines.last().map_or("", String::as_str);
        if exit.cause.is_crash() {
            tracing::warn!(server = %id, cause = %exit.cause, was_ready = exit.was_ready, last_line, "game server ended");
        } else {
            tracing::info!(server = %id, cause = %exit.cause, was_ready = exit.was_ready, "game server ended");
        }
        host.table.update(id, |entry| entry.phase = status.phase.clone());
    }
    true
}

/// The tie to one supervisor.
pub(super) struct Link {
    folder: Folder,
    connection: Option<BufReader<UnixStream>>,
    /// Only of a supervisor that we started: to be waited for.
    child: Option<Child>,
    /// When the grace period of the stop that was asked for ends.
    stop_at: Option<Instant>,
    /// A state that has come in part.
    line: Vec<u8>,
}

/// How following a connection came to its end.
enum Flow {
    Closing,
    Ended,
    Lost,
}

impl Link {
    pub(super) const fn new(folder: Folder, connection: BufReader<UnixStream>, child: Child) -> Self {
        Self { folder, connection: Some(connection), child: Some(child), stop_at: None, line: Vec::new() }
    }

    /// To a supervisor that was found.
    pub(super) const fn found(folder: Folder) -> Self {
        Self { folder, connection: None, child: None, stop_at: None, line: Vec::new() }
    }

    /// The first state; nothing if the supervisor ends without one.
    pub(super) async fn first_status(&mut self) -> Option<Status> {
        let mut connection = self.connection.take()?;
        let status = read_status(&mut connection, &mut self.line).await;
        self.connection = Some(connection);
        // It may have ended before its word got through.
        status
            .ok()
            .flatten()
            .or_else(|| self.folder.read_status().ok().filter(|s| matches!(s.phase, Phase::Ended(_))))
    }

    /// Kills a supervisor that could not do its work.
    pub(super) async fn break_off(mut self) {
        if let Some(child) = &mut self.child {
            let _gone: io::Result<()> = child.kill().await;
        }
    }

    /// Waits until the supervisor has gone.
    pub(super) async fn until_gone(mut self) {
        if let Some(child) = &mut self.child {
            let _status: io::Result<ExitStatus> = child.wait().await;
        }
    }

    /// Follows it to its end, or until the provider closes.
    pub(super) async fn follow(
        mut self,
        host: Arc<Host>,
        id: ServerId,
        mut commands: mpsc::Receiver<Duration>,
    ) {
        loop {
            let connection = match self.connection.take() {
                Some(connection) => Ok(connection),
                None => self.connect(),
            };
            if let Ok(connection) = connection {
                match self.serve(&host, &id, connection, &mut commands).await {
                    Flow::Closing => return,
                    Flow::Ended => break,
                    Flow::Lost => {}
                }
            }
            if self.settle(&host, &id).await {
                break;
            }
            tokio::select! {
                biased;
                () = host.cancel.cancelled() => return,
                () = sleep(RECONNECT) => {}
            }
        }
        tokio::select! {
            biased;
            () = host.cancel.cancelled() => {}
            () = self.until_gone() => {}
        }
    }

    fn connect(&mut self) -> io::Result<BufReader<UnixStream>> {
        self.line.clear();
        // At once: a local socket with room in its queue does not keep one waiting.
        let stream = self.folder.with_socket_path(std::os::unix::net::UnixStream::connect)?;
        stream.set_nonblocking(true)?;
        Ok(BufReader::new(UnixStream::from_std(stream)?))
    }

    async fn serve(
        &mut self,
        host: &Host,
        id: &ServerId,
        mut connection: BufReader<UnixStream>,
        commands: &mut mpsc::Receiver<Duration>,
    ) -> Flow {
        if self.stop_at.is_some() && self.tell_stop(&mut connection).await.is_err() {
            return Flow::Lost;
        }
        let said_ready = host.table.get(id).and_then(|known| known.own.said_ready);
        let is_said = said_ready.as_ref().is_some_and(|said| said.is_said.load(Ordering::Acquire));
        if is_said && tell(&mut connection, &Command::Ready).await.is_err() {
            return Flow::Lost;
        }
        loop {
            let overdue = self.stop_at.map(|at| at + STOP_EXTRA);
            tokio::select! {
                // Closing first, then what is, then what is wanted: a stop of what has ended is none.
                biased;
                () = host.cancel.cancelled() => return Flow::Closing,
                status = read_status(&mut connection, &mut self.line) => match status {
                    Ok(Some(status)) => if apply(host, id, &status) { return Flow::Ended },
                    Ok(None) | Err(_) => return Flow::Lost,
                },
                Some(grace) = commands.recv() => {
                    let at = Instant::now() + grace.min(GRACE_MAX);
                    self.stop_at = Some(self.stop_at.map_or(at, |before| before.min(at)));
                    if self.tell_stop(&mut connection).await.is_err() {
                        return Flow::Lost;
                    }
                }
                () = until_said(said_ready.as_deref()) => {
                    if tell(&mut connection, &Command::Ready).await.is_err() {
                        return Flow::Lost;
                    }
                }
                () = sleep_until(overdue.unwrap_or_else(Instant::now)), if overdue.is_some() => {
                    tracing::warn!(server = %id, "a supervisor does not end its game server; both are killed");
                    if let Some(supervisor) = host.table.get(id).and_then(|entry| entry.own.supervisor) {
                        supervisor.signal(rustix::process::Signal::KILL);
                    }
                    return Flow::Lost;
                }
            }
        }
    }

    async fn tell_stop(&self, connection: &mut BufReader<UnixStream>) -> io::Result<()> {
        let Some(at) = self.stop_at else { return Ok(()) };
        tell(connection, &Command::Stop { grace: at.saturating_duration_since(Instant::now()) }).await
    }

    /// The connection is gone: says how the server ended, if it did. A supervisor that still holds
    /// its lock lives, and is asked again.
    async fn settle(&self, host: &Host, id: &ServerId) -> bool {
        let folder = self.folder.clone();
        let settled = tokio::task::spawn_blocking(move || {
            let Some(_lock) = folder.try_lock()? else { return Ok(None) };
            let status = folder.read_status().ok();
            io::Result::Ok(match status {
                Some(status) if matches!(status.phase, Phase::Ended(_)) => Some(status),
                status => Some(adopt::bury(&folder, status, true)),
            })
        });
        match settled.await {
            Ok(Ok(Some(status))) => apply(host, id, &status),
            Ok(Ok(None)) => false,
            Ok(Err(error)) => {
                tracing::warn!(server = %id, %error, "the state of a game server cannot be read");
                false
            }
            Err(_panic) => false,
        }
    }
}

/// Waits until a server says that it is ready; for ever if it is not for it to say.
async fn until_said(said_ready: Option<&SaidReady>) {
    match said_ready {
        Some(said_ready) => said_ready.told.notified().await,
        None => std::future::pending().await,
    }
}

async fn tell(connection: &mut BufReader<UnixStream>, command: &Command) -> io::Result<()> {
    let mut line = serde_json::to_vec(command).map_err(io::Error::other)?;
    line.push(b'\n');
    connection.get_mut().write_all(&line).await
}

/// The next state. What has come of it stays in `line` when this is dropped.
async fn read_status(
    connection: &mut BufReader<UnixStream>,
    line: &mut Vec<u8>,
) -> io::Result<Option<Status>> {
    let room = STATUS_BYTES_MAX - (line.len() as u64).min(STATUS_BYTES_MAX);
    connection.take(room).read_until(b'\n', line).await?;
    if line.last() != Some(&b'\n') {
        return Ok(None);
    }
    let status = serde_json::from_slice(line).map_err(io::Error::other);
    line.clear();
    status.map(Some)
}
