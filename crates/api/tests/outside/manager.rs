//! `manager.md`: every answer, every error, and which comes first.

use greenroom_domain::settings::{Connection, FleetSettings, GatewaySettings};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::{Wish, World, game, once, read};

const REQUEST: &str = "/api/manager/request";

/// Writes its arguments, one a line, and says that it is ready.
const GAME: [&str; 10] = [
    "/bin/sh",
    "-c",
    "printf '<%s>\\n' \"$@\"; echo ready; exec sleep 100000",
    "game",
    "--name",
    "{title}",
    "{if code}--game-id",
    "{if code}{code}",
    "{if listed}--list",
    "end",
];

fn fleet_of(wish: &mut Wish, change: impl FnOnce(&mut FleetSettings)) {
    let fleet = wish.settings.games.get_mut(&game("skirmish")).unwrap().fleet.as_mut().unwrap();
    fleet.command = GAME.map(str::to_owned).to_vec();
    fleet.version = Some("1.2.3".into());
    change(fleet);
}

async fn world(change: impl FnOnce(&mut FleetSettings)) -> World {
    World::with(|wish| fleet_of(wish, change)).await
}

fn body(name: &str) -> Value {
    json!({ "name": name, "list": false, "version": "1.2.3" })
}

/// The answer is this error in the contract's form; its sentence.
async fn refused(request: RequestBuilder, status: u16) -> String {
    let answer = request.send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    let found = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap();
    assert_eq!(found, status, "{body}");
    assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
    body["detail"].as_str().unwrap().to_owned()
}

/// The arguments of the only server's program.
async fn arguments(world: &World) -> Vec<String> {
    let servers = world.node.servers.list(Some(&game("skirmish")));
    assert_eq!(servers.len(), 1);
    let path = format!("/v1/servers/{}/logs", servers[0].id);
    let (_, log) = read(world.get(&path).bearer_auth(world.admin())).await;
    let lines = log.as_str().unwrap().lines();
    lines.filter_map(|line| Some(line.strip_prefix('<')?.strip_suffix('>')?.to_owned())).collect()
}

