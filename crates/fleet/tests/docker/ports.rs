//! Ports: none twice, whoever holds them.

use std::collections::{BTreeMap, BTreeSet};

use greenroom_domain::settings::{PortProtocol, PortSettings};
use greenroom_fleet::{Program, StartError};
use greenroom_test_support::engines::DockerRun;
use serde_json::json;

use crate::support::*;

#[tokio::test]
async fn starts_in_flight_together_have_ports_of_their_own() {
    let Some(docker) = shared("starts_in_flight") else { return };
    let rig = Rig::new(docker).await;
    let range = some_range(12);
    let starts = (0..12).map(|n| {
        let mut spec = game(&format!("s{n}"), &["--port", "{0}"]);
        spec.port_range = range.clone();
        rig.provider.start(spec)
    });
    let started = futures_util::future::join_all(starts).await;
    let ports: BTreeSet<u16> = started.into_iter().map(|started| started.unwrap().ports[0].port).collect();
    assert_eq!(ports.len(), 12);
    let mut spec = game("more", &[]);
    spec.port_range = range;
    assert!(matches!(rig.provider.start(spec).await.unwrap_err(), StartError::NoPort { .. }));
    for n in 0..12 {
        rig.until_ready(&format!("s{n}")).await;
    }
    rig.finish().await;
}

#[tokio::test]
async fn a_port_that_another_container_or_process_holds_is_never_given() {
    let Some(docker) = shared("a_port_that_another") else { return };
    let range = some_range(4);
    let first = *range.start();
    let foreign = docker.run(&DockerRun {
        image: "game:1.0.0",
        arguments: &["--port", "1000"],
        more: json!({
            "ExposedPorts": { "1000/udp": {} },
            "HostConfig": { "PortBindings": { "1000/udp": [{ "HostPort": first.to_string() }] } }
        }),
        ..DockerRun::default()
    });
    let _listener = std::net::TcpListener::bind(("127.0.0.1", first + 1)).unwrap();
    let rig = Rig::new(docker).await;
    let mut spec = game("s1", &["--port", "{0}"]);
    spec.port_range = range.clone();
    assert_eq!(rig.start(spec).await[0].port, first + 2);
    // A local process draws from the same ports.
    let mut spec = game("p1", &[]);
    spec.port_range = range.clone();
    spec.host = greenroom_fleet::local_host();
    spec.program = Program::Process { working_dir: None };
    spec.render = std::sync::Arc::new(|_| {
        Ok(greenroom_fleet::Launch {
            argv: vec!["sleep".into(), "100".into()],
            environment: BTreeMap::default(),
        })
    });
    assert_eq!(rig.start(spec).await[0].port, first + 3);
    let mut spec = game("s2", &[]);
    spec.port_range = range;
    assert!(matches!(rig.provider.start(spec).await.unwrap_err(), StartError::NoPort { .. }));
    assert!(rig.docker.remove_container(&foreign));
    rig.finish().await;
}

#[tokio::test]
async fn an_inner_port_is_mapped_and_several_are_consecutive() {
    let Some(docker) = shared("an_inner_port") else { return };
    let rig = Rig::new(docker).await;
    let mut spec = game("s1", &["--tcp-port", "{0}", "--udp-port", "5000", "--udp-port", "5001"]);
    spec.ports[0].inner = Some(31_400);
    spec.ports[0].protocol = PortProtocol::Tcp;
    spec.ports.push(PortSettings {
        name: "voice".into(),
        protocol: PortProtocol::Udp,
        count: 2,
        fixed: None,
        inner: Some(5000),
    });
    let ports = rig.start(spec).await;
    assert_eq!((ports[0].inner, ports[1].inner), (Some(31_400), Some(5000)));
    let ready = rig.until_ready("s1").await;
    drop(std::net::TcpStream::connect(("127.0.0.1", ports[0].port)).unwrap());
    drop(std::net::TcpStream::connect((ready.address.unwrap(), 31_400)).unwrap());
    rig.finish().await;
}

#[tokio::test]
async fn ports_that_are_not_published_are_the_containers_own() {
    let Some(docker) = shared("ports_that_are_not_published") else { return };
    let rig = Rig::new(docker).await;
    for id in ["s1", "s2"] {
        let mut spec = game(id, &["--port", "{0}"]);
        spec.ports[0].inner = Some(31_400);
        let Program::Container { is_published, .. } = &mut spec.program else { unreachable!() };
        *is_published = false;
        let ports = rig.start(spec).await;
        assert_eq!((ports[0].port, ports[0].inner), (31_400, None));
        let address = rig.until_ready(id).await.address.unwrap();
        drop(std::net::TcpStream::connect((address, 31_400)).unwrap());
        assert!(
            rig.docker.inspect(&rig.container(id))["HostConfig"]["PortBindings"]
                .as_object()
                .is_none_or(serde_json::Map::is_empty)
        );
    }
    rig.finish().await;
}
