//! Images: looked up at a registry and pulled by a real engine, on good days and on bad ones.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod engine;
mod registry;

use std::{collections::BTreeMap, time::Duration};

use greenroom_domain::settings::{ContainerNetwork, ContainerSettings, VersionSource};
use greenroom_fleet::{
    docker::Connection,
    images::{Images, ImagesConfig, LookupPace, RegistryAccess, RegistryCredentials},
};
use greenroom_test_support::registry::Registry;

/// How long a test waits for what must happen soon.
const SOON: Duration = Duration::from_mins(1);

/// What is asked for `path` of `registry`.
fn container(registry: &Registry, path: &str, versions: VersionSource) -> ContainerSettings {
    ContainerSettings {
        image: image(registry, path),
        versions,
        versions_max: 5,
        network: ContainerNetwork::Bridge,
        volumes: Vec::new(),
        user: None,
        read_only_root: false,
        init: true,
        capabilities: Vec::new(),
    }
}

fn image(registry: &Registry, path: &str) -> String {
    format!("{}/{path}", registry.host())
}

/// Lookups follow each other at once, so that a test need not wait for the next one.
fn pace() -> LookupPace {
    LookupPace {
        registry_ttl: Duration::ZERO,
        engine_ttl: Duration::ZERO,
        gap: Duration::ZERO,
        backoff_min: Duration::ZERO,
        ..LookupPace::default()
    }
}

fn config(registry: &Registry, who: Option<(&str, &str)>, engines: Vec<Connection>) -> ImagesConfig {
    let credentials = who.map(|(username, password)| RegistryCredentials {
        username: username.into(),
        password: password.to_owned().into(),
    });
    let access = RegistryAccess { url: registry.url(), credentials, ca: None };
    let registries = BTreeMap::from([(registry.host(), access)]);
    ImagesConfig { engines, registries, pace: pace(), ..ImagesConfig::default() }
}

fn images(registry: &Registry, who: Option<(&str, &str)>, engines: Vec<Connection>) -> Images {
    Images::new(config(registry, who, engines))
}
