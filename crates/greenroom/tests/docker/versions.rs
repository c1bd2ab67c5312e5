//! Which version runs where nobody names one.

use std::time::Duration;

use greenroom_test_support::greenroom::{Api, GAME};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::world::{IMAGE, PATIENCE, Wish, World, given, stopped};

/// Waits until a server stands ready that has this version, and no other.
async fn stands_ready(api: &Api, version: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let servers = api.servers().await;
        let ready = servers.iter().filter(|server| server["state"] == "ready");
        let versions: Vec<_> = ready.map(|server| &server["version"]).collect();
        if versions == [version] {
            return;
        }
        assert!(Instant::now() < deadline, "{versions:?} stand ready, not {version}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn version_of(api: &Api, id: &str) -> Value {
    api.server(id).await.body["version"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_one_stands_ready_and_is_given_where_none_is_named() {
    let wish = Wish {
        fleet: "running_max = 4\nready_min = 1\nwarm_payload = \"ignore\"",
        without_version: true,
        ..Wish::default()
    };
    let Some(world) = World::new("the newest version", &wish) else { return };
    // The world has 1.0.0 already.
    world.docker.import_game(IMAGE, &["v1.10.0", "1.9.0", "latest"]);
    let running = world.installation.serve().await;
    stands_ready(&running, "v1.10.0").await;
    let server = given(&running).await;
    assert_eq!(version_of(&running, &server.id).await, "v1.10.0");
    stopped(&running, &server.id).await;
    let path = format!("/v1/games/{GAME}/servers");
    let answer = running.ask(Method::POST, &path, Some(&json!({ "version": "1.10.0" }))).await;
    let id = answer.body["server"]["id"].as_str().unwrap_or_else(|| panic!("{answer:?}"));
    assert_eq!(version_of(&running, id).await, "v1.10.0", "however its tag is written");
    stopped(&running, id).await;
    world.docker.import_game(IMAGE, &["2.0.0"]);
    stands_ready(&running, "2.0.0").await;
    let server = given(&running).await;
    assert_eq!(version_of(&running, &server.id).await, "2.0.0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_without_a_version_is_told() {
    let wish = Wish { without_version: true, ..Wish::default() };
    let Some(world) = World::new("an image without a version", &wish) else { return };
    let path = format!("/images/{IMAGE}:{}", crate::world::VERSION);
    assert!(world.docker.call("DELETE", &path, None).is_success());
    world.docker.import_game(IMAGE, &["latest"]);
    let running = world.installation.serve().await;
    let refused = running.allocate(None).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.sentence().contains("no tag of echo is a version"), "{refused:?}");
    assert!(running.servers().await.is_empty());
}
