//! A stream in memory: what the writer thread counts with, and what everybody else may see.

use std::{collections::HashMap, sync::Arc};

use greenroom_sqlite::rusqlite::{Connection, Error};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{
    consumer::Consumer,
    schema::{StreamRow, batch, stream_row},
};
use crate::model::{Sequence, StreamId, StreamInfo, StreamLimits};

/// One stream. Deleted and made again it is another one, with another number.
pub(super) struct Stream {
    pub(super) number: i64,
    pub(super) id: StreamId,
    /// The stream as the writer thread has it, commits ahead of what is durable. Locked only
    /// inside jobs, so never waited for.
    working: Mutex<Working>,
    /// The stream as its last returned commit left it.
    head: watch::Sender<Head>,
    /// Committed consumers, by name.
    pub(super) consumers: Mutex<HashMap<String, Arc<Consumer>>>,
}

/// What everybody may see of a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) info: StreamInfo,
    pub(super) deleted: bool,
    /// The first batch that is not indexed by subject yet.
    pub(super) indexed: u64,
}

impl Head {
    /// The next batch that is full and not yet indexed by subject.
    pub(super) fn unindexed(&self) -> Option<u64> {
        let next = self.indexed.max(batch(self.info.first.0));
        (!self.deleted && next < batch(self.info.last.0 + 1)).then_some(next)
    }
}

/// What the writer thread counts with.
#[derive(Clone, Copy)]
pub(super) struct Working {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) bytes: u64,
    pub(super) limits: StreamLimits,
    pub(super) deleted: bool,
    /// A change was undone: the database knows better.
    stale: bool,
}

impl Working {
    pub(super) fn entries(&self) -> u64 {
        (self.last + 1).saturating_sub(self.first)
    }

    pub(super) fn over_limits(&self) -> bool {
        self.entries() > 0 && (self.entries() > self.limits.entries_max || self.bytes > self.limits.bytes_max)
    }

    pub(super) fn info(&self) -> StreamInfo {
        StreamInfo {
            first: Sequence(self.first),
            last: Sequence(self.last),
            entries: self.entries(),
            bytes: self.bytes,
            limits: self.limits,
        }
    }

    /// Writes the counters to the stream's row.
    pub(super) fn save(&self, connection: &Connection, number: i64) -> Result<(), Error> {
        connection
            .prepare_cached("UPDATE streams SET first = ?2, last = ?3, bytes = ?4 WHERE id = ?1")?
            .execute((number, self.first as i64, self.last as i64, self.bytes as i64))?;
        Ok(())
    }
}

impl From<&StreamRow> for Working {
    fn from(row: &StreamRow) -> Self {
        Self {
            first: row.first,
            last: row.last,
            bytes: row.bytes,
            limits: row.limits,
            deleted: false,
            stale: false,
        }
    }
}

impl Stream {
    pub(super) fn new(row: &StreamRow) -> Self {
        let working = Working::from(row);
        let head = Head { info: working.info(), deleted: false, indexed: row.indexed };
        Self {
            number: row.id,
            id: StreamId::from_stored(&row.name),
            working: Mutex::new(working),
            head: watch::Sender::new(head),
            consumers: Mutex::new(HashMap::new()),
        }
    }

    /// Works on the writer's view, which is read again first if a change was undone. An error
    /// makes it be read again next time. Only for jobs.
    pub(super) fn work<T>(
        &self,
        connection: &Connection,
        work: impl FnOnce(&mut Working) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut working = self.working.lock();
        if working.stale {
            // The number of a stream that is gone for good may be another one's by now.
            let row = if self.head().deleted { None } else { stream_row(connection, self.number)? };
            *working = match row {
                Some(row) => Working::from(&row),
                None => Working { deleted: true, stale: false, ..*working },
            };
        }
        let result = work(&mut working);
        working.stale |= result.is_err();
        result
    }

    /// A change was undone.
    pub(super) fn set_stale(&self) {
        self.working.lock().stale = true;
    }

    /// What the last returned commit left.
    pub(super) fn head(&self) -> Head {
        *self.head.borrow()
    }

    pub(super) fn watch(&self) -> watch::Receiver<Head> {
        self.head.subscribe()
    }

    /// Shows what a commit that has returned left.
    pub(super) fn publish(&self, info: StreamInfo) {
        self.head.send_modify(|head| {
            let limits = head.info.limits;
            head.info = StreamInfo { limits, ..info };
        });
    }

    pub(super) fn publish_limits(&self, limits: StreamLimits) {
        self.working.lock().limits = limits;
        self.head.send_modify(|head| head.info.limits = limits);
    }

    /// Shows that the batches before this one are indexed.
    pub(super) fn publish_indexed(&self, indexed: u64) {
        self.head.send_modify(|head| head.indexed = head.indexed.max(indexed));
    }

    pub(super) fn publish_deleted(&self) {
        self.head.send_modify(|head| head.deleted = true);
    }
}
