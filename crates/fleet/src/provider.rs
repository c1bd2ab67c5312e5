//! The port: a handle over one engine, with metrics and tracing in one place.

use std::{path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use greenroom_protocol::ServerId;

use crate::{
    error::{OpenError, ProviderError, StartError},
    model::{LogLine, LogQuery, Observed, StartSpec, Started, Usage},
    ports::{Machine, PortLedger},
    process::{ProcessConfig, ProcessEngine},
};

/// Which engine runs game servers.
#[derive(Clone, Debug)]
pub enum ProviderConfig {
    /// Processes on this machine.
    Process(ProcessConfig),
}

/// Starts, watches, logs and stops game servers. Cheap to clone.
///
/// Dropping it, or the process that holds it, stops no game server: opened again on the same
/// folder it knows all of them.
#[derive(Clone)]
pub struct Provider(Arc<dyn Engine>);

impl Provider {
    /// Opens the engine and takes over what lives. When this returns, [`list`](Self::list) tells
    /// all servers that were started and not forgotten, those that ended in the meantime included.
    pub async fn open(config: ProviderConfig) -> Result<Self, OpenError> {
        match config {
            ProviderConfig::Process(config) => {
                let ports = local_ports(&config.servers_dir).await?;
                Ok(Self(Arc::new(ProcessEngine::open(config, ports).await?)))
            }
        }
    }

    /// Reserves ports and starts a server; returns as soon as its program runs, not when it is
    /// ready. For an id that was started before, the first answer again, never a second process.
    /// Goes on when the caller goes away. After an error nothing of it is left.
    pub async fn start(&self, spec: StartSpec) -> Result<Started, StartError> {
        let began = std::time::Instant::now();
        let result = self.0.start(spec).await;
        metrics::histogram!("greenroom_fleet_start_seconds").record(began.elapsed().as_secs_f64());
        result
    }

    /// All servers it knows: alive, or ended and not yet forgotten.
    #[expect(clippy::unused_async, reason = "other engines ask over the network")]
    pub async fn list(&self) -> Result<Vec<Observed>, ProviderError> {
        Ok(self.0.list())
    }

    /// The newest word on one server, which [`observe`](Self::observe) may not have brought yet.
    #[expect(clippy::unused_async, reason = "other engines ask over the network")]
    pub async fn get(&self, id: &ServerId) -> Result<Option<Observed>, ProviderError> {
        Ok(self.0.get(id))
    }

    /// Everything that is known, then every change.
    pub fn observe(&self) -> Observations {
        Observations(self.0.observe())
    }

    /// Makes the payload file of a running server appear in one step. Again: replaced in one step.
    pub async fn deliver_payload(&self, id: &ServerId, payload: &Bytes) -> Result<(), ProviderError> {
        self.0.deliver_payload(id, payload).await
    }

    /// Asks a server to end: SIGTERM to its group, after `grace` SIGKILL. Returns when this is on
    /// its way; the end is seen through [`observe`](Self::observe). Again, or for one that has
    /// ended: nothing more happens, except that a shorter grace counts.
    pub async fn stop(&self, id: &ServerId, grace: Duration) -> Result<(), ProviderError> {
        self.0.stop(id, grace).await
    }

    /// The log of a server, of an ended one until it is forgotten.
    pub async fn logs(&self, id: &ServerId, query: LogQuery) -> Result<LogLines, ProviderError> {
        Ok(LogLines(self.0.logs(id, query).await?))
    }

    /// What a running server and its descendants use.
    pub async fn usage(&self, id: &ServerId) -> Option<Usage> {
        self.0.usage(id).await
    }

    /// Deletes the folder, the log and the memory of a server that has ended.
    pub async fn forget(&self, id: &ServerId) -> Result<(), ProviderError> {
        self.0.forget(id).await
    }

    /// Ends our side; the servers live on. Waits for starts that are under way.
    pub async fn shutdown(&self) {
        self.0.shutdown().await;
    }
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

/// What is known of all servers, then every change: the newest state of each, so that a slow reader
/// misses states that passed but never the last one. Holds no queue of its own.
pub struct Observations(Box<dyn ObservationSource>);

impl Observations {
    /// The next one; nothing more once the provider was shut down.
    pub async fn next(&mut self) -> Option<Observed> {
        self.0.next().await
    }
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

/// What an engine does; the promises are those of [`Provider`]'s methods.
#[async_trait]
pub(crate) trait Engine: Send + Sync {
    async fn start(&self, spec: StartSpec) -> Result<Started, StartError>;
    fn get(&self, id: &ServerId) -> Option<Observed>;
    fn list(&self) -> Vec<Observed>;
    fn observe(&self) -> Box<dyn ObservationSource>;
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
