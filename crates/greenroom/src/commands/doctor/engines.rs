//! Engines: Docker, Traefik, and other hosts that game servers are asked for.

use std::{io::ErrorKind, os::unix::net::UnixStream, path::Path, time::Duration};

use greenroom_domain::settings::VersionSource;
use greenroom_fleet::{
    docker::{Connection, Endpoint, EngineReport},
    images::Images,
};

use super::findings::{Findings, Part};
use crate::{
    config::{Config, sections::Container, value::ProviderKind},
    outside,
};

/// How long an answer over the network may take.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Copies every layer whole.
const SLOW_DRIVER: &str = "vfs";

pub(super) async fn examine(findings: &mut Findings, config: &Config) {
    // Names and folders are for what an engine is told; nothing is told here.
    let engines = config.docker_engines("doctor", Path::new(""));
    let engines: Vec<_> =
        engines.into_iter().map(|engine| Connection::new(engine.host, engine.endpoint)).collect();
    let mut reached = Vec::new();
    for engine in engines {
        if docker(findings, &engine).await {
            reached.push(engine);
        }
    }
    images(findings, config, reached).await;
    for (game, fleet) in config.root.games.iter().filter_map(|(id, game)| Some((id, game.fleet.as_ref()?))) {
        if let Some(url) = fleet.traefik.as_ref().and_then(|traefik| traefik.api_url.as_ref()) {
            let advice = format!("start it with its API on, or correct games.{game}.fleet.traefik.api_url");
            answers(findings, "traefik", "Traefik", url, "/api/version", advice).await;
        }
        if let Some(other) = &fleet.hosting_api {
            let advice = format!("start it, or correct games.{game}.fleet.hosting_api.url");
            answers(findings, "hosting_api", "the other host", &other.url, "/readyz", advice).await;
        }
    }
}

/// Whether the engine can be asked.
async fn docker(findings: &mut Findings, engine: &Connection) -> bool {
    let host = engine.host();
    if let Endpoint::Unix(path) = engine.endpoint()
        && let Err(error) = UnixStream::connect(path)
    {
        let found =
            format!("the Docker engine of host {host} cannot be reached at {} ({error})", path.display());
        let advice = match error.kind() {
            ErrorKind::PermissionDenied => {
                "let this user at its socket: `usermod -aG docker USER`, and sign in again. Whoever may do that rules \
                 the machine"
            }
            _ => "start it, such as with `systemctl start docker`, or correct `docker` of the host",
        };
        findings.error(Part::Engine, "docker", found, advice);
        return false;
    }
    if engine.endpoint().is_open_to_others() {
        findings.warning(
            Part::Engine,
            "docker_open",
            format!(
                "whoever reaches {} rules that machine: the engine asks for no certificate",
                engine.endpoint()
            ),
            format!(
                "let it listen with --tlsverify, and set [hosts.{host}.tls] with a certificate and a key"
            ),
        );
    }
    match engine.examine().await {
        Ok(report) => {
            told(findings, engine, &report);
            true
        }
        Err(error) => {
            let advice = format!("see whether it runs, and what hosts.{host} says of it");
            findings.error(Part::Engine, "docker", error.to_string(), advice);
            false
        }
    }
}

fn told(findings: &mut Findings, engine: &Connection, report: &EngineReport) {
    let EngineReport { version, api_version, storage_driver, warnings } = report;
    let host = engine.host();
    findings.good(
        Part::Engine,
        "docker",
        format!("host {host} has Docker {version} (interface {api_version}), images by {storage_driver}"),
    );
    if storage_driver == SLOW_DRIVER {
        findings.warning(
            Part::Engine,
            "docker_storage",
            format!("host {host} keeps every image and container as whole copies ({SLOW_DRIVER}): starts are slow, \
                     and the disk fills"),
            "let its data be on ext4 or xfs, where it takes overlay2 by itself",
        );
    }
    for warning in warnings {
        findings.note(Part::Engine, "docker_warning", format!("host {host} says: {warning}"));
    }
}

/// Whether the image that a game's servers are started from is there.
async fn images(findings: &mut Findings, config: &Config, engines: Vec<Connection>) {
    let hosts: Vec<_> = engines.iter().map(|engine| engine.host().clone()).collect();
    let images = Images::new(outside::images_config(config, engines));
    for (game, fleet) in config.root.games.iter().filter_map(|(id, game)| Some((id, game.fleet.as_ref()?))) {
        let (Some(container), Some(version), ProviderKind::Docker) =
            (&fleet.container, &fleet.version, fleet.provider)
        else {
            continue;
        };
        let image = format!("{}:{version}", container.image);
        for host in &hosts {
            match images.present(host, &image).await {
                Ok(true) => {
                    findings.good(Part::Engine, "image", format!("host {host} has {image} of game {game}"));
                }
                Ok(false) => absent(findings, game.as_str(), container, host.as_str(), &image),
                Err(error) => findings.warning(
                    Part::Engine,
                    "image",
                    format!("whether host {host} has {image} cannot be told ({error})"),
                    "see the findings about the engine",
                ),
            }
        }
    }
    images.shutdown().await;
}

fn absent(findings: &mut Findings, game: &str, container: &Container, host: &str, image: &str) {
    let found = format!("host {host} does not have {image} of game {game}");
    if container.versions == VersionSource::Registry {
        findings.note(Part::Engine, "image", format!("{found}; it is pulled when a server is to start"));
    } else {
        findings.warning(
            Part::Engine,
            "image",
            format!("{found}; the first server waits until it is pulled, or fails if it cannot be"),
            format!("docker pull {image}, docker load, or correct games.{game}.fleet.version"),
        );
    }
}

async fn answers(
    findings: &mut Findings,
    check: &'static str,
    what: &str,
    url: &str,
    path: &str,
    advice: String,
) {
    // An error is that it was installed before, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let url = format!("{}{path}", url.trim_end_matches('/'));
    let Ok(client) = reqwest::Client::builder().timeout(ANSWER_MAX).build() else { return };
    match client.get(&url).send().await {
        Ok(answer) if answer.status().is_success() => {
            findings.good(Part::Engine, check, format!("{what} answers at {url}"));
        }
        Ok(answer) => {
            findings.error(
                Part::Engine,
                check,
                format!("{what} answers {} at {url}", answer.status()),
                advice,
            );
        }
        Err(error) => {
            let cause = if error.is_timeout() { "it takes too long" } else { "no connection" };
            findings.error(Part::Engine, check, format!("{what} does not answer at {url} ({cause})"), advice);
        }
    }
}
