//! How players reach a game's servers.

use std::{net::IpAddr, time::Duration};

use greenroom_domain::settings::{Connection, ContainerNetwork, GatewaySettings, TraefikSettings};

use crate::config::{
    reader::{Context, join},
    sections::{Fleet, Gateway, Traefik},
    value::ConnectionKind,
};

use super::{at_most, between, web_address};

/// Fewest letters of a code: with fewer, the servers of one game could use them up.
const CODE_LENGTH_MIN: u32 = 4;
/// Most letters of a code.
const CODE_LENGTH_MAX: u32 = 32;
/// Longest time that a Traefik may be given to act on what it was told.
const SETTLE_MAX: Duration = Duration::from_secs(30);
/// Longest slug, in characters.
const SLUG_CHARS_MAX: usize = 128;

/// The connection of a fleet that was checked.
pub(super) fn settings(fleet: &Fleet) -> Connection {
    match fleet.connection {
        ConnectionKind::Ports => Connection::Ports,
        ConnectionKind::Traefik => Connection::Traefik(traefik(fleet.traefik.as_ref())),
        ConnectionKind::Gateway => {
            let code_length = |gateway: &Gateway| GatewaySettings { code_length: gateway.code_length };
            Connection::Gateway(fleet.gateway.as_ref().map(code_length).unwrap_or_default())
        }
    }
}

/// Whether the fleet's connection and the sections below it fit together.
pub(super) fn check(context: &mut Context, path: &str, fleet: &Fleet) {
    for (section, is_there, wanted) in [
        ("traefik", fleet.traefik.is_some(), ConnectionKind::Traefik),
        ("gateway", fleet.gateway.is_some(), ConnectionKind::Gateway),
    ] {
        if is_there && fleet.connection != wanted {
            let sentence = format!(
                "it is there, but connection is another; set connection = \"{section}\", or leave it out"
            );
            context.error(join(path, section), sentence);
        }
    }
    if let Some(gateway) = &fleet.gateway {
        code_length(context, &join(path, "gateway"), gateway.code_length);
    }
    let Some(traefik) = &fleet.traefik else { return };
    let path = join(path, "traefik");
    code_length(context, &path, traefik.code_length);
    if traefik.port == 0 {
        context.error(join(&path, "port"), "it is 0; expected 1 to 65535");
    }
    if traefik.host.as_deref().is_some_and(|host| !is_host_name(host)) {
        let sentence =
            "it is no host name; expected one without scheme, port or path, such as \"play.example\"";
        context.error(join(&path, "host"), sentence);
    }
    if let Some(url) = &traefik.api_url {
        web_address(context, &join(&path, "api_url"), url);
    }
    at_most(context, &join(&path, "settle"), traefik.settle, SETTLE_MAX);
    let is_address = |address: &str| is_host_name(address) || address.parse::<IpAddr>().is_ok();
    if traefik.servers_address.as_deref().is_some_and(|address| !is_address(address)) {
        context
            .error(join(&path, "servers_address"), "it is no address; expected an IP address or a host name");
    }
    let is_on_host =
        fleet.container.as_ref().is_some_and(|container| container.network == ContainerNetwork::Host);
    if is_on_host && traefik.network.is_some() {
        let sentence = "its containers are on their host's own network, which is shared with nobody; leave it \
                        out, and let Traefik ask GET /traefik/config, or leave container.network out";
        context.error(join(&path, "network"), sentence);
    }
    let names =
        [("network", traefik.network.as_deref()), ("entry_point", Some(traefik.entry_point.as_str()))];
    for (key, name) in names {
        if name.is_some_and(|name| !is_name(name)) {
            context.error(join(&path, key), "it is no name; expected letters, digits, _, . and -");
        }
    }
}

/// Whether `slug` can stand in a path and in a rule of Traefik.
pub(super) fn slug(context: &mut Context, path: &str, slug: &str) {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if slug.is_empty() || slug.len() > SLUG_CHARS_MAX || !slug.bytes().all(fits) {
        let sentence = format!(
            "{slug:?} is no slug; expected 1 to {SLUG_CHARS_MAX} characters out of A-Z, a-z, 0-9, _ and -"
        );
        context.error(path, sentence);
    }
}

fn traefik(section: Option<&Traefik>) -> TraefikSettings {
    let Some(section) = section else { return TraefikSettings::default() };
    TraefikSettings {
        network: section.network.clone(),
        host: section.host.clone(),
        entry_point: section.entry_point.clone(),
        tls: section.tls,
        port: section.port,
        api_url: section.api_url.clone(),
        settle: section.settle,
        servers_address: section.servers_address.clone(),
        code_length: section.code_length,
    }
}

fn code_length(context: &mut Context, path: &str, length: u32) {
    between(context, &join(path, "code_length"), length, CODE_LENGTH_MIN..=CODE_LENGTH_MAX);
}

fn is_host_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-';
    !text.is_empty() && text.len() <= 253 && text.bytes().all(fits)
}

/// As Docker and Traefik name networks and entry points.
fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    text.len() <= 128
        && text.bytes().all(fits)
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
}
