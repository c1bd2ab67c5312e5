//! The supervisor's loop, from the server's start to its end.

use std::{
    io::{self, ErrorKind, Read},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixListener,
    },
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, kill_process_group, wait},
};

use super::{
    Signals,
    control::{self, CLIENTS_MAX, Client},
    drain, limits,
    log::{self, Log},
    readiness::{self, Watch},
    spawn,
};
use crate::{
    folder::{Command, Folder, ReadySpec, Spec, Status},
    model::{Exit, ExitCause, LogStream, Phase},
    procfs::{self, Identity},
};

/// Read from a pipe at once.
const READ_BYTES: usize = 16 * 1024;

/// Chunks read from one pipe in a row, so that a flood keeps nothing else waiting.
const READS_MAX: usize = 16;

/// Longest grace period; a longer one means this.
const GRACE_MAX: Duration = Duration::from_hours(24);

/// How long output is still waited for after the last process of the server was killed.
const DRAIN_MAX: Duration = Duration::from_millis(250);

/// How long descendants are killed again and again, in case some fork while dying.
const KILL_MAX: Duration = Duration::from_secs(2);

/// Starts the server and stays with it until nothing of it is left.
pub(super) fn run(
    folder: Folder,
    spec: Spec,
    mut status: Status,
    listener: UnixListener,
    signals: Signals,
) -> io::Result<()> {
    let mut log = Log::new(folder.log(), folder.log_old(), spec.log_bytes_max);
    let began = Instant::now();
    let prepared = limits::prepare(spec.limits, &spec.id);
    for note in &prepared.notes {
        log.system(note);
    }
    status.cgroups.clone_from(&prepared.made);
    let started = Watch::new(&spec, began).and_then(|watch| {
        let child = spawn::spawn(&spec, &prepared);
        child.map(|child| (watch, child)).map_err(|error| spawn_failed(&spec, &error))
    });
    drop(prepared);
    let (watch, mut child) = match started {
        Ok(started) => started,
        Err(sentence) => {
            log.system(&sentence);
            limits::remove(&status.cgroups);
            status.phase = ended(ExitCause::SpawnFailed(sentence), false, Vec::new());
            folder.write_status(&status)?;
            // The provider's connection waits at the socket since before we were there.
            if let Some(mut client) = Client::accept(&listener) {
                client.tell(&control::line(&status));
            }
            return Ok(());
        }
    };

    let pid = child.id().cast_signed();
    status.game = Identity::of(pid);
    let pipes = [
        child.stdout.take().map(|pipe| Pipe::new(LogStream::Stdout, pipe)),
        child.stderr.take().map(|pipe| Pipe::new(LogStream::Stderr, pipe)),
    ];
    let mut supervisor = Supervisor {
        ready_until: began + spec.ready_timeout,
        folder,
        spec,
        status,
        log,
        listener,
        clients: Vec::new(),
        signals,
        pid,
        pipes: pipes.into_iter().flatten().collect(),
        watch: Some(watch),
        stopping: None,
        exit: None,
    };
    supervisor.record();
    supervisor.attend();
    supervisor.finish();
    Ok(())
}

fn spawn_failed(spec: &Spec, error: &io::Error) -> String {
    let program = spec.program.display();
    if spec.working_dir.is_dir() {
        format!("the system does not run {program}: {error}; check that it is a program for this machine")
    } else {
        format!("{program} cannot run in {}: there is no such folder", spec.working_dir.display())
    }
}

fn ended(cause: ExitCause, was_ready: bool, last_lines: Vec<String>) -> Phase {
    Phase::Ended(Exit { at: log::now(), cause, was_ready, last_lines })
}

struct Supervisor {
    folder: Folder,
    spec: Spec,
    status: Status,
    log: Log,
    listener: UnixListener,
    clients: Vec<Client>,
    signals: Signals,
    /// The server's process, also its group and session.
    pid: i32,
    pipes: Vec<Pipe>,
    /// Until it is ready.
    watch: Option<Watch>,
    ready_until: Instant,
    stopping: Option<Stopping>,
    /// How the server's process ended.
    exit: Option<WaitStatus>,
}

/// A server that is being ended by us.
struct Stopping {
    /// Why, if it ends before it is killed.
    cause: ExitCause,
    kill_at: Instant,
    killed: bool,
}

/// One of the server's output pipes.
struct Pipe {
    stream: LogStream,
    reader: Box<dyn PipeReader>,
}

