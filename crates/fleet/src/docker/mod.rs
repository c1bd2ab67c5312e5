//! The engine `docker`: each server a container of one Docker engine, which is one host.
//!
//! What the engine tells is the truth of what runs; a container carries labels that say whose it is and
//! how it was started, so that it is known without anything of ours. Beside that each has a folder with
//! its state and, once it has ended, its log: then the container is removed. One task per server, its
//! `Life`, follows it; one `watch` follows the engine and wakes them.

mod archive;
mod connection;
mod create;
mod endpoint;
mod life;
mod logs;
mod ready;
mod record;
mod sdk;
mod seen;
mod start;
mod tls;
mod watch;

use std::{
    ops::RangeInclusive,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32},
    },
    time::Duration,
};

use async_trait::async_trait;
use bollard::{
    body_full,
    query_parameters::{RemoveContainerOptions, StatsOptions, UploadToContainerOptions},
};
use bytes::Bytes;
use futures_util::StreamExt as _;
use greenroom_protocol::{HostId, ServerId, Timestamp};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, watch as watch_channel};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::{
    connection::{Connection, EngineError, EngineReport},
    endpoint::Endpoint,
    tls::{EngineTls, Identity},
};
use self::{
    life::Life,
    record::{PayloadBy, Record, RecordFolder},
};
use crate::{
    LOG_TAIL_LINES_MAX, SERVERS_MAX,
    error::{OpenError, ProviderError, StartError},
    folder::ReadySpec,
    log_file::Tail,
    model::{HostState, HostStatus, LogQuery, Observed, Phase, StartSpec, Started, Usage},
    ports::{Machine, PortLedger},
    procfs,
    provider::{Engine, Here, HostChanges, LogSource, ObservationSource},
    sdk::{Endpoints, Place},
    supervise::now,
    table::{self, Table, wait_for},
};

pub(crate) use greenroom_domain::settings::Labels;

/// The name by which a container's program finds its engine's machine, if its command or its environment
/// uses it.
pub const HOST_GATEWAY: &str = "host.docker.internal";

/// Label: whose the container is. What does not carry our installation's is never touched.
pub const LABEL_INSTALLATION: &str = "greenroom.installation";
/// Label: on which host of the installation it was started.
pub const LABEL_HOST: &str = "greenroom.host";
/// Label: which instance it is, as in [`StartSpec::id`].
pub const LABEL_INSTANCE: &str = "greenroom.instance";
/// Label: its unique name, as in [`StartSpec::name`].
pub const LABEL_NAME: &str = "greenroom.name";
/// Label: how it was started, for ourselves.
const LABEL_RECORD: &str = "greenroom.record";

/// The folder in a container that holds its payload file.
const PAYLOAD_DIR: &str = "/run/greenroom";
/// The payload file in it.
const PAYLOAD_FILE: &str = "payload";

/// How long removing a container may take.
const REMOVE_MAX: Duration = Duration::from_secs(30);
/// How long putting a payload into a container may take.
const UPLOAD_MAX: Duration = Duration::from_secs(10);
/// How long the engine may take to say what a container uses.
const STATS_MAX: Duration = Duration::from_secs(5);
/// How long it may take until a container that says it is ready is noted as that: it may not be seen yet.
const MARK_READY_MAX: Duration = Duration::from_secs(10);
/// How long starts that are under way may hold up our end; what the engine does later is found again.
const SHUTDOWN_MAX: Duration = Duration::from_secs(5);

/// A Docker engine that runs game servers.
#[derive(Clone, Debug)]
pub struct DockerConfig {
    /// Which host it is.
    pub host: HostId,
    /// Where it listens.
    pub endpoint: Endpoint,
    /// What tells this installation's containers from those of others: 1 to 64 of A-Z, a-z, 0-9, `_`,
    /// `.` and `-`, the same for good.
    pub installation: String,
    /// Each container has a folder in here, named by its id. Only one provider may use it at a time.
    pub records_dir: PathBuf,
}

/// The handle that ends our side when it is dropped.
pub(crate) struct DockerEngine(Arc<Host>);

/// What the tasks of the engine share.
struct Host {
    config: DockerConfig,
    connection: Connection,
    table: Table<Own>,
    ports: PortLedger,
    sdk: Endpoints,
    /// Where the SDK's ports come from for containers on the host's network.
    sdk_ports: RangeInclusive<u16>,
    status: Mutex<Status>,
    changes: HostChanges,
    /// Whether the engine was looked at, or is known to be away.
    looked: watch_channel::Sender<bool>,
    /// Whether folders of ours can be mounted into its containers. Off once the engine does not see them.
    mounts: AtomicBool,
    /// How many containers' sockets are looked at again and again.
    looking: AtomicU32,
    /// Starts under way.
    starts: TaskTracker,
    /// Everything else.
    tasks: TaskTracker,
    cancel: CancellationToken,
}

