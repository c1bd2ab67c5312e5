//! Where game servers run, and how players reach them.

use std::{collections::BTreeMap, time::Duration};

use greenroom_protocol::{HostId, RegionId};

/// What starts game servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProviderSettings {
    /// Processes on this machine.
    Process,
    /// Containers of Docker engines.
    Docker(Box<ContainerSettings>),
    /// Another host that speaks the allocation contract.
    HostingApi(Box<RemoteSettings>),
}

impl ProviderSettings {
    /// Its word in the configuration and in answers.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Docker(_) => "docker",
            Self::HostingApi(_) => "hosting-api",
        }
    }

    /// The containers' settings, if it is containers.
    pub fn container(&self) -> Option<&ContainerSettings> {
        match self {
            Self::Docker(container) => Some(container),
            Self::Process | Self::HostingApi(_) => None,
        }
    }
}

/// How a game's containers are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerSettings {
    /// The image without its tag, such as `ghcr.io/studio/game`. The tag is the version.
    pub image: String,
    /// Where its versions are looked up.
    pub versions: VersionSource,
    /// How many of the newest versions are supported.
    pub versions_max: u32,
    /// The network that a container is in.
    pub network: ContainerNetwork,
    /// Folders and volumes of the host that it sees.
    pub volumes: Vec<Volume>,
    /// The user, and group, it runs as; the image's unless set.
    pub user: Option<String>,
    /// Whether its own files cannot be written; it has a `/tmp` in memory then.
    pub read_only_root: bool,
    /// Whether a small init process passes on signals and reaps. On unless switched off.
    pub init: bool,
    /// Capabilities that it keeps; all others are dropped.
    pub capabilities: Vec<String>,
}

/// Where the versions of an image are looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionSource {
    /// Among the images that the engines have.
    Engine,
    /// In the image's registry.
    Registry,
}

/// The network of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContainerNetwork {
    /// The engine's default bridge; ports are published.
    Bridge,
    /// The host's own.
    Host,
    /// This one, which must exist; ports are published.
    Named(String),
}

/// A folder or volume of the host, as a container sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// A path of the host, or the name of a volume.
    pub source: String,
    /// The path in the container.
    pub target: String,
    /// Whether it can only be read.
    pub read_only: bool,
}

/// Another host that speaks `POST /v1/games/{game}/servers`. Its key is the provider's to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteSettings {
    /// What it is called among the hosts.
    pub host: HostId,
    /// Such as `https://host.example`.
    pub url: String,
    /// The game's id there.
    pub game: String,
}

/// An engine that game servers run on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostSettings {
    /// Which.
    pub id: HostId,
    /// Where it stands.
    pub region: RegionId,
    /// Most game servers at once.
    pub servers_max: u32,
    /// The address that players reach its servers at; the installation's if there is none.
    pub public_address: Option<String>,
}

/// How players reach a game's servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Connection {
    /// At the host's address and the server's own port.
    Ports,
    /// Through a Traefik that Greenroom tells of its servers.
    Traefik(TraefikSettings),
    /// Through Greenroom itself, below `/games/<slug>/<code>/`.
    Gateway(GatewaySettings),
}

impl Connection {
    /// Its word in the configuration.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Ports => "ports",
            Self::Traefik(_) => "traefik",
            Self::Gateway(_) => "gateway",
        }
    }

    /// Letters of a server's code in paths; none where players are told a port.
    pub const fn code_length(&self) -> Option<u32> {
        match self {
            Self::Ports => None,
            Self::Traefik(traefik) => Some(traefik.code_length),
            Self::Gateway(gateway) => Some(gateway.code_length),
        }
    }
}

/// What Traefik is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraefikSettings {
    /// The Docker network that it shares with the containers.
    pub network: Option<String>,
    /// The Host that its rules ask for; any unless set.
    pub host: Option<String>,
    /// Its entry point; `websecure` unless set.
    pub entry_point: String,
    /// Whether its routes are for TLS. On unless switched off.
    pub tls: bool,
    /// The port inside the container that it goes to.
    pub port: u16,
    /// Its own interface, asked whether a server's route is live before players are told of it.
    pub api_url: Option<String>,
    /// Without `api_url`: how long it takes to act on what it was told. 1 s unless set.
    pub settle: Duration,
    /// The address at which it reaches the processes of this machine; loopback unless set.
    pub servers_address: Option<String>,
    /// Letters of a server's code.
    pub code_length: u32,
}

impl Default for TraefikSettings {
    fn default() -> Self {
        Self {
            network: None,
            host: None,
            entry_point: "websecure".into(),
            tls: true,
            port: 31400,
            api_url: None,
            settle: Duration::from_secs(3),
            servers_address: None,
            code_length: CODE_LENGTH_DEFAULT,
        }
    }
}

/// How Greenroom passes players on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatewaySettings {
    /// Letters of a server's code.
    pub code_length: u32,
}

impl Default for GatewaySettings {
    fn default() -> Self {
        Self { code_length: CODE_LENGTH_DEFAULT }
    }
}

/// Letters of a server's code unless set.
const CODE_LENGTH_DEFAULT: u32 = 4;

/// Labels of containers, by name.
pub type Labels = BTreeMap<String, String>;
