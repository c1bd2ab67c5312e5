//! What one setting alone cannot tell: whether they fit together. Makes the rules' settings of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use greenroom_domain::{
    settings::{
        EventLimits, FleetSettings, GameSettings, LobbySettings, PortSettings, ServerLimits, Settings,
        StudioSettings, WarmPayload,
    },
    template::{self, Template},
};
use greenroom_protocol::GameId;
use secrecy::ExposeSecret;
use tracing_subscriber::EnvFilter;

use super::{
    reader::{Context, join},
    sections::{Auth, Fleet, Game, GatewayLimits, Limits, Lobby, Log, Port, Root, Studio, TrustedProxies},
    value::ProviderKind,
};

mod backup;
mod connection;
mod container;
mod hosting_api;
mod hosts;
mod images;
mod sdk;
mod sign_in;

pub(super) use backup::settings as backup_settings;
pub(super) use hosting_api::engines as hosting_api_engines;
pub(super) use hosts::engines as docker_engines;
pub(super) use sign_in::{mail_settings, public_url, settings as sign_in_settings};

/// Most members that a lobby may be set to have.
const LOBBY_MEMBERS_MAX: u32 = 1000;
/// Most game servers that one game may be set to run.
const SERVERS_RUNNING_MAX: u32 = 10_000;
/// Longest time that a server may be given to start or to stop.
const SERVER_WAIT_MAX: Duration = Duration::from_hours(1);
/// Shortest key that signs access tokens.
const JWT_SECRET_BYTES_MIN: usize = 16;
/// Shortest token of a Traefik that is told of the servers.
const TRAEFIK_TOKEN_BYTES_MIN: usize = 16;
/// Least size at which a log is rotated: a start's output must fit.
const LOG_BYTES_MIN: u64 = 64 * 1024;
/// The version of what has no other.
const VERSION_OF_PROGRAMS: &str = "1";
/// How names begin that only Greenroom sets in a server's environment.
const OWN_ENVIRONMENT: &str = "GREENROOM_";

/// Checks `root` and tells `context` everything that is wrong.
pub(super) fn check(context: &mut Context, root: &Root) {
    not_blank(context, "public_address", &root.public_address);
    if let Some(url) = &root.internal_url {
        web_address(context, "internal_url", url);
    }
    at_least(context, "shutdown_timeout", root.shutdown_timeout, Duration::from_secs(1));
    log(context, &root.log);
    images::check(context, root);
    for (key, file) in root.tls.iter().flat_map(|tls| [("certificate", &tls.certificate), ("key", &tls.key)])
    {
        if !file.is_file() {
            let sentence = format!("there is no file {}; expected a PEM file", file.display());
            context.error(join("tls", key), sentence);
        }
    }
    backup::check(context, root);
    hosts::check(context, root);
    auth(context, &root.auth);
    sign_in::check(context, root);
    at_least(context, "console.session_ttl", root.console.session_ttl, Duration::from_mins(1));
    limits(context, &root.limits);
    proxies(context, &root.trusted_proxies);
    gateway(context, &root.gateway);
    if root.traefik.token.as_ref().is_some_and(|token| token.expose_secret().len() < TRAEFIK_TOKEN_BYTES_MIN)
    {
        let sentence =
            format!("it is too short to be safe; expected at least {TRAEFIK_TOKEN_BYTES_MIN} bytes");
        context.error("traefik.token", sentence);
    }
    if root.default_game.as_ref().is_some_and(|id| !root.games.contains_key(id)) {
        let known = listed(root.games.keys());
        context.error("default_game", format!("there is no such game; expected one of [games.…]: {known}"));
    }
    for (id, studio) in &root.studios {
        self::studio(context, &format!("studios.{id}"), studio);
    }
    let mut hosts = BTreeMap::new();
    let mut fixed = BTreeMap::new();
    let mut slugs = BTreeMap::new();
    for (id, game) in &root.games {
        let path = format!("games.{id}");
        taken(context, &mut slugs, slug(id, game).to_owned(), &join(&path, "slug"), id);
        self::game(context, &path, game, root);
        for host in &game.hosts {
            taken(context, &mut hosts, host.to_ascii_lowercase(), &join(&path, "hosts"), id);
        }
        let ports = game.fleet.iter().flat_map(|fleet| &fleet.ports).filter_map(|port| port.fixed);
        for port in ports {
            taken(context, &mut fixed, port.to_string(), &join(&path, "fleet.ports"), id);
        }
    }
}

