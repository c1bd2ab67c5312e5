//! `top`.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use greenroom_test_support::greenroom::{GAME, Installation, STUDIO};
use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::{greenroom, pty::Pty, run_in};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_shows_the_installation_live_and_gives_the_terminal_back() {
    let fleet = "command = [\"/bin/sleep\", \"100000\"]\nready = \"after:10ms\"\nport_range = \"{ports}\"\n\
                 ports = [{ name = \"default\", protocol = \"tcp\" }]\nrunning_max = 2\n";
    let installation = Installation::new(env!("CARGO_BIN_EXE_greenroom"), "team_size = 2", fleet, 2);
    let running = installation.dev().await;
    let top = |arguments: &[&str]| {
        let mut command = greenroom();
        command
            .arg("top")
            .args(arguments)
            .args(["--every", "100ms", "--data-dir"])
            .arg(installation.data_dir());
        command
    };

    let mut pty = Pty::start(top(&[]), 140, 40);
    pty.until("none runs").await;
    assert!(!pty.is_as_before());
    pty.forget();
    let server = running.allocate(None).await.body["server"]["id"].as_str().unwrap().to_owned();
    pty.until(&server).await;
    pty.until("1 allocated").await;
    // Those of the server came as well, but whether the stream was open by then is not known; this one is seen.
    let event = json!({ "subject": format!("v1.{GAME}.rooms.r1.events.scored"), "data": { "points": 3 } });
    while !pty.shown().contains(r#"{"points":3}"#) {
        assert_eq!(
            running.ask(Method::POST, &format!("/v1/events?studio={STUDIO}"), Some(&event)).await.status,
            202
        );
    }
    pty.types(b"/nothing");
    pty.until("none fits the filter").await;
    pty.forget();
    pty.types(b"\x1b");
    pty.until(&server).await;
    pty.types(b"s");
    pty.until("by oldest").await;
    pty.types(b"q");
    assert_eq!(pty.ended().await, Some(0));
    assert!(pty.is_as_before());
    pty.until("\x1b[?25h\x1b[?1049l").await;

    let mut pty = Pty::start(top(&[]), 80, 24);
    pty.until("GAME SERVERS").await;
    pty.signal(Signal::TERM);
    assert_eq!(pty.ended().await, Some(0));
    assert!(pty.is_as_before());
    pty.until("\x1b[?25h\x1b[?1049l").await;

    let mut child = top(&["--json"]).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for line in lines.take(2) {
        let overview: Value = serde_json::from_str(&line.unwrap()).unwrap();
        assert_eq!((&overview["allocations"], &overview["servers"][0]["id"]), (&json!(1), &json!(server)));
    }
    // Its reader is gone, which the next look tells; or it is asked first.
    let _ = kill_process(Pid::from_child(&child), Signal::INT);
    assert_eq!(child.wait().unwrap().code(), Some(0));

    let (code, _, error) = run_in(installation.data_dir(), &["top"], "");
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("--json"), "{error}");
}
