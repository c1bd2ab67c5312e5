//! Who gets in, and who may change something.

use std::time::Duration;

use crate::support::{HOST, Installation};
use axum::http::{StatusCode, header};
use greenroom_console::{ConsoleSettings, Rate};
use greenroom_storage::AdminRole;

/// What each way to ask needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    Viewer,
    Operator,
    Owner,
}
use Needs::{Operator, Owner, Viewer};

/// Every guarded path as the router writes it, with one that fits, and which role may ask it how.
const GUARDED: &[(&str, &str, &str, Needs)] = &[
    ("GET", "/console", "/console", Viewer),
    ("GET", "/console/servers", "/console/servers?state=ready", Viewer),
    ("GET", "/console/servers/{game}/{id}", "/console/servers/skirmish/one", Viewer),
    ("POST", "/console/servers/{game}/{id}/stop", "/console/servers/skirmish/one/stop", Operator),
    ("GET", "/console/servers/start", "/console/servers/start", Viewer),
    ("POST", "/console/servers/start", "/console/servers/start", Operator),
    ("GET", "/console/browser", "/console/browser", Viewer),
    ("GET", "/console/hosts", "/console/hosts", Viewer),
    ("GET", "/console/backups", "/console/backups", Viewer),
    ("POST", "/console/backups/begin", "/console/backups/begin", Owner),
    ("GET", "/console/builds", "/console/builds", Viewer),
    ("POST", "/console/builds/{game}/pull", "/console/builds/skirmish/pull", Operator),
    ("POST", "/console/builds/{game}/refresh", "/console/builds/skirmish/refresh", Operator),
    ("GET", "/console/live/browser", "/console/live/browser", Viewer),
    ("GET", "/console/live/hosts", "/console/live/hosts", Viewer),
    ("GET", "/console/live/builds/{game}", "/console/live/builds/skirmish", Viewer),
    ("GET", "/console/lobbies", "/console/lobbies", Viewer),
    ("GET", "/console/lobbies/{game}/{id}", "/console/lobbies/skirmish/one", Viewer),
    ("POST", "/console/lobbies/{game}/{id}/close", "/console/lobbies/skirmish/one/close", Operator),
    ("GET", "/console/players", "/console/players", Viewer),
    ("GET", "/console/players/{game}/{id}", "/console/players/skirmish/one", Viewer),
    ("POST", "/console/players/{game}/{id}/ban", "/console/players/skirmish/one/ban", Operator),
    ("POST", "/console/players/{game}/{id}/unban", "/console/players/skirmish/one/unban", Operator),
    ("GET", "/console/players/{game}/{id}/export", "/console/players/skirmish/one/export", Owner),
    ("POST", "/console/players/{game}/{id}/delete", "/console/players/skirmish/one/delete", Owner),
    ("GET", "/console/mail", "/console/mail", Viewer),
    ("GET", "/console/games", "/console/games", Viewer),
    ("GET", "/console/games/{game}", "/console/games/skirmish", Viewer),
    ("GET", "/console/events", "/console/events?subject=v1.%3E", Viewer),
    ("GET", "/console/live/events", "/console/live/events", Viewer),
    ("GET", "/console/system", "/console/system", Viewer),
    ("GET", "/console/keys", "/console/keys", Viewer),
    ("POST", "/console/keys/create", "/console/keys/create", Owner),
    ("POST", "/console/keys/{id}/revoke", "/console/keys/one/revoke", Owner),
    ("GET", "/console/admins", "/console/admins", Viewer),
    ("GET", "/console/admins/{id}", "/console/admins/root", Owner),
    ("POST", "/console/admins/invite", "/console/admins/invite", Owner),
    ("POST", "/console/admins/invites/{id}/withdraw", "/console/admins/invites/one/withdraw", Owner),
    ("POST", "/console/admins/{id}/role", "/console/admins/one/role", Owner),
    ("POST", "/console/admins/{id}/remove", "/console/admins/one/remove", Owner),
    ("POST", "/console/admins/{id}/sessions/{session}/end", "/console/admins/one/sessions/one/end", Owner),
    ("POST", "/console/admins/{id}/tokens/{token}/revoke", "/console/admins/one/tokens/one/revoke", Owner),
    ("GET", "/console/audit", "/console/audit", Viewer),
    ("GET", "/console/account", "/console/account", Viewer),
    ("POST", "/console/account/password", "/console/account/password", Viewer),
    ("POST", "/console/account/tokens", "/console/account/tokens", Viewer),
    ("POST", "/console/account/tokens/{id}/revoke", "/console/account/tokens/one/revoke", Viewer),
    ("POST", "/console/account/sessions/{id}/end", "/console/account/sessions/one/end", Viewer),
    ("GET", "/console/live/overview", "/console/live/overview", Viewer),
    ("GET", "/console/live/servers", "/console/live/servers", Viewer),
    ("GET", "/console/live/servers/{game}/{id}", "/console/live/servers/skirmish/one", Viewer),
    ("GET", "/console/live/lobbies", "/console/live/lobbies", Viewer),
    ("GET", "/console/live/lobbies/{game}/{id}", "/console/live/lobbies/skirmish/one", Viewer),
    ("POST", "/console/sign-out", "/console/sign-out", Viewer),
    ("GET", "/console/{*path}", "/console/elsewhere", Viewer),
];

