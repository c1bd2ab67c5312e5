//! An engine that is reached by TCP with TLS.

use std::{fs, net::TcpListener};

use greenroom_test_support::{
    certificates::Authority,
    engines::{DockerOptions, docker_with},
    greenroom::{GAME, Installation, Running, some_ports},
};
use serde_json::Value;
use tokio::time::Instant;

use crate::world::{IMAGE, PATIENCE, PROGRAM, VERSION, given, say, stopped};

/// Waits until the host is `state`; gives it.
async fn host(running: &Running, state: &str) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = running.get("/v1/hosts").await;
        let hosts = answer.body["hosts"].as_array().cloned().unwrap_or_default();
        if let Some(host) = hosts.into_iter().find(|host| host["id"] == "far" && host["state"] == state) {
            return host;
        }
        assert!(Instant::now() < deadline, "the host is not told to be {state}: {answer:?}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_tls_is_the_cause_why_a_host_is_lost_and_renewed_files_bring_it_back() {
    let installation = Installation::new(PROGRAM, "", "command = [\"none\"]", 0);
    let folder = installation.folder();
    let authority = Authority::new("the engines' CA");
    let ca = authority.write(folder, "ca.pem");
    let (certificate, key) = authority.server(&["127.0.0.1"]).write(folder, "server");
    authority.client("greenroom").write(folder, "client");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let options = DockerOptions {
        arguments: vec![
            format!("--host=tcp://127.0.0.1:{port}"),
            "--tlsverify".into(),
            format!("--tlscacert={}", ca.display()),
            format!("--tlscert={}", certificate.display()),
            format!("--tlskey={}", key.display()),
        ],
        ..DockerOptions::default()
    };
    let Some(docker) = docker_with("what_is_wrong_with_tls_is_the_cause", &options) else { return };
    docker.import_game(IMAGE, &[VERSION]);
    let ports = some_ports(20);
    installation.configure(
        "",
        &format!(
            "provider = \"docker\"\nversion = \"{VERSION}\"\ncommand = [\"--port\", \"{{port}}\"]\n\
             ports = [{{ name = \"default\", protocol = \"tcp+udp\" }}]\nport_range = \"{ports}\"\n\
             stop_grace = \"2s\"\nrunning_max = 4\n[games.{GAME}.fleet.container]\nimage = \"{IMAGE}\"\n\
             [hosts.far]\ndocker = \"tcp://127.0.0.1:{port}\"\n\
             tls = {{ ca = \"ca.pem\", certificate = \"client.pem\", key = \"client-key.pem\" }}\n"
        ),
    );
    let running = installation.serve().await;
    let server = given(&running).await;
    assert_eq!(say(server.port, "hello"), "hello");

    Authority::new("somebody else's CA").write(folder, "ca.pem");
    let lost = host(&running, "lost").await;
    let reason = lost["reason"].as_str().unwrap();
    assert!(reason.contains("its certificate is signed by none of those in ca.pem"), "{reason}");
    assert_ne!(running.server(&server.id).await.body["state"], "ended", "nobody knows that");
    fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    host(&running, "up").await;
    assert_eq!(say(server.port, "hello"), "hello");
    stopped(&running, &server.id).await;
}
