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
    let (mut one_row, mut two_rows, mut sign_ins, mut opens) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        one_row.push(bare(&dir, false).await);
        sign_ins.push(storage(&dir, &mut opens).await);
        two_rows.push(bare(&dir, true).await);
    }
    println!("{SIGN_INS} a round, {CALLERS} callers, median of {ROUNDS} rounds (lowest to highest)");
    let one = report("bare insert, one row", one_row);
    let two = report("bare insert, two rows", two_rows);
    let own = report("sign-in", sign_ins);
    println!("sign-in / bare one row  {:.2}", own / one);
    println!("sign-in / bare two rows {:.2}", own / two);
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

async fn bare(dir: &Path, two_rows: bool) -> Round {
    let dir = tempfile::tempdir_in(dir).unwrap();
    let options =
        WriterOptions { name: "bare", durability: Durability::PowerLoss, queue_jobs_max: QUEUE_JOBS_MAX };
    let writer = Writer::open(&dir.path().join("bare.sqlite"), options, |connection| {
        connection.execute_batch(
            "CREATE TABLE a (id INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT;
             CREATE TABLE b (id INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT;",
        )
    })
    .unwrap();
    let shared = writer.clone();
    let round = race(
        || writer.commits(),
        move |_| {
            let writer = shared.clone();
            async move {
                // As many bytes as the values of a sign-in's row.
                let body = format!("{:0160}", 7);
                let inserted = writer.run(move |connection| {
                    connection.prepare_cached("INSERT INTO a (body) VALUES (?1)")?.execute([&body])?;
                    if two_rows {
                        connection.prepare_cached("INSERT INTO b (body) VALUES (?1)")?.execute([&body])?;
                    }
                    Ok::<_, rusqlite::Error>(())
                });
                inserted.await.unwrap().unwrap();
            }
        },
    )
    .await;
    writer.close().await;
    round
}

async fn storage(dir: &Path, opens: &mut Vec<f64>) -> Round {
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
                    id: SessionId::new(Uuid::now_v7().to_string()).unwrap(),
                    player: player.clone(),
                    game: game.clone(),
                    created_at: now,
                    expires_at: Timestamp::from_millis(now.as_millis() + 30 * 86_400_000),
                    refresh_hash: Some([7; 32]),
                    user_agent: Some("Mozilla/5.0 (X11; Linux x86_64)".to_owned()),
                    address: Some("203.0.113.7".to_owned()),
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
    storage.close().await;
    let started = Instant::now();
    let again = Storage::open(StorageConfig::Embedded { path }).unwrap();
    opens.push(started.elapsed().as_secs_f64() * 1_000.0);
    again.close().await;
    round
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
