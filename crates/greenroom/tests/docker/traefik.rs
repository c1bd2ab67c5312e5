//! A Traefik that watches the engine: clients come through it to containers that Greenroom labelled.

use greenroom_test_support::{
    engines::{self, Docker, Traefik},
    greenroom::{Api, GAME, Running, some_ports},
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::Instant};

use crate::world::{PATIENCE, VERSION, Wish, World, wanted};

/// How many clients come.
const CONNECTS: &str = "GREENROOM_DOCKER_CONNECTS";
const CONNECTS_DEFAULT: usize = 12;

/// The network that containers share with Traefik.
const NETWORK: &str = "edge";

/// An engine, a Traefik that watches it, and an installation whose containers share a network with it.
fn both(test: &str) -> Option<(World, Traefik)> {
    let docker = engines::docker(test)?;
    let network = json!({ "Name": NETWORK, "Driver": "bridge" });
    assert_eq!(docker.call("POST", "/networks/create", Some(&network)).status, 201);
    let traefik = engines::traefik(test, &watching(&docker, ""))?;
    let fleet = format!(
        "running_max = 20\nconnection = \"traefik\"\n\
         traefik = {{ network = \"{NETWORK}\", entry_point = \"web\", tls = false, api_url = \"{}\" }}",
        traefik.api_url()
    );
    let world = World::on(docker, &Wish { fleet: &fleet, ..Wish::default() });
    Some((world, traefik))
}

/// The providers of a Traefik that watches `docker`, and takes up what is told it at once.
fn watching(docker: &Docker, further: &str) -> String {
    format!(
        "providers: {{ providersThrottleDuration: 50ms, {further} docker: {{ endpoint: \"{}\", exposedByDefault: false }} }}",
        docker.url()
    )
}

/// One client as in the contract: asks, connects once, at once, plays, and the game ends.
async fn play(api: &Api, traefik: &str, routers: &str, http: &reqwest::Client) {
    let body = json!({ "name": "Ann's Game", "list": true, "version": VERSION });
    let answer = api.ask(Method::POST, "/api/manager/request", Some(&body)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let code = answer.body["game_id"].as_str().unwrap_or_else(|| panic!("no game_id in {answer:?}"));
    assert_eq!(answer.body, json!({ "game_id": code }), "nothing but the code");
    let prefix = format!("{traefik}/games/{GAME}/{code}");
    let played = http.get(format!("{prefix}/ws")).send().await.unwrap();
    let status = played.status();
    let text = played.text().await.unwrap();
    assert_eq!(status, StatusCode::OK, "{code}: {text}");
    assert!(text.starts_with("GET /ws HTTP/1.1\n"), "the prefix is not taken off: {text}");
    let server = server_of(api, code).await;
    let id = server["id"].as_str().unwrap();
    assert_eq!(api.stop_server(id).await.status, 202);
    // With the server its route goes. Asked of Traefik itself: who connects to an address that is gone spoils it
    // for a moment for the container that gets it next.
    let deadline = Instant::now() + PATIENCE;
    while http.get(routers).send().await.unwrap().text().await.unwrap().contains(code) {
        assert!(Instant::now() < deadline, "the route of {code} outlives its server");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

async fn server_of(api: &Api, code: &str) -> Value {
    let found = api.servers().await.into_iter().find(|server| server["code"] == code);
    found.unwrap_or_else(|| panic!("there is no server {code}"))
}

async fn clients_play(world: &World, running: &Running, traefik: &Traefik, clients: usize, at_once: usize) {
    let mut askers = JoinSet::new();
    for asker in 0..at_once {
        let (api, url) = (running.api(), traefik.url().to_owned());
        let routers = format!("{}/api/http/routers", traefik.api_url());
        let clients = clients / at_once + usize::from(asker < clients % at_once);
        askers.spawn(async move {
            let http = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
            for _ in 0..clients {
                play(&api, &url, &routers, &http).await;
            }
        });
    }
    let began = Instant::now();
    askers.join_all().await;
    println!("{clients} clients, {at_once} at a time, in {:?}", began.elapsed());
    assert!(world.are_gone().await, "containers are left over");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_client_gets_through_as_soon_as_traefik_has_the_labels() {
    let test = "a_client_gets_through_as_soon_as_traefik_has_the_labels";
    let Some((world, traefik)) = both(test) else { return };
    let running = world.installation.serve().await;
    clients_play(&world, &running, &traefik, wanted(CONNECTS, CONNECTS_DEFAULT), 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn containers_on_their_hosts_network_are_found_by_what_traefik_asks() {
    let test = "containers_on_their_hosts_network_are_found_by_what_traefik_asks";
    let Some(docker) = engines::docker(test) else { return };
    let listen = format!("127.0.0.1:{}", some_ports(1).split('-').next().unwrap());
    let http = format!("http: {{ endpoint: \"http://{listen}/traefik/config\", pollInterval: 100ms }},");
    let Some(traefik) = engines::traefik(test, &watching(&docker, &http)) else { return };
    let fleet = format!(
        "running_max = 20\nconnection = \"traefik\"\n\
         traefik = {{ entry_point = \"web\", tls = false, api_url = \"{}\" }}",
        traefik.api_url()
    );
    let wish = Wish { fleet: &fleet, tables: "network = \"host\"", ..Wish::default() };
    let World { installation, docker } = World::on(docker, &wish);
    let installation = installation.with_env([("GREENROOM_LISTEN", listen.into())]);
    let world = World { installation, docker };
    let running = world.installation.serve().await;
    clients_play(&world, &running, &traefik, 4, 2).await;
}
