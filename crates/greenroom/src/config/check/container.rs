//! How a game's containers are made, and what only containers can have.

use std::collections::BTreeSet;

use greenroom_domain::settings::{
    ContainerNetwork, ContainerSettings, PortProtocol, ProviderSettings, Readiness, Volume,
};

use crate::config::{
    reader::{Context, join},
    sections::{self, Container, Fleet},
    value::ProviderKind,
};

use super::between;

/// Most versions that may be supported at once.
const VERSIONS_MAX: u32 = 1000;
/// Longest name of an image.
const IMAGE_BYTES_MAX: usize = 255;
/// What Greenroom puts into a container itself.
const OWN_TARGET: &str = "/run/greenroom";

/// The provider of a fleet that was checked.
pub(super) fn provider(fleet: &Fleet) -> ProviderSettings {
    match (fleet.provider, &fleet.container) {
        (ProviderKind::Docker, Some(container)) => ProviderSettings::Docker(Box::new(settings(container))),
        // The one without the other does not pass the check.
        (ProviderKind::Process | ProviderKind::Docker | ProviderKind::HostingApi, _) => {
            ProviderSettings::Process
        }
    }
}

fn settings(container: &Container) -> ContainerSettings {
    let volume = |volume: &sections::Volume| Volume {
        source: volume.source.clone(),
        target: volume.target.clone(),
        read_only: volume.read_only,
    };
    ContainerSettings {
        image: container.image.clone(),
        versions: container.versions,
        versions_max: container.versions_max,
        network: container.network.clone(),
        volumes: container.volumes.iter().map(volume).collect(),
        user: container.user.clone(),
        read_only_root: container.read_only_root,
        init: container.init,
        capabilities: container.capabilities.clone(),
    }
}

/// Whether the fleet's provider and what is said of containers fit together.
pub(super) fn check(context: &mut Context, path: &str, fleet: &Fleet) {
    match (fleet.provider, &fleet.container) {
        (ProviderKind::Process, container) => {
            if container.is_some() {
                let sentence = "it is there, but the provider is \"process\"; set provider = \"docker\", or leave it out";
                context.error(join(path, "container"), sentence);
            }
            processes_alone(context, path, fleet);
        }
        // What goes with that is told beside it.
        (ProviderKind::HostingApi, _) => {}
        (ProviderKind::Docker, None) => {
            let sentence = "it is missing, and the provider is \"docker\"; expected at least an image, such as \
                            container = { image = \"ghcr.io/studio/game\" }";
            context.error(join(path, "container"), sentence);
        }
        (ProviderKind::Docker, Some(container)) => {
            self::container(context, &join(path, "container"), container);
            inner_ports(context, path, fleet, container);
            if fleet.working_dir.is_some() {
                let sentence =
                    "a container runs where its image says; leave it out, or set WORKDIR in the image";
                context.error(join(path, "working_dir"), sentence);
            }
            if fleet.limits.processes.is_some_and(|count| count < 4) {
                let sentence = "it is less than 4; a program and its init process need that many";
                context.error(join(path, "limits.processes"), sentence);
            }
            if fleet.limits.memory.is_some_and(|size| size.0 < 6 << 20) {
                let sentence = "it is less than 6MiB, which is the least that a Docker Engine accepts";
                context.error(join(path, "limits.memory"), sentence);
            }
        }
    }
}

/// What a process cannot have.
fn processes_alone(context: &mut Context, path: &str, fleet: &Fleet) {
    if fleet.ready == Readiness::Health {
        let sentence = "\"health\" is the health check of a container's image, and the provider is \"process\"; \
                        expected \"listening\", \"log:<regular expression>\" or \"after:<duration>\"";
        context.error(join(path, "ready"), sentence);
    }
    if fleet.limits.processes.is_some() {
        let sentence = "only containers can be held to it, and the provider is \"process\"; leave it out";
        context.error(join(path, "limits.processes"), sentence);
    }
    for (index, port) in fleet.ports.iter().enumerate() {
        if port.inner.is_some() {
            let sentence = "only a container has a number of its own inside, and the provider is \"process\"; \
                            leave it out";
            context.error(format!("{path}.ports[{index}].inner"), sentence);
        }
    }
}

