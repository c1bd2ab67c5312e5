//! Every route that changes something writes down who did what, by what and from where. A route without a case
//! fails.

use greenroom_operations::admins::ConsoleClient;
use greenroom_protocol::lobby::LobbyCreate;
use greenroom_storage::AdminRole;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::{
    routes::described,
    support::{World, game, read},
};

/// What the audit log tells of a change.
enum Told {
    /// This action.
    As(&'static str),
    /// Nothing, for it is no change of who runs the games.
    Not(&'static str),
    /// This action; seen where there is what it takes.
    Elsewhere(&'static str),
}
use Told::{As, Elsewhere, Not};

const OWN: &str = "a player's own";

const CASES: &[(&str, &str, Told)] = &[
    ("POST", "/auth/anonymous", Not(OWN)),
    ("POST", "/auth/discord", Not(OWN)),
    ("POST", "/v1/games/{game}/auth/anonymous", Not(OWN)),
    ("POST", "/v1/games/{game}/auth/discord", Not(OWN)),
    ("POST", "/v1/games/{game}/auth/refresh", Not(OWN)),
    ("POST", "/v1/games/{game}/auth/email", Not(OWN)),
    ("POST", "/v1/games/{game}/auth/email/sign-up", Not(OWN)),
    ("POST", "/v1/games/{game}/auth/email/confirm", Not(OWN)),
    ("POST", "/v1/games/{game}/auth/email/forgot", Not(OWN)),
    ("POST", "/v1/games/{game}/auth/email/reset", Not(OWN)),
    ("POST", "/v1/games/{game}/account/confirm", Not(OWN)),
    ("POST", "/v1/games/{game}/account/reset", Not(OWN)),
    ("POST", "/v1/games/{game}/auth/complete", Not(OWN)),
    ("POST", "/v1/games/{game}/auth/providers/{provider}/begin", Not(OWN)),
    ("POST", "/v1/games/{game}/auth/steam", Not(OWN)),
    ("DELETE", "/v1/me", Not(OWN)),
    ("DELETE", "/v1/me/identities/{provider}", Not(OWN)),
    ("POST", "/v1/me/link/complete", Not(OWN)),
    ("POST", "/v1/me/link/email", Not(OWN)),
    ("POST", "/v1/me/link/steam", Not(OWN)),
    ("POST", "/v1/me/link/{provider}/begin", Not(OWN)),
    ("POST", "/v1/auth/refresh", Not(OWN)),
    ("POST", "/v1/auth/sign-out", Not(OWN)),
    (
        "POST",
        "/api/manager/request",
        Not("a player asks for a server; with a key it is told as `server.start`"),
    ),
    ("POST", "/v1/games/{game}/lobbies/{lobby}/close", As("lobby.close")),
    ("POST", "/v1/games/{game}/players/{player}/ban", As("player.ban")),
    ("DELETE", "/v1/games/{game}/players/{player}/ban", As("player.unban")),
    ("DELETE", "/v1/games/{game}/players/{player}", As("player.delete")),
    ("POST", "/v1/games/{game}/servers", As("server.start")),
    ("DELETE", "/v1/games/{game}/servers/{server}", As("server.stop")),
    ("DELETE", "/v1/servers/{server}", As("server.stop")),
    ("POST", "/v1/games/{game}/builds/refresh", As("build.refresh")),
    ("POST", "/v1/games/{game}/builds/{version}/pull", Elsewhere("the binary's tests with a Docker engine")),
    ("POST", "/v1/events", As("events.append")),
    ("POST", "/v1/keys", As("key.create")),
    ("DELETE", "/v1/keys/{key}", As("key.revoke")),
    ("POST", "/v1/admins", As("admin.add")),
    ("PUT", "/v1/admins/{admin}/role", As("admin.role")),
    ("POST", "/v1/admins/{admin}/password", As("admin.password")),
    ("DELETE", "/v1/admins/{admin}/sessions/{session}", As("session.end")),
    ("POST", "/v1/admins/{admin}/tokens", As("token.create")),
    ("DELETE", "/v1/admins/{admin}/tokens/{token}", As("token.revoke")),
    ("DELETE", "/v1/admins/{admin}", As("admin.remove")),
    ("POST", "/v1/invites", As("invite.create")),
    ("POST", "/v1/invites/accept", As("invite.accept")),
    ("DELETE", "/v1/invites/{invite}", As("invite.withdraw")),
    ("POST", "/v1/backups", Elsewhere("the binary's tests with a store")),
    ("POST", "/v1/backups/download", Elsewhere("`downloads_are_told`")),
];

#[test]
fn every_change_has_a_case() {
    let mut changes: Vec<_> = described().into_iter().filter(|(method, ..)| method != "GET").collect();
    changes.sort();
    for (method, path, _) in &changes {
        assert!(
            CASES.iter().any(|(m, p, _)| m == method && p == path),
            "{method} {path} has no case here: what does the audit log tell of it?"
        );
    }
    assert_eq!(changes.len(), CASES.len(), "a case is of no route");
}

#[tokio::test]
async fn every_change_is_written_down() {
    let world = World::new().await;
    let admins = &world.node.admins;
    let olga = admins.add("olga", "long enough", AdminRole::Owner).await.unwrap();
    let token = admins.create_token(&olga.id, "laptop", None).await.unwrap().1;
    for (method, path, told) in CASES {
        let case = format!("{method} {path}");
        let action = match told {
            As(action) => action,
            Not(reason) | Elsewhere(reason) => {
                println!("{case}: {reason}");
                continue;
            }
        };
        let (path, body) = prepared(&world, method, path).await;
        let request = world.request(method.parse().unwrap(), &path).bearer_auth(&token).json(&body);
        let (status, answer) = read(request).await;
        assert!((200..300).contains(&status), "{case}: {status} {answer}");
        let entry = newest(&world).await;
        assert_eq!(entry["action"], *action, "{case}: {entry}");
        assert_eq!(entry["address"], "127.0.0.1", "{case}: {entry}");
        let (who, via) = match *action {
            "invite.accept" => ("admin:joined", "invitation"),
            _ => ("admin:olga", "personal-token"),
        };
        assert_eq!((&entry["actor"], &entry["via"]), (&json!(who), &json!(via)), "{case}");
        assert!(entry["at"].is_i64() && !entry["subject"].as_str().unwrap().is_empty(), "{case}: {entry}");
        for secret in ["long enough", "secret payload", "gt_", "gi_", "gk_"] {
            assert!(!entry.to_string().contains(secret), "{case} tells a secret: {entry}");
        }
    }
    world.end().await;
}

/// The path and body of a change that will be made.
async fn prepared(world: &World, method: &str, path: &str) -> (String, Value) {
    let (node, admins) = (&world.node, &world.node.admins);
    let mut path = path.replace("{game}", "skirmish");
    let mut body = json!({});
    if path.contains("{lobby}") || path.contains("{player}") {
        let (token, id) = world.player("Ada").await;
        if method == "DELETE" && path.ends_with("/ban") {
            let ban = world.post(&path.replace("{player}", &id)).bearer_auth(world.admin());
            assert_eq!(read(ban).await.0, 200);
        }
        path = path.replace("{player}", &id);
        if path.contains("{lobby}") {
            let player = node.players.authenticate(&token, &game("skirmish")).await.unwrap();
            let lobby = node.lobbies.create(&player, LobbyCreate::default()).await.unwrap();
            path = path.replace("{lobby}", lobby.view.id.as_str());
        }
    }
    if path.contains("{server}") {
        let request = world.post("/v1/games/skirmish/servers").bearer_auth(world.admin()).json(&json!({}));
        let (status, answer) = read(request).await;
        assert_eq!(status, 200, "{answer}");
        path = path.replace("{server}", answer["server"]["id"].as_str().unwrap());
    }
    if path.contains("{key}") {
        let made = json!({ "name": "k", "studio": "demo" });
        let (_, made) = read(world.post("/v1/keys").bearer_auth(world.admin()).json(&made)).await;
        path = path.replace("{key}", made["id"].as_str().unwrap());
    }
    if path.contains("{session}") || path.contains("{token}") {
        path = path.replace("{admin}", "me");
        let page = admins.list(None, 10).await.unwrap();
        let olga = page.items.into_iter().find(|admin| admin.name == "olga").unwrap();
        let session = admins.sign_in(Some("olga"), "long enough!", ConsoleClient::default()).await.unwrap();
        path = path.replace("{session}", session.admin.session.as_str());
        let made = admins.create_token(&olga.id, "other", None).await.unwrap().0;
        path = path.replace("{token}", made.id.as_str());
    }
    if path.ends_with("{admin}/password") || path.ends_with("{admin}/tokens") {
        path = path.replace("{admin}", "me");
        body = if path.ends_with("/tokens") {
            json!({ "name": "ci" })
        } else {
            json!({ "current": "long enough", "password": "long enough!" })
        };
    }
    if path.contains("{admin}") {
        let name = if path.ends_with("/role") { "eve" } else { "mo" };
        let made = admins.add(name, "long enough", AdminRole::Viewer).await.unwrap();
        path = path.replace("{admin}", made.id.as_str());
        body = json!({ "role": "operator" });
    }
    if path.contains("invites/") {
        let (invite, token) = admins.invite(&"root".parse().unwrap(), AdminRole::Viewer, None).await.unwrap();
        path = path.replace("{invite}", invite.id.as_str());
        body = json!({ "token": token, "name": "joined", "password": "long enough" });
    }
    match path.as_str() {
        "/v1/games/skirmish/servers" => body = json!({ "payload": "secret payload" }),
        "/v1/events" => {
            path = "/v1/events?studio=demo".into();
            body = json!({ "subject": "v1.skirmish.rooms.r.events.x" });
        }
        "/v1/keys" => body = json!({ "name": "k", "studio": "demo" }),
        "/v1/admins" => body = json!({ "name": "new", "password": "long enough" }),
        _ => {}
    }
    assert!(!path.contains('{'), "{method} {path} wants something that is not prepared here");
    (path, body)
}

#[tokio::test]
async fn downloads_are_told() {
    let world = World::new().await;
    let (_, player) = world.player("Ada").await;
    let export = world.get(&format!("/v1/games/skirmish/players/{player}/export"));
    assert_eq!(read(export.bearer_auth(world.admin())).await.0, 200);
    let entry = newest(&world).await;
    assert_eq!((&entry["action"], &entry["subject"]), (&json!("player.export"), &json!(player)), "{entry}");
    let backup = world.post("/v1/backups/download").bearer_auth(world.admin()).send().await.unwrap();
    assert_eq!(backup.status(), 200);
    assert!(backup.bytes().await.unwrap().len() > 1_000);
    assert_eq!(newest(&world).await["action"], "backup.download");
    world.end().await;
}

async fn newest(world: &World) -> Value {
    let (status, page) = read(world.get("/v1/audit?limit=1").bearer_auth(world.admin())).await;
    assert_eq!(status, 200, "{page}");
    page["entries"][0].clone()
}

#[tokio::test]
async fn keys_and_the_admin_token_are_told_apart() {
    let world = World::new().await;
    let (_, player) = world.player("Ada").await;
    let key = world.studio_key().await;
    let ban = || world.post(&format!("/v1/games/skirmish/players/{player}/ban"));
    let with = async |request: RequestBuilder| {
        assert_eq!(read(request).await.0, 200);
        newest(&world).await
    };
    let by_key = with(ban().header("x-api-key", &key).json(&json!({ "reason": "bots" }))).await;
    assert!(by_key["actor"].as_str().unwrap().starts_with("key:"), "{by_key}");
    assert_eq!((&by_key["via"], &by_key["subject"]), (&json!("api-key"), &json!(player)));
    assert_eq!(by_key["detail"]["reason"], "bots");
    let by_root = with(ban().bearer_auth(world.admin())).await;
    assert_eq!((&by_root["actor"], &by_root["via"]), (&json!("admin:root"), &json!("admin-token")));
    // What was refused is no change.
    let powerless = world.hosting_key().await;
    assert_eq!(read(ban().header("x-api-key", &powerless)).await.0, 403);
    assert_eq!(newest(&world).await, by_root);
    // In pages, newest first.
    let (_, first) = read(world.get("/v1/audit?limit=1").bearer_auth(world.admin())).await;
    let next = first["next"].as_str().unwrap();
    let (_, second) =
        read(world.get(&format!("/v1/audit?limit=1&cursor={next}")).bearer_auth(world.admin())).await;
    assert_eq!(second["entries"][0], by_key);
    let bad = world.get("/v1/audit?cursor=x").bearer_auth(world.admin());
    crate::support::problem(bad, 400, "bad_request").await;
    world.end().await;
}
