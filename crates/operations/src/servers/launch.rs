//! What a server is started with: its document and its fleet's settings made into a command.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf, sync::Arc};

use bytes::Bytes;
use greenroom_domain::{
    fleet::build_of,
    placement::Host,
    server::{Allocation, Birth, Purpose, Server, ServerPort, new_code, new_id, new_name},
    settings::{ContainerNetwork, FleetSettings, GameSettings, ProviderSettings},
    template::{Template, TemplateError, Values},
};
use greenroom_fleet::{BoundPort, Launch, Observed, Program, Render, StartSpec, docker::HOST_GATEWAY};
use greenroom_protocol::{BuildId, RegionId, Timestamp};
use reqwest::Url;

use super::{authenticate, connection, machines, view::Taken};

/// Label: the server's [`Birth`] as JSON.
const LABEL_BIRTH: &str = "greenroom.birth";
/// Label: the hash of its token's secret.
const LABEL_TOKEN_HASH: &str = "greenroom.token-hash";
/// Label: the number of the try.
const LABEL_TRIES: &str = "greenroom.tries";

/// How many names or codes are tried until one is free. Of a thousand million names few are taken;
/// of a million codes, at most one in a hundred.
const TRIES_MAX: u32 = 64;

/// What is asked of a server that does not exist yet.
pub(crate) struct Order<'a> {
    pub(crate) game: &'a GameSettings,
    pub(crate) build: BuildId,
    pub(crate) region: RegionId,
    pub(crate) version: String,
    pub(crate) title: Option<String>,
    pub(crate) is_listed: bool,
    pub(crate) allocation: Option<Allocation>,
    pub(crate) now: Timestamp,
}

impl Order<'_> {
    /// The new server's document, and its token's secret.
    pub(crate) fn make(&self, taken: &Taken<'_>, host: &Host) -> (Server, String) {
        let mut rng = rand::rng();
        let name = free(|name| taken.has_name(name), || new_name(&self.game.id, &mut rng));
        let length = self.game.fleet.as_ref().and_then(|fleet| fleet.connection.code_length());
        let code = length.map(|length| free(|code| taken.has_code(code), || new_code(length, &mut rng)));
        let purpose = if self.allocation.is_some() { Purpose::Allocation } else { Purpose::Warm };
        let birth = Birth {
            id: new_id(&mut rng),
            name,
            title: self.title.clone(),
            code,
            is_listed: self.is_listed,
            game: self.game.id.clone(),
            studio: self.game.studio.clone(),
            version: self.version.clone(),
            build: self.build.clone(),
            region: self.region.clone(),
            host: host.id.clone(),
            purpose,
            address: host.address.clone(),
            created_at: self.now,
        };
        let secret = authenticate::new_secret();
        let sdk = self.game.fleet.as_ref().and_then(|fleet| fleet.sdk.as_ref());
        let server = Server::new(birth, authenticate::hash(&secret), self.allocation.clone());
        (server.with_sdk(sdk), secret)
    }
}

/// One of what `make` makes that is not taken.
fn free(is_taken: impl Fn(&str) -> bool, mut make: impl FnMut() -> String) -> String {
    let mut made = make();
    for _ in 0..TRIES_MAX {
        if !is_taken(&made) {
            break;
        }
        made = make();
    }
    made
}

/// The region that a fleet runs in unless told otherwise.
pub(crate) fn default_region(fleet: &FleetSettings) -> RegionId {
    regions(fleet).swap_remove(0)
}

/// The regions that a fleet runs in, each once, at least one; the default first.
pub(crate) fn regions(fleet: &FleetSettings) -> Vec<RegionId> {
    let mut regions: Vec<RegionId> = Vec::new();
    for region in &fleet.regions {
        if !regions.contains(region) {
            regions.push(region.clone());
        }
    }
    if regions.is_empty() {
        regions.push(RegionId::new("local").expect("it has the form of an id"));
    }
    regions
}

/// Whether the server was made for what the fleet is now.
pub(crate) fn is_current(server: &Server, fleet: &FleetSettings) -> bool {
    server.birth.build == build_of(fleet, &server.birth.version)
}

