//! `hosting.md`: every status, every sentence.

use std::time::Duration;

use greenroom_protocol::hosting::PAYLOAD_BYTES_MAX;
use greenroom_storage::KeyPermissions;
use serde_json::{Value, json};

use crate::support::{PATIENCE, PORTS, World, game, none, problem, read};

const SERVERS: &str = "/v1/games/skirmish/servers";

async fn allocate(world: &World, key: &str, body: &Value) -> Value {
    let (status, answer) = read(world.post(SERVERS).header("x-api-key", key).json(body)).await;
    assert_eq!(status, 200, "{answer}");
    answer["server"].clone()
}

#[tokio::test]
async fn allocating_a_server() {
    let world = World::new().await;
    let key = world.hosting_key().await;
    let payload = r#"{"map":"dust","quote":"\" ü"}"#;
    let body = json!({ "region": "eu", "payload": payload, "timeoutSeconds": 0, "unknown": [1] }).to_string();
    // Some clients send text/plain.
    let request =
        world.post(SERVERS).header("x-api-key", &key).header("content-type", "text/plain;charset=UTF-8");
    let (status, answer) = read(request.body(body)).await;
    assert_eq!(status, 200, "{answer}");
    let server = &answer["server"];
    assert!(server["name"].is_string());
    assert_eq!((&server["address"], &server["region"]), (&json!("127.0.0.1"), &json!("eu")));
    assert!(server["port"].as_u64().is_some_and(|port| PORTS.contains(&(port as u16))), "{server}");

    // Byte for byte; and the log is there by both paths.
    let id = server["id"].as_str().unwrap();
    for path in [format!("/v1/servers/{id}/logs"), format!("{SERVERS}/{id}/logs?tail=1000")] {
        let answer = world.get(&path).header("x-api-key", &key).send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/plain; charset=utf-8");
        let log = answer.text().await.unwrap();
        assert!(log.lines().any(|line| line == format!("payload={payload}")), "{log}");
    }
    let (_, last) = read(world.get(&format!("/v1/servers/{id}/logs?tail=1")).header("x-api-key", &key)).await;
    assert_eq!(last.as_str().unwrap().lines().count(), 1);

    // No body that says anything: the default region.
    let plain = allocate(&world, &key, &json!({})).await;
    assert_eq!(plain["region"], "eu");
    let (status, view) = read(world.get(&format!("{SERVERS}/{id}")).header("x-api-key", &key)).await;
    assert_eq!((status, &view["state"]), (200, &json!("allocated")));
    assert!(view["history"].as_array().unwrap().len() >= 3, "{view}");
    world.end().await;
}

