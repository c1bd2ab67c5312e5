//! History over HTTP: appended, read, followed.

use greenroom_storage::KeyPermissions;
use serde_json::{Value, json};

use crate::support::{World, none, problem, read};

fn event(name: &str) -> Value {
    json!({ "subject": format!("v1.skirmish.rooms.r1.events.{name}"), "data": { "n": name } })
}

async fn historian(world: &World) -> String {
    let all = vec!["v1.skirmish.>".to_owned()];
    world.key("demo", KeyPermissions { publish: all.clone(), subscribe: all, ..none() }).await
}

#[tokio::test]
async fn appended_and_read() {
    let world = World::new().await;
    let key = historian(&world).await;
    let append = |body: Value| read(world.post("/v1/events").header("x-api-key", &key).json(&body));
    let (status, one) = append(event("a")).await;
    assert_eq!(status, 202, "{one}");
    let first: u64 = one["events"][0]["sequence"].as_str().unwrap().parse().unwrap();
    let (status, two) = append(json!([event("b"), event("c")])).await;
    assert_eq!((status, two["events"].as_array().unwrap().len()), (202, 2));
    let page = |query: &str| {
        read(world.get(&format!("/v1/events?filter=v1.skirmish.rooms.%3E{query}")).header("x-api-key", &key))
    };
    let (status, all) = page("").await;
    assert_eq!(
        (status, all["events"].as_array().unwrap().len(), &all["end"]),
        (200, 3, &json!(true)),
        "{all}"
    );
    assert_eq!(all["events"][0]["specversion"], "1.0");
    assert_eq!(
        (&all["events"][0]["type"], &all["events"][0]["sequence"]),
        (&json!("a"), &json!(first.to_string()))
    );
    let (_, part) = page(&format!("&limit=1&from={}", first + 1)).await;
    assert_eq!(part["events"][0]["data"]["n"], "b");
    let (_, rest) = page(&format!("&from={}", part["next"].as_str().unwrap())).await;
    assert_eq!(rest["events"].as_array().unwrap().len(), 1);

    // A retry is harmless: by the event's id, by the key of the request.
    let twice = || {
        let request = world.post("/v1/events").header("x-api-key", &key).header("idempotency-key", "k1");
        read(request.json(&json!([event("d"), event("e")])))
    };
    assert_eq!(twice().await, twice().await);
    world.end().await;
}

#[tokio::test]
async fn what_is_no_event() {
    let world = World::new().await;
    let key = historian(&world).await;
    let ask = |body: String| world.post("/v1/events").header("x-api-key", &key).body(body);
    problem(ask("nonsense".into()), 400, "bad_request").await;
    problem(ask(String::new()), 400, "bad_request").await;
    for body in [
        "7",
        "{}",
        "[]",
        "[7]",
        r#"{"subject":7}"#,
        r#"{"subject":"no subject"}"#,
        r#"{"subject":"v1.go.rooms.r.events.x"}"#,
    ] {
        problem(ask(body.into()), 422, "invalid").await;
    }
    let mut late = event("x");
    late["time"] = json!("yesterday");
    problem(ask(late.to_string()), 422, "invalid").await;
    let mut large = event("x");
    large["data"] = json!("x".repeat(64 * 1024));
    problem(ask(large.to_string()), 413, "too_large").await;
    let many: Vec<_> = (0..1_001).map(|_| event("x")).collect();
    problem(ask(Value::from(many).to_string()), 413, "too_large").await;
    let chess = json!({ "subject": "v1.chess.rooms.r.events.x" });
    problem(ask(chess.to_string()), 403, "forbidden").await;
    problem(world.get("/v1/events?filter=v1.chess.%3E").header("x-api-key", &key), 403, "forbidden").await;
    problem(world.get("/v1/events?filter=a..b").header("x-api-key", &key), 400, "bad_request").await;
    problem(world.get("/v1/events?from=x").header("x-api-key", &key), 400, "bad_request").await;
    problem(world.get("/v1/events?studio=rival").header("x-api-key", &key), 403, "forbidden").await;
    // An administrator speaks for no studio by itself.
    problem(world.get("/v1/events").bearer_auth(world.admin()), 400, "bad_request").await;
    assert_eq!(read(world.get("/v1/events?studio=demo").bearer_auth(world.admin())).await.0, 200);
    world.end().await;
}

