//! What a Traefik is told of a game server, so that players reach it through it.
//!
//! The names are those of Traefik 2 and 3: routers, services and middlewares of its HTTP part.

use crate::{
    server::Birth,
    settings::{Labels, TraefikSettings},
};

/// The path that all addresses of a server begin with, such as `/games/racer/AB3D`.
pub fn prefix(slug: &str, code: &str) -> String {
    format!("/games/{slug}/{code}")
}

/// The rule that chooses the server for a request.
pub fn rule(slug: &str, code: &str, traefik: &TraefikSettings) -> String {
    let path = format!("PathPrefix(`{}`)", prefix(slug, code));
    match &traefik.host {
        Some(host) => format!("Host(`{host}`) && {path}"),
        None => path,
    }
}

/// The name of its router, its middleware and its service: Traefik knows one of each by a name,
/// whatever installation it comes from.
pub fn name(birth: &Birth) -> String {
    format!("greenroom-{}", birth.id)
}

/// The labels of its container; none for a server without a code.
pub fn labels(birth: &Birth, slug: &str, traefik: &TraefikSettings) -> Labels {
    let Some(code) = &birth.code else { return Labels::new() };
    let name = name(birth);
    let router = |key: &str| format!("traefik.http.routers.{name}.{key}");
    let mut labels = Labels::from([
        ("traefik.enable".to_owned(), "true".to_owned()),
        (router("rule"), rule(slug, code, traefik)),
        (router("entrypoints"), traefik.entry_point.clone()),
        (router("middlewares"), name.clone()),
        (router("service"), name.clone()),
        (format!("traefik.http.middlewares.{name}.stripprefix.prefixes"), prefix(slug, code)),
        (format!("traefik.http.services.{name}.loadbalancer.server.port"), traefik.port.to_string()),
    ]);
    if traefik.tls {
        labels.insert(router("tls"), "true".to_owned());
    }
    if let Some(network) = &traefik.network {
        labels.insert("traefik.docker.network".to_owned(), network.clone());
    }
    labels
}

#[cfg(test)]
mod tests {
    use greenroom_protocol::{BuildId, GameId, HostId, RegionId, ServerId, StudioId, Timestamp};

    use super::*;
    use crate::server::Purpose;

    fn birth(code: Option<&str>) -> Birth {
        Birth {
            id: ServerId::new("abc").unwrap(),
            name: "racer-abc234".into(),
            title: None,
            code: code.map(str::to_owned),
            is_listed: true,
            game: GameId::new("racer").unwrap(),
            studio: StudioId::new("demo").unwrap(),
            version: "1.0.0".into(),
            build: BuildId::new("b1").unwrap(),
            region: RegionId::new("local").unwrap(),
            host: HostId::new("here").unwrap(),
            purpose: Purpose::Allocation,
            address: "127.0.0.1".into(),
            created_at: Timestamp::from_millis(0),
        }
    }

    #[test]
    fn the_labels_of_a_container_behind_tls() {
        let labels = labels(&birth(Some("AB3D")), "racer", &TraefikSettings::default());
        let expected = [
            ("traefik.enable", "true"),
            ("traefik.http.middlewares.greenroom-abc.stripprefix.prefixes", "/games/racer/AB3D"),
            ("traefik.http.routers.greenroom-abc.entrypoints", "websecure"),
            ("traefik.http.routers.greenroom-abc.middlewares", "greenroom-abc"),
            ("traefik.http.routers.greenroom-abc.rule", "PathPrefix(`/games/racer/AB3D`)"),
            ("traefik.http.routers.greenroom-abc.service", "greenroom-abc"),
            ("traefik.http.routers.greenroom-abc.tls", "true"),
            ("traefik.http.services.greenroom-abc.loadbalancer.server.port", "31400"),
        ];
        let labels: Vec<_> = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(labels, expected);
    }

    #[test]
    fn a_host_a_network_and_no_tls() {
        let traefik = TraefikSettings {
            network: Some("web".into()),
            host: Some("play.example".into()),
            tls: false,
            port: 9000,
            ..TraefikSettings::default()
        };
        let labels = labels(&birth(Some("AB3D")), "racer", &traefik);
        let rule = "Host(`play.example`) && PathPrefix(`/games/racer/AB3D`)";
        assert_eq!(labels["traefik.http.routers.greenroom-abc.rule"], rule);
        assert_eq!(labels["traefik.http.services.greenroom-abc.loadbalancer.server.port"], "9000");
        assert_eq!(labels["traefik.docker.network"], "web");
        assert!(!labels.contains_key("traefik.http.routers.greenroom-abc.tls"));
    }

    #[test]
    fn a_server_without_a_code_is_none_of_its() {
        assert!(labels(&birth(None), "racer", &TraefikSettings::default()).is_empty());
    }
}
