//! The life of one container: until it is ready, until it is stopped, until it has ended.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bollard::query_parameters::KillContainerOptions;
use greenroom_protocol::ServerId;
use parking_lot::Mutex;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::{
    EngineError, Host, Own, logs, on_disk,
    ready::{SILENT, Watch},
    record::{Record, State},
    seen::{End, Running, Seen},
};
use crate::{
    folder::ReadySpec,
    model::{Exit, ExitCause, Phase},
    procfs,
    supervise::{CHECK_SDK, now},
};

/// Stops that wait for one server; more change nothing.
pub(super) const COMMANDS_MAX: usize = 4;
/// Longest grace period; a longer one means this.
const GRACE_MAX: Duration = Duration::from_hours(24);
/// How long the engine may take to send a signal.
const KILL_MAX: Duration = Duration::from_secs(10);
/// Between two tries to send a signal that could not be sent.
const SIGNAL_AGAIN: Duration = Duration::from_secs(1);
/// How long a container may take to end after SIGKILL, before it is sent again.
const KILL_AGAIN: Duration = Duration::from_secs(10);
/// What a container that a signal has killed exits with, less the signal's number.
const SIGNALLED: i32 = 128;

/// Follows one server.
pub(super) struct Life {
    host: Arc<Host>,
    id: ServerId,
    own: Own,
    record: Arc<Record>,
    is_ready: bool,
    stop: Option<Stop>,
    stop_asked: bool,
    killed: bool,
    /// Why it is being ended, if not because somebody asked.
    verdict: Option<ExitCause>,
}

/// A stop that is under way.
struct Stop {
    /// When the grace period ends.
    at: Instant,
    /// When there is something to do next.
    next: Instant,
    told: bool,
}

impl Life {
    pub(super) fn new(
        host: Arc<Host>,
        own: Own,
        record: Arc<Record>,
        is_ready: bool,
        stop_asked: bool,
    ) -> Self {
        let id = record.id.clone();
        Self { host, id, own, record, is_ready, stop: None, stop_asked, killed: false, verdict: None }
    }

    /// Follows it to its end, or until the engine closes.
    pub(super) async fn run(mut self, seen: Option<Running>, mut commands: mpsc::Receiver<Duration>) {
        let host = Arc::clone(&self.host);
        let first = if seen.is_some() {
            seen
        } else {
            // Closing first: what becomes of it is seen after the next start.
            tokio::select! {
                biased;
                () = host.cancel.cancelled() => return,
                first = self.first_sight() => first,
            }
        };
        let Some(first) = first else { return };
        self.note(&first);
        let lacking = Arc::new(Mutex::new(String::new()));
        let watch = Watch {
            host: Arc::clone(&host),
            id: self.id.clone(),
            record: Arc::clone(&self.record),
            lacking: Arc::clone(&lacking),
            signals: Arc::clone(&self.own.signals),
        };
        let mut ready = std::pin::pin!(watch.wait(first));
        let mut waits = !self.is_ready;
        let late = Instant::now() + self.record.ready_timeout;
        let signals = Arc::clone(&self.own.signals);
        loop {
            let next = self.stop.as_ref().map(|stop| stop.next);
            tokio::select! {
                // Closing first, then what is, then what is wanted: a stop of what has ended is none.
                biased;
                () = host.cancel.cancelled() => return,
                () = signals.nudge.notified() => {
                    if self.look().await {
                        return;
                    }
                }
                result = &mut ready, if waits => {
                    waits = false;
                    match result {
                        Ok(()) => self.became_ready().await,
                        Err(sentence) => self.condemn(sentence).await,
                    }
                }
                Some(grace) = commands.recv() => self.ask_to_stop(grace).await,
                () = sleep_until(late), if waits => {
                    waits = false;
                    let after = self.record.ready_timeout.as_secs_f64();
                    let lacking = std::mem::take(&mut *lacking.lock());
                    let what = if lacking.is_empty() { "it was not seen to run".to_owned() } else { lacking };
                    self.condemn(if what == SILENT {
                        format!("{SILENT} within {after} s; {CHECK_SDK}")
                    } else {
                        format!("it was not ready within {after} s: {what}")
                    })
                    .await;
                }
                () = sleep_until(next.unwrap_or(late)), if next.is_some() => {
                    if self.drive_stop().await && self.look().await {
                        return;
                    }
                }
            }
        }
    }

