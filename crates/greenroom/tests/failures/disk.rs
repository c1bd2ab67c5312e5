//! A disk that fills up, or does not keep what is written, while Greenroom runs.

use std::time::Duration;

use greenroom_test_support::{
    FsyncFault, SmallDisk,
    greenroom::{Answer, Api},
};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{Acknowledged, installation, text};

const PATIENCE: Duration = Duration::from_mins(1);

const UNAVAILABLE: &str = "This is temporarily unavailable. Try again in a moment.";

fn is_clear(refused: &Answer) {
    assert_eq!((refused.status, refused.sentence()), (503, UNAVAILABLE), "{refused:?}");
    assert!(refused.retry_after_s.is_some(), "{refused:?}");
}

/// Tries until everything is done again, without a restart.
async fn until_it_works_again(acknowledged: &mut Acknowledged, api: &Api) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let refused = acknowledged.try_all(api).await;
        if refused.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "it does not recover: {refused:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Renames the lobby; gives the refusal, if it was one.
async fn rename(socket: &mut greenroom_test_support::greenroom::Socket, name: &str) -> Option<Value> {
    let answer = socket.ask(json!({ "type": "lobby:settings", "name": name })).await.unwrap();
    (answer["type"] == "error").then_some(answer)
}

#[tokio::test]
async fn a_full_disk_refuses_what_cannot_be_kept_and_is_as_before_once_there_is_space() {
    let Some(disk) = SmallDisk::mount(24 * 1024, "a full disk") else { return };
    let installation = installation().with_data_dir(&disk.path().join("data"));
    let mut running = installation.dev().await;
    let mut acknowledged = Acknowledged::default();
    assert_eq!(acknowledged.try_all(&running).await, []);
    let token = text(&acknowledged.players[0]["accessToken"]);
    let mut socket = running.connect(&token).await.unwrap();
    let lobby = socket.ask(json!({ "type": "lobby:create" })).await.unwrap()["lobby"].clone();

    disk.fill().unwrap();
    // What has space already may still be kept; sooner or later each kind is refused.
    let mut kinds_refused = 0;
    for _ in 0..2000 {
        let refused = acknowledged.try_all(&running).await;
        refused.iter().for_each(is_clear);
        kinds_refused = refused.len();
        if kinds_refused == 3 {
            break;
        }
    }
    assert_eq!(kinds_refused, 3, "{kinds_refused} of 3 kinds are refused when the disk is full");
    let mut name = String::new();
    let mut refusal = None;
    for n in 0..20_000 {
        let next = format!("name {n} {}", "x".repeat(40));
        refusal = rename(&mut socket, &next).await;
        if refusal.is_some() {
            break;
        }
        name = next;
    }
    let refusal = refusal.expect("a lobby command is refused when the disk is full");
    assert_eq!(
        (&refusal["message"], &refusal["code"]),
        (&json!(UNAVAILABLE), &json!("unavailable")),
        "{refusal}"
    );
    // What needs no space goes on.
    assert_eq!(running.get("/healthz").await.status, 200);
    acknowledged.check(&running).await;
    assert_eq!(lobby_name(&running, &token).await, name, "a refused change shows");
    let refused = running.allocate(None).await;
    assert_eq!(refused.status, 503, "{refused:?}");

    disk.free().unwrap();
    until_it_works_again(&mut acknowledged, &running).await;
    let deadline = Instant::now() + PATIENCE;
    while rename(&mut socket, "at last").await.is_some() {
        assert!(Instant::now() < deadline, "lobbies do not recover");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(running.allocate(None).await.status, 200);
    acknowledged.check(&running).await;

    running.kill();
    let again = installation.dev().await;
    acknowledged.check(&again).await;
    assert_eq!(lobby_name(&again, &token).await, "at last");
    let updated =
        again.connect(&token).await.unwrap().until(|message| message["type"] == "lobby:updated").await;
    assert_eq!(updated.unwrap()["lobby"]["id"], lobby["id"]);
}

async fn lobby_name(api: &Api, token: &str) -> String {
    let lobbies = api.ask_as(reqwest::Method::GET, "/lobbies", token, &[], None).await;
    lobbies.body[0]["name"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn nothing_durable_is_acknowledged_while_fsync_fails() {
    let fault = FsyncFault::build().unwrap();
    let installation = installation().with_env(fault.env());
    let mut running = installation.dev().await;
    let mut acknowledged = Acknowledged::default();
    let before = fault.count().unwrap();
    assert_eq!(acknowledged.try_all(&running).await, []);
    assert!(fault.count().unwrap() >= before + 3, "each of the three is made durable");

    fault.fail(true).unwrap();
    for _ in 0..5 {
        let refused = acknowledged.try_all(&running).await;
        assert_eq!(refused.len(), 3, "acknowledged without being durable; refused: {refused:#?}");
        refused.iter().for_each(is_clear);
    }
    fault.fail(false).unwrap();
    until_it_works_again(&mut acknowledged, &running).await;
    acknowledged.check(&running).await;
    running.kill();
    let again = installation.dev().await;
    acknowledged.check(&again).await;
}
