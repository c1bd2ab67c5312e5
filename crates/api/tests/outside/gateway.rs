//! The gateway: requests and sockets to a real game server, its bounds, and how it all ends.

use std::{sync::Arc, time::Duration};

use futures_util::{SinkExt as _, StreamExt as _};
use greenroom_domain::{
    server::Server,
    settings::{Connection, GatewaySettings, PortProtocol, PortSettings, Readiness},
};
use greenroom_operations::servers::AllocateRequest;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest as _,
        http::{HeaderValue, StatusCode},
    },
};

use crate::support::{PATIENCE, Wish, World, game, json_of, problem, read};

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn world(change: impl FnOnce(&mut Wish)) -> World {
    World::with(|wish| {
        let settings = wish.settings.games.get_mut(&game("skirmish")).unwrap();
        settings.slug = "race".into();
        let fleet = settings.fleet.as_mut().unwrap();
        fleet.connection = Connection::Gateway(GatewaySettings::default());
        fleet.command = ["{greenroom}", "echo", "{port}"].map(str::to_owned).into();
        fleet.ready = Readiness::Listening;
        fleet.ports = vec![PortSettings {
            name: "default".into(),
            protocol: PortProtocol::Tcp,
            count: 1,
            fixed: None,
            inner: None,
        }];
        change(wish);
    })
    .await
}

async fn server(world: &World) -> Arc<Server> {
    let request = AllocateRequest {
        game: game("skirmish"),
        region: None,
        title: None,
        version: None,
        payload: None,
        idempotency: None,
        match_id: None,
        caller: "test".into(),
        timeout: None,
        listed: false,
    };
    let allocated = world.node.servers.allocate(request).await.unwrap();
    world.node.servers.living(&allocated.server.id).unwrap()
}

fn path(server: &Server) -> String {
    format!("/games/race/{}", server.birth.code.as_ref().unwrap())
}

async fn socket(world: &World, server: &Server) -> Result<Client, Error> {
    let mut request = world.socket_url(&format!("{}/ws", path(server))).into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("race.v1"));
    let (socket, answer) = connect_async(request).await?;
    assert_eq!(answer.headers()["sec-websocket-protocol"], "race.v1");
    Ok(socket)
}

async fn next(socket: &mut Client) -> Option<Message> {
    timeout(PATIENCE, socket.next()).await.expect("a message").map(|message| message.unwrap())
}

async fn echoes(socket: &mut Client) {
    for bytes in [1, 125, 70_000, 1 << 20] {
        let message = Message::binary(vec![7; bytes]);
        socket.send(message.clone()).await.unwrap();
        assert_eq!(next(socket).await, Some(message));
    }
}

