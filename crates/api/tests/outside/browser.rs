//! The native server browser: filters, order, pages, and the same live.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use greenroom_operations::browser::Announcing;
use greenroom_protocol::browser::Announcement;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::{PATIENCE, World, game, problem, read};

const BROWSER: &str = "/v1/games/skirmish/browser";

fn announce(world: &World, port: u16, said: Value) -> Announcing {
    let mut message = json!({ "name": format!("Game {port}"), "port": port });
    message.as_object_mut().unwrap().extend(said.as_object().unwrap().clone());
    let said = Announcement::parse(&message.to_string()).unwrap();
    world.node.browser.announce(&game("skirmish"), said, "198.51.100.1".parse().unwrap(), None).unwrap()
}

fn ports(page: &Value) -> Vec<u64> {
    page["servers"].as_array().unwrap().iter().map(|server| server["port"].as_u64().unwrap()).collect()
}

async fn page(world: &World, query: &str) -> Value {
    let (status, page) = read(world.get(&format!("{BROWSER}{query}"))).await;
    assert_eq!(status, 200, "{query}: {page}");
    page
}

async fn until_listed(world: &World, count: u64) {
    let look = async {
        while page(world, "").await["total"] != count {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, look).await.expect("they are listed");
}

#[tokio::test]
async fn filters_order_and_pages() {
    let world = World::new().await;
    let _servers = [
        announce(&world, 1, json!({ "players": 3, "playersMax": 8, "region": "eu", "version": "1.0.0" })),
        announce(&world, 2, json!({ "players": 8, "playersMax": 8, "region": "eu", "version": "1.1.0" })),
        announce(&world, 3, json!({ "players": 0, "playersMax": 8, "region": "us", "version": "1.1.0" })),
        announce(&world, 4, json!({ "players": 5, "region": "us", "name": "Zoë's Arena" })),
    ];
    until_listed(&world, 4).await;
    let found = async |query: &str| ports(&page(&world, query).await);
    assert_eq!(found("").await, [2, 4, 1, 3]);
    assert_eq!(found("?region=eu").await, [2, 1]);
    assert_eq!(found("?version=1.1.0").await, [2, 3]);
    assert_eq!(found("?not_full=true").await, [4, 1, 3]);
    assert_eq!(found("?has_players=true&region=us").await, [4]);
    assert_eq!(found("?text=ZO%C3%8B").await, [4]);
    assert_eq!(found("?sort=name").await, [1, 2, 3, 4]);
    assert_eq!(found("?latencies=us:20.5,eu:90").await, [4, 3, 2, 1]);
    assert_eq!(found("?latencies=us:20,eu:90&sort=players").await, [2, 4, 1, 3]);
    assert!(found("?region=moon").await.is_empty());

    let first = page(&world, "?limit=3").await;
    assert_eq!((ports(&first), &first["total"]), (vec![2, 4, 1], &json!(4)));
    let next = first["next"].as_str().unwrap();
    let rest = page(&world, &format!("?limit=3&cursor={next}")).await;
    assert_eq!((ports(&rest), rest.get("next")), (vec![3], None));
    let entry = &page(&world, "?text=game%201").await["servers"][0];
    assert_eq!(
        (&entry["address"], &entry["official"], &entry["playersMax"], &entry["tls"]),
        (&json!("198.51.100.1"), &json!(false), &json!(8), &json!(false))
    );
    assert!(entry["id"].is_string() && entry.get("path").is_none());

    for bad in ["?sort=ping", "?latencies=eu", "?latencies=eu:-1", "?limit=x", "?cursor=x", "?not_full=2"] {
        problem(world.get(&format!("{BROWSER}{bad}")), 400, "bad_request").await;
    }
    let many: Vec<String> = (0..65).map(|number| format!("r{number}:1")).collect();
    problem(world.get(&format!("{BROWSER}?latencies={}", many.join(","))), 400, "bad_request").await;
    problem(world.get("/v1/games/nothing/browser"), 404, "not_found").await;
    let answer = world.get(BROWSER).send().await.unwrap();
    assert_eq!(answer.headers()["cache-control"], "public, max-age=1");
    assert!(page(&world, "?limit=1000000").await["total"] == 4);
    world.end().await;
}

#[tokio::test]
async fn who_watches_is_told_the_newest_list() {
    let world = World::new().await;
    let mut watcher = world.joined("Ada").await;
    watcher.send(json!({ "type": "browser:watch", "sort": "latency", "text": 7, "id": 1 })).await;
    assert_eq!(watcher.next().await["code"], "invalid");
    watcher.send(json!({ "type": "browser:watch", "hasPlayers": true, "id": 2 })).await;
    let first = watcher.next().await;
    assert_eq!(first, json!({ "type": "browser:updated", "servers": [], "total": 0, "id": 2 }));

    let one = announce(&world, 1, json!({ "players": 1 }));
    let news = watcher.until("browser:updated").await;
    assert_eq!((ports(&news), news.get("id")), (vec![1], None));
    // What the filter does not let through is no news.
    let two = announce(&world, 2, json!({}));
    until_listed(&world, 2).await;
    two.report(report(4));
    let news = watcher.until("browser:updated").await;
    assert_eq!(ports(&news), [2, 1]);
    drop(one);
    let news = watcher.until("browser:updated").await;
    assert_eq!((ports(&news), &news["total"]), (vec![2], &json!(1)));

    // Another filter takes the place of the first.
    watcher.send(json!({ "type": "browser:watch", "text": "nothing like it" })).await;
    assert!(ports(&watcher.until("browser:updated").await).is_empty());
    watcher.send(json!({ "type": "browser:unwatch", "id": 3 })).await;
    watcher.until("ok").await;
    let _three = announce(&world, 3, json!({ "players": 1, "name": "nothing like it" }));
    until_listed(&world, 2).await;
    watcher.send(json!({ "type": "ping" })).await;
    assert_eq!(watcher.next().await["type"], "pong");
    world.end().await;
}

fn report(players: u32) -> greenroom_protocol::browser::PlayersReport {
    greenroom_protocol::browser::PlayersReport { players, players_max: None }
}

#[tokio::test]
async fn a_flood_of_changes_is_told_in_few_messages_and_the_last_is_the_newest() {
    let world = World::new().await;
    let mut watcher = world.joined("Ada").await;
    watcher.send(json!({ "type": "browser:watch" })).await;
    watcher.until("browser:updated").await;
    let server = announce(&world, 1, json!({}));
    let (began, mut told) = (Instant::now(), HashSet::new());
    for players in 1..=1_000 {
        server.report(report(players));
        tokio::task::yield_now().await;
    }
    let last = async {
        loop {
            let news = watcher.until("browser:updated").await;
            let players = news["servers"][0]["players"].as_u64().unwrap();
            told.insert(players);
            if players == 1_000 {
                return;
            }
        }
    };
    timeout(PATIENCE, last).await.expect("the newest state");
    // Five a second, and the first and the last.
    let (told, seconds) = (told.len(), began.elapsed().as_secs_f64());
    assert!(told as f64 <= 5.0 * seconds + 2.0 && told < 500, "{told} in {seconds} s");
    world.end().await;
}
