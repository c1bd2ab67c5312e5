//! The disk that images and containers are on is full.

use greenroom_test_support::{SmallDisk, engines::DockerOptions};

use crate::world::{Wish, World, given, say};

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
