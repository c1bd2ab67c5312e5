//! What happens to a container behind Greenroom's back.

use std::{collections::BTreeSet, time::Duration};

use greenroom_test_support::greenroom::{GAME, Running};

use crate::console::Console;
use crate::world::{Given, TOLD_WITHIN, Wish, World, given, say, told, told_that, until};

/// A world with one server, and the name of its container.
async fn one_server(test: &str, wish: &Wish<'_>) -> Option<(World, Running, Given, String)> {
    let world = World::new(test, wish)?;
    let running = world.installation.serve().await;
    let server = given(&running).await;
    let container = world.docker.containers()[0]["Id"].as_str().unwrap().to_owned();
    Some((world, running, server, container))
}

/// That the slot, the port and the container of an ended server are free again: there is one of each.
async fn another_takes_its_place(world: &World, running: &Running, ended: &Given) {
    world.is_empty().await;
    let next = given(running).await;
    assert_ne!(next.id, ended.id);
    assert_eq!(say(next.port, "hello"), "hello");
    world.has_containers_of(&BTreeSet::from([next.id.clone()])).await;
    assert_eq!(running.stop_server(&next.id).await.status, 202);
    world.is_empty().await;
}

/// Where the console shows a server.
fn page_of(server: &Given) -> String {
    format!("servers/{GAME}/{}", server.id)
}

