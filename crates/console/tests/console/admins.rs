//! Administrators, invitations, sessions, tokens and API keys, as the pages have them; and that every change is
//! written down.

use axum::http::{StatusCode, header};
use greenroom_protocol::{admins::AuditView, auth::BanRequest};
use greenroom_storage::AdminRole;

use crate::{
    access::routed,
    support::{Answer, Browser, Installation, fleet},
};

/// What the audit log tells of a change.
enum Told {
    As(&'static str),
    Elsewhere(&'static str),
}
use Told::{As, Elsewhere};

const CHANGES: &[(&str, Told)] = &[
    ("/console/servers/start", As("server.start")),
    ("/console/servers/{game}/{id}/stop", As("server.stop")),
    ("/console/builds/{game}/refresh", As("build.refresh")),
    ("/console/builds/{game}/pull", Elsewhere("the binary's tests with a Docker engine")),
    ("/console/lobbies/{game}/{id}/close", As("lobby.close")),
    ("/console/players/{game}/{id}/ban", As("player.ban")),
    ("/console/players/{game}/{id}/unban", As("player.unban")),
    ("/console/players/{game}/{id}/delete", As("player.delete")),
    ("/console/backups/begin", Elsewhere("the binary's tests with a store")),
    ("/console/keys/create", As("key.create")),
    ("/console/keys/{id}/revoke", As("key.revoke")),
    ("/console/admins/invite", As("invite.create")),
    ("/console/admins/invites/{id}/withdraw", As("invite.withdraw")),
    ("/console/admins/{id}/role", As("admin.role")),
    ("/console/admins/{id}/sessions/{session}/end", As("session.end")),
    ("/console/admins/{id}/tokens/{token}/revoke", As("token.revoke")),
    ("/console/admins/{id}/remove", As("admin.remove")),
    ("/console/account/tokens", As("token.create")),
    ("/console/account/tokens/{id}/revoke", As("token.revoke")),
    ("/console/account/sessions/{id}/end", As("session.end")),
    ("/console/join/{token}", As("session.begin")),
    ("/console/sign-in", As("session.begin")),
    ("/console/account/password", As("admin.password")),
    ("/console/sign-out", As("session.end")),
];

async fn log(installation: &Installation) -> Vec<AuditView> {
    installation.node.admins.audit_log(None, 10).await.unwrap().entries
}

/// What is between two texts of a page.
fn between<'a>(answer: &'a Answer, before: &str, after: &str) -> &'a str {
    let (_, rest) =
        answer.text.split_once(before).unwrap_or_else(|| panic!("{before} is not in {}", answer.text));
    rest.split_once(after).unwrap().0
}

#[tokio::test]
async fn every_change_is_written_down() {
    let mut changes: Vec<_> = routed().into_iter().filter(|(method, _)| *method == "POST").collect();
    changes.sort_unstable();
    let mut listed: Vec<_> = CHANGES.iter().map(|(path, _)| ("POST", *path)).collect();
    listed.sort_unstable();
    assert_eq!(changes, listed, "every change has a case here: what does the audit log tell of it?");

    let installation = Installation::start_with_fleet(fleet("sleep 60")).await;
    installation.node.admins.add("olga", "long enough", AdminRole::Owner).await.unwrap();
    let mut browser = installation.browser();
    browser.sign_in("olga", "long enough", "").await;
    for (path, told) in CHANGES {
        let action = match told {
            As(action) => action,
            Elsewhere(where_) => {
                println!("{path}: {where_}");
                continue;
            }
        };
        if *path == "/console/account/password" {
            // The next ones are signed in anew.
            browser = installation.browser();
            browser.sign_in("olga", "long enough", "").await;
        }
        let answer = change(&installation, &mut browser, path).await;
        assert!(
            answer.status.is_success() || answer.status == StatusCode::SEE_OTHER,
            "{path}: {}",
            answer.text
        );
        let entry = log(&installation).await.remove(0);
        assert_eq!(entry.action, *action, "{path}: {entry:?}");
        let who = if path.contains("/join/") { "admin:joined" } else { "admin:olga" };
        assert_eq!((entry.actor.as_str(), entry.via.as_str()), (who, "console"), "{path}");
        assert_eq!(entry.address.as_deref(), Some("192.0.2.1"), "{path}");
        assert!(!entry.subject.is_empty(), "{path}: {entry:?}");
        if path.ends_with("password") {
            browser.sign_in("olga", "long enough!", "").await;
        }
    }
    installation.node.servers.stop_all().await;
}

