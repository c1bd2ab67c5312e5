//! The engine `process`: each server a process on this machine, under a supervisor that outlives us.
//!
//! What is known of all servers stands in one [`Table`]; a link per living server follows its
//! supervisor. On disk each server has its [`Folder`].

mod adopt;
mod link;
mod start;

pub(crate) use start::resolve;

use std::{
    ops::RangeInclusive,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use greenroom_protocol::{ServerId, Timestamp};
use tokio::{
    sync::{Notify, mpsc, watch},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    LOG_TAIL_LINES_MAX, SERVERS_MAX,
    error::{OpenError, ProviderError, StartError},
    folder::{Folder, ReadySpec},
    local_host,
    log_file::Tail,
    model::{HostState, HostStatus, LogQuery, Observed, Phase, StartSpec, Started, Usage},
    ports::PortLedger,
    procfs::{self, Identity},
    provider::{Engine, LogSource, ObservationSource},
    sdk::{Endpoints, SdkPorts},
    supervise,
    table::{self, Table, wait_for},
};

/// How long a supervisor may take to note that its server is ready.
const MARK_READY_MAX: Duration = Duration::from_secs(10);

/// How game servers run as processes on this machine.
#[derive(Clone, Debug)]
pub struct ProcessConfig {
    /// Each server has a folder in here, named by its id. Only one provider may use it at a time.
    pub servers_dir: PathBuf,
    /// The program whose `supervise_args… <folder>` runs [`supervise::main`].
    pub greenroom: PathBuf,
    /// Arguments before the folder, such as `supervise`.
    pub supervise_args: Vec<String>,
    /// Where the two ports of each server's SDK come from; [`PORTS`](crate::sdk::PORTS) unless told
    /// otherwise. Containers on the host's own network take theirs from here, too.
    pub sdk_ports: RangeInclusive<u16>,
}

/// The handle that ends our side when it is dropped.
pub(crate) struct ProcessEngine(Arc<Host>);

/// What the tasks of the engine share.
struct Host {
    config: ProcessConfig,
    opened_at: Timestamp,
    table: Table<Own>,
    ports: PortLedger,
    sdk: Endpoints,
    /// Starts under way: waited for at shutdown, so that none is left half made.
    starts: TaskTracker,
    links: TaskTracker,
    /// Ends the links.
    cancel: CancellationToken,
}

/// What this engine alone knows of a server.
#[derive(Clone)]
struct Own {
    folder: Folder,
    supervisor: Option<Identity>,
    /// Where its SDK finds us, if it has one.
    sdk: Option<SdkPorts>,
    /// If it says itself when it is ready.
    said_ready: Option<Arc<SaidReady>>,
}

impl Own {
    fn new(folder: Folder, ready: &ReadySpec) -> Self {
        let said_ready = (*ready == ReadySpec::Sdk).then(Arc::default);
        Self { folder, supervisor: None, sdk: None, said_ready }
    }
}

/// Whether a server has said that it is ready, for its link to tell the supervisor.
#[derive(Default)]
struct SaidReady {
    is_said: AtomicBool,
    told: Notify,
}

type Entry = table::Entry<Own>;

impl ProcessEngine {
    pub(crate) async fn open(
        mut config: ProcessConfig,
        ports: PortLedger,
        sdk: Endpoints,
    ) -> Result<Self, OpenError> {
        let folder = config.servers_dir.clone();
        let opened = tokio::task::spawn_blocking(move || {
            std::fs::create_dir_all(&config.servers_dir)?;
            // The folder's name is in the environment of its servers, whatever our own folder was.
            config.servers_dir = config.servers_dir.canonicalize()?;
            let found = adopt::scan(&config.servers_dir)?;
            Ok((config, found))
        });
        let (config, found) = opened
            .await
            .unwrap_or_else(|panic| Err(std::io::Error::other(panic)))
            .map_err(|cause| OpenError::Folder { folder, cause })?;
        let host = Arc::new(Host {
            config,
            opened_at: supervise::now(),
            table: Table::new(local_host()),
            ports,
            sdk,
            starts: TaskTracker::new(),
            links: TaskTracker::new(),
            cancel: CancellationToken::new(),
        });
        adopt::take_over(&host, found);
        Ok(Self(host))
    }
}

impl Drop for ProcessEngine {
    fn drop(&mut self) {
        self.0.cancel.cancel();
        self.0.table.close();
    }
}

#[async_trait]
impl Engine for ProcessEngine {
    fn status(&self) -> HostStatus {
        HostStatus {
            id: local_host(),
            provider: "process",
            state: HostState::Up,
            since: self.0.opened_at,
            engine_version: None,
            running: self.0.table.alive() as u32,
        }
    }

    fn knows(&self, id: &ServerId) -> bool {
        self.0.table.get(id).is_some()
    }

    async fn start(&self, spec: StartSpec) -> Result<Started, StartError> {
        let host = &self.0;
        if host.cancel.is_cancelled() || host.starts.is_closed() {
            return Err(StartError::Unavailable("Greenroom is about to end and starts nothing more".into()));
        }
        let (send, outcome) = watch::channel(None);
        let (commands_in, commands) = mpsc::channel(link::COMMANDS_MAX);
        let folder = Folder::new(host.config.servers_dir.join(spec.id.as_str()));
        let entry = Entry::starting(
            Own::new(folder.clone(), &(&spec.ready).into()),
            spec.labels.clone(),
            outcome.clone(),
            commands_in,
        );
        if let Some(known) = host.table.claim(&spec.id, entry, SERVERS_MAX)? {
            return wait_for(known).await;
        }
        // On its own, so that it comes to its end when the caller goes away.
        host.starts.spawn(start::run(Arc::clone(host), folder, spec, commands, send));
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
        let Some(said_ready) = known.own.said_ready else { return Ok(()) };
        said_ready.is_said.store(true, Ordering::Release);
        said_ready.told.notify_one();
        let mut changes = self.0.table.changes();
        let noted = timeout(MARK_READY_MAX, changes.until(id, |entry| entry.phase != Phase::Starting));
        noted.await.map_err(|_elapsed| ProviderError::Unavailable {
            action: "noting that the server is ready",
            cause: std::io::Error::other("its supervisor did not answer in time"),
        })
    }

    async fn deliver_payload(&self, id: &ServerId, payload: &Bytes) -> Result<(), ProviderError> {
        let folder = self.0.started(id).await?.own.folder;
        let payload = payload.clone();
        blocking("writing the payload file", move || folder.write_payload(&payload)).await
    }

    async fn stop(&self, id: &ServerId, grace: Duration) -> Result<(), ProviderError> {
        let known = self.0.started(id).await?;
        if !matches!(known.phase, Phase::Ended(_)) {
            // A full queue means that many stops are on their way already; a closed one, its end.
            let _on_its_way = known.commands.try_send(grace);
        }
        Ok(())
    }

    async fn logs(&self, id: &ServerId, query: LogQuery) -> Result<Box<dyn LogSource>, ProviderError> {
        let known = self.0.started(id).await?;
        let lines = query.tail_lines.min(LOG_TAIL_LINES_MAX);
        let changes = self.0.table.changes();
        let tail = blocking("reading the log", move || Tail::open(known.own.folder, lines)).await?;
        Ok(Box::new(tail.source(id.clone(), query.follow, changes)))
    }

    async fn usage(&self, id: &ServerId) -> Option<Usage> {
        let known = self.0.table.get(id).filter(|known| !matches!(known.phase, Phase::Ended(_)))?;
        let supervisor = known.own.supervisor?;
        tokio::task::spawn_blocking(move || procfs::usage_below(supervisor)).await.ok()?
    }

    async fn forget(&self, id: &ServerId) -> Result<(), ProviderError> {
        let known = self.0.started(id).await?;
        if !matches!(known.phase, Phase::Ended(_)) {
            return Err(ProviderError::StillRuns(id.clone()));
        }
        blocking("deleting the server's folder", move || known.own.folder.remove()).await?;
        self.0.table.remove(id);
        Ok(())
    }

    async fn shutdown(&self) {
        self.0.starts.close();
        self.0.starts.wait().await;
        self.0.cancel.cancel();
        self.0.links.close();
        self.0.links.wait().await;
        self.0.table.close();
    }
}

impl Host {
    /// What is known of a server once its start has come to its end.
    async fn started(&self, id: &ServerId) -> Result<Entry, ProviderError> {
        let unknown = || ProviderError::NotFound(id.clone());
        let known = self.table.get(id).ok_or_else(unknown)?;
        wait_for(known.outcome).await.map_err(|_failed| unknown())?;
        self.table.get(id).ok_or_else(unknown)
    }
}

async fn blocking<T: Send + 'static>(
    action: &'static str,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, ProviderError> {
    let result = tokio::task::spawn_blocking(work).await;
    result
        .unwrap_or_else(|panic| Err(std::io::Error::other(panic)))
        .map_err(|cause| ProviderError::Unavailable { action, cause })
}