    /// Waits until it is seen to run; none if it has ended instead.
    async fn first_sight(&mut self) -> Option<Running> {
        loop {
            self.own.signals.nudge.notified().await;
            match self.host.inspect(&self.id, self.record.host_network).await {
                Ok(Seen::Running(running)) => return Some(running),
                // It was started: what the engine says of one that it could not, it has not.
                Ok(Seen::Created | Seen::Gone) => self.finish(None).await,
                Ok(Seen::Ended(end)) => self.finish(Some(end)).await,
                Err(error) => {
                    tracing::debug!(server = %self.id, %error, "a container cannot be asked for");
                    continue;
                }
            }
            return None;
        }
    }

    /// Asks the engine how it is; whether it has ended.
    async fn look(&mut self) -> bool {
        match self.host.inspect(&self.id, self.record.host_network).await {
            Ok(Seen::Running(running)) => {
                self.note(&running);
                return false;
            }
            Ok(Seen::Ended(end)) => self.finish(Some(end)).await,
            Ok(Seen::Created | Seen::Gone) => self.finish(None).await,
            Err(error) => {
                tracing::debug!(server = %self.id, %error, "a container cannot be asked for");
                return false;
            }
        }
        true
    }

    fn note(&self, running: &Running) {
        let process = running.pid.and_then(procfs::Identity::of);
        *self.own.signals.process.lock() = process;
        self.host.answer_sdk(&self.own, &self.record, process);
        let was_paused = self.host.table.get(&self.id).is_some_and(|entry| entry.is_paused);
        self.host.table.update(&self.id, |entry| {
            entry.address = running.address;
            entry.is_paused = running.is_paused;
        });
        if running.is_paused && !was_paused {
            tracing::warn!(server = %self.id, name = %self.record.name, "a game server's container was paused: its players are stuck until it is unpaused or stopped");
        } else if was_paused && !running.is_paused {
            tracing::info!(server = %self.id, name = %self.record.name, "a game server's container goes on");
        }
    }

    async fn became_ready(&mut self) {
        self.is_ready = true;
        let phase = Phase::Ready { at: now() };
        // What a server has said of itself is not seen again: it is kept before it is built upon.
        if self.record.ready == ReadySpec::Sdk {
            self.write_state(phase.clone()).await;
            self.host.table.update(&self.id, |entry| entry.phase = phase);
            return;
        }
        // Told first: the record is for after a restart, which sees for itself.
        self.host.table.update(&self.id, |entry| entry.phase = phase.clone());
        self.write_state(phase).await;
    }

    /// It is no good: ended, for this reason.
    async fn condemn(&mut self, sentence: String) {
        self.verdict = Some(ExitCause::NotReady(sentence));
        self.ask_to_stop(self.record.stop_grace).await;
    }

    async fn ask_to_stop(&mut self, grace: Duration) {
        let at = Instant::now() + grace.min(GRACE_MAX);
        match &mut self.stop {
            Some(stop) => {
                stop.at = stop.at.min(at);
                stop.next = stop.next.min(stop.at);
            }
            None => self.stop = Some(Stop { at, next: Instant::now(), told: false }),
        }
        if !self.stop_asked {
            self.stop_asked = true;
            let phase = self.host.table.get(&self.id).map_or(Phase::Starting, |entry| entry.phase);
            self.write_state(phase).await;
        }
    }

    /// Sends the signal that is due; whether the engine says that there is nothing to send it to.
    async fn drive_stop(&mut self) -> bool {
        let Some(stop) = &mut self.stop else { return false };
        let kills = Instant::now() >= stop.at;
        if kills && self.killed {
            tracing::warn!(server = %self.id, "a container does not end though it was killed; it is killed again");
        }
        let mut sent = Ok(());
        if !stop.told {
            sent = signal(&self.host, &self.id, "SIGTERM").await;
        }
        if kills && sent.is_ok() {
            sent = signal(&self.host, &self.id, "SIGKILL").await;
        }
        let after = Instant::now();
        match sent {
            Ok(()) => {
                stop.told = true;
                self.killed |= kills;
                stop.next = if kills { after + KILL_AGAIN } else { stop.at };
                false
            }
            Err(EngineError::NotFound { .. } | EngineError::Conflict { .. }) => {
                stop.next = after + SIGNAL_AGAIN;
                true
            }
            Err(error) => {
                tracing::warn!(server = %self.id, %error, "a game server could not be told to stop; it is tried again");
                stop.next = after + SIGNAL_AGAIN;
                false
            }
        }
    }

