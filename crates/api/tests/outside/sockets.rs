//! Sockets that misbehave, and sockets that we close.

use std::time::Duration;

use futures_util::SinkExt as _;
use greenroom_api::Rate;
use serde_json::json;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest as _};

use crate::support::{PATIENCE, Socket, World, once, problem, read};

/// Long enough for a client that reads to answer a ping on a machine that stalls.
const PONG_TIMEOUT: Duration = Duration::from_secs(3);

#[tokio::test]
async fn the_native_socket_takes_its_token_in_three_ways() {
    let world = World::new().await;
    let (token, id) = world.player("Ada").await;
    let url = world.socket_url("/v1/games/skirmish/socket");
    let mut by_query = Socket::open(&format!("{url}?token={token}")).await;
    let mut by_header = url.as_str().into_client_request().unwrap();
    by_header.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    let mut by_header = Socket::open(by_header).await;
    let mut by_protocol = url.as_str().into_client_request().unwrap();
    let offers = format!("greenroom.v1, greenroom.token.{token}");
    by_protocol.headers_mut().insert("sec-websocket-protocol", offers.parse().unwrap());
    let mut by_protocol = Socket::open(by_protocol).await;
    for socket in [&mut by_query, &mut by_header, &mut by_protocol] {
        assert_eq!(socket.next().await["accountId"], json!(id));
    }
    // Of another game, of none, of nobody.
    let mut elsewhere =
        Socket::open(&format!("{}?token={token}", world.socket_url("/v1/games/chess/socket"))).await;
    assert_eq!(elsewhere.next().await["message"], "Invalid token");
    assert_eq!(elsewhere.closed().await.0, 4401);
    let mut nobody = Socket::open(&url).await;
    assert_eq!(nobody.next().await["message"], "Token required");
    assert_eq!(nobody.closed().await.0, 4401);
    problem(world.get("/v1/games/skirmish/socket"), 400, "bad_request").await;
    problem(world.get("/v1/games/nothing/socket"), 404, "not_found").await;
    world.end().await;
}

#[tokio::test]
async fn signing_out_closes_the_sockets_of_the_session() {
    let world = World::new().await;
    let (token, _) = world.player("Ada").await;
    let (mut one, mut two) = (world.socket(&token).await, world.socket(&token).await);
    let mut other = world.joined("Bo").await;
    assert_eq!(read(world.post("/v1/auth/sign-out").bearer_auth(&token)).await.0, 204);
    assert_eq!(one.closed().await.0, 4401);
    assert_eq!(two.closed().await.0, 4401);
    let mut again = Socket::open(&world.socket_url(&format!("/_ws?token={token}"))).await;
    assert_eq!(again.next().await["message"], "Invalid token");
    other.send(json!({ "type": "ping" })).await;
    other.until("pong").await;
    world.end().await;
}

