//! Players connect once, at once, after the answer, and give up for good if that fails.

use std::time::Duration;

use greenroom_test_support::greenroom::Api;
use tokio::{task::JoinSet, time::Instant};

use crate::world::{Given, Wish, World, given, say, say_by_udp, stopped, wanted};

/// How many players ask, one server each.
const CONNECTS: &str = "GREENROOM_DOCKER_CONNECTS";
const CONNECTS_DEFAULT: usize = 60;

/// Those who ask at once.
const ASKERS: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_connects_once_after_the_answer_is_served() {
    let wish = Wish { fleet: "running_max = 20", ..Wish::default() };
    let Some(world) = World::new("whoever_connects_once", &wish) else { return };
    players_come(&world, wanted(CONNECTS, CONNECTS_DEFAULT)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_connects_once_to_a_game_that_needs_two_seconds_is_served() {
    let image = [r#"ENV GAME_ARGS="--delay-ms 2000""#];
    let wish = Wish { fleet: "running_max = 20", image: &image, ..Wish::default() };
    let Some(world) = World::new("whoever_connects_once_to_a_game_that_needs", &wish) else { return };
    players_come(&world, wanted(CONNECTS, CONNECTS_DEFAULT / 3)).await;
}

async fn players_come(world: &World, players: usize) {
    let running = world.installation.serve().await;
    let mut askers = JoinSet::new();
    for asker in 0..ASKERS {
        let api = running.api();
        let players = players / ASKERS + usize::from(asker < players % ASKERS);
        askers.spawn(async move {
            let mut waited = Vec::new();
            for _ in 0..players {
                waited.push(play(&api).await);
            }
            waited
        });
    }
    let longest = askers.join_all().await.into_iter().flatten().max().unwrap_or_default();
    println!("{players} players, the longest waited {longest:?} for a server");
    world.is_empty().await;
}

/// One player: asks, connects, plays, and is gone. How long the server took.
async fn play(api: &Api) -> Duration {
    let asked = Instant::now();
    let Given { id, port } = given(api).await;
    let waited = asked.elapsed();
    let (by_tcp, by_udp) =
        tokio::task::spawn_blocking(move || (say(port, "hello"), say_by_udp(port, "hello"))).await.unwrap();
    assert_eq!((by_tcp.as_str(), by_udp.as_str()), ("hello", "hello"), "port {port} of server {id}");
    stopped(api, &id).await;
    waited
}
