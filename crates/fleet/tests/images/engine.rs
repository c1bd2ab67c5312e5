//! Pulls by a real engine.

use std::time::Duration;

use greenroom_domain::settings::VersionSource;
use greenroom_fleet::{
    docker::{Connection, Endpoint},
    images::{Images, ImagesConfig, PullFor, PullProgress, PullState},
    local_host,
};
use greenroom_test_support::{
    engines::{Docker, shared_docker},
    registry::{Registry, RegistryAccess},
    wait_for,
};
use tokio::{sync::watch, time::timeout};

use crate::{SOON, container, image, images};

const BYTES: usize = 2 << 20;

fn connection(docker: &Docker) -> Vec<Connection> {
    vec![Connection::new(local_host(), Endpoint::Unix(docker.socket()))]
}

async fn until(
    progress: &mut watch::Receiver<PullProgress>,
    condition: impl Fn(&PullProgress) -> bool,
) -> PullProgress {
    let found = timeout(SOON, progress.wait_for(|progress| condition(progress))).await;
    found.expect("it comes in time").expect("it is told").clone()
}

async fn pull(images: &Images, image: &str, why: PullFor) -> PullState {
    let mut progress = images.pull(&local_host(), image, why).unwrap();
    until(&mut progress, PullProgress::is_over).await.state
}

fn remove(docker: &Docker, image: &str) {
    let answer = docker.call("DELETE", &format!("/images/{image}?force=true"), None);
    assert!(answer.is_success(), "{}", answer.text());
}

#[tokio::test]
async fn a_pull_tells_how_far_it_is_and_is_one_for_all_who_want_it() {
    let Some(docker) = shared_docker("a_pull_tells_how_far_it_is") else { return };
    let registry = Registry::start();
    registry.push("studio/game", "1.0.0", BYTES);
    registry.hold_layers(true);
    let images = images(&registry, None, connection(docker));
    let (host, name) = (local_host(), image(&registry, "studio/game"));
    let image = format!("{name}:1.0.0");
    assert!(!images.present(&host, &image).await.unwrap());
    let mut one = images.pull(&host, &image, PullFor::Later).unwrap();
    let half = until(&mut one, |progress| progress.bytes_done > 0).await;
    assert_eq!((half.state, half.layers_total, half.layers_done), (PullState::Pulling, 1, 0));
    assert!((BYTES as u64..BYTES as u64 + 4096).contains(&half.bytes_total), "{}", half.bytes_total);
    assert!(half.bytes_done < half.bytes_total);

    let mut another = images.pull(&host, &image, PullFor::Start).unwrap();
    assert_eq!(images.pulls().len(), 1);
    registry.hold_layers(false);
    for progress in [&mut one, &mut another] {
        let done = until(progress, PullProgress::is_over).await;
        assert_eq!((done.state, done.layers_done), (PullState::Done, 1));
        assert_eq!(done.bytes_done, done.bytes_total);
    }
    assert_eq!(registry.asked("GET /v2/studio/game/blobs/"), 2, "the configuration and the layer, once each");
    assert!(images.present(&host, &image).await.unwrap());
    assert!(images.tags_on(&host, &name).await.unwrap().contains("1.0.0"));
    assert_eq!(images.pulls(), []);
    let of_engine = container(&registry, "studio/game", VersionSource::Engine);
    assert_eq!(*images.tags(&of_engine).await.unwrap().tags, ["1.0.0".to_owned()]);
}

#[tokio::test]
async fn who_waits_for_an_image_waits_for_no_other() {
    let Some(docker) = shared_docker("who_waits_for_an_image_waits_for_no_other") else { return };
    let registry = Registry::start();
    for tag in ["1.0.0", "2.0.0", "3.0.0"] {
        registry.push("studio/turns", tag, BYTES);
    }
    registry.hold_layers(true);
    let images = images(&registry, None, connection(docker));
    let host = local_host();
    let begin = |tag: &str, why| {
        images.pull(&host, &format!("{}:{tag}", image(&registry, "studio/turns")), why).unwrap()
    };
    let mut first = begin("1.0.0", PullFor::Later);
    until(&mut first, |progress| progress.bytes_done > 0).await;
    let mut second = begin("2.0.0", PullFor::Later);
    let mut urgent = begin("3.0.0", PullFor::Start);
    until(&mut urgent, |progress| progress.bytes_done > 0).await;
    assert_eq!(second.borrow().state, PullState::Waiting);
    // Somebody comes to need what waits.
    begin("2.0.0", PullFor::Start);
    until(&mut second, |progress| progress.bytes_done > 0).await;
    registry.hold_layers(false);
    for progress in [&mut first, &mut second, &mut urgent] {
        assert_eq!(until(progress, PullProgress::is_over).await.state, PullState::Done);
    }
}

