//! The port: a handle over the engines of all hosts, with metrics and tracing in one place.
//!
//! Each engine is one host. A call goes to the engine that [`StartSpec::host`] names, and afterwards
//! to the one that knows the server, so that an engine that is away or slow keeps no other waiting.

use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{
    StreamExt as _,
    future::{BoxFuture, join_all},
    stream::FuturesUnordered,
};
use greenroom_protocol::{HostId, ServerId};
use tokio::{sync::watch, time::timeout};

use crate::{
    docker::{DockerConfig, DockerEngine},
    error::{OpenError, ProviderError, StartError},
    hosting_api::{HostingApiConfig, HostingApiEngine},
    model::{HostStatus, LogLine, LogQuery, Observed, StartSpec, Started, Usage},
    ports::{Machine, PortLedger},
    process::{ProcessConfig, ProcessEngine},
    sdk::{Endpoints, SdkBackend},
};

/// How long [`Provider::open`] waits for hosts that do not answer. They are taken up when they do.
const FIRST_LOOK_MAX: Duration = Duration::from_secs(5);

/// Where game servers run.
#[derive(Clone, Debug)]
pub struct ProviderConfig {
    /// Processes on this machine, which is the host [`local_host`](crate::local_host).
    pub process: ProcessConfig,
    /// Docker engines, each a host of its own.
    pub docker: Vec<DockerConfig>,
    /// Other hosts that servers are asked for.
    pub hosting_api: Vec<HostingApiConfig>,
}

impl ProviderConfig {
    /// Processes on this machine alone.
    pub const fn processes(process: ProcessConfig) -> Self {
        Self { process, docker: Vec::new(), hosting_api: Vec::new() }
    }
}

/// Starts, watches, logs and stops game servers. Cheap to clone.
///
/// Dropping it, or the process that holds it, stops no game server: opened again on the same
/// folder and engines it knows all of them.
#[derive(Clone)]
pub struct Provider(Arc<Engines>);

struct Engines {
    by_host: BTreeMap<HostId, Arc<dyn Engine>>,
    changes: HostChanges,
    sdk: Endpoints,
}

impl Provider {
    /// Opens the engines and takes over what lives. When this returns, [`list`](Self::list) tells
    /// all servers of hosts that are up that were started and not forgotten, those that ended in the
    /// meantime included. A host that cannot be reached is `lost`, holds nothing up, and is taken up
    /// when it can.
    pub async fn open(config: ProviderConfig) -> Result<Self, OpenError> {
        let changes = HostChanges::default();
        let ports = local_ports(&config.process.servers_dir).await?;
        let sdk = Endpoints::default();
        let sdk_ports = config.process.sdk_ports.clone();
        let process = ProcessEngine::open(config.process, ports.clone(), sdk.clone()).await?;
        let mut engines: Vec<Arc<dyn Engine>> = vec![Arc::new(process)];
        for docker in config.docker {
            let here = Here { ports: ports.clone(), sdk: sdk.clone(), sdk_ports: sdk_ports.clone() };
            engines.push(Arc::new(DockerEngine::open(docker, here, changes.clone()).await?));
        }
        for remote in config.hosting_api {
            engines.push(Arc::new(HostingApiEngine::open(remote, changes.clone()).await?));
        }
        Self::over(engines, changes, sdk).await
    }

    async fn over(
        engines: Vec<Arc<dyn Engine>>,
        changes: HostChanges,
        sdk: Endpoints,
    ) -> Result<Self, OpenError> {
        let mut by_host = BTreeMap::new();
        for engine in engines {
            let host = engine.status().id;
            if by_host.insert(host.clone(), engine).is_some() {
                return Err(OpenError::HostTwice(host));
            }
        }
        let first_looks = by_host.values().map(|engine| async {
            if timeout(FIRST_LOOK_MAX, engine.first_look()).await.is_err() {
                tracing::warn!(host = %engine.status().id, "a host does not answer; it is taken up when it does");
            }
        });
        join_all(first_looks).await;
        Ok(Self(Arc::new(Engines { by_host, changes, sdk })))
    }

    /// Every host, by id, as it is seen now.
    pub fn hosts(&self) -> Vec<HostStatus> {
        self.0.by_host.values().map(|engine| engine.status()).collect()
    }

    /// One host; none if there is no such host.
    pub fn host(&self, id: &HostId) -> Option<HostStatus> {
        self.0.by_host.get(id).map(|engine| engine.status())
    }

    /// A counter that changes whenever a host is lost or comes back.
    pub fn host_changes(&self) -> watch::Receiver<u64> {
        self.0.changes.0.subscribe()
    }