const PUBLIC: &[(&str, &str)] = &[
    ("GET", "/console/"),
    ("GET", "/console/join/{token}"),
    ("POST", "/console/join/{token}"),
    ("GET", "/console/sign-in"),
    ("POST", "/console/sign-in"),
    ("GET", "/console/assets/{version}/{file}"),
];

/// Methods and paths in the text of the router, so that a new one without a case fails.
pub(crate) fn routed() -> Vec<(&'static str, &'static str)> {
    let text = include_str!("../../src/lib.rs");
    let routes = text.split(".route(\"").skip(1).map(|rest| rest.split_once('"').unwrap());
    let mut found = Vec::new();
    for (path, rest) in routes {
        let handlers = rest.split(".layer(").next().unwrap();
        for (method, call) in [("GET", "get("), ("POST", "post(")] {
            if handlers.contains(call) {
                found.push((method, path));
            }
        }
    }
    found.sort_unstable();
    found
}

#[test]
fn every_route_has_a_case() {
    let guarded = GUARDED.iter().map(|(method, route, _, _)| (*method, *route));
    let mut listed: Vec<_> = guarded.chain(PUBLIC.iter().copied()).collect();
    listed.sort_unstable();
    assert_eq!(routed(), listed, "every route has a case here that says which role it takes");
}

#[tokio::test]
async fn each_role_may_what_it_is_for() {
    let installation = Installation::start().await;
    for (role, may) in [
        (AdminRole::Viewer, &[Viewer][..]),
        (AdminRole::Operator, &[Viewer, Operator]),
        (AdminRole::Owner, &[Viewer, Operator, Owner]),
    ] {
        let name = role.as_str();
        installation.node.admins.add(name, "long enough", role).await.unwrap();
        let mut browser = installation.browser();
        browser.sign_in(name, "long enough", "").await;
        for (method, route, path, needs) in GUARDED {
            if *route == "/console/sign-out" || path.starts_with("/console/live/") {
                // Everybody's: signing out is another test, and streams do not end.
                assert_eq!(*needs, Viewer);
                continue;
            }
            let answer = match *method {
                "GET" => browser.get(path).await,
                _ => browser.change(path, &[]).await,
            };
            let case = format!("{method} {route} as {name}: {}", answer.status);
            if may.contains(needs) {
                let status = answer.status.as_u16();
                assert!(status != 403 && status != 405 && status < 500, "{case}: {}", answer.text);
                assert!(!answer.location().starts_with("/console/sign-in"), "{case}");
            } else {
                assert_eq!(answer.status, StatusCode::FORBIDDEN, "{case}");
            }
        }
    }
}

#[tokio::test]
async fn no_path_shows_anything_to_who_is_not_signed_in() {
    let installation = Installation::start().await;
    for cookie in [None, Some("ga_not-a-session")] {
        for (_, _, path, _) in GUARDED {
            let mut browser = installation.browser();
            browser.cookies.extend(cookie.map(|value| ("greenroom_console".into(), value.into())));
            let (get, post) = (browser.get(path).await, browser.post(path, &[]).await);
            if path.starts_with("/console/live/") {
                assert_eq!(
                    (get.status, post.status),
                    (StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED),
                    "{path}"
                );
            } else {
                assert_eq!(
                    (get.status, post.status),
                    (StatusCode::SEE_OTHER, StatusCode::SEE_OTHER),
                    "{path}"
                );
                assert!(get.location().starts_with("/console/sign-in"), "{path}: {}", get.location());
                assert_eq!(post.location(), "/console/sign-in");
            }
            assert!(get.text.len() < 100 && !get.text.contains('<'), "{path}: {}", get.text);
        }
    }
}