trait PipeReader: Read + AsFd {}
impl<T: Read + AsFd> PipeReader for T {}

impl Pipe {
    fn new(stream: LogStream, reader: impl PipeReader + 'static) -> Self {
        if let Ok(flags) = fcntl_getfl(&reader) {
            let _stays_blocking_after_poll = fcntl_setfl(&reader, flags | OFlags::NONBLOCK);
        }
        Self { stream, reader: Box::new(reader) }
    }
}

impl Supervisor {
    /// Attends to everything until the server's process has ended.
    fn attend(&mut self) {
        loop {
            let readable = self.wait_for_something();
            if drain(&self.signals.child) {
                self.reap();
            }
            if drain(&self.signals.terminate) {
                self.log.system("the supervisor was asked to terminate: the game server is stopped");
                self.stop(self.spec.stop_grace, ExitCause::Stopped { killed: false });
            }
            self.read_pipes();
            if self.exit.is_some() {
                return;
            }
            self.look();
            self.kill_if_due();
            if readable {
                self.serve();
            }
        }
    }

    /// Waits for the next thing to do; whether the control socket has something.
    fn wait_for_something(&mut self) -> bool {
        let due = [
            self.watch.as_ref().and_then(Watch::next),
            self.watch.as_ref().filter(|_| self.stopping.is_none()).map(|_| self.ready_until),
            self.stopping.as_ref().filter(|s| !s.killed).map(|s| s.kill_at),
        ];
        let due = due.into_iter().flatten().min();
        let timeout = due.map(|at| at.saturating_duration_since(Instant::now()));
        let mut fds: Vec<BorrowedFd<'_>> = vec![self.listener.as_fd()];
        fds.extend(self.clients.iter().map(|client| client.stream.as_fd()));
        fds.extend([self.signals.child.as_fd(), self.signals.terminate.as_fd()]);
        fds.extend(self.pipes.iter().map(|pipe| pipe.reader.as_fd()));
        let mut fds: Vec<PollFd<'_>> =
            fds.into_iter().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        let timeout = timeout.and_then(|t| Timespec::try_from(t).ok());
        // A signal interrupts it: then its descriptor says so at once.
        let _interrupted = poll(&mut fds, timeout.as_ref());
        fds[..=self.clients.len()].iter().any(|fd| !fd.revents().is_empty())
    }

