use std::{fs, path::PathBuf, time::Duration};

use greenroom_domain::settings::{ContainerNetwork, PortProtocol, Readiness, VersionSource, WarmPayload};
use greenroom_protocol::{GameId, StudioId};
use secrecy::ExposeSecret;

use super::*;

mod accounts;
mod hosts;

fn parsed(text: &str, environment: impl Into<Environment>) -> Config {
    Config::parse(text, "the test", &environment.into()).unwrap_or_else(|errors| panic!("{errors}"))
}

fn errors(text: &str) -> Vec<String> {
    let errors = Config::parse(text, "the test", &Environment::default()).expect_err("it should be refused");
    errors.errors.iter().map(ToString::to_string).collect()
}

/// `DEFAULT` with `line` in place of the line of the fleet that begins with the same key.
fn fleet(line: &str) -> String {
    let key = |line: &str| line.split('=').next().unwrap_or_default().trim().to_owned();
    let keys: Vec<String> = line.lines().map(key).collect();
    let kept: Vec<_> = DEFAULT.lines().filter(|old| !keys.contains(&key(old))).collect();
    format!("{}\n{line}\n", kept.join("\n"))
}

/// The one error that `line` makes in the fleet.
fn fleet_error(line: &str) -> String {
    let errors = errors(&fleet(line));
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors.into_iter().next().unwrap()
}

#[test]
fn the_default_is_what_it_says() {
    let config = parsed(DEFAULT, []);
    let settings = config.settings("127.0.0.1:4700".parse().unwrap());
    let game = &settings.games[&GameId::new("skirmish").unwrap()];
    let fleet = game.fleet.as_ref().unwrap();

    assert_eq!(settings.internal_url, "http://127.0.0.1:4700");
    assert_eq!(settings.default_game, Some(game.id.clone()));
    assert!(settings.studios.contains_key(&StudioId::new("demo").unwrap()));
    assert_eq!((game.lobby.team_size, game.lobby.members_max), (Some(4), 8));
    assert_eq!(game.lobby.grace, Duration::from_secs(30));
    assert_eq!(
        (&fleet.provider, fleet.ports.len()),
        (&greenroom_domain::settings::ProviderSettings::Process, 1)
    );
    assert_eq!((fleet.ports[0].protocol, fleet.ports[0].count), (PortProtocol::Tcp, 1));
    assert_eq!((fleet.port_range.clone(), fleet.ready.clone()), (7000..=7999, Readiness::Listening));
    assert_eq!((fleet.ready_min, fleet.running_max, fleet.warm_payload), (0, 20, WarmPayload::Ignore));
    assert_eq!(config.root.data_dir, PathBuf::from("greenroom-data"));
}

#[test]
fn port_zero_and_every_address_become_a_url_that_can_be_reached() {
    let config = parsed("listen = \"0.0.0.0:0\"", []);
    assert_eq!(config.settings("0.0.0.0:4801".parse().unwrap()).internal_url, "http://127.0.0.1:4801");
    assert_eq!(config.settings("[::]:4801".parse().unwrap()).internal_url, "http://[::1]:4801");
    let config = parsed("internal_url = \"http://games.internal:80\"", []);
    assert_eq!(config.settings("0.0.0.0:4801".parse().unwrap()).internal_url, "http://games.internal:80");
}

#[test]
fn every_default_of_the_declarations_reads() {
    // A default that does not read makes its section absent without an error.
    let context = &mut Context::default();
    assert!(reader::section::<sections::Root>(context, "", Table::new()).is_some());
    let game = "studio = \"demo\"".parse().unwrap();
    assert!(reader::section::<sections::Game>(context, "", game).is_some());
    let fleet = "command = [\"a\"]".parse().unwrap();
    assert!(reader::section::<sections::Fleet>(context, "", fleet).is_some());
    let port = "name = \"a\"\nprotocol = \"udp\"".parse().unwrap();
    assert!(reader::section::<sections::Port>(context, "", port).is_some());
    assert!(reader::section::<sections::Studio>(context, "", Table::new()).is_some());
    assert_eq!(context.errors, []);
}