/// How the present try of `server` is started.
pub(crate) fn spec(
    server: &Server,
    fleet: &FleetSettings,
    internal_url: &str,
    greenroom: &str,
    secret: &str,
    slug: &str,
) -> Result<StartSpec, serde_json::Error> {
    let payload = server.allocation.as_ref().filter(|allocation| !allocation.payload_delivered);
    Ok(StartSpec {
        id: server.instance(),
        name: server.birth.name.clone(),
        ports: connection::ports(fleet),
        port_range: fleet.port_range.clone(),
        ready: fleet.ready.clone(),
        ready_timeout: fleet.ready_timeout,
        stop_grace: fleet.stop_grace,
        host: server.birth.host.clone(),
        program: program(server, fleet, slug),
        limits: fleet.limits,
        log_bytes_max: fleet.log_bytes_max,
        payload: payload.map(|allocation| Bytes::from(allocation.payload.clone())),
        has_sdk: fleet.sdk.is_some(),
        render: render(server, fleet, own_url(fleet, internal_url), greenroom, secret),
        labels: labels(server)?,
    })
}

fn program(server: &Server, fleet: &FleetSettings, slug: &str) -> Program {
    match &fleet.provider {
        ProviderSettings::Process => {
            Program::Process { working_dir: fleet.working_dir.as_ref().map(PathBuf::from) }
        }
        ProviderSettings::Docker(settings) => Program::Container {
            image: format!("{}:{}", settings.image, server.birth.version),
            settings: Box::new(connection::container(fleet, settings)),
            labels: connection::labels(fleet, slug, &server.birth),
            is_published: connection::is_published(fleet),
        },
        ProviderSettings::HostingApi(settings) => {
            Program::Remote { settings: settings.clone(), region: server.birth.region.clone() }
        }
    }
}

/// What a process says of itself: its birth, the hash of its secret and the number of its try.
pub(crate) fn read_labels(observed: &Observed) -> Option<(Birth, String, u32)> {
    let birth = serde_json::from_str(observed.labels.get(LABEL_BIRTH)?).ok()?;
    let token_hash = observed.labels.get(LABEL_TOKEN_HASH)?.clone();
    let tries = observed.labels.get(LABEL_TRIES)?.parse().ok()?;
    Some((birth, token_hash, tries))
}

fn labels(server: &Server) -> Result<BTreeMap<String, String>, serde_json::Error> {
    Ok(BTreeMap::from([
        (LABEL_BIRTH.to_owned(), serde_json::to_string(&server.birth)?),
        (LABEL_TOKEN_HASH.to_owned(), server.token_hash.clone()),
        (LABEL_TRIES.to_owned(), server.tries.to_string()),
    ]))
}

/// Where the fleet's servers reach Greenroom. What is this machine to us is a container itself to one with a
/// network of its own, which finds its machine by a name.
fn own_url(fleet: &FleetSettings, internal_url: &str) -> String {
    let container = fleet.provider.container().map(|settings| connection::container(fleet, settings));
    let is_apart = container.is_some_and(|container| container.network != ContainerNetwork::Host);
    let Some(mut url) = Url::parse(internal_url).ok().filter(|_| is_apart) else {
        return internal_url.to_owned();
    };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if !is_here || url.set_host(Some(HOST_GATEWAY)).is_err() {
        return internal_url.to_owned();
    }
    // A path that is not there is written as one.
    let written = if internal_url.ends_with('/') { url.as_str() } else { url.as_str().trim_end_matches('/') };
    written.to_owned()
}

