use std::time::Duration;

use greenroom_domain::settings::{
    Connection, FleetSettings, GameSettings, PortProtocol, Settings, TraefikSettings, VersionSource, Volume,
};

use super::*;
use crate::config::Config;

/// An environment as deployments have it.
const FULL: [(&str, &str); 14] = [
    ("DOCKER_USER", "studio"),
    ("DOCKER_REPO", "racer"),
    ("MAX_CONTAINER_RETRIES", "5"),
    ("MAX_RUNNING_SERVERS", "150"),
    ("MAX_TAGS", "4"),
    ("LOCAL_IMAGES", "True"),
    ("CONNECTION_MODE", "traefik"),
    ("SECRETS_VOLUME", "game-secrets"),
    ("GAME_SERVER_PORT_MIN", "7100"),
    ("GAME_SERVER_PORT_MAX", "7499"),
    ("TRAEFIK_NETWORK", "web"),
    ("TRAEFIK_GAME_PORT", "9000"),
    ("GAME_SLUG", "fast-racer"),
    ("TRAEFIK_HOST", "play.example"),
];

fn settings(environment: &Environment) -> Settings {
    let config = Config::from_env(environment).unwrap_or_else(|errors| panic!("{errors}"));
    config.settings("127.0.0.1:4700".parse().unwrap())
}

fn only(settings: &Settings) -> (&GameSettings, &FleetSettings) {
    let game = settings.games.values().next().unwrap();
    (game, game.fleet.as_ref().unwrap())
}

fn errors(variables: &[(&str, &str)]) -> Vec<String> {
    let errors = Config::from_env(&environment(variables)).expect_err("it should be refused").errors;
    errors.iter().map(ToString::to_string).collect()
}

fn environment(variables: &[(&str, &str)]) -> Environment {
    let mut all: BTreeMap<_, _> = [("DOCKER_USER", "studio"), ("DOCKER_REPO", "racer")].into();
    all.extend(variables.iter().copied());
    all.into_iter().collect()
}

#[test]
fn every_name_of_the_contract_has_its_place() {
    let settings = settings(&Environment::from(FULL));
    let (game, fleet) = only(&settings);
    let container = fleet.provider.container().unwrap();
    assert_eq!((game.id.as_str(), game.slug.as_str()), ("racer", "fast-racer"));
    assert_eq!(container.image, "studio/racer");
    assert_eq!((container.versions, container.versions_max), (VersionSource::Engine, 4));
    assert_eq!((fleet.start_tries_max, fleet.running_max), (5, 150));
    assert_eq!(settings.studios[&game.studio].servers_max, 150);
    assert_eq!(fleet.port_range, 7100..=7499);
    let secrets = Volume { source: "game-secrets".into(), target: "/secrets".into(), read_only: true };
    assert_eq!(container.volumes, [secrets]);
    let traefik = TraefikSettings {
        network: Some("web".into()),
        host: Some("play.example".into()),
        port: 9000,
        ..TraefikSettings::default()
    };
    assert_eq!(fleet.connection, Connection::Traefik(traefik));
    let names: Vec<_> = FULL.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, NAMES);
}

#[test]
fn what_is_not_set_has_the_contracts_default() {
    let settings = settings(&environment(&[("TRAEFIK_HOST", " "), ("MAX_TAGS", "")]));
    let (game, fleet) = only(&settings);
    let container = fleet.provider.container().unwrap();
    assert_eq!((game.id.as_str(), game.slug.as_str()), ("racer", "racer"));
    assert_eq!(fleet.connection, Connection::Ports);
    assert_eq!(container.versions, VersionSource::Registry);
    assert_eq!((fleet.port_range.clone(), container.volumes.len()), (7000..=7999, 0));
    assert_eq!(fleet.ports[0].protocol, PortProtocol::Either);
    assert!(container.init && fleet.ready_timeout >= Duration::from_secs(10));
    let arguments = ["--name", "{title}", "--port", "{port}", "{if code}--game-id", "{if code}{code}"];
    assert_eq!(fleet.command[..6], arguments);
    assert_eq!(fleet.command[6..], ["{if listed}--list"]);
}