/// The rules' settings. `listen` is where Greenroom listens in fact.
pub(super) fn settings(root: &Root, listen: SocketAddr) -> Settings {
    let studios = root.studios.iter().map(|(id, studio)| {
        let events = EventLimits {
            bytes_max: studio.events_bytes_max.0,
            events_max: studio.events_max,
            age_max: studio.events_age_max,
            consumers_max: studio.consumers_max,
        };
        (id.clone(), StudioSettings { id: id.clone(), servers_max: studio.servers_max, events })
    });
    let games = root.games.iter().map(|(id, game)| {
        let settings = GameSettings {
            id: id.clone(),
            studio: game.studio.clone(),
            hosts: game.hosts.clone(),
            slug: slug(id, game).to_owned(),
            lobby: LobbySettings {
                team_size: game.lobby.team_size,
                members_max: game.lobby.members_max,
                grace: game.lobby.grace,
                match_max: game.lobby.match_max,
            },
            fleet: game.fleet.as_ref().map(|fleet| fleet_settings(id, fleet)),
        };
        (id.clone(), settings)
    });
    Settings {
        studios: studios.collect(),
        games: games.collect(),
        hosts: hosts::settings(root),
        default_game: root.default_game.clone(),
        public_address: root.public_address.clone(),
        internal_url: root.internal_url.clone().unwrap_or_else(|| own_url(root, listen)),
    }
}

/// Where Greenroom is for a program on this machine. With TLS by the name that the certificate is for,
/// where the configuration tells one.
pub(super) fn own_url(root: &Root, listen: SocketAddr) -> String {
    let address = reachable(listen);
    let is_name = root.public_address.parse::<IpAddr>().is_err();
    match root.tls {
        None => format!("http://{address}"),
        Some(_) if is_name => format!("https://{}:{}", root.public_address, address.port()),
        Some(_) => format!("https://{address}"),
    }
}

/// `address` as a program on this machine reaches it: an unspecified one by loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn fleet_settings(game: &GameId, fleet: &Fleet) -> FleetSettings {
    FleetSettings {
        provider: hosting_api::settings(game, fleet).unwrap_or_else(|| container::provider(fleet)),
        connection: connection::settings(fleet),
        command: fleet.command.clone(),
        environment: fleet.environment.clone(),
        working_dir: fleet.working_dir.clone(),
        ports: fleet.ports.iter().map(port_settings).collect(),
        port_range: fleet.port_range.clone(),
        ready: fleet.ready.clone(),
        ready_timeout: fleet.ready_timeout,
        start_tries_max: fleet.start_tries_max,
        stop_grace: fleet.stop_grace.unwrap_or_else(|| sdk::stop_grace(fleet)),
        ready_min: fleet.ready_min,
        ready_max: fleet.ready_max,
        running_max: fleet.running_max,
        // Unset only where no server stands ready, and then nothing is handed over late.
        warm_payload: fleet.warm_payload.unwrap_or(WarmPayload::Ignore),
        sdk: sdk::settings(fleet),
        version: version(fleet),
        regions: fleet.regions.clone(),
        limits: ServerLimits {
            memory_bytes: fleet.limits.memory.map(|size| size.0),
            cpu_cores: fleet.limits.cpu,
            descriptors: fleet.limits.descriptors,
            processes: fleet.limits.processes,
        },
        log_bytes_max: fleet.log_max.0,
        ended_keep: fleet.ended_keep,
    }
}

