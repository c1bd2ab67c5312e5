//! What is lost and found: the engine, its socket, containers, and we ourselves.

use std::time::Duration;

use greenroom_fleet::{ExitCause, Phase, StartError};
use greenroom_test_support::engines::{DockerOptions, DockerRun};
use serde_json::json;

use crate::support::*;

#[tokio::test]
async fn containers_outlive_us_and_are_found_again() {
    let Some(docker) = shared("containers_outlive_us") else { return };
    let rig = Rig::new(docker).await;
    let ports = rig.start(game("s1", &["--port", "{0}"])).await;
    rig.until_ready("s1").await;
    rig.start(game("s2", &["--port", "{0}"])).await;
    let pid = rig.docker.inspect(&rig.container("s1"))["State"]["Pid"].clone();
    let rig = rig.reopen().await;
    let found = rig.until_ready("s1").await;
    rig.until_ready("s2").await;
    assert_eq!((found.ports, found.labels["game"].as_str()), (ports.clone(), "skirmish"));
    assert_eq!(rig.docker.inspect(&rig.container("s1"))["State"]["Pid"], pid);
    // Its ports are still its own.
    let mut spec = game("s3", &[]);
    spec.port_range = ports[0].port..=ports[0].port;
    assert!(matches!(rig.provider.start(spec).await.unwrap_err(), StartError::NoPort { .. }));
    rig.finish().await;
}

#[tokio::test]
async fn one_that_is_known_by_its_labels_alone_is_taken_over() {
    let Some(docker) = shared("one_that_is_known_by_its_labels") else { return };
    let rig = Rig::new(docker).await;
    let ports = rig.start(game("s1", &["--port", "{0}"])).await;
    rig.until_ready("s1").await;
    let folder = rig.folder_of("s1");
    let rig = rig.reopen_after(|_, _| std::fs::remove_dir_all(&folder).unwrap()).await;
    let found = rig.until_ready("s1").await;
    assert_eq!((found.ports, found.labels["game"].as_str()), (ports, "skirmish"));
    rig.finish().await;
}

#[tokio::test]
async fn what_ended_or_was_removed_while_we_were_away_is_told() {
    let Some(docker) = shared("what_ended_or_was_removed") else { return };
    let rig = Rig::new(docker).await;
    for id in ["ended", "removed"] {
        rig.start(game(id, &["--port", "{0}", "--print", "up"])).await;
        rig.until_ready(id).await;
    }
    let rig = rig
        .reopen_after(|docker, installation| {
            assert!(docker.kill_container(&format!("greenroom-{installation}-ended"), "QUIT"));
            assert!(docker.remove_container(&format!("greenroom-{installation}-removed")));
        })
        .await;
    let ended = rig.until_ended("ended").await;
    assert_eq!((ended.cause, ended.was_ready), (ExitCause::Signalled(3), true));
    assert_eq!(ended.last_lines.last().map(String::as_str), Some("up"));
    assert_eq!(rig.until_ended("removed").await.cause, ExitCause::Removed);
    rig.finish().await;
}

#[tokio::test]
async fn a_container_that_somebody_removes_or_pauses_is_told() {
    let Some(docker) = shared("a_container_that_somebody_removes") else { return };
    let rig = Rig::new(docker).await;
    for id in ["s1", "s2"] {
        rig.start(game(id, &["--port", "{0}"])).await;
        rig.until_ready(id).await;
    }
    assert!(rig.docker.remove_container(&rig.container("s1")));
    assert_eq!(rig.until_ended("s1").await.cause, ExitCause::Removed);
    let at = |what: &str| format!("/containers/{}/{what}", rig.container("s2"));
    assert!(rig.docker.call("POST", &at("pause"), None).is_success());
    rig.until_seen("s2", |observed| observed.is_paused).await;
    assert!(rig.docker.call("POST", &at("unpause"), None).is_success());
    rig.until_seen("s2", |observed| !observed.is_paused).await;
    // A paused one can be stopped.
    assert!(rig.docker.call("POST", &at("pause"), None).is_success());
    rig.provider.stop(&server("s2"), Duration::from_secs(1)).await.unwrap();
    assert!(matches!(rig.until_ended("s2").await.cause, ExitCause::Stopped { .. }));
    rig.finish().await;
}

#[tokio::test]
async fn what_a_start_that_was_cut_off_has_left_is_removed() {
    let Some(docker) = shared("what_a_start_that_was_cut_off") else { return };
    let rig = Rig::new(docker).await;
    let leave = |docker: &greenroom_test_support::engines::Docker, installation: &str, id: &str| {
        let body = json!({
            "Image": "game:1.0.0",
            "Labels": {
                "greenroom.installation": installation,
                "greenroom.host": "engine",
                "greenroom.instance": id,
            }
        });
        let path = format!("/containers/create?name=greenroom-{installation}-{id}");
        assert_eq!(docker.call("POST", &path, Some(&body)).status, 201);
    };
    // While we live: made by an engine that answered too late.
    leave(&rig.docker, &rig.installation, "late");
    rig.until_removed().await;
    let rig = rig.reopen_after(|docker, installation| leave(docker, installation, "cut")).await;
    rig.until_removed().await;
    // The name is free for the start that is tried again.
    leave(&rig.docker, &rig.installation, "s1");
    rig.start(game("s1", &["--port", "{0}"])).await;
    rig.until_ready("s1").await;
    assert_eq!(rig.containers().len(), 1);
    rig.finish().await;
}

