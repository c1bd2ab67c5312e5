//! When a container counts as ready.

use std::{
    io::{Read as _, Write as _},
    net::{TcpStream, UdpSocket},
    time::{Duration, Instant},
};

use greenroom_domain::settings::{ContainerNetwork, PortProtocol, Readiness};
use greenroom_fleet::ExitCause;

use crate::support::*;

/// Connects once, at once, as a player does.
fn connect(port: u16) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"hello\n").unwrap();
    let mut answer = [0; 6];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"hello\n");
}

#[tokio::test]
async fn players_can_connect_by_tcp_and_udp_as_soon_as_it_is_ready() {
    let Some(docker) = shared("players_can_connect") else { return };
    let rig = Rig::new(docker).await;
    let port = rig.start(game("s1", &["--port", "{0}"])).await[0].port;
    let ready = rig.until_ready("s1").await;
    connect(port);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.send_to(b"hi", ("127.0.0.1", port)).unwrap();
    let mut answer = [0; 2];
    socket.recv_from(&mut answer).unwrap();
    assert_eq!(&answer, b"hi");
    // Its own address is reached as well.
    let address = ready.address.unwrap();
    assert!(!address.is_loopback());
    drop(TcpStream::connect((address, port)).unwrap());
    assert!(ready.is_host_reachable);
    rig.finish().await;
}

#[tokio::test]
async fn one_that_takes_two_seconds_is_ready_no_earlier_though_its_published_port_accepts() {
    let Some(docker) = shared("one_that_takes_two_seconds") else { return };
    let rig = Rig::new(docker).await;
    let began = Instant::now();
    let port = rig.start(game("s1", &["--port", "{0}", "--delay-ms", "2000"])).await[0].port;
    // The engine's proxy accepts for a game that does not listen.
    drop(TcpStream::connect(("127.0.0.1", port)).unwrap());
    rig.until_ready("s1").await;
    assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
    connect(port);
    rig.finish().await;
}

#[tokio::test]
async fn one_whose_udp_port_alone_is_missing_is_not_ready_and_says_what_it_does_instead() {
    let Some(docker) = shared("one_whose_udp_port") else { return };
    let rig = Rig::new(docker).await;
    let mut spec = game("s1", &["--tcp-port", "{0}", "--udp-port", "9"]);
    // Long enough for the game to open the other one on a machine that stalls.
    spec.ready_timeout = Duration::from_secs(8);
    let port = rig.start(spec).await[0].port;
    let exit = rig.until_ended("s1").await;
    let ExitCause::NotReady(sentence) = &exit.cause else { panic!("{:?}", exit.cause) };
    assert!(sentence.contains(&format!("it listens on udp 9 instead of udp {port}")), "{sentence}");
    assert!(!exit.was_ready);
    rig.finish().await;
}

#[tokio::test]
async fn on_the_hosts_network_its_own_sockets_count_and_no_others() {
    let Some(docker) = shared("on_the_hosts_network") else { return };
    let rig = Rig::new(docker).await;
    let on_host = |spec| with(spec, |settings| settings.network = ContainerNetwork::Host);
    let port = rig.start(on_host(game("s1", &["--port", "{0}"]))).await[0].port;
    let ready = rig.until_ready("s1").await;
    assert!(ready.address.unwrap().is_loopback());
    connect(port);
    // Somebody else takes the port between the reservation and the game's own bind.
    let mut spec = on_host(game("s2", &["--tcp-port", "1", "--delay-ms", "300"]));
    spec.ready_timeout = Duration::from_secs(2);
    spec.ports[0].protocol = PortProtocol::Tcp;
    let port = rig.start(spec).await[0].port;
    let _thief = std::net::TcpListener::bind(("0.0.0.0", port)).unwrap();
    let exit = rig.until_ended("s2").await;
    assert!(matches!(exit.cause, ExitCause::NotReady(_) | ExitCause::Exited(_)), "{:?}", exit.cause);
    rig.finish().await;
}

#[tokio::test]
async fn a_health_check_a_line_or_a_time_can_be_what_makes_it_ready() {
    let Some(docker) = shared("a_health_check") else { return };
    // One that is given all the tries it needs, and one that has a single one.
    for (name, retries) in [("patient", 1_000), ("strict", 1)] {
        let check = format!(
            "HEALTHCHECK --interval=100ms --timeout=30s --retries={retries} CMD [\"/game\", \"--health\"]"
        );
        docker.import_game_with(name, &["1.0.0"], &[&check]);
    }
    let rig = Rig::new(docker).await;
    let with_check = |name: &str, id: &str, arguments: &[&str]| {
        let mut spec = game(id, arguments);
        let greenroom_fleet::Program::Container { image, .. } = &mut spec.program else { unreachable!() };
        *image = format!("{name}:1.0.0");
        spec.ready = Readiness::Health;
        spec
    };
    let mut late = with_check("strict", "late", &["--port", "{0}", "--delay-ms", "600000"]);
    late.ready_timeout = PATIENCE;
    rig.start(with_check("patient", "health", &["--port", "{0}"])).await;
    rig.until_ready("health").await;
    let mut spec = game("log", &["--port", "{0}", "--print", "world 1 up", "--delay-ms", "500"]);
    spec.ready = Readiness::Log("^world .* up$".into());
    rig.start(spec).await;
    let mut spec = game("after", &[]);
    spec.ready = Readiness::After(Duration::from_millis(300));
    let began = Instant::now();
    rig.start(spec).await;
    rig.until_ready("after").await;
    assert!(began.elapsed() >= Duration::from_millis(300));
    rig.until_ready("log").await;
    // Unhealthy before it was ready: ended.
    rig.start(late).await;
    let exit = rig.until_ended("late").await;
    assert!(matches!(&exit.cause, ExitCause::NotReady(s) if s.contains("unhealthy")), "{:?}", exit.cause);
    let mut spec = game("none", &["--port", "{0}"]);
    spec.ready = Readiness::Health;
    rig.start(spec).await;
    let exit = rig.until_ended("none").await;
    assert!(matches!(&exit.cause, ExitCause::NotReady(s) if s.contains("HEALTHCHECK")), "{:?}", exit.cause);
    rig.finish().await;
}
