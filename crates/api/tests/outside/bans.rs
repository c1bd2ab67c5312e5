//! Bans, and lobbies that the studio closes.

use serde_json::{Value, json};

use crate::support::{World, problem, read};

#[tokio::test]
async fn a_ban_ends_sessions_and_closes_sockets() {
    let world = World::new().await;
    let key = world.studio_key().await;
    let (token, id) = world.player("Ada").await;
    let mut socket = world.socket(&token).await;
    let path = format!("/v1/games/skirmish/players/{id}/ban");
    let ban = |body: Value| world.post(&path).header("x-api-key", &key).json(&body);
    problem(ban(json!({ "until": 5 })), 422, "invalid").await;
    problem(ban(json!({ "reason": 5 })), 422, "invalid").await;
    let (status, view) = read(ban(json!({ "reason": "cheated" }))).await;
    assert_eq!((status, &view["reason"], &view["playerId"]), (200, &json!("cheated"), &json!(id)));
    assert_eq!(socket.closed().await.0, 4401);
    assert_eq!(read(world.get("/accounts/me").bearer_auth(&token)).await.0, 401);
    let (_, bans) = read(world.get("/v1/games/skirmish/bans").header("x-api-key", &key)).await;
    assert_eq!(bans["bans"].as_array().unwrap().len(), 1);
    let (_, player) =
        read(world.get(&format!("/v1/games/skirmish/players/{id}")).header("x-api-key", &key)).await;
    assert_eq!(player["ban"]["reason"], "cheated");
    let lift = || world.request(reqwest::Method::DELETE, &path).header("x-api-key", &key);
    assert_eq!(read(lift()).await.0, 204);
    problem(lift(), 404, "not_found").await;
    world.end().await;
}

#[tokio::test]
async fn a_lobby_is_closed_by_its_studio() {
    let world = World::new().await;
    let key = world.studio_key().await;
    let mut ada = world.joined("Ada").await;
    let lobby = ada.create(json!({})).await;
    let path = format!("/v1/games/skirmish/lobbies/{}/close", lobby["id"].as_str().unwrap());
    assert_eq!(read(world.post(&path).header("x-api-key", &key)).await.0, 204);
    assert_eq!(ada.until("lobby:deleted").await["lobbyId"], lobby["id"]);
    problem(world.post(&path).header("x-api-key", &key), 404, "not_found").await;
    world.end().await;
}
