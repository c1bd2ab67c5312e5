//! Engines on another machine: their processes and sockets are out of sight, and their networks are
//! reached only where somebody has made a route.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, TcpStream},
    time::{Duration, Instant},
};

use greenroom_domain::settings::{ContainerNetwork, PortProtocol, Readiness};
use greenroom_fleet::{ExitCause, HostState, StartError, StartSpec, docker::Endpoint};
use greenroom_test_support::engines::DockerOptions;

use crate::{support::*, tls::Files};

/// The usual port of an engine with TLS; its machine is its own.
const PORT: u16 = 2376;

/// A provider over an engine that is on another machine as far as anybody can tell.
async fn apart(test: &str) -> Option<Rig> {
    // The certificate is by name: which address the machine gets is not known before.
    let names: Vec<String> = (192..250).map(|range| format!("10.{range}.0.2")).collect();
    let files = Files::of(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let docker = own_with(test, &DockerOptions { apart: true, ..files.options(PORT) })?;
    let endpoint = Endpoint::parse(&format!("tcp://{}:{PORT}", docker.machine())).unwrap();
    let rig = Rig::at(docker, endpoint.with_tls(files.tls()).unwrap()).await;
    assert_eq!(rig.status().state, HostState::Up);
    // Its files are read for each connection.
    std::mem::forget(files);
    Some(rig)
}

fn tcp_game(id: &str, arguments: &[&str]) -> StartSpec {
    let mut spec = game(id, arguments);
    spec.ports = vec![port(PortProtocol::Tcp)];
    spec
}

/// Says a line to the game at `address`.
fn say(address: IpAddr, port: u16) {
    let mut stream = TcpStream::connect((address, port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"hello\n").unwrap();
    let mut answer = [0; 6];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"hello\n");
}

async fn not_ready(rig: &Rig, id: &str) -> String {
    match rig.until_ended(id).await.cause {
        ExitCause::NotReady(sentence) => sentence,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn where_containers_are_reached_a_tcp_server_is_ready_when_it_listens_and_no_earlier() {
    let Some(rig) = apart("where_containers_are_reached").await else { return };
    rig.docker.route_to_containers();
    let began = Instant::now();
    let ports = rig.start(tcp_game("s1", &["--tcp-port", "{0}", "--delay-ms", "2000"])).await;
    let machine: IpAddr = rig.docker.machine().parse().unwrap();
    // The published port accepts before the game does.
    drop(TcpStream::connect((machine, ports[0].port)).unwrap());
    let ready = rig.until_ready("s1").await;
    assert!(began.elapsed() > Duration::from_millis(1500), "{:?}", began.elapsed());
    say(machine, ports[0].port);
    say(ready.address.unwrap(), ports[0].port);
    assert!(rig.texts("s1").await.contains(&"listening".to_owned()));
    rig.provider.stop(&server("s1"), Duration::from_secs(5)).await.unwrap();
    assert!(matches!(rig.until_ended("s1").await.cause, ExitCause::Stopped { .. }));
    rig.finish().await;
}

#[tokio::test]
async fn where_they_are_not_reached_the_sentence_says_what_to_do() {
    let Some(rig) = apart("where_they_are_not_reached").await else { return };
    let mut spec = tcp_game("s1", &["--tcp-port", "{0}"]);
    spec.ready_timeout = Duration::from_secs(3);
    rig.start(spec).await;
    let sentence = not_ready(&rig, "s1").await;
    assert!(sentence.contains("cannot be reached from here"), "{sentence}");
    assert!(sentence.contains("network = \"host\""), "{sentence}");
    // On the host's network its address is its machine's.
    let spec = with(tcp_game("s2", &["--tcp-port", "{0}"]), |s| s.network = ContainerNetwork::Host);
    let ports = rig.start(spec).await;
    let ready = rig.until_ready("s2").await;
    assert_eq!(ready.address.unwrap().to_string(), rig.docker.machine());
    say(ready.address.unwrap(), ports[0].port);
    rig.finish().await;
}

#[tokio::test]
async fn udp_cannot_be_seen_and_another_sign_can() {
    let Some(rig) = apart("udp_cannot_be_seen").await else { return };
    let error = rig.provider.start(game("s1", &["--port", "{0}"])).await.unwrap_err();
    let StartError::Spawn(sentence) = &error else { panic!("{error:?}") };
    assert!(sentence.contains("cannot see UDP ports in a container on another machine"), "{sentence}");
    let mut spec = tcp_game("s3", &["--tcp-port", "{0}"]);
    spec.has_sdk = true;
    let error = rig.provider.start(spec).await.unwrap_err();
    let StartError::Spawn(sentence) = &error else { panic!("{error:?}") };
    assert!(sentence.contains("an engine on Greenroom's own machine"), "{sentence}");
    let mut spec = game("s2", &["--port", "{0}"]);
    spec.ready = Readiness::Log("^listening$".into());
    let ports = rig.start(spec).await;
    rig.until_ready("s2").await;
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.send_to(b"hi", (rig.docker.machine().as_str(), ports[0].port)).unwrap();
    let mut answer = [0; 2];
    socket.recv_from(&mut answer).unwrap();
    assert_eq!(&answer, b"hi");
    rig.finish().await;
}

#[tokio::test]
async fn an_address_that_means_something_else_here_makes_nothing_ready() {
    let Some(rig) = apart("an_address_that_means_something_else").await else { return };
    rig.docker.claim_containers_addresses();
    rig.start(tcp_game("s1", &["--tcp-port", "{0}"])).await;
    let sentence = not_ready(&rig, "s1").await;
    assert!(sentence.contains("it belongs to the bridge grclash"), "{sentence}");
    rig.finish().await;
}