fn container(context: &mut Context, path: &str, container: &Container) {
    image(context, &join(path, "image"), &container.image);
    between(context, &join(path, "versions_max"), container.versions_max, 1..=VERSIONS_MAX);
    let mut targets = BTreeSet::new();
    for (index, volume) in container.volumes.iter().enumerate() {
        let path = format!("{path}.volumes[{index}]");
        if !volume.source.starts_with('/') && !is_name(&volume.source) {
            let sentence = format!(
                "{:?} is neither a path nor the name of a volume; expected one such as \"/srv/secrets\" or \"secrets\"",
                volume.source
            );
            context.error(join(&path, "source"), sentence);
        }
        let target = volume.target.trim_end_matches('/');
        let is_ours = target == OWN_TARGET || target.starts_with(&format!("{OWN_TARGET}/"));
        if !target.starts_with('/') || is_ours {
            let sentence = format!(
                "{:?} is no place for a volume; expected a path in the container, such as \"/secrets\", \
                 outside {OWN_TARGET}",
                volume.target
            );
            context.error(join(&path, "target"), sentence);
        }
        if !targets.insert(target) {
            context.error(
                join(&path, "target"),
                format!("{target} is there twice; expected a place of its own"),
            );
        }
    }
    let is_user = |user: &str| {
        let mut parts = user.splitn(2, ':');
        parts.all(|part| is_name(part) && part.len() <= 32)
    };
    if container.user.as_deref().is_some_and(|user| !is_user(user)) {
        let sentence = "it is no user; expected a name or number, and maybe a group, such as \"1000:1000\"";
        context.error(join(path, "user"), sentence);
    }
    for (index, capability) in container.capabilities.iter().enumerate() {
        let fits = capability.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
        if !fits || capability.is_empty() || capability == "ALL" {
            let sentence =
                format!("{capability:?} is no capability; expected one such as \"NET_BIND_SERVICE\"");
            context.error(format!("{path}.capabilities[{index}]"), sentence);
        }
    }
}

fn image(context: &mut Context, path: &str, image: &str) {
    let fits = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-' | b'/' | b':')
    };
    let (registry, name) = image.split_once('/').unwrap_or(("", image));
    // A registry's host may have capitals and a port, the name after it neither.
    let is_registry = registry.contains(['.', ':']) || registry == "localhost";
    let checked = if is_registry { name } else { image };
    if checked.contains(':') || image.contains('@') {
        let sentence = format!("{image:?} has a tag or a digest in it; leave it out: the tag is the version");
        context.error(path, sentence);
    } else if image.is_empty()
        || image.len() > IMAGE_BYTES_MAX
        || !checked.bytes().all(fits)
        || image.split('/').any(str::is_empty)
    {
        let sentence = format!(
            "{image:?} is no name of an image; expected one such as \"ghcr.io/studio/game\", in small letters"
        );
        context.error(path, sentence);
    }
}

fn inner_ports(context: &mut Context, path: &str, fleet: &Fleet, container: &Container) {
    let mut taken = BTreeSet::new();
    for (index, port) in fleet.ports.iter().enumerate() {
        let Some(first) = port.inner else { continue };
        let path = format!("{path}.ports[{index}].inner");
        if container.network == ContainerNetwork::Host {
            let sentence = "on the host's own network a port has one number alone; leave it out";
            context.error(&path, sentence);
        }
        if first == 0 || first.checked_add(port.count.saturating_sub(1)).is_none() {
            context.error(&path, "it, and the ports that follow it, are not within 1 to 65535");
            continue;
        }
        for number in first..first.saturating_add(port.count.max(1)) {
            let tcp = port.protocol != PortProtocol::Udp && !taken.insert((number, "tcp"));
            let udp = port.protocol != PortProtocol::Tcp && !taken.insert((number, "udp"));
            if tcp || udp {
                context.error(&path, format!("{number} is another port's already; expected one of its own"));
                break;
            }
        }
    }
}

/// As Docker names volumes and systems name users.
fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    !text.is_empty()
        && text.len() <= 128
        && text.bytes().all(fits)
        && text.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_')
}