#[tokio::test]
async fn an_image_that_vanished_is_pulled_again() {
    let Some(docker) = shared_docker("an_image_that_vanished_is_pulled_again") else { return };
    let registry = Registry::start();
    registry.push("studio/vanishing", "1.0.0", 1024);
    let images = images(&registry, None, connection(docker));
    let image = format!("{}:1.0.0", image(&registry, "studio/vanishing"));
    for _ in 0..2 {
        assert_eq!(pull(&images, &image, PullFor::Start).await, PullState::Done);
        remove(docker, &image);
        assert!(!images.present(&local_host(), &image).await.unwrap());
    }
}

#[tokio::test]
async fn a_pull_that_fails_says_why_and_rests() {
    let Some(docker) = shared_docker("a_pull_that_fails_says_why_and_rests") else { return };
    let registry = Registry::start();
    let images = images(&registry, None, connection(docker));
    let image = format!("{}:1.0.0", image(&registry, "studio/missing"));
    let PullState::Failed(why) = pull(&images, &image, PullFor::Later).await else { panic!("it fails") };
    assert!(why.contains("manifest"), "{why}");
    let asked = registry.asked("/manifests/");
    assert_eq!(pull(&images, &image, PullFor::Start).await, PullState::Failed(why));
    assert_eq!(registry.asked("/manifests/"), asked);
    // A person may have mended it.
    registry.push("studio/missing", "1.0.0", 1024);
    assert_eq!(pull(&images, &image, PullFor::Person).await, PullState::Done);
}

#[tokio::test]
async fn the_engine_pulls_with_our_credentials() {
    let Some(docker) = shared_docker("the_engine_pulls_with_our_credentials") else { return };
    for access in [RegistryAccess::Basic("ann", "secret-7"), RegistryAccess::Token("ann", "secret-7")] {
        let registry = Registry::start();
        registry.push("studio/private", "1.0.0", 1024);
        registry.set_access(access);
        let image = format!("{}:1.0.0", image(&registry, "studio/private"));
        let nobody = images(&registry, None, connection(docker));
        assert!(matches!(pull(&nobody, &image, PullFor::Start).await, PullState::Failed(_)), "{access:?}");
        let ann = images(&registry, Some(("ann", "secret-7")), connection(docker));
        assert_eq!(pull(&ann, &image, PullFor::Start).await, PullState::Done, "{access:?}");
    }
}

#[tokio::test]
async fn a_pull_that_takes_too_long_is_given_up() {
    let Some(docker) = shared_docker("a_pull_that_takes_too_long_is_given_up") else { return };
    let registry = Registry::start();
    registry.push("studio/slow", "1.0.0", BYTES);
    registry.hold_layers(true);
    let config = crate::config(&registry, None, connection(docker));
    let config = ImagesConfig { pull_timeout: Duration::from_secs(1), ..config };
    let images = Images::new(config);
    let image = format!("{}:1.0.0", image(&registry, "studio/slow"));
    let PullState::Failed(why) = pull(&images, &image, PullFor::Start).await else { panic!("it is late") };
    assert_eq!(why, "it took longer than 1 s");
    registry.hold_layers(false);
    // What the engine was left with stands in no one's way.
    let patient = crate::images(&registry, None, connection(docker));
    assert_eq!(pull(&patient, &image, PullFor::Person).await, PullState::Done);
}

#[tokio::test]
async fn a_shutdown_gives_pulls_up() {
    let Some(docker) = shared_docker("a_shutdown_gives_pulls_up") else { return };
    let registry = Registry::start();
    registry.push("studio/stopped", "1.0.0", BYTES);
    registry.hold_layers(true);
    let images = images(&registry, None, connection(docker));
    let image = format!("{}:1.0.0", image(&registry, "studio/stopped"));
    let mut progress = images.pull(&local_host(), &image, PullFor::Later).unwrap();
    until(&mut progress, |progress| progress.bytes_done > 0).await;
    timeout(SOON, images.shutdown()).await.unwrap();
    assert!(matches!(&progress.borrow().state, PullState::Failed(_)));
    assert!(images.pull(&local_host(), &image, PullFor::Person).is_err());
    registry.hold_layers(false);
    assert!(wait_for(|| registry.held() == 0, SOON).await);
}

#[tokio::test]
async fn an_engine_that_is_away_is_told_as_that() {
    let registry = Registry::start();
    let folder = tempfile::tempdir().unwrap();
    let nowhere = Connection::new(local_host(), Endpoint::Unix(folder.path().join("none.sock")));
    let images = images(&registry, None, vec![nowhere]);
    let image = format!("{}:1.0.0", image(&registry, "studio/game"));
    let error = images.present(&local_host(), &image).await.unwrap_err();
    assert_eq!(error.word(), "engine", "{error}");
    let of_engine = container(&registry, "studio/game", VersionSource::Engine);
    assert_eq!(images.tags(&of_engine).await.unwrap_err().word(), "engine");
    assert!(matches!(pull(&images, &image, PullFor::Start).await, PullState::Failed(_)));
}
