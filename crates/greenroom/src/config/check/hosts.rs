//! The hosts that game servers run on.

use std::{collections::BTreeMap, path::Path};

use greenroom_domain::settings::HostSettings;
use greenroom_fleet::docker::{DockerConfig, Endpoint};
use greenroom_protocol::{HostId, RegionId};

use crate::config::{
    reader::{Context, join},
    sections::{Fleet, Root},
    value::ProviderKind,
};

use super::{between, hosting_api, listed, not_blank};

/// Where the engine of this machine listens, which serves where no host is named.
const LOCAL_ENGINE: &str = "unix:///var/run/docker.sock";
/// What that one is called.
const DEFAULT_HOST: &str = "docker";
/// Most game servers that one host may be set to run.
const SERVERS_MAX: u32 = 10_000;

/// Whether the hosts' settings make sense.
pub(super) fn check(context: &mut Context, root: &Root) {
    let local = greenroom_fleet::local_host();
    let mut endpoints: BTreeMap<String, &HostId> = BTreeMap::new();
    for (id, host) in &root.hosts {
        let path = format!("hosts.{id}");
        if *id == local || id.as_str().starts_with(hosting_api::HOST_PREFIX) {
            let prefix = hosting_api::HOST_PREFIX;
            let sentence = format!(
                "the name is Greenroom's own; expected one that is not {local} and does not begin with {prefix}"
            );
            context.error(&path, sentence);
        }
        match Endpoint::parse(&host.docker) {
            Err(sentence) => context.error(join(&path, "docker"), sentence),
            Ok(endpoint) => {
                if let Some(other) = endpoints.insert(endpoint.to_string(), id) {
                    let sentence = format!("it is the engine of host {other} already; expected another one");
                    context.error(join(&path, "docker"), sentence);
                }
            }
        }
        between(context, &join(&path, "servers_max"), host.servers_max, 1..=SERVERS_MAX);
        if let Some(address) = &host.public_address {
            not_blank(context, &join(&path, "public_address"), address);
        }
    }
}

/// Whether a host stands in each region of a fleet of containers.
pub(super) fn check_regions(context: &mut Context, path: &str, fleet: &Fleet, root: &Root) {
    if fleet.provider != ProviderKind::Docker {
        return;
    }
    let hosts = settings(root);
    let there: std::collections::BTreeSet<&RegionId> = hosts.values().map(|host| &host.region).collect();
    for region in fleet.regions.iter().filter(|region| !there.contains(region)) {
        let sentence = format!(
            "no host stands in {region}, but in {}; add one by [hosts.<name>] with region = \"{region}\"",
            listed(there.iter())
        );
        context.error(join(path, "regions"), sentence);
    }
}

/// The hosts beside this machine's own processes.
pub(super) fn settings(root: &Root) -> BTreeMap<HostId, HostSettings> {
    if root.hosts.is_empty() {
        return default_region(root).map(default_host).into_iter().collect();
    }
    let host = |(id, host): (&HostId, &crate::config::sections::Host)| {
        let settings = HostSettings {
            id: id.clone(),
            region: host.region.clone(),
            servers_max: host.servers_max,
            public_address: host.public_address.clone(),
        };
        (id.clone(), settings)
    };
    root.hosts.iter().map(host).collect()
}

/// The engines of the hosts; what is known of their containers is kept in a folder of each in `folder`.
pub(in crate::config) fn engines(root: &Root, installation: &str, folder: &Path) -> Vec<DockerConfig> {
    let engine = |id: HostId| {
        let text = root.hosts.get(&id).map_or(LOCAL_ENGINE, |host| host.docker.as_str());
        Some(DockerConfig {
            endpoint: Endpoint::parse(text).ok()?,
            installation: installation.to_owned(),
            records_dir: folder.join(id.as_str()),
            host: id,
        })
    };
    settings(root).into_keys().filter_map(engine).collect()
}

/// Where the engine of this machine stands if no host is named and a game's servers are containers.
fn default_region(root: &Root) -> Option<RegionId> {
    let mut fleets = root.games.values().filter_map(|game| game.fleet.as_ref());
    fleets.find(|fleet| fleet.provider == ProviderKind::Docker)?.regions.first().cloned()
}

fn default_host(region: RegionId) -> (HostId, HostSettings) {
    let id = HostId::new(DEFAULT_HOST).expect("it has the form of an id");
    // The limits of games and studios are enough for one engine that nobody has described.
    (id.clone(), HostSettings { id, region, servers_max: u32::MAX, public_address: None })
}