    /// Collects what has ended: the server's process, and descendants that became ours.
    fn reap(&mut self) {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if pid.as_raw_pid() == self.pid {
                self.exit = Some(status);
            }
        }
    }

    fn read_pipes(&mut self) {
        let (log, watch) = (&mut self.log, &self.watch);
        let mut ready = false;
        self.pipes.retain_mut(|pipe| {
            let mut on_line = |line: &str| ready |= watch.as_ref().is_some_and(|watch| watch.line(line));
            let mut chunk = [0; READ_BYTES];
            for _ in 0..READS_MAX {
                match pipe.reader.read(&mut chunk) {
                    Ok(0) => {
                        log.end(pipe.stream, &mut on_line);
                        return false;
                    }
                    Ok(length) => log.feed(pipe.stream, &chunk[..length], &mut on_line),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                    Err(_) => return false,
                }
            }
            true
        });
        if ready {
            self.ready();
        }
    }

    /// Sees whether it is ready, or has taken too long.
    fn look(&mut self) {
        let Some(watch) = &mut self.watch else { return };
        if self.stopping.is_some() {
            self.watch = None;
            return;
        }
        if watch.tick(self.pid) {
            return self.ready();
        }
        if Instant::now() < self.ready_until {
            return;
        }
        let cause = watch.verdict(self.pid, self.spec.ready_timeout);
        self.log.system(&format!("not ready: {cause}"));
        self.stop(self.spec.stop_grace, cause);
    }

    fn ready(&mut self) {
        self.watch = None;
        if self.stopping.is_none() && self.status.phase == Phase::Starting {
            self.status.phase = Phase::Ready { at: log::now() };
            self.record();
        }
    }

    /// Asks the server to end; again: only a shorter grace counts.
    fn stop(&mut self, grace: Duration, cause: ExitCause) {
        let kill_at = Instant::now() + grace.min(GRACE_MAX);
        if let Some(stopping) = &mut self.stopping {
            stopping.kill_at = stopping.kill_at.min(kill_at);
            return;
        }
        self.stopping = Some(Stopping { cause, kill_at, killed: false });
        self.watch = None;
        self.signal_group(Signal::TERM);
        self.kill_if_due();
    }

    fn kill_if_due(&mut self) {
        let Some(stopping) = &mut self.stopping else { return };
        if stopping.killed || Instant::now() < stopping.kill_at {
            return;
        }
        stopping.killed = true;
        self.signal_group(Signal::KILL);
    }

    /// Signals the server's group. Its process is our child and not yet waited for, so that nobody
    /// else can have its number.
    fn signal_group(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.pid).filter(|_| self.exit.is_none()) {
            let _ended = kill_process_group(pid, signal);
        }
    }

    /// Takes connections and commands.
    fn serve(&mut self) {
        while let Some(mut client) = Client::accept(&self.listener) {
            if self.clients.len() < CLIENTS_MAX && client.tell(&control::line(&self.status)) {
                self.clients.push(client);
            }
        }
        let mut commands = Vec::new();
        self.clients.retain_mut(|client| {
            let (more, goes_on) = client.read();
            commands.extend(more);
            goes_on
        });
        for command in commands {
            match command {
                Command::Stop { grace } => self.stop(grace, ExitCause::Stopped { killed: false }),
                // Of another readiness it is not for the server to say.
                Command::Ready if self.spec.ready == ReadySpec::Sdk => self.ready(),
                Command::Ready => {}
            }
        }
    }

    /// Writes the state down, then tells it.
    fn record(&mut self) {
        if let Err(error) = self.folder.write_status(&self.status) {
            self.log.system(&format!("the state could not be recorded: {error}"));
        }
        let line = control::line(&self.status);
        self.clients.retain_mut(|client| client.tell(&line));
    }

    /// The server's process has ended: takes everything of it away and records how it ended.
    fn finish(&mut self) {
        self.kill_descendants();
        let drain_until = Instant::now() + DRAIN_MAX;
        while !self.pipes.is_empty() && Instant::now() < drain_until {
            let mut fds: Vec<_> = self
                .pipes
                .iter()
                .map(|pipe| PollFd::from_borrowed_fd(pipe.reader.as_fd(), PollFlags::IN))
                .collect();
            let timeout = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
            let _interrupted = poll(&mut fds, Some(&timeout));
            drop(fds);
            self.read_pipes();
        }
        self.log.end(LogStream::Stdout, |_| {});
        self.log.end(LogStream::Stderr, |_| {});
        limits::remove(&self.status.cgroups);

        let was_ready = matches!(self.status.phase, Phase::Ready { .. });
        let cause = self.cause(was_ready);
        self.log.system(&format!("the game server has ended: {cause}"));
        self.status.phase = ended(cause, was_ready, self.log.last_lines());
        // Whoever connects now finds the end as well.
        self.serve();
        self.record();
    }

    fn cause(&mut self, was_ready: bool) -> ExitCause {
        if let Some(stopping) = self.stopping.take() {
            return match stopping.cause {
                ExitCause::Stopped { .. } => ExitCause::Stopped { killed: stopping.killed },
                other => other,
            };
        }
        let cause = match self.exit {
            Some(status) => match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => ExitCause::Exited(code),
                (None, Some(signal)) => ExitCause::Signalled(signal),
                (None, None) => ExitCause::Exited(-1),
            },
            None => ExitCause::Exited(-1),
        };
        let listening = matches!(self.spec.ready, crate::folder::ReadySpec::Listening);
        if !was_ready
            && listening
            && cause.is_crash()
            && let Some((port, holder)) = readiness::taken_after_end(&self.spec.ports)
        {
            return ExitCause::PortTaken { port, holder };
        }
        cause
    }

    /// Kills what is left below us, until nothing is; as their reaper we are told of every one,
    /// whatever group or session it has made for itself.
    fn kill_descendants(&mut self) {
        let until = Instant::now() + KILL_MAX;
        loop {
            let left = procfs::descendants(std::process::id().cast_signed());
            for pid in left.iter().filter_map(|pid| Pid::from_raw(*pid)) {
                let _ended = kill_process(pid, Signal::KILL);
            }
            self.reap();
            if left.is_empty() || Instant::now() >= until {
                return;
            }
            let mut signal = [PollFd::new(&self.signals.child, PollFlags::IN)];
            let _interrupted = poll(&mut signal, Some(&Timespec { tv_sec: 0, tv_nsec: 5_000_000 }));
            drain(&self.signals.child);
        }
    }
}
