//! The SDK's endpoint of processes: its ports, and what is said there.

use std::{net::TcpListener, time::Duration};

use futures_util::StreamExt as _;
use greenroom_domain::settings::Readiness;
use greenroom_fleet::{ExitCause, Phase};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};
use tonic::Code;

use crate::{
    sdk::{
        Backend, call, call_with,
        client::{alpha, beta, sdk as stable},
    },
    support::{Host, PATIENCE, game, server},
};

/// Starts a server that has the SDK and does nothing; the ports that it was told.
async fn start(host: &Host, id: &str) -> (u16, u16) {
    let mut spec = game(id, &["environment", "say", "told", "wait"]);
    spec.ports = Vec::new();
    spec.has_sdk = true;
    spec.ready = Readiness::Sdk;
    host.start(spec).await;
    host.said(id, "told").await;
    let port = async |name: &str| host.said(id, &format!("env {name}=")).await.parse().unwrap();
    (port("AGONES_SDK_HTTP_PORT").await, port("AGONES_SDK_GRPC_PORT").await)
}

/// Waits until nobody listens on a port.
async fn until_closed(port: u16) {
    let closed = async {
        while TcpStream::connect(("127.0.0.1", port)).await.is_ok()
            || TcpListener::bind(("::1", port))
                .is_err_and(|error| error.kind() == std::io::ErrorKind::AddrInUse)
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, closed).await.unwrap();
}

