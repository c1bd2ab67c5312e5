//! Who follows a log is told its end, whatever ends it, and nothing of that stays.

use std::time::Duration;

use greenroom_test_support::{
    engines::{Docker, DockerOptions},
    greenroom::Api,
};
use reqwest::Response;
use tokio::time::timeout;

use crate::{
    soak::{counts_are, settled},
    world::{PATIENCE, Wish, World, given, say, stopped, told},
};

/// Those who follow one log.
const FOLLOWERS: usize = 3;

/// Ends a container, by the engine or by its port.
type End = fn(&Docker, &str, u16);

/// Those who follow the log of the server `id` from its beginning. Each has read the first of it.
async fn followers(api: &Api, id: &str) -> Vec<Response> {
    let mut followers = Vec::new();
    for _ in 0..FOLLOWERS {
        let url = format!("{}/v1/servers/{id}/logs?follow=true", api.url);
        // A connection of its own, that ends with the answer.
        let http = reqwest::Client::new();
        let mut answer = http.get(url).bearer_auth(&api.admin_token).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert!(timeout(PATIENCE, answer.chunk()).await.unwrap().unwrap().is_some());
        followers.push(answer);
    }
    followers
}

async fn all_end(followers: Vec<Response>, why: &str) {
    for mut follower in followers {
        let to_its_end = async { while let Ok(Some(_)) = follower.chunk().await {} };
        timeout(PATIENCE, to_its_end).await.unwrap_or_else(|_| panic!("a log goes on though {why}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_followed_ends_with_its_container() {
    let wish = Wish { fleet: "running_max = 4\nended_keep = \"1s\"", ..Wish::default() };
    let Some(world) = World::new("a log ends with its container", &wish) else { return };
    let running = world.installation.serve().await;
    let first = given(&running).await;
    stopped(&running, &first.id).await;
    let before = settled(&world, &running).await;
    let ends: [(&str, End); 4] = [
        ("it was killed", |docker, container, _| assert!(docker.kill_container(container, "KILL"))),
        ("it was removed", |docker, container, _| assert!(docker.remove_container(container))),
        ("it ended", |_, _, port| assert_eq!(say(port, "!exit 0"), "")),
        ("it was paused and removed", |docker, container, _| {
            assert!(docker.call("POST", &format!("/containers/{container}/pause"), None).is_success());
            assert!(docker.remove_container(container));
        }),
    ];
    for (why, end) in ends {
        let server = given(&running).await;
        let container = world.docker.containers()[0]["Id"].as_str().unwrap().to_owned();
        let followers = followers(&running, &server.id).await;
        end(&world.docker, &container, server.port);
        all_end(followers, why).await;
        told(&running, &server.id, "ended").await;
    }
    // One who goes away leaves nothing either.
    let server = given(&running).await;
    drop(followers(&running, &server.id).await);
    stopped(&running, &server.id).await;
    world.is_empty().await;
    counts_are(&running, before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_followed_ends_with_its_engine_and_can_be_followed_again() {
    let options = DockerOptions { live_restore: true, ..DockerOptions::default() };
    let wish = Wish { options, fleet: "running_max = 4", ..Wish::default() };
    let Some(world) = World::new("a log ends with its engine", &wish) else { return };
    let running = world.installation.serve().await;
    let server = given(&running).await;
    let cut_off = followers(&running, &server.id).await;
    world.docker.kill();
    all_end(cut_off, "its engine was killed").await;
    world.docker.start();
    let again = async {
        while running.server(&server.id).await.body["hostReachable"] != true {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, again).await.unwrap();
    let followed = followers(&running, &server.id).await;
    stopped(&running, &server.id).await;
    all_end(followed, "its server was stopped").await;
}