#[tokio::test]
async fn a_flood_is_told_once_dropped_and_then_closed() {
    let world = World::with(|wish| {
        wish.api.sockets.commands = once(5);
        wish.api.sockets.dropped_max = 50;
        // What the flooder still sends is read until it has seen why it is closed.
        wish.api.sockets.close_timeout = PATIENCE;
    })
    .await;
    let mut flooder = world.joined("Ada").await;
    let mut other = world.joined("Bo").await;
    let mut sent = 0;
    while sent < 100 && flooder.try_say(Message::text(r#"{"type":"ping"}"#)).await {
        sent += 1;
    }
    let mut pongs = 0;
    let told = loop {
        let message = flooder.next().await;
        if message["type"] == "error" {
            break message;
        }
        pongs += 1;
    };
    assert_eq!(pongs, 5);
    assert_eq!(told["code"], "rate_limited");
    let (code, reason) = flooder.closed().await;
    assert_eq!((code, reason.as_str()), (1008, "too many messages"));
    flooder.gone().await;
    // It harmed itself alone.
    other.send(json!({ "type": "ping" })).await;
    other.until("pong").await;
    other.close().await;
    world.end().await;
}

#[tokio::test]
async fn a_message_too_big_closes_the_socket() {
    let world = World::new().await;
    let mut socket = world.joined("Ada").await;
    socket.say(Message::text("x".repeat(64 * 1024 + 1))).await;
    assert_eq!(socket.closed().await.0, 1009);
    world.end().await;
}

#[tokio::test]
async fn a_socket_that_does_not_answer_a_ping_is_closed() {
    let world = World::with(|wish| {
        wish.api.sockets.ping_after = Duration::from_millis(50);
        wish.api.sockets.pong_timeout = PONG_TIMEOUT;
    })
    .await;
    let (token, _) = world.player("Ada").await;
    // Nobody reads it, so nobody answers its pings.
    let mut silent = world.socket(&token).await;
    let gone = async {
        while world.node.hub.counts().sockets > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("the silent socket is closed");
    silent.gone().await;
    // One that is read answers by itself, and stays.
    let mut lively = world.socket(&token).await;
    let stays = async { lively.until("never").await };
    assert!(tokio::time::timeout(PONG_TIMEOUT * 2, stays).await.is_err());
    assert_eq!(world.node.hub.counts().sockets, 1);
    world.end().await;
}

#[tokio::test]
async fn a_socket_that_does_not_read_is_closed_and_harms_nobody_else() {
    let world = World::with(|wish| {
        wish.api.sockets.commands = Rate::new(1_000_000, 1_000_000);
        wish.api.sockets.write_timeout = Duration::from_millis(200);
    })
    .await;
    let (token, _) = world.player("Ada").await;
    let mut other = world.joined("Bo").await;
    let tcp = tokio::net::TcpSocket::new_v4().unwrap();
    tcp.set_recv_buffer_size(4_096).unwrap();
    let address = world.url.strip_prefix("http://").unwrap().parse().unwrap();
    let stream = tcp.connect(address).await.unwrap();
    let url = world.socket_url(&format!("/_ws?token={token}"));
    let (mut deaf, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
    // Every message is answered with its id, and nobody reads the answers.
    let message = json!({ "type": "nope", "id": "x".repeat(128) }).to_string();
    let talk = async { while deaf.send(Message::text(message.clone())).await.is_ok() {} };
    let gone = async {
        while world.node.hub.counts().sockets > 1 {
            other.send(json!({ "type": "ping" })).await;
            other.until("pong").await;
        }
    };
    tokio::select! {
        () = talk => {}
        () = gone => {}
        () = tokio::time::sleep(PATIENCE) => panic!("the deaf socket is still there"),
    }
    drop(deaf);
    other.send(json!({ "type": "ping" })).await;
    other.until("pong").await;
    world.end().await;
}

#[tokio::test]
async fn one_address_has_so_many_sockets() {
    let world = World::with(|wish| wish.api.limits.sockets_per_address_max = 2).await;
    let (token, _) = world.player("Ada").await;
    let (one, _two) = (world.socket(&token).await, world.socket(&token).await);
    let url = world.socket_url(&format!("/_ws?token={token}"));
    let mut third = Socket::open(&url).await;
    assert_eq!(third.next().await["code"], "rate_limited");
    assert_eq!(third.closed().await.0, 1008);
    one.close().await;
    // Its place is free once the server has seen the end of it.
    let again = async {
        loop {
            let mut socket = Socket::open(&url).await;
            if socket.next().await["type"] == "connected" {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, again).await.unwrap();
    world.end().await;
}

#[tokio::test]
async fn a_restart_asks_to_come_back_later() {
    let world = World::new().await;
    let mut socket = world.joined("Ada").await;
    let (token, _) = world.player("Bo").await;
    let url = world.socket_url(&format!("/_ws?token={token}"));
    world.closing.cancel();
    world.node.hub.close_all();
    let (code, reason) = socket.closed().await;
    assert_eq!(code, 1012);
    let reason: serde_json::Value = serde_json::from_str(&reason).unwrap();
    assert!(reason["retryAfterMs"].as_u64().unwrap() > 0);
    // Nobody new is let in.
    assert!(tokio_tungstenite::connect_async(&url).await.is_err());
    world.end().await;
}