#[tokio::test]
async fn a_server_at_a_port_of_its_own() {
    let world = world(|_| {}).await;
    // As some clients send it.
    let request = world.post(REQUEST).header("content-type", "text/plain");
    let request = request.body(r#"{"version": "1.2.3", "list": 1, "name": "Ann's Game", "more": {}}"#);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 201);
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    let body = answer.text().await.unwrap();
    let servers = world.node.servers.list(Some(&game("skirmish")));
    assert_eq!(body, format!(r#"{{"port":{}}}"#, servers[0].port.unwrap()));
    assert_eq!((servers[0].state.as_str(), servers[0].title.as_deref()), ("allocated", Some("Ann's Game")));
    assert!(world.node.servers.living(&servers[0].id).unwrap().birth.is_listed);
    assert_eq!(arguments(&world).await, ["--name", "Ann's Game", "--list", "end"]);
    world.end().await;
}

#[tokio::test]
async fn a_server_behind_the_gateway_has_a_code() {
    let world = world(|fleet| {
        fleet.connection = Connection::Gateway(GatewaySettings { code_length: 5 });
    })
    .await;
    let (status, answer) = read(world.post(REQUEST).json(&body("Ann"))).await;
    let code = answer["game_id"].as_str().unwrap();
    assert_eq!((status, &answer), (201, &json!({ "game_id": code })));
    assert!(code.len() == 5 && code.bytes().all(|b| b.is_ascii_uppercase() || (b'2'..=b'9').contains(&b)));
    assert_eq!(arguments(&world).await, ["--name", "Ann", "--game-id", code, "end"]);
    world.end().await;
}

#[tokio::test]
async fn what_has_not_the_right_form_is_422() {
    let world = world(|_| {}).await;
    for text in ["", "nonsense", "[]", "null", "7", "{}", r#"{"name":"a","list":true}"#] {
        refused(world.post(REQUEST).body(text), 422).await;
    }
    let fields = [("name", json!([1, null, {}, [], true])), ("version", json!([1, null, {}, [], true]))];
    let fields = fields.into_iter().chain([("list", json!([2, -1, null, "true", "1", {}, []]))]);
    for (field, wrong) in fields {
        for value in wrong.as_array().unwrap() {
            let mut asked = body("Ann");
            asked[field] = value.clone();
            let sentence = refused(world.post(REQUEST).json(&asked), 422).await;
            assert!(sentence.starts_with(&format!("`{field}` must be ")), "{sentence}");
        }
    }
    assert!(world.node.servers.list(None).is_empty());
    world.end().await;
}

#[tokio::test]
async fn names_that_are_options_paths_or_too_long_reach_no_program() {
    let world = world(|_| {}).await;
    let long = "x".repeat(10_000);
    for name in [
        "-v",
        "--list",
        " --list",
        "/etc/passwd",
        "../../etc/passwd",
        "~/x",
        "a\nb",
        "a\0b",
        "\u{1b}[2J",
        &long,
    ] {
        refused(world.post(REQUEST).json(&body(name)), 400).await;
    }
    assert!(world.node.servers.list(None).is_empty());
    // What looks like a shell's is one argument.
    let name = "$(id); `id` \"'&|<>* {port}";
    assert_eq!(read(world.post(REQUEST).json(&body(name))).await.0, 201);
    assert_eq!(arguments(&world).await, ["--name", name, "end"]);
    world.end().await;
}

#[tokio::test]
async fn versions_that_are_not_served() {
    let world = world(|_| {}).await;
    let ask = |version: &str| {
        let mut asked = body("Ann");
        asked["version"] = version.into();
        world.post(REQUEST).json(&asked)
    };
    for version in ["", "1", "1.2", "v1.2.3", "latest", "1.2.3 ", "01.2.3", "1.2.3\n", &"1".repeat(10_000)] {
        let sentence = refused(ask(version), 400).await;
        assert!(sentence.ends_with("Supported versions: 1.2.3."), "{sentence}");
    }
    for version in ["1.2.4", "2.0.0", "1.2.4-beta.1"] {
        let sentence = refused(ask(version), 400).await;
        assert!(sentence.ends_with("Supported versions: 1.2.3."), "{sentence}");
    }
    for version in ["1.2.2", "0.0.1", "1.2.3-rc.1"] {
        let sentence = refused(ask(version), 426).await;
        assert!(sentence.contains("1.2.3 is the oldest"), "{sentence}");
        assert!(sentence.ends_with("Supported versions: 1.2.3."), "{sentence}");
    }
    assert!(world.node.servers.list(None).is_empty());
    world.end().await;
}

#[tokio::test]
async fn the_form_comes_before_the_syntax_before_the_limit_before_the_version() {
    let world = world(|fleet| fleet.running_max = 1).await;
    let ask = |name: Value, version: &str| {
        world.post(REQUEST).json(&json!({ "name": name, "list": true, "version": version }))
    };
    assert_eq!(read(ask("Ann".into(), "1.2.3")).await.0, 201);
    refused(ask(7.into(), "nonsense"), 422).await;
    refused(ask("Ann".into(), "nonsense"), 400).await;
    refused(ask("--rm".into(), "1.0.0"), 400).await;
    for version in ["1.0.0", "2.0.0", "1.2.3"] {
        let sentence = refused(ask("Ann".into(), version), 429).await;
        assert!(sentence.starts_with("All 1 servers are in use."), "{sentence}");
    }
    world.node.servers.stop_all().await;
    refused(ask("Ann".into(), "1.0.0"), 426).await;
    refused(ask("Ann".into(), "2.0.0"), 400).await;
    world.end().await;
}

#[tokio::test]
async fn fifty_at_once_for_twenty_places() {
    let world = World::with(|wish| {
        fleet_of(wish, |fleet| fleet.running_max = 20);
        wish.settings.studios.values_mut().for_each(|studio| studio.servers_max = 100);
    })
    .await;
    let ask = async |_| read(world.post(REQUEST).json(&body("Ann"))).await;
    let answers = futures_util::future::join_all((0..50).map(ask)).await;
    let of = |status: u16| answers.iter().filter(move |answer| answer.0 == status);
    let ports: std::collections::BTreeSet<_> =
        of(201).map(|(_, body)| body["port"].as_u64().unwrap()).collect();
    assert_eq!((ports.len(), of(201).count(), of(429).count()), (20, 20, 30));
    world.end().await;
}

#[tokio::test]
async fn a_server_that_never_comes_up_is_500_and_no_free_port_is_503() {
    let never = world(|fleet| fleet.command = vec!["/bin/false".into()]).await;
    let sentence = refused(never.post(REQUEST).json(&body("Ann")), 500).await;
    assert_eq!(sentence, "The server could not be started. Try again later.");
    never.end().await;

    let holder = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = holder.local_addr().unwrap().port();
    let full = world(|fleet| fleet.port_range = port..=port).await;
    let sentence = refused(full.post(REQUEST).json(&body("Ann")), 503).await;
    assert_eq!(sentence, "No port is free for another server. Try again later.");
    full.end().await;
}

#[tokio::test]
async fn the_game_is_that_of_the_host() {
    let world = world(|_| {}).await;
    let ask = |host: &str| world.post(REQUEST).header("host", host).json(&body("Ann"));
    refused(ask("chess.test"), 404).await;
    // Its version is no semantic one, so that none can be asked for.
    let sentence = refused(ask("go.test"), 400).await;
    assert!(sentence.ends_with("No version is supported at the moment."), "{sentence}");
    assert_eq!(read(ask("skirmish.test:80")).await.0, 201);
    assert_eq!(read(ask("elsewhere.test")).await.0, 201, "the default game");
    world.end().await;

    let nowhere = World::with(|wish| wish.settings.default_game = None).await;
    refused(nowhere.post(REQUEST).json(&body("Ann")), 404).await;
    nowhere.end().await;
}

#[tokio::test]
async fn pages_of_other_origins_may_call() {
    let world = world(|_| {}).await;
    let preflight = world.request(Method::OPTIONS, REQUEST);
    let preflight = preflight
        .header("origin", "https://play.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type");
    let answer = preflight.send().await.unwrap();
    assert!(answer.status().is_success());
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("access-control-allow-origin"), "*");
    assert!(header("access-control-allow-methods").contains("POST"));
    assert!(header("access-control-allow-headers").to_ascii_lowercase().contains("content-type"));
    for path in ["/", "/api/manager", "/api/manager/healthcheck"] {
        let answer = world.get(path).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
    }
    refused(world.get(REQUEST), 405).await;
    world.end().await;
}

#[tokio::test]
async fn one_address_without_a_key_is_bounded_and_a_key_has_its_own_rate() {
    let world = World::with(|wish| {
        fleet_of(wish, |_| {});
        wish.api.limits.allocate_public = once(2);
    })
    .await;
    let key = world.hosting_key().await;
    for _ in 0..2 {
        refused(world.post(REQUEST).body("{}"), 422).await;
    }
    let answer = world.post(REQUEST).body("{}").send().await.unwrap();
    assert_eq!(answer.status(), 429);
    assert!(answer.headers().contains_key("retry-after"));
    assert!(answer.json::<Value>().await.unwrap()["detail"].is_string());
    assert_eq!(read(world.post(REQUEST).header("x-api-key", &key).json(&body("Ann"))).await.0, 201);
    refused(world.post(REQUEST).header("x-api-key", "gk_0_0").json(&body("Ann")), 401).await;
    let powerless = world.key("demo", crate::support::none()).await;
    refused(world.post(REQUEST).header("x-api-key", &powerless).json(&body("Ann")), 403).await;
    world.end().await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let world = World::with(|wish| {
        fleet_of(wish, |_| {});
        wish.api.body_bytes_max = 1_000;
    })
    .await;
    refused(world.post(REQUEST).json(&body(&"x".repeat(1_000))), 413).await;
    world.end().await;
}
