//! `/api/manager` of the built program, as shipped game clients use it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cases;

use cases::Fleet;
use greenroom_test_support::engines::{Docker, docker, test_game};

/// How many clients ask for containers.
const CONNECTS: &str = "GREENROOM_DOCKER_CONNECTS";
const CONNECTS_DEFAULT: usize = 24;

/// Clients of containers at a time: what an engine starts beside each other at its best.
const AT_ONCE: usize = 8;

fn processes() -> Fleet {
    Fleet { provider: "provider = \"process\"".into(), program: Some(test_game()), tables: String::new() }
}

/// Containers, and their engine, with which they end.
fn containers(test: &str) -> Option<(Docker, Fleet)> {
    let docker = docker(test)?;
    docker.import_game("echo", &["1.0.0"]);
    let fleet = Fleet {
        provider: "provider = \"docker\"\ncontainer = { image = \"echo\" }".into(),
        program: None,
        tables: format!("[hosts.engine]\ndocker = \"{}\"", docker.url()),
    };
    Some((docker, fleet))
}

fn connects() -> usize {
    std::env::var(CONNECTS).map_or(CONNECTS_DEFAULT, |text| text.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_clients_connect_one_after_another() {
    cases::every_client_connects_at_once(&processes(), &[], 200, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_clients_connect_to_a_game_that_takes_two_seconds_to_listen() {
    cases::every_client_connects_at_once(&processes(), &["--delay-ms", "2000"], 200, 25).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_at_once_where_fifty_may_run() {
    cases::a_rush(&processes(), 50, 50).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_at_once_where_twenty_may_run() {
    cases::a_rush(&processes(), 50, 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_reach_no_program() {
    cases::hostile_names(&processes()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_connect_to_containers() {
    let Some((_docker, fleet)) = containers("clients_connect_to_containers") else { return };
    cases::every_client_connects_at_once(&fleet, &[], connects(), AT_ONCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_connect_to_containers_that_take_two_seconds_to_listen() {
    let Some((_docker, fleet)) = containers("clients_connect_to_containers_that_take_two_seconds") else {
        return;
    };
    cases::every_client_connects_at_once(&fleet, &["--delay-ms", "2000"], connects(), AT_ONCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_containers_at_once_where_fifty_may_run() {
    let Some((_docker, fleet)) = containers("fifty_containers_at_once_where_fifty_may_run") else { return };
    cases::a_rush(&fleet, 50, 50).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_containers_at_once_where_twenty_may_run() {
    let Some((_docker, fleet)) = containers("fifty_containers_at_once_where_twenty_may_run") else { return };
    cases::a_rush(&fleet, 50, 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_reach_no_container() {
    let Some((_docker, fleet)) = containers("hostile_names_reach_no_container") else { return };
    cases::hostile_names(&fleet).await;
}