#[tokio::test]
async fn every_call_over_http_has_its_answer() {
    let host = Host::with_sdk().await;
    let (http, _) = start(&host, "s1").await;
    let starting = call(http, "POST", "/ready", "{}").await;
    assert_eq!(starting.0, 503, "{starting:?}");
    assert_eq!(starting.1["code"], 14);
    host.provider.serve_sdk(Backend::of(&["s1"]));

    let refused = |status: u16, code: i32| (status, json!(code));
    let counter =
        |count: &str, capacity: &str| json!({ "name": "rooms", "count": count, "capacity": capacity });
    let list =
        |capacity: &str, values: &[&str]| json!({ "name": "maps", "capacity": capacity, "values": values });
    let long = "x".repeat(70_000);
    let whole: Vec<(&str, &str, &str, Value)> = vec![
        ("POST", "/health", "", json!({})),
        ("POST", "/ready", "", json!({})),
        ("POST", "/ready", "  {\"unknown\": [1]} ", json!({})),
        ("POST", "/allocate", "{}", json!({})),
        ("POST", "/reserve", "{\"seconds\":\"5\"}", json!({})),
        ("POST", "/reserve", "{\"seconds\":5}", json!({})),
        ("POST", "/reserve", "", json!({})),
        ("PUT", "/metadata/label", "{\"key\":\"foo\",\"value\":\"bar\"}", json!({})),
        ("PUT", "/metadata/annotation", "{\"key\":\"foo\",\"value\":\"b a r\",\"more\":null}", json!({})),
        ("GET", "/v1beta1/counters/rooms", "", counter("1", "10")),
        ("PATCH", "/v1beta1/counters/rooms", "{\"count\":\"5\",\"capacity\":\"11\"}", counter("5", "11")),
        ("PATCH", "/v1beta1/counters/rooms", "{\"countDiff\":\"-1\"}", counter("4", "11")),
        ("PATCH", "/v1beta1/counters/rooms", "{\"count_diff\":2,\"count\":null}", counter("6", "11")),
        ("PATCH", "/v1beta1/counters/rooms", "{\"count\":0}", counter("0", "11")),
        ("GET", "/v1beta1/lists/maps", "", list("100", &["p0"])),
        ("PATCH", "/v1beta1/lists/maps", "{\"capacity\":\"3\",\"values\":[\"p3\"]}", list("3", &["p3"])),
        ("PATCH", "/v1beta1/lists/maps", "{\"capacity\":2}", list("2", &["p3"])),
        ("POST", "/v1beta1/lists/maps:addValue", "{\"value\":\"p9\"}", list("2", &["p3", "p9"])),
        ("POST", "/v1beta1/lists/maps%3AremoveValue", "{\"value\":\"p3\"}", list("2", &["p9"])),
        ("PATCH", "/v1beta1/lists/maps", "{\"values\":[]}", list("2", &[])),
        ("PUT", "/alpha/player/capacity", "{\"count\":2}", json!({})),
        ("GET", "/alpha/player/capacity", "", json!({ "count": "2" })),
        ("POST", "/alpha/player/connect", "{\"playerID\":\"a/b\"}", json!({ "bool": true })),
        ("POST", "/alpha/player/connect", "{\"playerID\":\"a/b\"}", json!({ "bool": false })),
        ("GET", "/alpha/player/count", "", json!({ "count": "1" })),
        ("GET", "/alpha/player/connected", "", json!({ "list": ["a/b"] })),
        ("GET", "/alpha/player/connected/a%2Fb", "", json!({ "bool": true })),
        ("GET", "/alpha/player/connected/a", "", json!({ "bool": false })),
        ("POST", "/alpha/player/disconnect", "{\"playerID\":\"a/b\"}", json!({ "bool": true })),
        ("POST", "/alpha/player/disconnect", "{\"playerID\":\"a/b\"}", json!({ "bool": false })),
    ];
    for (method, path, body, expected) in whole {
        assert_eq!(call(http, method, path, body).await, (200, expected), "{method} {path} {body}");
    }
    let no: Vec<(&str, &str, &str, (u16, Value))> = vec![
        ("GET", "/ready", "", refused(501, 12)),
        ("POST", "/gameserver", "", refused(501, 12)),
        ("DELETE", "/v1beta1/lists/maps", "", refused(501, 12)),
        ("GET", "/v1beta1/lists/maps:addValue", "", refused(501, 12)),
        ("GET", "/", "", refused(404, 5)),
        ("GET", "/v1beta1/lists", "", refused(404, 5)),
        ("GET", "/v1beta1/counters/none", "", refused(404, 5)),
        ("PATCH", "/v1beta1/counters/none", "{\"count\":1}", refused(404, 5)),
        ("GET", "/v1beta1/lists/none", "", refused(404, 5)),
        ("PATCH", "/v1beta1/counters/rooms", "{}", refused(400, 3)),
        ("PATCH", "/v1beta1/counters/rooms", "{\"countDiff\":1,\"count\":1}", refused(400, 3)),
        ("PATCH", "/v1beta1/counters/rooms", "{\"count\":12}", refused(400, 11)),
        ("PATCH", "/v1beta1/counters/rooms", "{\"countDiff\":\"-1\"}", refused(400, 11)),
        ("PATCH", "/v1beta1/lists/maps", "{\"capacity\":\"1001\"}", refused(400, 11)),
        ("POST", "/v1beta1/lists/maps:removeValue", "{\"value\":\"none\"}", refused(404, 5)),
        ("POST", "/v1beta1/lists/maps:addValue", "{}", refused(400, 3)),
        ("POST", "/reserve", "{\"seconds\":-1}", refused(400, 3)),
        ("POST", "/reserve", "{\"seconds\":\"five\"}", refused(400, 3)),
        ("POST", "/reserve", "{\"seconds\":", refused(400, 3)),
        ("POST", "/reserve", "[5]", refused(400, 3)),
        ("POST", "/ready", "no", refused(400, 3)),
        ("POST", "/ready", &long, refused(400, 3)),
        ("PUT", "/metadata/label", "", refused(400, 3)),
        ("GET", "/v1beta1/lists/%ff", "", refused(400, 3)),
    ];
    for (method, path, body, expected) in no {
        let (status, answer) = call(http, method, path, body).await;
        assert_eq!((status, answer["code"].clone()), expected, "{method} {path}: {answer}");
        assert!(answer["message"].as_str().is_some_and(|message| !message.is_empty()), "{answer}");
        assert_eq!(answer["details"], json!([]));
    }
    for value in ["a", "b"] {
        call(http, "POST", "/v1beta1/lists/maps:addValue", &json!({ "value": value }).to_string()).await;
        call(http, "POST", "/alpha/player/connect", &json!({ "playerID": value }).to_string()).await;
    }
    let full = call(http, "POST", "/v1beta1/lists/maps:addValue", "{\"value\":\"c\"}").await;
    assert_eq!((full.0, full.1["code"].clone()), refused(400, 11));
    let twice = call(http, "POST", "/v1beta1/lists/maps:addValue", "{\"value\":\"a\"}").await;
    assert_eq!((twice.0, twice.1["code"].clone()), refused(409, 6));
    let full = call(http, "POST", "/alpha/player/connect", "{\"playerID\":\"c\"}").await;
    assert_eq!((full.0, full.1["code"].clone()), refused(400, 11));

    let (status, mut object) = call(http, "GET", "/gameserver?x=1", "").await;
    assert_eq!(status, 200);
    let version = object["object_meta"]["resource_version"].take();
    assert!(version.as_str().is_some_and(|version| version.parse::<u64>().is_ok()), "{version}");
    insta::assert_json_snapshot!(object);

    // A page in a browser must not speak for the server; what runs on this machine may.
    let page = call_with(http, "POST", "/shutdown", "Origin: https://example.com\r\n", "").await;
    assert_eq!(page.0, 403, "{page:?}");
    let own = call_with(http, "POST", "/health", "Origin: http://localhost:3000\r\n", "").await;
    assert_eq!(own.0, 200, "{own:?}");

    assert_eq!(call(http, "POST", "/shutdown", "").await, (200, json!({})));
    assert_eq!(call(http, "POST", "/shutdown", "").await, (200, json!({})));
    let late = call(http, "POST", "/ready", "").await;
    assert_eq!((late.0, late.1["code"].clone()), refused(400, 9));
    host.finish().await;
}

