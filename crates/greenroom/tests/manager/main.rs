//! `/api/manager` of the built program, as shipped game clients use it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cases;

use cases::Fleet;
use greenroom_test_support::engines::test_game;

fn processes() -> Fleet {
    Fleet { provider: "provider = \"process\"".into(), program: Some(test_game()) }
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