/// Makes the change with what it takes.
async fn change(installation: &Installation, browser: &mut Browser, path: &str) -> Answer {
    let node = &installation.node;
    let find = async |name: &str| {
        let page = node.admins.list(None, 50).await.unwrap();
        page.items.into_iter().find(|admin| admin.name == name).unwrap()
    };
    let mut path = path.replace("{game}", "skirmish");
    let mut fields: Vec<(&str, String)> = Vec::new();
    let text = |text: &str| text.to_owned();
    match path.as_str() {
        "/console/servers/start" => fields.push(("game", text("skirmish"))),
        "/console/servers/skirmish/{id}/stop" => {
            let servers = node.servers.list(None);
            path = path.replace("{id}", servers[0].id.as_str());
        }
        "/console/lobbies/skirmish/{id}/close" => {
            let player = installation.player("Ada").await;
            path = path.replace("{id}", installation.lobby_of(&player).await.id.as_str());
            return browser.change(&path, &[]).await;
        }
        "/console/players/skirmish/{id}/delete" => {
            let player = installation.player("Cy").await.principal.id;
            path = path.replace("{id}", player.as_str());
        }
        "/console/players/skirmish/{id}/ban" | "/console/players/skirmish/{id}/unban" => {
            let player = installation.player("Bo").await.principal.id;
            path = path.replace("{id}", player.as_str());
            if path.ends_with("/unban") {
                node.players.ban(&installation.game, &player, BanRequest::default()).await.unwrap();
            }
            fields.push(("term", text("ever")));
        }
        "/console/keys/create" => {
            fields.extend([("name", text("backend")), ("studio", text("demo")), ("term", text("ever"))]);
        }
        "/console/keys/{id}/revoke" => {
            let key = node.keys.list(None, None, 1).await.unwrap().items.remove(0);
            path = path.replace("{id}", key.id.as_str());
        }
        "/console/admins/invite" => fields.extend([("role", text("viewer")), ("term", text("30d"))]),
        "/console/admins/invites/{id}/withdraw" => {
            path = path.replace("{id}", node.admins.invites().await.unwrap()[0].id.as_str());
        }
        "/console/join/{token}" => {
            let olga = find("olga").await;
            let token = node.admins.invite(&olga.id, AdminRole::Viewer, None).await.unwrap().1;
            path = path.replace("{token}", &token);
            let mut stranger = installation.browser();
            let csrf = stranger.get(&path).await.csrf();
            let fields = [
                ("csrf", csrf.as_str()),
                ("name", "joined"),
                ("password", "long enough"),
                ("again", "long enough"),
            ];
            return stranger.post(&path, &fields).await;
        }
        "/console/sign-in" => return installation.browser().sign_in("olga", "long enough", "").await,
        "/console/account/password" => {
            fields.push(("current", text("long enough")));
            fields.extend([("password", text("long enough!")), ("again", text("long enough!"))]);
        }
        "/console/account/tokens" => fields.extend([("name", text("laptop")), ("term", text("7d"))]),
        _ => {}
    }
    if path.contains("/admins/{id}") {
        // The first of these cases makes it, the last removes it.
        if path.ends_with("/role") {
            node.admins.add("eve", "long enough", AdminRole::Viewer).await.unwrap();
            fields.push(("role", text("operator")));
        }
        let eve = find("eve").await;
        if path.contains("{session}") {
            installation.browser().sign_in("eve", "long enough", "").await;
            let session = node.admins.sessions(&eve.id).await.unwrap().remove(0);
            path = path.replace("{session}", session.id.as_str());
        }
        if path.contains("{token}") {
            let token = node.admins.create_token(&eve.id, "t", None).await.unwrap().0;
            path = path.replace("{token}", token.id.as_str());
        }
        path = path.replace("{id}", eve.id.as_str());
    }
    if path.starts_with("/console/account/") && path.contains("{id}") {
        let olga = find("olga").await;
        let id = if path.contains("/tokens/") {
            node.admins.tokens(&olga.id).await.unwrap().remove(0).id.to_string()
        } else {
            installation.browser().sign_in("olga", "long enough", "").await;
            node.admins.sessions(&olga.id).await.unwrap().remove(0).id.to_string()
        };
        path = path.replace("{id}", &id);
    }
    assert!(!path.contains('{'), "{path} wants something that is not prepared here");
    let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    browser.change(&path, &fields).await
}