struct Status {
    state: HostState,
    since: Timestamp,
    engine_version: Option<String>,
}

/// What this engine alone knows of a server.
#[derive(Clone)]
struct Own {
    folder: RecordFolder,
    signals: Arc<Signals>,
    /// Once its ports are known.
    record: Option<Arc<Record>>,
}

/// What the watch tells a server's life.
#[derive(Default)]
struct Signals {
    /// Something has happened: look.
    nudge: Notify,
    /// The system has killed something in it for want of memory.
    out_of_memory: AtomicBool,
    /// The container's first process, where it is in sight.
    process: Mutex<Option<procfs::Identity>>,
    /// Where its SDK is answered.
    sdk: Mutex<Option<Place>>,
    /// It has said that it is ready.
    said_ready: Notify,
}

type Entry = table::Entry<Own>;

impl DockerEngine {
    /// Opens it; what is known from our own folders is known at once, the rest when the engine was looked
    /// at. An engine on this machine shares what is
    /// `here`.
    pub(crate) async fn open(
        config: DockerConfig,
        here: Here,
        changes: HostChanges,
    ) -> Result<Self, OpenError> {
        let is_local = config.endpoint.is_local();
        if config.endpoint.is_open_to_others() {
            tracing::warn!(host = %config.host, endpoint = %config.endpoint, "the Docker engine asks nobody who they are: anyone who reaches it is root on its machine; start it with --tlsverify and give the host `tls` with a certificate and key, or see to it that only this machine reaches it");
        }
        let mut config = config;
        let folder = config.records_dir.clone();
        let opened = tokio::task::spawn_blocking(move || {
            std::fs::create_dir_all(&config.records_dir)?;
            // The engine mounts by absolute names.
            config.records_dir = config.records_dir.canonicalize()?;
            let ports = if is_local {
                here.ports
            } else {
                PortLedger::open(&config.records_dir.join(".ports"), Machine::Another)?
            };
            let found = watch::scan(&config.records_dir)?;
            Ok((config, ports, found))
        });
        let (config, ports, found) = opened
            .await
            .unwrap_or_else(|panic| Err(std::io::Error::other(panic)))
            .map_err(|cause| OpenError::Folder { folder, cause })?;
        let table = Table::new(config.host.clone());
        table.set_host_reachable(false);
        let host = Arc::new(Host {
            connection: Connection::new(config.host.clone(), config.endpoint.clone()),
            config,
            table,
            ports,
            sdk: here.sdk,
            sdk_ports: here.sdk_ports,
            status: Mutex::new(Status {
                state: HostState::Lost("it was not asked yet".into()),
                since: now(),
                engine_version: None,
            }),
            changes,
            looked: watch_channel::Sender::new(false),
            mounts: AtomicBool::new(is_local),
            looking: AtomicU32::new(0),
            starts: TaskTracker::new(),
            tasks: TaskTracker::new(),
            cancel: CancellationToken::new(),
        });
        watch::take_over(&host, found);
        host.tasks.spawn(watch::follow(Arc::clone(&host)));
        Ok(Self(host))
    }
}

impl Drop for DockerEngine {
    fn drop(&mut self) {
        self.0.cancel.cancel();
        self.0.table.close();
    }
}

#[async_trait]
impl Engine for DockerEngine {
    fn status(&self) -> HostStatus {
        let status = self.0.status.lock();
        HostStatus {
            id: self.0.config.host.clone(),
            provider: "docker",
            state: status.state.clone(),
            since: status.since,
            engine_version: status.engine_version.clone(),
            running: self.0.table.alive() as u32,
        }
    }

    async fn first_look(&self) {
        let mut looked = self.0.looked.subscribe();
        let _closed_with_us = looked.wait_for(|looked| *looked).await;
    }

    fn knows(&self, id: &ServerId) -> bool {
        self.0.table.get(id).is_some()
    }

