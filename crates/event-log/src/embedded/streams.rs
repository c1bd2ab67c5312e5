//! Streams as wholes: loaded, made, deleted.

use std::{collections::HashMap, sync::Arc, time::Duration};

use greenroom_sqlite::rusqlite::{Connection, Error, OptionalExtension};

use super::{
    Shared,
    consumer::{Consumer, Place},
    schema::{STREAM_COLUMNS, STREAM_NUMBER_MAX, StreamRow, stream_row},
    stream::Stream,
};
use crate::{
    error::EventLogError,
    model::{STREAMS_MAX, StreamId, StreamLimits, WhenFull},
};

/// Reads what the engine holds in memory. Its work grows with streams, consumers and outstanding
/// deliveries, never with entries.
pub(super) fn load(
    connection: &Connection,
    steady: Duration,
) -> Result<HashMap<StreamId, Arc<Stream>>, Error> {
    let mut by_number = HashMap::new();
    let mut select = connection.prepare(&format!("SELECT {STREAM_COLUMNS} FROM streams"))?;
    for row in select.query_map([], StreamRow::from)? {
        let stream = Arc::new(Stream::new(&row?));
        by_number.insert(stream.number, stream);
    }
    let mut select = connection.prepare("SELECT id, stream, name FROM consumers")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (number, stream, name): (i64, i64, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        if let (Some(stream), Some(place)) =
            (by_number.get(&stream), Place::load(connection, number, steady)?)
        {
            let consumer = Consumer::new(number, stream.number, name.clone(), place);
            stream.consumers.lock().insert(name, Arc::new(consumer));
        }
    }
    Ok(by_number.into_values().map(|stream| (stream.id.clone(), stream)).collect())
}

impl Shared {
    pub(super) async fn create_stream(
        self: &Arc<Self>,
        id: &StreamId,
        limits: StreamLimits,
    ) -> Result<(), EventLogError> {
        let name = id.clone();
        let work = move |connection: &Connection| put(connection, &name, limits);
        let (shared, id) = (Arc::clone(self), id.clone());
        let after = move |result: Result<&Result<StreamRow, EventLogError>, ()>| {
            // What failed changed nothing in memory.
            let Ok(Ok(row)) = result else { return };
            let mut streams = shared.streams.write();
            match streams.get(&id) {
                Some(known) if known.number == row.id => known.publish_limits(row.limits),
                _ => {
                    streams.insert(id, Arc::new(Stream::new(row)));
                }
            }
            shared.maintenance.notify_one();
        };
        self.submit(work, after).await??;
        Ok(())
    }

    pub(super) async fn delete_stream(self: &Arc<Self>, stream: Arc<Stream>) -> Result<(), EventLogError> {
        let (worked, finished, shared) = (Arc::clone(&stream), stream, Arc::clone(self));
        let work = move |connection: &Connection| {
            worked.work(connection, |working| {
                if working.deleted {
                    return Ok(Err(EventLogError::NoStream));
                }
                working.deleted = true;
                delete(connection, worked.number).map(Ok)
            })
        };
        let after = move |result: Result<&Result<(), EventLogError>, ()>| match result {
            Ok(Ok(())) => {
                let mut streams = shared.streams.write();
                if streams.get(&finished.id).is_some_and(|known| Arc::ptr_eq(known, &finished)) {
                    streams.remove(&finished.id);
                }
                finished.publish_deleted();
                shared.appends.forget_subjects();
                shared.maintenance.notify_one();
            }
            Ok(Err(_)) => {}
            Err(()) => finished.set_stale(),
        };
        self.submit(work, after).await?
    }
}

impl Stream {
    pub(super) fn consumer(&self, name: &str) -> Result<Arc<Consumer>, EventLogError> {
        self.consumers.lock().get(name).cloned().ok_or(EventLogError::NoConsumer)
    }
}

fn put(
    connection: &Connection,
    id: &StreamId,
    limits: StreamLimits,
) -> Result<Result<StreamRow, EventLogError>, Error> {
    let known: Option<i64> = connection
        .prepare_cached("SELECT id FROM streams WHERE name = ?1")?
        .query_row([id.as_str()], |row| row.get(0))
        .optional()?;
    let number = if let Some(number) = known {
        number
    } else {
        let count: i64 =
            connection.prepare_cached("SELECT count(*) FROM streams")?.query_row([], |row| row.get(0))?;
        if count >= STREAMS_MAX as i64 {
            return Ok(Err(EventLogError::LimitReached("the log has as many streams as it may")));
        }
        let number = free_number(connection)?;
        connection
            .prepare_cached(
                "INSERT INTO streams (id, name, first, last, bytes, bytes_max, entries_max, consumers_max, refuse)
                 VALUES (?1, ?2, 1, 0, 0, 0, 0, 0, 0)",
            )?
            .execute((number, id.as_str()))?;
        number
    };
    connection
        .prepare_cached(
            "UPDATE streams SET bytes_max = ?2, entries_max = ?3, age_max_ms = ?4, consumers_max = ?5, refuse = ?6
             WHERE id = ?1",
        )?
        .execute((
            number,
            limits.bytes_max as i64,
            limits.entries_max as i64,
            limits.age_max.map(|age| age.as_millis().min(i64::MAX as u128) as i64),
            limits.consumers_max,
            limits.when_full == WhenFull::Refuse,
        ))?;
    let row = stream_row(connection, number)?;
    Ok(row.ok_or(EventLogError::NoStream))
}

/// A number that no stream ever had, so that nothing late ever reaches another stream; once all
/// have been had, one that no stream has, nor one whose entries are still being removed.
fn free_number(connection: &Connection) -> Result<i64, Error> {
    const TAKEN: &str = "(SELECT id FROM streams UNION ALL SELECT stream FROM doomed_streams)";
    let highest: Option<i64> = connection
        .prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'streams'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    let next = highest.unwrap_or(0) + 1;
    if next <= STREAM_NUMBER_MAX {
        return Ok(next);
    }
    connection.query_row(
        &format!("SELECT min(id) + 1 FROM (SELECT 0 AS id UNION ALL SELECT id FROM {TAKEN}) AS one WHERE one.id + 1 NOT IN {TAKEN}"),
        [],
        |row| row.get(0),
    )
}

fn delete(connection: &Connection, number: i64) -> Result<(), Error> {
    connection.prepare_cached("DELETE FROM streams WHERE id = ?1")?.execute([number])?;
    connection.prepare_cached("INSERT INTO doomed_streams (stream) VALUES (?1)")?.execute([number])?;
    connection
        .prepare_cached("INSERT INTO doomed_consumers (consumer) SELECT id FROM consumers WHERE stream = ?1")?
        .execute([number])?;
    connection.prepare_cached("DELETE FROM consumers WHERE stream = ?1")?.execute([number])?;
    Ok(())
}
