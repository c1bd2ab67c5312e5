//! Where images come from.

use std::time::Duration;

use greenroom_fleet::images::{ca_problem, is_host};
use reqwest::Url;

use crate::config::{
    reader::{Context, join},
    sections::{Registry, Root},
};

use super::{at_least, at_most, web_address};

/// Shortest time for which versions count as current: a registry is not ours to wear out.
const LOOKUP_TTL_MIN: Duration = Duration::from_secs(10);
/// Longest time that a pull may take.
const PULL_MAX: Duration = Duration::from_hours(6);

/// Whether the settings of images and registries make sense.
pub(super) fn check(context: &mut Context, root: &Root) {
    let images = &root.images;
    web_address(context, "images.default_registry_url", &images.default_registry_url);
    at_least(context, "images.lookup_ttl", images.lookup_ttl, LOOKUP_TTL_MIN);
    at_least(context, "images.pull_timeout", images.pull_timeout, Duration::from_secs(1));
    at_most(context, "images.pull_timeout", images.pull_timeout, PULL_MAX);
    for (host, registry) in &root.registries {
        let path = format!("registries.{host}");
        if !is_host(host) {
            let sentence = "it is no host of a registry; expected one as in the names of its images, such as \
                            [registries.\"ghcr.io\"]";
            context.error(&path, sentence);
        }
        self::registry(context, &path, registry);
    }
}

fn registry(context: &mut Context, path: &str, registry: &Registry) {
    if let Some(url) = &registry.url {
        web_address(context, &join(path, "url"), url);
    }
    if let Some(sentence) = registry.ca.as_deref().and_then(ca_problem) {
        context.error(join(path, "ca"), sentence);
    }
    if registry.ca.is_some() && registry.url.as_deref().is_some_and(|url| url.starts_with("http://")) {
        context.error(join(path, "ca"), "it is there, but `url` is http://, without TLS; expected https://");
    }
    match (&registry.username, &registry.password) {
        (Some(_), None) => {
            context
                .error(join(path, "password"), "it is missing, and username is there; expected both or none");
        }
        (None, Some(_)) => {
            context
                .error(join(path, "username"), "it is missing, and password is there; expected both or none");
        }
        (Some(name), Some(_)) if name.trim().is_empty() || name.contains(':') => {
            context.error(join(path, "username"), "it is empty or has a colon; expected a name");
        }
        (Some(_), Some(_)) if registry.url.as_deref().is_some_and(is_in_the_clear) => {
            let sentence = "it is http://, and there is a password, which anybody on the way could read; expected https://";
            context.error(join(path, "url"), sentence);
        }
        _ => {}
    }
}

/// Whether what is sent to `url` can be read by others: without TLS, beyond this machine.
fn is_in_the_clear(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_loopback =
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    url.scheme() == "http" && !is_loopback
}