    /// From now on `backend` is asked what game servers ask through the SDK. To be called once; until
    /// then they are told to try again, which SDKs do.
    pub fn serve_sdk(&self, backend: Arc<dyn SdkBackend>) {
        self.0.sdk.serve(backend);
    }

    /// Reserves ports and starts a server on its host; returns as soon as its program runs, not when
    /// it is ready. For an id that was started before on that host, the first answer again, never a
    /// second process. Goes on when the caller goes away. After an error nothing of it is left, or
    /// will be once its host can be reached.
    pub async fn start(&self, spec: StartSpec) -> Result<Started, StartError> {
        let Some(engine) = self.0.by_host.get(&spec.host) else {
            return Err(StartError::NoSuchHost(spec.host));
        };
        let began = Instant::now();
        let (host, provider) = (spec.host.to_string(), engine.status().provider);
        let result = engine.start(spec).await;
        let labels = [("provider", provider.to_owned()), ("host", host)];
        metrics::histogram!("greenroom_fleet_start_seconds", &labels).record(began.elapsed().as_secs_f64());
        result
    }

    /// All servers it knows: alive, or ended and not yet forgotten. Those of a host that is lost are
    /// told as they were last seen; one that is only known there, not at all.
    #[expect(clippy::unused_async, reason = "engines may come to ask over the network")]
    pub async fn list(&self) -> Result<Vec<Observed>, ProviderError> {
        Ok(self.0.by_host.values().flat_map(|engine| engine.list()).collect())
    }

    /// The newest word on one server, which [`observe`](Self::observe) may not have brought yet.
    #[expect(clippy::unused_async, reason = "engines may come to ask over the network")]
    pub async fn get(&self, id: &ServerId) -> Result<Option<Observed>, ProviderError> {
        Ok(self.0.by_host.values().find_map(|engine| engine.get(id)))
    }

    /// Everything that is known, then every change.
    pub fn observe(&self) -> Observations {
        Observations::over(self.0.by_host.values().map(|engine| engine.observe()))
    }

    /// A server with [`Readiness::Sdk`](greenroom_domain::settings::Readiness::Sdk) has said that it is
    /// ready: when this returns its phase says so, for good. Again, for one that has ended, or for one of
    /// another readiness: nothing happens.
    pub async fn mark_ready(&self, id: &ServerId) -> Result<(), ProviderError> {
        self.0.of(id)?.mark_ready(id).await
    }

    /// Makes the payload file of a running server appear in one step. Again: replaced in one step.
    pub async fn deliver_payload(&self, id: &ServerId, payload: &Bytes) -> Result<(), ProviderError> {
        self.0.of(id)?.deliver_payload(id, payload).await
    }

    /// Asks a server to end: SIGTERM to its group, after `grace` SIGKILL. Returns when this is on
    /// its way; the end is seen through [`observe`](Self::observe). Again, or for one that has
    /// ended: nothing more happens, except that a shorter grace counts.
    pub async fn stop(&self, id: &ServerId, grace: Duration) -> Result<(), ProviderError> {
        self.0.of(id)?.stop(id, grace).await
    }

    /// The log of a server, of an ended one until it is forgotten.
    pub async fn logs(&self, id: &ServerId, query: LogQuery) -> Result<LogLines, ProviderError> {
        Ok(LogLines(self.0.of(id)?.logs(id, query).await?))
    }

    /// What a running server and its descendants use.
    pub async fn usage(&self, id: &ServerId) -> Option<Usage> {
        self.0.of(id).ok()?.usage(id).await
    }

    /// Deletes the folder, the log and the memory of a server that has ended.
    pub async fn forget(&self, id: &ServerId) -> Result<(), ProviderError> {
        self.0.of(id)?.forget(id).await
    }

    /// Ends our side; the servers live on. Waits for starts that are under way.
    pub async fn shutdown(&self) {
        join_all(self.0.by_host.values().map(|engine| engine.shutdown())).await;
        self.0.sdk.shutdown().await;
    }
}

impl Drop for Engines {
    fn drop(&mut self) {
        self.sdk.close_all();
    }
}

impl Engines {
    /// The engine that knows a server. Each is asked, in memory, so that no table of ours can differ
    /// from what they know.
    fn of(&self, id: &ServerId) -> Result<&Arc<dyn Engine>, ProviderError> {
        let knows = |engine: &&Arc<dyn Engine>| engine.knows(id);
        self.by_host.values().find(knows).ok_or_else(|| ProviderError::NotFound(id.clone()))
    }
}

