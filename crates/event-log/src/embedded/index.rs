//! The index by subject: made of each batch of a stream once it is full, beside the appends.

use std::{collections::BTreeMap, sync::Arc};

use greenroom_sqlite::rusqlite::{Connection, Error};

use super::{
    Shared,
    schema::{BATCH_ENTRIES, batch_key, block_bit, key, sequence_of},
    stream::Stream,
};
use crate::error::EventLogError;

/// The blocks of a batch that a subject comes up in, a bit each, by the subject's number.
type Blocks = BTreeMap<i64, u64>;

impl Shared {
    /// Indexes the stream's next full batch; true if there was one.
    pub(super) async fn index_batch(self: &Arc<Self>, stream: &Arc<Stream>) -> Result<bool, EventLogError> {
        let Some(batch) = stream.head().unindexed() else { return Ok(false) };
        let number = stream.number;
        let blocks = self.read_with(move |connection| blocks_of(connection, number, batch)).await?;
        let (worked, finished) = (Arc::clone(stream), Arc::clone(stream));
        let work = move |connection: &Connection| {
            worked.work(connection, |working| {
                if working.deleted {
                    return Ok(false);
                }
                insert(connection, number, batch, &blocks)?;
                Ok(true)
            })
        };
        self.submit(work, move |result| {
            // Deleted, nothing will look at it any more; failed, it is tried again.
            if let Ok(true) = result {
                finished.publish_indexed(batch + 1);
            }
        })
        .await
    }
}

fn blocks_of(connection: &Connection, stream: i64, batch: u64) -> Result<Blocks, Error> {
    let first = batch * BATCH_ENTRIES;
    let mut select =
        connection.prepare_cached("SELECT key, subject FROM entries WHERE key BETWEEN ?1 AND ?2")?;
    let mut rows = select.query((key(stream, first), key(stream, first + BATCH_ENTRIES - 1)))?;
    let mut blocks = Blocks::new();
    while let Some(row) = rows.next()? {
        *blocks.entry(row.get(1)?).or_default() |= block_bit(sequence_of(row.get(0)?));
    }
    Ok(blocks)
}

fn insert(connection: &Connection, stream: i64, batch: u64, blocks: &Blocks) -> Result<(), Error> {
    // Replaced where the answer to an earlier try was lost.
    let mut insert = connection.prepare_cached(
        "INSERT OR REPLACE INTO subject_batches (batch, subject, blocks) VALUES (?1, ?2, ?3)",
    )?;
    for (subject, blocks) in blocks {
        insert.execute((batch_key(stream, batch), subject, blocks.cast_signed()))?;
    }
    connection
        // Never back: two rounds may be at the same batch, and one of them be further by now.
        .prepare_cached("UPDATE streams SET indexed = max(indexed, ?2) WHERE id = ?1")?
        .execute((stream, (batch + 1) as i64))?;
    Ok(())
}