#[tokio::test]
async fn what_cannot_be_done_now_is_to_be_tried_again() {
    let host = Host::with_sdk().await;
    let (http, grpc) = start(&host, "s1").await;
    let channel = channel(grpc).await;
    let mut client = stable::sdk_client::SdkClient::new(channel);
    let early = client.get_game_server(stable::Empty {}).await.unwrap_err();
    assert_eq!(early.code(), Code::Unavailable);
    let backend = Backend::of(&["s1"]);
    host.provider.serve_sdk(backend.clone());
    backend.set_away(true);
    let away = call(http, "POST", "/ready", "").await;
    assert_eq!((away.0, &away.1["code"]), (503, &json!(14)));
    assert_eq!(away.1["message"], "The disk is full; try again later.");
    assert_eq!(client.ready(stable::Empty {}).await.unwrap_err().code(), Code::Unavailable);
    backend.set_away(false);
    assert_eq!(call(http, "POST", "/ready", "").await.0, 200);
    backend.forget("s1");
    assert_eq!(call(http, "GET", "/gameserver", "").await.0, 404);
    assert_eq!(client.get_game_server(stable::Empty {}).await.unwrap_err().code(), Code::NotFound);
    host.finish().await;
}

/// The states that lines of JSON tell of, one after the other.
async fn states(lines: &mut (impl futures_util::Stream<Item = Value> + Unpin), expected: &[&str]) {
    for state in expected {
        let next = tokio::time::timeout(PATIENCE, lines.next()).await.unwrap().unwrap();
        assert_eq!(next["result"]["status"]["state"], *state, "{next}");
    }
}

