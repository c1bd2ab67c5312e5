//! The hosts that game servers run on.

use std::{collections::BTreeMap, path::Path};

use greenroom_domain::settings::{HostSettings, PortProtocol, Readiness};
use greenroom_fleet::docker::{DockerConfig, Endpoint, EngineTls, Identity};
use greenroom_protocol::{HostId, RegionId};

use crate::config::{
    reader::{Context, join},
    sections::{Fleet, Host, HostTls, Root},
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
                if let Some(tls) = &host.tls {
                    self::tls(context, &join(&path, "tls"), tls, &endpoint);
                }
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

/// Whether an engine can be spoken to with the files as they are.
fn tls(context: &mut Context, path: &str, tls: &HostTls, endpoint: &Endpoint) {
    match (&tls.certificate, &tls.key) {
        (Some(_), None) => {
            let sentence = "it is missing, and certificate is there; expected both or none";
            return context.error(join(path, "key"), sentence);
        }
        (None, Some(_)) => {
            let sentence = "it is missing, and key is there; expected both or none";
            return context.error(join(path, "certificate"), sentence);
        }
        _ => {}
    }
    let tls = engine_tls(tls);
    if let Err(sentence) = endpoint.clone().with_tls(tls.clone()) {
        return context.error(path, sentence);
    }
    if let Some((setting, sentence)) = tls.problem() {
        context.error(join(path, setting), sentence);
    }
}

fn engine_tls(tls: &HostTls) -> EngineTls {
    let identity = tls.certificate.clone().zip(tls.key.clone());
    EngineTls {
        ca: tls.ca.clone(),
        identity: identity.map(|(certificate, key)| Identity { certificate, key }),
    }
}

/// Where a host's engine is; none if that makes no sense, which the check tells.
fn endpoint(host: &Host) -> Option<Endpoint> {
    let endpoint = Endpoint::parse(&host.docker).ok()?;
    match &host.tls {
        None => Some(endpoint),
        Some(tls) => endpoint.with_tls(engine_tls(tls)).ok(),
    }
}

/// The address of the machine of a host's engine, where that is another one for certain. The name of a
/// proxy beside us, as in a compose file, has no dot.
fn machine(host: &Host) -> Option<String> {
    let endpoint = endpoint(host)?;
    let name = endpoint.host().filter(|name| !endpoint.is_local() && name.contains(['.', ':']))?;
    let is_ours = name.parse::<std::net::IpAddr>().is_ok() && !endpoint.is_elsewhere();
    (!is_ours).then(|| name.to_owned())
}

/// Whether the fleet's readiness can be seen on the hosts of its regions.
pub(super) fn check_readiness(context: &mut Context, path: &str, fleet: &Fleet, root: &Root) {
    let needs_udp = fleet.ready == Readiness::Listening
        && fleet.ports.iter().any(|port| matches!(port.protocol, PortProtocol::Udp | PortProtocol::TcpUdp));
    if fleet.provider != ProviderKind::Docker || !needs_udp {
        return;
    }
    let hosts = root.hosts.iter().filter(|(_, host)| fleet.regions.contains(&host.region));
    let elsewhere: Vec<_> =
        hosts.filter(|(_, host)| endpoint(host).is_some_and(|endpoint| endpoint.is_elsewhere())).collect();
    if !elsewhere.is_empty() {
        let sentence = format!(
            "\"listening\" cannot see the UDP ports of containers on another machine, and {} is one; expected \
             \"health\", \"log:<regular expression>\" or \"after:<duration>\"",
            listed(elsewhere.into_iter().map(|(id, _)| id))
        );
        context.error(join(path, "ready"), sentence);
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
    let host = |(id, host): (&HostId, &Host)| {
        let settings = HostSettings {
            id: id.clone(),
            region: host.region.clone(),
            servers_max: host.servers_max,
            public_address: host.public_address.clone().or_else(|| machine(host)),
        };
        (id.clone(), settings)
    };
    root.hosts.iter().map(host).collect()
}

/// The engines of the hosts; what is known of their containers is kept in a folder of each in `folder`.
pub(in crate::config) fn engines(root: &Root, installation: &str, folder: &Path) -> Vec<DockerConfig> {
    let engine = |id: HostId| {
        Some(DockerConfig {
            endpoint: match root.hosts.get(&id) {
                Some(host) => endpoint(host)?,
                None => Endpoint::parse(LOCAL_ENGINE).ok()?,
            },
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
