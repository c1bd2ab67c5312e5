//! Every route, with who may ask it: each is tried without credentials, with those of everybody who may not,
//! and with each role of an administrator. A route without a case fails.

use greenroom_storage::AdminRole;
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
    /// An owner.
    Owner,
    /// A key with every right of its studio, an owner.
    StudioOrOwner,
    /// An administrator of whichever role, for what is its own.
    Myself,
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
    ("DELETE", "/v1/games/{game}/players/{player}", Who::StudioOrOwner),
    ("GET", "/v1/games/{game}/players/{player}/export", Who::StudioOrOwner),
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
    ("GET", "/v1/games/{game}/players/{player}/matches", Who::Studio),
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
    ("POST", "/v1/keys", Who::StudioOrOwner),
    ("GET", "/v1/keys", Who::Studio),
    ("DELETE", "/v1/keys/{key}", Who::StudioOrOwner),
    ("POST", "/v1/admins", Who::Owner),
    ("GET", "/v1/admins", Who::Admin),
    ("GET", "/v1/admins/{admin}", Who::Myself),
    ("DELETE", "/v1/admins/{admin}", Who::Owner),
    ("PUT", "/v1/admins/{admin}/role", Who::Owner),
    ("POST", "/v1/admins/{admin}/password", Who::Myself),
    ("GET", "/v1/admins/{admin}/sessions", Who::Myself),
    ("DELETE", "/v1/admins/{admin}/sessions/{session}", Who::Myself),
    ("GET", "/v1/admins/{admin}/tokens", Who::Myself),
    ("POST", "/v1/admins/{admin}/tokens", Who::Myself),
    ("DELETE", "/v1/admins/{admin}/tokens/{token}", Who::Myself),
    ("POST", "/v1/invites", Who::Owner),
    ("GET", "/v1/invites", Who::Admin),
    // For who has the link: see `admins`.
    ("POST", "/v1/invites/accept", Who::All),
    ("DELETE", "/v1/invites/{invite}", Who::Owner),
    ("GET", "/v1/audit", Who::Admin),
    ("GET", "/v1/backups", Who::Owner),
    ("POST", "/v1/backups", Who::Owner),
    ("POST", "/v1/backups/download", Who::Owner),
    ("GET", "/v1/games", Who::Admin),
    ("GET", "/v1/games/{game}/settings", Who::Admin),
    ("GET", "/v1/system", Who::Admin),
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

impl Who {
    /// The least role of an administrator that permits it; `None` where administrators are nobody special.
    /// Who may only look may not change anything but what is its own.
    fn role(self, method: &str) -> Option<AdminRole> {
        match self {
            Self::All | Self::Player => None,
            Self::Myself => Some(AdminRole::Viewer),
            Self::Owner | Self::StudioOrOwner => Some(AdminRole::Owner),
            Self::Host
            | Self::HostOrSelf
            | Self::Studio
            | Self::PlayerOrStudio
            | Self::Admin
            | Self::Publisher
            | Self::Subscriber => Some(if method == "GET" { AdminRole::Viewer } else { AdminRole::Operator }),
        }
    }
}

/// A request with a body that would be good, so that only the right to it is missing.
fn ask(world: &World, method: &str, path: &str) -> reqwest::RequestBuilder {
    let path = path.replace("{game}", "skirmish").replace("{admin}", "me").replace(['{', '}'], "");
    let body = match path.as_str() {
        "/v1/events" => json!({ "subject": "v1.skirmish.rooms.r.events.x" }),
        "/v1/keys" => json!({ "name": "k", "studio": "demo" }),
        "/v1/admins" => json!({ "name": "a", "password": "long enough" }),
        "/v1/admins/me/role" => json!({ "role": "viewer" }),
        "/v1/admins/me/password" => json!({ "current": "x", "password": "long enough" }),
        "/v1/admins/me/tokens" => json!({ "name": "t" }),
        // Refused for another reason, before a server is started.
        "/v1/games/skirmish/servers" => json!({ "region": "nowhere" }),
        _ => json!({}),
    };
    let method: Method = method.parse().unwrap();
    let request = world.request(method.clone(), &path);
    if method == Method::POST || method == Method::PUT { request.json(&body) } else { request }
}

/// Method, path and whether credentials are wanted, of every operation.
pub(crate) fn described() -> Vec<(String, String, bool)> {
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
    let ask = |method: &str, path: &str| ask(&world, method, path);
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
        if path.contains("{game}") || matches!(who, Who::Admin | Who::Owner | Who::Myself) {
            for key in [&rival, &of_one_game] {
                assert_eq!(
                    status(ask(method, path).header("x-api-key", key)).await,
                    403,
                    "{name} with another's key"
                );
            }
        }
        if !matches!(who, Who::Host | Who::HostOrSelf) {
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

#[tokio::test]
async fn each_role_may_what_it_is_for() {
    let world = World::new().await;
    let roles = [AdminRole::Viewer, AdminRole::Operator, AdminRole::Owner];
    let mut tokens = Vec::new();
    for role in roles {
        let admin = world.node.admins.add(role.as_str(), "long enough", role).await.unwrap();
        tokens.push(world.node.admins.create_token(&admin.id, "test", None).await.unwrap().1);
    }
    for &(method, path, who) in CASES {
        let Some(needed) = who.role(method) else { continue };
        for (role, token) in roles.iter().zip(&tokens) {
            let answer = ask(&world, method, path).bearer_auth(token).send().await.unwrap();
            let status = answer.status();
            let case = format!("{method} {path} as {}: {status}", role.as_str());
            if *role >= needed {
                assert!(!matches!(status.as_u16(), 401 | 403 | 405 | 500..), "{case}");
            } else {
                assert_eq!(status, 403, "{case}");
            }
        }
    }
    world.end().await;
}