#[test]
fn all_errors_are_told_at_once_each_with_its_path() {
    let text = r#"
        listen = "everywhere"
        dafault_game = "skirmish"
        default_game = 7

        [log]
        format = "xml"

        [games.skirmish.lobby]
        grace = "30"
        members_max = -1

        [games.skirmish.fleet]
        command = "run"
        ready = "soon"
        ports = [{ name = "default" }, 5]
    "#;
    assert_eq!(
        errors(text),
        [
            r#"listen: "everywhere" is none; expected an IP address and a port, such as "127.0.0.1:4700""#,
            "default_game: it is a whole number; expected an id: 1 to 128 characters out of A-Z, a-z, 0-9, _ and -",
            r#"log.format: "xml" is no format of log lines; expected "text" or "json""#,
            "games.skirmish.studio: it is missing; expected an id: 1 to 128 characters out of A-Z, a-z, 0-9, _ and -",
            "games.skirmish.lobby.members_max: it is -1; expected a whole number from 0 to 4294967295",
            r#"games.skirmish.lobby.grace: "30" has no unit: write "30s" for seconds; expected a duration, such as "500ms", "30s", "4h" or "30d""#,
            r#"games.skirmish.fleet.command: it is a text; expected a list of texts, such as ["a", "b"]"#,
            r#"games.skirmish.fleet.ready: "soon" is no sign of readiness; expected "listening", "log:<regular expression>", "after:<duration>", "health" or "sdk""#,
            r#"games.skirmish.fleet.ports[0].protocol: it is missing; expected "tcp", "udp", "tcp+udp" or "tcp|udp""#,
            "games.skirmish.fleet.ports[1]: it is a whole number; expected a table",
            "dafault_game: there is no such setting; did you mean `default_game`?",
        ]
    );
}

#[test]
fn a_file_that_is_no_toml_names_the_place() {
    let errors = errors("listen = \"127.0.0.1:4700\"\ngames = [\n");
    assert!(errors[0].starts_with("line "), "{errors:?}");
    assert!(errors[0].contains("is no TOML: "), "{errors:?}");
}

#[test]
fn what_is_not_there_yet_says_so() {
    assert!(fleet_error("provider = \"agones\"").contains("not there yet"));
}

