//! Lobbies over a whole node: what players send and what they are told.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod outbox;
mod support;

use std::time::Duration;

use greenroom_domain::settings::LobbySettings;
use greenroom_protocol::auth::BanRequest;
use serde_json::{Value, json};
use support::{TestNode, members, size};

/// Long enough to come back within it on a machine that stalls, short enough to wait for its end.
const GRACE: Duration = Duration::from_secs(4);

async fn node() -> (tempfile::TempDir, TestNode) {
    let folder = tempfile::tempdir().unwrap();
    let node = TestNode::start(folder.path(), LobbySettings::default()).await;
    (folder, node)
}

#[tokio::test]
async fn two_meet_in_a_lobby_and_one_leaves() {
    let (_folder, node) = node().await;
    let (mut ann, mut ben) = (node.player("Ann").await, node.player("Ben").await);
    let lobby = ann.create().await;
    assert_eq!(lobby["ownerId"], ann.id);
    assert_eq!(lobby["teamA"][0]["username"], "Ann");
    ben.join(&lobby["code"]).await;
    let seen = ben.next().await;
    assert_eq!(seen["type"], "lobby:updated");
    assert_eq!(seen["lobby"]["teamB"][0]["accountId"], ben.id);
    assert_eq!(ann.next().await["lobby"]["teamB"][0]["accountId"], ben.id);

    ann.send("lobby:leave").await;
    let updated = ann.next().await;
    assert_eq!((updated["type"].as_str(), size(&updated["lobby"])), (Some("lobby:updated"), 1));
    assert_eq!(ann.next().await["type"], "lobby:left");
    assert_eq!(ben.lobby_where(|lobby| size(lobby) == 1).await["ownerId"], ben.id);

    ben.send("lobby:leave").await;
    assert_eq!(ben.next().await, json!({ "type": "lobby:deleted", "lobbyId": lobby["id"] }));
    assert_eq!(ben.next().await["type"], "lobby:left");
    ben.join(&lobby["code"]).await;
    assert_eq!(ben.next().await["message"], "Lobby not found");
}

#[tokio::test]
async fn refusals_are_told_to_who_asked_with_its_id() {
    let (_folder, node) = node().await;
    let (mut ann, mut ben) = (node.player("Ann").await, node.player("Ben").await);
    ann.send_json(json!({ "type": "lobby:leave", "id": 7 })).await;
    let refused = ann.next().await;
    assert_eq!((&refused["message"], &refused["id"]), (&json!("Not in a lobby"), &json!(7)));
    ann.send_json(json!({ "type": "lobby:create", "isPrivate": true })).await;
    let lobby = ann.next().await["lobby"].clone();
    ben.send_json(json!({ "type": "lobby:join", "lobbyId": lobby["id"] })).await;
    assert_eq!(ben.next().await["message"], "Lobby is private");
    ben.send("lobby:join").await;
    assert_eq!(ben.next().await["message"], "Lobby ID or code required");
    ann.join(&lobby["code"]).await;
    assert_eq!(ann.next().await["message"], "Already in lobby");
    ann.send("lobby:start").await;
    assert_eq!(ann.next().await["message"], "Not all players are ready");
    ben.connection.receive("null").await;
    assert_eq!(ben.next().await["message"], "Invalid message format");
    ben.send("lobby:dance").await;
    assert_eq!(ben.next().await["message"], "Unknown message type");
}

