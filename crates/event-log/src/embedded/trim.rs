//! What goes: entries past their stream's limits, ids past their window, and what deleted streams
//! and consumers left. In chunks, each a small job beside the appends.

use std::{sync::Arc, time::Duration};

use greenroom_sqlite::rusqlite::{Connection, Error, OptionalExtension};
use tokio_util::sync::CancellationToken;

use super::{
    Shared,
    schema::{SEQUENCE_MAX, age, batch, batch_key, key, sequence_of},
    stream::{Stream, Working},
};
use crate::{error::EventLogError, model::DEDUPE_WINDOW};

/// How often age is looked at.
const ROUND_INTERVAL: Duration = Duration::from_mins(1);

/// How long the clock must have run steadily before anything goes because of its age.
pub(super) const CLOCK_STEADY_AFTER: Duration = Duration::from_mins(10);

/// How far the clock may move against the steady one between two looks and still be steady.
const CLOCK_DRIFT_MAX: Duration = Duration::from_secs(10);

/// How many rows one job removes at most.
const CHUNK_ROWS_MAX: usize = 512;

/// How many subjects one round looks at for whether an entry still has them.
const SUBJECTS_LOOKED_AT_MAX: i64 = 256;

/// Says whether age can be believed: a clock that jumped may jump back.
#[derive(Default)]
pub(super) struct ClockWatch {
    last: Option<(i64, Duration)>,
    steady_since: Duration,
}

impl ClockWatch {
    /// Takes a look at both clocks; true if they have agreed for [`CLOCK_STEADY_AFTER`].
    pub(super) fn look(&mut self, wall_ms: i64, steady: Duration) -> bool {
        let agrees = self.last.is_some_and(|(last_ms, last)| {
            let expected = last_ms.saturating_add((steady.saturating_sub(last)).as_millis() as i64);
            wall_ms.abs_diff(expected) <= CLOCK_DRIFT_MAX.as_millis() as u64
        });
        if !agrees {
            self.steady_since = steady;
        }
        self.last = Some((wall_ms, steady));
        agrees && steady.saturating_sub(self.steady_since) >= CLOCK_STEADY_AFTER
    }
}

impl Shared {
    /// Runs until `closing`, woken by who leaves work behind.
    pub(super) async fn maintain(self: Arc<Self>, closing: CancellationToken) {
        let mut clock = ClockWatch::default();
        let mut interval = tokio::time::interval(ROUND_INTERVAL);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let aged = tokio::select! {
                biased;
                () = closing.cancelled() => return,
                _ = interval.tick() => clock.look(self.clock.wall().as_millis(), self.clock.steady()),
                () = self.maintenance.notified() => false,
            };
            let round = self.maintain_once(aged);
            let result = tokio::select! {
                biased;
                () = closing.cancelled() => return,
                result = round => result,
            };
            if let Err(error) = result {
                tracing::warn!(%error, "the event log could not be tidied; it will be tried again");
            }
        }
    }

    /// One round; with `aged` what is too old goes too.
    pub(super) async fn maintain_once(self: &Arc<Self>, aged: bool) -> Result<(), EventLogError> {
        for stream in self.streams() {
            if stream.head().info.entries > 0 {
                while self.trim_stream(&stream, aged).await? {}
                while self.index_batch(&stream).await? {}
            }
        }
        if aged {
            let cutoff = self.clock.wall().as_millis() - DEDUPE_WINDOW.as_millis() as i64;
            while self.chunk(move |connection| forget_ids(connection, cutoff)).await? {}
            let shared = Arc::clone(self);
            self.chunk(move |connection| shared.forget_unused_subjects(connection)).await?;
        }
        while self.chunk(clear_doomed_stream).await? {}
        while self.chunk(clear_doomed_consumer).await? {}
        Ok(())
    }

    /// Removes a chunk of what is past the stream's limits; true if more is.
    async fn trim_stream(self: &Arc<Self>, stream: &Arc<Stream>, aged: bool) -> Result<bool, EventLogError> {
        let info = stream.head().info;
        let over = info.entries > info.limits.entries_max || info.bytes > info.limits.bytes_max;
        let cutoff = match info.limits.age_max {
            Some(age_max) if aged => {
                Some(self.clock.wall().as_millis().saturating_sub(age_max.as_millis() as i64))
            }
            _ => None,
        };
        let old = match cutoff {
            None => false,
            Some(cutoff) => {
                let first = key(stream.number, info.first.0);
                let at = self.readers.read(move |connection| at_of(connection, first)).await;
                at.map_err(|error| EventLogError::Unavailable(error.to_string()))?
                    .is_some_and(|at| at < cutoff)
            }
        };
        if !over && !old {
            return Ok(false);
        }
        let (worked, finished) = (Arc::clone(stream), Arc::clone(stream));
        let work = move |connection: &Connection| {
            worked.work(connection, |working| {
                if working.deleted {
                    return Ok(None);
                }
                let removed = match cutoff {
                    Some(cutoff) => trim_aged(connection, worked.number, working, cutoff)?,
                    None => 0,
                };
                trim_to_limits(connection, worked.number, working, CHUNK_ROWS_MAX)?;
                working.save(connection, worked.number)?;
                Ok(Some((working.info(), removed == CHUNK_ROWS_MAX || working.over_limits())))
            })
        };
        let outcome = self
            .submit(work, move |result| match result {
                Ok(Some((info, _))) => finished.publish(*info),
                Ok(None) => {}
                Err(()) => finished.set_stale(),
            })
            .await?;
        Ok(outcome.is_some_and(|(_, more)| more))
    }

    async fn chunk(
        self: &Arc<Self>,
        work: impl FnOnce(&Connection) -> Result<bool, Error> + Send + 'static,
    ) -> Result<bool, EventLogError> {
        self.submit(work, |_| {}).await
    }

    /// Looks at some subjects, going round, and removes those that came up in no age that is left.
    fn forget_unused_subjects(&self, connection: &Connection) -> Result<bool, Error> {
        let mut cursor = self.subjects_cursor.lock();
        let looked_at: Vec<(i64, i64)> = connection
            .prepare_cached(
                "SELECT subjects.id, streams.first FROM subjects JOIN streams ON streams.id = subjects.stream
                 WHERE subjects.id > ?1 ORDER BY subjects.id LIMIT ?2",
            )?
            .query_map((*cursor, SUBJECTS_LOOKED_AT_MAX), |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        let mut removed = 0;
        for (subject, first) in &looked_at {
            removed += connection
                .prepare_cached("DELETE FROM subjects WHERE id = ?1 AND age < ?2")?
                .execute((subject, age(*first as u64) as i64))?;
        }
        // Past the end it begins again.
        *cursor = looked_at.last().map_or(0, |(subject, _)| *subject);
        if removed > 0 {
            self.appends.forget_subjects();
        }
        Ok(false)
    }
}

