//! When a server counts as ready, and what is said when it does not.

use std::{net::Ipv4Addr, time::Duration};

use greenroom_domain::settings::{PortProtocol, PortSettings, Readiness};
use greenroom_fleet::{ExitCause, Phase, StartError};

use crate::support::*;

/// Long enough for a test game to do what it does on a machine that stalls, short enough to wait for.
const SHORT: Duration = Duration::from_secs(4);

#[tokio::test]
async fn one_that_never_listens_is_not_ready_and_is_ended() {
    let host = Host::new().await;
    let mut spec = game("s1", &["say", "thinking", "wait"]);
    spec.ready_timeout = SHORT;
    let ports = host.start(spec).await;
    let exit = host.until_ended("s1").await;
    let ExitCause::NotReady(sentence) = &exit.cause else { panic!("{:?}", exit.cause) };
    assert!(sentence.contains(&format!("did not open tcp {}", ports[0].port)), "{sentence}");
    assert!(!exit.was_ready);
    assert_eq!(exit.last_lines, ["thinking"]);
    host.finish().await;
}

#[tokio::test]
async fn one_that_listens_on_another_port_is_not_ready_and_says_so() {
    let host = Host::new().await;
    let elsewhere = *some_range(1).start();
    let mut spec = game("s1", &["tcp", &elsewhere.to_string(), "wait"]);
    spec.ready_timeout = SHORT;
    let ports = host.start(spec).await;
    let exit = host.until_ended("s1").await;
    let ExitCause::NotReady(sentence) = &exit.cause else { panic!("{:?}", exit.cause) };
    let wanted = format!("it listens on tcp {elsewhere} instead of tcp {}", ports[0].port);
    assert!(sentence.contains(&wanted), "{sentence}");
    host.finish().await;
}

#[tokio::test]
async fn a_port_that_somebody_else_took_is_told_with_who() {
    let host = Host::new().await;
    let mut spec = game("s1", &["payload", "tcp", "{0}", "wait"]);
    spec.ready_timeout = PATIENCE;
    let port = host.start(spec).await[0].port;
    // Between the reservation and the game's own bind.
    let _thief = std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap();
    host.provider.deliver_payload(&server("s1"), &bytes::Bytes::from_static(b"go")).await.unwrap();
    let exit = host.until_ended("s1").await;
    let ExitCause::PortTaken { port: taken, holder } = exit.cause else { panic!("{:?}", exit.cause) };
    assert_eq!(taken, port);
    assert!(holder.unwrap().contains(&std::process::id().to_string()));
    // Another server does not get it, though nothing of ours holds it.
    let mut spec = game("s2", &["tcp", "{0}", "wait"]);
    spec.port_range = port..=port;
    let error = host.provider.start(spec.clone()).await.unwrap_err();
    assert!(matches!(error, StartError::NoPort { .. }), "{error}");
    spec.ports[0].fixed = Some(port);
    assert_eq!(host.provider.start(spec).await.unwrap_err(), StartError::PortInUse(port));
    host.finish().await;
}

#[tokio::test]
async fn a_child_that_listens_is_the_servers() {
    let host = Host::new().await;
    host.start(game("s1", &["fork", "tcp", "{0}", "wait"])).await;
    host.until_ready("s1").await;
    let child: i32 = host.said("s1", "child ").await.parse().unwrap();
    assert!(host.processes().contains(&child));
    host.finish().await;
}

#[tokio::test]
async fn every_socket_it_was_given_counts() {
    let host = Host::new().await;
    let mut spec = game(
        "s1",
        &["tcp", "{0}", "udp", "{0}", "udp", "{1}", "say", "all but one", "payload", "udp", "{2}", "wait"],
    );
    let port = |name: &str, protocol, fixed| PortSettings {
        name: name.into(),
        protocol,
        count: 1,
        fixed,
        inner: None,
    };
    let last = *some_range(1).start();
    spec.ports = vec![
        port("both", PortProtocol::TcpUdp, None),
        port("query", PortProtocol::Udp, None),
        port("fixed", PortProtocol::Udp, Some(last)),
    ];
    let ports = host.start(spec).await;
    assert_eq!(ports[2].port, last);
    host.said("s1", "all but one").await;
    assert_eq!(host.provider.list().await.unwrap()[0].phase, Phase::Starting);
    host.provider.deliver_payload(&server("s1"), &bytes::Bytes::from_static(b"go")).await.unwrap();
    host.until_ready("s1").await;
    assert!(std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, last)).is_err());
    host.finish().await;
}

