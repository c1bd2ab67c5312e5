//! Players who sign in, refresh and sign out.

use greenroom_test_support::greenroom::{Answer, Api, GAME};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use reqwest::Method;
use serde_json::json;

use crate::actor::think;

/// How many of those that were looked at before are looked at again after a start.
const AGAIN: usize = 20;

#[derive(Clone)]
struct Session {
    player: String,
    access: String,
    refresh: String,
}

pub(crate) struct Players {
    rng: StdRng,
    open: Vec<Session>,
    ended: Vec<String>,
    /// How many of each were looked at after a start.
    seen: (usize, usize),
}

impl Players {
    pub(crate) fn new(seed: u64) -> Self {
        Self { rng: StdRng::seed_from_u64(seed), open: Vec::new(), ended: Vec::new(), seen: (0, 0) }
    }

    pub(crate) fn count(&self) -> usize {
        self.open.len() + self.ended.len()
    }

    pub(crate) async fn check(&mut self, api: &Api) {
        let (open, ended) = self.open.split_at(self.seen.0);
        for session in ended.iter().chain(open.choose_multiple(&mut self.rng, AGAIN)) {
            let me = me(api, &session.access).await;
            assert_eq!((me.status, me.body["id"].as_str()), (200, Some(&*session.player)), "{me:?}");
        }
        let (before, new) = self.ended.split_at(self.seen.1);
        for token in new.iter().chain(before.choose_multiple(&mut self.rng, AGAIN)) {
            assert_eq!(me(api, token).await.status, 401, "a session that was ended is open again");
        }
        self.seen = (self.open.len(), self.ended.len());
    }

    pub(crate) async fn work(&mut self, api: &Api) {
        loop {
            think(&mut self.rng).await;
            let goes_on = match self.rng.random_range(0..4) {
                0 if self.open.len() > self.seen.0 => self.refresh(api).await,
                1 if self.open.len() > self.seen.0 => self.sign_out(api).await,
                _ => self.sign_in(api).await,
            };
            if !goes_on {
                return;
            }
        }
    }

    async fn sign_in(&mut self, api: &Api) -> bool {
        let path = format!("/v1/games/{GAME}/auth/anonymous");
        let name = format!("player {}", self.open.len());
        let answer = api.ask_as(Method::POST, &path, "", &[], Some(&json!({ "username": name }))).await;
        if answer.is_unknown() {
            return false;
        }
        assert_eq!(answer.status, 200, "{answer:?}");
        let player = answer.body["account"]["id"].as_str().unwrap().to_owned();
        self.open.push(session(player, &answer));
        true
    }

    async fn refresh(&mut self, api: &Api) -> bool {
        // If no answer comes, nobody knows which token is good: that session is in no ledger.
        let session = self.open.pop().unwrap();
        let body = json!({ "refreshToken": session.refresh });
        let answer = api.ask_as(Method::POST, "/v1/auth/refresh", "", &[], Some(&body)).await;
        if answer.is_unknown() {
            return false;
        }
        assert_eq!(answer.status, 200, "{answer:?}");
        self.open.push(self::session(session.player, &answer));
        true
    }

    async fn sign_out(&mut self, api: &Api) -> bool {
        let session = self.open.pop().unwrap();
        let answer =
            api.ask_as(Method::POST, "/v1/auth/sign-out", &session.access, &[], Some(&json!({}))).await;
        if answer.is_unknown() {
            return false;
        }
        assert!((200..300).contains(&answer.status), "{answer:?}");
        self.ended.push(session.access);
        true
    }
}

fn session(player: String, answer: &Answer) -> Session {
    let text = |field: &str| answer.body[field].as_str().unwrap().to_owned();
    Session { player, access: text("accessToken"), refresh: text("refreshToken") }
}

async fn me(api: &Api, token: &str) -> Answer {
    api.ask_as(Method::GET, "/v1/players/me", token, &[], None).await
}