#[tokio::test]
async fn every_refusal_has_its_status() {
    let world = World::new().await;
    let key = world.hosting_key().await;
    let ask = |body: &str| world.post(SERVERS).header("x-api-key", &key).body(body.to_owned());
    problem(world.post(SERVERS).body("{}"), 401, "unauthorized").await;
    problem(world.post(SERVERS).header("x-api-key", "gk_1_2").body("{}"), 401, "unauthorized").await;
    for body in ["", "nonsense", "[]", "null", "7"] {
        problem(ask(body), 400, "bad_request").await;
    }
    let sentence = problem(ask(r#"{"region":"moon"}"#), 400, "unknown_region").await;
    assert!(sentence.contains("eu") && sentence.contains("us"), "{sentence}");
    for body in
        [r#"{"region":1}"#, r#"{"payload":{}}"#, r#"{"timeoutSeconds":"5"}"#, r#"{"timeoutSeconds":-1}"#]
    {
        problem(ask(body), 422, "invalid").await;
    }
    let large = json!({ "payload": "x".repeat(PAYLOAD_BYTES_MAX + 1) }).to_string();
    problem(ask(&large), 413, "too_large").await;
    let nowhere = |path: &str| world.post(path).header("x-api-key", &key).body("{}");
    problem(nowhere("/v1/games/nothing/servers"), 404, "not_found").await;
    problem(nowhere("/v1/games/bad%20id/servers"), 404, "not_found").await;
    problem(nowhere("/v1/games/chess/servers"), 404, "not_found").await;
    let of_chess = world.key_of("demo", Some("chess"), KeyPermissions { hosting: true, ..none() }).await;
    problem(world.post(SERVERS).header("x-api-key", &of_chess).body("{}"), 403, "forbidden").await;
    problem(world.request(reqwest::Method::PUT, SERVERS), 405, "method_not_allowed").await;
    world.end().await;
}

#[tokio::test]
async fn a_limit_is_429_and_no_server_is_503() {
    let world = World::with(|wish| {
        wish.settings.games.get_mut(&game("skirmish")).unwrap().fleet.as_mut().unwrap().running_max = 1;
        let fleet = wish.settings.games.get_mut(&game("go")).unwrap().fleet.as_mut().unwrap();
        fleet.command = vec!["{greenroom}".into(), "nothing".into()];
    })
    .await;
    let key = world.hosting_key().await;
    allocate(&world, &key, &json!({})).await;
    let ask = || world.post(SERVERS).header("x-api-key", &key).body("{}");
    problem(ask(), 429, "limit_reached").await;
    assert!(ask().send().await.unwrap().headers().contains_key("retry-after"));
    let rival = world.key("rival", KeyPermissions { hosting: true, ..none() }).await;
    let ask = || world.post("/v1/games/go/servers").header("x-api-key", &rival).body("{}");
    problem(ask(), 503, "no_server").await;
    let retry_after =
        ask().send().await.unwrap().headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap();
    assert!(retry_after >= 1);
    world.end().await;
}

#[tokio::test]
async fn an_idempotency_key_gives_one_server() {
    let world = World::new().await;
    let key = world.hosting_key().await;
    let ask = |body: &'static str| {
        world.post(SERVERS).header("x-api-key", &key).header("idempotency-key", "order-7").body(body)
    };
    let body = r#"{"payload":"a"}"#;
    let (one, two) = tokio::join!(read(ask(body)), read(ask(body)));
    assert_eq!((one.0, two.0), (200, 200));
    assert_eq!(one.1["server"]["id"], two.1["server"]["id"]);
    problem(ask(r#"{"payload":"b"}"#), 422, "idempotency_mismatch").await;
    // One that has ended since is still answered, with its state.
    let id = one.1["server"]["id"].as_str().unwrap();
    let path = format!("/v1/servers/{id}");
    let (status, stopping) =
        read(world.request(reqwest::Method::DELETE, &path).header("x-api-key", &key)).await;
    assert_eq!(status, 202);
    assert_eq!(stopping["id"], json!(id));
    let ended = async {
        loop {
            let (_, view) = read(world.get(&path).header("x-api-key", &key)).await;
            if view["state"] == "ended" {
                return view;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let view = tokio::time::timeout(PATIENCE, ended).await.unwrap();
    assert_eq!(view["exit"]["crashed"], false);
    // What it ran and was given is remembered beyond its end.
    assert_eq!((&view["version"], &view["allocation"]["payloadBytes"]), (&json!("1"), &json!(1)));
    let (status, again) = read(ask(body)).await;
    assert_eq!(
        (status, &again["server"]["id"], &again["server"]["state"]),
        (200, &json!(id), &json!("ended"))
    );
    let long = "k".repeat(256);
    let request = world.post(SERVERS).header("x-api-key", &key).header("idempotency-key", long).body("{}");
    problem(request, 422, "invalid").await;
    world.end().await;
}

#[tokio::test]
async fn listing_in_pages() {
    let world = World::new().await;
    let key = world.hosting_key().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(allocate(&world, &key, &json!({})).await["id"].clone());
    }
    ids.reverse();
    let list =
        async |query: &str| read(world.get(&format!("{SERVERS}{query}")).header("x-api-key", &key)).await;
    let (status, page) = list("?limit=2").await;
    assert_eq!(status, 200);
    let of = |page: &Value| {
        page["servers"].as_array().unwrap().iter().map(|s| s["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(of(&page), ids[..2]);
    let next = page["next"].as_str().unwrap();
    let (_, rest) = list(&format!("?limit=2&cursor={next}")).await;
    assert_eq!(of(&rest), ids[2..]);
    assert_eq!(of(&list("?state=allocated").await.1).len(), 3);
    assert_eq!(of(&list("?state=ended").await.1).len(), 0);
    assert_eq!(list("?state=broken").await.0, 400);
    assert_eq!(list("?cursor=nonsense").await.0, 400);
    let (_, regions) = read(world.get("/v1/games/skirmish/regions").header("x-api-key", &key)).await;
    assert_eq!(regions, json!({ "regions": [{ "id": "eu" }, { "id": "us" }] }));
    world.end().await;
}

#[tokio::test]
async fn a_log_is_followed_to_its_end() {
    let world = World::new().await;
    let key = world.hosting_key().await;
    let id = allocate(&world, &key, &json!({})).await["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/servers/{id}");
    let mut answer =
        world.get(&format!("{path}/logs?follow=true")).header("x-api-key", &key).send().await.unwrap();
    let mut log = String::new();
    while !log.contains("ready\n") {
        log.push_str(std::str::from_utf8(&answer.chunk().await.unwrap().expect("more")).unwrap());
    }
    assert_eq!(read(world.request(reqwest::Method::DELETE, &path).header("x-api-key", &key)).await.0, 202);
    while answer.chunk().await.unwrap().is_some() {}
    world.end().await;
}
