//! A Docker Engine, an installation that uses it, and what is told of both.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpStream, UdpSocket},
    str::FromStr,
    time::Duration,
};

use greenroom_test_support::{
    engines::{self, Docker, DockerOptions},
    greenroom::{Answer, Api, GAME, Installation, some_ports},
};
use serde_json::Value;
use tokio::time::Instant;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_greenroom");

/// The image of the test game, and its version.
pub(crate) const IMAGE: &str = "echo";
pub(crate) const VERSION: &str = "1.0.0";

/// More ports than any of these tests has servers.
const PORTS: u16 = 100;

/// How long anything may take that is waited for: other tests start containers on the machine meanwhile.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Within how long Greenroom tells what has become of a container or an engine, on a busy machine.
pub(crate) const TOLD_WITHIN: Duration = Duration::from_secs(50);

/// A Docker Engine and an installation of Greenroom that starts game servers on it.
pub(crate) struct World {
    // Ends first: what it does at its end is done on an engine that is there.
    pub(crate) installation: Installation,
    pub(crate) docker: Docker,
}

/// Settings of a world beyond the usual ones.
#[derive(Default)]
pub(crate) struct Wish<'a> {
    pub(crate) options: DockerOptions,
    /// Lines of the game's fleet.
    pub(crate) fleet: &'a str,
    /// Tables below the game's fleet.
    pub(crate) tables: &'a str,
    /// Dockerfile instructions of the image.
    pub(crate) image: &'a [&'a str],
    /// The image in a registry, instead of the one that the engine has.
    pub(crate) in_registry: Option<String>,
    /// Whether the game's settings name no version.
    pub(crate) without_version: bool,
    /// How many ports there are; many if 0.
    pub(crate) ports: u16,
}

impl World {
    /// `None`, with a line that says so, where there is no Docker Engine.
    pub(crate) fn new(test: &str, wish: &Wish) -> Option<Self> {
        let docker = engines::docker_with(test, &wish.options)?;
        Some(Self::on(docker, wish))
    }

    /// The same on an engine that is there already.
    pub(crate) fn on(docker: Docker, wish: &Wish) -> Self {
        docker.import_game_with(IMAGE, &[VERSION], wish.image);
        let installation = Installation::new(PROGRAM, "", "command = [\"none\"]", 0);
        let fleet = format!(
            "provider = \"docker\"\n{version}\n\
             command = [\"--name\", \"{{title}}\", \"--port\", \"{{port}}\"]\n\
             ports = [{{ name = \"default\", protocol = \"tcp+udp\" }}]\nport_range = \"{ports}\"\n\
             stop_grace = \"2s\"\n{fleet}\n\
             [games.{GAME}.fleet.container]\nimage = \"{image}\"\nversions = \"{versions}\"\n{tables}\n\
             [hosts.engine]\ndocker = \"{url}\"\n",
            ports = some_ports(if wish.ports == 0 { PORTS } else { wish.ports }),
            version = if wish.without_version { String::new() } else { format!("version = \"{VERSION}\"") },
            fleet = wish.fleet,
            image = wish.in_registry.as_deref().unwrap_or(IMAGE),
            versions = if wish.in_registry.is_some() { "registry" } else { "engine" },
            tables = wish.tables,
            url = docker.url(),
        );
        installation.configure("", &fleet);
        Self { installation, docker }
    }

    /// Waits until the containers are those of `servers` and no other, by their ids.
    pub(crate) async fn has_containers_of(&self, servers: &BTreeSet<String>) {
        let mut found = BTreeSet::new();
        let as_told = || {
            let containers = self.docker.containers();
            found = containers.iter().map(server_of).collect();
            found == *servers && containers.len() == servers.len()
        };
        assert!(until(PATIENCE, as_told).await, "the containers are of {found:?}, not of {servers:?}");
    }

    /// Waits until no container is left; whether it was so in time.
    pub(crate) async fn are_gone(&self) -> bool {
        until(PATIENCE, || self.docker.containers().is_empty()).await
    }

    /// Waits until nothing of any server is left on the engine: containers, links, networks.
    pub(crate) async fn is_empty(&self) {
        let mut left = String::new();
        let is_empty = || {
            let (containers, links) = (self.docker.containers(), self.docker.links());
            let networks = self.docker.call("GET", "/networks", None).json();
            let networks = networks.as_array().map_or(0, Vec::len);
            left = format!("{} containers, links {links:?}, {networks} networks", containers.len());
            // The engine's own: bridge, host, none.
            containers.is_empty() && links.is_empty() && networks == 3
        };
        assert!(until(PATIENCE, is_empty).await, "left over: {left}");
    }
}

/// The server that a container is of: its label, without the number of the try.
fn server_of(container: &Value) -> String {
    let instance = container["Labels"]["greenroom.instance"].as_str().unwrap_or("of nobody");
    instance.rsplit_once('-').map_or(instance, |(server, _try)| server).to_owned()
}

/// Looks until `holds`, at most for `max`; whether it held.
pub(crate) async fn until(max: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + max;
    loop {
        if holds() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until the server `id` is in `state`, at most for [`TOLD_WITHIN`]; gives it.
pub(crate) async fn told(api: &Api, id: &str, state: &str) -> Value {
    told_in_time(api, id, state, TOLD_WITHIN).await
}

/// Stops a server, and waits until it has ended.
pub(crate) async fn stopped(api: &Api, id: &str) {
    let answer = api.stop_server(id).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    // Many at once keep an engine busy.
    told_in_time(api, id, "ended", PATIENCE).await;
}

async fn told_in_time(api: &Api, id: &str, state: &str, max: Duration) -> Value {
    told_that(api, id, max, |server| server["state"] == state).await
}

/// Waits until what is told of the server `id` `is` what is waited for; gives it.
pub(crate) async fn told_that(api: &Api, id: &str, max: Duration, is: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + max;
    loop {
        let found = api.server(id).await;
        if is(&found.body) {
            return found.body;
        }
        assert!(Instant::now() < deadline, "it is not told of server {id}: {found:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A server that was given to somebody.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Given {
    pub(crate) id: String,
    pub(crate) port: u16,
}

/// Asks for a server; panics unless one is given.
pub(crate) async fn given(api: &Api) -> Given {
    let answer = api.allocate(None).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    of(&answer)
}

/// The server that an answer gives.
pub(crate) fn of(answer: &Answer) -> Given {
    let server = &answer.body["server"];
    let port = server["port"].as_u64().unwrap();
    Given { id: server["id"].as_str().unwrap().to_owned(), port: u16::try_from(port).unwrap() }
}

/// Connects once and says a line; what comes back. Empty if nothing does: the engine's proxy accepts
/// connections to a game that does not listen, and closes them.
pub(crate) fn say(port: u16, line: &str) -> String {
    let mut answer = String::new();
    if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
        let _ = stream.set_read_timeout(Some(PATIENCE));
        let _ = writeln!(stream, "{line}");
        let _ = BufReader::new(stream).read_line(&mut answer);
    }
    answer.trim_end().to_owned()
}

/// The same by one datagram.
pub(crate) fn say_by_udp(port: u16, text: &str) -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.send(text.as_bytes()).unwrap();
    let mut datagram = [0; 512];
    let size = socket.recv(&mut datagram).unwrap_or(0);
    String::from_utf8_lossy(&datagram[..size]).into_owned()
}

/// A number from the environment, for runs that do more.
pub(crate) fn wanted<T: FromStr>(name: &str, otherwise: T) -> T {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().ok().expect("a number"))
}
