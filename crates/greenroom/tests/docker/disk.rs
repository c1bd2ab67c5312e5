//! The disk that images and containers are on is full.

use greenroom_test_support::{
    SmallDisk,
    engines::{self, DockerOptions},
    greenroom::GAME,
    registry::Registry,
};
use reqwest::Method;
use serde_json::json;

use crate::world::{VERSION, Wish, World, given, say};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_of_images_is_told_and_leaves_nothing() {
    let test = "a full disk of images";
    let Some(disk) = SmallDisk::mount(64 * 1024, test) else { return };
    let options = DockerOptions { data_root: Some(disk.path().join("data")), ..DockerOptions::default() };
    let wish = Wish { options, fleet: "start_tries_max = 1", ..Wish::default() };
    let Some(world) = World::new(test, &wish) else { return };
    let running = world.installation.serve().await;
    disk.fill().unwrap();
    let refused = running.allocate(None).await;
    assert!(matches!(refused.status, 500 | 503), "{refused:?}");
    assert!(!refused.sentence().is_empty(), "{refused:?}");
    disk.free().unwrap();
    world.is_empty().await;
    let server = given(&running).await;
    assert_eq!(say(server.port, "hello"), "hello");
    assert_eq!(running.stop_server(&server.id).await.status, 202);
    world.is_empty().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_does_not_fit_is_told_and_pulled_once_it_does() {
    let test = "an image that does not fit";
    let Some(disk) = SmallDisk::mount(64 * 1024, test) else { return };
    let registry = Registry::start();
    let config = json!({ "Entrypoint": [engines::GAME] });
    registry.push_layer("studio/echo", VERSION, engines::game_archive(), &config);
    let options = DockerOptions { data_root: Some(disk.path().join("data")), ..DockerOptions::default() };
    let image = format!("{}/studio/echo", registry.host());
    let tables = format!("[registries.\"{}\"]\nurl = \"{}\"", registry.host(), registry.url());
    let (fleet, tables) = ("start_tries_max = 1", tables.as_str());
    let wish = Wish { options, fleet, tables, in_registry: Some(image), ..Wish::default() };
    let Some(world) = World::new(test, &wish) else { return };
    disk.fill().unwrap();
    let running = world.installation.serve().await;
    let refused = running.allocate(None).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.sentence().contains("no space left"), "{refused:?}");
    let builds = running.get(&format!("/v1/games/{GAME}/builds")).await;
    assert!(builds.body.to_string().contains("no space left"), "{builds:?}");
    disk.free().unwrap();
    let pull = format!("/v1/games/{GAME}/builds/{VERSION}/pull");
    assert_eq!(running.ask(Method::POST, &pull, None).await.status, 202);
    let server = given(&running).await;
    assert_eq!(say(server.port, "hello"), "hello");
    assert_eq!(running.stop_server(&server.id).await.status, 202);
    world.is_empty().await;
}