    /// It has ended, or its container is gone: takes its log over, tells its end, gives its ports back
    /// and removes the container.
    async fn finish(&mut self, end: Option<End>) {
        self.host.close_sdk(&self.record);
        let cause = self.cause(end.as_ref());
        let at = end.as_ref().and_then(|end| end.at).unwrap_or_else(now);
        let last_word = (at, format!("the game server has ended: {cause}"));
        let (folder, bytes_max) = (&self.own.folder, self.record.log_bytes_max);
        let saved = logs::save(&self.host, &self.id, folder, bytes_max, Some(last_word)).await;
        let exit = Exit { at, cause, was_ready: self.is_ready, last_lines: saved.last_lines };
        let is_recorded = self.write_state(Phase::Ended(exit.clone())).await;
        if self.record.holds_ports {
            self.host.ports.release(&self.record.ports);
        }
        tell(&self.id, &exit);
        self.host.table.update(&self.id, |entry| {
            entry.is_paused = false;
            entry.phase = Phase::Ended(exit);
        });
        // What is not kept here stays there: the watch tries again.
        if saved.is_whole
            && is_recorded
            && let Err(error) = self.host.remove(&self.id).await
        {
            tracing::warn!(server = %self.id, %error, "an ended container is not removed yet; it is tried again");
        }
    }

    fn cause(&mut self, end: Option<&End>) -> ExitCause {
        if let Some(verdict) = self.verdict.take() {
            return verdict;
        }
        let Some(end) = end else {
            return if self.stop_asked { ExitCause::Stopped { killed: true } } else { ExitCause::Removed };
        };
        let signal = Some(end.code - SIGNALLED).filter(|signal| (1..=64).contains(signal));
        let is_killed = signal == Some(rustix::process::Signal::KILL.as_raw());
        if is_killed && (end.out_of_memory || self.own.signals.out_of_memory.load(Ordering::Relaxed)) {
            return ExitCause::OutOfMemory;
        }
        if self.stop_asked {
            return ExitCause::Stopped { killed: self.killed || is_killed };
        }
        match signal {
            _ if !end.error.is_empty() => ExitCause::SpawnFailed(end.error.clone()),
            Some(signal) => ExitCause::Signalled(signal),
            None => ExitCause::Exited(end.code),
        }
    }

    /// Records where it is; whether that succeeded.
    async fn write_state(&self, phase: Phase) -> bool {
        let folder = self.own.folder.clone();
        let state = State { phase, stop_asked: self.stop_asked };
        let written = on_disk(move || folder.write_state(&state)).await;
        if let Err(error) = &written {
            tracing::warn!(server = %self.id, %error, "the state of a game server could not be recorded");
        }
        written.is_ok()
    }
}

async fn signal(host: &Host, id: &ServerId, signal: &str) -> Result<(), EngineError> {
    let name = host.container(id);
    let options = KillContainerOptions { signal: signal.into() };
    host.connection
        .call("sending a signal to a container", KILL_MAX, async |docker| {
            docker.kill_container(&name, Some(options)).await
        })
        .await
}

fn tell(id: &ServerId, exit: &Exit) {
    metrics::counter!("greenroom_fleet_exits_total", "cause" => exit.cause.word()).increment(1);
    let last_line = exit.last_lines.last().map_or("", String::as_str);
    if exit.cause.is_crash() {
        tracing::warn!(server = %id, cause = %exit.cause, was_ready = exit.was_ready, last_line, "game server ended");
    } else {
        tracing::info!(server = %id, cause = %exit.cause, was_ready = exit.was_ready, "game server ended");
    }
}
