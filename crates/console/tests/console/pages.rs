//! What the pages show, do and write down.

use std::time::Duration;

use crate::support::Installation;
use axum::http::{StatusCode, header};
use greenroom_protocol::{
    accounts::EmailSignUp,
    auth::BanRequest,
    lobby::{LobbyJoin, LobbyPhase},
};
use greenroom_storage::AdminRole;

const PAGES: [&str; 22] = [
    "/console",
    "/console/servers",
    "/console/servers?state=ended",
    "/console/servers/start",
    "/console/browser",
    "/console/hosts",
    "/console/builds",
    "/console/lobbies",
    "/console/players",
    "/console/backups",
    "/console/players?show=banned",
    "/console/mail",
    "/console/games",
    "/console/games/skirmish",
    "/console/events",
    "/console/events?subject=v1.skirmish.%3E",
    "/console/system",
    "/console/keys",
    "/console/admins",
    "/console/admins/root",
    "/console/audit",
    "/console/account",
];

#[tokio::test]
async fn every_page_is_shown_with_nothing_inline() {
    let installation = Installation::start().await;
    let player = installation.player("Ada").await;
    let lobby = installation.lobby_of(&player).await;
    let mut browser = installation.owner().await;
    let one_lobby = format!("/console/lobbies/skirmish/{}", lobby.id);
    let one_player = format!("/console/players/skirmish/{}", player.principal.id);
    for path in PAGES.into_iter().chain([one_lobby.as_str(), &one_player]) {
        let page = browser.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.text);
        let policy = page.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(page.headers[header::CACHE_CONTROL], "no-store");
        assert_eq!(page.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert!(
            !page.text.contains("<style")
                && !page.text.contains(" style=")
                && !page.text.contains("javascript:"),
            "{path}"
        );
        for tag in page.text.split("<script").skip(1) {
            assert!(
                tag.starts_with(" type=\"module\" src=\"/console/assets/") && tag.contains("></script>"),
                "{tag}"
            );
        }
        for tag in page.text.split('<').filter_map(|tag| tag.split_once('>')) {
            assert!(!tag.0.contains(" on"), "{path}: an inline handler in <{}>", tag.0);
        }
        assert!(!page.text.contains("http://") || page.text.contains("curl"), "{path} names another place");
    }
}

