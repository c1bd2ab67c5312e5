//! Every route has a case that it refuses; a route without one fails.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::support::{World, none};

/// Who may ask, and so who may not.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Who {
    /// Everybody.
    All,
    /// A player.
    Player,
    /// A key with the permission to host, an administrator.
    Host,
    /// The same, or the game server itself.
    HostOrSelf,
    /// A key with every right of its studio, an administrator.
    Studio,
    /// The same, or a player.
    PlayerOrStudio,
    /// An administrator.
    Admin,
    /// A key with the permission for the subject, an administrator, a game server for its own.
    Publisher,
    /// A key with the permission for the subject, an administrator.
    Subscriber,
}

const CASES: &[(&str, &str, Who)] = &[
    ("POST", "/auth/anonymous", Who::All),
    ("POST", "/auth/discord", Who::All),
    ("GET", "/accounts/me", Who::Player),
    ("GET", "/lobbies", Who::Player),
    // Upgraded always, and then refused: see `contract` and `sockets`.
    ("GET", "/_ws", Who::All),
    ("GET", "/v1/games/{game}/socket", Who::All),
    // A server's own token is looked at where one is shown: see `list`.
    ("GET", "/api/list/servers", Who::All),
    ("GET", "/api/list/ws", Who::All),
    ("GET", "/api/list/healthcheck", Who::All),
    ("GET", "/v1/games/{game}/browser", Who::All),
    ("GET", "/api/manager", Who::All),
    ("GET", "/api/manager/healthcheck", Who::All),
    // Public by contract: see `manager`.
    ("POST", "/api/manager/request", Who::All),
    ("POST", "/v1/games/{game}/auth/anonymous", Who::All),
    ("POST", "/v1/games/{game}/auth/discord", Who::All),
    ("POST", "/v1/games/{game}/auth/email", Who::All),
    ("POST", "/v1/games/{game}/auth/email/sign-up", Who::All),
    ("POST", "/v1/games/{game}/auth/email/confirm", Who::All),
    ("POST", "/v1/games/{game}/auth/email/forgot", Who::All),
    ("POST", "/v1/games/{game}/auth/email/reset", Who::All),
    ("GET", "/v1/games/{game}/auth/providers", Who::All),
    ("POST", "/v1/games/{game}/auth/providers/{provider}/begin", Who::All),
    ("GET", "/v1/games/{game}/auth/providers/{provider}/go", Who::All),
    // Good in one browser, and once: see `providers`.
    ("GET", "/v1/games/{game}/auth/providers/{provider}/callback", Who::All),
    ("POST", "/v1/games/{game}/auth/complete", Who::All),
    ("POST", "/v1/games/{game}/auth/steam", Who::All),
    ("GET", "/v1/me/identities", Who::Player),
    ("POST", "/v1/me/link/email", Who::Player),
    ("POST", "/v1/me/link/steam", Who::Player),
    ("POST", "/v1/me/link/{provider}/begin", Who::Player),
    ("POST", "/v1/me/link/complete", Who::Player),
    ("DELETE", "/v1/me/identities/{provider}", Who::Player),
    ("GET", "/v1/me/export", Who::Player),
    ("DELETE", "/v1/me", Who::Player),
    ("DELETE", "/v1/games/{game}/players/{player}", Who::Studio),
    ("GET", "/v1/games/{game}/players/{player}/export", Who::Studio),
    // Pages: who has the token of a mail does what the mail is about.
    ("GET", "/v1/games/{game}/account/confirm", Who::All),
    ("POST", "/v1/games/{game}/account/confirm", Who::All),
    ("GET", "/v1/games/{game}/account/reset", Who::All),
    ("POST", "/v1/games/{game}/account/reset", Who::All),
    ("POST", "/v1/games/{game}/auth/refresh", Who::All),
    ("POST", "/v1/auth/refresh", Who::All),
    ("POST", "/v1/auth/sign-out", Who::Player),
    ("GET", "/v1/auth/sessions", Who::Player),
    ("GET", "/v1/players/me", Who::Player),
    ("GET", "/v1/players/me/matches", Who::Player),
    ("GET", "/v1/players/me/matches/{match}", Who::Player),
    ("GET", "/v1/games/{game}/lobbies", Who::PlayerOrStudio),
    ("GET", "/v1/games/{game}/lobbies/{lobby}", Who::Studio),
    ("POST", "/v1/games/{game}/lobbies/{lobby}/close", Who::Studio),
    ("GET", "/v1/games/{game}/players", Who::Studio),
    ("GET", "/v1/games/{game}/players/{player}", Who::Studio),
    ("GET", "/v1/games/{game}/players/{player}/sessions", Who::Studio),
    ("POST", "/v1/games/{game}/players/{player}/ban", Who::Studio),
    ("DELETE", "/v1/games/{game}/players/{player}/ban", Who::Studio),
    ("GET", "/v1/games/{game}/bans", Who::Studio),
    ("POST", "/v1/games/{game}/servers", Who::Host),
    ("GET", "/v1/games/{game}/servers", Who::Host),
    ("GET", "/v1/games/{game}/servers/{server}", Who::Host),
    ("DELETE", "/v1/games/{game}/servers/{server}", Who::Host),
    ("GET", "/v1/games/{game}/servers/{server}/logs", Who::Host),
    ("GET", "/v1/games/{game}/regions", Who::Host),
    ("GET", "/v1/games/{game}/builds", Who::Host),
    ("GET", "/v1/games/{game}/builds/stream", Who::Host),
    ("POST", "/v1/games/{game}/builds/refresh", Who::Host),
    ("POST", "/v1/games/{game}/builds/{version}/pull", Who::Host),
    ("GET", "/v1/servers/{server}", Who::HostOrSelf),
    ("DELETE", "/v1/servers/{server}", Who::Host),
    ("GET", "/v1/servers/{server}/logs", Who::Host),
    ("GET", "/v1/hosts", Who::Admin),
    ("GET", "/v1/overview", Who::Admin),
    ("POST", "/v1/events", Who::Publisher),
    ("GET", "/v1/events", Who::Subscriber),
    ("GET", "/v1/events/stream", Who::Subscriber),
    ("POST", "/v1/keys", Who::Studio),
    ("GET", "/v1/keys", Who::Studio),
    ("DELETE", "/v1/keys/{key}", Who::Studio),
    ("POST", "/v1/admins", Who::Admin),
    ("GET", "/v1/admins", Who::Admin),
    ("DELETE", "/v1/admins/{admin}", Who::Admin),
    ("GET", "/v1/backups", Who::Admin),
    ("POST", "/v1/backups", Who::Admin),
    ("POST", "/v1/backups/download", Who::Admin),
    ("GET", "/", Who::All),
    ("GET", "/.well-known/jwks.json", Who::All),
    ("GET", "/healthz", Who::All),
    ("GET", "/readyz", Who::All),
    ("GET", "/metrics", Who::All),
    // For programs on this machine, or with a token: see `traefik`.
    ("GET", "/traefik/config", Who::All),
    ("GET", "/openapi.json", Who::All),
    ("GET", "/asyncapi.json", Who::All),
];

