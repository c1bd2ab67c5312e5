//! What happens to the engine.

use std::{collections::BTreeSet, time::Duration};

use greenroom_test_support::{
    engines::DockerOptions,
    greenroom::{Answer, Api, GAME, Running},
};
use reqwest::Method;
use serde_json::json;
use tokio::{task::JoinSet, time::Instant};

use crate::console::Console;
use crate::world::{Given, PATIENCE, TOLD_WITHIN, VERSION, Wish, World, given, of, say, told, wanted};

/// How long an engine that takes calls and does not answer does so.
const PAUSE_S: &str = "GREENROOM_DOCKER_PAUSE_S";
const PAUSE_S_DEFAULT: u64 = 5;

const SERVERS: usize = 3;

/// Those who ask at once while the socket goes.
const ASKERS: usize = 6;

fn outliving() -> Wish<'static> {
    let options = DockerOptions { live_restore: true, ..DockerOptions::default() };
    Wish { options, fleet: "running_max = 12", ..Wish::default() }
}

async fn some_servers(running: &Running) -> Vec<Given> {
    let mut servers = Vec::new();
    for _ in 0..SERVERS {
        servers.push(given(running).await);
    }
    servers
}

fn ids(servers: &[Given]) -> BTreeSet<String> {
    servers.iter().map(|server| server.id.clone()).collect()
}

