//! API keys and administrators.

use greenroom_storage::KeyPermissions;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{World, none, problem, read};

#[tokio::test]
async fn a_key_is_made_used_and_revoked() {
    let world = World::new().await;
    let admin = world.admin();
    let make = |body: Value| world.post("/v1/keys").bearer_auth(&admin).json(&body);
    let (status, made) =
        read(make(json!({ "name": "backend", "studio": "demo", "hosting": true, "game": null }))).await;
    assert_eq!(status, 201, "{made}");
    let (key, id) = (made["key"].as_str().unwrap(), made["id"].as_str().unwrap());
    let list = || world.get("/v1/games/skirmish/servers");
    assert_eq!(read(list().header("x-api-key", key)).await.0, 200);
    assert_eq!(read(list().bearer_auth(key)).await.0, 200);
    // Shown once.
    let (_, keys) = read(world.get("/v1/keys").bearer_auth(&admin)).await;
    assert_eq!((keys["keys"][0]["id"].clone(), keys["keys"][0]["hosting"].clone()), (json!(id), json!(true)));
    let secret = key.rsplit_once('_').unwrap().1;
    assert!(!keys.to_string().contains(secret));
    assert_eq!(
        read(world.request(Method::DELETE, &format!("/v1/keys/{id}")).bearer_auth(&admin)).await.0,
        204
    );
    assert_eq!(read(list().header("x-api-key", key)).await.0, 401);
    let (_, keys) = read(world.get("/v1/keys?studio=demo").bearer_auth(&admin)).await;
    assert!(keys["keys"][0]["revokedAt"].is_i64());

    problem(make(json!({ "name": "x" })), 400, "bad_request").await;
    problem(make(json!({ "studio": "demo" })), 422, "invalid").await;
    problem(make(json!({ "name": " ", "studio": "demo" })), 422, "invalid").await;
    problem(make(json!({ "name": "x", "studio": "nobody" })), 404, "not_found").await;
    problem(make(json!({ "name": "x", "studio": "demo", "game": "go" })), 422, "invalid").await;
    problem(make(json!({ "name": "x", "studio": "demo", "publish": ["a..b"] })), 422, "invalid").await;
    problem(make(json!({ "name": "x", "studio": "demo", "expiresAt": 5 })), 422, "invalid").await;
    problem(world.request(Method::DELETE, "/v1/keys/none").bearer_auth(&admin), 404, "not_found").await;
    world.end().await;
}

#[tokio::test]
async fn a_studio_sees_its_own_keys_alone() {
    let world = World::new().await;
    let (studio, rival) =
        (world.studio_key().await, world.key("rival", KeyPermissions { admin: true, ..none() }).await);
    let keys = |key: &str| read(world.get("/v1/keys").header("x-api-key", key));
    let (_, own) = keys(&studio).await;
    assert_eq!((own["keys"].as_array().unwrap().len(), &own["keys"][0]["studio"]), (1, &json!("demo")));
    let id = own["keys"][0]["id"].as_str().unwrap();
    let revoke =
        |key: &str| world.request(Method::DELETE, &format!("/v1/keys/{id}")).header("x-api-key", key);
    problem(revoke(&rival), 404, "not_found").await;
    problem(world.get("/v1/keys?studio=demo").header("x-api-key", &rival), 403, "forbidden").await;
    problem(
        world.post("/v1/keys").header("x-api-key", &rival).json(&json!({ "name": "x", "studio": "demo" })),
        403,
        "forbidden",
    )
    .await;
    // It may make keys of its own, with no more than it says.
    let (status, made) =
        read(world.post("/v1/keys").header("x-api-key", &rival).json(&json!({ "name": "x" }))).await;
    assert_eq!((status, &made["studio"], &made["hosting"]), (201, &json!("rival"), &json!(false)));
    assert_eq!(read(revoke(&studio)).await.0, 204);
    assert_eq!(keys(&studio).await.0, 401);
    world.end().await;
}

#[tokio::test]
async fn administrators() {
    let world = World::new().await;
    let admin = world.admin();
    let add = |body: Value| world.post("/v1/admins").bearer_auth(&admin).json(&body);
    let (status, made) = read(add(json!({ "name": "Eve", "password": "long enough" }))).await;
    assert_eq!((status, &made["role"]), (201, &json!("operator")));
    problem(add(json!({ "name": "Eve", "password": "long enough" })), 409, "conflict").await;
    problem(add(json!({ "name": "Mo", "password": "short" })), 422, "invalid").await;
    problem(add(json!({ "name": "Mo", "password": "long enough", "role": "king" })), 422, "invalid").await;
    let (_, list) = read(world.get("/v1/admins").bearer_auth(&admin)).await;
    let names: Vec<_> =
        list["admins"].as_array().unwrap().iter().map(|admin| admin["name"].clone()).collect();
    assert_eq!(names.len(), 2);
    assert!(!list.to_string().contains("argon2"));
    let remove = |id: &str| world.request(Method::DELETE, &format!("/v1/admins/{id}")).bearer_auth(&admin);
    let eve = made["id"].as_str().unwrap();
    assert_eq!(read(remove(eve)).await.0, 204);
    problem(remove(eve), 404, "not_found").await;
    problem(remove("root"), 409, "conflict").await;
    let (_, list) = read(world.get("/v1/admins").bearer_auth(&admin)).await;
    assert_eq!(list["admins"].as_array().unwrap().len(), 1);
    world.end().await;
}