fn render(
    server: &Server,
    fleet: &FleetSettings,
    internal_url: String,
    greenroom: &str,
    secret: &str,
) -> Render {
    let birth = server.birth.clone();
    let match_id = server.allocation.as_ref().and_then(|allocation| allocation.match_id.clone());
    let (command, declared) = (fleet.command.clone(), fleet.environment.clone());
    let greenroom = greenroom.to_owned();
    let has_sdk = fleet.sdk.is_some();
    let token = authenticate::token(server.id(), secret);
    Arc::new(move |bound: &[BoundPort]| {
        let ports = machines::ports(bound);
        let values = Values {
            greenroom: &greenroom,
            name: &birth.name,
            title: birth.title.as_deref(),
            id: birth.id.as_str(),
            code: birth.code.as_deref(),
            is_listed: birth.is_listed,
            version: &birth.version,
            public_address: &birth.address,
            region: birth.region.as_str(),
            ports: &ports,
        };
        let filled = |what: &str, text: &str| {
            let rendered = Template::parse(text).and_then(|template| template.render(&values));
            rendered
                .map_err(|error: TemplateError| format!("the {what} \"{text}\" cannot be filled in: {error}"))
        };
        let argv = command.iter().filter_map(|text| filled("argument", text).transpose());
        let argv = argv.collect::<Result<_, _>>()?;
        let mut environment = BTreeMap::new();
        for (name, text) in &declared {
            let value = filled("environment value", text)?;
            environment.extend(value.map(|value| (name.clone(), value)));
        }
        // After the fleet's own, so that no setting can pass as ours.
        environment.insert("GREENROOM_URL".to_owned(), internal_url.clone());
        environment.insert("GREENROOM_SERVER_ID".to_owned(), birth.id.to_string());
        environment.insert("GREENROOM_SERVER_TOKEN".to_owned(), token.clone());
        environment.insert("GREENROOM_GAME".to_owned(), birth.game.to_string());
        environment.insert("GREENROOM_REGION".to_owned(), birth.region.to_string());
        if let Some(match_id) = &match_id {
            environment.insert("GREENROOM_MATCH_ID".to_owned(), match_id.to_string());
        }
        environment.extend(port_variables(&ports));
        if has_sdk {
            environment.extend(gameflow_variables(&birth, &ports));
        }
        Ok(Launch { argv, environment })
    })
}

/// `GREENROOM_PORT`, and `GREENROOM_PORT_<NAME>` for each.
fn port_variables(ports: &[ServerPort]) -> Vec<(String, String)> {
    let first = ports.first().map(|port| ("GREENROOM_PORT".to_owned(), port.bound().to_string()));
    let named =
        ports.iter().map(|port| (format!("GREENROOM_PORT_{}", upper(&port.name)), port.bound().to_string()));
    first.into_iter().chain(named).collect()
}

/// What servers read that were written for a host that speaks the SDK with an environment of its own.
fn gameflow_variables(birth: &Birth, ports: &[ServerPort]) -> Vec<(String, String)> {
    let mut variables = vec![
        ("GAMEFLOW_REGION".to_owned(), birth.region.to_string()),
        ("GAMEFLOW_BUILD_ID".to_owned(), birth.build.to_string()),
    ];
    variables
        .extend(ports.first().map(|port| ("GAMEFLOW_DEFAULT_PORT".to_owned(), port.bound().to_string())));
    variables.extend(
        ports.iter().map(|port| (format!("GAMEFLOW_{}_PORT", upper(&port.name)), port.bound().to_string())),
    );
    variables
}

fn upper(name: &str) -> String {
    name.to_ascii_uppercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn containers(network: ContainerNetwork) -> FleetSettings {
        let settings = connection::tests::settings(network);
        FleetSettings { provider: ProviderSettings::Docker(Box::new(settings)), ..FleetSettings::default() }
    }

    #[test]
    fn a_container_with_a_network_of_its_own_is_told_a_name_for_its_machine() {
        let bridged = containers(ContainerNetwork::Bridge);
        for (ours, told) in [
            ("http://127.0.0.1:4700", "http://host.docker.internal:4700"),
            ("http://[::1]:4700", "http://host.docker.internal:4700"),
            ("https://localhost/greenroom", "https://host.docker.internal/greenroom"),
            ("http://127.0.0.1:4700/", "http://host.docker.internal:4700/"),
            ("http://games.internal:80", "http://games.internal:80"),
            ("http://10.0.0.5:4700", "http://10.0.0.5:4700"),
        ] {
            assert_eq!(own_url(&bridged, ours), told);
        }
        for fleet in [containers(ContainerNetwork::Host), FleetSettings::default()] {
            assert_eq!(own_url(&fleet, "http://127.0.0.1:4700"), "http://127.0.0.1:4700");
        }
    }
}