/// Server-sent events, read from an answer.
struct Reader(reqwest::Response, String);

impl Reader {
    /// The next event as `(id, data)`; comments are passed over.
    async fn next(&mut self) -> (String, Value) {
        loop {
            if let Some((block, rest)) = self.1.split_once("\n\n") {
                let field = |name: &str| {
                    block.lines().find_map(|line| line.strip_prefix(name)).map(|text| text.trim().to_owned())
                };
                let found = field("id:").zip(field("data:"));
                self.1 = String::from(rest);
                if let Some((id, data)) = found {
                    return (id, serde_json::from_str(&data).unwrap());
                }
                continue;
            }
            let chunk = self.0.chunk().await.unwrap().expect("an open stream");
            self.1.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}

#[tokio::test]
async fn followed_and_resumed() {
    let world = World::with(|wish| wish.api.limits.streams_per_caller_max = 1).await;
    let key = historian(&world).await;
    let append =
        |name: &'static str| read(world.post("/v1/events").header("x-api-key", &key).json(&event(name)));
    let stream = |last: Option<String>| {
        let request =
            world.get("/v1/events/stream?filter=v1.skirmish.rooms.*.events.*").header("x-api-key", &key);
        last.map_or(request.try_clone().unwrap(), |last| request.header("last-event-id", last))
    };
    append("before").await;
    let answer = stream(None).send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-type"]),
        (200, &"text/event-stream".parse().unwrap())
    );
    let mut reader = Reader(answer, String::new());
    append("one").await;
    let (id, data) = reader.next().await;
    assert_eq!((&data["data"]["n"], &data["sequence"]), (&json!("one"), &json!(id)));
    // One caller has so many streams; the place is free again when it goes.
    problem(stream(None), 429, "limit_reached").await;
    drop(reader);
    append("two").await;
    append("three").await;
    let resumed = async {
        loop {
            let answer = stream(Some(id.clone())).send().await.unwrap();
            if answer.status() == 200 {
                return Reader(answer, String::new());
            }
        }
    };
    let mut reader = tokio::time::timeout(crate::support::PATIENCE, resumed).await.unwrap();
    assert_eq!(reader.next().await.1["data"]["n"], "two");
    assert_eq!(reader.next().await.1["data"]["n"], "three");
    problem(stream(Some("x".into())), 400, "bad_request").await;
    // The stream ends when Greenroom stops.
    world.closing.cancel();
    while reader.0.chunk().await.unwrap().is_some() {}
    world.end().await;
}

#[tokio::test]
async fn what_is_gone_is_told_as_a_gap() {
    let world = World::with(|wish| {
        for studio in wish.settings.studios.values_mut() {
            studio.events.events_max = 10;
        }
    })
    .await;
    let key = historian(&world).await;
    for _ in 0..10 {
        let five: Vec<_> = (0..5).map(|n| event(&format!("e{n}"))).collect();
        let appended = world.post("/v1/events").header("x-api-key", &key).json(&five);
        assert_eq!(read(appended).await.0, 202);
    }
    let page = async {
        loop {
            let (_, page) =
                read(world.get("/v1/events?from=1&filter=v1.skirmish.%3E").header("x-api-key", &key)).await;
            if page["gap"].is_object() && page["events"].as_array().unwrap().len() <= 10 {
                return page;
            }
        }
    };
    let page = tokio::time::timeout(crate::support::PATIENCE, page).await.unwrap();
    assert_eq!(page["gap"]["first"], "1");
    let request = world.get("/v1/events/stream?after=0&filter=v1.skirmish.%3E").header("x-api-key", &key);
    let mut reader = Reader(request.send().await.unwrap(), String::new());
    let (id, gap) = reader.next().await;
    assert_eq!((&gap["first"], &gap["last"]), (&json!("1"), &json!(id)));
    let (next, _) = reader.next().await;
    assert_eq!(next.parse::<u64>().unwrap(), id.parse::<u64>().unwrap() + 1);
    drop(reader);
    world.end().await;
}