/// Method, path and whether credentials are wanted, of every operation.
fn described() -> Vec<(String, String, bool)> {
    let document = serde_json::to_value(greenroom_api::openapi()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, item)| {
        item.as_object().unwrap().iter().filter(|(method, _)| *method != "parameters").map(
            move |(method, operation)| {
                let is_protected =
                    operation.get("security").and_then(|s| s.as_array()).is_some_and(|s| !s.is_empty());
                (method.to_uppercase(), path.clone(), is_protected)
            },
        )
    });
    operations.collect()
}

#[test]
fn every_route_has_a_case() {
    let described = described();
    for (method, path, is_protected) in &described {
        let case = CASES.iter().find(|(m, p, _)| m == method && p == path);
        let (.., who) = case.unwrap_or_else(|| panic!("{method} {path} has no case here"));
        assert_eq!(*is_protected, *who != Who::All, "{method} {path}: its description and its case differ");
    }
    for (method, path, _) in CASES {
        assert!(
            described.iter().any(|(m, p, _)| m == method && p == path),
            "{method} {path} is not described"
        );
    }
}

#[tokio::test]
async fn who_may_not_is_refused() {
    let world = World::new().await;
    let (player, _) = world.player("Ada").await;
    let powerless = world.key("demo", none()).await;
    let all = || greenroom_storage::KeyPermissions {
        hosting: true,
        admin: true,
        publish: vec![">".into()],
        subscribe: vec![">".into()],
    };
    let rival = world.key("rival", all()).await;
    let of_one_game = world.key_of("demo", Some("chess"), all()).await;
    let hosting = world.hosting_key().await;
    let ask = |method: &str, path: &str| {
        let path = path.replace("{game}", "skirmish").replace(['{', '}'], "");
        // Deeds with a body that would be good, so that only the right is missing.
        let body = match path.as_str() {
            "/v1/events" => json!({ "subject": "v1.skirmish.rooms.r.events.x" }),
            "/v1/keys" => json!({ "name": "k", "studio": "demo" }),
            "/v1/admins" => json!({ "name": "a", "password": "long enough" }),
            _ => json!({}),
        };
        let method: Method = method.parse().unwrap();
        let request = world.request(method.clone(), &path);
        if method == Method::POST { request.json(&body) } else { request }
    };
    for &(method, path, who) in CASES {
        let status = async |request: reqwest::RequestBuilder| request.send().await.unwrap().status();
        let name = format!("{method} {path}");
        if who == Who::All {
            let found = status(ask(method, path)).await;
            assert!(found != StatusCode::FORBIDDEN && !found.is_server_error(), "{name}: {found}");
            continue;
        }
        assert_eq!(status(ask(method, path)).await, 401, "{name} without credentials");
        assert_eq!(status(ask(method, path).bearer_auth("nonsense")).await, 401, "{name} with nonsense");
        assert_eq!(
            status(ask(method, path).bearer_auth("gs_no_one")).await,
            401,
            "{name} with a server's nonsense"
        );
        assert_eq!(
            status(ask(method, path).header("x-api-key", "gk_0_0")).await,
            401,
            "{name} with an unknown key"
        );
        if who == Who::Player {
            // Players have no other credentials than their own.
            assert_eq!(
                status(ask(method, path).header("x-api-key", &hosting)).await,
                401,
                "{name} with a key"
            );
            assert_eq!(status(ask(method, path).bearer_auth(world.admin())).await, 401, "{name} as admin");
            continue;
        }
        let as_player = if who == Who::PlayerOrStudio { 200 } else { 401 };
        assert_eq!(status(ask(method, path).bearer_auth(&player)).await, as_player, "{name} as a player");
        let powerless_found = status(ask(method, path).header("x-api-key", &powerless)).await;
        assert_eq!(powerless_found, 403, "{name} with a key that permits nothing");
        if path.contains("{game}")
            || path.starts_with("/v1/admins")
            || ["/v1/hosts", "/v1/overview"].contains(&path)
        {
            for key in [&rival, &of_one_game] {
                assert_eq!(
                    status(ask(method, path).header("x-api-key", key)).await,
                    403,
                    "{name} with another's key"
                );
            }
        }
        if matches!(who, Who::Studio | Who::PlayerOrStudio | Who::Admin | Who::Subscriber | Who::Publisher) {
            assert_eq!(
                status(ask(method, path).bearer_auth(&hosting)).await,
                403,
                "{name} with a key for hosting"
            );
        }
    }
    // What is another studio's is not there, where the path does not name the game.
    for (method, path) in
        [("GET", "/v1/servers/s1"), ("DELETE", "/v1/servers/s1"), ("GET", "/v1/servers/s1/logs")]
    {
        assert_eq!(
            ask(method, path).header("x-api-key", &rival).send().await.unwrap().status(),
            404,
            "{path}"
        );
    }
    world.end().await;
}