/// A program that is no image has one version; what it is called unless that is said, nobody else knows.
fn version(fleet: &Fleet) -> Option<String> {
    let is_newest = fleet.version.is_none() && fleet.provider == ProviderKind::Docker;
    (!is_newest).then(|| fleet.version.clone().unwrap_or_else(|| VERSION_OF_PROGRAMS.into()))
}

fn port_settings(port: &Port) -> PortSettings {
    PortSettings {
        name: port.name.clone(),
        protocol: port.protocol,
        count: port.count,
        fixed: port.fixed,
        inner: port.inner,
    }
}

/// The game's name in paths.
fn slug<'a>(id: &'a GameId, game: &'a Game) -> &'a str {
    game.slug.as_deref().unwrap_or(id.as_str())
}

fn log(context: &mut Context, log: &Log) {
    if let Err(error) = EnvFilter::try_new(&log.level) {
        let sentence =
            format!("{:?} is no level ({error}); expected error, warn, info, debug or trace", log.level);
        context.error("log.level", sentence);
    }
}

fn auth(context: &mut Context, auth: &Auth) {
    if auth.jwt_secret.as_ref().is_some_and(|secret| secret.expose_secret().len() < JWT_SECRET_BYTES_MIN) {
        let sentence = format!(
            "it is too short to be safe; expected at least {JWT_SECRET_BYTES_MIN} bytes. Leave it out, and one is made"
        );
        context.error("auth.jwt_secret", sentence);
    }
    at_least(context, "auth.contract_token_ttl", auth.contract_token_ttl, Duration::from_mins(1));
    at_least(context, "auth.access_token_ttl", auth.access_token_ttl, Duration::from_mins(1));
    if auth.refresh_token_ttl < auth.access_token_ttl {
        context.error(
            "auth.refresh_token_ttl",
            "it is shorter than access_token_ttl; expected at least as long",
        );
    }
    if let Some(id) = &auth.discord_application_id {
        not_blank(context, "auth.discord_application_id", id);
    }
    web_address(context, "auth.discord_base_url", &auth.discord_base_url);
}

fn limits(context: &mut Context, limits: &Limits) {
    for (key, value) in [
        ("connections_max", limits.connections_max),
        ("sockets_per_address_max", limits.sockets_per_address_max),
        ("announced_max", limits.announced_max),
        ("announced_per_address_max", limits.announced_per_address_max),
        ("streams_per_key_max", limits.streams_per_key_max),
    ] {
        between(context, &join("limits", key), value, 1..=10_000_000);
    }
    for (key, bytes, least, most) in [
        // A payload of 64 KiB in JSON must fit a body.
        ("body_max", limits.body_max, 256 * 1024, 1 << 30),
        ("message_max", limits.message_max, 4 * 1024, 16 << 20),
    ] {
        if !(least..=most).contains(&bytes.0) {
            let sentence = format!("it is {} bytes; expected {least} to {most}", bytes.0);
            context.error(join("limits", key), sentence);
        }
    }
}

fn proxies(context: &mut Context, proxies: &TrustedProxies) {
    between(context, "trusted_proxies.hops", proxies.hops, 1..=16);
}

fn gateway(context: &mut Context, gateway: &GatewayLimits) {
    for (key, value) in [
        ("connections_max", gateway.connections_max),
        ("connections_per_address_max", gateway.connections_per_address_max),
    ] {
        between(context, &join("gateway", key), value, 1..=10_000_000);
    }
    for (key, value) in [
        ("idle_timeout", gateway.idle_timeout),
        ("connect_timeout", gateway.connect_timeout),
        ("answer_timeout", gateway.answer_timeout),
    ] {
        at_least(context, &join("gateway", key), value, Duration::from_millis(100));
        at_most(context, &join("gateway", key), value, Duration::from_hours(24));
    }
}

