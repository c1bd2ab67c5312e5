//! `kill -9` of Greenroom at random moments, while lobbies, servers, sign-ins, keys and events are at
//! work: whatever was acknowledged is there after the next start, nothing happens twice, and nothing
//! is left over.
//!
//! Each actor does one kind of work and remembers what was acknowledged, and what was under way when
//! the connection broke. After each start it compares. `GREENROOM_KILL_ROUNDS` says how often.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod actor;
mod events;
mod history;
mod lobbies;
mod players;
mod servers;
mod studio;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::Duration,
};

use greenroom_test_support::{
    greenroom::{Api, Installation, Role, Running},
    seed,
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use rustix::process::Signal;
use serde_json::Value;
use tokio::{task::JoinSet, time::Instant};

use crate::{actor::Actor, history::History};

/// How many times it is killed unless [`ROUNDS`] says otherwise.
const ROUNDS_DEFAULT: u32 = 8;
const ROUNDS: &str = "GREENROOM_KILL_ROUNDS";

const LOBBIES: usize = 50;
const HOLDERS: usize = 20;

/// The longest time at work between a start and a kill.
const LIFE_MAX_MS: u64 = 600;

/// How long effects may take to be carried out after a start.
const SETTLE_MAX: Duration = Duration::from_mins(1);

/// Files of the test in the installation's folder: the servers that were started, one a line.
const STARTS: &str = "starts";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_was_acknowledged_survives_and_nothing_happens_twice() {
    let seed = seed("kill");
    let rounds = std::env::var(ROUNDS).map_or(ROUNDS_DEFAULT, |rounds| rounds.parse().unwrap());
    let mut rng = StdRng::seed_from_u64(seed);
    let installation = installation();
    let mut actors = Vec::new();
    actors.extend((0..LOBBIES).map(|n| Actor::lobby(n, rng.random())));
    actors.extend((0..HOLDERS).map(|n| Actor::holder(n, rng.random())));
    actors.extend([Actor::players(rng.random()), Actor::studio(rng.random()), Actor::events(rng.random())]);
    let mut history = History::default();
    let mut starts_ms = Vec::new();
    let mut hasty_kills = 0;

    for round in 0..=rounds {
        // Now and then it does not get to serve requests before it is killed again.
        while round > 0 && rng.random_ratio(1, 4) {
            let mut hasty = Running::spawn(installation.dev_command());
            tokio::time::sleep(Duration::from_millis(rng.random_range(0..400))).await;
            hasty.kill();
            hasty_kills += 1;
        }
        let began = Instant::now();
        let mut running = installation.dev().await;
        starts_ms.push(began.elapsed().as_millis());
        let api = running.api();

        let mut checks = JoinSet::new();
        for mut actor in actors.drain(..) {
            let api = api.clone();
            checks.spawn(async move {
                actor.check(&api).await;
                actor
            });
        }
        actors = checks.join_all().await;
        let due = actors.iter().flat_map(Actor::facts_due).collect();
        history.check(&api, &due).await;
        nothing_is_double_or_orphaned(&installation, &api).await;
        if round == rounds {
            starts_ms.sort_unstable();
            println!(
                "{rounds} kills at work, {hasty_kills} while starting; {}; {history}; serving again after {} ms in \
                 the middle, {} ms at most",
                actor::summary(&actors),
                starts_ms[starts_ms.len() / 2],
                starts_ms.last().unwrap(),
            );
            running.signal(Signal::INT);
            assert!(running.ended().await.success(), "{}", running.log());
            // `dev` stops its own.
            installation.until_nothing_is_left().await;
            return;
        }

        let mut work = JoinSet::new();
        for mut actor in actors.drain(..) {
            let api = api.clone();
            work.spawn(async move {
                actor.work(&api).await;
                actor
            });
        }
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..LIFE_MAX_MS))).await;
        running.kill();
        actors = work.join_all().await;
        assert!(!running.log().contains("something failed inside"), "it panicked:\n{}", running.log());
        let games: BTreeSet<_> = installation.games().into_iter().map(|game| game.pid).collect();
        for held in actors.iter().filter_map(Actor::held_pid) {
            assert!(games.contains(&held), "a game server died with Greenroom: {held}");
        }
    }
}

fn installation() -> Installation {
    // Says that it was started, is ready, and stays.
    let script = r#"echo "$GREENROOM_SERVER_ID" >> "$STARTS"; echo "pid $$"; echo "hello from $GREENROOM_SERVER_ID"; exec sleep 100000"#;
    let fleet = |starts: &str| {
        format!(
            "command = [\"/bin/sh\", \"-c\", '''{script}''']\nenvironment = {{ STARTS = {starts:?} }}\n\
             ports = [{{ name = \"default\", protocol = \"tcp\" }}]\nport_range = \"{{ports}}\"\n\
             ready = \"log:^hello\"\nstop_grace = \"5s\"\nrunning_max = 90\n"
        )
    };
    let lobby = "team_size = 4, members_max = 8, grace = \"10m\"";
    let installation = Installation::new(env!("CARGO_BIN_EXE_greenroom"), lobby, "command = [\"none\"]", 0);
    let starts = installation.folder().join(STARTS);
    let ports = greenroom_test_support::greenroom::some_ports(120);
    installation.configure(lobby, &fleet(starts.to_str().unwrap()).replace("{ports}", &ports));
    installation
}

/// The game servers that Greenroom knows are the processes that there are: each one once, each with a
/// port of its own; each was started once; no match has two.
async fn nothing_is_double_or_orphaned(installation: &Installation, api: &Api) {
    let deadline = Instant::now() + SETTLE_MAX;
    let is_living = |server: &&Value| !matches!(server["state"].as_str(), Some("ended" | "lost"));
    let id = |server: &Value| server["id"].as_str().unwrap().to_owned();
    let servers = loop {
        let servers = api.servers().await;
        let known: BTreeMap<String, Vec<Role>> = servers
            .iter()
            .filter(is_living)
            .map(|server| (id(server), vec![Role::Supervisor, Role::Game]))
            .collect();
        let mut found: BTreeMap<String, Vec<Role>> = BTreeMap::new();
        for process in installation.processes() {
            found.entry(process.server).or_default().push(process.role);
        }
        if known == found {
            break servers;
        }
        assert!(
            Instant::now() < deadline,
            "Greenroom's servers and the processes differ:\n{known:#?}\n{found:#?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let mut ports = BTreeSet::new();
    for server in servers.iter().filter(is_living) {
        assert!(ports.insert(server["port"].as_u64().unwrap()), "a port is given twice: {server}");
    }
    let mut matches = BTreeMap::new();
    for server in &servers {
        if let Some(match_id) = server["allocation"]["matchId"].as_str() {
            // One that ends while the list is read may stand in it as living and as ended.
            let other = matches.insert(match_id.to_owned(), id(server)).filter(|other| *other != id(server));
            assert_eq!(other, None, "a match has two servers: {server:#}");
        }
    }
    let starts = fs::read_to_string(installation.folder().join(STARTS)).unwrap_or_default();
    let mut started = BTreeSet::new();
    for server in starts.lines() {
        assert!(started.insert(server), "started twice: {server}");
    }
}
