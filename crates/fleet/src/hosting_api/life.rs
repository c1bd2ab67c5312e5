//! One server of another host, from the request for it to its end.

use std::{sync::Arc, time::Duration};

use greenroom_protocol::{
    ServerId, Timestamp,
    hosting::{ServerState, ServerView},
};
use tokio::{sync::mpsc, time::Instant};

use super::{
    Host,
    client::{Known, Refusal},
    record::{Answer, Record},
};
use crate::{
    model::{Exit, ExitCause, Phase},
    supervise::now,
};

/// Between two looks at a server there.
const LOOK_PERIOD: Duration = Duration::from_secs(3);
/// First pause after a request that failed; doubles up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_millis(250);
/// Longest pause between requests, unless the host asks for more.
const RETRY_MAX: Duration = Duration::from_secs(10);
/// How long it may take to find out about a server that nobody waits for any more.
const RELEASE_MAX: Duration = Duration::from_secs(5);
/// Between two tries to stop a server there.
const STOP_RETRY: Duration = Duration::from_secs(2);

type Stops = mpsc::Receiver<Duration>;

/// Follows one server to its end, or until we end. Begins where its record stands.
pub(super) async fn run(host: Arc<Host>, id: ServerId, mut stops: Stops) {
    let Some(entry) = host.table.get(&id) else { return };
    let record = entry.own.0.lock().clone();
    let cancel = host.cancel.clone();
    // Our end first: what is under way is taken up by the next start.
    tokio::select! {
        biased;
        () = cancel.cancelled() => {}
        exit = follow(&host, record, &mut stops) => host.ended(&id, exit).await,
    }
}

async fn follow(host: &Host, record: Record, stops: &mut Stops) -> Exit {
    let answer = match record.answer.clone() {
        Some(answer) => answer,
        None => match ask(host, &record, stops).await {
            Ok(answer) => {
                host.answered(&record.id, &answer).await;
                answer
            }
            Err(cause) => return exit(cause, false),
        },
    };
    match &answer.id {
        Some(theirs) if host.can_be_asked(&record, theirs).await => {
            watch(host, &record.id, theirs, stops).await
        }
        _ => wait(host, &record.id, &answer, stops).await,
    }
}

/// Asks until there is a server, under the same key, for as long as it may take to be ready.
async fn ask(host: &Host, record: &Record, stops: &mut Stops) -> Result<Answer, ExitCause> {
    // A request of an earlier run has been answered or refused by now; asking again tells which.
    let deadline = Instant::now() + record.ready_timeout;
    let mut pause = RETRY_MIN;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let refusal = match host.client.allocate(record, left).await {
            Ok(answer) => {
                return if stops.try_recv().is_ok() {
                    Err(host.give_back(&answer).await)
                } else {
                    Ok(answer)
                };
            }
            Err(refusal) => refusal,
        };
        metrics::counter!("greenroom_hosting_api_failures_total", "host" => host.id.to_string()).increment(1);
        let (why, after, is_unknown) = match refusal {
            Refusal::ForGood(why) => return Err(ExitCause::SpawnFailed(host.sentence(&why))),
            Refusal::Later { why, after } => (why, after, false),
            Refusal::Unknown(why) => (why, None, true),
        };
        let next = after.unwrap_or(pause);
        let is_late = Instant::now() + next >= deadline;
        if is_late || stops.try_recv().is_ok() {
            if is_unknown {
                host.release(record).await;
            }
            let late = ExitCause::NotReady(host.sentence(&why));
            return Err(if is_late { late } else { ExitCause::Stopped { killed: false } });
        }
        tracing::debug!(server = %record.id, host = %host.id, why, "a game server was asked for in vain; it is asked for again");
        tokio::select! {
            biased;
            _ = stops.recv() => return Err(ExitCause::Stopped { killed: false }),
            () = tokio::time::sleep(next) => {}
        }
        pause = (pause * 2).min(RETRY_MAX);
    }
}

