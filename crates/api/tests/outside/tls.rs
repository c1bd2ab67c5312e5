//! TLS: requests and sockets over it, its bounds, and a certificate that changes.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use greenroom_api::{Tls, TlsFiles};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Notify,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::sync::CancellationToken;

use crate::support::{PATIENCE, Wish, World, problem, read};

/// Files of a certificate for the loopback address.
struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        // An error is that another test was first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn files(&self) -> TlsFiles {
        let path = |name: &str| self.folder.path().join(name);
        TlsFiles { certificate: path("tls.crt"), key: path("tls.key") }
    }

    /// Writes a new pair; the certificate vouches for itself.
    fn write(&self) -> CertificateDer<'static> {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        std::fs::write(self.files().certificate, made.cert.pem()).unwrap();
        std::fs::write(self.files().key, made.signing_key.serialize_pem()).unwrap();
        made.cert.der().clone()
    }
}

fn address(world: &World) -> SocketAddr {
    world.url.strip_prefix("https://").unwrap().parse().unwrap()
}

async fn connect(
    world: &World,
    root: &CertificateDer<'static>,
    alpn: &[&[u8]],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let stream = TcpStream::connect(address(world)).await?;
    let name = ServerName::from(address(world).ip());
    timeout(PATIENCE, TlsConnector::from(Arc::new(config)).connect(name, stream)).await.expect("an answer")
}

async fn world_of(files: &Files, root: &CertificateDer<'static>, change: impl FnOnce(&mut Wish)) -> World {
    let tls = Tls::open(files.files()).await.unwrap();
    let root = reqwest::Certificate::from_der(root).unwrap();
    World::with(|wish| {
        (wish.serve.tls, wish.root) = (Some(tls), Some(root));
        wish.serve.handshake_timeout = PATIENCE;
        change(wish);
    })
    .await
}

#[tokio::test]
async fn requests_and_sockets_are_served_over_tls_alone() {
    let files = Files::new();
    let root = files.write();
    let world = world_of(&files, &root, |_| {}).await;
    assert_eq!(read(world.get("/healthz")).await.0, 200);
    problem(world.get("/v1/keys"), 401, "unauthorized").await;

    // Both sides agree on HTTP/1.1 where the client offers more.
    let mut stream = connect(&world, &root, &[b"h2", b"http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // A client that speaks nothing of ours is told so by the handshake.
    assert!(connect(&world, &root, &[b"h2"]).await.is_err());

    // A player's socket, over the same stream of records.
    let stream = connect(&world, &root, &[]).await.unwrap();
    let url = format!("wss://{}/v1/games/skirmish/socket?token=", address(&world));
    let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
    let first = timeout(PATIENCE, futures_util::StreamExt::next(&mut socket)).await.unwrap();
    assert!(first.unwrap().unwrap().into_text().unwrap().contains("Token required"));
    drop(socket);

    // Plain HTTP is answered by nobody.
    let mut plain = TcpStream::connect(address(&world)).await.unwrap();
    plain.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, plain.read_to_end(&mut answer)).await.unwrap();
    assert!(!answer.starts_with(b"HTTP"));
    world.end().await;
}

#[tokio::test]
async fn who_never_shakes_hands_loses_its_place() {
    let files = Files::new();
    let root = files.write();
    let world = world_of(&files, &root, |wish| {
        wish.serve.connections_max = 3;
        // Long enough for a handshake on a machine that stalls.
        wish.serve.handshake_timeout = Duration::from_secs(3);
    })
    .await;
    let mut silent = Vec::new();
    for _ in 0..3 {
        silent.push(TcpStream::connect(address(&world)).await.unwrap());
    }
    // Those who come while all places are taken are closed; then the silent ones have had their time.
    let served = async { while connect(&world, &root, &[]).await.is_err() {} };
    timeout(PATIENCE, served).await.unwrap();
    for mut stream in silent {
        let mut rest = Vec::new();
        let ended = timeout(PATIENCE, stream.read_to_end(&mut rest)).await.unwrap();
        assert!(ended.is_err() || rest.is_empty());
    }
    world.end().await;
}

#[tokio::test]
async fn the_end_does_not_wait_for_handshakes() {
    let files = Files::new();
    let root = files.write();
    let tls = Tls::open(files.files()).await.unwrap();
    let certificate = reqwest::Certificate::from_der(&root).unwrap();
    let world = World::with(|wish| {
        (wish.serve.tls, wish.root) = (Some(tls), Some(certificate));
        wish.serve.handshake_timeout = PATIENCE * 10;
        wish.serve.drain_timeout = PATIENCE * 10;
    })
    .await;
    let _silent = TcpStream::connect(address(&world)).await.unwrap();
    assert_eq!(read(world.get("/healthz")).await.0, 200);
    world.end().await;
}

#[tokio::test]
async fn a_new_certificate_is_presented_and_a_broken_one_is_not() {
    let files = Files::new();
    let first = files.write();
    let world = world_of(&files, &first, |_| {}).await;
    let tls = Tls::open(files.files()).await.unwrap();
    let certificate = reqwest::Certificate::from_der(&first).unwrap();
    let other =
        World::with(|wish| (wish.serve.tls, wish.root) = (Some(tls.clone()), Some(certificate))).await;
    let (look, end) = (Arc::new(Notify::new()), CancellationToken::new());
    let (looked, ended) = (Arc::clone(&look), end.clone());
    #[expect(clippy::disallowed_methods, reason = "awaited below")]
    let following = tokio::spawn(async move { tls.follow(&looked, ended).await });

    let second = files.write();
    look.notify_one();
    let is_new = async { while connect(&other, &second, &[]).await.is_err() {} };
    timeout(PATIENCE, is_new).await.unwrap();
    assert!(connect(&other, &first, &[]).await.is_err());
    // A node that was not told has its own.
    assert!(connect(&world, &first, &[]).await.is_ok());

    std::fs::write(files.files().key, "nonsense").unwrap();
    look.notify_one();
    // The broken pair has been looked at once a later notice has been taken too.
    look.notify_one();
    assert!(connect(&other, &second, &[]).await.is_ok());

    end.cancel();
    following.await.unwrap();
    world.end().await;
    other.end().await;
}