/// Room for one server at a time, and one port.
fn one() -> Wish<'static> {
    Wish { fleet: "running_max = 1", ports: 1, ..Wish::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_removed_by_hand_is_told_and_replaced() {
    let Some((world, running, server, container)) = one_server("removed by hand", &one()).await else {
        return;
    };
    assert!(world.docker.remove_container(&container));
    let ended = told(&running, &server.id, "ended").await;
    assert_eq!(ended["exit"]["crashed"], true, "{ended:#}");
    let reason = ended["exit"]["reason"].as_str().unwrap();
    Console::open(&running).await.shows(&page_of(&server), reason, None).await;
    another_takes_its_place(&world, &running, &server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_killed_is_told_with_its_status_and_its_log() {
    let Some((world, running, server, container)) = one_server("killed", &one()).await else { return };
    assert_eq!(say(server.port, "!print last words"), "printed");
    assert!(world.docker.kill_container(&container, "KILL"));
    let ended = told(&running, &server.id, "ended").await;
    assert_eq!(ended["exit"]["crashed"], true, "{ended:#}");
    let log = running.get(&format!("/v1/servers/{}/logs", server.id)).await;
    assert!(log.body.as_str().unwrap_or_default().contains("last words"), "{log:?}");
    another_takes_its_place(&world, &running, &server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_ends_by_itself_has_ended_normally_and_keeps_its_log() {
    let Some((world, running, server, _container)) = one_server("ends by itself", &one()).await else {
        return;
    };
    say(server.port, "!exit 0");
    let ended = told(&running, &server.id, "ended").await;
    assert_eq!((&ended["exit"]["code"], &ended["exit"]["crashed"]), (&0.into(), &false.into()), "{ended:#}");
    another_takes_its_place(&world, &running, &server).await;
    let log = running.get(&format!("/v1/servers/{}/logs", server.id)).await;
    assert!(log.body.as_str().unwrap_or_default().contains("listening"), "{log:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_runs_out_of_memory_is_told_as_that() {
    let wish = Wish { tables: "[games.arena.fleet.limits]\nmemory = \"32MiB\"", ..one() };
    let Some((world, running, server, _container)) = one_server("out of memory", &wish).await else { return };
    say(server.port, "!eat 200");
    let ended = told(&running, &server.id, "ended").await;
    assert_eq!(ended["exit"]["crashed"], true, "{ended:#}");
    assert!(ended["exit"]["reason"].as_str().unwrap_or_default().contains("memory"), "{ended:#}");
    another_takes_its_place(&world, &running, &server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_paused_goes_on_when_it_is_let() {
    let Some((world, running, server, container)) = one_server("paused", &one()).await else { return };
    let paused = world.docker.call("POST", &format!("/containers/{container}/pause"), None);
    assert!(paused.is_success(), "{}", paused.text());
    told_that(&running, &server.id, TOLD_WITHIN, |server| server["paused"] == true).await;
    let console = Console::open(&running).await;
    let page = page_of(&server);
    console.shows(&page, "Paused", None).await;
    // It still has its port and its slot, and a second one is not started for it.
    assert_eq!(running.allocate(None).await.status, 429);
    assert_eq!(running.server(&server.id).await.body["state"], "allocated");
    world.docker.call("POST", &format!("/containers/{container}/unpause"), None);
    assert_eq!(say(server.port, "hello"), "hello");
    told_that(&running, &server.id, TOLD_WITHIN, |server| server["paused"].is_null()).await;
    console.shows(&page, &server.id, Some("Paused")).await;
    assert_eq!(running.server(&server.id).await.body["state"], "allocated");
    // A paused one is stopped all the same.
    world.docker.call("POST", &format!("/containers/{container}/pause"), None);
    assert_eq!(running.stop_server(&server.id).await.status, 202);
    told(&running, &server.id, "ended").await;
    another_takes_its_place(&world, &running, &server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_ignores_sigterm_is_killed_after_its_grace() {
    let wish = Wish { image: &[r#"ENV GAME_ARGS="--ignore-term""#], ..one() };
    let Some((world, running, server, _container)) = one_server("ignores SIGTERM", &wish).await else {
        return;
    };
    let began = tokio::time::Instant::now();
    assert_eq!(running.stop_server(&server.id).await.status, 202);
    told(&running, &server.id, "ended").await;
    assert!(began.elapsed() >= Duration::from_secs(2), "it had {:?} instead of 2 s", began.elapsed());
    another_takes_its_place(&world, &running, &server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_never_listens_is_tried_again_and_given_up() {
    let wish = Wish {
        fleet: "running_max = 2\nstart_tries_max = 2\nready_timeout = \"1s\"",
        image: &[r#"ENV GAME_ARGS="--delay-ms 600000""#],
        ..Wish::default()
    };
    let Some(world) = World::new("never listens", &wish) else { return };
    let running = world.installation.serve().await;
    let refused = running.allocate(None).await;
    assert!(matches!(refused.status, 500 | 503 | 504), "{refused:?}");
    assert!(refused.sentence().contains("did not open"), "{refused:?}");
    world.is_empty().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_that_are_not_ours_are_left_alone() {
    let Some((world, running, server, _container)) = one_server("not ours", &one()).await else { return };
    let image = format!("{}:{}", crate::world::IMAGE, crate::world::VERSION);
    let run = greenroom_test_support::engines::DockerRun { image: &image, ..Default::default() };
    let theirs = world.docker.run(&run);
    let mut running = running;
    running.kill();
    let again = world.installation.serve().await;
    assert_eq!(again.server(&server.id).await.body["state"], "allocated");
    assert_eq!(say(server.port, "hello"), "hello", "it outlives Greenroom");
    assert_eq!(again.stop_server(&server.id).await.status, 202);
    told(&again, &server.id, "ended").await;
    let alone = until(crate::world::PATIENCE, || world.docker.containers().len() == 1).await;
    assert!(alone && world.docker.inspect(&theirs)["State"]["Running"] == true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_stood_ready_and_is_paused_is_given_to_nobody() {
    let wish = Wish { fleet: "running_max = 4\nready_min = 1\nwarm_payload = \"ignore\"", ..Wish::default() };
    let Some(world) = World::new("stood ready and is paused", &wish) else { return };
    let running = world.installation.serve().await;
    let first = stands_ready(&running, None).await;
    let container = world.docker.containers()[0]["Id"].as_str().unwrap().to_owned();
    assert!(world.docker.call("POST", &format!("/containers/{container}/pause"), None).is_success());
    told_that(&running, &first, TOLD_WITHIN, |server| server["paused"] == true).await;
    // Another one stands in for it.
    let second = stands_ready(&running, Some(&first)).await;
    let server = given(&running).await;
    assert_eq!(server.id, second);
    assert_eq!(say(server.port, "hello"), "hello");
    assert_eq!(running.server(&first).await.body["state"], "ready");
    assert!(world.docker.call("POST", &format!("/containers/{container}/unpause"), None).is_success());
    told_that(&running, &first, TOLD_WITHIN, |server| server["paused"].is_null()).await;
}

/// Waits for a server that stands ready, beside `but`; its id.
async fn stands_ready(running: &Running, but: Option<&str>) -> String {
    let mut found = None;
    let deadline = tokio::time::Instant::now() + crate::world::PATIENCE;
    while found.is_none() {
        assert!(tokio::time::Instant::now() < deadline, "no server stands ready");
        let servers = running.servers().await;
        let ready = |server: &&serde_json::Value| {
            server["state"] == "ready" && but.is_none_or(|but| server["id"] != but)
        };
        found = servers.iter().find(ready).map(|server| server["id"].as_str().unwrap().to_owned());
    }
    found.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_reaches_greenroom_where_it_is_told_to() {
    let Some(docker) = greenroom_test_support::engines::docker("it_reaches_greenroom") else { return };
    // As on a machine whose Greenroom listens for its containers alone.
    let listener = std::net::TcpListener::bind((docker.gateway(), 0)).unwrap();
    let listen = listener.local_addr().unwrap();
    drop(listener);
    let world = World::on(docker, &one());
    let told = [
        // By its address, as it is.
        (None, format!("http://{listen}")),
        // By what is this machine to the operator, and to a container is not.
        (
            Some(format!("http://127.0.0.1:{}", listen.port())),
            format!("http://host.docker.internal:{}", listen.port()),
        ),
        // By the engine's name for its machine.
        (
            Some(format!("http://host.docker.internal:{}/", listen.port())),
            format!("http://host.docker.internal:{}/", listen.port()),
        ),
    ];
    let World { mut installation, docker } = world;
    for (internal_url, told) in told {
        installation = installation.with_env([("GREENROOM_LISTEN", listen.to_string().into())]);
        if let Some(url) = internal_url {
            installation = installation.with_env([("GREENROOM_INTERNAL_URL", url.into())]);
        }
        let running = installation.serve().await;
        let server = given(&running).await;
        assert_eq!(say(server.port, "!greenroom /healthz"), format!("{told} HTTP/1.1 200 OK"));
        crate::world::stopped(&running, &server.id).await;
    }
    drop(docker);
}
