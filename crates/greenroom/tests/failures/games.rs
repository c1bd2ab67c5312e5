//! Games that do not come up, or do not go.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use greenroom_test_support::greenroom::{Answer, Installation, Running, some_ports};

use crate::{PROGRAM, text};

/// A fleet whose command is `command`, as TOML, on one port of its own.
fn fleet(command: &str, more: &str) -> Installation {
    let fleet = format!(
        "command = {command}\nport_range = \"{{ports}}\"\nports = [{{ name = \"default\", protocol = \"tcp\" }}]\nrunning_max = 1\n{more}\n"
    );
    Installation::new(PROGRAM, "", &fleet, 1)
}

/// No server, and nothing of it is left; the place is free for the next, which fares no better.
async fn is_refused(installation: &Installation, running: &Running) -> Answer {
    let refused = running.allocate(Some("the same key")).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(refused.body["code"], "no_server", "{refused:?}");
    assert!(refused.retry_after_s.is_some());
    installation.until_nothing_is_left().await;
    let again = running.allocate(Some("the same key")).await;
    assert_eq!(again.status, 503, "a failure is not remembered: {again:?}");
    println!("{}", refused.sentence());
    refused
}

#[tokio::test]
async fn a_command_that_does_not_exist() {
    let installation = fleet("[\"no-such-game\"]", "");
    let running = installation.dev().await;
    let began = Instant::now();
    let refused = is_refused(&installation, &running).await;
    assert!(refused.sentence().contains("no-such-game"), "{refused:?}");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    for server in running.servers().await {
        let states = server["history"].as_array().unwrap().iter();
        let starts = states.filter(|change| change["state"] == "starting").count();
        assert_eq!(starts, 1, "it is said at once, not after tries: {server:#}");
    }
}

#[tokio::test]
async fn a_game_that_exits_at_once() {
    let installation = fleet("[\"/bin/sh\", \"-c\", \"echo 'no map today'; exit 3\"]", "start_tries_max = 2");
    let running = installation.dev().await;
    let refused = is_refused(&installation, &running).await;
    assert!(refused.sentence().contains("status 3"), "{refused:?}");
    let servers = running.servers().await;
    assert_eq!(servers.len(), 2);
    for server in servers {
        assert_eq!(server["exit"]["code"], 3, "{server}");
        let log = running.get(&format!("/v1/servers/{}/logs", text(&server["id"]))).await;
        assert!(log.body.as_str().unwrap().contains("no map today"), "{log:?}");
    }
}

#[tokio::test]
async fn a_game_that_never_listens() {
    let more = "ready = \"listening\"\nready_timeout = \"500ms\"\nstart_tries_max = 1\nstop_grace = \"1s\"";
    let installation = fleet("[\"/bin/sh\", \"-c\", \"exec sleep 100000\"]", more);
    let running = installation.dev().await;
    let refused = is_refused(&installation, &running).await;
    assert!(refused.sentence().contains("ready"), "{refused:?}");
}

#[tokio::test]
async fn a_game_that_listens_on_another_port() {
    let other = some_ports(1);
    let other = other.split('-').next().unwrap().to_owned();
    let command = format!("[\"{{greenroom}}\", \"skirmish-server\", \"--port\", \"{other}\"]");
    // Long enough for it to listen on a machine that stalls, and for its end to be known before nobody waits
    // any more: an answer is waited for as long as a try and its grace.
    let more = "ready = \"listening\"\nready_timeout = \"8s\"\nstart_tries_max = 1\nstop_grace = \"30s\"";
    let installation = fleet(&command, more);
    let running = installation.dev().await;
    let refused = is_refused(&installation, &running).await;
    assert!(refused.sentence().contains(&other), "which one it has instead: {refused:?}");
}

#[tokio::test]
async fn a_game_that_ignores_sigterm() {
    let command = "[\"/bin/sh\", \"-c\", \"trap '' TERM; echo hello; while :; do sleep 0.1; done\"]";
    let installation = fleet(command, "ready = \"log:^hello\"\nstop_grace = \"400ms\"");
    let running = installation.dev().await;
    let server = running.allocate(None).await;
    assert_eq!(server.status, 200, "{server:?}");
    let id = text(&server.body["server"]["id"]);
    let began = Instant::now();
    assert_eq!(running.stop_server(&id).await.status, 202);
    let ended = running.server_in(&id, "ended").await;
    assert!(began.elapsed() >= Duration::from_millis(400), "it has its grace: {:?}", began.elapsed());
    let reason = text(&ended["exit"]["reason"]);
    println!("{reason}");
    assert!(reason.contains("kill"), "{ended:#}");
    assert_eq!(ended["exit"]["crashed"], false, "{ended:#}");
    installation.until_nothing_is_left().await;
}

#[tokio::test]
async fn a_port_that_another_program_has() {
    let installation =
        fleet("[\"/bin/sh\", \"-c\", \"echo hello; exec sleep 100000\"]", "ready = \"log:^hello\"");
    let config = std::fs::read_to_string(installation.config()).unwrap();
    let port: u16 =
        config.split_once("port_range = \"").unwrap().1.split('-').next().unwrap().parse().unwrap();
    let other = TcpListener::bind(("0.0.0.0", port)).unwrap();
    let running = installation.dev().await;
    let refused = is_refused(&installation, &running).await;
    assert!(refused.sentence().contains(&port.to_string()), "{refused:?}");
    drop(other);
    let server = running.allocate(Some("the same key")).await;
    assert_eq!((server.status, &server.body["server"]["port"]), (200, &port.into()), "{server:?}");
}
