//! The hosts: where game servers run, and how they are.

use std::collections::HashMap;

use greenroom_domain::settings::{ProviderSettings, Settings};
use greenroom_fleet::{HostState as Seen, HostStatus};
use greenroom_protocol::{
    HostId,
    hosting::{HostState, HostView},
};
use tokio::sync::watch;

use super::{Servers, usage::HostUsage};

impl Servers {
    /// A counter that changes whenever a host goes or comes back.
    pub fn host_changes(&self) -> watch::Receiver<u64> {
        self.0.machines.host_changes()
    }

    /// Every host, by id, with how many servers there are on it.
    pub fn hosts(&self) -> Vec<HostView> {
        let settings = self.0.settings.borrow().clone();
        let counts = self.0.view.counts_of_hosts();
        let used = self.usage_of_hosts();
        let shown = |host: HostStatus| {
            let used = used.get(&host.id).copied();
            shown(host, &settings, &counts, used)
        };
        self.0.machines.hosts().into_iter().map(shown).collect()
    }
}

fn shown(
    host: HostStatus,
    settings: &Settings,
    counts: &HashMap<HostId, u32>,
    used: Option<HostUsage>,
) -> HostView {
    let set = settings.hosts.get(&host.id);
    let (state, reason) = match host.state {
        Seen::Up => (HostState::Up, None),
        Seen::Lost(why) => (HostState::Lost, Some(why)),
    };
    let address = set.and_then(|set| set.public_address.clone()).or_else(|| remote(settings, &host.id));
    HostView {
        servers: counts.get(&host.id).copied().unwrap_or(0),
        provider: host.provider.to_owned(),
        region: set.map(|set| set.region.clone()),
        state,
        since: host.since,
        reason,
        engine_version: host.engine_version,
        servers_max: set.map(|set| set.servers_max).filter(|max| *max < u32::MAX),
        address: address.unwrap_or_else(|| settings.public_address.clone()),
        cpu_millicores: used.map(|used| used.cpu_millicores),
        memory_bytes: used.map(|used| used.memory_bytes),
        id: host.id,
    }
}

/// Where another installation is; its servers each have an address of their own.
fn remote(settings: &Settings, id: &HostId) -> Option<String> {
    let fleets = settings.games.values().filter_map(|game| game.fleet.as_ref());
    let remotes = fleets.filter_map(|fleet| match &fleet.provider {
        ProviderSettings::HostingApi(remote) => Some(remote),
        ProviderSettings::Process | ProviderSettings::Docker(_) => None,
    });
    remotes.filter(|remote| remote.host == *id).map(|remote| remote.url.clone()).next()
}
