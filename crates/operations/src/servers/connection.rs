//! What the way in which players reach a server means for its container.

use greenroom_domain::{
    server::Birth,
    settings::{
        Connection, ContainerNetwork, ContainerSettings, FleetSettings, Labels, PortSettings, TraefikSettings,
    },
    traefik,
};

/// The ports that a server is started with. Behind Traefik the first is the one that Traefik goes to,
/// and the others follow it unless they have numbers of their own.
pub(crate) fn ports(fleet: &FleetSettings) -> Vec<PortSettings> {
    let mut ports = fleet.ports.clone();
    let Some(traefik) = behind_traefik(fleet) else { return ports };
    let mut next = traefik.port;
    for (index, port) in ports.iter_mut().enumerate() {
        let own = port.inner.filter(|_| index > 0);
        let inner = own.unwrap_or(next);
        port.inner = Some(inner);
        next = inner.saturating_add(port.count.max(1));
    }
    ports
}

/// Whether a Traefik that watches their engine learns of its containers by their labels.
pub(crate) fn is_labelled(fleet: &FleetSettings) -> bool {
    behind_traefik(fleet).is_some()
}

/// Whether the ports of its containers are published on their host. Traefik goes to the container.
pub(crate) fn is_published(fleet: &FleetSettings) -> bool {
    behind_traefik(fleet).is_none()
}

/// How its containers are made: in the network that they share with Traefik.
pub(crate) fn container(fleet: &FleetSettings, settings: &ContainerSettings) -> ContainerSettings {
    let network = behind_traefik(fleet).and_then(|traefik| traefik.network.clone());
    let network = network.map_or_else(|| settings.network.clone(), ContainerNetwork::Named);
    ContainerSettings { network, ..settings.clone() }
}

/// What its container says to other programs that look at the engine.
pub(crate) fn labels(fleet: &FleetSettings, slug: &str, birth: &Birth) -> Labels {
    behind_traefik(fleet).map(|settings| traefik::labels(birth, slug, settings)).unwrap_or_default()
}

/// A container on the host's own network has its host's ports, as a process has: no labels lead to it, and
/// Traefik learns of it from us alone.
fn behind_traefik(fleet: &FleetSettings) -> Option<&TraefikSettings> {
    let container = fleet.provider.container()?;
    match &fleet.connection {
        Connection::Traefik(traefik) if container.network != ContainerNetwork::Host => Some(traefik),
        Connection::Traefik(_) | Connection::Ports | Connection::Gateway(_) => None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use greenroom_domain::settings::{GatewaySettings, PortProtocol, ProviderSettings, VersionSource};

    use super::*;

    /// Containers of a game, in `network`.
    pub(crate) fn settings(network: ContainerNetwork) -> ContainerSettings {
        ContainerSettings {
            image: "studio/racer".into(),
            versions: VersionSource::Engine,
            versions_max: 3,
            network,
            volumes: Vec::new(),
            user: None,
            read_only_root: false,
            init: true,
            capabilities: Vec::new(),
        }
    }

    fn fleet(connection: Connection, network: ContainerNetwork) -> FleetSettings {
        let port = |name: &str, count, inner| PortSettings {
            name: name.into(),
            protocol: PortProtocol::TcpUdp,
            count,
            fixed: None,
            inner,
        };
        FleetSettings {
            provider: ProviderSettings::Docker(Box::new(settings(network))),
            connection,
            ports: vec![port("game", 2, None), port("query", 1, None), port("rcon", 1, Some(9000))],
            ..FleetSettings::default()
        }
    }

    fn inner(fleet: &FleetSettings) -> Vec<Option<u16>> {
        ports(fleet).iter().map(|port| port.inner).collect()
    }

    #[test]
    fn behind_traefik_a_container_has_its_fixed_ports_in_the_shared_network() {
        let traefik = TraefikSettings { network: Some("web".into()), ..TraefikSettings::default() };
        let fleet = fleet(Connection::Traefik(traefik), ContainerNetwork::Bridge);
        assert_eq!(inner(&fleet), [Some(31400), Some(31402), Some(9000)]);
        assert!(!is_published(&fleet));
        assert!(is_labelled(&fleet));
        let container = container(&fleet, fleet.provider.container().unwrap());
        assert_eq!(container.network, ContainerNetwork::Named("web".into()));
    }

    #[test]
    fn otherwise_a_container_is_as_its_settings_say() {
        let traefik = Connection::Traefik(TraefikSettings::default());
        for fleet in [
            fleet(Connection::Ports, ContainerNetwork::Bridge),
            fleet(Connection::Gateway(GatewaySettings::default()), ContainerNetwork::Bridge),
            fleet(traefik, ContainerNetwork::Host),
        ] {
            assert_eq!(inner(&fleet), [None, None, Some(9000)]);
            assert!(is_published(&fleet));
            assert!(!is_labelled(&fleet));
            let settings = fleet.provider.container().unwrap();
            assert_eq!(container(&fleet, settings), *settings);
        }
    }
}
