//! A studio's backend that holds one server for good and allocates and stops others beside it.

use greenroom_test_support::greenroom::{Answer, Api, GAME};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use crate::actor::think;

/// A server that was given.
#[derive(Clone, Debug, PartialEq)]
struct Given {
    key: String,
    id: String,
    name: String,
    port: u64,
}

pub(crate) struct Holder {
    rng: StdRng,
    number: usize,
    held: Option<Given>,
    /// Its process, as its log tells.
    pid: Option<i32>,
    /// Given beside it, and not stopped yet.
    other: Option<Given>,
    /// Was asked for, and no answer came.
    under_way: Option<String>,
    /// Its stop was asked for, and no answer came.
    stopping: Option<Given>,
    keys: u32,
    pub(crate) allocations: u32,
    pub(crate) facts_due: Vec<String>,
}

impl Holder {
    pub(crate) fn new(number: usize, seed: u64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            number,
            held: None,
            pid: None,
            other: None,
            under_way: None,
            stopping: None,
            keys: 0,
            allocations: 0,
            facts_due: Vec::new(),
        }
    }

    pub(crate) fn pid(&self) -> Option<i32> {
        self.pid
    }

    pub(crate) async fn check(&mut self, api: &Api) {
        if self.held.is_none() {
            let key = format!("held-{}", self.number);
            self.held = self.allocate(api, key).await;
        }
        let held = self.held.clone().unwrap();
        self.is_as_it_was(api, &held).await;
        let log = api.get(&format!("/v1/servers/{}/logs", held.id)).await;
        assert_eq!(log.status, 200, "{log:?}");
        let log = log.body.as_str().unwrap_or_default().to_owned();
        assert!(log.contains(&format!("hello from {}", held.id)), "the log is lost: {log:?}");
        let pid = log.lines().find_map(|line| line.strip_prefix("pid ")?.parse().ok());
        assert!(pid.is_some() && self.pid.is_none_or(|before| Some(before) == pid), "{pid:?}: {log:?}");
        self.pid = pid;
        if let Some(key) = self.under_way.take() {
            self.other = self.allocate(api, key).await;
        }
        if let Some(other) = &self.other {
            self.is_as_it_was(api, other).await;
        }
        if let Some(stopping) = self.stopping.take() {
            self.stop(api, stopping).await;
        }
    }

    pub(crate) async fn work(&mut self, api: &Api) {
        loop {
            think(&mut self.rng).await;
            // One in a while only: every start is a process.
            if !self.rng.random_ratio(1, 8) {
                if api.get("/readyz").await.is_unknown() {
                    return;
                }
                continue;
            }
            let goes_on = if let Some(other) = self.other.take() {
                self.stop(api, other).await
            } else {
                self.keys += 1;
                let key = format!("other-{}-{}", self.number, self.keys);
                self.other = self.allocate(api, key).await;
                self.other.is_some()
            };
            if !goes_on {
                return;
            }
        }
    }

    /// The same key gives the same server, which is still given.
    async fn is_as_it_was(&self, api: &Api, given: &Given) {
        let again = api.allocate(Some(&given.key)).await;
        assert_eq!(again.status, 200, "{again:?}");
        assert_eq!(&of(&given.key, &again), given);
        assert_eq!(again.body["server"]["state"], "allocated", "{again:?}");
    }

    async fn allocate(&mut self, api: &Api, key: String) -> Option<Given> {
        let answer = api.allocate(Some(&key)).await;
        if answer.is_unknown() {
            self.under_way = Some(key);
            return None;
        }
        assert_eq!(answer.status, 200, "{answer:?}");
        self.allocations += 1;
        let given = of(&key, &answer);
        self.facts_due.push(format!("v1.{GAME}.servers.{}.events.started", given.id));
        Some(given)
    }

    async fn stop(&mut self, api: &Api, server: Given) -> bool {
        let answer = api.stop_server(&server.id).await;
        if answer.is_unknown() {
            self.stopping = Some(server);
            return false;
        }
        assert_eq!(answer.status, 202, "{answer:?}");
        self.facts_due.push(format!("v1.{GAME}.servers.{}.events.stopped", server.id));
        true
    }
}

fn of(key: &str, answer: &Answer) -> Given {
    let server = &answer.body["server"];
    let text = |field: &str| server[field].as_str().unwrap().to_owned();
    Given { key: key.to_owned(), id: text("id"), name: text("name"), port: server["port"].as_u64().unwrap() }
}
