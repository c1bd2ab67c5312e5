//! Lobbies, players and events of a Greenroom that runs.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use greenroom_test_support::greenroom::{GAME, Installation, STUDIO};
use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::{greenroom, run_in};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lobbies_players_and_events() {
    let fleet = "command = [\"/bin/true\"]\nport_range = \"{ports}\"\n\
                 ports = [{ name = \"default\", protocol = \"tcp\" }]\nrunning_max = 1\n";
    let installation = Installation::new(env!("CARGO_BIN_EXE_greenroom"), "team_size = 2", fleet, 1);
    let running = installation.dev().await;
    let run = |arguments: &[&str]| {
        let (code, out, error) = run_in(installation.data_dir(), arguments, "");
        assert_eq!(code, Some(0), "{arguments:?}: {error}");
        out
    };
    let json =
        |arguments: &[&str]| serde_json::from_str::<Value>(&run(&[arguments, &["--json"]].concat())).unwrap();

    let ada = running.sign_in("Ada").await.body;
    running.sign_in("Bo").await;
    let id = ada["account"]["id"].as_str().unwrap();
    let names = |page: &Value| {
        page["players"].as_array().unwrap().iter().map(|p| p["username"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(&json(&["players", "ls"])), ["Ada", "Bo"]);
    assert_eq!(names(&json(&["players", "search", "A"])), ["Ada"]);
    let more = run(&["players", "ls", "--limit", "1"]);
    let cursor = more.rsplit_once("--after ").unwrap().1.trim();
    assert_eq!(names(&json(&["players", "ls", "--after", cursor])), ["Bo"]);
    assert!(run(&["players", "show", id]).contains("Ada"));
    assert_eq!(run(&["players", "sessions", id]).lines().count(), 2, "a head and one sign-in");

    let mut socket = running.connect(ada["accessToken"].as_str().unwrap()).await.unwrap();
    let created = socket.ask(json!({ "type": "lobby:create", "isPrivate": true })).await.unwrap();
    let lobby = created["lobby"]["id"].as_str().unwrap();
    let listed = run(&["lobbies", "ls", "--game", GAME]);
    assert!(listed.contains(lobby) && listed.contains("1/64") && listed.contains("by code"), "{listed}");
    assert!(run(&["lobbies", "show", lobby]).contains("not ready"));
    assert_eq!(run(&["lobbies", "close", lobby]), format!("{lobby} is closed\n"));
    assert_eq!(run_in(installation.data_dir(), &["lobbies", "show", lobby], "").0, Some(3));

    assert!(run(&["players", "ban", id, "--reason", "why not", "--for", "7d"]).contains("is banned until"));
    assert!(run(&["players", "bans"]).contains("why not"));
    assert_eq!(json(&["players", "show", id])["ban"]["reason"], "why not");
    assert_eq!(run(&["players", "sessions", id]).lines().count(), 1, "a ban ends them");
    run(&["players", "unban", id]);
    assert_eq!(run(&["players", "bans"]).lines().count(), 1);

    let subject = format!("v1.{GAME}.rooms.r1.events.scored");
    let tail = || {
        let mut command = greenroom();
        command.args([
            "events",
            "tail",
            "--after",
            "0",
            "--subject",
            &format!("v1.{GAME}.rooms.>"),
            "--data-dir",
        ]);
        command.arg(installation.data_dir()).stdout(Stdio::piped());
        command
    };
    let mut child = tail().spawn().unwrap();
    let event = json!({ "subject": subject, "data": { "points": 3 } });
    let path = format!("/v1/events?studio={STUDIO}");
    assert_eq!(running.ask(Method::POST, &path, Some(&event)).await.status, 202);
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert!(line.ends_with(&format!("  {subject}  {{\"points\":3}}\n")), "{line}");
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    // Who reads one line only ends it.
    let mut child = tail().arg("--json").spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["data"]["points"], 3);
    assert_eq!(running.ask(Method::POST, &path, Some(&event)).await.status, 202);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