#[tokio::test]
async fn where_either_protocol_will_do_one_is_enough_and_none_is_not() {
    let host = Host::new().await;
    for (id, arguments) in [("tcp", ["tcp", "{0}", "wait"]), ("udp", ["udp", "{0}", "wait"])] {
        let mut spec = game(id, &arguments);
        spec.ports[0].protocol = PortProtocol::Either;
        host.start(spec).await;
        host.until_ready(id).await;
    }
    let mut spec = game("none", &["wait"]);
    spec.ports[0].protocol = PortProtocol::Either;
    spec.ready_timeout = Duration::from_millis(300);
    let port = host.start(spec).await[0].port;
    let exit = host.until_ended("none").await;
    let missing = format!("it did not open tcp {port}, udp {port} within 0.3 s");
    assert!(matches!(&exit.cause, ExitCause::NotReady(why) if why.starts_with(&missing)), "{:?}", exit.cause);
    host.finish().await;
}

#[tokio::test]
async fn a_late_one_is_seen_soon_after_it_listens() {
    let host = Host::new().await;
    host.start(game("s1", &["pause", "400", "tcp", "{0}", "wait"])).await;
    let Phase::Ready { at } = host.until("s1", |phase| *phase != Phase::Starting).await.phase else {
        panic!("not ready")
    };
    let listened: i64 = host.said("s1", "listening at ").await.parse().unwrap();
    let after = at.as_millis() - listened / 1000;
    // Ten milliseconds on a machine with nothing else to do; here others run beside it.
    assert!((0..15_000).contains(&after), "{after} ms");
    host.finish().await;
}

#[tokio::test]
async fn a_log_line_or_a_delay_can_be_what_makes_it_ready() {
    let host = Host::new().await;
    let mut spec = game("log", &["say", "loading", "pause", "50", "say", "world is up", "wait"]);
    spec.ready = Readiness::Log("^world .* up$".into());
    host.start(spec).await;
    let mut spec = game("after", &["wait"]);
    spec.ready = Readiness::After(Duration::from_millis(100));
    let began = std::time::Instant::now();
    host.start(spec).await;
    host.until_ready("after").await;
    assert!(began.elapsed() >= Duration::from_millis(100));
    host.until_ready("log").await;
    let mut spec = game("never", &["say", "loading", "wait"]);
    spec.ready = Readiness::Log("up".into());
    spec.ready_timeout = Duration::from_millis(200);
    host.start(spec).await;
    let exit = host.until_ended("never").await;
    assert!(
        matches!(&exit.cause, ExitCause::NotReady(s) if s.contains("no line of its output matched \"up\""))
    );
    let mut spec = game("bad", &["wait"]);
    spec.ready = Readiness::Log("(".into());
    let error = host.provider.start(spec).await.unwrap_err();
    assert!(error.to_string().contains("no regular expression"), "{error}");
    host.finish().await;
}

#[tokio::test]
async fn consecutive_ports_are_consecutive_and_come_back_last() {
    let host = Host::new().await;
    let mut spec = game("s1", &["exit", "0"]);
    spec.ports[0].count = 2;
    let first = host.start(spec.clone()).await;
    assert_eq!(first[0].count, 2);
    host.until_ended("s1").await;
    // Least recently used first, after a restart of ours too.
    let host = host.reopen().await;
    spec.id = server("s2");
    let second = host.start(spec).await;
    assert_eq!(second[0].port, first[0].port + 2);
    host.finish().await;
}