#[test]
fn settings_that_do_not_fit_together_are_refused() {
    for (line, expected) in [
        ("ready = \"sdk\"", "games.skirmish.fleet.ready: it needs the SDK's endpoint; set sdk = true, or"),
        ("warm_payload = \"sdk\"", "games.skirmish.fleet.warm_payload: it needs the SDK's endpoint"),
        ("counters.rooms = { capacity = 1 }", "games.skirmish.fleet.counters: it needs the SDK's endpoint"),
        (
            "sdk = true\ncounters.rooms = { count = 3, capacity = 2 }",
            "games.skirmish.fleet.counters.rooms.count: it is 3, more than capacity = 2",
        ),
        (
            "sdk = true\nlists.maps = { capacity = 1001 }",
            "games.skirmish.fleet.lists.maps.capacity: it is 1001; expected 0 to 1000",
        ),
        (
            "sdk = true\nlists.maps = { capacity = 1, values = [\"a\", \"b\"] }",
            "games.skirmish.fleet.lists.maps.values: it has 2 values, more than capacity = 1",
        ),
        ("sdk = true\nhealth.period = \"1ms\"", "games.skirmish.fleet.health.period: it is 1ms"),
        ("ready_min = 2", "games.skirmish.fleet.warm_payload: it is missing, and ready_min is 2"),
        ("ready_max = 2", "games.skirmish.fleet.warm_payload: it is missing, and ready_max is 2"),
        (
            "ready_max = 99\nwarm_payload = \"file\"",
            "games.skirmish.fleet.ready_max: it is 99, more than running_max = 20",
        ),
        (
            "ready_min = 3\nready_max = 2\nwarm_payload = \"file\"",
            "games.skirmish.fleet.ready_max: it is 2, less than ready_min = 3",
        ),
        ("command = []", "games.skirmish.fleet.command: it names no program"),
        ("command = [\" \"]", "games.skirmish.fleet.command: it names no program"),
        ("ports = []", "games.skirmish.fleet.ports: it is missing or empty"),
        ("port_range = \"7000-7009\"", "games.skirmish.fleet.port_range: it has 10 ports"),
        ("port_range = \"4000-5000\"", "games.skirmish.fleet.port_range: Greenroom's own port 4700 is in it"),
        (
            "port_range = \"8000-7000\"",
            "games.skirmish.fleet.port_range: \"8000-7000\" ends before it begins",
        ),
        ("running_max = 0", "games.skirmish.fleet.running_max: it is 0"),
        ("ready_timeout = \"0s\"", "games.skirmish.fleet.ready_timeout: it is 0s"),
        ("log_max = \"1KiB\"", "games.skirmish.fleet.log_max: it is 1024 bytes"),
        (
            "ready = \"log:(\"",
            "games.skirmish.fleet.ready: \"log:(\" has a regular expression that does not parse",
        ),
        ("ready = \"after:soon\"", "games.skirmish.fleet.ready: \"after:soon\" has a time that is none"),
        ("regions = []", "games.skirmish.fleet.regions: it is empty"),
        ("regions = [\"a\", \"a\"]", "games.skirmish.fleet.regions: a region is in it twice"),
        ("working_dir = \"/nowhere/at/all\"", "games.skirmish.fleet.working_dir: there is no such folder"),
        (
            "environment = { GREENROOM_URL = \"x\" }",
            "games.skirmish.fleet.environment.GREENROOM_URL: names that begin",
        ),
        ("limits = { memory = \"1KiB\" }", "games.skirmish.fleet.limits.memory: it is less than 1MiB"),
        (
            "ports = [{ name = \"a\", protocol = \"tcp\" }, { name = \"a\", protocol = \"udp\" }]",
            "games.skirmish.fleet.ports[1].name: \"a\" is there twice",
        ),
        (
            "ports = [{ name = \"a\", protocol = \"tcp\", fixed = 9000 }]",
            "games.skirmish.fleet.ports[0].fixed: only one server can have a fixed port",
        ),
    ] {
        let found = fleet_error(line);
        assert!(found.starts_with(expected), "{line}: {found}");
    }
    assert!(errors("default_game = \"chess\"")[0].starts_with("default_game: there is no such game"));
    assert!(errors("[games.a]\nstudio = \"b\"")[0].starts_with("games.a.studio: there is no studio b"));
    let twice =
        "[studios.s]\n[games.a]\nstudio = \"s\"\nhosts = [\"x\"]\n[games.b]\nstudio = \"s\"\nhosts = [\"X\"]";
    assert_eq!(errors(twice), ["games.b.hosts: x is game a's already; expected one of its own"]);
}