/// What engines that start servers on this machine share.
pub(crate) struct Here {
    pub(crate) ports: PortLedger,
    pub(crate) sdk: Endpoints,
    /// Where the SDK's ports come from.
    pub(crate) sdk_ports: RangeInclusive<u16>,
}

/// The ports of this machine, whichever engine gives them out. Their record is in `folder`.
async fn local_ports(folder: &Path) -> Result<PortLedger, OpenError> {
    let folder = folder.to_owned();
    let path = folder.join(".ports");
    let opened = tokio::task::spawn_blocking(move || PortLedger::open(&path, Machine::This));
    opened
        .await
        .unwrap_or_else(|panic| Err(std::io::Error::other(panic)))
        .map_err(|cause| OpenError::Folder { folder, cause })
}

/// What an engine tells that its host was lost or came back by.
#[derive(Clone, Default)]
pub(crate) struct HostChanges(watch::Sender<u64>);

impl HostChanges {
    /// [`Engine::status`] says something else now.
    pub(crate) fn tell(&self) {
        self.0.send_modify(|count| *count += 1);
    }
}

/// What is known of all servers, then every change: the newest state of each, so that a slow reader
/// misses states that passed but never the last one. Holds no queue of its own.
pub struct Observations(FuturesUnordered<NextOf>);

/// A source, and what it has to say next.
type NextOf = BoxFuture<'static, Option<(Observed, Box<dyn ObservationSource>)>>;

impl Observations {
    fn over(sources: impl Iterator<Item = Box<dyn ObservationSource>>) -> Self {
        Self(sources.map(next_of).collect())
    }

    /// The next one; nothing more once the provider was shut down. Nothing is missed when the
    /// future is dropped.
    pub async fn next(&mut self) -> Option<Observed> {
        loop {
            // One that has nothing more to say does not end the others.
            if let Some((observed, source)) = self.0.next().await? {
                self.0.push(next_of(source));
                return Some(observed);
            }
        }
    }
}

fn next_of(mut source: Box<dyn ObservationSource>) -> NextOf {
    Box::pin(async move { source.next().await.map(|observed| (observed, source)) })
}

/// Lines of a log, oldest first.
pub struct LogLines(Box<dyn LogSource>);

impl LogLines {
    /// The next line. When following, waits for it; nothing more once the server has ended and all
    /// is read.
    pub async fn next(&mut self) -> Option<LogLine> {
        self.0.next().await
    }
}

/// What an engine does for its one host; the promises are those of [`Provider`]'s methods.
///
/// Every call comes to an end in bounded time, however the host behaves. While the host cannot be
/// reached, a start fails as [`StartError::Unreachable`], what needs it as
/// [`ProviderError::Unavailable`], and `get`, `list` and `observe` tell what was last seen with
/// [`Observed::is_host_reachable`] off: each of its servers is told of when it goes off and when it
/// comes on again.
#[async_trait]
pub(crate) trait Engine: Send + Sync {
    /// The host, as it is seen now.
    fn status(&self) -> HostStatus;
    /// Waits until the host was looked at once, and all that runs there is known, or until it is
    /// clear that it cannot be reached; the engine itself goes on trying.
    async fn first_look(&self) {}
    /// Whether it knows this server, one that is about to be started included.
    fn knows(&self, id: &ServerId) -> bool {
        self.get(id).is_some()
    }
    async fn start(&self, spec: StartSpec) -> Result<Started, StartError>;
    fn get(&self, id: &ServerId) -> Option<Observed>;
    fn list(&self) -> Vec<Observed>;
    fn observe(&self) -> Box<dyn ObservationSource>;
    async fn mark_ready(&self, _id: &ServerId) -> Result<(), ProviderError> {
        Ok(())
    }
    async fn deliver_payload(&self, id: &ServerId, payload: &Bytes) -> Result<(), ProviderError>;
    async fn stop(&self, id: &ServerId, grace: Duration) -> Result<(), ProviderError>;
    async fn logs(&self, id: &ServerId, query: LogQuery) -> Result<Box<dyn LogSource>, ProviderError>;
    async fn usage(&self, id: &ServerId) -> Option<Usage>;
    async fn forget(&self, id: &ServerId) -> Result<(), ProviderError>;
    async fn shutdown(&self);
}

#[async_trait]
pub(crate) trait ObservationSource: Send {
    async fn next(&mut self) -> Option<Observed>;
}

#[async_trait]
pub(crate) trait LogSource: Send {
    async fn next(&mut self) -> Option<LogLine>;
}
