//! How Greenroom and its game servers come and go: signals, restarts, and deaths of either.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use greenroom_test_support::{
    greenroom::{Api, GAME, Installation, Process, Role, Running},
    wait_for,
};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::time::Instant;

const PROGRAM: &str = env!("CARGO_BIN_EXE_greenroom");

/// The longest that the death of a game server may go unseen: nobody looks for it now and then, so that
/// it is milliseconds where nothing else runs.
const SEEN_MAX: Duration = Duration::from_secs(15);

const PATIENCE: Duration = Duration::from_mins(1);

/// A game that says hello and stays.
const STAYS: &str = "echo hello; exec sleep 100000";

/// Runs the shell script `script`; with `ports` ports, as many servers may run.
fn installation(script: &str, stop_grace: &str, ports: u16) -> Installation {
    let fleet = format!(
        "command = [\"/bin/sh\", \"-c\", '''{script}''']\nready = \"log:^hello\"\nport_range = \"{{ports}}\"\n\
         ports = [{{ name = \"default\", protocol = \"tcp\" }}]\n\
         stop_grace = \"{stop_grace}\"\nrunning_max = {ports}\n"
    );
    Installation::new(PROGRAM, "team_size = 2, grace = \"10m\"", &fleet, ports)
}

async fn allocate(api: &Api) -> Value {
    let answer = api.allocate(None).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body["server"].clone()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a text, not {value}")).to_owned()
}

async fn process(installation: &Installation, server: &Value, role: Role) -> Process {
    let is_it = |process: &Process| process.role == role && server["id"] == *process.server;
    installation.until_processes(|all| all.iter().any(is_it)).await.into_iter().find(is_it).unwrap()
}

async fn until_games(installation: &Installation, count: usize) {
    let games = |all: &[Process]| all.iter().filter(|process| process.role == Role::Game).count();
    installation.until_processes(|all| games(all) == count).await;
}

/// Kills that process of a new server and sees the server end in `state` in time; gives the server.
async fn killed(installation: &Installation, running: &Running, role: Role, state: &str) -> Value {
    let server = allocate(running).await;
    let id = text(&server["id"]);
    let process = process(installation, &server, role).await;
    let began = Instant::now();
    process.kill();
    let ended = running.server_in(&id, state).await;
    let seen = began.elapsed();
    println!("{role:?} killed: {state} after {seen:?}");
    assert!(seen < SEEN_MAX, "{state} after {seen:?}");
    installation.until_nothing_is_left().await;
    let log = running.get(&format!("/v1/servers/{id}/logs")).await;
    let log = log.body.as_str().unwrap_or_default();
    assert!(log.starts_with("hello\nthe game server has ended: "), "the log is kept: {log:?}");
    ended
}