fn studio(context: &mut Context, path: &str, studio: &Studio) {
    if studio.events_max == 0 {
        context.error(join(path, "events_max"), "it is 0; expected at least 1");
    }
    if studio.events_bytes_max.0 < 1 << 20 {
        context.error(join(path, "events_bytes_max"), "it is less than 1MiB; expected at least that");
    }
    if let Some(age) = studio.events_age_max {
        at_least(context, &join(path, "events_age_max"), age, Duration::from_mins(1));
    }
}

fn game(context: &mut Context, path: &str, game: &Game, root: &Root) {
    if !root.studios.contains_key(&game.studio) {
        let known = listed(root.studios.keys());
        let sentence = format!(
            "there is no studio {}; expected one of [studios.…]: {known}. Add [studios.{}] to make it",
            game.studio, game.studio
        );
        context.error(join(path, "studio"), sentence);
    }
    for host in &game.hosts {
        if host.is_empty() || host.contains(['/', ':', ' ']) {
            let sentence = format!("{host:?} is no host name; expected one without scheme, port or path");
            context.error(join(path, "hosts"), sentence);
        }
    }
    if let Some(slug) = &game.slug {
        connection::slug(context, &join(path, "slug"), slug);
    }
    lobby(context, &join(path, "lobby"), &game.lobby);
    if let Some(fleet) = &game.fleet {
        self::fleet(context, &join(path, "fleet"), fleet, root);
    }
}

fn lobby(context: &mut Context, path: &str, lobby: &Lobby) {
    between(context, &join(path, "members_max"), lobby.members_max, 2..=LOBBY_MEMBERS_MAX);
    if let Some(size) = lobby.team_size {
        between(context, &join(path, "team_size"), size, 1..=LOBBY_MEMBERS_MAX);
    }
    at_most(context, &join(path, "grace"), lobby.grace, SERVER_WAIT_MAX);
    at_least(context, &join(path, "match_max"), lobby.match_max, Duration::from_secs(1));
}

fn fleet(context: &mut Context, path: &str, fleet: &Fleet, root: &Root) {
    if fleet.provider != ProviderKind::HostingApi {
        commands(context, path, fleet);
        ports(context, path, fleet, root);
    }
    connection::check(context, path, fleet);
    container::check(context, path, fleet);
    hosting_api::check(context, path, fleet);
    hosts::check_regions(context, path, fleet, root);
    hosts::check_readiness(context, path, fleet, root);
    pool(context, path, fleet);
    between(context, &join(path, "running_max"), fleet.running_max, 1..=SERVERS_RUNNING_MAX);
    between(context, &join(path, "start_tries_max"), fleet.start_tries_max, 1..=20);
    at_least(context, &join(path, "ready_timeout"), fleet.ready_timeout, Duration::from_millis(100));
    at_most(context, &join(path, "ready_timeout"), fleet.ready_timeout, SERVER_WAIT_MAX);
    if let Some(grace) = fleet.stop_grace {
        at_most(context, &join(path, "stop_grace"), grace, SERVER_WAIT_MAX);
    }
    sdk::check(context, path, fleet);
    if fleet.log_max.0 < LOG_BYTES_MIN {
        context.error(
            join(path, "log_max"),
            format!("it is {} bytes; expected at least 64KiB", fleet.log_max.0),
        );
    }
    if let Some(version) = &fleet.version {
        not_blank(context, &join(path, "version"), version);
    }
    if fleet.regions.is_empty() {
        context.error(
            join(path, "regions"),
            "it is empty; expected at least one region. Leave it out for \"local\"",
        );
    }
    let unique: BTreeSet<_> = fleet.regions.iter().collect();
    if unique.len() < fleet.regions.len() {
        context.error(join(path, "regions"), "a region is in it twice; expected each one once");
    }
    if fleet.limits.memory.is_some_and(|size| size.0 < 1 << 20) {
        context.error(join(path, "limits.memory"), "it is less than 1MiB; no program starts in that");
    }
    if fleet.limits.descriptors.is_some_and(|count| count < 16) {
        context.error(join(path, "limits.descriptors"), "it is less than 16; no program starts with that");
    }
}

