//! What a configuration that is right in itself means on this machine.

use std::{
    env,
    net::IpAddr,
    path::{Path, PathBuf},
};

use greenroom_fleet::examine;

use super::findings::{Findings, Part};
use crate::{
    config::{Config, sections::Fleet, value::ProviderKind},
    outside,
};

pub(super) async fn examine(findings: &mut Findings, config: &Config) {
    if config.root.tls.is_some() {
        match outside::tls(config).await {
            Ok(_) => findings.good(Part::Configuration, "tls", "the certificate and its key go together"),
            Err(error) => findings.error(
                Part::Configuration,
                "tls",
                format!("TLS cannot be served: {:#}", anyhow::Error::from(error)),
                "name a certificate with its chain and the key that belongs to it, both as PEM, readable for this user",
            ),
        }
    }
    addresses(findings, config);
    for (game, fleet) in config.root.games.iter().filter_map(|(id, game)| Some((id, game.fleet.as_ref()?))) {
        if fleet.provider == ProviderKind::Process {
            program(findings, game.as_str(), fleet);
        }
    }
}

fn addresses(findings: &mut Findings, config: &Config) {
    let public = &config.root.public_address;
    let is_own = public == "localhost" || public.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    let listens_out = !config.root.listen.ip().is_loopback();
    if is_own && listens_out {
        findings.warning(
            Part::Configuration,
            "public_address",
            format!(
                "Greenroom listens beyond this machine ({}), and players are told to find game servers at {public}, \
                 which is their own machine",
                config.root.listen
            ),
            "set public_address to the name or address that players reach this machine at",
        );
    } else {
        findings.good(Part::Configuration, "public_address", format!("players are told {public}"));
    }
    let is_encrypted = config.root.tls.is_some() || !config.root.trusted_proxies.addresses.is_empty();
    if listens_out && !is_encrypted {
        findings.warning(
            Part::Configuration,
            "encryption",
            "what players and operators send is read by whoever is on the way: there is neither [tls] nor a proxy",
            "set [tls], or put a proxy that speaks TLS in front and name it in [trusted_proxies]",
        );
    }
}

fn program(findings: &mut Findings, game: &str, fleet: &Fleet) {
    let Some(command) = fleet.command.first() else { return };
    // Greenroom's own program, or one that only a server's start makes known.
    if command.contains('{') {
        return;
    }
    let base = fleet.working_dir.as_ref().map(PathBuf::from);
    let search = env::var("PATH").unwrap_or_default();
    if let Some(path) = examine::program(command, base.as_deref(), &search) {
        let found = format!("game {game}'s servers are {}", path.display());
        return findings.good(Part::Configuration, "program", found);
    }
    let place = match (&base, command.contains('/')) {
        (_, false) => "in PATH".to_owned(),
        (Some(base), true) => format!("from {}", base.display()),
        (None, true) => {
            let here = env::current_dir().unwrap_or_else(|_| Path::new(".").to_owned());
            format!("from {}", here.display())
        }
    };
    findings.error(
        Part::Configuration,
        "program",
        format!(
            "there is no program {command} that may be run ({place}), and game {game}'s servers are that"
        ),
        format!(
            "write its whole path in games.{game}.fleet.command, and make it executable: chmod +x {command}"
        ),
    );
}
