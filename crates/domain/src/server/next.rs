//! The rule of reconciliation: what should be, against what is.

use greenroom_protocol::Timestamp;

use super::{Exit, ExitCause, FactKind, PendingFact, Server, ServerState, backoff, is_due};

/// What the provider says of a server's present try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It knows nothing of it.
    Missing,
    /// Its host cannot be asked: it may still run.
    Unreachable,
    /// It runs and is not ready.
    Starting,
    /// It runs and accepts players.
    Ready,
    /// It has ended.
    Ended(Exit),
}

/// The one thing to do next about a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Start the present try; see [`Server::start_refused`] for when that cannot be.
    Start,
    /// Hand over the payload, then commit this.
    Deliver(Box<Server>),
    /// Commit this.
    Commit(Box<Server>),
    /// Tell the provider to stop it.
    Stop,
    /// Tell the provider that it has said it is ready; nothing else until the provider agrees.
    MarkReady,
    /// Append the oldest pending fact, then commit [`Server::fact_appended`].
    Append(PendingFact),
    /// Append what is pending, write the history's row, then delete the document.
    Finish,
    /// Nothing, until something is seen, or until then.
    Wait(Option<Timestamp>),
}

impl Server {
    /// Compares the document with what the provider sees and names the one thing to do. A start for
    /// an allocation is tried `tries_max` times, a warm one once: the pool asks for another.
    pub fn next(&self, seen: &Seen, tries_max: u32, now: Timestamp) -> Step {
        match (self.state, seen) {
            (ServerState::Starting, Seen::Missing) => match self.start_after {
                Some(due) if !is_due(due, now) => Step::Wait(Some(due)),
                Some(_) | None => Step::Start,
            },
            (ServerState::Starting, Seen::Starting) if self.has_said_ready() => Step::MarkReady,
            (ServerState::Starting, Seen::Starting)
            | (ServerState::Starting | ServerState::Stopping, Seen::Unreachable) => Step::Wait(None),
            (ServerState::Starting, Seen::Ready) => self.ready(now),
            (ServerState::Starting, Seen::Ended(exit)) => {
                Step::Commit(Box::new(self.start_failed(exit.clone(), tries_max, now)))
            }
            (ServerState::Ready | ServerState::Allocated | ServerState::Stopping, Seen::Ended(exit)) => {
                self.end(exit.clone(), now)
            }
            (ServerState::Ready | ServerState::Allocated, Seen::Missing) => self.end(
                Exit { at: now, cause: ExitCause::Vanished, was_ready: true, last_lines: Vec::new() },
                now,
            ),
            (ServerState::Ready | ServerState::Allocated, Seen::Starting | Seen::Ready) => self.settle(now),
            (ServerState::Stopping, Seen::Starting | Seen::Ready) => Step::Stop,
            (ServerState::Stopping, Seen::Missing) => {
                let cause = ExitCause::Stopped { killed: false };
                self.end(
                    Exit { at: now, cause, was_ready: self.ready_at.is_some(), last_lines: Vec::new() },
                    now,
                )
            }
            (ServerState::Ready | ServerState::Allocated, Seen::Unreachable) => self.settle_history(now),
            (ServerState::Ended | ServerState::Lost, _) => Step::Finish,
        }
    }

    /// The document after the present try failed: the next try, or the end.
    pub fn start_failed(&self, exit: Exit, tries_max: u32, now: Timestamp) -> Server {
        let mut server = self.clone();
        if server.allocation.is_none() || server.tries >= tries_max.max(1) {
            server.finish(exit, now);
            return server;
        }
        server.start_after = Some(now.after(backoff(server.tries)));
        server.tries += 1;
        server.ports.clear();
        server.sdk = None;
        server.exit = Some(exit.bounded());
        server.pass(ServerState::Starting, now);
        server
    }

    /// The document after the provider refused to start it. A refusal that another try would meet
    /// again (`for_good`) ends it at once.
    pub fn start_refused(&self, why: String, for_good: bool, tries_max: u32, now: Timestamp) -> Server {
        let exit =
            Exit { at: now, cause: ExitCause::SpawnFailed(why), was_ready: false, last_lines: Vec::new() };
        self.start_failed(exit, if for_good { self.tries } else { tries_max }, now)
    }

    /// The document after the host of the present try was lost: the next try, to be placed elsewhere,
    /// or the end. What the host may have started is stopped when it is back.
    pub fn host_lost(&self, tries_max: u32, now: Timestamp) -> Server {
        let exit = Exit { at: now, cause: ExitCause::HostLost, was_ready: false, last_lines: Vec::new() };
        self.start_failed(exit, tries_max, now)
    }

    /// What becomes of it when no port was free for its start. One may be at the next try.
    #[must_use]
    pub fn start_without_port(&self, why: String, tries_max: u32, now: Timestamp) -> Server {
        let exit = Exit { at: now, cause: ExitCause::NoPort(why), was_ready: false, last_lines: Vec::new() };
        self.start_failed(exit, tries_max, now)
    }

    fn ready(&self, now: Timestamp) -> Step {
        let mut server = self.clone();
        server.ready_at = Some(now);
        server.exit = None;
        server.pending.push(PendingFact { kind: FactKind::Started, at: now });
        server.pass(ServerState::Ready, now);
        let Some(allocation) = &mut server.allocation else {
            return Step::Commit(Box::new(server));
        };
        let delivered = allocation.payload_delivered;
        allocation.payload_delivered = true;
        server.allocated_at = Some(now);
        server.pass(ServerState::Allocated, now);
        if delivered { Step::Commit(Box::new(server)) } else { Step::Deliver(Box::new(server)) }
    }

    fn has_said_ready(&self) -> bool {
        self.sdk.as_deref().is_some_and(|sdk| sdk.is_ready_said)
    }

    fn settle(&self, now: Timestamp) -> Step {
        match &self.allocation {
            Some(allocation) if !allocation.payload_delivered => {
                let mut server = self.clone();
                if let Some(allocation) = &mut server.allocation {
                    allocation.payload_delivered = true;
                }
                Step::Deliver(Box::new(server))
            }
            Some(_) | None => self.settle_history(now),
        }
    }

    fn settle_history(&self, now: Timestamp) -> Step {
        if let Some(fact) = self.pending.first() {
            return Step::Append(*fact);
        }
        match self.reservation_over(now) {
            Some(server) => Step::Commit(Box::new(server)),
            None => Step::Wait(self.reserved_until()),
        }
    }

    fn end(&self, exit: Exit, now: Timestamp) -> Step {
        let mut server = self.clone();
        server.finish(exit, now);
        Step::Commit(Box::new(server))
    }

    fn finish(&mut self, exit: Exit, now: Timestamp) {
        let vanished = matches!(exit.cause, ExitCause::SupervisorLost | ExitCause::Vanished);
        // One that was told to end has ended, however little is known of how.
        let lost = vanished && self.state != ServerState::Stopping;
        self.ended_at = Some(now);
        self.exit = Some(exit.bounded());
        if self.ready_at.is_some() {
            let kind = if lost { FactKind::Lost } else { FactKind::Stopped };
            self.pending.push(PendingFact { kind, at: now });
        }
        self.pass(if lost { ServerState::Lost } else { ServerState::Ended }, now);
    }
}
