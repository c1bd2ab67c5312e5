//! How many sign-ins (a player and a session in one unit of work) become durable in a second with
//! 64 concurrent callers, beside bare inserts in group commits on the same writer.
//!
//! `cargo run --release -p greenroom-storage --example sign_ins [DIR]`
#![expect(clippy::unwrap_used, reason = "a benchmark ends at the first error")]

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use greenroom_protocol::{GameId, PlayerId, SessionId, Timestamp};
use greenroom_sqlite::{Durability, QUEUE_JOBS_MAX, Writer, WriterOptions};
use greenroom_storage::{NewPlayer, NewSession, Storage, StorageConfig};
use tokio::task::JoinSet;
use uuid::Uuid;

const CALLERS: u64 = 64;
const SIGN_INS: u64 = 40_000;
const ROUNDS: usize = 5;
const USER_AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64)";
const ADDRESS: &str = "203.0.113.7";

/// What one round of one contender came to.
#[derive(Clone, Copy)]
struct Round {
    per_second: f64,
    commits: u64,
    cpu_us: f64,
}

#[tokio::main]
async fn main() {
    let dir = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let (mut one, mut same, mut opens) = (Vec::new(), Vec::new(), Vec::new());
    let (mut sign_ins, mut look_ups) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        one.push(one_row(&dir).await);
        let (sign_in, look_up) = storage(&dir, &mut opens).await;
        sign_ins.push(sign_in);
        look_ups.push(look_up);
        same.push(same_rows(&dir).await);
    }
    println!("{SIGN_INS} a round, {CALLERS} callers, median of {ROUNDS} rounds (lowest to highest)");
    let one = report("bare insert, one row", one);
    let same = report("bare, the same rows", same);
    let own = report("sign-in", sign_ins);
    report("look-up of a session", look_ups);
    println!("sign-in / bare one row      {:.2}", own / one);
    println!("sign-in / bare, same rows   {:.2}", own / same);
    opens.sort_by(f64::total_cmp);
    println!("opening an up-to-date file with {SIGN_INS} players: {:.2} ms", opens[opens.len() / 2]);
}

fn report(name: &str, mut rounds: Vec<Round>) -> f64 {
    rounds.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
    let median = rounds[rounds.len() / 2];
    println!(
        "{name:<22} {:>8.0}/s ({:.0} to {:.0}), {} commits (one sync each), {:.1} µs of CPU each",
        median.per_second,
        rounds[0].per_second,
        rounds[rounds.len() - 1].per_second,
        median.commits,
        median.cpu_us,
    );
    median.per_second
}

/// One row a call, into a table without an index.
async fn one_row(dir: &Path) -> Round {
    let dir = tempfile::tempdir_in(dir).unwrap();
    let options =
        WriterOptions { name: "bare", durability: Durability::PowerLoss, queue_jobs_max: QUEUE_JOBS_MAX };
    let writer = Writer::open(&dir.path().join("bare.sqlite"), options, |connection| {
        connection.execute_batch("CREATE TABLE a (id INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT")
    })
    .unwrap();
    let shared = writer.clone();
    let round = race(
        || writer.commits(),
        move |_| {
            let writer = shared.clone();
            async move {
                // As many bytes as the values of a session.
                let body = format!("{:0200}", 7);
                let inserted = writer.run(move |connection| {
                    connection.prepare_cached("INSERT INTO a (body) VALUES (?1)")?.execute([&body])
                });
                inserted.await.unwrap().unwrap();
            }
        },
    )
    .await;
    writer.close().await;
    round
}