#[test]
fn what_only_containers_have_is_refused_without_and_what_they_cannot_have_with_them() {
    let game = "container = { image = \"studio/game\" }";
    let docker = |container: &str| format!("provider = \"docker\"\n{container}");
    for (lines, expected) in [
        ("ready = \"health\"".to_owned(), "ready: \"health\" is the health check of a container's image"),
        ("limits = { processes = 64 }".into(), "limits.processes: only containers can be held to it"),
        (
            "ports = [{ name = \"a\", protocol = \"tcp\", inner = 9 }]".into(),
            "ports[0].inner: only a container has a number of its own",
        ),
        (game.into(), "container: it is there, but the provider is \"process\""),
        (docker(""), "container: it is missing, and the provider is \"docker\""),
        (docker("container = {}"), "container.image: it is missing"),
        (docker("container = { image = \"a:1\" }"), "container.image: \"a:1\" has a tag or a digest"),
        (docker("container = { image = \"A b\" }"), "container.image: \"A b\" is no name of an image"),
        (docker("container = { image = \"a\", versions_max = 0 }"), "container.versions_max: it is 0"),
        (
            docker("container = { image = \"a\", network = \"none\" }"),
            "container.network: \"none\" has no way in",
        ),
        (docker("container = { image = \"a\", user = \"a b\" }"), "container.user: it is no user"),
        (
            docker("container = { image = \"a\", capabilities = [\"ALL\"] }"),
            "container.capabilities[0]: \"ALL\" is no capability",
        ),
        (
            docker("container = { image = \"a\", volumes = [{ source = \"./x\", target = \"/x\" }] }"),
            "container.volumes[0].source: \"./x\" is neither a path nor the name",
        ),
        (
            docker(
                "container = { image = \"a\", volumes = [{ source = \"/x\", target = \"/run/greenroom\" }] }",
            ),
            "container.volumes[0].target: \"/run/greenroom\" is no place",
        ),
        (docker(&format!("{game}\nworking_dir = \"/tmp\"")), "working_dir: a container runs where"),
        (docker(&format!("{game}\nlimits = {{ memory = \"2MiB\" }}")), "limits.memory: it is less than 6MiB"),
        (
            docker(&format!(
                "{game}\nports = [{{ name = \"a\", protocol = \"tcp\", inner = 9 }}, {{ name = \"b\", \
                 protocol = \"tcp+udp\", inner = 9 }}]"
            )),
            "ports[1].inner: 9 is another port's already",
        ),
        (
            docker(
                "container = { image = \"a\", network = \"host\" }\nports = [{ name = \"a\", protocol = \"tcp\", inner = 9 }]",
            ),
            "ports[0].inner: on the host's own network",
        ),
        (
            docker(
                "container = { image = \"a\", network = \"host\" }\nconnection = \"traefik\"\ntraefik = { network = \"web\" }",
            ),
            "traefik.network: its containers are on their host's own network",
        ),
        (
            "command = [\"{if listed}./game\", \"{port}\"]".into(),
            "command[0]: it is the program, which cannot be left out",
        ),
    ] {
        let found = fleet_error(&lines);
        assert!(found.starts_with(&format!("games.skirmish.fleet.{expected}")), "{lines}: {found}");
    }
}

#[test]
fn a_fleet_of_containers_is_read_whole_and_needs_no_arguments() {
    let lines = "provider = \"docker\"\ncommand = []\nready = \"health\"\nlimits = { processes = 64 }\n\
                 ports = [{ name = \"game\", protocol = \"tcp\", inner = 31400 }]\n\
                 container = { image = \"localhost:5000/studio/game\", versions = \"registry\", network = \"games\", \
                 user = \"1000:1000\", read_only_root = true, capabilities = [\"NET_BIND_SERVICE\"], \
                 volumes = [{ source = \"secrets\", target = \"/secrets\" }] }";
    let config = parsed(&fleet(lines), []);
    let settings = config.settings("127.0.0.1:4700".parse().unwrap());
    let fleet = settings.games[&GameId::new("skirmish").unwrap()].fleet.as_ref().unwrap();
    let container = fleet.provider.container().unwrap();
    assert_eq!(container.image, "localhost:5000/studio/game");
    assert_eq!(container.network, ContainerNetwork::Named("games".into()));
    assert_eq!((container.versions, container.versions_max), (VersionSource::Registry, 5));
    assert!(container.init && container.read_only_root && container.volumes[0].read_only);
    assert_eq!((fleet.ports[0].inner, fleet.limits.processes), (Some(31_400), Some(64)));
    assert_eq!(fleet.version, None, "the newest");
    let named = parsed(&self::fleet(&format!("{lines}\nversion = \"1.4.0\"")), []);
    let settings = named.settings("127.0.0.1:4700".parse().unwrap());
    let fleet = settings.games[&GameId::new("skirmish").unwrap()].fleet.as_ref().unwrap();
    assert_eq!(fleet.version.as_deref(), Some("1.4.0"));
}