fn pool(context: &mut Context, path: &str, fleet: &Fleet) {
    let sizes = [("ready_min", Some(fleet.ready_min)), ("ready_max", fleet.ready_max)];
    let of_size =
        sizes.iter().find_map(|(name, size)| size.filter(|size| *size > 0).map(|size| (name, size)));
    if let (Some((name, size)), None) = (of_size, fleet.warm_payload) {
        let sentence = format!(
            "it is missing, and {name} is {size}; a server that stands ready is told its payload later: \
             write \"file\", \"sdk\" if it watches through the SDK, or \"ignore\" if it needs none"
        );
        context.error(join(path, "warm_payload"), sentence);
    }
    for (name, size) in sizes {
        if let Some(size) = size.filter(|size| *size > fleet.running_max) {
            let sentence =
                format!("it is {size}, more than running_max = {}; expected at most that", fleet.running_max);
            context.error(join(path, name), sentence);
        }
    }
    if let Some(size) = fleet.ready_max.filter(|size| *size < fleet.ready_min) {
        let sentence =
            format!("it is {size}, less than ready_min = {}; expected at least that", fleet.ready_min);
        context.error(join(path, "ready_max"), sentence);
    }
}

fn commands(context: &mut Context, path: &str, fleet: &Fleet) {
    let needs_program = fleet.provider == ProviderKind::Process;
    if needs_program && fleet.command.first().is_none_or(|program| program.trim().is_empty()) {
        let sentence = "it names no program; expected the program and its arguments, such as \
                        [\"./my-server\", \"--port\", \"{port}\"]";
        context.error(join(path, "command"), sentence);
    }
    let program = fleet.command.first().filter(|_| needs_program);
    if program.is_some_and(|text| Template::parse(text).is_ok_and(|program| program.is_conditional())) {
        let sentence = "it is the program, which cannot be left out; expected a condition on arguments alone";
        context.error(format!("{path}.command[0]"), sentence);
    }
    let ports: Vec<_> = fleet.ports.iter().map(port_settings).collect();
    for (index, text) in fleet.command.iter().enumerate() {
        template_of(context, &format!("{path}.command[{index}]"), text, &ports);
    }
    for (name, text) in &fleet.environment {
        let at = format!("{path}.environment.{name}");
        if name.starts_with(OWN_ENVIRONMENT) {
            context.error(&at, "names that begin with GREENROOM_ are Greenroom's own; choose another name");
        } else if name.is_empty() || name.contains(['=', '\0']) {
            context.error(&at, "it is no name of a variable; expected letters, digits and _");
        }
        template_of(context, &at, text, &ports);
    }
    if needs_program && fleet.working_dir.as_deref().is_some_and(|folder| !Path::new(folder).is_dir()) {
        context
            .error(join(path, "working_dir"), "there is no such folder; make it, or leave the setting out");
    }
}

fn template_of(context: &mut Context, path: &str, text: &str, ports: &[PortSettings]) {
    // Where there are no ports at all, that is the error, and not each use of one.
    let checked =
        if ports.is_empty() { Template::parse(text).map(drop) } else { template::check(text, ports) };
    if let Err(error) = checked {
        context.error(path, error.to_string());
    }
}