/// The one event `kind` of a server, once it is in the history.
async fn event(running: &Running, server: &Value, kind: &str) -> Value {
    let subject = format!("v1.{GAME}.servers.{}.events.{kind}", text(&server["id"]));
    let deadline = Instant::now() + PATIENCE;
    loop {
        let events = running.events(1).await;
        let mut found = events.into_iter().filter(|event| event["subject"] == subject);
        if let Some(event) = found.next() {
            assert_eq!(found.next(), None);
            return event;
        }
        assert!(Instant::now() < deadline, "{subject} never comes");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_killed_server_and_a_killed_supervisor_are_seen_at_once_and_told_apart() {
    // One port, one place: each has to be free again before the next server can have it.
    let installation = installation(STAYS, "1s", 1);
    let running = installation.dev().await;

    let crashed = killed(&installation, &running, Role::Game, "ended").await;
    let exit = &crashed["exit"];
    assert_eq!((&exit["signal"], &exit["crashed"]), (&json!(9), &json!(true)), "{exit}");
    assert_eq!(exit["code"], Value::Null, "{exit}");
    assert_eq!(exit["lastLines"], json!(["hello"]), "{exit}");
    let told = event(&running, &crashed, "stopped").await;
    assert_eq!(told["data"]["crashed"], true, "{told}");

    let lost = killed(&installation, &running, Role::Supervisor, "lost").await;
    let exit = &lost["exit"];
    assert_eq!((&exit["signal"], &exit["code"]), (&Value::Null, &Value::Null), "{exit}");
    assert_eq!(lost["port"], crashed["port"]);
    let told = event(&running, &lost, "lost").await;
    println!("crashed: {}, lost: {}", crashed["exit"]["reason"], lost["exit"]["reason"]);
    assert_ne!(crashed["exit"]["reason"], lost["exit"]["reason"]);
    assert_eq!(told["data"]["reason"], lost["exit"]["reason"], "{told}");

    let third = allocate(&running).await;
    assert_eq!(third["port"], crashed["port"], "the port is free again");
    until_games(&installation, 1).await;
}

/// Two players in a lobby, with their tokens.
async fn two_in_a_lobby(api: &Api) -> (Value, [Value; 2]) {
    let (ann, bob) = (api.sign_in("Ann").await.body, api.sign_in("Bob").await.body);
    let mut ann_socket = api.connect(&text(&ann["accessToken"])).await.unwrap();
    let created = ann_socket.ask(json!({ "type": "lobby:create", "name": "ours" })).await.unwrap();
    let mut bob_socket = api.connect(&text(&bob["accessToken"])).await.unwrap();
    let join = json!({ "type": "lobby:join", "code": created["lobby"]["code"] });
    assert_eq!(bob_socket.ask(join).await.unwrap()["type"], "ok");
    (created["lobby"].clone(), [ann, bob])
}

/// Both come back, are connected, and the owner is who it was.
async fn both_resume(api: &Api, lobby: &Value, players: &[Value; 2]) {
    let mut sockets = Vec::new();
    for player in players {
        sockets.push(api.connect(&text(&player["accessToken"])).await.unwrap());
    }
    let is_whole = |message: &Value| {
        let member = |team: &str| message["lobby"][team][0]["connected"] == true;
        message["type"] == "lobby:updated" && member("teamA") && member("teamB")
    };
    for socket in &mut sockets {
        let updated = socket.until(is_whole).await.unwrap();
        assert_eq!(updated["lobby"]["id"], lobby["id"]);
        assert_eq!(updated["lobby"]["ownerId"], lobby["ownerId"]);
        assert_eq!(updated["lobby"]["name"], "ours");
    }
}

#[tokio::test]
async fn serve_leaves_its_servers_running_and_the_next_start_finds_everything() {
    let installation = installation(STAYS, "1s", 4);
    let began = Instant::now();
    let mut running = installation.serve().await;
    let first = began.elapsed();
    assert_eq!((running.get("/readyz").await.status, running.get("/healthz").await.status), (200, 200));
    let shown = running.printed();
    assert!(shown.contains("The admin token, shown this once"), "{shown}");
    let mut servers = Vec::new();
    for n in 0..3 {
        servers.push(running.allocate(Some(&format!("key-{n}"))).await.body["server"].clone());
    }
    let (lobby, players) = two_in_a_lobby(&running).await;
    let mut sockets = Vec::new();
    for player in &players {
        sockets.push(running.connect(&text(&player["accessToken"])).await.unwrap());
    }
    let processes = installation.until_processes(|all| all.len() == 6).await;

    running.signal(Signal::TERM);
    let mut hints = Vec::new();
    for socket in &mut sockets {
        let closed = socket.closed().await;
        assert_eq!(closed.code, Some(1012), "{closed:?}");
        let hint: Value = serde_json::from_str(&closed.reason).unwrap();
        hints.push(hint["retryAfterMs"].as_u64().unwrap());
    }
    println!("asked to come back after {hints:?} ms");
    assert!(hints.iter().all(|hint| (100..60_000).contains(hint)), "{hints:?}");
    assert_eq!(running.ended().await.code(), Some(0), "{}", running.log());
    assert_eq!(installation.processes(), processes, "`serve` stopped or doubled a game server");

    // One dies while nobody looks.
    process(&installation, &servers[2], Role::Game).await.kill();

    let began = Instant::now();
    let again = installation.serve().await;
    println!("serving after {first:?}, and again after {:?}", began.elapsed());
    assert!(!again.printed().contains("admin token"), "shown a second time: {}", again.printed());
    for (n, server) in servers.iter().enumerate().take(2) {
        let repeated = again.allocate(Some(&format!("key-{n}"))).await;
        assert_eq!(repeated.body["server"], *server);
        assert!(processes.iter().all(|process| server["id"] != *process.server || process.is_alive()));
    }
    let died = again.server_in(&text(&servers[2]["id"]), "ended").await;
    assert_eq!(died["exit"]["signal"], 9, "{died:#}");
    event(&again, &died, "stopped").await;
    both_resume(&again, &lobby, &players).await;
}

#[tokio::test]
async fn dev_stops_its_own_servers_and_keeps_the_rest() {
    let installation = installation(STAYS, "1s", 4);
    let mut running = installation.dev().await;
    let servers = [allocate(&running).await, allocate(&running).await];
    let (lobby, players) = two_in_a_lobby(&running).await;
    until_games(&installation, 2).await;
    running.signal(Signal::INT);
    assert_eq!(running.ended().await.code(), Some(0), "{}", running.log());
    installation.until_nothing_is_left().await;

    let again = installation.dev().await;
    assert_eq!(again.admin_token, running.admin_token);
    for server in &servers {
        let ended = again.server_in(&text(&server["id"]), "ended").await;
        assert_eq!(ended["exit"]["crashed"], false, "{ended:#}");
        event(&again, server, "stopped").await;
    }
    both_resume(&again, &lobby, &players).await;
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let stubborn = "trap '' TERM; echo hello; while :; do sleep 1; done";
    let installation = installation(stubborn, "60s", 2);
    let mut running = installation.dev().await;
    let server = allocate(&running).await;
    running.signal(Signal::INT);
    assert!(wait_for(|| running.log().contains("stopping"), PATIENCE).await);
    let began = Instant::now();
    running.signal(Signal::INT);
    assert_eq!(running.ended().await.code(), Some(130), "{}", running.log());
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    // Nothing is forgotten: the next one goes on with it.
    assert!(process(&installation, &server, Role::Game).await.is_alive());
    let again = installation.serve().await;
    let found = again.server(&text(&server["id"])).await;
    assert!(matches!(found.body["state"].as_str(), Some("allocated" | "stopping")), "{found:?}");
}