#[tokio::test]
async fn watching_tells_how_it_is_then_every_change_until_the_server_is_known_no_more() {
    let host = Host::with_sdk().await;
    let (http, grpc) = start(&host, "s1").await;
    let backend = Backend::of(&["s1"]);
    host.provider.serve_sdk(backend.clone());

    let mut stream = TcpStream::connect(("127.0.0.1", http)).await.unwrap();
    stream.write_all(b"GET /watch/gameserver HTTP/1.0\r\n\r\n").await.unwrap();
    let mut lines = BufReader::new(stream).lines();
    while !lines.next_line().await.unwrap().unwrap().is_empty() {}
    let lines = futures_util::stream::unfold(lines, async |mut lines| {
        let line = lines.next_line().await.unwrap()?;
        Some((serde_json::from_str::<Value>(&line).unwrap(), lines))
    });
    let mut lines = std::pin::pin!(lines);

    let url = format!("ws://localhost:{http}/watch/gameserver");
    let (socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    let messages = socket.filter_map(async |message| match message.unwrap() {
        tokio_tungstenite::tungstenite::Message::Text(text) => Some(serde_json::from_str(&text).unwrap()),
        _ => None,
    });
    let mut messages = std::pin::pin!(messages);

    let mut client = stable::sdk_client::SdkClient::new(channel(grpc).await);
    let watched = client.watch_game_server(stable::Empty {}).await.unwrap().into_inner();
    let mut watched = watched
        .map(|object| json!({ "result": { "status": { "state": object.unwrap().status.unwrap().state } } }));

    for (path, expected) in [("", "Scheduled"), ("/ready", "Ready"), ("/reserve", "Reserved")] {
        if !path.is_empty() {
            assert_eq!(call(http, "POST", path, "").await.0, 200);
        }
        states(&mut lines, &[expected]).await;
        states(&mut messages, &[expected]).await;
        states(&mut watched, &[expected]).await;
    }
    assert_eq!(call(http, "POST", "/ready", "").await.0, 200);
    states(&mut messages, &["Ready"]).await;
    backend.allocate("s1", "map=de_dust");
    let given = tokio::time::timeout(PATIENCE, messages.next()).await.unwrap().unwrap();
    assert_eq!(given["result"]["status"]["state"], "Allocated");
    let annotations = &given["result"]["object_meta"]["annotations"];
    assert_eq!(annotations["greenroom.dev/payload"], "map=de_dust");
    assert_eq!(annotations["GAMEFLOW_PAYLOAD"], "map=de_dust");

    backend.forget("s1");
    let ended = async {
        while lines.next().await.is_some() {}
        while messages.next().await.is_some() {}
        while watched.next().await.is_some() {}
    };
    tokio::time::timeout(PATIENCE, ended).await.expect("all three end");
    host.finish().await;
}

async fn channel(port: u16) -> tonic::transport::Channel {
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://localhost:{port}")).unwrap();
    endpoint.connect().await.unwrap()
}

#[tokio::test]
async fn every_call_over_grpc_has_its_answer() {
    let host = Host::with_sdk().await;
    let (_, grpc) = start(&host, "s1").await;
    let backend = Backend::of(&["s1"]);
    host.provider.serve_sdk(backend.clone());
    let channel = channel(grpc).await;

    let mut client = stable::sdk_client::SdkClient::new(channel.clone());
    let pings = futures_util::stream::iter([stable::Empty {}, stable::Empty {}]);
    client.health(pings).await.unwrap();
    backend.until_pinged(2).await;
    client.ready(stable::Empty {}).await.unwrap();
    client.allocate(stable::Empty {}).await.unwrap();
    client.reserve(stable::Duration { seconds: 5 }).await.unwrap();
    let less = client.reserve(stable::Duration { seconds: -1 }).await.unwrap_err();
    assert_eq!(less.code(), Code::InvalidArgument);
    let pair = |key: &str| stable::KeyValue { key: key.into(), value: "bar".into() };
    client.set_label(pair("foo")).await.unwrap();
    client.set_annotation(pair("foo")).await.unwrap();
    assert_eq!(client.set_label(pair("")).await.unwrap_err().code(), Code::InvalidArgument);
    let long = stable::KeyValue { key: "foo".into(), value: "x".repeat(70_000) };
    assert_eq!(client.set_annotation(long).await.unwrap_err().code(), Code::OutOfRange);

    let mut players = alpha::sdk_client::SdkClient::new(channel.clone());
    let player = |id: &str| alpha::PlayerId { player_id: id.into() };
    players.set_player_capacity(alpha::Count { count: 1 }).await.unwrap();
    assert_eq!(players.get_player_capacity(alpha::Empty {}).await.unwrap().into_inner().count, 1);
    assert!(players.player_connect(player("a")).await.unwrap().into_inner().bool);
    assert!(!players.player_connect(player("a")).await.unwrap().into_inner().bool);
    assert_eq!(players.player_connect(player("b")).await.unwrap_err().code(), Code::OutOfRange);
    assert_eq!(players.get_player_count(alpha::Empty {}).await.unwrap().into_inner().count, 1);
    assert!(players.is_player_connected(player("a")).await.unwrap().into_inner().bool);
    assert_eq!(players.get_connected_players(alpha::Empty {}).await.unwrap().into_inner().list, ["a"]);

    let mut numbers = beta::sdk_client::SdkClient::new(channel);
    let name = |name: &str| beta::GetCounterRequest { name: name.into() };
    let update = |count, capacity, count_diff| beta::UpdateCounterRequest {
        counter_update_request: Some(beta::CounterUpdateRequest {
            name: "rooms".into(),
            count,
            capacity,
            count_diff,
        }),
    };
    let counter = |count, capacity| beta::Counter { name: "rooms".into(), count, capacity };
    assert_eq!(numbers.get_counter(name("rooms")).await.unwrap().into_inner(), counter(1, 10));
    assert_eq!(numbers.get_counter(name("none")).await.unwrap_err().code(), Code::NotFound);
    for (request, expected) in [
        (update(Some(5), None, 0), counter(5, 10)),
        (update(None, None, -2), counter(3, 10)),
        (update(Some(0), Some(4), 0), counter(0, 4)),
    ] {
        assert_eq!(numbers.update_counter(request).await.unwrap().into_inner(), expected);
    }
    assert_eq!(numbers.update_counter(update(None, None, 5)).await.unwrap_err().code(), Code::OutOfRange);
    assert_eq!(
        numbers.update_counter(update(None, None, 0)).await.unwrap_err().code(),
        Code::InvalidArgument
    );

    let list = |capacity, values: &[&str]| beta::List {
        name: "maps".into(),
        capacity,
        values: values.iter().map(ToString::to_string).collect(),
    };
    let update = |list, paths: &[&str]| beta::UpdateListRequest {
        list: Some(list),
        update_mask: Some(prost_types::FieldMask { paths: paths.iter().map(ToString::to_string).collect() }),
    };
    for (request, expected) in [
        (update(list(7, &["x"]), &["capacity"]), list(7, &["p0"])),
        (update(list(0, &["x", "y"]), &["values"]), list(7, &["x", "y"])),
        (update(list(9, &[]), &[]), list(9, &["x", "y"])),
        (update(list(0, &[]), &["values"]), list(9, &[])),
    ] {
        assert_eq!(numbers.update_list(request).await.unwrap().into_inner(), expected);
    }
    let wrong = numbers.update_list(update(list(1, &[]), &["color"])).await.unwrap_err();
    assert_eq!(wrong.code(), Code::InvalidArgument, "{wrong:?}");
    let add = |value: &str| beta::AddListValueRequest { name: "maps".into(), value: value.into() };
    let remove = |value: &str| beta::RemoveListValueRequest { name: "maps".into(), value: value.into() };
    assert_eq!(numbers.add_list_value(add("z")).await.unwrap().into_inner(), list(9, &["z"]));
    assert_eq!(numbers.add_list_value(add("z")).await.unwrap_err().code(), Code::AlreadyExists);
    assert_eq!(numbers.remove_list_value(remove("z")).await.unwrap().into_inner(), list(9, &[]));
    assert_eq!(numbers.remove_list_value(remove("z")).await.unwrap_err().code(), Code::NotFound);
    let get = beta::GetListRequest { name: "maps".into() };
    assert_eq!(numbers.get_list(get).await.unwrap().into_inner(), list(9, &[]));

    let object = client.get_game_server(stable::Empty {}).await.unwrap().into_inner();
    let (meta, status) = (object.object_meta.unwrap(), object.status.unwrap());
    assert_eq!(
        (meta.name.as_str(), meta.uid.as_str(), meta.creation_timestamp),
        ("chess-s1", "s1", 1_700_000_000)
    );
    assert_eq!(meta.labels["agones.dev/sdk-foo"], "bar");
    assert_eq!((status.state.as_str(), status.address.as_str()), ("Reserved", "127.0.0.1"));
    assert_eq!((status.players.unwrap().ids, status.counters["rooms"].capacity), (vec!["a".to_owned()], 4));
    assert_eq!((status.lists["maps"].capacity, status.addresses[0].r#type.as_str()), (9, "ExternalIP"));
    assert_eq!(object.spec.unwrap().health.unwrap().period_seconds, 5);

    client.shutdown(stable::Empty {}).await.unwrap();
    assert_eq!(client.ready(stable::Empty {}).await.unwrap_err().code(), Code::FailedPrecondition);
    host.finish().await;
}

#[tokio::test]
async fn ports_are_the_servers_own_through_our_restart_and_closed_when_it_has_ended() {
    let host = Host::with_sdk().await;
    let (http, grpc) = start(&host, "s1").await;
    let others = start(&host, "s2").await;
    assert!(![others.0, others.1].iter().any(|port| [http, grpc].contains(port)), "{others:?}");
    // Both loopback addresses are ours, where there are two.
    for port in [http, grpc] {
        for address in ["127.0.0.1", "::1"] {
            let error = TcpListener::bind((address, port)).unwrap_err();
            assert!(matches!(
                error.kind(),
                std::io::ErrorKind::AddrInUse | std::io::ErrorKind::AddrNotAvailable
            ));
        }
    }
    let host = host.reopen().await;
    host.provider.serve_sdk(Backend::of(&["s1", "s2"]));
    let again = async {
        loop {
            if TcpStream::connect(("127.0.0.1", http)).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, again).await.unwrap();
    let (status, object) = call(http, "GET", "/gameserver", "").await;
    assert_eq!((status, &object["object_meta"]["uid"]), (200, &json!("s1")));
    let (third, _) = start(&host, "s3").await;
    assert!(![http, grpc, others.0, others.1].contains(&third), "it was given twice");

    // A connection ends with the server as well.
    let mut idle = TcpStream::connect(("127.0.0.1", http)).await.unwrap();
    host.provider.stop(&server("s1"), Duration::ZERO).await.unwrap();
    host.until_ended("s1").await;
    until_closed(http).await;
    until_closed(grpc).await;
    let read = tokio::time::timeout(PATIENCE, idle.read(&mut [0; 1])).await.unwrap();
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    assert_eq!(call(others.0, "GET", "/gameserver", "").await.0, 200);
    host.finish().await;
}

#[tokio::test]
async fn a_server_that_says_when_it_is_ready_is_not_ready_before() {
    let host = Host::with_sdk().await;
    start(&host, "s1").await;
    assert_eq!(host.provider.get(&server("s1")).await.unwrap().unwrap().phase, Phase::Starting);
    let host = host.reopen().await;
    assert_eq!(host.provider.get(&server("s1")).await.unwrap().unwrap().phase, Phase::Starting);
    host.provider.mark_ready(&server("s1")).await.unwrap();
    let phase = host.provider.get(&server("s1")).await.unwrap().unwrap().phase;
    assert!(matches!(phase, Phase::Ready { .. }), "{phase:?}");
    host.provider.mark_ready(&server("s1")).await.unwrap();
    let host = host.reopen().await;
    assert_eq!(host.provider.get(&server("s1")).await.unwrap().unwrap().phase, phase, "it is kept");
    assert!(host.provider.mark_ready(&server("none")).await.is_err());

    let mut other = game("s2", &["wait"]);
    other.ready = Readiness::After(PATIENCE);
    other.ready_timeout = PATIENCE * 2;
    host.start(other).await;
    host.provider.mark_ready(&server("s2")).await.unwrap();
    assert_eq!(host.provider.get(&server("s2")).await.unwrap().unwrap().phase, Phase::Starting);

    let mut silent = game("s3", &["wait"]);
    (silent.has_sdk, silent.ready) = (true, Readiness::Sdk);
    silent.ready_timeout = Duration::from_millis(300);
    host.start(silent).await;
    let cause = host.until_ended("s3").await.cause;
    let ExitCause::NotReady(sentence) = cause else { panic!("{cause:?}") };
    assert!(sentence.starts_with("it did not call the SDK's Ready within 0.3 s"), "{sentence}");
    host.finish().await;
}

#[tokio::test]
async fn a_server_that_holds_every_connection_keeps_no_other_waiting() {
    let host = Host::with_sdk().await;
    let (greedy, _) = start(&host, "s1").await;
    let (other, _) = start(&host, "s2").await;
    host.provider.serve_sdk(Backend::of(&["s1", "s2"]));
    let mut held = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(("127.0.0.1", greedy)).await.unwrap();
        stream.write_all(b"POST /health HTTP/1.1\r\n").await.unwrap();
        held.push(stream);
    }
    assert_eq!(call(other, "POST", "/health", "").await.0, 200);
    let waits = tokio::time::timeout(Duration::from_millis(300), call(greedy, "POST", "/health", "")).await;
    assert!(waits.is_err(), "it has all that it may have");
    drop(held);
    let answered = tokio::time::timeout(PATIENCE, call(greedy, "POST", "/health", "")).await;
    assert_eq!(answered.unwrap().0, 200);
    host.finish().await;
}
