//! A studio that makes and revokes API keys.

use greenroom_test_support::greenroom::{Api, GAME, STUDIO};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use reqwest::Method;
use serde_json::json;

use crate::actor::think;

/// How many of those that were looked at before are looked at again after a start.
const AGAIN: usize = 20;

struct Key {
    id: String,
    text: String,
    /// `None`: it was asked for, and no answer came.
    revoked: Option<bool>,
}

pub(crate) struct Studio {
    rng: StdRng,
    keys: Vec<Key>,
    seen: usize,
}

impl Studio {
    pub(crate) fn new(seed: u64) -> Self {
        Self { rng: StdRng::seed_from_u64(seed), keys: Vec::new(), seen: 0 }
    }

    pub(crate) fn count(&self) -> usize {
        self.keys.len()
    }

    pub(crate) async fn check(&mut self, api: &Api) {
        let (before, new) = self.keys.split_at(self.seen);
        for key in new.iter().chain(before.choose_multiple(&mut self.rng, AGAIN)) {
            let path = format!("/v1/games/{GAME}/regions");
            let answer = api.ask_as(Method::GET, &path, "", &[("x-api-key", &key.text)], None).await;
            match key.revoked {
                Some(false) => assert_eq!(answer.status, 200, "{answer:?}"),
                Some(true) => assert_eq!(answer.status, 401, "a revoked key is good again"),
                None => assert!(matches!(answer.status, 200 | 401), "{answer:?}"),
            }
        }
        self.seen = self.keys.len();
    }

    pub(crate) async fn work(&mut self, api: &Api) {
        loop {
            think(&mut self.rng).await;
            let revokes = self.keys.len() > self.seen && self.rng.random_ratio(1, 4);
            let goes_on = if revokes { self.revoke(api).await } else { self.create(api).await };
            if !goes_on {
                return;
            }
        }
    }

    async fn create(&mut self, api: &Api) -> bool {
        let body = json!({ "name": format!("key {}", self.keys.len()), "studio": STUDIO, "hosting": true });
        let answer = api.ask(Method::POST, "/v1/keys", Some(&body)).await;
        if answer.is_unknown() {
            return false;
        }
        assert_eq!(answer.status, 201, "{answer:?}");
        let text = |field: &str| answer.body[field].as_str().unwrap().to_owned();
        self.keys.push(Key { id: text("id"), text: text("key"), revoked: Some(false) });
        true
    }

    async fn revoke(&mut self, api: &Api) -> bool {
        let index = self.rng.random_range(self.seen..self.keys.len());
        let key = &mut self.keys[index];
        let was = key.revoked.take();
        let answer = api.ask(Method::DELETE, &format!("/v1/keys/{}", key.id), None).await;
        if answer.is_unknown() {
            return false;
        }
        assert!(answer.status == 204 || was != Some(false), "{answer:?}");
        key.revoked = Some(true);
        true
    }
}
