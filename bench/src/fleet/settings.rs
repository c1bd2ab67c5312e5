//! The configurations that are measured.

use std::fmt::Write as _;

use crate::settings::RAISED;

/// The game that is measured: the test game, alone in an image made from nothing.
pub(super) const GAME: &str = "echo";

/// Its image, and the version.
pub(super) const IMAGE: &str = "greenroom-bench-echo";
pub(super) const VERSION: &str = "1.0.0";

/// Where its ports come from. Five digits, so that a number stands for a port wherever it is found.
pub(super) const PORTS: std::ops::RangeInclusive<u16> = 30_000..=30_999;

/// What a request for a server asks.
pub(super) const ALLOCATE: &str = "/v1/games/echo/servers";

/// A configuration in the making: containers with a TCP and UDP port and a volume.
#[derive(Clone, Debug)]
pub(super) struct Settings<'a> {
    /// The engine, such as `unix:///run/docker.sock`.
    pub(super) engine: &'a str,
    /// A folder of the host that containers see.
    pub(super) volume: &'a str,
    /// Whether they are on the host's own network.
    pub(super) host_network: bool,
    /// Servers that stand ready.
    pub(super) ready_min: u32,
    /// Most servers at once.
    pub(super) running_max: u32,
}

impl Settings<'_> {
    /// Ports published on a bridge, and nothing that stands ready. The engine and the volume are filled
    /// in by who knows them.
    pub(super) const fn plain() -> Self {
        Self { engine: "", volume: "", host_network: false, ready_min: 0, running_max: 1 }
    }

    /// The file.
    pub(super) fn text(&self) -> String {
        let Self { engine, volume, ready_min, running_max, .. } = self;
        let network = if self.host_network { "host" } else { "bridge" };
        let (first, last) = (PORTS.start(), PORTS.end());
        let mut text = format!("default_game = \"{GAME}\"\n\n[limits]\n");
        for (key, value) in RAISED {
            let _ = writeln!(text, "{key} = {value}");
        }
        let _ = write!(
            text,
            r#"
[hosts.engine]
docker = "{engine}"
servers_max = 1000

[studios.bench]
servers_max = 1000

[games.{GAME}]
studio = "bench"

[games.{GAME}.fleet]
provider = "docker"
command = ["--name", "{{title}}", "--port", "{{port}}"]
ports = [{{ name = "default", protocol = "tcp+udp" }}]
port_range = "{first}-{last}"
version = "{VERSION}"
ready_min = {ready_min}
running_max = {running_max}
warm_payload = "ignore"

[games.{GAME}.fleet.container]
image = "{IMAGE}"
network = "{network}"
volumes = [{{ source = "{volume}", target = "/secrets", read_only = true }}]
"#
        );
        text
    }
}
