//! The engine `process`.

use std::{path::PathBuf, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use greenroom_protocol::ServerId;

use crate::{
    error::{OpenError, ProviderError, StartError},
    model::{LogQuery, Observed, StartSpec, Started, Usage},
    provider::{Engine, LogSource, ObservationSource},
};

/// How game servers run as processes on this machine.
#[derive(Clone, Debug)]
pub struct ProcessConfig {
    /// Each server has a folder in here, named by its id.
    pub servers_dir: PathBuf,
    /// The program whose `supervise_args… <folder>` runs [`supervise::main`](crate::supervise::main).
    pub greenroom: PathBuf,
    /// Arguments before the folder, such as `supervise`.
    pub supervise_args: Vec<String>,
}

pub(crate) struct ProcessEngine;

impl ProcessEngine {
    pub(crate) async fn open(config: ProcessConfig) -> Result<Self, OpenError> {
        tokio::fs::create_dir_all(&config.servers_dir)
            .await
            .map_err(|cause| OpenError::Folder { folder: config.servers_dir, cause })?;
        Ok(Self)
    }
}

#[async_trait]
impl Engine for ProcessEngine {
    async fn start(&self, _spec: StartSpec) -> Result<Started, StartError> {
        Err(StartError::Unavailable("the engine follows in the next commit".into()))
    }
    fn list(&self) -> Vec<Observed> {
        Vec::new()
    }
    fn observe(&self) -> Box<dyn ObservationSource> {
        Box::new(Nothing)
    }
    async fn deliver_payload(&self, id: &ServerId, _payload: &Bytes) -> Result<(), ProviderError> {
        Err(ProviderError::NotFound(id.clone()))
    }
    async fn stop(&self, id: &ServerId, _grace: Duration) -> Result<(), ProviderError> {
        Err(ProviderError::NotFound(id.clone()))
    }
    async fn logs(&self, id: &ServerId, _query: LogQuery) -> Result<Box<dyn LogSource>, ProviderError> {
        Err(ProviderError::NotFound(id.clone()))
    }
    async fn usage(&self, _id: &ServerId) -> Option<Usage> {
        None
    }
    async fn forget(&self, id: &ServerId) -> Result<(), ProviderError> {
        Err(ProviderError::NotFound(id.clone()))
    }
    async fn shutdown(&self) {}
}

struct Nothing;

#[async_trait]
impl ObservationSource for Nothing {
    async fn next(&mut self) -> Option<Observed> {
        None
    }
}
