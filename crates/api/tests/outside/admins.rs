//! How administrators get in: invitations, tokens, sessions, roles.

use greenroom_operations::admins::ConsoleClient;
use greenroom_storage::AdminRole;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{World, problem, read};

#[tokio::test]
async fn an_invitation_makes_one_administrator() {
    let world = World::new().await;
    let admin = world.admin();
    let invite = async |body: Value| {
        let (status, made) = read(world.post("/v1/invites").bearer_auth(&admin).json(&body)).await;
        assert_eq!(status, 201, "{made}");
        made
    };
    let accept = |token: &Value, name: &str, password: &str| {
        let body = json!({ "token": token, "name": name, "password": password });
        world.post("/v1/invites/accept").json(&body)
    };
    let made = invite(json!({ "role": "viewer" })).await;
    let token = &made["token"];
    assert_eq!(made["path"], format!("/console/join/{}", token.as_str().unwrap()));
    let (_, list) = read(world.get("/v1/invites").bearer_auth(&admin)).await;
    assert_eq!((&list["invites"][0]["id"], &list["invites"][0]["role"]), (&made["id"], &json!("viewer")));
    assert!(!list.to_string().contains(token.as_str().unwrap()), "shown once");

    problem(accept(token, "eve", "short"), 422, "invalid").await;
    problem(accept(token, "root", "long enough"), 409, "conflict").await;
    problem(accept(&json!("gi_guess"), "eve", "long enough"), 404, "not_found").await;
    let (status, eve) = read(accept(token, "eve", "long enough")).await;
    assert_eq!((status, &eve["role"]), (201, &json!("viewer")), "a refused try has not spent it: {eve}");
    problem(accept(token, "mo", "long enough"), 404, "not_found").await;
    world.node.admins.sign_in(Some("eve"), "long enough", ConsoleClient::default()).await.unwrap();

    let withdrawn = invite(json!({})).await;
    let path = format!("/v1/invites/{}", withdrawn["id"].as_str().unwrap());
    assert_eq!(read(world.request(Method::DELETE, &path).bearer_auth(&admin)).await.0, 204);
    problem(accept(&withdrawn["token"], "mo", "long enough"), 404, "not_found").await;
    problem(world.request(Method::DELETE, &path).bearer_auth(&admin), 404, "not_found").await;
    for expires_at in [json!(5), json!(i64::MAX)] {
        let body = json!({ "expiresAt": expires_at });
        problem(world.post("/v1/invites").bearer_auth(&admin).json(&body), 422, "invalid").await;
    }
    // Who is no owner any more has invited nobody.
    let owner = world.node.admins.add("olga", "long enough", AdminRole::Owner).await.unwrap();
    let (_, token) = world.node.admins.invite(&owner.id, AdminRole::Owner, None).await.unwrap();
    let path = format!("/v1/admins/{}/role", owner.id);
    let (status, changed) =
        read(world.request(Method::PUT, &path).bearer_auth(&admin).json(&json!({ "role": "operator" })))
            .await;
    assert_eq!((status, &changed["role"]), (200, &json!("operator")));
    problem(accept(&json!(token), "mo", "long enough"), 404, "not_found").await;
    world.end().await;
}

#[tokio::test]
async fn a_personal_token_follows_its_administrator() {
    let world = World::new().await;
    let olga = world.node.admins.add("olga", "long enough", AdminRole::Owner).await.unwrap();
    let first = world.node.admins.create_token(&olga.id, "first", None).await.unwrap().1;
    let make = |token: &str, body: Value| world.post("/v1/admins/me/tokens").bearer_auth(token).json(&body);
    let (status, made) = read(make(&first, json!({ "name": "laptop" }))).await;
    assert_eq!(status, 201, "{made}");
    let token = made["token"].as_str().unwrap();
    assert!(token.starts_with("gt_"));
    let me = || world.get("/v1/admins/me").bearer_auth(token);
    let (_, known) = read(me()).await;
    assert_eq!((&known["name"], &known["role"]), (&json!("olga"), &json!("owner")));
    let (_, list) = read(world.get("/v1/admins/me/tokens").bearer_auth(token)).await;
    assert_eq!(list["tokens"].as_array().unwrap().len(), 2);
    assert!(!list.to_string().contains("gt_"), "shown once");
    assert!(list["tokens"][0]["lastUsedAt"].is_i64(), "{list}");

    // The role is the administrator's, at once.
    world.node.admins.set_role(&olga.id, AdminRole::Viewer).await.unwrap();
    problem(world.post("/v1/invites").bearer_auth(token), 403, "forbidden").await;
    assert_eq!(read(me()).await.1["role"], "viewer");
    let path = format!("/v1/admins/me/tokens/{}", made["id"].as_str().unwrap());
    assert_eq!(read(world.request(Method::DELETE, &path).bearer_auth(&first)).await.0, 204);
    problem(me(), 401, "unauthorized").await;
    for body in [json!({ "name": " " }), json!({ "name": "x", "expiresAt": 5 })] {
        problem(make(&first, body), 422, "invalid").await;
    }
    // For oneself alone, though an owner sees and revokes another's.
    let path = format!("/v1/admins/{}/tokens", olga.id);
    problem(world.post(&path).bearer_auth(world.admin()).json(&json!({ "name": "x" })), 403, "forbidden")
        .await;
    let (_, list) = read(world.get(&path).bearer_auth(world.admin())).await;
    let path = format!("{path}/{}", list["tokens"][0]["id"].as_str().unwrap());
    assert_eq!(read(world.request(Method::DELETE, &path).bearer_auth(world.admin())).await.0, 204);
    problem(world.get("/v1/admins/me").bearer_auth(&first), 401, "unauthorized").await;
    world.end().await;
}