#[test]
fn of_programs_that_are_no_images_there_is_one_version() {
    let config = parsed(DEFAULT, []);
    let settings = config.settings("127.0.0.1:4700".parse().unwrap());
    let fleet = settings.games[&GameId::new("skirmish").unwrap()].fleet.as_ref().unwrap();
    assert_eq!(fleet.version.as_deref(), Some("1"));
}

#[test]
fn ready_min_with_a_way_to_hand_over_the_payload_is_right() {
    let text = format!("{}warm_payload = \"file\"\n", fleet("ready_min = 2"));
    let config = parsed(&text, []);
    let fleet = config.root.games[&GameId::new("skirmish").unwrap()].fleet.as_ref().unwrap();
    assert_eq!((fleet.ready_min, fleet.warm_payload), (2, Some(WarmPayload::File)));
}

#[test]
fn the_environment_overrides_the_file() {
    let config = parsed(
        DEFAULT,
        [
            ("GREENROOM_LISTEN", "127.0.0.1:9"),
            ("GREENROOM_GAMES__SKIRMISH__FLEET__RUNNING_MAX", "3"),
            ("GREENROOM_GAMES__SKIRMISH__FLEET__VERSION", "2"),
            ("GREENROOM_GAMES__SKIRMISH__HOSTS", "[\"play.example\"]"),
            ("GREENROOM_URL", "of the command line"),
        ],
    );
    let game = &config.root.games[&GameId::new("skirmish").unwrap()];
    let fleet = game.fleet.as_ref().unwrap();
    assert_eq!(config.root.listen, "127.0.0.1:9".parse().unwrap());
    assert_eq!((fleet.running_max, fleet.version.as_deref()), (3, Some("2")));
    assert_eq!(game.hosts, ["play.example"]);
}

#[test]
fn an_error_of_the_environment_names_the_variable() {
    let environment = [("GREENROOM_LISTEN", "nowhere"), ("GREENROOM_LISTN", "127.0.0.1:9")].into();
    let errors = Config::parse("", "the test", &environment).unwrap_err();
    let told: Vec<_> = errors.errors.iter().map(ToString::to_string).collect();
    assert!(told[0].starts_with("listen: \"nowhere\" is none"), "{told:?}");
    assert!(told[0].ends_with("(it was set by the environment's GREENROOM_LISTEN)"), "{told:?}");
    assert!(told[1].starts_with("listn: there is no such setting; did you mean `listen`?"), "{told:?}");
}

#[test]
fn secrets_come_from_a_value_a_file_or_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    fs::write(&file, "out of the very file\n").unwrap();
    let from_file = format!("[auth]\njwt_secret = {{ file = {:?} }}", file.to_str().unwrap());
    for (text, expected) in [
        ("[auth]\njwt_secret = \"written into the file\"", "written into the file"),
        ("[auth]\njwt_secret = { env = \"A_SECRET\" }", "out of a variable"),
        (from_file.as_str(), "out of the very file"),
        ("", "the contract's variable"),
    ] {
        let config =
            parsed(text, [("A_SECRET", "out of a variable"), ("JWT_SECRET", "the contract's variable")]);
        assert_eq!(config.jwt_secret().unwrap().expose_secret(), expected, "{text}");
        assert!(!format!("{config:?}").contains(expected));
    }
}

#[test]
fn a_secret_that_cannot_be_had_is_told_without_it() {
    for (secret, expected) in [
        ("\"short\"", "it is too short to be safe"),
        ("\"\"", "it is empty"),
        ("{ env = \"NOT_SET\" }", "the environment has no NOT_SET"),
        ("{ file = \"/no/such/file\" }", "the file /no/such/file cannot be read"),
        ("{ fil = \"x\" }", "it is a table"),
        ("5", "it is a whole number"),
    ] {
        let errors = errors(&format!("[auth]\njwt_secret = {secret}"));
        assert!(errors[0].starts_with(&format!("auth.jwt_secret: {expected}")), "{errors:?}");
        assert!(!errors[0].contains("short\""), "{errors:?}");
    }
}

