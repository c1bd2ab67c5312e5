//! What goes wrong around Greenroom: each gives a clear error and loses nothing.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "failures/backups.rs"]
mod backups;
#[path = "failures/clock.rs"]
mod clock;
#[path = "failures/disk.rs"]
mod disk;
#[path = "failures/games.rs"]
mod games;
#[path = "failures/starting.rs"]
mod starting;

use greenroom_test_support::greenroom::{Api, Installation, STUDIO};
use reqwest::Method;
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_greenroom");

/// A game that says hello and stays.
const STAYS: &str = "command = [\"/bin/sh\", \"-c\", \"echo hello; exec sleep 100000\"]\nready = \"log:^hello\"\n\
                     ports = [{ name = \"default\", protocol = \"tcp\" }]\nport_range = \"{ports}\"\nstop_grace = \"1s\"\nrunning_max = 4\n";

fn installation() -> Installation {
    Installation::new(PROGRAM, "team_size = 4, grace = \"10m\"", STAYS, 4)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a text, not {value}")).to_owned()
}

/// What was acknowledged of sign-ins, keys and events.
#[derive(Default)]
struct Acknowledged {
    players: Vec<Value>,
    keys: Vec<Value>,
    /// Subjects.
    events: Vec<String>,
    made: u32,
}

impl Acknowledged {
    /// Tries each kind once; gives the refusals.
    async fn try_all(&mut self, api: &Api) -> Vec<greenroom_test_support::greenroom::Answer> {
        self.made += 1;
        let mut refused = Vec::new();
        let signed_in = api.sign_in(&format!("player {}", self.made)).await;
        match signed_in.status {
            200 => self.players.push(signed_in.body),
            _ => refused.push(signed_in),
        }
        let body = json!({ "name": format!("key {}", self.made), "studio": STUDIO, "hosting": true });
        let key = api.ask(Method::POST, "/v1/keys", Some(&body)).await;
        match key.status {
            201 => self.keys.push(key.body),
            _ => refused.push(key),
        }
        let subject = format!("v1.{}.news.{}", greenroom_test_support::greenroom::GAME, self.made);
        // Large, so that space is soon asked for.
        let body = json!({ "subject": subject, "data": { "text": "x".repeat(30_000) } });
        let event = api.ask(Method::POST, &format!("/v1/events?studio={STUDIO}"), Some(&body)).await;
        match event.status {
            202 => self.events.push(subject),
            _ => refused.push(event),
        }
        refused
    }

    /// All of it is there.
    async fn check(&self, api: &Api) {
        for player in &self.players {
            let token = text(&player["accessToken"]);
            let me = api.ask_as(Method::GET, "/accounts/me", &token, &[], None).await;
            assert_eq!((me.status, &me.body["id"]), (200, &player["account"]["id"]), "{me:?}");
        }
        for key in &self.keys {
            let path = format!("/v1/games/{}/regions", greenroom_test_support::greenroom::GAME);
            let asked = api.ask_as(Method::GET, &path, "", &[("x-api-key", &text(&key["key"]))], None).await;
            assert_eq!(asked.status, 200, "{asked:?}");
        }
        let events = api.events(1).await;
        for (event, sequence) in events.iter().zip(1..) {
            assert_eq!(event["sequence"], u64::to_string(&sequence));
        }
        for subject in &self.events {
            let times = events.iter().filter(|event| event["subject"] == **subject).count();
            assert_eq!(times, 1, "{subject}");
        }
    }
}
