//! The system's clock is set while Greenroom runs, and while it does not.

use std::time::Duration;

use greenroom_test_support::{
    ClockFault,
    greenroom::{Api, GAME, Installation, Running, Socket},
    wait_for,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{PROGRAM, STAYS, installation, text};

const HOUR_S: i64 = 3_600;

/// Longer than Greenroom sleeps before it looks at its deadlines again.
const NOTICED_MAX: Duration = Duration::from_secs(50);

struct Before {
    players: Vec<Value>,
    lobby: Value,
    server: Value,
    /// The first player's, who watches the list of lobbies as well.
    socket: Socket,
}

/// A lobby with one who is there and one whose connection broke, a session, and a server.
async fn before(api: &Api) -> Before {
    let path = format!("/v1/games/{GAME}/auth/anonymous");
    let mut players = Vec::new();
    for name in ["Ann", "Bob"] {
        let signed_in = api.ask_as(Method::POST, &path, "", &[], Some(&json!({ "username": name }))).await;
        assert_eq!(signed_in.status, 200, "{signed_in:?}");
        players.push(signed_in.body);
    }
    let mut ann = api.connect(&text(&players[0]["accessToken"])).await.unwrap();
    let lobby = ann.ask(json!({ "type": "lobby:create" })).await.unwrap()["lobby"].clone();
    let mut bob = api.connect(&text(&players[1]["accessToken"])).await.unwrap();
    bob.ask(json!({ "type": "lobby:join", "code": lobby["code"] })).await.unwrap();
    drop(bob);
    // His place is kept by the clock as it is now.
    let bob_is_dropped = |message: &Value| {
        message["type"] == "lobby:updated" && message["lobby"]["teamB"][0]["connected"] == false
    };
    ann.until(bob_is_dropped).await.unwrap();
    let server = api.allocate(Some("the key")).await;
    assert_eq!(server.status, 200, "{server:?}");
    assert_eq!(ann.ask(json!({ "type": "lobby:list:watch" })).await.unwrap()["type"], "lobby:list");
    Before { players, lobby, server: server.body["server"].clone(), socket: ann }
}

impl Before {
    /// Deadlines were looked at, and what was due was applied, since this was called: they are looked
    /// at whenever those who watch the list are told.
    async fn deadlines_looked_at(&mut self) {
        for name in ["once", "twice"] {
            let rename = json!({ "type": "lobby:settings", "name": name });
            assert_eq!(self.socket.ask(rename).await.unwrap()["type"], "ok");
            let is_told = |message: &Value| {
                message["type"] == "lobby:list:changed" && message["changed"][0]["name"] == name
            };
            self.socket.until(is_told).await.unwrap();
        }
    }

    async fn is_all_there(&mut self, api: &Api) {
        let token = text(&self.players[0]["accessToken"]);
        let lobbies = api.ask_as(Method::GET, "/lobbies", &token, &[], None).await;
        let lobby = &lobbies.body[0];
        let members = ["teamA", "teamB"].map(|team| lobby[team].as_array().map_or(0, Vec::len));
        assert_eq!((&lobby["id"], members), (&self.lobby["id"], [1, 1]), "{lobbies:?}");
        for player in &mut self.players {
            let token = text(&player["accessToken"]);
            let me = api.ask_as(Method::GET, "/v1/players/me", &token, &[], None).await;
            assert_eq!(me.status, 200, "a session has ended: {me:?}");
            let body = json!({ "refreshToken": player["refreshToken"] });
            let refreshed = api.ask_as(Method::POST, "/v1/auth/refresh", "", &[], Some(&body)).await;
            assert_eq!(refreshed.status, 200, "a session cannot be refreshed: {refreshed:?}");
            *player = refreshed.body;
        }
        let again = api.allocate(Some("the key")).await;
        assert_eq!((again.status, &again.body["server"]), (200, &self.server), "{again:?}");
        let late = api.sign_in("Late").await;
        assert_eq!(late.status, 200, "{late:?}");
        let token = text(&late.body["accessToken"]);
        assert_eq!(api.ask_as(Method::GET, "/accounts/me", &token, &[], None).await.status, 200);
    }
}

async fn jumps_by(offset_s: i64) {
    let fault = ClockFault::build().unwrap();
    let installation = installation().with_env(fault.env());
    let mut running = installation.dev().await;
    let mut before = before(&running).await;
    // Bob's place is kept for ten minutes; an hour is more.
    fault.set(offset_s).unwrap();
    before.deadlines_looked_at().await;
    assert!(wait_for(|| noticed(&running), NOTICED_MAX).await, "the jump is not noticed:\n{}", running.log());
    before.is_all_there(&running).await;
    installation.until_processes(|all| all.len() == 2).await;

    // A start takes the system's word for the time; places are kept for a full new term.
    running.kill();
    let again = installation.dev().await;
    let token = again.sign_in("Later").await;
    assert_eq!(token.status, 200, "{token:?}");
    let lobbies = again.ask_as(Method::GET, "/lobbies", &text(&token.body["accessToken"]), &[], None).await;
    let members = ["teamA", "teamB"].map(|team| lobbies.body[0][team].as_array().map_or(0, Vec::len));
    assert_eq!((&lobbies.body[0]["id"], members), (&before.lobby["id"], [1, 1]), "{lobbies:?}");
    let server = again.allocate(Some("the key")).await;
    assert_eq!((server.status, &server.body["server"]), (200, &before.server), "{server:?}");
    installation.until_processes(|all| all.len() == 2).await;
    // Refresh tokens are good for 90 days, which an hour does not change.
    for player in &before.players {
        let body = json!({ "refreshToken": player["refreshToken"] });
        let refreshed = again.ask_as(Method::POST, "/v1/auth/refresh", "", &[], Some(&body)).await;
        assert_eq!(refreshed.status, 200, "{refreshed:?}");
    }
}

fn noticed(running: &Running) -> bool {
    running.log().contains("the system's clock jumped")
}

#[tokio::test]
async fn a_clock_that_is_set_forward_drops_nobody() {
    jumps_by(HOUR_S).await;
}

#[tokio::test]
async fn a_clock_that_is_set_back_drops_nobody() {
    jumps_by(-HOUR_S).await;
}

#[tokio::test]
async fn a_clock_that_is_set_back_keeps_no_place_for_ever() {
    let fault = ClockFault::build().unwrap();
    let installation = Installation::new(PROGRAM, "grace = \"1s\"", STAYS, 4).with_env(fault.env());
    let running = installation.dev().await;
    let mut before = before(&running).await;
    fault.set(-HOUR_S).unwrap();
    let bob_is_gone = |message: &Value| {
        message["type"] == "lobby:updated" && message["lobby"]["teamB"].as_array().is_some_and(Vec::is_empty)
    };
    let updated = tokio::time::timeout(NOTICED_MAX, before.socket.until(bob_is_gone)).await;
    updated.expect("the place is kept for an hour and more").unwrap();
}
