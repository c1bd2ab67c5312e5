//! The server itself: health, ids, odd requests, its bounds, and how it ends.

use std::{sync::Arc, time::Duration};

use axum::{Router, routing::get};
use greenroom_api::{Page, static_pages};
use reqwest::{Method, header, redirect};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Notify,
};

use crate::support::{PATIENCE, World, problem, read};

async fn raw(world: &World, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(world.url.strip_prefix("http://").unwrap()).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("an answer");
    read.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn health_and_readiness() {
    let world = World::new().await;
    assert_eq!(world.get("/healthz").send().await.unwrap().text().await.unwrap(), "ok\n");
    assert_eq!(read(world.get("/readyz")).await.0, 200);
    world.ready.send_replace(false);
    assert_eq!(read(world.get("/readyz")).await.0, 503);
    assert_eq!(read(world.get("/healthz")).await.0, 200);
    let metrics = world.get("/metrics").send().await.unwrap();
    assert!(metrics.headers()["content-type"].to_str().unwrap().starts_with("text/plain"));
    let (_, jwks) = read(world.get("/.well-known/jwks.json")).await;
    assert_eq!((jwks["keys"][0]["alg"].as_str(), jwks["keys"][0].get("d")), (Some("EdDSA"), None));
    let client = reqwest::Client::builder().redirect(redirect::Policy::none()).build().unwrap();
    let home = client.get(&world.url).send().await.unwrap();
    assert_eq!(home.status(), 200);
    assert!(home.text().await.unwrap().contains("href=\"/console\""));
    world.end().await;
}

#[tokio::test]
async fn metrics_may_be_kept_for_administrators() {
    let world = World::with(|wish| wish.api.metrics_are_public = false).await;
    problem(world.get("/metrics"), 401, "unauthorized").await;
    assert_eq!(read(world.get("/metrics").bearer_auth(world.admin())).await.0, 200);
    world.end().await;
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_with_an_id() {
    let world = World::new().await;
    problem(world.get("/nothing"), 404, "not_found").await;
    problem(world.get("/v1/nothing"), 404, "not_found").await;
    problem(world.request(Method::PUT, "/v1/events"), 405, "method_not_allowed").await;
    let answer = world.get("/nothing").header("x-request-id", "mine-7").send().await.unwrap();
    assert_eq!(answer.headers()["x-request-id"], "mine-7");
    let answer = world.get("/nothing").header("x-request-id", "not fit\u{e9}").send().await.unwrap();
    assert_eq!(answer.headers()["x-request-id"].len(), 36);
    let unauthorized = world.get("/v1/keys").send().await.unwrap();
    assert_eq!(unauthorized.headers()["www-authenticate"], "Bearer");
    world.end().await;
}

#[tokio::test]
async fn a_handler_that_panics_is_a_problem_and_harms_nobody_else() {
    let broken = Router::new()
        .route("/broken", get(async || if true { panic!("planted") } else { "" }))
        .merge(static_pages("/pages", |name| {
            (name.is_empty() || name == "a/b.js")
                .then_some(Page { content_type: "text/html", bytes: b"page" })
        }));
    let world = World::with(|wish| wish.extra = broken).await;
    let sentence = problem(world.get("/broken"), 500, "internal").await;
    assert!(!sentence.contains("planted"));
    assert_eq!(read(world.get("/healthz")).await.0, 200);

    // The pages beside it.
    let page = world.get("/pages").send().await.unwrap();
    assert_eq!((page.status().as_u16(), page.url().path()), (200, "/pages/"));
    assert!(page.headers().contains_key("content-security-policy"));
    assert!(!page.headers().contains_key("access-control-allow-origin"));
    let tag = page.headers()["etag"].clone();
    assert_eq!(page.text().await.unwrap(), "page");
    let same = world.get("/pages/a/b.js").header(header::IF_NONE_MATCH, tag).send().await.unwrap();
    assert_eq!(same.status(), 304);
    assert_eq!(read(world.get("/pages/nothing")).await.0, 404);
    world.end().await;
}

#[tokio::test]
async fn odd_requests() {
    let world = World::new().await;
    let small = raw(&world, b"nonsense\r\n\r\n").await;
    assert!(small.starts_with("HTTP/1.1 400"), "{small}");
    let huge = format!("GET /healthz HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "x".repeat(32 * 1024));
    let huge = raw(&world, huge.as_bytes()).await;
    assert!(huge.starts_with("HTTP/1.1 431"), "{huge}");
    // No Host at all is the default game.
    let answer =
        raw(&world, b"POST /auth/anonymous HTTP/1.0\r\ncontent-length: 18\r\n\r\n{\"username\":\"Ada\"}")
            .await;
    assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
    // A body that was announced and stays away, or is longer than may be.
    let large = raw(
        &world,
        b"POST /auth/anonymous HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 99999999\r\n\r\n",
    )
    .await;
    assert!(large.starts_with("HTTP/1.1 413"), "{large}");
    world.end().await;
}

#[tokio::test]
async fn slow_heads_and_bodies_are_not_waited_for() {
    let world = World::with(|wish| {
        // Long enough for what comes at once, on a machine that stalls.
        wish.serve.head_timeout = Duration::from_secs(2);
        wish.api.body_timeout = Duration::from_millis(100);
    })
    .await;
    // Closed, with or without a word.
    raw(&world, b"GET /healthz HTTP/1.1\r\nhost:").await;
    let slow = raw(
        &world,
        b"POST /auth/anonymous HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 10\r\n\r\n{",
    )
    .await;
    assert!(slow.starts_with("HTTP/1.1 400"), "{slow}");
    world.end().await;
}

#[tokio::test]
async fn one_connection_too_many_is_told_so() {
    let world = World::with(|wish| wish.serve.connections_max = 1).await;
    // A socket keeps its place though its request is answered.
    let mut socket =
        crate::support::Socket::open(&world.socket_url("/v1/games/skirmish/socket?token=")).await;
    assert_eq!(socket.next().await["type"], "error");
    let health = b"GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let answer = raw(&world, health).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("Retry-After"));
    let problem: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(problem["code"], "busy");
    assert!(head.ends_with(&format!("Content-Length: {}", body.len())), "{head}");
    drop(socket);
    // Its place is free once the server has seen the end of it.
    let again = async { while !raw(&world, health).await.starts_with("HTTP/1.1 200") {} };
    tokio::time::timeout(PATIENCE, again).await.unwrap();
    world.end().await;
}

#[tokio::test]
async fn the_end_waits_for_what_is_under_way_and_closes_what_is_idle() {
    let (begun, done) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (begins, may_end) = (Arc::clone(&begun), Arc::clone(&done));
    let slow = get(async move || {
        begins.notify_one();
        may_end.notified().await;
        "done"
    });
    let world = World::with(|wish| wish.extra = Router::new().route("/slow", slow)).await;
    assert_eq!(read(world.get("/healthz")).await.0, 200);
    let (answer, ()) = tokio::join!(world.get("/slow").send(), async {
        begun.notified().await;
        world.closing.cancel();
        done.notify_one();
    });
    assert_eq!(answer.unwrap().text().await.unwrap(), "done");
    assert!(world.get("/healthz").send().await.is_err());
    world.end().await;
}
