//! The endpoint of a container's SDK: inside its own network, where an unchanged image looks for it, or
//! on ports of the host if it is there.

use std::{sync::Arc, time::Duration};

use greenroom_domain::settings::{ContainerNetwork, ContainerSettings};
use tokio::time::sleep;

use super::{
    Host, Own,
    record::Record,
    seen::{Running, Seen},
};
use crate::{
    error::StartError,
    model::StartSpec,
    procfs::Identity,
    sdk::{Place, Taken},
};

/// Between two looks for the container's process.
const SIGHT_AGAIN: Duration = Duration::from_millis(50);
/// How often it is looked for before it counts as out of sight.
const SIGHT_LOOKS_MAX: u32 = 20;

const OUT_OF_SIGHT: &str = "`sdk = true` needs to enter the container's network, and its processes cannot be seen \
                            from here; run Greenroom on the engine's machine as root with its processes in sight \
                            (`pid: host`), set network = \"host\", or turn `sdk` off";

impl Host {
    /// What a server with the SDK needs before it is made: ports, if it is on the host's network.
    pub(super) fn take_sdk(
        &self,
        spec: &StartSpec,
        settings: &ContainerSettings,
    ) -> Result<Option<Taken>, StartError> {
        if !spec.has_sdk {
            return Ok(None);
        }
        if !self.connection.is_local() {
            return Err(StartError::Spawn(format!(
                "`sdk = true` is for containers of an engine on Greenroom's own machine, and {} is not; run \
                 Greenroom there, or turn `sdk` off",
                self.config.endpoint
            )));
        }
        if settings.network != ContainerNetwork::Host {
            return Ok(None);
        }
        Taken::open(&self.sdk, &spec.id, &self.ports, &self.sdk_ports).map(Some)
    }

    /// Answers a container's SDK that was just started. An error says why that can never be; one that
    /// has ended in the meantime is none.
    pub(super) async fn open_sdk(
        self: &Arc<Self>,
        own: &Own,
        record: &Record,
        mut running: Running,
    ) -> Result<(), String> {
        let Some(ports) = record.sdk else { return Ok(()) };
        if record.host_network {
            *own.signals.sdk.lock() = Some(Place::Here(ports));
            return Ok(());
        }
        let mut looks = 0;
        let process = loop {
            if let Some(process) = running.pid.and_then(Identity::of) {
                break process;
            }
            looks += 1;
            if looks > SIGHT_LOOKS_MAX {
                return Err(OUT_OF_SIGHT.into());
            }
            sleep(SIGHT_AGAIN).await;
            match self.inspect(&record.id, record.host_network).await {
                Ok(Seen::Running(now)) => running = now,
                Ok(Seen::Created | Seen::Ended(_) | Seen::Gone) => return Ok(()),
                Err(_) => {}
            }
        };
        let place = Place::Inside(process);
        let listened = tokio::task::spawn_blocking(move || place.listen()).await;
        match listened.unwrap_or_else(|panic| Err(std::io::Error::other(panic))) {
            Ok(listeners) => {
                *own.signals.sdk.lock() = Some(place);
                self.sdk.open(&record.id, listeners);
                Ok(())
            }
            Err(_) if !process.is_there() => Ok(()),
            Err(error) => Err(format!(
                "`sdk = true` needs ports {} and {} in the container's network, which cannot be listened on: \
                 {error}; see to it that Greenroom runs as root and that the container's own program leaves them \
                 free, or turn `sdk` off",
                ports.http, ports.grpc
            )),
        }
    }

    /// The same for one that was found, or that somebody has restarted: tries until it can.
    pub(super) fn answer_sdk(&self, own: &Own, record: &Record, process: Option<Identity>) {
        let Some(ports) = record.sdk else { return };
        let place = match process {
            _ if record.host_network => Place::Here(ports),
            Some(process) => Place::Inside(process),
            None => return,
        };
        let before = own.signals.sdk.lock().replace(place);
        if before != Some(place) {
            self.sdk.open_again(&record.id, place);
        }
    }

    /// It has ended.
    pub(super) fn close_sdk(&self, record: &Record) {
        let Some(ports) = record.sdk else { return };
        self.sdk.close(&record.id);
        if record.host_network {
            self.ports.release(&ports.bound());
        }
    }
}