/// Watches a server whose host can be asked about it.
async fn watch(host: &Host, id: &ServerId, theirs: &str, stops: &mut Stops) -> Exit {
    let mut was_stopped = false;
    let mut is_told = false;
    loop {
        if was_stopped && !is_told {
            match host.client.stop(theirs).await {
                Ok(()) => is_told = true,
                Err(why) => {
                    tracing::warn!(server = %id, host = %host.id, why, "a game server of another host could not be told to stop; it is tried again");
                }
            }
        }
        match host.client.look(theirs).await {
            Ok(Known::Server(view)) if view.state.is_final() => return ended_there(&view, was_stopped),
            // It was known there before.
            Ok(Known::No) if was_stopped => return exit(ExitCause::Stopped { killed: false }, true),
            Ok(Known::No) => return exit(ExitCause::SupervisorLost, true),
            // Whether the host answers is found out elsewhere, for all of its servers at once.
            Ok(Known::Server(_)) | Err(_) => {}
        }
        let pause = if was_stopped { STOP_RETRY } else { LOOK_PERIOD };
        tokio::select! {
            biased;
            Some(_grace) = stops.recv() => was_stopped = true,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// A server whose host cannot be asked about it counts as running for a time.
async fn wait(host: &Host, id: &ServerId, answer: &Answer, stops: &mut Stops) -> Exit {
    let left = answer.at.after(host.lifetime).since(now());
    tokio::select! {
        biased;
        Some(_grace) = stops.recv() => {
            tracing::warn!(server = %id, host = %host.id, "the host of this game server knows no way to stop it; here it counts as ended");
            exit(ExitCause::Stopped { killed: false }, true)
        }
        () = tokio::time::sleep(left) => exit(ExitCause::Exited(0), true),
    }
}

impl Host {
    /// Whether the host tells how its servers are; found out once for each.
    async fn can_be_asked(&self, record: &Record, theirs: &str) -> bool {
        if let Some(known) = record.can_be_asked {
            return known;
        }
        let mut pause = RETRY_MIN;
        let known = loop {
            match self.client.look(theirs).await {
                Ok(Known::Server(_)) => break true,
                Ok(Known::No) => break false,
                Err(_) => tokio::time::sleep(pause).await,
            }
            pause = (pause * 2).min(RETRY_MAX);
        };
        if !known {
            tracing::info!(server = %record.id, host = %self.id, "the host of this game server cannot be asked about it");
        }
        self.note(&record.id, |record| record.can_be_asked = Some(known)).await;
        known
    }

    async fn answered(&self, id: &ServerId, answer: &Answer) {
        self.note(id, |record| record.answer = Some(answer.clone())).await;
        self.table.update(id, |entry| {
            entry.phase = Phase::Ready { at: answer.at };
            entry.ports = answer.ports.as_slice().into();
            entry.public_address = Some(answer.address.clone());
        });
    }

    async fn ended(&self, id: &ServerId, exit: Exit) {
        self.note(id, |record| record.exit = Some(exit.clone())).await;
        self.table.update(id, |entry| entry.phase = Phase::Ended(exit));
    }

    /// Nobody waits for a server any more that the host may have given: it is asked for once more,
    /// under the same key, to be given back.
    async fn release(&self, record: &Record) {
        match self.client.allocate(record, RELEASE_MAX).await {
            Ok(answer) => drop(self.give_back(&answer).await),
            Err(Refusal::Unknown(why)) => {
                tracing::warn!(server = %record.id, host = %self.id, why, "whether the host gave a game server that nobody waits for any more is unknown; it may run there");
            }
            // Then there is none.
            Err(Refusal::Later { .. } | Refusal::ForGood(_)) => {}
        }
    }

    /// Nobody wants it any more.
    async fn give_back(&self, answer: &Answer) -> ExitCause {
        if let Some(theirs) = &answer.id
            && let Err(why) = self.client.stop(theirs).await
        {
            tracing::warn!(theirs, host = %self.id, why, "a game server of another host that nobody wants any more could not be told to stop");
        }
        ExitCause::Stopped { killed: false }
    }

    /// Changes a record, in memory and on disk. A disk that is full loses what the host tells again.
    async fn note(&self, id: &ServerId, change: impl FnOnce(&mut Record)) {
        let Some(entry) = self.table.get(id) else { return };
        let record = {
            let mut record = entry.own.0.lock();
            change(&mut record);
            record.clone()
        };
        if let Err(error) = self.records.write(&record).await {
            tracing::warn!(server = %id, %error, "what another host told of a game server could not be written down");
        }
    }

    fn sentence(&self, why: &str) -> String {
        format!("the host \"{}\" gave no server: {why}", self.id)
    }
}

fn ended_there(view: &ServerView, was_stopped: bool) -> Exit {
    let told = view.exit.as_ref();
    let reason = told.and_then(|exit| exit.reason.clone());
    let cause = match told {
        _ if view.state == ServerState::Lost => ExitCause::SupervisorLost,
        Some(exit) if exit.signal.is_some() => ExitCause::Signalled(exit.signal.unwrap_or_default()),
        Some(exit) if exit.code.is_some() => ExitCause::Exited(exit.code.unwrap_or_default()),
        Some(exit) if exit.crashed => {
            ExitCause::SpawnFailed(reason.unwrap_or_else(|| "it failed there".to_owned()))
        }
        _ if was_stopped => ExitCause::Stopped { killed: false },
        _ => ExitCause::Exited(0),
    };
    let last_lines = told.map(|exit| exit.last_lines.clone()).unwrap_or_default();
    let at: Timestamp = told.map_or_else(now, |exit| exit.at);
    Exit { at, cause, was_ready: true, last_lines }
}

fn exit(cause: ExitCause, was_ready: bool) -> Exit {
    Exit { at: now(), cause, was_ready, last_lines: Vec::new() }
}
