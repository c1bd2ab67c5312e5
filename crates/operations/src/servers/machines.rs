//! What runs the servers: a provider, or in tests one that does as it is told.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use greenroom_domain::server::{Exit, ExitCause, Seen, ServerPort};
use greenroom_fleet::{
    BoundPort, HostStatus, LogLines, LogQuery, Observations, Observed, Phase, Provider, ProviderError,
    StartError, StartSpec, Started, Usage, sdk::SdkBackend,
};
use greenroom_protocol::ServerId;
use tokio::sync::watch;

#[cfg(test)]
use super::tests::scripted::{Scripted, ScriptedObservations};

/// The provider. The other variant is for faults that a real one cannot be made to show at a
/// chosen moment.
#[derive(Clone)]
pub(crate) enum Machines {
    Provider(Provider),
    #[cfg(test)]
    Scripted(Scripted),
}

pub(crate) enum Sightings {
    Provider(Observations),
    #[cfg(test)]
    Scripted(ScriptedObservations),
}

impl Machines {
    pub(crate) async fn start(&self, spec: StartSpec) -> Result<Started, StartError> {
        match self {
            Self::Provider(provider) => provider.start(spec).await,
            #[cfg(test)]
            Self::Scripted(scripted) => scripted.start(spec).await,
        }
    }

    /// Every host as it is seen now.
    pub(crate) fn hosts(&self) -> Vec<HostStatus> {
        match self {
            Self::Provider(provider) => provider.hosts(),
            #[cfg(test)]
            Self::Scripted(scripted) => scripted.hosts(),
        }
    }

    /// A counter that changes when a host is lost or comes back.
    pub(crate) fn host_changes(&self) -> watch::Receiver<u64> {
        match self {
            Self::Provider(provider) => provider.host_changes(),
            #[cfg(test)]
            Self::Scripted(scripted) => scripted.host_changes(),
        }
    }

    pub(crate) async fn list(&self) -> Result<Vec<Observed>, ProviderError> {
        match self {
            Self::Provider(provider) => provider.list().await,
            #[cfg(test)]
            Self::Scripted(scripted) => Ok(scripted.list()),
        }
    }

    /// The provider's newest word on one instance, which its observations may not have brought yet.
    pub(crate) async fn newest(&self, id: &ServerId) -> Result<Option<Observed>, ProviderError> {
        match self {
            Self::Provider(provider) => provider.get(id).await,
            #[cfg(test)]
            Self::Scripted(scripted) => Ok(scripted.list().into_iter().find(|observed| observed.id == *id)),
        }
    }

    pub(crate) fn observe(&self) -> Sightings {
        match self {
            Self::Provider(provider) => Sightings::Provider(provider.observe()),
            #[cfg(test)]
            Self::Scripted(scripted) => Sightings::Scripted(scripted.observe()),
        }
    }

    pub(crate) async fn deliver_payload(&self, id: &ServerId, payload: &Bytes) -> Result<(), ProviderError> {
        match self {
            Self::Provider(provider) => provider.deliver_payload(id, payload).await,
            #[cfg(test)]
            Self::Scripted(scripted) => scripted.deliver_payload(id, payload),
        }
    }

    /// Answers what game servers ask through the SDK.
    pub(crate) fn serve_sdk(&self, backend: Arc<dyn SdkBackend>) {
        match self {
            Self::Provider(provider) => provider.serve_sdk(backend),
            #[cfg(test)]
            Self::Scripted(scripted) => scripted.serve_sdk(backend),
        }
    }

    pub(crate) async fn mark_ready(&self, id: &ServerId) -> Result<(), ProviderError> {
        match self {
            Self::Provider(provider) => provider.mark_ready(id).await,
            #[cfg(test)]
            Self::Scripted(scripted) => scripted.mark_ready(id),
        }
    }

    pub(crate) async fn stop(&self, id: &ServerId, grace: Duration) -> Result<(), ProviderError> {
        match self {
            Self::Provider(provider) => provider.stop(id, grace).await,
            #[cfg(test)]
            Self::Scripted(scripted) => scripted.stop(id),
        }
    }

    pub(crate) async fn forget(&self, id: &ServerId) -> Result<(), ProviderError> {
        match self {
            Self::Provider(provider) => provider.forget(id).await,
            #[cfg(test)]
            Self::Scripted(scripted) => scripted.forget(id),
        }
    }

    pub(crate) async fn logs(&self, id: &ServerId, query: LogQuery) -> Result<LogLines, ProviderError> {
        match self {
            Self::Provider(provider) => provider.logs(id, query).await,
            #[cfg(test)]
            Self::Scripted(_) => Err(ProviderError::NotFound(id.clone())),
        }
    }

    pub(crate) async fn usage(&self, id: &ServerId) -> Option<Usage> {
        match self {
            Self::Provider(provider) => provider.usage(id).await,
            #[cfg(test)]
            Self::Scripted(_) => None,
        }
    }
}

impl Sightings {
    /// The next change; nothing more once the provider was shut down.
    pub(crate) async fn next(&mut self) -> Option<Observed> {
        match self {
            Self::Provider(observations) => observations.next().await,
            #[cfg(test)]
            Self::Scripted(scripted) => scripted.next().await,
        }
    }
}

/// A provider's phase as the rules see it.
pub(crate) fn seen(phase: &Phase) -> Seen {
    match phase {
        Phase::Starting => Seen::Starting,
        Phase::Ready { .. } => Seen::Ready,
        Phase::Ended(exit) => Seen::Ended(Exit {
            at: exit.at,
            cause: cause(&exit.cause),
            was_ready: exit.was_ready,
            last_lines: exit.last_lines.clone(),
        }),
    }
}

pub(crate) fn ports(bound: &[BoundPort]) -> Vec<ServerPort> {
    let port = |port: &BoundPort| ServerPort {
        name: port.name.clone(),
        protocol: port.protocol,
        port: port.port,
        count: port.count,
        inner: port.inner,
    };
    bound.iter().map(port).collect()
}

fn cause(cause: &greenroom_fleet::ExitCause) -> ExitCause {
    use greenroom_fleet::ExitCause as Fleet;
    match cause {
        Fleet::Exited(status) => ExitCause::Exited(*status),
        Fleet::Signalled(signal) => ExitCause::Signalled(*signal),
        Fleet::NotReady(why) => ExitCause::NotReady(why.clone()),
        Fleet::PortTaken { .. } => ExitCause::NotReady(cause.to_string()),
        Fleet::Stopped { killed } => ExitCause::Stopped { killed: *killed },
        Fleet::SupervisorLost => ExitCause::SupervisorLost,
        Fleet::SpawnFailed(why) => ExitCause::SpawnFailed(why.clone()),
        Fleet::OutOfMemory => ExitCause::OutOfMemory,
        Fleet::Removed => ExitCause::Removed,
    }
}