/// The two rows of a sign-in into the same tables with their indexes, written for SQLite alone.
async fn same_rows(dir: &Path) -> Round {
    let dir = tempfile::tempdir_in(dir).unwrap();
    let path = dir.path().join("records.sqlite");
    Storage::open(StorageConfig::Embedded { path: path.clone() }).unwrap().close().await;
    let options =
        WriterOptions { name: "bare", durability: Durability::PowerLoss, queue_jobs_max: QUEUE_JOBS_MAX };
    let writer = Writer::open(&path, options, |_| Ok(())).unwrap();
    let shared = writer.clone();
    let round = race(
        || writer.commits(),
        move |number| {
            let writer = shared.clone();
            async move {
                let player = Uuid::now_v7().to_string();
                let session = session_id(number);
                let inserted = writer.run(move |connection| {
                    connection
                        .prepare_cached("INSERT INTO players VALUES (?1, 'skirmish', ?2, ?2, ?3, ?3)")?
                        .execute((&player, format!("player {number}"), number as i64))?;
                    connection
                        .prepare_cached(
                            "INSERT INTO sessions VALUES (?1, ?2, 'skirmish', ?3, ?3, NULL, NULL, ?4, NULL, ?5, ?6)",
                        )?
                        .execute((
                            session.as_str(),
                            &player,
                            1_700_000_000_000 + number as i64,
                            [7_u8; 32],
                            USER_AGENT,
                            ADDRESS,
                        ))
                });
                inserted.await.unwrap().unwrap();
            }
        },
    )
    .await;
    writer.close().await;
    round
}

async fn storage(dir: &Path, opens: &mut Vec<f64>) -> (Round, Round) {
    let dir = tempfile::tempdir_in(dir).unwrap();
    let path = dir.path().join("records.sqlite");
    let storage = Storage::open(StorageConfig::Embedded { path: path.clone() }).unwrap();
    let game = GameId::new("skirmish").unwrap();
    let shared = storage.clone();
    let round = race(
        || storage.commits(),
        move |number| {
            let (storage, game) = (shared.clone(), game.clone());
            async move {
                let now = Timestamp::from_millis(1_700_000_000_000 + number as i64);
                let player = PlayerId::new(Uuid::now_v7().to_string()).unwrap();
                let session = NewSession {
                    id: session_id(number),
                    player: player.clone(),
                    game: game.clone(),
                    created_at: now,
                    expires_at: Timestamp::from_millis(now.as_millis() + 30 * 86_400_000),
                    refresh_hash: Some([7; 32]),
                    user_agent: Some(USER_AGENT.to_owned()),
                    address: Some(ADDRESS.to_owned()),
                };
                let player = NewPlayer {
                    id: player,
                    game,
                    username: format!("Player {number}"),
                    created_at: now,
                    identity: None,
                };
                let unit = storage
                    .players()
                    .create_unit(&player)
                    .unwrap()
                    .and(storage.sessions().create_unit(&session));
                storage.apply(unit).await.unwrap();
            }
        },
    )
    .await;
    let shared = storage.clone();
    let look_up = race(
        || storage.commits(),
        move |number| {
            let storage = shared.clone();
            async move {
                // A prime stride: neighbours in time are not neighbours in the file.
                let session = storage.sessions().get(&session_id(number * 7_919 % SIGN_INS)).await.unwrap();
                assert!(session.is_some());
            }
        },
    )
    .await;
    storage.close().await;
    let started = Instant::now();
    let again = Storage::open(StorageConfig::Embedded { path }).unwrap();
    opens.push(started.elapsed().as_secs_f64() * 1_000.0);
    again.close().await;
    (round, look_up)
}

/// As a UUID of version 7 is: growing with time.
fn session_id(number: u64) -> SessionId {
    SessionId::new(format!("01936e2f-{:04x}-7000-8000-{number:012x}", number >> 16)).unwrap()
}

async fn race<F: Future<Output = ()> + Send>(
    commits: impl Fn() -> u64,
    call: impl Fn(u64) -> F + Clone + Send + 'static,
) -> Round {
    let next = Arc::new(AtomicU64::new(0));
    let commits_before = commits();
    let (started, cpu_before) = (Instant::now(), cpu_us());
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (next, call) = (Arc::clone(&next), call.clone());
        callers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= SIGN_INS {
                    break;
                }
                call(number).await;
            }
        });
    }
    while let Some(done) = callers.join_next().await {
        done.unwrap();
    }
    Round {
        per_second: SIGN_INS as f64 / started.elapsed().as_secs_f64(),
        commits: commits() - commits_before,
        cpu_us: (cpu_us() - cpu_before) / SIGN_INS as f64,
    }
}

/// CPU time of this process, from the system's table; its unit is a hundredth of a second.
fn cpu_us() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: f64 =
        after_name.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<f64>().ok()).sum();
    ticks * 10_000.0
}
