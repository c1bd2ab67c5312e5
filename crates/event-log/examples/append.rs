//! Durable appends per second beside bare group-committed inserts of the same rows: writers with
//! appends in flight against one thread that inserts as many in each transaction.
//!
//! `cargo run --release -p greenroom-event-log --example append [writers] [in flight] [rounds]`

use std::{
    env,
    path::Path,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use greenroom_event_log::{EventLog, EventLogConfig, NewEntry, StreamId, StreamLimits, Subject};
use greenroom_sqlite::rusqlite::Connection;
use tokio::task::JoinSet;

/// How long one measurement runs.
const MEASURED: Duration = Duration::from_secs(3);

/// A typical event, in bytes.
const PAYLOAD_BYTES: usize = 300;

#[tokio::main]
async fn main() {
    let mut arguments = env::args().skip(1).map(|text| text.parse().expect("a number"));
    let writers: usize = arguments.next().unwrap_or(16);
    let in_flight: usize = arguments.next().unwrap_or(64);
    let rounds: usize = arguments.next().unwrap_or(5);
    println!("{writers} writers, {in_flight} in flight each, payload {PAYLOAD_BYTES} B, {MEASURED:?} a run");
    let mut ratios = Vec::new();
    for round in 1..=rounds {
        let folder = tempfile::tempdir().expect("a folder");
        let (bare, bare_syncs) = bare(&folder.path().join("bare.db"), writers * in_flight);
        let (ours, our_syncs) = ours(&folder.path().join("log.db"), writers, in_flight).await;
        let ratio = ours / bare;
        println!(
            "{round}: bare {bare:.0}/s ({bare_syncs} commits), event log {ours:.0}/s ({our_syncs} commits), ratio {ratio:.2}"
        );
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median ratio {:.2}, {:.2} to {:.2}", ratios[rounds / 2], ratios[0], ratios[rounds - 1]);
}

fn bare(path: &Path, batch: usize) -> (f64, u64) {
    let connection = Connection::open(path).expect("a database");
    connection.pragma_update(None, "journal_mode", "WAL").expect("WAL");
    connection.pragma_update(None, "synchronous", "FULL").expect("synchronous");
    connection
        .execute_batch(
            "CREATE TABLE entries (key INTEGER PRIMARY KEY, subject TEXT, at INTEGER, payload BLOB)",
        )
        .expect("a table");
    let payload = vec![b'x'; PAYLOAD_BYTES];
    let started = Instant::now();
    let (mut rows, mut commits) = (0_u64, 0);
    while started.elapsed() < MEASURED {
        connection.execute_batch("BEGIN IMMEDIATE").expect("begin");
        {
            let mut insert = connection
                .prepare_cached("INSERT INTO entries (subject, at, payload) VALUES (?1, ?2, ?3)")
                .expect("a statement");
            for _ in 0..batch {
                let subject = subject(rows as usize % 16);
                insert.execute((subject.as_str(), rows as i64, &payload)).expect("an insert");
                rows += 1;
            }
        }
        connection.execute_batch("COMMIT").expect("commit");
        commits += 1;
    }
    (rows as f64 / started.elapsed().as_secs_f64(), commits)
}

async fn ours(path: &Path, writers: usize, in_flight: usize) -> (f64, u64) {
    let log = EventLog::open(EventLogConfig::Embedded { path: path.to_owned() }).await.expect("a log");
    let stream = StreamId::new("studio.bench").expect("an id");
    log.create_stream(&stream, StreamLimits::default()).await.expect("a stream");
    let commits = log.commits();
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for writer in 0..writers {
        let (log, stream) = (log.clone(), stream.clone());
        tasks.spawn(async move {
            let subject = subject(writer);
            let payload = bytes::Bytes::from(vec![b'x'; PAYLOAD_BYTES]);
            let append = || log.append(&stream, vec![NewEntry::new(subject.clone(), payload.clone())], None);
            let mut pending: FuturesUnordered<_> = (0..in_flight).map(|_| append()).collect();
            let mut done = 0_u64;
            while let Some(result) = pending.next().await {
                result.expect("an append");
                done += 1;
                if started.elapsed() < MEASURED {
                    pending.push(append());
                }
            }
            done
        });
    }
    let done: u64 = tasks.join_all().await.into_iter().sum();
    let rate = done as f64 / started.elapsed().as_secs_f64();
    let commits = log.commits() - commits;
    log.close().await;
    (rate, commits)
}

fn subject(writer: usize) -> Subject {
    Subject::new(format!("v1.skirmish.servers.s{writer}.players.p1.events.connected")).expect("a subject")
}
