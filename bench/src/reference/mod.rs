//! What Greenroom is compared with: the same rows, written by the same group commit to the same
//! disk, with nothing around it. Runs in this process while the server has nothing to do.

pub(crate) mod rows;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use greenroom_sqlite::{
    Durability, QUEUE_JOBS_MAX, Writer, WriterOptions,
    rusqlite::{Connection, params_from_iter},
};
use rows::Rows;
use tokio::{runtime::Runtime, task::JoinSet};

use crate::load::latency::Latency;

/// What a reference came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bare {
    /// Calls a second; each wrote its rows and was told that they are durable.
    pub(crate) per_second: f64,
    /// Group commits, each one sync.
    pub(crate) commits: u64,
}

/// `callers` at once, each writing `rows` again as soon as the ones before are durable.
pub(crate) fn group_commit(
    folder: &Path,
    rows: &Rows,
    callers: usize,
    time: Duration,
) -> anyhow::Result<Bare> {
    let writer = open(folder, rows)?;
    let runtime = Runtime::new()?;
    let began = Instant::now();
    let written = runtime.block_on(async {
        let written = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        for _ in 0..callers {
            let (writer, rows, written) = (writer.clone(), rows.clone(), Arc::clone(&written));
            tasks.spawn(async move {
                while began.elapsed() < time {
                    write(&writer, &rows).await?;
                    if began.elapsed() <= time {
                        written.fetch_add(1, Ordering::Relaxed);
                    }
                }
                anyhow::Ok(())
            });
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        anyhow::Ok(written.load(Ordering::Relaxed))
    })?;
    let commits = writer.commits();
    runtime.block_on(writer.close());
    Ok(Bare { per_second: written as f64 / time.as_secs_f64(), commits })
}

/// How long single durable commits of `rows` take, one after the other.
pub(crate) fn commit_latency(folder: &Path, rows: &Rows, count: usize) -> anyhow::Result<Latency> {
    let writer = open(folder, rows)?;
    let runtime = Runtime::new()?;
    let mut latency = Latency::new()?;
    runtime.block_on(async {
        for _ in 0..count {
            let began = Instant::now();
            write(&writer, rows).await?;
            latency.record(began.elapsed());
        }
        writer.close().await;
        anyhow::Ok(latency)
    })
}

/// One thread without any queue: `batch` rows, a commit, and again.
pub(crate) fn plain_loop(folder: &Path, rows: &Rows, batch: usize, time: Duration) -> anyhow::Result<Bare> {
    let mut connection = Connection::open(folder.join("loop.sqlite"))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    rows.create(&connection)?;
    let began = Instant::now();
    let (mut written, mut commits) = (0_u64, 0);
    while began.elapsed() < time {
        let transaction = connection.transaction()?;
        for _ in 0..batch {
            insert(&transaction, rows)?;
        }
        transaction.commit()?;
        written += batch as u64;
        commits += 1;
    }
    Ok(Bare { per_second: written as f64 / began.elapsed().as_secs_f64(), commits })
}

fn open(folder: &Path, rows: &Rows) -> anyhow::Result<Writer> {
    let options =
        WriterOptions { name: "bare", durability: Durability::PowerLoss, queue_jobs_max: QUEUE_JOBS_MAX };
    let path = folder.join("bare.sqlite");
    Writer::open(&path, options, |connection| rows.create(connection))
        .context("the reference cannot be opened")
}

async fn write(writer: &Writer, rows: &Rows) -> anyhow::Result<()> {
    let rows = rows.clone();
    writer.run(move |connection| insert(connection, &rows)).await??;
    Ok(())
}

fn insert(connection: &Connection, rows: &Rows) -> greenroom_sqlite::rusqlite::Result<()> {
    for (statement, values) in rows.fresh() {
        connection.prepare_cached(statement)?.execute(params_from_iter(values))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_in_the_table() {
        let folder = tempfile::tempdir().unwrap();
        let rows = Rows::plain();
        let bare = group_commit(folder.path(), &rows, 4, Duration::from_millis(200)).unwrap();
        let connection = Connection::open(folder.path().join("bare.sqlite")).unwrap();
        let count: i64 = connection.query_row("SELECT count(*) FROM a", [], |row| row.get(0)).unwrap();
        let counted = (bare.per_second * 0.2).round() as i64;
        // What became durable after the time is written and not counted: at most one a caller.
        assert!(counted <= count && count <= counted + 4, "{counted} of {count}");
        assert!(bare.commits <= count as u64);
        assert_eq!(commit_latency(folder.path(), &rows, 3).unwrap().count(), 3);
    }
}
