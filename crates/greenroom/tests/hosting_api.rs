//! A Greenroom that asks another one for game servers.

use std::time::Duration;

use greenroom_test_support::{
    greenroom::{GAME, Installation, Role, Running},
    wait_for,
};
use reqwest::Method;
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_greenroom");

const PATIENCE: Duration = Duration::from_mins(1);

/// The one whose machine the servers run on: a game that tells its payload and stays.
fn there(running_max: u32) -> Installation {
    let fleet = format!(
        "command = [\"/bin/sh\", \"-c\", 'echo hello $GREENROOM_PAYLOAD; exec sleep 100000']\n\
         ready = \"log:^hello\"\nport_range = \"{{ports}}\"\nstop_grace = \"1s\"\n\
         ports = [{{ name = \"default\", protocol = \"tcp\" }}]\nrunning_max = {running_max}\n\
         regions = [\"eu\", \"us\"]\n"
    );
    Installation::new(PROGRAM, "team_size = 2", &fleet, 8)
}

/// The one that asks it, in the region `region`.
fn here(url: &str, key: &str, region: &str) -> Installation {
    let fleet = format!(
        "provider = \"hosting-api\"\nregions = [\"{region}\"]\nready_timeout = \"50s\"\nstart_tries_max = 1\n\
         hosting_api = {{ url = \"{url}\", game = \"{GAME}\", key = \"{key}\" }}\n"
    );
    Installation::new(PROGRAM, "team_size = 2", &fleet, 1)
}

async fn key(there: &Running) -> String {
    let body = json!({ "name": "another host", "studio": "demo", "hosting": true });
    let answer = there.ask(Method::POST, "/v1/keys", Some(&body)).await;
    answer.body["key"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned()
}

async fn allocate(here: &Running, payload: &str) -> Value {
    let body = json!({ "payload": payload });
    let answer = here.ask(Method::POST, &format!("/v1/games/{GAME}/servers"), Some(&body)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body["server"].clone()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("a text, not {value}"))
}

#[tokio::test]
async fn a_server_is_given_logged_found_after_a_restart_and_stopped() {
    let (far, near);
    far = there(8);
    let there = far.serve().await;
    near = here(&there.url, &key(&there).await, "us");
    let mut running = near.serve().await;
    let server = allocate(&running, "{\"map\":\"cellar\"}").await;
    let id = text(&server["id"]).to_owned();
    let servers_there = there.servers().await;
    assert_eq!(servers_there.len(), 1, "{servers_there:?}");
    for field in ["address", "port", "region"] {
        assert_eq!(server[field], servers_there[0][field], "{field}");
    }
    assert_eq!(server["region"], "us");
    let log = running.get(&format!("/v1/servers/{id}/logs")).await;
    assert!(log.body.as_str().unwrap().contains("hello {\"map\":\"cellar\"}"), "{log:?}");

    running.kill();
    let mut running = near.serve().await;
    running.server_in(&id, "allocated").await;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let hosts = running.get("/v1/hosts").await;
        let mut all = hosts.body["hosts"].as_array().unwrap().iter();
        let far_host = all.find(|host| host["provider"] == "hosting-api").unwrap();
        if far_host["state"] == "up" {
            assert_eq!(far_host["servers"], 1, "{hosts:?}");
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "it is not found again: {hosts:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(there.servers().await.len(), 1);

    running.stop_server(&id).await;
    running.server_in(&id, "ended").await;
    assert!(wait_for(|| far.processes().is_empty(), PATIENCE).await, "it ends there as well");
    assert!(!running.has_ended());
}

#[tokio::test]
async fn an_end_there_is_an_end_here() {
    let far = there(8);
    let there = far.serve().await;
    let near = here(&there.url, &key(&there).await, "eu");
    let running = near.serve().await;
    let server = allocate(&running, "").await;
    let processes = far.until_processes(|all| all.iter().any(|process| process.role == Role::Game)).await;
    processes.iter().find(|process| process.role == Role::Game).unwrap().kill();
    let ended = running.server_in(text(&server["id"]), "ended").await;
    assert_eq!(ended["exit"]["signal"], 9, "{ended}");
}

#[tokio::test]
async fn what_is_refused_there_is_told_here_in_our_words() {
    let far = there(1);
    let there = far.serve().await;
    let key = key(&there).await;
    let refused = async |key: &str, region: &str| {
        let near = here(&there.url, key, region);
        let running = near.serve().await;
        let answer = running.ask(Method::POST, &format!("/v1/games/{GAME}/servers"), Some(&json!({}))).await;
        assert_eq!(answer.status, 503, "{answer:?}");
        answer.body["detail"].as_str().unwrap().to_owned()
    };
    let sentence = refused("gk_no_key", "eu").await;
    assert!(sentence.contains("the key is refused there"), "{sentence}");
    let sentence = refused(&key, "mars").await;
    assert!(sentence.contains("the region \"mars\" is unknown there"), "{sentence}");
    let taken = there.ask(Method::POST, &format!("/v1/games/{GAME}/servers"), Some(&json!({}))).await;
    assert_eq!(taken.status, 200, "{taken:?}");
    let sentence = refused(&key, "eu").await;
    assert!(sentence.contains("as many servers run there as may"), "{sentence}");
}