#[tokio::test]
async fn signing_in_leads_to_the_page_that_was_asked_for() {
    let installation = Installation::start().await;
    let mut browser = installation.browser();
    let asked = browser.get("/console/servers?state=ready&find=a%20b").await;
    assert_eq!(asked.location(), "/console/sign-in?next=/console/servers%3Fstate%3Dready%26find%3Da%2520b");
    let form = browser.get(asked.location()).await;
    assert!(
        form.text.contains("name=\"next\" value=\"/console/servers?state=ready&amp;find=a%20b\""),
        "{}",
        form.text
    );
    let answer =
        browser.sign_in("", &installation.admin_token(), "/console/servers?state=ready&find=a%20b").await;
    assert_eq!(
        (answer.status, answer.location()),
        (StatusCode::SEE_OTHER, "/console/servers?state=ready&find=a%20b")
    );
    let cookie = answer.headers.get_all(header::SET_COOKIE).iter().next().unwrap().to_str().unwrap();
    assert!(cookie.ends_with("; Path=/console; HttpOnly; SameSite=Strict"), "{cookie}");
    assert_eq!(browser.get(answer.location()).await.status, StatusCode::OK);
    // Who is signed in already is not asked again, and is led nowhere else.
    let again = browser.get("/console/sign-in?next=https://elsewhere.test/").await;
    assert_eq!((again.status, again.location()), (StatusCode::SEE_OTHER, "/console"));
}

#[tokio::test]
async fn secure_cookies_are_bound_to_the_host() {
    let settings = ConsoleSettings { secure_cookies: true, ..ConsoleSettings::default() };
    let installation = Installation::start_with(settings).await;
    let mut browser = installation.owner().await;
    assert!(browser.cookies.contains_key("__Host-greenroom_console"), "{:?}", browser.cookies);
    let csrf = browser.get("/console").await.csrf();
    let answer = browser.post("/console/sign-out", &[("csrf", &csrf)]).await;
    for cookie in answer.headers.get_all(header::SET_COOKIE) {
        assert!(
            cookie.to_str().unwrap().contains("; Path=/; Secure; HttpOnly; SameSite=Strict"),
            "{cookie:?}"
        );
    }
}

#[tokio::test]
async fn a_wrong_secret_is_refused_without_saying_what_was_wrong() {
    let installation = Installation::start().await;
    installation.node.admins.add("olga", "correct horse", AdminRole::Operator).await.unwrap();
    let mut browser = installation.browser();
    for (name, password) in [("", "ga_wrong"), ("olga", "wrong horse"), ("nobody", "correct horse")] {
        let answer = browser.sign_in(name, password, "/console").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{name}");
        assert!(!browser.cookies.contains_key("greenroom_console"));
        assert!(!answer.text.contains(password), "what was typed as a secret is not shown");
        let said = if name.is_empty() { "not the admin token" } else { "do not go together" };
        assert!(answer.text.contains(said), "{}", answer.text);
    }
    assert_eq!(browser.sign_in("olga", "correct horse", "").await.status, StatusCode::SEE_OTHER);
    assert_eq!(browser.get("/console").await.status, StatusCode::OK);
}

#[tokio::test]
async fn attempts_are_limited_for_each_address() {
    let sign_ins = Rate { count: 3, period: Duration::from_hours(1) };
    let installation =
        Installation::start_with(ConsoleSettings { sign_ins, ..ConsoleSettings::default() }).await;
    let mut browser = installation.browser();
    for _ in 0..3 {
        assert_eq!(browser.sign_in("", "ga_guess", "").await.status, StatusCode::UNAUTHORIZED);
    }
    let answer = browser.sign_in("", &installation.admin_token(), "").await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS, "even the right one");
    let retry_s: u64 = answer.headers[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
    assert!((1_000..=1_201).contains(&retry_s), "{retry_s}");
    let mut other = installation.browser();
    other.address = [192, 0, 2, 2].into();
    assert_eq!(other.sign_in("", &installation.admin_token(), "").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn the_sign_in_form_cannot_be_sent_by_another_site() {
    let installation = Installation::start().await;
    let token = installation.admin_token();
    let mut browser = installation.browser();
    let without_form = browser.post("/console/sign-in", &[("password", &token)]).await;
    assert_eq!(without_form.status, StatusCode::FORBIDDEN);
    let wrong = browser.post("/console/sign-in", &[("password", &token), ("csrf", "guessed")]).await;
    assert_eq!(wrong.status, StatusCode::FORBIDDEN);
    browser.headers.insert("sec-fetch-site", "cross-site".parse().unwrap());
    assert_eq!(browser.sign_in("", &token, "").await.status, StatusCode::FORBIDDEN);
    assert!(!browser.cookies.contains_key("greenroom_console"));
}

#[tokio::test]
async fn signing_out_ends_the_session() {
    let installation = Installation::start().await;
    let mut browser = installation.owner().await;
    let kept = browser.cookies.clone();
    let answer = browser.change("/console/sign-out", &[]).await;
    assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, "/console/sign-in"));
    assert!(!browser.cookies.contains_key("greenroom_console"));
    assert!(browser.get("/console/sign-in").await.text.contains("You are signed out."));
    assert!(!browser.get("/console/sign-in").await.text.contains("You are signed out."), "said once");
    let mut thief = installation.browser();
    thief.cookies = kept;
    assert_eq!(
        thief.get("/console").await.status,
        StatusCode::SEE_OTHER,
        "the cookie is worth nothing any more"
    );
}