    async fn start(&self, spec: StartSpec) -> Result<Started, StartError> {
        let host = &self.0;
        if host.cancel.is_cancelled() || host.starts.is_closed() {
            return Err(StartError::Unavailable("Greenroom is about to end and starts nothing more".into()));
        }
        let (send, outcome) = watch_channel::channel(None);
        let (commands_in, commands) = mpsc::channel(life::COMMANDS_MAX);
        let own = Own {
            folder: RecordFolder::new(&host.config.records_dir, &spec.id),
            signals: Arc::default(),
            record: None,
        };
        let entry = Entry::starting(own.clone(), spec.labels.clone(), outcome.clone(), commands_in);
        if let Some(known) = host.table.claim(&spec.id, entry, SERVERS_MAX)? {
            return wait_for(known).await;
        }
        // On its own, so that it comes to its end when the caller goes away.
        host.starts.spawn(start::run(Arc::clone(host), own, spec, commands, send));
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

    async fn mark_ready(&self, id: &ServerId) -> Result<(), ProviderError> {
        let known = self.0.started(id).await?;
        if known.own.record.is_none_or(|record| record.ready != ReadySpec::Sdk) {
            return Ok(());
        }
        known.own.signals.said_ready.notify_one();
        let mut changes = self.0.table.changes();
        let noted =
            tokio::time::timeout(MARK_READY_MAX, changes.until(id, |entry| entry.phase != Phase::Starting));
        noted.await.map_err(|_elapsed| ProviderError::Unavailable {
            action: "noting that the server is ready",
            cause: std::io::Error::other(
                "its container is not seen, or the health check of its image has not succeeded",
            ),
        })
    }

    async fn deliver_payload(&self, id: &ServerId, payload: &Bytes) -> Result<(), ProviderError> {
        let known = self.0.started(id).await?;
        if known.is_ended() {
            return Ok(());
        }
        match known.own.record.as_ref().map(|record| record.payload_by) {
            Some(PayloadBy::Archive) => self
                .0
                .upload_payload(id, payload)
                .await
                .map_err(|error| unavailable("delivering the payload", error)),
            Some(PayloadBy::Mount) | None => {
                let payload = payload.clone();
                blocking("writing the payload file", move || known.own.folder.write_payload(&payload)).await
            }
        }
    }

    async fn stop(&self, id: &ServerId, grace: Duration) -> Result<(), ProviderError> {
        let known = self.0.started(id).await?;
        if !known.is_ended() {
            // A full queue means that many stops are on their way already; a closed one, its end.
            let _on_its_way = known.commands.try_send(grace);
        }
        Ok(())
    }

    async fn logs(&self, id: &ServerId, query: LogQuery) -> Result<Box<dyn LogSource>, ProviderError> {
        let known = self.0.started(id).await?;
        let lines = query.tail_lines.min(LOG_TAIL_LINES_MAX);
        if !known.is_ended() {
            match logs::open(&self.0, id, lines, query.follow).await {
                Ok(source) => return Ok(Box::new(source)),
                // It has just ended, and its log was taken over.
                Err(EngineError::NotFound { .. })
                    if self.0.table.get(id).is_some_and(|now| now.is_ended()) => {}
                Err(error) => return Err(unavailable("reading the log", error)),
            }
        }
        let changes = self.0.table.changes();
        let folder = known.own.folder.log();
        let tail = blocking("reading the log", move || Tail::open(folder, lines)).await?;
        Ok(Box::new(tail.source(id.clone(), query.follow, changes)))
    }

    async fn usage(&self, id: &ServerId) -> Option<Usage> {
        let known = self.0.table.get(id).filter(|known| known.is_told() && !known.is_ended())?;
        // Where its processes are in sight the engine is spared the question: to answer it, it looks into
        // the container's network, which keeps starts waiting.
        let process = *known.own.signals.process.lock();
        if let Some(process) = process {
            return tokio::task::spawn_blocking(move || procfs::usage_from(process)).await.ok().flatten();
        }
        let name = self.0.container(id);
        let options = StatsOptions { stream: false, one_shot: true };
        let asked = self.0.connection.call("asking what a container uses", STATS_MAX, async |docker| {
            docker.stats(&name, Some(options)).next().await.transpose()
        });
        let stats = asked.await.ok()??;
        let nanoseconds = stats.cpu_stats?.cpu_usage?.total_usage?;
        let memory = stats.memory_stats?;
        // Files that the system holds in memory are no need of the server's.
        let cached = memory.stats.as_ref().and_then(|stats| {
            stats.get("total_inactive_file").or_else(|| stats.get("inactive_file")).copied()
        });
        Some(Usage {
            cpu_seconds: nanoseconds as f64 / 1e9,
            memory_bytes: memory.usage?.saturating_sub(cached.unwrap_or(0)),
        })
    }

    async fn forget(&self, id: &ServerId) -> Result<(), ProviderError> {
        let known = self.0.started(id).await?;
        if !known.is_ended() {
            return Err(ProviderError::StillRuns(id.clone()));
        }
        // If this fails, the watch finds it as one that nobody knows, and removes it.
        if let Err(error) = self.0.remove(id).await {
            tracing::debug!(server = %id, %error, "a container is removed later");
        }
        blocking("deleting the server's folder", move || known.own.folder.remove()).await?;
        self.0.table.remove(id);
        Ok(())
    }

    async fn shutdown(&self) {
        self.0.starts.close();
        if tokio::time::timeout(SHUTDOWN_MAX, self.0.starts.wait()).await.is_err() {
            tracing::warn!(host = %self.0.config.host, "starts are under way at a Docker engine that does not answer; what comes of them is seen at the next start");
        }
        self.0.cancel.cancel();
        self.0.starts.wait().await;
        self.0.tasks.close();
        self.0.tasks.wait().await;
        self.0.table.close();
    }
}

impl Host {
    /// The name of a server's container: unique, so that a second one cannot come to be.
    fn container(&self, id: &ServerId) -> String {
        format!("greenroom-{}-{id}", self.config.installation)
    }