#[tokio::test]
async fn a_command_that_changes_nothing_is_answered_with_the_state() {
    let (_folder, node) = node().await;
    let mut ann = node.player("Ann").await;
    ann.create().await;
    for _ in 0..2 {
        ann.send("lobby:ready").await;
        assert_eq!(ann.next().await["lobby"]["teamA"][0]["ready"], true);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_hundred_who_join_at_once_all_count() {
    let folder = tempfile::tempdir().unwrap();
    let rules = LobbySettings { members_max: 101, ..LobbySettings::default() };
    let node = TestNode::start(folder.path(), rules).await;
    let mut owner = node.player("Owner").await;
    let lobby = owner.create().await;
    let mut sockets = Vec::new();
    for n in 0..100 {
        sockets.push(node.player(&format!("P{n}")).await);
    }
    let mut tasks = tokio::task::JoinSet::new();
    for socket in sockets {
        let code = lobby["code"].clone();
        tasks.spawn(async move {
            socket.join(&code).await;
            socket.send("lobby:ready").await;
            socket
        });
    }
    let mut sockets = tasks.join_all().await;
    let all_in = |lobby: &Value| members(lobby).filter(|member| member["ready"] == true).count() == 100;
    owner.lobby_where(all_in).await;
    for socket in &mut sockets {
        assert_eq!(size(&socket.lobby_where(all_in).await), 101);
    }
}

#[tokio::test]
async fn who_drops_keeps_its_place_for_the_grace_period_and_loses_it_after() {
    let folder = tempfile::tempdir().unwrap();
    let rules = LobbySettings { grace: GRACE, ..LobbySettings::default() };
    let node = TestNode::start(folder.path(), rules).await;
    let mut ann = node.player("Ann").await;
    let token = node.sign_in("Ben").await;
    let ben = node.socket(&token).await;
    let ben_id = ben.id.clone();
    let lobby = ann.create().await;
    ben.join(&lobby["code"]).await;
    ben.send("lobby:ready").await;
    ann.lobby_where(|lobby| lobby["teamB"][0]["ready"] == true).await;
    drop(ben);
    let seen = ann.lobby_where(|lobby| lobby["teamB"][0]["connected"] == false).await;
    assert_eq!(seen["teamB"][0]["ready"], false);

    let mut ben = node.socket(&token).await;
    assert_eq!(ben.id, ben_id);
    ben.lobby_where(|lobby| lobby["teamB"][0]["connected"] == true).await;
    ann.lobby_where(|lobby| lobby["teamB"][0]["connected"] == true).await;
    drop(ben);
    ann.lobby_where(|lobby| size(lobby) == 1).await;
}

#[tokio::test]
async fn only_the_last_socket_of_an_account_drops_it() {
    let (_folder, node) = node().await;
    let mut ann = node.player("Ann").await;
    let token = node.sign_in("Ben").await;
    let (mut one, two) = (node.socket(&token).await, node.socket(&token).await);
    let lobby = ann.create().await;
    two.join(&lobby["code"]).await;
    // All sockets of an account are in its lobby.
    one.lobby_where(|lobby| size(lobby) == 2).await;
    drop(two);
    one.send("lobby:ready").await;
    let seen = ann.lobby_where(|lobby| lobby["teamB"][0]["ready"] == true).await;
    assert_eq!(seen["teamB"][0]["connected"], true);
    drop(one);
    ann.lobby_where(|lobby| lobby["teamB"][0]["connected"] == false).await;
}

#[tokio::test]
async fn who_is_in_a_lobby_and_creates_or_joins_another_leaves_the_first() {
    let (_folder, node) = node().await;
    let (mut ann, mut ben) = (node.player("Ann").await, node.player("Ben").await);
    let first = ann.create().await;
    ben.join(&first["code"]).await;
    ann.lobby_where(|lobby| size(lobby) == 2).await;
    ben.send("lobby:create").await;
    let second = ben.next_of("lobby:created").await["lobby"].clone();
    assert_ne!(first["id"], second["id"]);
    // Nothing of the first lobby comes after the second was made.
    ben.send("ping").await;
    assert_eq!(ben.next().await["type"], "pong");
    ann.lobby_where(|lobby| size(lobby) == 1).await;
    ann.join(&second["code"]).await;
    ann.lobby_where(|lobby| lobby["id"] == second["id"] && size(lobby) == 2).await;
    let left: Vec<_> = node.node.lobbies.list(&node.game).await.unwrap();
    assert_eq!(left.len(), 1);
}

#[tokio::test]
async fn a_kick_a_close_and_a_ban_reach_the_player() {
    let (_folder, node) = node().await;
    let (mut ann, mut ben) = (node.player("Ann").await, node.player("Ben").await);
    let lobby = ann.create().await;
    ben.join(&lobby["code"]).await;
    ben.lobby_where(|lobby| size(lobby) == 2).await;
    ann.send_json(json!({ "type": "lobby:kick", "accountId": ben.id })).await;
    assert_eq!(ben.next_of("lobby:kicked").await["lobbyId"], lobby["id"]);
    let id = lobby["id"].as_str().unwrap().parse().unwrap();
    node.node.lobbies.close(&node.game, &id).await.unwrap();
    assert_eq!(ann.next_of("lobby:deleted").await["lobbyId"], lobby["id"]);
    let banned = ben.id.parse().unwrap();
    node.node.players.ban(&node.game, &banned, BanRequest::default()).await.unwrap();
    assert_eq!(ben.closing().await, greenroom_operations::realtime::outbox::Closing::SessionEnded);
}

#[tokio::test]
async fn what_is_said_reaches_all_members_and_nobody_else() {
    let (_folder, node) = node().await;
    let (mut ann, mut ben) = (node.player("Ann").await, node.player("Ben").await);
    let mut eve = node.player("Eve").await;
    let lobby = ann.create().await;
    ben.join(&lobby["code"]).await;
    ben.lobby_where(|lobby| size(lobby) == 2).await;
    ben.send_json(json!({ "type": "lobby:chat", "text": " hello \u{7}" })).await;
    for socket in [&mut ann, &mut ben] {
        let said = socket.next_of("lobby:chat").await;
        assert_eq!((&said["text"], &said["username"]), (&json!("hello"), &json!("Ben")));
    }
    eve.send("ping").await;
    assert_eq!(eve.next().await["type"], "pong");
    eve.send_json(json!({ "type": "lobby:chat", "text": "let me in" })).await;
    assert_eq!(eve.next().await["message"], "Not in a lobby");
}

#[tokio::test]
async fn who_watches_the_list_sees_lobbies_come_and_go() {
    let (_folder, node) = node().await;
    let (mut ann, mut eve) = (node.player("Ann").await, node.player("Eve").await);
    eve.send("lobby:list:watch").await;
    assert_eq!(eve.next_of("lobby:list").await["lobbies"], json!([]));
    let lobby = ann.create().await;
    assert_eq!(eve.next_of("lobby:list:changed").await["changed"][0]["id"], lobby["id"]);
    ann.send("lobby:leave").await;
    assert_eq!(eve.next_of("lobby:list:changed").await["removed"], json!([lobby["id"]]));
}

#[tokio::test]
async fn without_a_fleet_a_start_fails_and_the_lobby_stays_as_it_was() {
    let (_folder, node) = node().await;
    let mut ann = node.player("Ann").await;
    let lobby = ann.create().await;
    ann.send("lobby:ready").await;
    ann.send("lobby:start").await;
    assert_eq!(ann.next_of("error").await["message"], "Failed to allocate game server");
    ann.send("lobby:ready").await;
    let seen = ann.lobby_where(|lobby| lobby["phase"] == "waiting").await;
    assert_eq!((&seen["id"], &seen["teamA"][0]["ready"]), (&lobby["id"], &json!(true)));
}

#[tokio::test]
async fn lobbies_and_seats_outlive_the_node_and_players_resume() {
    let folder = tempfile::tempdir().unwrap();
    let node = TestNode::start(folder.path(), LobbySettings::default()).await;
    let (ann_token, ben_token) = (node.sign_in("Ann").await, node.sign_in("Ben").await);
    let (mut ann, mut ben) = (node.socket(&ann_token).await, node.socket(&ben_token).await);
    let lobby = ann.create().await;
    ben.join(&lobby["code"]).await;
    ben.lobby_where(|lobby| size(lobby) == 2).await;
    // No socket is closed before the node is gone, as when it is killed.
    node.node.shutdown.cancel();
    let ann_id = ann.id.clone();
    std::mem::forget((ann, ben));
    node.stop().await;

    let node = TestNode::start(folder.path(), LobbySettings::default()).await;
    let mut ann = node.socket(&ann_token).await;
    let seen = ann.lobby_where(|lobby| lobby["teamA"][0]["connected"] == true).await;
    assert_eq!((&seen["id"], &seen["ownerId"]), (&lobby["id"], &json!(ann_id)));
    assert_eq!(size(&seen), 2);
    let mut ben = node.socket(&ben_token).await;
    ben.lobby_where(|lobby| members(lobby).all(|member| member["connected"] == true)).await;
}

#[tokio::test]
async fn creating_and_closing_lobbies_is_in_the_history() {
    let (_folder, node) = node().await;
    let mut ann = node.player("Ann").await;
    let lobby = ann.create().await;
    ann.send("lobby:leave").await;
    let principal = greenroom_operations::Principal::Admin(greenroom_operations::AdminPrincipal {
        id: "root".parse().unwrap(),
        name: "root".into(),
        role: greenroom_storage::AdminRole::Owner,
        via: greenroom_operations::admins::Via::AdminToken,
    });
    let studio = "demo".parse().unwrap();
    let mut tail =
        node.node.events.tail(&principal, &studio, Some("v1.skirmish.lobbies.>"), Some(0)).await.unwrap();
    let mut names = Vec::new();
    while names.len() < 2 {
        let next = tokio::time::timeout(support::PATIENCE, tail.next()).await.unwrap().unwrap();
        let greenroom_operations::events::Tailed::Event(_, event) = next else { continue };
        let event: Value = serde_json::from_slice(&event).unwrap();
        assert!(event["subject"].as_str().unwrap().contains(lobby["id"].as_str().unwrap()));
        names.push(event["subject"].as_str().unwrap().rsplit('.').next().unwrap().to_owned());
    }
    assert_eq!(names, ["created", "closed"]);
}