/// Removes the oldest entries until the stream is within its limits, `budget` at most.
pub(super) fn trim_to_limits(
    connection: &Connection,
    number: i64,
    working: &mut Working,
    budget: usize,
) -> Result<(), Error> {
    if !working.over_limits() {
        return Ok(());
    }
    let mut select = connection
        .prepare_cached("SELECT key, size FROM entries WHERE key BETWEEN ?1 AND ?2 ORDER BY key LIMIT ?3")?;
    let range = (key(number, working.first), key(number, working.last), budget as i64);
    let mut rows = select.query(range)?;
    let from = working.first;
    while working.over_limits()
        && let Some(row) = rows.next()?
    {
        working.first = sequence_of(row.get(0)?) + 1;
        working.bytes = working.bytes.saturating_sub(row.get::<_, i64>(1)? as u64);
    }
    drop(rows);
    remove(connection, number, from, working.first)
}

/// Removes entries from the front that were appended before `cutoff`; answers how many.
fn trim_aged(
    connection: &Connection,
    number: i64,
    working: &mut Working,
    cutoff: i64,
) -> Result<usize, Error> {
    let mut select = connection.prepare_cached(
        "SELECT key, size, at FROM entries WHERE key BETWEEN ?1 AND ?2 ORDER BY key LIMIT ?3",
    )?;
    let range = (key(number, working.first), key(number, working.last), CHUNK_ROWS_MAX as i64);
    let mut rows = select.query(range)?;
    let from = working.first;
    let mut removed = 0;
    while let Some(row) = rows.next()? {
        if row.get::<_, i64>(2)? >= cutoff {
            break;
        }
        working.first = sequence_of(row.get(0)?) + 1;
        working.bytes = working.bytes.saturating_sub(row.get::<_, i64>(1)? as u64);
        removed += 1;
    }
    drop(rows);
    remove(connection, number, from, working.first)?;
    Ok(removed)
}

fn remove(connection: &Connection, number: i64, from: u64, to: u64) -> Result<(), Error> {
    let removed = connection
        .prepare_cached("DELETE FROM entries WHERE key >= ?1 AND key < ?2")?
        .execute((key(number, from), key(number, to)))?;
    metrics::counter!("greenroom_event_log_trimmed_total").increment(removed as u64);
    if batch(from) < batch(to) {
        connection
            .prepare_cached("DELETE FROM subject_batches WHERE batch >= ?1 AND batch < ?2")?
            .execute((batch_key(number, batch(from)), batch_key(number, batch(to))))?;
    }
    Ok(())
}