fn ports(context: &mut Context, path: &str, fleet: &Fleet, root: &Root) {
    let at = join(path, "ports");
    if fleet.ports.is_empty() {
        let sentence = "it is missing or empty; expected at least one port, such as \
                        [{ name = \"default\", protocol = \"tcp\" }]";
        context.error(&at, sentence);
    }
    let mut names = BTreeSet::new();
    for (index, port) in fleet.ports.iter().enumerate() {
        let at = format!("{at}[{index}]");
        let fits =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-';
        if port.name.is_empty() || port.name.len() > 32 || !port.name.bytes().all(fits) {
            let sentence =
                format!("{:?} is no name of a port; expected 1 to 32 of a-z, 0-9, _ and -", port.name);
            context.error(join(&at, "name"), sentence);
        }
        if !names.insert(port.name.replace('-', "_")) {
            context.error(
                join(&at, "name"),
                format!("{:?} is there twice; expected a name of its own", port.name),
            );
        }
        if !(1..=64).contains(&port.count) {
            context.error(join(&at, "count"), format!("it is {}; expected 1 to 64", port.count));
        }
        match port.fixed {
            Some(0) => context.error(join(&at, "fixed"), "it is 0; expected 1 to 65535"),
            Some(first) if first.checked_add(port.count.saturating_sub(1)).is_none() => {
                context.error(
                    join(&at, "fixed"),
                    "the ports that follow it go beyond 65535; expected a lower one",
                );
            }
            Some(_) if fleet.running_max > 1 => {
                let sentence = format!(
                    "only one server can have a fixed port, and running_max is {}; set running_max = 1, or leave it out",
                    fleet.running_max
                );
                context.error(join(&at, "fixed"), sentence);
            }
            _ => {}
        }
    }
    let each: u64 =
        fleet.ports.iter().filter(|port| port.fixed.is_none()).map(|port| u64::from(port.count)).sum();
    let needed = each * u64::from(fleet.running_max);
    let there = fleet.port_range.len() as u64;
    if needed > there {
        let sentence = format!(
            "it has {there} ports, and running_max = {} servers of {each} need {needed}; widen it or lower running_max",
            fleet.running_max
        );
        context.error(join(path, "port_range"), sentence);
    }
    if fleet.port_range.contains(&root.listen.port()) {
        let sentence =
            format!("Greenroom's own port {} is in it; expected a range beside it", root.listen.port());
        context.error(join(path, "port_range"), sentence);
    }
}

fn taken(context: &mut Context, by: &mut BTreeMap<String, GameId>, name: String, path: &str, game: &GameId) {
    match by.get(&name) {
        Some(other) if other != game => {
            context.error(path, format!("{name} is game {other}'s already; expected one of its own"));
        }
        _ => drop(by.insert(name, game.clone())),
    }
}

fn web_address(context: &mut Context, path: &str, text: &str) {
    let fits =
        reqwest::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if !fits {
        context.error(
            path,
            format!("{text:?} is no web address; expected one such as \"http://127.0.0.1:4700\""),
        );
    }
}

fn not_blank(context: &mut Context, path: &str, text: &str) {
    if text.trim().is_empty() {
        context.error(path, "it is empty; expected a text");
    }
}

fn between(context: &mut Context, path: &str, value: u32, range: std::ops::RangeInclusive<u32>) {
    if !range.contains(&value) {
        context.error(path, format!("it is {value}; expected {} to {}", range.start(), range.end()));
    }
}

fn at_least(context: &mut Context, path: &str, value: Duration, least: Duration) {
    if value < least {
        let (value, least) = (humantime::format_duration(value), humantime::format_duration(least));
        context.error(path, format!("it is {value}; expected at least {least}"));
    }
}

fn at_most(context: &mut Context, path: &str, value: Duration, most: Duration) {
    if value > most {
        let (value, most) = (humantime::format_duration(value), humantime::format_duration(most));
        context.error(path, format!("it is {value}; expected at most {most}"));
    }
}

fn listed<T: ToString>(names: impl Iterator<Item = T>) -> String {
    let names: Vec<_> = names.map(|name| name.to_string()).collect();
    if names.is_empty() { "there is none".into() } else { names.join(", ") }
}