#[test]
fn the_example_loads_as_the_default_does() {
    let example = parsed(&document::example(), []);
    let default = parsed(DEFAULT, []);
    assert_eq!(format!("{:?}", example.root), format!("{:?}", default.root));
}

#[test]
fn players_reach_servers_by_ports_unless_told_otherwise() {
    use greenroom_domain::settings::{Connection, GatewaySettings, TraefikSettings};

    let connection = |text: &str| {
        let settings = parsed(text, []).settings("127.0.0.1:4700".parse().unwrap());
        let game = &settings.games[&GameId::new("skirmish").unwrap()];
        (game.slug.clone(), game.fleet.as_ref().unwrap().connection.clone())
    };
    assert_eq!(connection(DEFAULT), ("skirmish".into(), Connection::Ports));
    let traefik = Connection::Traefik(TraefikSettings::default());
    assert_eq!(connection(&fleet("connection = \"traefik\"")).1, traefik);
    let gateway = Connection::Gateway(GatewaySettings { code_length: 4 });
    assert_eq!(connection(&fleet("connection = \"gateway\"")).1, gateway);
    let longer = fleet("connection = \"gateway\"\ngateway = { code_length = 12 }");
    assert_eq!(connection(&longer).1, Connection::Gateway(GatewaySettings { code_length: 12 }));
    let all = fleet(
        "connection = \"traefik\"\n[games.skirmish.fleet.traefik]\nnetwork = \"web\"\nhost = \"play.example\"\n\
         entry_point = \"web\"\ntls = false\nport = 9000\ncode_length = 5",
    );
    let settings = TraefikSettings {
        network: Some("web".into()),
        host: Some("play.example".into()),
        entry_point: "web".into(),
        tls: false,
        port: 9000,
        code_length: 5,
        ..TraefikSettings::default()
    };
    assert_eq!(connection(&all).1, Connection::Traefik(settings));
    let named = DEFAULT.replace("studio = \"demo\"", "studio = \"demo\"\nslug = \"Fun-Game\"");
    assert_eq!(connection(&named).0, "Fun-Game");
}

#[test]
fn a_connection_that_cannot_be_is_refused() {
    for (line, expected) in [
        ("connection = \"proxy\"", "connection: \"proxy\" is no way to reach a server; expected \"ports\""),
        ("gateway = {}", "gateway: it is there, but connection is another; set connection = \"gateway\""),
        ("traefik = {}", "traefik: it is there, but connection is another; set connection = \"traefik\""),
        (
            "connection = \"gateway\"\ngateway = { code_length = 3 }",
            "gateway.code_length: it is 3; expected 4 to 32",
        ),
        ("connection = \"traefik\"\ntraefik = { port = 0 }", "traefik.port: it is 0; expected 1 to 65535"),
        ("connection = \"traefik\"\ntraefik = { host = \"a`)\" }", "traefik.host: it is no host name"),
        ("connection = \"traefik\"\ntraefik = { network = \"\" }", "traefik.network: it is no name"),
        (
            "connection = \"traefik\"\ntraefik = { entry_point = \"a,b\" }",
            "traefik.entry_point: it is no name",
        ),
    ] {
        let error = fleet_error(line);
        assert!(error.starts_with(&format!("games.skirmish.fleet.{expected}")), "{error}");
    }
    let wrong = DEFAULT.replace("studio = \"demo\"", "studio = \"demo\"\nslug = \"a/b\"");
    assert!(errors(&wrong)[0].starts_with("games.skirmish.slug: \"a/b\" is no slug"));
    let twice = format!("{DEFAULT}\n[games.other]\nstudio = \"demo\"\nslug = \"skirmish\"\n");
    assert!(errors(&twice)[0].contains("skirmish is game other's already"), "{:?}", errors(&twice));
}