#[tokio::test]
async fn what_is_not_there_is_said() {
    let installation = Installation::start().await;
    let mut browser = installation.owner().await;
    for path in [
        "/console/servers/skirmish/none",
        "/console/servers/nogame/none",
        "/console/lobbies/skirmish/none",
        "/console/lobbies/nogame/none",
        "/console/players/skirmish/none",
        "/console/elsewhere",
        "/console/servers/skirmish/not%20an%20id",
    ] {
        let page = browser.get(path).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{path}");
        assert!(page.text.contains("<h1>"), "{path}: a page says it: {}", page.text);
    }
    assert_eq!(browser.change("/console/audit", &[]).await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(browser.get("/console/servers?page=999999&state=%00&game=x").await.status, StatusCode::OK);
    for nonsense in ["players?after=nonsense", "servers?page=-1", "lobbies?page=x&page=y", "audit?after=%ff"]
    {
        assert_eq!(browser.get(&format!("/console/{nonsense}")).await.status, StatusCode::OK, "{nonsense}");
    }
}

#[tokio::test]
async fn an_empty_installation_says_how_to_begin() {
    let installation = Installation::start().await;
    let mut browser = installation.owner().await;
    let page = browser.get("/console").await.text;
    assert!(
        page.contains("Nothing has happened here yet") && page.contains("href=\"/play/skirmish\""),
        "{page}"
    );
    assert!(page.contains("http://console.test:4700/v1/games/skirmish/auth/anonymous"), "{page}");
    let with_fleet = Installation::start_with_fleet(crate::support::fleet("exec sleep 600")).await;
    let beginning = with_fleet.owner().await.get("/console").await.text;
    assert!(beginning.contains("http://console.test:4700/v1/games/skirmish/servers"), "{beginning}");
    let _ada = installation.player("Ada").await;
    assert!(!browser.get("/console").await.text.contains("Nothing has happened here yet"));
}

#[tokio::test]
async fn names_are_text_wherever_they_are_shown() {
    const NAME: &str = "<script>alert(1)</script>\"'&";
    let installation = Installation::start().await;
    let player = installation.player(NAME).await;
    let lobby = installation.lobby_of(&player).await;
    let mut browser = installation.owner().await;
    let id = &player.principal.id;
    for path in [
        "/console/lobbies".to_owned(),
        "/console/players".to_owned(),
        format!("/console/lobbies/skirmish/{}", lobby.id),
        format!("/console/players/skirmish/{id}"),
        format!("/console/players?name={}", "%22%3E%3Cscript%3E"),
        format!("/console/servers?find={}", "%22%3E%3Cscript%3E"),
    ] {
        let page = browser.get(&path).await.text;
        assert!(!page.contains("<script>"), "{path}: {page}");
        assert!(page.contains("&lt;script&gt;"), "{path}: {page}");
    }
    let mut events = browser.events(&format!("/console/live/lobbies/skirmish/{}", lobby.id)).await;
    let fragment = events.fragment_where(|_| true).await;
    assert!(fragment.contains("&lt;script&gt;") && !fragment.contains("<script>"), "{fragment}");
}

#[tokio::test]
async fn a_lobby_is_closed_and_that_is_written_down() {
    let installation = Installation::start().await;
    let (ada, bob) = (installation.player("Ada").await, installation.player("Bob").await);
    let lobby = installation.lobby_of(&ada).await;
    let how = LobbyJoin { code: Some(lobby.code.clone()), ..LobbyJoin::default() };
    installation.node.lobbies.join(&bob.principal, how).await.unwrap();
    let mut browser = installation.owner().await;
    let path = format!("/console/lobbies/skirmish/{}", lobby.id);
    let page = browser.get(&path).await.text;
    assert!(
        page.contains("Ada") && page.contains("Bob") && page.contains("Owner") && page.contains("Not ready"),
        "{page}"
    );
    assert!(page.contains(&format!(
        "curl -X POST http://console.test:4700/v1/games/skirmish/lobbies/{}/close",
        lobby.id
    )));
    assert_eq!(lobby.phase, LobbyPhase::Waiting);
    let answer = browser.change(&format!("{path}/close"), &[]).await;
    assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, "/console/lobbies"));
    assert!(browser.get("/console/lobbies").await.text.contains("The lobby is closed."));
    assert_eq!(browser.get(&path).await.status, StatusCode::NOT_FOUND);
    let again = browser.change(&format!("{path}/close"), &[]).await;
    assert_eq!(again.status, StatusCode::NOT_FOUND);
    let log = browser.get("/console/audit").await.text;
    assert!(
        log.contains("Closed a lobby") && log.contains(lobby.id.as_str()) && log.contains("root"),
        "{log}"
    );
}

#[tokio::test]
async fn a_player_is_banned_and_let_in_again() {
    let installation = Installation::start().await;
    let ada = installation.player("Ada").await;
    let mut browser = installation.owner().await;
    let path = format!("/console/players/skirmish/{}", ada.principal.id);
    let wrong = browser.change(&format!("{path}/ban"), &[("reason", "x"), ("term", "a while")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let answer = browser.change(&format!("{path}/ban"), &[("reason", "cheats & lies"), ("term", "7d")]).await;
    assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, path.as_str()));
    let page = browser.get(&path).await.text;
    assert!(
        page.contains("The player is banned")
            && page.contains("cheats &amp; lies")
            && page.contains("in 6 d"),
        "{page}"
    );
    assert!(page.contains(&format!(
        "curl -X DELETE http://console.test:4700/v1/games/skirmish/players/{}/ban",
        ada.principal.id
    )));
    assert!(browser.get("/console/players?show=banned").await.text.contains("cheats &amp; lies"));
    assert_eq!(browser.change(&format!("{path}/unban"), &[]).await.status, StatusCode::SEE_OTHER);
    assert!(!browser.get(&path).await.text.contains("cheats"));
    assert_eq!(browser.change(&format!("{path}/unban"), &[]).await.status, StatusCode::NOT_FOUND);
    let log = browser.get("/console/audit").await.text;
    for said in ["Banned a player", "Lifted a ban", "reason: cheats &amp; lies", "Signed in"] {
        assert!(log.contains(said), "{said}: {log}");
    }
}

#[tokio::test]
async fn players_are_found_by_name_page_by_page() {
    let installation = Installation::start().await;
    for number in 0..60 {
        installation.player(&format!("Player {number:02}")).await;
    }
    let zoe = installation.player("Zoë").await;
    let ban = BanRequest { reason: String::new(), until: None };
    installation.node.players.ban(&installation.game, &zoe.principal.id, ban).await.unwrap();
    let mut browser = installation.owner().await;
    let first = browser.get("/console/players?game=skirmish&name=play").await.text;
    assert!(
        first.contains("61 players") && first.contains("Player 49") && !first.contains("Player 50"),
        "{first}"
    );
    let (_, next) = first.split_once("href=\"/console/players?").unwrap();
    let next = next.split_once('"').unwrap().0.replace("&amp;", "&");
    let second = browser.get(&format!("/console/players?{next}")).await.text;
    assert!(
        second.contains("Player 59") && !second.contains("Player 49") && !second.contains("Zoë"),
        "{second}"
    );
    let found = browser.get("/console/players?name=zo").await.text;
    assert!(found.contains("Zoë") && found.contains("Banned"), "{found}");
}

