//! The engine `hosting-api`: game servers that another host is asked for, by
//! `POST /v1/games/{game}/servers`.
//!
//! Each server has a record in a folder of ours, written before the host is asked, so that after our
//! restart the same key asks again and gets the same server. Where the host is a Greenroom, its
//! servers are also watched, stopped and their logs read. A host that knows nothing but the POST
//! cannot tell when a server ends and cannot be told to end it: its servers count as running for
//! [`HostingApiConfig::lifetime`].

mod client;
mod life;
mod record;

use std::{collections::VecDeque, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use greenroom_protocol::{HostId, ServerId, Timestamp};
use parking_lot::Mutex;
use secrecy::SecretString;
use tokio::sync::{mpsc, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    client::{Client, LogReader},
    record::{Record, Records},
};
use crate::{
    LOG_TAIL_LINES_MAX, SERVERS_MAX,
    error::{OpenError, ProviderError, StartError},
    model::{
        HostState, HostStatus, LogLine, LogQuery, LogStream, Observed, Phase, Program, StartSpec, Started,
        Usage,
    },
    provider::{Engine, HostChanges, LogSource, ObservationSource},
    supervise::now,
    table::{self, Table, wait_for},
};

/// Between two looks at whether the host answers.
const PROBE_PERIOD: Duration = Duration::from_secs(10);
/// The same while it does not.
const PROBE_PERIOD_LOST: Duration = Duration::from_secs(2);
/// So many looks in a row fail before the host counts as lost: one may be chance.
const PROBE_FAILURES: u32 = 2;
/// Stops that may be on their way to one server.
const COMMANDS_MAX: usize = 4;

/// Another host that game servers are asked for.
#[derive(Clone, Debug)]
pub struct HostingApiConfig {
    /// What it is called among the hosts.
    pub host: HostId,
    /// Such as `https://host.example`; paths begin after it.
    pub url: String,
    /// The game's id there.
    pub game: String,
    /// The key that it knows us by.
    pub key: SecretString,
    /// How long a server counts as running whose host cannot tell.
    pub lifetime: Duration,
    /// Each server has a record in here. Only one provider may use it at a time.
    pub records_dir: PathBuf,
}

/// The handle that ends our side when it is dropped.
pub(crate) struct HostingApiEngine(Arc<Host>);

/// What the tasks of the engine share.
struct Host {
    id: HostId,
    lifetime: Duration,
    client: Client,
    records: Records,
    table: Table<Own>,
    status: Mutex<(HostState, Timestamp)>,
    changes: HostChanges,
    /// Whether the host was looked at once.
    looked: watch::Sender<bool>,
    tasks: TaskTracker,
    cancel: CancellationToken,
}

/// What this engine alone knows of a server.
#[derive(Clone)]
struct Own(Arc<Mutex<Record>>);

impl HostingApiEngine {
    pub(crate) async fn open(config: HostingApiConfig, changes: HostChanges) -> Result<Self, OpenError> {
        let client =
            Client::new(&config).map_err(|why| OpenError::Host { host: config.host.clone(), why })?;
        let (records, found) = Records::open(config.records_dir.clone())
            .await
            .map_err(|cause| OpenError::Folder { folder: config.records_dir.clone(), cause })?;
        let host = Arc::new(Host {
            table: Table::new(config.host.clone()),
            id: config.host,
            lifetime: config.lifetime,
            client,
            records,
            status: Mutex::new((HostState::Lost("it was not asked yet".into()), now())),
            changes,
            looked: watch::Sender::new(false),
            tasks: TaskTracker::new(),
            cancel: CancellationToken::new(),
        });
        host.table.set_host_reachable(false);
        for record in found {
            host.adopt(record);
        }
        host.tasks.spawn(Arc::clone(&host).probe_for_ever());
        Ok(Self(host))
    }
}

impl Drop for HostingApiEngine {
    fn drop(&mut self) {
        self.0.cancel.cancel();
        self.0.table.close();
    }
}

#[async_trait]
impl Engine for HostingApiEngine {
    fn status(&self) -> HostStatus {
        let (state, since) = self.0.status.lock().clone();
        HostStatus {
            id: self.0.id.clone(),
            provider: "hosting-api",
            state,
            since,
            engine_version: None,
            running: self.0.table.alive() as u32,
        }
    }

    async fn first_look(&self) {
        let mut looked = self.0.looked.subscribe();
        let _closed_is_over = looked.wait_for(|looked| *looked).await;
    }

    fn knows(&self, id: &ServerId) -> bool {
        self.0.table.get(id).is_some()
    }

    async fn start(&self, spec: StartSpec) -> Result<Started, StartError> {
        let host = &self.0;
        if host.cancel.is_cancelled() || host.tasks.is_closed() {
            return Err(StartError::Unavailable("Greenroom is about to end and starts nothing more".into()));
        }
        let Program::Remote { region, .. } = &spec.program else {
            let sentence =
                "this host starts no programs of ours; the fleet's provider must be \"hosting-api\"";
            return Err(StartError::Spawn(sentence.into()));
        };
        let payload = match spec.payload.as_deref().map(std::str::from_utf8) {
            None => None,
            Some(Ok(text)) => Some(text.to_owned()),
            Some(Err(_)) => return Err(StartError::Spawn("the payload is no text".into())),
        };
        let at = now();
        let record = Record {
            id: spec.id.clone(),
            at,
            region: region.clone(),
            payload,
            ready_timeout: spec.ready_timeout,
            labels: spec.labels.clone(),
            answer: None,
            can_be_asked: None,
            exit: None,
        };
        let (send, outcome) = watch::channel(None);
        let (commands_in, commands) = mpsc::channel(COMMANDS_MAX);
        let own = Own(Arc::new(Mutex::new(record.clone())));
        let entry = table::Entry::starting(own, spec.labels, outcome.clone(), commands_in);
        if let Some(known) = host.table.claim(&spec.id, entry, SERVERS_MAX)? {
            return wait_for(known).await;
        }
        // On its own, so that it comes to its end when the caller goes away.
        let (shared, id) = (Arc::clone(host), spec.id);
        host.tasks.spawn(async move {
            // Before the host is asked: what it may have started must be found again.
            if let Err(cause) = shared.records.write(&record).await {
                shared.table.remove(&id);
                let sentence = format!("the record of the game server cannot be written: {cause}");
                send.send_replace(Some(Err(StartError::Unavailable(sentence))));
                return;
            }
            send.send_replace(Some(Ok(Started { ports: Vec::new(), at })));
            shared.table.update(&id, |_| {});
            life::run(shared, id, commands).await;
        });
        wait_for(outcome).await
    }

    fn get(&self, id: &ServerId) -> Option<Observed> {
        self.0.table.observed(id)
    }

    fn list(&self) -> Vec<Observed> {
        self.0.table.list()
    }

    fn observe(&self) -> Box<dyn ObservationSource> {
        Box::new(self.0.table.changes())
    }

    async fn deliver_payload(&self, id: &ServerId, _payload: &Bytes) -> Result<(), ProviderError> {
        let entry = self.0.started(id).await?;
        // It went with the request, and there is no other way to tell it.
        if entry.own.0.lock().payload.is_some() {
            return Ok(());
        }
        let cause =
            std::io::Error::other("a server of another host is told its payload when it is asked for");
        Err(ProviderError::Unavailable { action: "handing over the payload", cause })
    }

    async fn stop(&self, id: &ServerId, grace: Duration) -> Result<(), ProviderError> {
        let entry = self.0.started(id).await?;
        if !entry.is_ended() {
            // A full queue means that stops are on their way already; a closed one, its end.
            let _on_its_way = entry.commands.try_send(grace);
        }
        Ok(())
    }

    async fn logs(&self, id: &ServerId, query: LogQuery) -> Result<Box<dyn LogSource>, ProviderError> {
        let entry = self.0.started(id).await?;
        let (theirs, last_lines) = {
            let record = entry.own.0.lock();
            let theirs = record.answer.as_ref().and_then(|answer| answer.id.clone());
            let exit = record.exit.clone();
            (
                // Whether it can be asked may not be known yet; then the log is the first question.
                theirs.filter(|_| record.can_be_asked != Some(false)),
                exit.map(|exit| (exit.at, exit.last_lines)),
            )
        };
        let reader = match theirs {
            Some(theirs) => {
                let lines = query.tail_lines.min(LOG_TAIL_LINES_MAX);
                match self.0.client.logs(&theirs, lines, query.follow).await {
                    Ok(reader) => reader,
                    // What is left of an ended one is better than nothing.
                    Err(_) if last_lines.is_some() => None,
                    Err(why) => {
                        let cause = std::io::Error::other(why);
                        return Err(ProviderError::Unavailable { action: "reading the log there", cause });
                    }
                }
            }
            None => None,
        };
        let (at, lines) = last_lines.filter(|_| reader.is_none()).unwrap_or_default();
        let line = |text| LogLine { at, stream: LogStream::Stdout, text };
        Ok(Box::new(RemoteLog { reader, lines: lines.into_iter().map(line).collect() }))
    }

    async fn usage(&self, _id: &ServerId) -> Option<Usage> {
        None
    }

    async fn forget(&self, id: &ServerId) -> Result<(), ProviderError> {
        if !self.0.started(id).await?.is_ended() {
            return Err(ProviderError::StillRuns(id.clone()));
        }
        let removed = self.0.records.remove(id).await;
        removed
            .map_err(|cause| ProviderError::Unavailable { action: "deleting the server's record", cause })?;
        self.0.table.remove(id);
        Ok(())
    }

    async fn shutdown(&self) {
        // What was asked for is asked for again after the next start, under the same key.
        self.0.cancel.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
        self.0.table.close();
    }
}

impl Host {
    /// What is known of a server once its start has come to its end.
    async fn started(&self, id: &ServerId) -> Result<table::Entry<Own>, ProviderError> {
        let unknown = || ProviderError::NotFound(id.clone());
        let known = self.table.get(id).ok_or_else(unknown)?;
        wait_for(known.outcome).await.map_err(|_failed| unknown())?;
        self.table.get(id).ok_or_else(unknown)
    }

    /// Takes up a server of an earlier run.
    fn adopt(self: &Arc<Self>, record: Record) {
        let (_known, outcome) = watch::channel(Some(Ok(Started { ports: record.ports(), at: record.at })));
        let (commands_in, commands) = mpsc::channel(COMMANDS_MAX);
        let (id, labels, phase) = (record.id.clone(), record.labels.clone(), record.phase());
        let (ports, address) = (record.ports(), record.address());
        let own = Own(Arc::new(Mutex::new(record)));
        let entry = table::Entry::starting(own, labels, outcome, commands_in);
        let _cannot_be_known = self.table.claim(&id, entry, usize::MAX);
        let lives = !matches!(phase, Phase::Ended(_));
        self.table.update(&id, |entry| {
            entry.phase = phase;
            entry.ports = ports.into();
            entry.public_address = address;
        });
        if lives {
            self.tasks.spawn(life::run(Arc::clone(self), id, commands));
        }
    }

    /// Looks whether the host answers at all, whatever it says.
    async fn probe_for_ever(self: Arc<Self>) {
        let mut failures = 0;
        loop {
            let probed = tokio::select! {
                biased;
                () = self.cancel.cancelled() => return,
                probed = self.client.probe() => probed,
            };
            match probed {
                Ok(()) => {
                    failures = 0;
                    self.set_state(HostState::Up);
                }
                Err(why) => {
                    failures += 1;
                    if failures >= PROBE_FAILURES || !*self.looked.borrow() {
                        self.set_state(HostState::Lost(why));
                    }
                }
            }
            self.looked.send_replace(true);
            let is_up = self.status.lock().0.is_up();
            let pause = if is_up && failures == 0 { PROBE_PERIOD } else { PROBE_PERIOD_LOST };
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn set_state(&self, state: HostState) {
        let is_up = state.is_up();
        {
            let mut status = self.status.lock();
            if status.0.is_up() == is_up {
                status.0 = state;
                return;
            }
            match &state {
                HostState::Up => {
                    tracing::info!(host = %self.id, "a host that game servers are asked for answers");
                }
                HostState::Lost(why) => {
                    tracing::warn!(host = %self.id, why, "a host that game servers are asked for is lost");
                }
            }
            *status = (state, now());
        }
        self.table.set_host_reachable(is_up);
        self.changes.tell();
    }
}

/// Lines of the log there, or the last ones that are known.
struct RemoteLog {
    reader: Option<LogReader>,
    lines: VecDeque<LogLine>,
}

#[async_trait]
impl LogSource for RemoteLog {
    async fn next(&mut self) -> Option<LogLine> {
        match &mut self.reader {
            // The times of its lines are not told; a person reads them as they come.
            Some(reader) => {
                reader.next().await.map(|text| LogLine { at: now(), stream: LogStream::Stdout, text })
            }
            None => self.lines.pop_front(),
        }
    }
}