#[tokio::test]
async fn somebody_is_invited_and_joins() {
    let installation = Installation::start().await;
    let mut owner = installation.owner().await;
    let made = owner.change("/console/admins/invite", &[("role", "operator"), ("term", "3d")]).await;
    let link = between(&made, "<code>http://console.test:4700", "</code>").to_owned();
    assert!(link.starts_with("/console/join/gi_"), "{link}");
    assert!(!owner.get("/console/admins").await.text.contains("gi_"), "shown once");

    let mut browser = installation.browser();
    let form = browser.get(&link).await;
    assert!(form.text.contains("You are invited as <b>operator</b>"), "{}", form.text);
    assert_eq!(form.headers[header::REFERRER_POLICY], "same-origin", "the link is told to nobody else");
    let mut join = async |csrf: &str, name: &str, password: &str, again: &str| {
        let fields = [("csrf", csrf), ("name", name), ("password", password), ("again", again)];
        browser.post(&link, &fields).await
    };
    let csrf = form.csrf();
    assert_eq!(join("guessed", "eve", "long enough", "long enough").await.status, StatusCode::FORBIDDEN);
    let differ = join(&csrf, "eve", "long enough", "long enoug").await;
    assert_eq!(differ.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(differ.text.contains("differ") && !differ.text.contains("long enough"), "{}", differ.text);
    assert_eq!(join(&csrf, "eve", "short", "short").await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(join(&csrf, "root", "long enough", "long enough").await.status, StatusCode::CONFLICT);
    let joined = join(&csrf, "eve", " long enough", " long enough").await;
    assert_eq!((joined.status, joined.location()), (StatusCode::SEE_OTHER, "/console"), "{}", joined.text);
    assert_eq!(browser.get("/console").await.status, StatusCode::OK, "and is signed in");
    assert!(browser.get("/console").await.text.contains("operator"));
    let again = installation.browser().get(&link).await;
    assert_eq!(again.status, StatusCode::NOT_FOUND, "the link is good once");
    let mut anew = installation.browser();
    assert_eq!(anew.sign_in("eve", " long enough", "").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_token_of_ones_own_and_a_key_are_shown_once() {
    let installation = Installation::start().await;
    installation.node.admins.add("vera", "only looking", AdminRole::Viewer).await.unwrap();
    let mut vera = installation.browser();
    vera.sign_in("vera", "only looking", "").await;
    let made = vera.change("/console/account/tokens", &[("name", "laptop"), ("term", "7d")]).await;
    let token = between(&made, "<code>gt_", "</code>");
    let known = installation.node.admins.authenticate(&format!("gt_{token}")).await.unwrap();
    assert_eq!((known.name.as_str(), known.role), ("vera", AdminRole::Viewer));
    let page = vera.get("/console/account").await;
    assert!(page.text.contains("laptop") && !page.text.contains("gt_"), "{}", page.text);
    for (name, term) in [(" ", "7d"), ("x", "1000y")] {
        let refused = vera.change("/console/account/tokens", &[("name", name), ("term", term)]).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    }

    let mut owner = installation.owner().await;
    let fields = [
        ("name", "backend"),
        ("studio", "demo"),
        ("game", "skirmish"),
        ("hosting", "yes"),
        ("subscribe", "v1.skirmish.>, v1.skirmish.rooms.>"),
        ("term", "30d"),
    ];
    let made = owner.change("/console/keys/create", &fields).await;
    let text = format!("gk_{}", between(&made, "<code>gk_", "</code>"));
    let greenroom_operations::Principal::Key(key) = installation.node.keys.authenticate(&text).await.unwrap()
    else {
        panic!("a key");
    };
    assert_eq!((key.hosting, key.admin, key.subscribe.len()), (true, false, 2));
    let list = owner.get("/console/keys").await;
    assert!(list.text.contains("backend") && !list.text.contains("gk_"), "{}", list.text);
    let refused = owner.change("/console/keys/create", &[("studio", "demo"), ("term", "ever")]).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        owner.change(&format!("/console/keys/{}/revoke", key.id), &[]).await.status,
        StatusCode::SEE_OTHER
    );
    assert!(installation.node.keys.authenticate(&text).await.is_err());
    assert!(owner.get("/console/keys").await.text.contains("Revoked"));
}

#[tokio::test]
async fn an_owner_ends_the_sessions_of_others() {
    let installation = Installation::start().await;
    let vera = installation.node.admins.add("vera", "only looking", AdminRole::Viewer).await.unwrap();
    let mut browser = installation.browser();
    browser.sign_in("vera", "only looking", "").await;
    let mut owner = installation.owner().await;
    let page = owner.get(&format!("/console/admins/{}", vera.id)).await;
    let end = between(&page, &format!("action=\"/console/admins/{}/sessions/", vera.id), "\"").to_owned();
    let path = format!("/console/admins/{}/sessions/{end}", vera.id);
    assert_eq!(owner.change(&path, &[]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(browser.get("/console").await.location(), "/console/sign-in");
    // There is always an owner.
    for (path, fields) in
        [("/console/admins/root/remove", &[][..]), ("/console/admins/root/role", &[("role", "viewer")])]
    {
        assert_eq!(owner.change(path, fields).await.status, StatusCode::CONFLICT, "{path}");
    }
    assert_eq!(owner.get("/console/admins").await.status, StatusCode::OK);
}