/// Waits until a server is given, as it is once an engine was found again.
async fn given_again(api: &Api) -> Given {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = api.allocate(None).await;
        if answer.status == 200 {
            return of(&answer);
        }
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(Instant::now() < deadline, "the engine is not found again: {answer:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until a request for a server is refused because there is no engine.
async fn is_told_to_be_away(api: &Api) {
    let deadline = Instant::now() + TOLD_WITHIN;
    loop {
        let began = Instant::now();
        let answer = api.allocate(None).await;
        assert!(began.elapsed() < TOLD_WITHIN, "the refusal took {:?}: {answer:?}", began.elapsed());
        if answer.status == 503 {
            return;
        }
        assert!(Instant::now() < deadline, "nobody says that the engine is away: {answer:?}");
    }
}

/// As in the contract of shipped clients.
async fn players_are_told_to_come_again(api: &Api) {
    let body = json!({ "name": "Ann's Game", "list": true, "version": VERSION });
    let answer = api.ask(Method::POST, "/api/manager/request", Some(&body)).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.sentence().ends_with("Try again later."), "{answer:?}");
    assert_eq!(answer.body, json!({ "detail": answer.sentence() }));
}

async fn all_are_as_before(world: &World, running: &Running, servers: &[Given]) {
    for server in servers {
        told(running, &server.id, "allocated").await;
        assert_eq!(say(server.port, "hello"), "hello", "{server:?}");
    }
    let more = given_again(running).await;
    let mut all = ids(servers);
    all.insert(more.id);
    world.has_containers_of(&all).await;
    for id in &all {
        assert_eq!(running.stop_server(id).await.status, 202);
        told(running, id, "ended").await;
    }
    world.is_empty().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_outlive_an_engine_that_is_stopped_and_started() {
    let Some(world) = World::new("stopped and started", &outliving()) else { return };
    let running = world.installation.serve().await;
    let servers = some_servers(&running).await;
    world.docker.stop();
    is_told_to_be_away(&running).await;
    players_are_told_to_come_again(&running).await;
    let console = Console::open(&running).await;
    console.shows("hosts", "engine</b> is lost", None).await;
    let page = format!("servers/{GAME}/{}", servers[0].id);
    console.shows(&page, "Cannot be asked", None).await;
    for server in &servers {
        assert_ne!(running.server(&server.id).await.body["state"], "ended", "nobody knows that");
    }
    world.docker.start();
    console.shows(&page, &servers[0].id, Some("Cannot be asked")).await;
    all_are_as_before(&world, &running, &servers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_end_with_their_engine_are_told_when_it_is_back() {
    let wish = Wish { fleet: "running_max = 10", ..Wish::default() };
    let Some(world) = World::new("end with their engine", &wish) else { return };
    let running = world.installation.serve().await;
    let servers = some_servers(&running).await;
    world.docker.kill();
    is_told_to_be_away(&running).await;
    world.docker.start();
    for server in &servers {
        told(&running, &server.id, "ended").await;
    }
    world.is_empty().await;
    all_are_as_before(&world, &running, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_whose_socket_disappears_is_found_when_it_is_back() {
    let Some(world) = World::new("socket disappears", &outliving()) else { return };
    let running = world.installation.serve().await;
    let servers = some_servers(&running).await;
    world.docker.hide_socket().unwrap();
    // Whatever is open goes too, as when the engine's process is another one.
    world.docker.kill();
    is_told_to_be_away(&running).await;
    world.docker.start();
    all_are_as_before(&world, &running, &servers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn greenroom_starts_without_its_engine_and_finds_its_servers_later() {
    let Some(world) = World::new("without its engine", &outliving()) else { return };
    let mut first = world.installation.serve().await;
    let servers = some_servers(&first).await;
    first.kill();
    world.docker.stop();
    let running = world.installation.serve().await;
    is_told_to_be_away(&running).await;
    for server in &servers {
        assert_ne!(running.server(&server.id).await.body["state"], "ended", "nobody knows that");
    }
    world.docker.start();
    all_are_as_before(&world, &running, &servers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_engine_that_answers_late_does_nothing_twice() {
    let Some(world) = World::new("answers late", &outliving()) else { return };
    let running = world.installation.serve().await;
    let servers = some_servers(&running).await;
    world.docker.pause();
    let mut askers = JoinSet::new();
    for asker in 0..3 {
        let api = running.api();
        askers.spawn(async move { api.allocate(Some(&format!("asker-{asker}"))).await });
    }
    tokio::time::sleep(Duration::from_secs(wanted(PAUSE_S, PAUSE_S_DEFAULT))).await;
    // Greenroom itself answers all the while.
    let began = Instant::now();
    assert_eq!(running.server(&servers[0].id).await.body["state"], "allocated");
    assert!(began.elapsed() < Duration::from_secs(20), "it hangs with its engine: {:?}", began.elapsed());
    world.docker.resume();
    let answers = askers.join_all().await;
    // Who does not wait as long as the engine sleeps has no answer.
    let fits = |answer: &Answer| answer.is_unknown() || matches!(answer.status, 200 | 503 | 504);
    assert!(answers.iter().all(fits), "{answers:?}");
    each_key_gives_one(&world, &running, servers, 3).await;
}

/// Whatever came of the first requests with these keys: each gives one server, and there is no other.
async fn each_key_gives_one(world: &World, running: &Running, servers: Vec<Given>, askers: usize) {
    let mut all = servers;
    for asker in 0..askers {
        let deadline = Instant::now() + PATIENCE;
        let key = format!("asker-{asker}");
        let server = loop {
            let answer = running.allocate(Some(&key)).await;
            if answer.status == 200 {
                break of(&answer);
            }
            assert!(Instant::now() < deadline, "{answer:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        assert_eq!(say(server.port, "hello"), "hello", "{server:?}");
        all.push(server);
    }
    world.has_containers_of(&ids(&all)).await;
    all_are_as_before(world, running, &all).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_engine_whose_socket_disappears_beneath_requests_does_nothing_twice() {
    let Some(world) = World::new("socket disappears beneath requests", &outliving()) else { return };
    let running = world.installation.serve().await;
    let servers = some_servers(&running).await;
    let mut askers = JoinSet::new();
    for asker in 0..ASKERS {
        let api = running.api();
        askers.spawn(async move { api.allocate(Some(&format!("asker-{asker}"))).await });
        if asker == ASKERS / 2 {
            // The engine goes on, and so does what is open; nothing new is.
            world.docker.hide_socket().unwrap();
        }
    }
    let answers = askers.join_all().await;
    assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 503 | 504)), "{answers:?}");
    world.docker.show_socket().unwrap();
    each_key_gives_one(&world, &running, servers, ASKERS).await;
}