#[tokio::test]
async fn a_session_that_is_not_used_ends() {
    let settings = ConsoleSettings { session_idle_max: Duration::ZERO, ..ConsoleSettings::default() };
    let installation = Installation::start_with(settings).await;
    let mut browser = installation.owner().await;
    assert_eq!(browser.get("/console").await.status, StatusCode::OK, "the first use is one");
    assert_eq!(browser.get("/console").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_change_needs_the_sessions_own_token() {
    let installation = Installation::start().await;
    let player = installation.player("Ada").await;
    let lobby = installation.lobby_of(&player).await;
    let path = format!("/console/lobbies/skirmish/{}/close", lobby.id);
    let mut browser = installation.owner().await;
    let good = browser.get("/console").await.csrf();
    let others = installation.owner().await.get("/console").await.csrf();
    for wrong in ["", "guessed", &others, &good[1..]] {
        assert_eq!(browser.post(&path, &[("csrf", wrong)]).await.status, StatusCode::FORBIDDEN, "{wrong}");
    }
    assert_eq!(browser.post(&path, &[]).await.status, StatusCode::FORBIDDEN);
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "http://elsewhere.test"),
    ] {
        browser.headers.clear();
        browser.headers.insert(name, value.parse().unwrap());
        assert_eq!(
            browser.post(&path, &[("csrf", &good)]).await.status,
            StatusCode::FORBIDDEN,
            "{name}: {value}"
        );
    }
    assert_eq!(
        installation.node.lobbies.list(&installation.game).await.unwrap().len(),
        1,
        "nothing was done"
    );
    browser.headers.clear();
    browser.headers.insert("origin", format!("http://{HOST}").parse().unwrap());
    assert_eq!(browser.post(&path, &[("csrf", &good)]).await.status, StatusCode::SEE_OTHER);
    assert!(installation.node.lobbies.list(&installation.game).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_viewer_looks_and_changes_nothing() {
    let installation = Installation::start().await;
    installation.node.admins.add("vera", "only looking", AdminRole::Viewer).await.unwrap();
    let player = installation.player("Ada").await;
    let lobby = installation.lobby_of(&player).await;
    let mut browser = installation.browser();
    browser.sign_in("vera", "only looking", "").await;
    let (of_lobby, of_player) = (
        format!("/console/lobbies/skirmish/{}", lobby.id),
        format!("/console/players/skirmish/{}", player.principal.id),
    );
    for page in [&of_lobby, &of_player] {
        let shown = browser.get(page).await;
        assert_eq!(shown.status, StatusCode::OK);
        assert!(!shown.text.contains("button class=\"danger\""), "{}", shown.text);
    }
    for path in [
        format!("{of_lobby}/close"),
        format!("{of_player}/ban"),
        format!("{of_player}/unban"),
        format!("{of_player}/delete"),
        "/console/servers/skirmish/one/stop".into(),
        "/console/servers/start".into(),
        "/console/builds/skirmish/pull".into(),
        "/console/builds/skirmish/refresh".into(),
    ] {
        assert_eq!(browser.change(&path, &[("term", "ever")]).await.status, StatusCode::FORBIDDEN, "{path}");
    }
    assert_eq!(installation.node.lobbies.list(&installation.game).await.unwrap().len(), 1);
    let player = installation.node.players.of_game(&installation.game, &player.principal.id).await.unwrap();
    assert!(player.ban.is_none());
    assert_eq!(browser.change("/console/sign-out", &[]).await.status, StatusCode::SEE_OTHER, "but may leave");
}

#[tokio::test]
async fn a_form_has_a_bound() {
    let installation = Installation::start().await;
    let mut browser = installation.owner().await;
    let answer = browser.change("/console/sign-out", &[("more", &"a".repeat(20_000))]).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    let mut stranger = installation.browser();
    let answer = stranger.sign_in("", &"a".repeat(20_000), "").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
}