/// Waits for the close, and answers with its code and reason.
async fn closed(socket: &mut Client) -> Option<(u16, String)> {
    loop {
        match timeout(PATIENCE, socket.next()).await.expect("an end") {
            Some(Ok(Message::Close(frame))) => {
                return frame.map(|frame| (u16::from(frame.code), frame.reason.to_string()));
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return None,
        }
    }
}

#[tokio::test]
async fn requests_reach_the_server_without_their_prefix() {
    let world = world(|_| {}).await;
    let server = server(&world).await;
    let path = path(&server);
    let (status, asked) = read(
        world
            .get(&format!("{path}/a/b?c=d"))
            .header("cookie", "greenroom=secret")
            .header("x-forwarded-for", "203.0.113.9")
            .header("x-mine", "1"),
    )
    .await;
    assert_eq!((status, &asked["uri"]), (200, &json!("/a/b?c=d")));
    let header = |name: &str| {
        let headers = asked["headers"].as_array().unwrap();
        headers.iter().find(|header| header[0] == name).map_or(Value::Null, |header| header[1].clone())
    };
    let host = world.url.strip_prefix("http://").unwrap();
    assert_eq!((header("host"), header("x-forwarded-host")), (json!(host), json!(host)));
    assert_eq!((header("x-forwarded-for"), header("x-real-ip")), (json!("127.0.0.1"), json!("127.0.0.1")));
    assert_eq!((header("x-forwarded-proto"), header("x-forwarded-prefix")), (json!("http"), json!(path)));
    assert_eq!((header("x-mine"), header("cookie")), (json!("1"), Value::Null));
    assert_eq!(read(world.get(&path)).await.1["uri"], "/");
    assert_eq!(read(world.get(&format!("{path}?a=1"))).await.1["uri"], "/?a=1");

    let body = vec![b'x'; 1 << 20];
    let echoed = world.post(&format!("{path}/echo")).body(body.clone()).send().await.unwrap();
    assert_eq!((echoed.status().as_u16(), echoed.bytes().await.unwrap().len()), (200, body.len()));
    // Its answers are its own, but do not speak for the whole origin.
    let gone = world.request(Method::PUT, &format!("{path}/gone")).send().await.unwrap();
    assert_eq!((gone.status().as_u16(), json_of(gone).await), (404, Value::Null));
    let page = world.get(&format!("{path}/page")).send().await.unwrap();
    assert!(!page.headers().contains_key("set-cookie"));
    assert!(page.headers()["content-security-policy"].to_str().unwrap().starts_with("sandbox"));

    problem(world.get("/games/race/NONE/"), 404, "not_found").await;
    problem(world.get("/games/other/NONE/"), 404, "not_found").await;
    problem(world.get("/games/game/NONE/"), 404, "not_found").await;
    world.end().await;
}

#[tokio::test]
async fn sockets_pass_in_both_directions_until_one_side_ends() {
    let world = world(|_| {}).await;
    let server = server(&world).await;
    let mut first = socket(&world, &server).await.unwrap();
    let mut second = socket(&world, &server).await.unwrap();
    tokio::join!(echoes(&mut first), echoes(&mut second));
    first.send(Message::text("end")).await.unwrap();
    assert_eq!(closed(&mut first).await, None);
    second.close(None).await.unwrap();
    closed(&mut second).await;

    // A server that is killed takes its sockets with it, and is not there any more.
    let mut third = socket(&world, &server).await.unwrap();
    echoes(&mut third).await;
    world.node.servers.stop(&game("skirmish"), server.id()).await.unwrap();
    closed(&mut third).await;
    let ended = async {
        while read(world.get(&path(&server))).await.0 != 404 {
            assert!(socket(&world, &server).await.is_err());
        }
    };
    timeout(PATIENCE, ended).await.unwrap();
    world.end().await;
}

#[tokio::test]
async fn the_end_is_told_to_sockets_and_waits_for_none() {
    let world = world(|_| {}).await;
    let server = server(&world).await;
    let mut told = socket(&world, &server).await.unwrap();
    let _deaf = socket(&world, &server).await.unwrap();
    echoes(&mut told).await;
    world.closing.cancel();
    let (code, reason) = closed(&mut told).await.unwrap();
    assert!(code == 1012 && reason.starts_with("{\"retryAfterMs\":"), "{code} {reason}");
    world.end().await;
}

#[tokio::test]
async fn its_bounds_hold() {
    let world = world(|wish| {
        wish.api.gateway.connections_per_address_max = 1;
        // Long enough for what comes at once, on a machine that stalls.
        wish.api.gateway.idle_timeout = Duration::from_secs(5);
        wish.api.gateway.answer_timeout = Duration::from_secs(3);
    })
    .await;
    let server = server(&world).await;
    let path = path(&server);
    problem(world.get(&format!("{path}/never")), 502, "bad_gateway").await;
    // The place is free again as soon as the connection to the server is seen to be gone.
    let mut idle = loop {
        match socket(&world, &server).await {
            Ok(socket) => break socket,
            Err(Error::Http(answer)) => assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS),
            Err(error) => panic!("{error}"),
        }
    };
    problem(world.get(&path), 429, "rate_limited").await;
    let (code, _) = closed(&mut idle).await.unwrap();
    assert_eq!(code, 1001);
    world.end().await;
}