    /// What is known of a server once its start has come to its end.
    async fn started(&self, id: &ServerId) -> Result<Entry, ProviderError> {
        let unknown = || ProviderError::NotFound(id.clone());
        let known = self.table.get(id).ok_or_else(unknown)?;
        wait_for(known.outcome).await.map_err(|_failed| unknown())?;
        self.table.get(id).ok_or_else(unknown)
    }

    /// The engine answers.
    fn up(&self, version: &str) {
        {
            let mut status = self.status.lock();
            status.engine_version = Some(version.to_owned());
            if !status.state.is_up() {
                status.state = HostState::Up;
                status.since = now();
            }
        }
        if self.table.set_host_reachable(true) {
            metrics::gauge!("greenroom_fleet_host_up", "host" => self.config.host.to_string()).set(1.0);
            tracing::info!(host = %self.config.host, endpoint = %self.config.endpoint, version, "the Docker engine answers");
            self.changes.tell();
        }
        self.looked.send_replace(true);
    }

    /// The engine does not answer. What it runs may run on.
    fn lost(&self, why: &EngineError) {
        let was_up = {
            let mut status = self.status.lock();
            let was_up = status.state.is_up();
            if was_up {
                status.since = now();
            }
            status.state = HostState::Lost(why.to_string());
            was_up
        };
        self.table.set_host_reachable(false);
        if was_up || !*self.looked.borrow() {
            metrics::gauge!("greenroom_fleet_host_up", "host" => self.config.host.to_string()).set(0.0);
            tracing::warn!(host = %self.config.host, %why, "the Docker engine does not answer; its game servers may run on, and none is started there until it does");
            self.changes.tell();
        }
        self.looked.send_replace(true);
    }

    /// Removes a container, whatever it does, and the volume that was made with it. One that is not
    /// there is removed.
    async fn remove(&self, id: &ServerId) -> Result<(), EngineError> {
        self.remove_named(&self.container(id)).await
    }

    async fn remove_named(&self, container: &str) -> Result<(), EngineError> {
        let options = RemoveContainerOptions { v: true, force: true, link: false };
        let removed = self.connection.call("removing a container", REMOVE_MAX, async |docker| {
            docker.remove_container(container, Some(options)).await
        });
        match removed.await {
            Ok(()) | Err(EngineError::NotFound { .. }) => Ok(()),
            // Somebody does it already.
            Err(EngineError::Conflict { message, .. }) if message.contains("already in progress") => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Puts the payload into the container's own volume; it appears in one step.
    async fn upload_payload(&self, id: &ServerId, payload: &[u8]) -> Result<(), EngineError> {
        let (name, archive) = (self.container(id), archive::payload(PAYLOAD_FILE, payload));
        let options = UploadToContainerOptions { path: PAYLOAD_DIR.into(), ..Default::default() };
        self.connection
            .call("putting a payload into a container", UPLOAD_MAX, async |docker| {
                docker.upload_to_container(&name, Some(options), body_full(archive.into())).await
            })
            .await
    }

    /// Follows a server that runs, or ran.
    fn follow(
        self: &Arc<Self>,
        own: &Own,
        record: Arc<Record>,
        phase: &Phase,
        stop_asked: bool,
        seen: Option<seen::Running>,
        commands: mpsc::Receiver<Duration>,
    ) {
        let is_ready = matches!(phase, Phase::Ready { .. });
        let life = Life::new(Arc::clone(self), own.clone(), record, is_ready, stop_asked);
        self.tasks.spawn(life.run(seen, commands));
    }
}

fn unavailable(action: &'static str, error: EngineError) -> ProviderError {
    ProviderError::Unavailable { action, cause: std::io::Error::other(error) }
}

async fn blocking<T: Send + 'static>(
    action: &'static str,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, ProviderError> {
    on_disk(work).await.map_err(|cause| ProviderError::Unavailable { action, cause })
}

async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    let result = tokio::task::spawn_blocking(work).await;
    result.unwrap_or_else(|panic| Err(std::io::Error::other(panic)))
}