#[tokio::test]
async fn assets_are_kept_by_browsers_and_named_by_their_content() {
    let installation = Installation::start().await;
    let mut browser = installation.browser();
    let page = browser.get("/console/sign-in").await.text;
    let paths: Vec<_> =
        page.split('"').filter(|text| text.starts_with("/console/assets/")).map(str::to_owned).collect();
    assert!(paths.len() >= 3, "{page}");
    for path in &paths {
        let file = browser.get(path).await;
        assert_eq!(file.status, StatusCode::OK, "{path}");
        assert_eq!(file.headers[header::CACHE_CONTROL], "public, max-age=31536000, immutable");
    }
    let script = paths.iter().find(|path| path.ends_with("console.js")).unwrap();
    let folder = script.strip_suffix("console.js").unwrap();
    for file in ["live.js", "log.js", "morph.js", "times.js"] {
        let script = browser.get(&format!("{folder}{file}")).await;
        assert_eq!(script.headers[header::CONTENT_TYPE], "text/javascript; charset=utf-8", "{file}");
    }
    assert_eq!(
        browser.get("/console/assets/old/console.js").await.headers[header::CACHE_CONTROL],
        "no-cache"
    );
    assert_eq!(browser.get(&format!("{folder}..%2Flib.rs")).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn mails_are_shown_to_who_may_open_accounts() {
    let installation = Installation::start().await;
    let mut owner = installation.owner().await;
    assert!(owner.get("/console/mail").await.text.contains("No mail yet"));
    let request = EmailSignUp {
        email: "ada@example.test".into(),
        password: "correct horse".into(),
        username: "<b>Ada".into(),
    };
    installation.node.players.sign_up_email(&installation.game, request).await.unwrap();
    let shown = async {
        loop {
            let page = owner.get("/console/mail").await.text;
            if page.contains("ada@example.test") {
                return page;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let page = tokio::time::timeout(Duration::from_mins(1), shown).await.expect("the mail is shown");
    assert!(
        page.contains("token=") && page.contains("&lt;b&gt;Ada") && page.contains("Open its link"),
        "{page}"
    );
    installation.node.admins.add("vera", "only looking", AdminRole::Viewer).await.unwrap();
    let mut viewer = installation.browser();
    viewer.sign_in("vera", "only looking", "").await;
    let page = viewer.get("/console/mail").await.text;
    assert!(!page.contains("token=") && page.contains("Your role may not see them"), "{page}");
}

#[tokio::test]
async fn a_player_is_downloaded_and_deleted() {
    let installation = Installation::start().await;
    let player = installation.player("Ada").await;
    let path = format!("/console/players/skirmish/{}", player.principal.id);
    installation.node.admins.add("vera", "only looking", AdminRole::Viewer).await.unwrap();
    let mut viewer = installation.browser();
    viewer.sign_in("vera", "only looking", "").await;
    assert_eq!(viewer.get(&format!("{path}/export")).await.status, StatusCode::FORBIDDEN);
    let mut browser = installation.owner().await;
    let page = browser.get(&path).await.text;
    assert!(page.contains("Delete this player") && page.contains("It signed in by a name"), "{page}");
    let export = browser.get(&format!("{path}/export")).await;
    assert!(export.headers[header::CONTENT_DISPOSITION].to_str().unwrap().starts_with("attachment"));
    let export: serde_json::Value = serde_json::from_str(&export.text).unwrap();
    assert_eq!((&export["username"], &export["complete"]), (&"Ada".into(), &true.into()));
    let answer = browser.change(&format!("{path}/delete"), &[]).await;
    assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, "/console/players"));
    assert!(browser.get("/console/players").await.text.contains("The player is deleted"));
    assert_eq!(browser.get(&path).await.status, StatusCode::NOT_FOUND);
    assert_eq!(browser.change(&format!("{path}/delete"), &[]).await.status, StatusCode::NOT_FOUND);
    let log = browser.get("/console/audit").await.text;
    assert!(log.contains("Deleted a player") && log.contains("Downloaded what is kept"), "{log}");
}
