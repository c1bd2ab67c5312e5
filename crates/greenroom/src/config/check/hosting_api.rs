//! Games whose servers another host is asked for.

use std::{path::Path, time::Duration};

use greenroom_domain::settings::{ProviderSettings, RemoteSettings};
use greenroom_fleet::HostingApiConfig;
use greenroom_protocol::{GameId, HostId};

use crate::config::{
    reader::{Context, join},
    sections::{Fleet, HostingApi, Root},
    value::{ConnectionKind, ProviderKind},
};

use super::{at_least, not_blank, web_address};

/// How the names of such hosts begin; the game's id follows.
pub(super) const HOST_PREFIX: &str = "hosting-api-";

/// Whether the section and the rest of the fleet fit together.
pub(super) fn check(context: &mut Context, path: &str, fleet: &Fleet) {
    let at = join(path, "hosting_api");
    match (&fleet.hosting_api, fleet.provider == ProviderKind::HostingApi) {
        (Some(_), false) => {
            let sentence =
                "it is there, but the provider is another; set provider = \"hosting-api\", or leave it out";
            context.error(at, sentence);
        }
        (None, true) => {
            let sentence = "it is missing, and the provider is \"hosting-api\"; expected a section with url, game and key";
            context.error(at, sentence);
        }
        (Some(section), true) => {
            self::section(context, &at, section);
            beside(context, path, fleet);
        }
        (None, false) => {}
    }
}

/// What such a fleet's provider is, if its section is there.
pub(super) fn settings(game: &GameId, fleet: &Fleet) -> Option<ProviderSettings> {
    let section = fleet.hosting_api.as_ref().filter(|_| fleet.provider == ProviderKind::HostingApi)?;
    let remote =
        RemoteSettings { host: host_of(game)?, url: section.url.clone(), game: section.game.clone() };
    Some(ProviderSettings::HostingApi(Box::new(remote)))
}

/// The hosts that servers are asked for; what is known of their servers is kept in a folder of each in
/// `folder`.
pub(in crate::config) fn engines(root: &Root, folder: &Path) -> Vec<HostingApiConfig> {
    let games = root.games.iter().filter_map(|(id, game)| Some((id, game.fleet.as_ref()?)));
    let engine = |(game, fleet): (&GameId, &Fleet)| {
        let section = fleet.hosting_api.as_ref().filter(|_| fleet.provider == ProviderKind::HostingApi)?;
        let host = host_of(game)?;
        Some(HostingApiConfig {
            url: section.url.clone(),
            game: section.game.clone(),
            key: section.key.clone()?,
            lifetime: section.lifetime,
            records_dir: folder.join(host.as_str()),
            host,
        })
    };
    games.filter_map(engine).collect()
}

fn section(context: &mut Context, path: &str, section: &HostingApi) {
    web_address(context, &join(path, "url"), &section.url);
    not_blank(context, &join(path, "game"), &section.game);
    if section.key.is_none() {
        let sentence = "it is missing; expected the key that the host gave out, as a text, { file = \"…\" } or \
                        { env = \"…\" }";
        context.error(join(path, "key"), sentence);
    }
    at_least(context, &join(path, "lifetime"), section.lifetime, Duration::from_secs(1));
}

/// What has no meaning where another host starts the program.
fn beside(context: &mut Context, path: &str, fleet: &Fleet) {
    let theirs = [
        ("command", !fleet.command.is_empty()),
        ("environment", !fleet.environment.is_empty()),
        ("working_dir", fleet.working_dir.is_some()),
        ("ports", !fleet.ports.is_empty()),
        ("container", fleet.container.is_some()),
    ];
    for (key, is_there) in theirs {
        if is_there {
            context.error(join(path, key), "the other host starts the program and says this; leave it out");
        }
    }
    if fleet.ready_min > 0 || fleet.ready_max.is_some_and(|most| most > 0) {
        let sentence = "servers of another host cannot stand ready here, for it is told the payload with the \
                        request; let it keep its own ready, and leave this out";
        context.error(join(path, "ready_min"), sentence);
    }
    if fleet.connection != ConnectionKind::Ports {
        let sentence =
            "players reach a server of another host at the address that it tells; expected \"ports\"";
        context.error(join(path, "connection"), sentence);
    }
}

fn host_of(game: &GameId) -> Option<HostId> {
    HostId::new(format!("{HOST_PREFIX}{game}")).ok()
}
