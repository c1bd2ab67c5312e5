//! What dies beside the game: its supervisor, and we.

use std::time::{Duration, Instant};

use greenroom_fleet::{ExitCause, LogQuery, Phase, StartError};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::*;

fn kill(pid: i32) {
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

#[tokio::test]
async fn the_death_of_the_game_and_of_its_supervisor_are_seen_at_once_and_told_apart() {
    let host = Host::new().await;
    for id in ["game", "supervisor"] {
        host.start(game(id, &["tcp", "{0}", "fork", "wait"])).await;
        host.until_ready(id).await;
        host.said(id, "child ").await;
    }
    let began = Instant::now();
    kill(host.pids("game").1);
    kill(host.pids("supervisor").0);
    let exit = host.until_ended("game").await;
    assert_eq!(exit.cause, ExitCause::Signalled(9));
    let exit = host.until_ended("supervisor").await;
    assert_eq!((exit.cause, exit.was_ready), (ExitCause::SupervisorLost, true));
    assert!(exit.last_lines.last().unwrap().starts_with("child "));
    // Nobody looks for it now and then: a few milliseconds where nothing else runs.
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    assert!(host.log("supervisor").await.last().unwrap().text.contains("its supervisor died"));
    host.finish().await;
}

#[tokio::test]
async fn one_that_leaves_its_session_dies_with_the_server() {
    let host = Host::new().await;
    host.start(game("s1", &["escape", "tcp", "{0}", "pause", "200", "exit", "0"])).await;
    host.start(game("s2", &["escape", "tcp", "{0}", "wait"])).await;
    host.said("s1", "escaped").await;
    host.until_ready("s2").await;
    assert_eq!(host.until_ended("s1").await.cause, ExitCause::Exited(0));
    kill(host.pids("s2").0);
    assert_eq!(host.until_ended("s2").await.cause, ExitCause::SupervisorLost);
    host.finish().await;
}

#[tokio::test]
async fn servers_outlive_us_and_are_found_again() {
    let host = Host::new().await;
    let ports = host.start(game("s1", &["say", "before", "tcp", "{0}", "payload", "exit", "5"])).await;
    host.until_ready("s1").await;
    let pids = host.pids("s1");
    let host = host.reopen().await;
    assert_eq!(host.pids("s1"), pids);
    let observed = host.provider.list().await.unwrap().remove(0);
    assert!(matches!(observed.phase, Phase::Ready { .. }));
    assert_eq!((observed.ports, observed.labels["game"].as_str()), (ports.clone(), "skirmish"));
    // The same start, as after a crash in the middle of it: the first answer, no second process.
    assert_eq!(host.start(game("s1", &["exit", "9"])).await, ports);
    assert_eq!(host.processes().len(), 1);
    // Its port is taken.
    let mut spec = game("s2", &["exit", "0"]);
    spec.port_range = ports[0].port..=ports[0].port;
    assert!(host.provider.start(spec).await.is_err());
    // What happens from now on is seen, and its log goes on.
    host.provider.deliver_payload(&server("s1"), &bytes::Bytes::from_static(b"go")).await.unwrap();
    let exit = host.until_ended("s1").await;
    assert_eq!((exit.cause, exit.was_ready), (ExitCause::Exited(5), true));
    let texts: Vec<String> = host.log("s1").await.into_iter().map(|line| line.text).collect();
    assert!(texts.contains(&"before".into()) && texts.contains(&"payload=go".into()), "{texts:?}");
    host.finish().await;
}

#[tokio::test]
async fn an_adopted_one_is_stopped_like_any() {
    let host = Host::new().await;
    host.start(game("s1", &["tcp", "{0}", "wait"])).await;
    let host = host.reopen().await;
    host.provider.stop(&server("s1"), PATIENCE).await.unwrap();
    assert_eq!(host.until_ended("s1").await.cause, ExitCause::Stopped { killed: false });
    host.finish().await;
}

#[tokio::test]
async fn what_ended_while_we_were_away_is_told() {
    let host = Host::new().await;
    for id in ["exits", "dies", "loses"] {
        host.start(game(id, &["tcp", "{0}", "fork", "wait"])).await;
        host.until_ready(id).await;
        host.said(id, "child ").await;
    }
    let (dies, loses) = (host.pids("dies"), host.pids("loses"));
    let exits = host.pids("exits");
    host.provider.shutdown().await;
    kill_process(Pid::from_raw(exits.1).unwrap(), Signal::TERM).unwrap();
    kill(dies.1);
    kill(loses.0);
    // A game goes with its supervisor, though we are not there to see to it.
    for pid in [exits.0, dies.0, loses.0, loses.1] {
        gone(pid).await;
    }
    let host = host.reopen().await;
    let mut causes = Vec::new();
    for observed in host.provider.list().await.unwrap() {
        let Phase::Ended(exit) = observed.phase else { panic!("{observed:?}") };
        assert!(exit.was_ready);
        causes.push((observed.id.to_string(), exit.cause));
    }
    causes.sort_by(|a, b| a.0.cmp(&b.0));
    let wanted = [
        ("dies".to_owned(), ExitCause::Signalled(9)),
        ("exits".to_owned(), ExitCause::Signalled(15)),
        ("loses".to_owned(), ExitCause::SupervisorLost),
    ];
    assert_eq!(causes, wanted);
    assert!(!host.log("dies").await.is_empty());
    host.finish().await;
}

/// Waits until a process has gone, be it as a zombie.
async fn gone(pid: i32) {
    let wait = async {
        while let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) {
            if stat.contains(") Z ") {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap();
}

#[tokio::test]
async fn a_supervisor_that_is_asked_to_terminate_stops_its_server_in_peace() {
    let host = Host::new().await;
    let mut spec = game("s1", &["tcp", "{0}", "wait"]);
    spec.stop_grace = PATIENCE;
    host.start(spec).await;
    host.until_ready("s1").await;
    kill_process(Pid::from_raw(host.pids("s1").0).unwrap(), Signal::TERM).unwrap();
    assert_eq!(host.until_ended("s1").await.cause, ExitCause::Stopped { killed: false });
    host.finish().await;
}

#[tokio::test]
async fn leftovers_of_a_start_that_was_cut_off_are_removed() {
    let host = Host::new().await;
    // As it is before the supervisor was spawned.
    let folder = host.path().join("half");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("spec.json.next"), "{").unwrap();
    let host = host.reopen().await;
    assert!(!folder.exists());
    host.start(game("half", &["tcp", "{0}", "wait"])).await;
    host.until_ready("half").await;
    host.finish().await;
}

#[tokio::test]
async fn who_follows_a_log_is_let_go_when_we_close() {
    let host = Host::new().await;
    host.start(game("s1", &["say", "one", "tcp", "{0}", "wait"])).await;
    host.said("s1", "one").await;
    let query = LogQuery { tail_lines: 0, follow: true };
    let mut lines = host.provider.logs(&server("s1"), query).await.unwrap();
    host.provider.shutdown().await;
    while tokio::time::timeout(PATIENCE, lines.next()).await.unwrap().is_some() {}
    let host = host.reopen().await;
    host.finish().await;
}

#[tokio::test]
async fn ports_that_an_adopted_server_has_not_opened_yet_stay_its_own() {
    let host = Host::new().await;
    let port = host.start(game("s1", &["payload", "tcp", "{0}", "wait"])).await[0].port;
    let host = host.reopen().await;
    let mut spec = game("s2", &["exit", "0"]);
    spec.port_range = port..=port;
    let error = host.provider.start(spec).await.unwrap_err();
    assert!(matches!(error, StartError::NoPort { .. }), "{error}");
    host.provider.deliver_payload(&server("s1"), &bytes::Bytes::from_static(b"go")).await.unwrap();
    host.until_ready("s1").await;
    host.finish().await;
}