#[tokio::test]
async fn sessions_are_seen_and_ended() {
    let world = World::new().await;
    let admins = &world.node.admins;
    let olga = admins.add("olga", "long enough", AdminRole::Operator).await.unwrap();
    let vera = admins.add("vera", "long enough", AdminRole::Viewer).await.unwrap();
    let of_vera = admins.create_token(&vera.id, "t", None).await.unwrap().1;
    let client = || ConsoleClient { address: Some([192, 0, 2, 7].into()), user_agent: Some("a".repeat(500)) };
    let of_olga = admins.sign_in(Some("olga"), "long enough", client()).await.unwrap();
    let own = admins.sign_in(Some("vera"), "long enough", client()).await.unwrap();
    let (_, list) = read(world.get("/v1/admins/me/sessions").bearer_auth(&of_vera)).await;
    assert_eq!(list["sessions"].as_array().unwrap().len(), 1);
    assert_eq!(list["sessions"][0]["id"], own.admin.session.as_str());
    assert_eq!(list["sessions"][0]["address"], "192.0.2.7");
    assert_eq!(list["sessions"][0]["userAgent"].as_str().unwrap().len(), 200);
    // Another's are the owners' to see and end.
    let path = format!("/v1/admins/{}/sessions", olga.id);
    let one = format!("{path}/{}", of_olga.admin.session);
    problem(world.get(&path).bearer_auth(&of_vera), 403, "forbidden").await;
    problem(world.request(Method::DELETE, &one).bearer_auth(&of_vera), 403, "forbidden").await;
    let mine = format!("/v1/admins/me/sessions/{}", of_olga.admin.session);
    problem(world.request(Method::DELETE, &mine).bearer_auth(&of_vera), 404, "not_found").await;
    admins.session(&of_olga.token).await.unwrap();
    assert_eq!(read(world.request(Method::DELETE, &one).bearer_auth(world.admin())).await.0, 204);
    assert!(admins.session(&of_olga.token).await.is_err());
    // Another password ends them all.
    let change = |body: Value| world.post("/v1/admins/me/password").bearer_auth(&of_vera).json(&body);
    problem(change(json!({ "current": "wrong", "password": "another one" })), 422, "invalid").await;
    problem(change(json!({ "current": "long enough", "password": "short" })), 422, "invalid").await;
    admins.session(&own.token).await.unwrap();
    assert_eq!(read(change(json!({ "current": "long enough", "password": "another one" }))).await.0, 204);
    assert!(admins.session(&own.token).await.is_err());
    admins.sign_in(Some("vera"), "another one", client()).await.unwrap();
    world.end().await;
}

#[tokio::test]
async fn there_is_always_an_owner() {
    let world = World::new().await;
    let olga = world.node.admins.add("olga", "long enough", AdminRole::Owner).await.unwrap();
    let token = world.node.admins.create_token(&olga.id, "t", None).await.unwrap().1;
    problem(world.request(Method::DELETE, "/v1/admins/root").bearer_auth(&token), 409, "conflict").await;
    let demote = world.request(Method::PUT, "/v1/admins/root/role").bearer_auth(&token);
    problem(demote.json(&json!({ "role": "viewer" })), 409, "conflict").await;
    let path = format!("/v1/admins/{}", olga.id);
    assert_eq!(read(world.request(Method::DELETE, &path).bearer_auth(&token)).await.0, 204);
    problem(world.get("/v1/admins/me").bearer_auth(&token), 401, "unauthorized").await;
    let (_, list) = read(world.get("/v1/admins").bearer_auth(world.admin())).await;
    assert_eq!((&list["admins"][0]["id"], &list["admins"][0]["role"]), (&json!("root"), &json!("owner")));
    world.end().await;
}