fn at_of(connection: &Connection, key: i64) -> Result<Option<i64>, Error> {
    connection
        .prepare_cached("SELECT at FROM entries WHERE key = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()
}

/// Numbers grow as ids are noted, so the oldest stand first; one whose time lies ahead, from a
/// clock that jumped, holds those behind it until then.
fn forget_ids(connection: &Connection, cutoff: i64) -> Result<bool, Error> {
    let mut select = connection.prepare_cached("SELECT number, at FROM dedupe ORDER BY number LIMIT ?1")?;
    let mut rows = select.query([CHUNK_ROWS_MAX as i64])?;
    let (mut last, mut count) = (None, 0);
    while let Some(row) = rows.next()? {
        if row.get::<_, i64>(1)? >= cutoff {
            break;
        }
        last = Some(row.get::<_, i64>(0)?);
        count += 1;
    }
    drop(rows);
    if let Some(last) = last {
        connection.prepare_cached("DELETE FROM dedupe WHERE number <= ?1")?.execute([last])?;
    }
    Ok(count == CHUNK_ROWS_MAX)
}

/// Removes a chunk of what a deleted stream left; true until nothing is left of any.
fn clear_doomed_stream(connection: &Connection) -> Result<bool, Error> {
    let doomed = connection
        .prepare_cached("SELECT stream FROM doomed_streams LIMIT 1")?
        .query_row([], |row| row.get::<_, i64>(0))
        .optional()?;
    let Some(stream) = doomed else { return Ok(false) };
    let chunk = CHUNK_ROWS_MAX as i64;
    let removed = connection
        .prepare_cached(
            "DELETE FROM entries WHERE key IN (SELECT key FROM entries WHERE key BETWEEN ?1 AND ?2 LIMIT ?3)",
        )?
        .execute((key(stream, 0), key(stream, SEQUENCE_MAX), chunk))?;
    if removed > 0 {
        return Ok(true);
    }
    let removed = connection
        .prepare_cached(
            "DELETE FROM dedupe WHERE number IN (SELECT number FROM dedupe WHERE stream = ?1 LIMIT ?2)",
        )?
        .execute((stream, chunk))?;
    if removed > 0 || clear_batches(connection, stream)? || clear_subjects(connection, stream)? {
        return Ok(true);
    }
    connection.prepare_cached("DELETE FROM doomed_streams WHERE stream = ?1")?.execute([stream])?;
    Ok(true)
}

/// Removes some of what a deleted stream's subjects were found by; true if there was any.
fn clear_batches(connection: &Connection, stream: i64) -> Result<bool, Error> {
    let (first, last) = (batch_key(stream, 0), batch_key(stream, batch(SEQUENCE_MAX)));
    let removed = connection
        .prepare_cached(
            "DELETE FROM subject_batches WHERE (batch, subject) IN
             (SELECT batch, subject FROM subject_batches WHERE batch BETWEEN ?1 AND ?2 LIMIT ?3)",
        )?
        .execute((first, last, CHUNK_ROWS_MAX as i64))?;
    Ok(removed > 0)
}

/// Removes some subjects of a deleted stream; true if there were any.
fn clear_subjects(connection: &Connection, stream: i64) -> Result<bool, Error> {
    let removed = connection
        .prepare_cached(
            "DELETE FROM subjects WHERE id IN (SELECT id FROM subjects WHERE stream = ?1 LIMIT ?2)",
        )?
        .execute((stream, CHUNK_ROWS_MAX as i64))?;
    Ok(removed > 0)
}

/// The same for consumers.
fn clear_doomed_consumer(connection: &Connection) -> Result<bool, Error> {
    let doomed = connection
        .prepare_cached("SELECT consumer FROM doomed_consumers LIMIT 1")?
        .query_row([], |row| row.get::<_, i64>(0))
        .optional()?;
    let Some(consumer) = doomed else { return Ok(false) };
    for table in ["outstanding", "dead_letters"] {
        let removed = connection
            .prepare_cached(&format!(
                "DELETE FROM {table} WHERE consumer = ?1 AND sequence IN
                 (SELECT sequence FROM {table} WHERE consumer = ?1 LIMIT ?2)"
            ))?
            .execute((consumer, CHUNK_ROWS_MAX as i64))?;
        if removed > 0 {
            return Ok(true);
        }
    }
    connection.prepare_cached("DELETE FROM doomed_consumers WHERE consumer = ?1")?.execute([consumer])?;
    Ok(true)
}
