//! The SDK's endpoint of containers: where an unchanged image looks for it.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use greenroom_domain::settings::{ContainerNetwork, Readiness};
use greenroom_fleet::{ExitCause, Phase, StartError};
use serde_json::Value;

use crate::{
    sdk::{Backend, call},
    support::*,
};

/// A container that has the SDK and says itself when it is ready; the port that its game listens on.
async fn start(rig: &Rig, id: &str, network: ContainerNetwork) -> u16 {
    let mut spec = with(game(id, &["--port", "{0}"]), |settings| settings.network = network);
    (spec.has_sdk, spec.ready) = (true, Readiness::Sdk);
    rig.start(spec).await[0].port
}

/// What the program in the container is told at `address` there; it is asked until it is answered.
fn ask(game: u16, address: &str, words: &str) -> (u16, Value) {
    let until = Instant::now() + PATIENCE;
    loop {
        let answer = try_ask(game, address, words).unwrap_or_default();
        let (status, body) = answer.split_once(' ').unwrap_or_default();
        if let (Ok(status), Ok(body)) = (status.parse(), serde_json::from_str(body)) {
            return (status, body);
        }
        assert!(Instant::now() < until, "{words} at {address} was answered {answer:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn try_ask(game: u16, address: &str, words: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", game))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    writeln!(stream, "!sdk {address} {words}")?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(line)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_image_finds_it_inside_its_own_network_also_after_our_restart() {
    let Some(docker) = shared("an_unchanged_image") else { return };
    let rig = Rig::new(docker).await;
    rig.provider.serve_sdk(Backend::of(&["s1", "s2"]));
    let game = start(&rig, "s1", ContainerNetwork::Bridge).await;
    let other = start(&rig, "s2", ContainerNetwork::Bridge).await;
    let environment = rig.docker.inspect(&rig.container("s1"))["Config"]["Env"].to_string();
    assert!(environment.contains("AGONES_SDK_HTTP_PORT=9358"), "{environment}");
    assert!(environment.contains("AGONES_SDK_GRPC_PORT=9357"), "{environment}");
    for (port, id) in [(game, "s1"), (other, "s2")] {
        let (status, object) = ask(port, "127.0.0.1", "GET /gameserver");
        assert_eq!((status, object["object_meta"]["uid"].as_str()), (200, Some(id)));
    }
    assert!(TcpStream::connect("127.0.0.1:9358").is_err(), "nothing is to be opened here");

    let rig = rig.reopen().await;
    rig.provider.serve_sdk(Backend::of(&["s1", "s2"]));
    assert_eq!(rig.provider.get(&server("s1")).await.unwrap().unwrap().phase, Phase::Starting);
    assert_eq!(ask(game, "127.0.0.1", "POST /ready {}").0, 200);
    rig.provider.mark_ready(&server("s1")).await.unwrap();
    let ready = rig.provider.get(&server("s1")).await.unwrap().unwrap().phase;
    assert!(matches!(ready, Phase::Ready { .. }), "{ready:?}");
    let rig = rig.reopen().await;
    assert_eq!(rig.provider.get(&server("s1")).await.unwrap().unwrap().phase, ready, "it is kept");
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_hosts_network_it_has_ports_of_its_own() {
    let Some(docker) = shared("on_the_hosts_network_it_has") else { return };
    let rig = Rig::new(docker).await;
    let game = start(&rig, "s1", ContainerNetwork::Host).await;
    let environment = rig.docker.inspect(&rig.container("s1"))["Config"]["Env"].clone();
    let port = environment.as_array().unwrap().iter().find_map(|variable| {
        variable
            .as_str()
            .unwrap()
            .strip_prefix("AGONES_SDK_HTTP_PORT=")
            .map(|port| port.parse::<u16>().unwrap())
    });
    let port = port.unwrap();
    assert!(greenroom_fleet::sdk::PORTS.contains(&port), "{port}");
    let rig = rig.reopen().await;
    let backend = Backend::of(&["s1"]);
    rig.provider.serve_sdk(backend.clone());
    let (status, object) = ask(game, "127.0.0.1", "GET /gameserver");
    assert_eq!((status, object["object_meta"]["uid"].as_str()), (200, Some("s1")));
    assert_eq!(ask(game, "127.0.0.1", "POST /health").0, 200);
    backend.until_pinged(1).await;
    backend.set_away(true);
    assert_eq!(ask(game, "127.0.0.1", "POST /ready").0, 503);
    backend.set_away(false);
    assert_eq!(ask(game, "127.0.0.1", "POST /ready").0, 200);
    backend.allocate("s1", "map=de_dust");
    let (_, object) = call(port, "GET", "/gameserver", "").await;
    assert_eq!(object["object_meta"]["annotations"]["greenroom.dev/payload"], "map=de_dust");
    backend.forget("s1");
    assert_eq!(ask(game, "127.0.0.1", "GET /gameserver").0, 404);
    rig.provider.stop(&server("s1"), Duration::ZERO).await.unwrap();
    rig.until_ended("s1").await;
    let closed = async {
        while TcpStream::connect(("127.0.0.1", port)).is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, closed).await.unwrap();
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_it_cannot_be_answered_the_start_is_refused_and_silence_ends_the_server() {
    let Some(docker) = shared("where_it_cannot_be_answered") else { return };
    let rig = Rig::new(docker).await;
    let mut taken = game("taken", &["--tcp-port", "9358", "--delay-ms", "0"]);
    taken.has_sdk = true;
    // Whoever is first has the port: if it is the program, the start is refused.
    match rig.provider.start(taken).await {
        Ok(_) => assert_eq!(rig.until_ended("taken").await.cause, ExitCause::Exited(1)),
        Err(StartError::Spawn(sentence)) => assert!(sentence.contains("9358"), "{sentence}"),
        Err(other) => panic!("{other:?}"),
    }

    let mut silent = game("silent", &["--port", "{0}"]);
    (silent.has_sdk, silent.ready) = (true, Readiness::Sdk);
    silent.ready_timeout = Duration::from_millis(500);
    rig.start(silent).await;
    let cause = rig.until_ended("silent").await.cause;
    let ExitCause::NotReady(sentence) = cause else { panic!("{cause:?}") };
    assert!(sentence.starts_with("it did not call the SDK's Ready within 0.5 s"), "{sentence}");
    rig.finish().await;
}
