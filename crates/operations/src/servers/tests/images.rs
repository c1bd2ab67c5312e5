//! A server whose host does not have its image.

use greenroom_fleet::{
    StartError,
    docker::{Connection, Endpoint},
    images::{Images, ImagesConfig},
    local_host,
};
use greenroom_test_support::{engines::shared_docker, registry::Registry, wait_for};

use super::*;

fn missing(image: &str) -> Fate {
    Fate::Refused(StartError::NoImage { host: local_host(), image: image.to_owned() })
}

/// A node whose pulls go to `docker`, and whose provider does as it is told.
async fn node_with(folder: &Path, images: Images, scripted: Scripted) -> Node {
    let settings = settings(&["skirmish"], 100, &fleet());
    Node::open_with(folder, settings, scripted, None, images).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_waits_for_its_image_and_no_other_does() {
    let Some(docker) = shared_docker("a_server_waits_for_its_image_and_no_other_does") else { return };
    let registry = Registry::start();
    registry.push("studio/waits", "1.0.0", 1 << 20);
    registry.hold_layers(true);
    let engines = vec![Connection::new(local_host(), Endpoint::Unix(docker.socket()))];
    let images = Images::new(ImagesConfig { engines, ..ImagesConfig::default() });
    let image = format!("{}/studio/waits:1.0.0", registry.host());
    let folder = tempfile::tempdir().unwrap();
    let scripted = Scripted::new(Fate::Ready);
    scripted.next_fates([missing(&image)]);
    let node = node_with(folder.path(), images.clone(), scripted).await;

    let asked = spawn(node.servers.clone(), ask());
    assert!(wait_for(|| registry.held() == 1, SOON).await, "its image is pulled");
    // Looks that come meanwhile, as the periodic one does, change nothing.
    let waiting = node.in_state(ServerState::Starting).remove(0);
    node.servers.nudge(waiting.id());
    let other = node.servers.allocate(ask()).await.unwrap();
    assert_eq!(other.server.state, ServerState::Allocated);
    assert!(!asked.is_finished());
    registry.hold_layers(false);
    let server = asked.await.unwrap().unwrap().server;
    assert_eq!(server.id, *waiting.id());
    assert!(images.present(&local_host(), &image).await.unwrap());
    assert_eq!(node.servers.0.image_waits.lock().len(), 0);
    images.shutdown().await;
    node.die().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_image_does_not_come_fails_and_says_why() {
    let Some(docker) = shared_docker("a_server_whose_image_does_not_come_fails_and_says_why") else { return };
    let registry = Registry::start();
    let engines = vec![Connection::new(local_host(), Endpoint::Unix(docker.socket()))];
    let images = Images::new(ImagesConfig { engines, ..ImagesConfig::default() });
    let image = format!("{}/studio/never:1.0.0", registry.host());
    let folder = tempfile::tempdir().unwrap();
    let node = node_with(folder.path(), images.clone(), Scripted::new(missing(&image))).await;
    let error = node.servers.allocate(ask()).await.unwrap_err().to_string();
    assert!(error.contains("could not be pulled") && error.contains("manifest"), "{error}");
    assert_eq!(node.servers.0.image_waits.lock().len(), 0);

    // One that comes and goes is not pulled for ever.
    registry.push("studio/goes", "1.0.0", 1024);
    node.scripted.otherwise(missing(&format!("{}/studio/goes:1.0.0", registry.host())));
    let error = node.servers.allocate(ask()).await.unwrap_err().to_string();
    assert!(error.contains("gone again"), "{error}");
    assert_eq!(node.servers.0.image_waits.lock().len(), 0);
    images.shutdown().await;
    node.die().await;
}
