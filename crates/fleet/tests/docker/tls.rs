//! Engines over TCP, with TLS and without.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    time::Duration,
};

use greenroom_fleet::{
    ExitCause, HostState,
    docker::{Connection, Endpoint, EngineTls, Identity},
};
use greenroom_test_support::{certificates::Authority, engines::DockerOptions};

use crate::support::*;

/// The files of an engine and of those who ask it.
pub(crate) struct Files {
    folder: tempfile::TempDir,
    ca: Authority,
}

impl Files {
    /// For an engine at `name`.
    fn new(name: &str) -> Self {
        Self::of(&[name])
    }

    /// For an engine at any of `names`.
    pub(crate) fn of(names: &[&str]) -> Self {
        let files = Self { folder: tempfile::tempdir().unwrap(), ca: Authority::new("the engines' CA") };
        files.ca.write(files.path(), "ca.pem");
        files.ca.server(names).write(files.path(), "server");
        files.ca.client("greenroom").write(files.path(), "client");
        files
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn at(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// What makes an engine listen at `port` of its machine, for those whom the CA knows.
    pub(crate) fn options(&self, port: u16) -> DockerOptions {
        let at = |name: &str| self.at(name).display().to_string();
        let arguments = vec![
            format!("--host=tcp://{{machine}}:{port}"),
            "--tlsverify".into(),
            format!("--tlscacert={}", at("ca.pem")),
            format!("--tlscert={}", at("server.pem")),
            format!("--tlskey={}", at("server-key.pem")),
        ];
        DockerOptions { arguments, ..DockerOptions::default() }
    }

    /// What is right for such an engine.
    pub(crate) fn tls(&self) -> EngineTls {
        let identity = Identity { certificate: self.at("client.pem"), key: self.at("client-key.pem") };
        EngineTls { ca: self.at("ca.pem"), identity: Some(identity) }
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn tcp(port: u16) -> Endpoint {
    Endpoint::parse(&format!("tcp://127.0.0.1:{port}")).unwrap()
}

/// What an engine's connection says.
async fn said(endpoint: Endpoint) -> String {
    let connection = Connection::new(host(), endpoint);
    let error = connection.ping().await.unwrap_err();
    assert!(error.is_away(), "{error}");
    error.to_string()
}

#[tokio::test]
async fn over_tls_a_server_starts_logs_ends_and_is_found_again() {
    let (files, port) = (Files::new("127.0.0.1"), free_port());
    let Some(docker) = own_with("over_tls_a_server_starts", &files.options(port)) else { return };
    let rig = Rig::at(docker, tcp(port).with_tls(files.tls()).unwrap()).await;
    assert_eq!(rig.status().state, HostState::Up);
    let ports = rig.start(game("s1", &["--port", "{0}", "--print", "up"])).await;
    rig.until_ready("s1").await;
    rig.start(game("s2", &["--port", "{0}", "--exit-after-ms", "100", "--exit", "7"])).await;
    assert_eq!(rig.until_ended("s2").await.cause, ExitCause::Exited(7));
    assert!(rig.texts("s1").await.contains(&"up".to_owned()));
    let rig = rig.reopen().await;
    assert_eq!(rig.until_ready("s1").await.ports, ports);
    rig.provider.stop(&server("s1"), Duration::from_secs(5)).await.unwrap();
    assert!(matches!(rig.until_ended("s1").await.cause, ExitCause::Stopped { .. }));
    rig.finish().await;
}

#[tokio::test]
async fn what_is_wrong_with_tls_is_said() {
    let (files, port) = (Files::new("127.0.0.1"), free_port());
    let Some(docker) = own_with("what_is_wrong_with_tls", &files.options(port)) else { return };
    let with = |tls| tcp(port).with_tls(tls).unwrap();
    Connection::new(host(), with(files.tls())).ping().await.unwrap();
    let other = Authority::new("somebody else's CA");
    let others = other.write(files.path(), "other.pem");
    let sentence = said(with(EngineTls { ca: others, ..files.tls() })).await;
    assert!(sentence.contains("its certificate is signed by none of those in"), "{sentence}");
    let (certificate, key) = other.client("stranger").write(files.path(), "stranger");
    for _ in 0..20 {
        let identity = Identity { certificate: certificate.clone(), key: key.clone() };
        let sentence = said(with(EngineTls { identity: Some(identity), ..files.tls() })).await;
        assert!(sentence.contains("does not accept"), "{sentence}");
    }
    let sentence = said(with(EngineTls { identity: None, ..files.tls() })).await;
    assert!(sentence.contains("set `certificate` and `key`"), "{sentence}");
    let sentence = said(tcp(port)).await;
    assert!(sentence.contains("it speaks TLS; set `tls`"), "{sentence}");
    let by_name = Endpoint::parse(&format!("tcp://localhost:{port}")).unwrap();
    let sentence = said(by_name.with_tls(files.tls()).unwrap()).await;
    assert!(sentence.contains("its certificate is not for localhost"), "{sentence}");
    drop(docker);
}

#[tokio::test]
async fn an_engine_without_tls_is_told_from_one_with_it_and_is_lost_until_that_is_mended() {
    let (files, port) = (Files::new("127.0.0.1"), free_port());
    let plain = DockerOptions {
        arguments: vec![format!("--host=tcp://127.0.0.1:{port}"), "--tls=false".into()],
        ..DockerOptions::default()
    };
    let Some(docker) = own_with("an_engine_without_tls", &plain) else { return };
    let rig = Rig::at(docker, tcp(port).with_tls(files.tls()).unwrap()).await;
    let HostState::Lost(why) = rig.status().state else { panic!("{:?}", rig.status()) };
    assert!(why.contains("it does not speak TLS; leave `tls` out"), "{why}");
    rig.provider.shutdown().await;
    let rig = Rig::at(rig.docker, tcp(port)).await;
    rig.start(game("s1", &["--port", "{0}"])).await;
    rig.until_ready("s1").await;
    rig.finish().await;
}

#[tokio::test]
async fn renewed_files_are_taken_up_by_the_next_connection() {
    let (files, port) = (Files::new("127.0.0.1"), free_port());
    let Some(docker) = own_with("renewed_files", &files.options(port)) else { return };
    let (ca, good) = (files.at("ca.pem"), fs::read(files.at("ca.pem")).unwrap());
    let connection = Connection::new(host(), tcp(port).with_tls(files.tls()).unwrap());
    connection.ping().await.unwrap();
    // What is no good, as a file that is being written, is not taken up.
    fs::write(&ca, "-----BEGIN").unwrap();
    connection.ping().await.unwrap();
    Authority::new("somebody else's CA").write(files.path(), "ca.pem");
    let error = connection.ping().await.unwrap_err().to_string();
    assert!(error.contains("signed by none of those"), "{error}");
    fs::write(&ca, good).unwrap();
    connection.ping().await.unwrap();
    drop(docker);
}

#[tokio::test]
async fn files_that_are_no_good_are_told_by_their_setting() {
    let files = Files::new("127.0.0.1");
    assert_eq!(files.tls().problem(), None);
    let tls = |ca: &str, certificate: &str, key: &str| EngineTls {
        ca: files.at(ca),
        identity: Some(Identity { certificate: files.at(certificate), key: files.at(key) }),
    };
    for (tls, setting, part) in [
        (tls("none.pem", "client.pem", "client-key.pem"), "ca", "there is no file"),
        (tls("client-key.pem", "client.pem", "client-key.pem"), "ca", "has no certificate in it"),
        (tls("ca.pem", "client-key.pem", "client-key.pem"), "certificate", "has no certificate in it"),
        (tls("ca.pem", "client.pem", "client.pem"), "key", "has no private key in it"),
        (tls("ca.pem", "client.pem", "server-key.pem"), "key", "cannot be used together"),
    ] {
        let (found, sentence) = tls.problem().unwrap();
        assert!(found == setting && sentence.contains(part), "{found}: {sentence}");
        assert!(sentence.contains("expected"), "{sentence}");
    }
    // An engine whose files are not there is away, and says why.
    let sentence = said(tcp(1).with_tls(tls("none.pem", "client.pem", "client-key.pem")).unwrap()).await;
    assert!(sentence.contains("there is no file"), "{sentence}");
}
