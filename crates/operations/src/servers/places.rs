//! The hosts that a game's servers may go to.

use greenroom_domain::{
    placement::Host,
    settings::{FleetSettings, ProviderSettings, Settings},
};
use greenroom_fleet::HostStatus;
use greenroom_protocol::{HostId, RegionId};

/// The hosts of `fleet`, as they are configured and as they can be reached now. How many servers are
/// on each is the view's to count.
pub(crate) fn hosts_of(settings: &Settings, fleet: &FleetSettings, seen: &[HostStatus]) -> Vec<Host> {
    let host = |id: &HostId, region: Option<&RegionId>, servers_max: u32, address: Option<&String>| Host {
        id: id.clone(),
        region: region.cloned(),
        servers_max,
        running: 0,
        is_reachable: seen.iter().any(|host| host.id == *id && host.state.is_up()),
        address: address.unwrap_or(&settings.public_address).clone(),
    };
    match &fleet.provider {
        // How many of these run is bounded by the fleet alone.
        ProviderSettings::Process => vec![host(&greenroom_fleet::local_host(), None, u32::MAX, None)],
        ProviderSettings::HostingApi(remote) => vec![host(&remote.host, None, u32::MAX, None)],
        ProviderSettings::Docker(_) => {
            let hosts = settings.hosts.values();
            let of = |docker: &greenroom_domain::settings::HostSettings| {
                let address = docker.public_address.as_ref();
                host(&docker.id, Some(&docker.region), docker.servers_max, address)
            };
            hosts.map(of).collect()
        }
    }
}