#[test]
fn the_printed_file_is_the_same_configuration() {
    for environment in [Environment::from(FULL), environment(&[]), environment(&[("TRAEFIK_HOST", "a.b")])] {
        let printed = from_env(&environment).unwrap().text;
        let parsed = Config::parse(&printed, "the file", &Environment::default()).unwrap();
        let listen = "127.0.0.1:4700".parse().unwrap();
        let settings = settings(&environment);
        assert_eq!(format!("{:?}", parsed.settings(listen)), format!("{settings:?}"));
        assert!(printed.contains("# DOCKER_USER, DOCKER_REPO\nimage = \"studio/racer\""), "{printed}");
    }
    let unused = from_env(&environment(&[("TRAEFIK_HOST", "a.b")])).unwrap().text;
    assert!(unused.contains("# TRAEFIK_HOST=\"a.b\""), "{unused}");
}

#[test]
fn what_is_wrong_is_told_by_the_variables_name() {
    let all = errors(&[
        ("DOCKER_REPO", ""),
        ("MAX_CONTAINER_RETRIES", "0"),
        ("MAX_RUNNING_SERVERS", "many"),
        ("MAX_TAGS", "-1"),
        ("LOCAL_IMAGES", "maybe"),
        ("CONNECTION_MODE", "proxy"),
        ("GAME_SERVER_PORT_MIN", "0"),
        ("GAME_SERVER_PORT_MAX", "70000"),
        ("TRAEFIK_GAME_PORT", "http"),
    ]);
    let expected = [
        "DOCKER_REPO: it is missing; expected the name of the game's image, such as \"racer\"",
        "MAX_CONTAINER_RETRIES: \"0\" is none; expected a whole number from 1 to 20",
        "MAX_RUNNING_SERVERS: \"many\" is none; expected a whole number from 1 to 10000",
        "MAX_TAGS: \"-1\" is none; expected a whole number from 1 to 1000",
        "LOCAL_IMAGES: \"maybe\" is neither; expected true or false",
        "CONNECTION_MODE: \"proxy\" is none; expected \"ports\", \"traefik\" or \"gateway\"",
        "GAME_SERVER_PORT_MIN: \"0\" is none; expected a whole number from 1 to 65535",
        "GAME_SERVER_PORT_MAX: \"70000\" is none; expected a whole number from 1 to 65535",
        "TRAEFIK_GAME_PORT: \"http\" is none; expected a whole number from 1 to 65535",
    ];
    assert_eq!(all, expected);
    for (name, value) in
        [("DOCKER_REPO", "racer:1.0"), ("DOCKER_USER", "my studio"), ("DOCKER_REPO", "$(id)")]
    {
        assert!(errors(&[(name, value)])[0].starts_with(&format!("{name}: ")), "{name}={value}");
    }
    let upside_down = errors(&[("GAME_SERVER_PORT_MIN", "8000")]);
    assert_eq!(
        upside_down,
        ["GAME_SERVER_PORT_MAX: 7999 is below GAME_SERVER_PORT_MIN, 8000; expected at least that"]
    );
}

#[test]
fn what_does_not_fit_together_names_the_variable_as_well() {
    let few = errors(&[("GAME_SERVER_PORT_MAX", "7001"), ("MAX_RUNNING_SERVERS", "20")]);
    assert_eq!(few.len(), 1, "{few:?}");
    assert!(
        few[0].ends_with("(it was set by the environment's GAME_SERVER_PORT_MIN, GAME_SERVER_PORT_MAX)"),
        "{few:?}"
    );
    let slug = errors(&[("GAME_SLUG", "a/b")]);
    assert!(slug[0].ends_with("(it was set by the environment's GAME_SLUG)"), "{slug:?}");
    let volume = errors(&[("SECRETS_VOLUME", "a:b")]);
    assert!(volume[0].ends_with("(it was set by the environment's SECRETS_VOLUME)"), "{volume:?}");
    let host = errors(&[("CONNECTION_MODE", "Traefik"), ("TRAEFIK_HOST", "https://a.b")]);
    assert!(host[0].ends_with("(it was set by the environment's TRAEFIK_HOST)"), "{host:?}");
}

#[test]
fn our_own_variables_override_it() {
    let mut variables = vec![("DOCKER_REPO", "racer"), ("GREENROOM_GAMES__RACER__FLEET__RUNNING_MAX", "7")];
    variables.push(("GREENROOM_PUBLIC_ADDRESS", "play.example"));
    let settings = settings(&environment(&variables));
    assert_eq!((only(&settings).1.running_max, settings.public_address.as_str()), (7, "play.example"));
}