#[test]
fn registries_are_known_by_their_hosts() {
    let text = format!(
        "{DEFAULT}\n[registries.\"ghcr.io\"]\nusername = \"studio\"\npassword = {{ env = \"TOKEN\" }}\n\
         [registries.\"127.0.0.1:5000\"]\nurl = \"http://127.0.0.1:5000\"\nusername = \"a\"\npassword = \"b\"\n"
    );
    let config = parsed(&text, [("TOKEN", "hidden")]);
    let images = crate::outside::images_config(&config, Vec::new());
    let credentials = images.registries["ghcr.io"].credentials.as_ref().unwrap();
    assert_eq!(credentials.password.expose_secret(), "hidden");
    assert!(!format!("{images:?}").contains("hidden"));
    let urls: Vec<_> =
        images.registries.iter().map(|(host, access)| (host.as_str(), access.url.as_str())).collect();
    let expected = [
        ("127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("docker.io", "https://registry-1.docker.io"),
        ("ghcr.io", "https://ghcr.io"),
    ];
    assert_eq!(urls, expected);
}

#[test]
fn what_is_wrong_with_a_registry_is_told() {
    let wrong = |below: &str| errors(&format!("{DEFAULT}\n{below}")).join("\n");
    assert!(wrong("[registries.\"no host\"]").contains("it is no host of a registry"));
    assert!(wrong("[registries.\"a.b\"]\nurl = \"a.b\"").contains("no web address"));
    assert!(wrong("[registries.\"a.b\"]\nusername = \"x\"").contains("password: it is missing"));
    assert!(wrong("[registries.\"a.b\"]\npassword = \"x\"").contains("username: it is missing"));
    let clear = "[registries.\"a.b\"]\nurl = \"http://a.b\"\nusername = \"x\"\npassword = \"x\"";
    assert!(wrong(clear).contains("expected https://"));
    assert!(wrong("[images]\nlookup_ttl = \"1s\"").contains("at least 10s"));
    assert!(wrong("[images]\npull_timeout = \"1d\"").contains("at most 6h"));
}

#[test]
fn a_fleet_of_another_host_says_where_that_is_and_nothing_of_its_program() {
    const BEGIN: &str =
        "[studios.s]\n[games.g]\nstudio = \"s\"\n[games.g.fleet]\nprovider = \"hosting-api\"\n";
    let section =
        "hosting_api = { url = \"https://host.example\", game = \"arena\", key = { env = \"THEIR_KEY\" } }\n";
    let environment = || [("THEIR_KEY", "k")];
    let config = parsed(&format!("{BEGIN}{section}"), environment());
    let engines = config.hosting_api_engines("/h".as_ref());
    assert_eq!((engines[0].host.as_str(), engines[0].game.as_str()), ("hosting-api-g", "arena"));
    assert_eq!(engines[0].key.expose_secret(), "k");
    let settings = config.settings("127.0.0.1:4700".parse().unwrap());
    let fleet = settings.games[&GameId::new("g").unwrap()].fleet.as_ref().unwrap();
    assert_eq!(fleet.provider.as_str(), "hosting-api");

    assert!(errors(BEGIN)[0].starts_with("games.g.fleet.hosting_api: it is missing"));
    let no_key = "hosting_api = { url = \"x\", game = \" \" }\n";
    let found = errors(&format!("{BEGIN}{no_key}"));
    let paths: Vec<_> = found.iter().map(|error| error.split(": ").next().unwrap()).collect();
    assert_eq!(paths, ["url", "game", "key"].map(|key| format!("games.g.fleet.hosting_api.{key}")));
    let beside = "command = [\"x\"]\nready_min = 1\nwarm_payload = \"ignore\"\nconnection = \"gateway\"\n";
    let no_secret = section.replace("{ env = \"THEIR_KEY\" }", "\"k\"");
    let found = errors(&format!("{BEGIN}{no_secret}{beside}"));
    let paths: Vec<_> = found.iter().map(|error| error.split(": ").next().unwrap()).collect();
    assert_eq!(paths, ["command", "ready_min", "connection"].map(|key| format!("games.g.fleet.{key}")));
}
