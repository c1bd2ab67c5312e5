//! Greenroom is killed at random moments, between creating a container and starting it too.

use std::{collections::BTreeSet, time::Duration};

use greenroom_test_support::{greenroom::Api, seed};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::{task::JoinSet, time::Instant};

use crate::world::{Given, PATIENCE, Wish, World, of, say, wanted};

const ROUNDS: &str = "GREENROOM_DOCKER_KILL_ROUNDS";
const ROUNDS_DEFAULT: u32 = 4;

/// Those who ask for a server with a key of their own, stop it, and ask again.
const ASKERS: usize = 4;

/// The longest time at work between a start and a kill: a start of a container takes a quarter of it.
const LIFE_MAX_MS: u64 = 1_500;

/// Somebody who holds at most one server.
#[derive(Default)]
struct Asker {
    number: usize,
    keys: u32,
    /// The key of what is held, or was asked for without an answer.
    key: Option<String>,
    held: Option<Given>,
    /// Its stop was asked for, and no answer came.
    stopping: Option<Given>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_double_or_lost_when_greenroom_is_killed_at_any_moment() {
    let wish = Wish { fleet: "running_max = 20", ..Wish::default() };
    let Some(world) = World::new("killed at any moment", &wish) else { return };
    let mut rng = StdRng::seed_from_u64(seed("docker kill"));
    let rounds = wanted(ROUNDS, ROUNDS_DEFAULT);
    let mut askers: Vec<_> = (0..ASKERS).map(|number| Asker { number, ..Asker::default() }).collect();
    for round in 0..=rounds {
        let mut running = world.installation.serve().await;
        let mut held = BTreeSet::new();
        for asker in &mut askers {
            asker.check(&running).await;
            held.extend(asker.held.as_ref().map(|server| server.id.clone()));
        }
        world.has_containers_of(&held).await;
        let ports: BTreeSet<_> = askers.iter().filter_map(|asker| Some(asker.held.as_ref()?.port)).collect();
        assert_eq!(ports.len(), held.len(), "a port is given twice");
        if round == rounds {
            for id in held {
                assert_eq!(running.stop_server(&id).await.status, 202);
            }
            world.is_empty().await;
            return;
        }
        let mut work = JoinSet::new();
        for mut asker in askers.drain(..) {
            let api = running.api();
            work.spawn(async move {
                asker.work(&api).await;
                asker
            });
        }
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..LIFE_MAX_MS))).await;
        running.kill();
        askers = work.join_all().await;
        assert!(!running.log().contains("something failed inside"), "it panicked:\n{}", running.log());
    }
}

impl Asker {
    /// What it was given is there, and what it asked for without an answer is there once.
    async fn check(&mut self, api: &Api) {
        if let Some(stopping) = self.stopping.take() {
            assert_eq!(api.stop_server(&stopping.id).await.status, 202);
            api.server_in(&stopping.id, "ended").await;
        }
        let Some(key) = self.key.clone() else { return };
        let deadline = Instant::now() + PATIENCE;
        let server = loop {
            let answer = api.allocate(Some(&key)).await;
            if answer.status == 200 {
                assert_eq!(answer.body["server"]["state"], "allocated", "{answer:?}");
                break of(&answer);
            }
            assert!(Instant::now() < deadline, "{answer:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        assert!(self.held.as_ref().is_none_or(|held| *held == server), "{:?} became {server:?}", self.held);
        assert_eq!(say(server.port, "hello"), "hello", "{server:?}");
        self.held = Some(server);
    }

    /// Goes on until nobody answers.
    async fn work(&mut self, api: &Api) {
        loop {
            if let Some(held) = self.held.take() {
                self.key = None;
                let answer = api.stop_server(&held.id).await;
                if answer.is_unknown() {
                    self.stopping = Some(held);
                    return;
                }
                assert_eq!(answer.status, 202, "{answer:?}");
            }
            self.keys += 1;
            let key = format!("asker-{}-{}", self.number, self.keys);
            self.key = Some(key.clone());
            let answer = api.allocate(Some(&key)).await;
            if answer.is_unknown() {
                return;
            }
            assert_eq!(answer.status, 200, "{answer:?}");
            self.held = Some(of(&answer));
        }
    }
}
