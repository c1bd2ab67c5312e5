//! What the engine says of one container.

use std::{net::IpAddr, time::Duration};

use bollard::{
    models::{ContainerInspectResponse, ContainerStateStatusEnum, HealthStatusEnum},
    query_parameters::InspectContainerOptions,
};
use greenroom_protocol::{ServerId, Timestamp};

use super::{EngineError, Host};
use crate::{local_address, procfs};

/// How long the engine may take to tell of a container.
const INSPECT_MAX: Duration = Duration::from_secs(10);

/// A container as the engine sees it.
#[derive(Clone, Debug)]
pub(super) enum Seen {
    /// It was made, and has never run.
    Created,
    Running(Running),
    Ended(End),
    /// Somebody removes it, or has.
    Gone,
}

/// One that runs.
#[derive(Clone, Debug)]
pub(super) struct Running {
    /// Its first process, if we see that under the same number as the engine does.
    pub(super) pid: Option<i32>,
    /// Its own address.
    pub(super) address: Option<IpAddr>,
    /// Its health check, if it has one.
    pub(super) health: Option<Health>,
    pub(super) is_paused: bool,
}

/// What a health check has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    Starting,
    Healthy,
    Unhealthy,
}

/// One that has ended.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) code: i32,
    pub(super) out_of_memory: bool,
    pub(super) at: Option<Timestamp>,
    /// What the engine has to say, such as why the program could not be run.
    pub(super) error: String,
}

impl Host {
    /// Asks the engine for a container.
    pub(super) async fn inspect(&self, id: &ServerId, host_network: bool) -> Result<Seen, EngineError> {
        let name = self.container(id);
        let options = InspectContainerOptions { size: false };
        let asked = self.connection.call("asking for a container", INSPECT_MAX, async |docker| {
            docker.inspect_container(&name, Some(options)).await
        });
        match asked.await {
            Ok(inspected) => {
                // On the host's network its own address is that of the machine.
                let machine = match (host_network, self.connection.is_local()) {
                    (false, _) => None,
                    (true, true) => Some(local_address()),
                    (true, false) => self.connection.machine().await,
                };
                Ok(seen(inspected, host_network, machine))
            }
            Err(EngineError::NotFound { .. }) => Ok(Seen::Gone),
            Err(error) => Err(error),
        }
    }
}

fn seen(inspected: ContainerInspectResponse, host_network: bool, machine: Option<IpAddr>) -> Seen {
    let state = inspected.state.unwrap_or_default();
    match state.status {
        Some(ContainerStateStatusEnum::CREATED) => return Seen::Created,
        Some(ContainerStateStatusEnum::REMOVING) => return Seen::Gone,
        Some(ContainerStateStatusEnum::EXITED | ContainerStateStatusEnum::DEAD) => {
            return Seen::Ended(End {
                code: state.exit_code.and_then(|code| i32::try_from(code).ok()).unwrap_or(-1),
                out_of_memory: state.oom_killed.unwrap_or_default(),
                at: state.finished_at.as_deref().and_then(parse_time),
                error: state.error.unwrap_or_default(),
            });
        }
        _ => {}
    }
    let container = inspected.id.unwrap_or_default();
    // The number means the same process only if the engine's processes are ours: it may be on another
    // machine, or we in a container ourselves.
    let pid = state.pid.and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 0);
    let pid = pid.filter(|pid| !container.is_empty() && procfs::cgroup_has(*pid, &container));
    let address = if host_network {
        machine
    } else {
        let networks = inspected.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
        networks.into_values().find_map(|network| network.ip_address?.parse().ok())
    };
    let health = state.health.and_then(|health| match health.status? {
        HealthStatusEnum::STARTING => Some(Health::Starting),
        HealthStatusEnum::HEALTHY => Some(Health::Healthy),
        HealthStatusEnum::UNHEALTHY => Some(Health::Unhealthy),
        HealthStatusEnum::NONE | HealthStatusEnum::EMPTY => None,
    });
    Seen::Running(Running { pid, address, health, is_paused: state.paused.unwrap_or_default() })
}

/// A time as engines write it (RFC 3339); none for the zero time of what has not happened.
pub(super) fn parse_time(text: &str) -> Option<Timestamp> {
    let at: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp::from_millis(at.as_millisecond())).filter(|at| at.as_millis() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_the_engine_are_read() {
        let millis = |text| parse_time(text).map(greenroom_protocol::Timestamp::as_millis);
        assert_eq!(millis("1970-01-01T00:00:01Z"), Some(1000));
        assert_eq!(millis("2026-11-20T11:43:48.925861Z"), Some(1_795_175_028_925));
        assert_eq!(millis("2000-02-29T23:59:59.9+01:00"), Some(951_865_199_900));
        assert_eq!(millis("0001-01-01T00:00:00Z"), None);
        assert_eq!(millis("nonsense"), None);
    }
}