#[tokio::test]
async fn two_installations_on_one_engine_keep_to_their_own() {
    let Some(docker) = shared("two_installations") else { return };
    let foreign = docker.run(&DockerRun { image: "game:1.0.0", ..DockerRun::default() });
    let one = Rig::new(docker).await;
    let two = Rig::new(shared("two_installations").unwrap()).await;
    for rig in [&one, &two] {
        rig.start(game("s1", &["--port", "{0}"])).await;
        rig.until_ready("s1").await;
    }
    let one = one.reopen().await;
    one.until_ready("s1").await;
    assert_eq!(one.provider.list().await.unwrap().len(), 1);
    one.finish().await;
    two.until_ready("s1").await;
    assert_eq!(two.docker.inspect(&foreign)["State"]["Running"], true);
    assert!(two.docker.remove_container(&foreign));
    two.finish().await;
}

#[tokio::test]
async fn an_engine_that_is_stopped_is_lost_and_its_containers_are_told_when_it_is_back() {
    let Some(docker) = own("an_engine_that_is_stopped") else { return };
    let rig = Rig::new(docker).await;
    rig.start(game("s1", &["--port", "{0}"])).await;
    rig.until_ready("s1").await;
    rig.docker.stop();
    let lost = rig.until_seen("s1", |observed| !observed.is_host_reachable).await;
    assert!(matches!(lost.phase, Phase::Ready { .. }), "nothing is known of it: {:?}", lost.phase);
    rig.until_host(|host| !host.state.is_up()).await;
    let error = rig.provider.start(game("s2", &[])).await.unwrap_err();
    assert!(matches!(error, StartError::Unreachable { .. }), "{error:?}");
    rig.docker.start();
    rig.until_host(|host| host.state.is_up()).await;
    // The engine has ended it as it stopped.
    let exit = rig.until_ended("s1").await;
    assert!(matches!(exit.cause, ExitCause::Signalled(_)), "{:?}", exit.cause);
    rig.start(game("s2", &["--port", "{0}"])).await;
    rig.until_ready("s2").await;
    rig.finish().await;
}

#[tokio::test]
async fn containers_that_outlive_their_engine_are_adopted_again() {
    let options = DockerOptions { live_restore: true, ..DockerOptions::default() };
    let Some(docker) = own_with("containers_that_outlive", &options) else { return };
    let rig = Rig::new(docker).await;
    for id in ["s1", "s2"] {
        rig.start(game(id, &["--port", "{0}"])).await;
        rig.until_ready(id).await;
    }
    let pid = rig.docker.inspect(&rig.container("s2"))["State"]["Pid"].as_i64().unwrap();
    rig.docker.stop();
    rig.until_seen("s1", |observed| !observed.is_host_reachable).await;
    // A stop that is asked for while nobody can be told, and a death that nobody sees.
    rig.provider.stop(&server("s1"), Duration::ZERO).await.unwrap();
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    rig.docker.start();
    assert!(matches!(rig.until_ended("s1").await.cause, ExitCause::Stopped { .. }));
    let exit = rig.until_ended("s2").await;
    assert_eq!((exit.cause, exit.was_ready), (ExitCause::Signalled(9), true));
    rig.finish().await;
}

#[tokio::test]
async fn an_engine_that_hangs_or_whose_socket_is_gone_keeps_nobody_waiting() {
    let Some(docker) = own("an_engine_that_hangs") else { return };
    let rig = Rig::new(docker).await;
    rig.start(game("s1", &["--port", "{0}"])).await;
    rig.until_ready("s1").await;
    rig.docker.hide_socket().unwrap();
    let lost = rig.until_seen("s1", |observed| !observed.is_host_reachable).await;
    assert!(matches!(lost.phase, Phase::Ready { .. }));
    rig.docker.show_socket().unwrap();
    rig.until_seen("s1", |observed| observed.is_host_reachable).await;
    rig.docker.pause();
    let began = std::time::Instant::now();
    let start = rig.provider.start(game("s2", &["--port", "{0}"]));
    assert_eq!(rig.provider.list().await.unwrap().len(), 1);
    rig.until_seen("s1", |observed| !observed.is_host_reachable).await;
    assert!(began.elapsed() < Duration::from_secs(45), "{:?}", began.elapsed());
    drop(start);
    rig.docker.resume();
    rig.until_seen("s1", |observed| observed.is_host_reachable).await;
    rig.docker.pause();
    let began = std::time::Instant::now();
    tokio::time::timeout(PATIENCE, rig.provider.shutdown()).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(45), "{:?}", began.elapsed());
    rig.docker.resume();
    let rig = rig.reopen().await;
    rig.until_ready("s1").await;
    rig.finish().await;
}
