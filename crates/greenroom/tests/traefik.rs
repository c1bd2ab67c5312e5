//! A real Traefik that learns of process servers by its HTTP provider: a client of a server connects
//! once, at once, after the answer.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use greenroom_test_support::{
    engines::{self, Traefik},
    greenroom::{GAME, Installation, Running, some_ports},
};
use reqwest::Method;
use serde_json::json;
use tokio_tungstenite::connect_async;

const PROGRAM: &str = env!("CARGO_BIN_EXE_greenroom");

/// Asked for one after the other, where it is known when their routes are live.
const SERVERS: u32 = 20;

/// Asked for where it is only waited for as long as Traefik takes on a busy machine.
const SERVERS_SETTLED: u32 = 2;

/// A Traefik that asks the Greenroom at `listen`, and that one's installation, with further settings.
fn both(test: &str, listen: &str, settings: impl Fn(&Traefik) -> String) -> Option<(Traefik, Installation)> {
    let providers = format!(
        "providers: {{ providersThrottleDuration: 10ms, \
         http: {{ endpoint: \"http://{listen}/traefik/config\", pollInterval: 100ms }} }}"
    );
    let traefik = engines::traefik(test, &providers)?;
    let fleet = format!(
        "command = [\"{{greenroom}}\", \"skirmish-server\", \"--port\", \"{{port}}\"]\nport_range = \"{{ports}}\"\n\
         ports = [{{ name = \"default\", protocol = \"tcp\" }}]\nrunning_max = 4\nstop_grace = \"1s\"\n\
         connection = \"traefik\"\ntraefik = {{ entry_point = \"web\", tls = false, {} }}\n",
        settings(&traefik)
    );
    let installation =
        Installation::new(PROGRAM, "", &fleet, 4).with_env([("GREENROOM_LISTEN", listen.into())]);
    Some((traefik, installation))
}

fn free_address() -> String {
    format!("127.0.0.1:{}", some_ports(1).split('-').next().unwrap())
}

async fn clients_get_through(running: &Running, traefik: &Traefik, servers: u32) {
    for round in 0..servers {
        let answer = running.ask(Method::POST, &format!("/v1/games/{GAME}/servers"), Some(&json!({}))).await;
        assert_eq!(answer.status, 200, "round {round}: {}\n{}", answer.body, traefik.log());
        let id = answer.body["server"]["id"].as_str().unwrap();
        let server = running.get(&format!("/v1/servers/{id}")).await.body;
        let code = server["code"].as_str().unwrap();
        let url = format!("{}/games/{GAME}/{code}/play", traefik.url().replacen("http", "ws", 1));
        let (socket, answer) = connect_async(&url)
            .await
            .unwrap_or_else(|error| panic!("round {round}: {error}\n{}", traefik.log()));
        assert_eq!(answer.status(), 101);
        drop(socket);
        let stopped = running.ask(Method::DELETE, &format!("/v1/servers/{id}"), None).await;
        assert_eq!(stopped.status, 202);
    }
    // With the last server its route is gone too.
    let gone = async {
        while running.get("/traefik/config").await.body != json!({}) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), gone).await.unwrap();
}

#[tokio::test]
async fn a_client_gets_through_as_soon_as_traefik_says_so() {
    let listen = free_address();
    let settings = |traefik: &Traefik| format!("api_url = \"{}\"", traefik.api_url());
    let Some((traefik, installation)) =
        both("a_client_gets_through_as_soon_as_traefik_says_so", &listen, settings)
    else {
        return;
    };
    let running = installation.dev().await;
    clients_get_through(&running, &traefik, SERVERS).await;
}

#[tokio::test]
async fn a_client_gets_through_a_moment_after_traefik_was_told() {
    let listen = free_address();
    let settings = |_: &Traefik| "settle = \"10s\"".to_owned();
    let Some((traefik, installation)) =
        both("a_client_gets_through_a_moment_after_traefik_was_told", &listen, settings)
    else {
        return;
    };
    let running = installation.dev().await;
    clients_get_through(&running, &traefik, SERVERS_SETTLED).await;
}
