//! What a studio and an operator see of everything at once.

use serde_json::json;

use crate::support::{World, problem, read};

#[tokio::test]
async fn the_studio_sees_every_lobby_and_a_player_the_public_ones() {
    let world = World::new().await;
    let key = world.studio_key().await;
    let (token, _) = world.player("Bo").await;
    let mut ada = world.joined("Ada").await;
    let hidden = ada.create(json!({ "isPrivate": true })).await;
    let path = "/v1/games/skirmish/lobbies";
    let (_, seen) = read(world.get(path).bearer_auth(&token)).await;
    assert_eq!(seen, json!([]));
    for request in [world.get(path).header("x-api-key", &key), world.get(path).bearer_auth(&key)] {
        let (status, seen) = read(request).await;
        assert_eq!((status, &seen[0]["id"]), (200, &hidden["id"]), "{seen}");
    }
    let one = |id: &str| world.get(&format!("{path}/{id}")).header("x-api-key", &key);
    assert_eq!(read(one(hidden["id"].as_str().unwrap())).await.1["ownerId"], json!(ada.id));
    problem(one("none"), 404, "not_found").await;
    world.end().await;
}

#[tokio::test]
async fn the_overview_counts_what_there_is() {
    let world = World::new().await;
    let overview = async || read(world.get("/v1/overview").bearer_auth(world.admin())).await.1;
    let empty = overview().await;
    assert_eq!(
        (&empty["players"], &empty["allocations"], &empty["servers"]),
        (&json!(0), &json!(0), &json!([]))
    );
    assert_eq!(empty["games"].as_array().unwrap().len(), 3, "{empty}");
    assert_eq!(empty["hosts"][0]["id"], "local");

    let mut ada = world.joined("Ada").await;
    ada.create(json!({})).await;
    let key = world.hosting_key().await;
    let (status, answer) =
        read(world.post("/v1/games/skirmish/servers").header("x-api-key", &key).json(&json!({}))).await;
    assert_eq!(status, 200, "{answer}");
    let full = overview().await;
    assert_eq!((&full["players"], &full["allocations"], &full["lobbies"]), (&json!(1), &json!(1), &json!(1)));
    let skirmish = full["games"].as_array().unwrap().iter().find(|game| game["id"] == "skirmish").unwrap();
    assert_eq!((&skirmish["servers"]["allocated"], &skirmish["studio"]), (&json!(1), &json!("demo")));
    assert_eq!(full["servers"][0]["id"], answer["server"]["id"]);
    world.end().await;
}
