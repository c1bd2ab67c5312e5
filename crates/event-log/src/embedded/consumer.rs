//! A consumer in memory, and the changes that jobs make to it.

use std::{collections::BTreeMap, time::Duration};

use greenroom_protocol::Timestamp;
use greenroom_sqlite::rusqlite::{Connection, Error, OptionalExtension};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::schema::key;
use crate::model::{ConsumerConfig, ConsumerState, DEAD_LETTERS_MAX, PENDING_DELIVERIES_MAX, Sequence};

/// One consumer. Deleted and made again it is another one, with another number.
pub(super) struct Consumer {
    pub(super) number: i64,
    pub(super) stream: i64,
    pub(super) name: String,
    /// Something a waiting fetch would want to look at again has changed.
    pub(super) changed: Notify,
    place: Mutex<Place>,
}

/// Where a consumer stands. Changed by jobs, ahead of their commit; who looks at it elsewhere
/// has it confirmed by a job before acting on it.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) config: ConsumerConfig,
    /// Grows with every change of `config`.
    pub(super) generation: u64,
    /// Everything up to here was delivered, or not selected, or lost.
    pub(super) cursor: u64,
    /// The cursor as the database has it: behind by what was not selected, at most.
    pub(super) cursor_saved: u64,
    /// Delivered, not acknowledged.
    pub(super) outstanding: BTreeMap<u64, Outstanding>,
    /// Lost, and not known to be noticed.
    pub(super) gap: Option<(u64, u64)>,
    pub(super) dead: u64,
    pub(super) deleted: bool,
    /// A change was undone: the database knows better.
    stale: bool,
}

#[derive(Clone, Copy)]
pub(super) struct Outstanding {
    pub(super) attempts: u32,
    /// When it comes again, by the steady clock.
    pub(super) due: Duration,
}

/// Both clocks, as a job finds them.
#[derive(Clone, Copy)]
pub(super) struct Now {
    pub(super) steady: Duration,
    pub(super) wall: Timestamp,
}

impl Consumer {
    pub(super) fn new(number: i64, stream: i64, name: String, place: Place) -> Self {
        Self { number, stream, name, changed: Notify::new(), place: Mutex::new(place) }
    }

    /// Changes its place, which is read again first if a change was undone. An error makes it be
    /// read again next time. Only for jobs.
    pub(super) fn work<T>(
        &self,
        connection: &Connection,
        now: Now,
        work: impl FnOnce(&mut Place) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut place = self.place.lock();
        if place.stale {
            let generation = place.generation + 1;
            *place = match Place::load(connection, self.number, now.steady)? {
                Some(loaded) => Place { generation, ..loaded },
                None => Place { deleted: true, stale: false, ..place.clone() },
            };
        }
        let result = work(&mut place);
        place.stale |= result.is_err();
        result
    }

    /// Looks at its place.
    pub(super) fn look<T>(&self, look: impl FnOnce(&Place) -> T) -> T {
        look(&self.place.lock())
    }

    /// Moves on over what was not selected, without telling the database.
    pub(super) fn pass_over(&self, from: u64, to: u64, generation: u64) {
        let mut place = self.place.lock();
        if place.cursor == from && place.generation == generation && !place.stale {
            place.cursor = to;
        }
    }

    pub(super) fn set_config(&self, config: ConsumerConfig) {
        let mut place = self.place.lock();
        place.config = config;
        place.generation += 1;
    }

    /// A change was undone.
    pub(super) fn set_stale(&self) {
        self.place.lock().stale = true;
    }

    /// How it stands, where the stream's last sequence is `last`.
    pub(super) fn state(&self, last: u64) -> ConsumerState {
        self.look(|place| ConsumerState {
            name: self.name.clone(),
            config: place.config.clone(),
            pending: place.outstanding.len() as u64,
            lag: last.saturating_sub(place.cursor),
            acked_floor: Sequence(place.outstanding.keys().next().map_or(place.cursor, |first| first - 1)),
            dead_letters: place.dead,
        })
    }
}

impl Place {
    /// A new consumer's.
    pub(super) fn new(config: ConsumerConfig, cursor: u64) -> Self {
        Self {
            config,
            generation: 0,
            cursor,
            cursor_saved: cursor,
            outstanding: BTreeMap::new(),
            gap: None,
            dead: 0,
            deleted: false,
            stale: false,
        }
    }

    /// The place that the database has; every outstanding delivery gets its whole `ack_wait` anew.
    pub(super) fn load(
        connection: &Connection,
        number: i64,
        steady: Duration,
    ) -> Result<Option<Self>, Error> {
        let row = connection
            .prepare_cached("SELECT config, cursor, gap_from, gap_to, dead FROM consumers WHERE id = ?1")?
            .query_row([number], |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    row.get::<_, i64>(1)? as u64,
                    row.get::<_, Option<i64>>(2)?,
                    row.get::<_, Option<i64>>(3)?,
                    row.get::<_, i64>(4)? as u64,
                ))
            })
            .optional()?;
        let Some((config, cursor, gap_from, gap_to, dead)) = row else { return Ok(None) };
        let config: ConsumerConfig =
            serde_json::from_str(&config).map_err(|error| Error::ToSqlConversionFailure(Box::new(error)))?;
        let due = steady + config.ack_wait;
        let mut outstanding = BTreeMap::new();
        let mut select =
            connection.prepare_cached("SELECT sequence, attempts FROM outstanding WHERE consumer = ?1")?;
        let mut rows = select.query([number])?;
        while let Some(row) = rows.next()? {
            outstanding.insert(row.get::<_, i64>(0)? as u64, Outstanding { attempts: row.get(1)?, due });
        }
        let gap = gap_from.zip(gap_to).map(|(from, to)| (from as u64, to as u64));
        Ok(Some(Self { outstanding, gap, dead, ..Self::new(config, cursor) }))
    }

    pub(super) fn free(&self) -> usize {
        PENDING_DELIVERIES_MAX.saturating_sub(self.outstanding.len())
    }

    pub(super) fn due(&self, steady: Duration) -> usize {
        self.outstanding.values().filter(|delivery| delivery.due <= steady).count()
    }

    pub(super) fn next_due(&self) -> Option<Duration> {
        self.outstanding.values().map(|delivery| delivery.due).min()
    }
}

/// A consumer and what its changes are written with.
pub(super) struct Change<'a> {
    pub(super) connection: &'a Connection,
    pub(super) consumer: &'a Consumer,
    pub(super) place: &'a mut Place,
    pub(super) now: Now,
    /// The stream's first sequence: what lies before it is lost.
    pub(super) first: u64,
}

impl Change<'_> {
    /// Deals with deliveries whose time has passed: lost ones become a gap, those that came often
    /// enough dead letters, of the rest at most `limit` come again; answers these with their attempt.
    pub(super) fn settle(&mut self, limit: usize) -> Result<Vec<(u64, u32)>, Error> {
        let due: Vec<(u64, u32)> = self
            .place
            .outstanding
            .iter()
            .filter(|(_, delivery)| delivery.due <= self.now.steady)
            .map(|(sequence, delivery)| (*sequence, delivery.attempts))
            .collect();
        let mut again = Vec::new();
        for (sequence, attempts) in due {
            if sequence < self.first {
                self.lose(sequence)?;
            } else if attempts >= self.place.config.max_deliver {
                self.bury(sequence)?;
            } else if again.len() < limit {
                self.deliver(sequence, attempts + 1)?;
                again.push((sequence, attempts + 1));
            }
        }
        Ok(again)
    }

    /// Notes a delivery.
    pub(super) fn deliver(&mut self, sequence: u64, attempts: u32) -> Result<(), Error> {
        self.connection
            .prepare_cached(
                "INSERT OR REPLACE INTO outstanding (consumer, sequence, attempts) VALUES (?1, ?2, ?3)",
            )?
            .execute((self.consumer.number, sequence as i64, attempts))?;
        let due = self.now.steady + self.place.config.ack_wait;
        self.place.outstanding.insert(sequence, Outstanding { attempts, due });
        Ok(())
    }

    /// Takes a delivery off; false if it was not outstanding.
    pub(super) fn take(&mut self, sequence: u64) -> Result<bool, Error> {
        if self.place.outstanding.remove(&sequence).is_none() {
            return Ok(false);
        }
        self.connection
            .prepare_cached("DELETE FROM outstanding WHERE consumer = ?1 AND sequence = ?2")?
            .execute((self.consumer.number, sequence as i64))?;
        Ok(true)
    }

    /// Makes a delivery a dead letter.
    pub(super) fn bury(&mut self, sequence: u64) -> Result<(), Error> {
        let Some(delivery) = self.place.outstanding.get(&sequence).copied() else { return Ok(()) };
        let number = self.consumer.number;
        let kept = self
            .connection
            .prepare_cached(
                "INSERT OR REPLACE INTO dead_letters (consumer, sequence, attempts, died_at, subject, at, id, payload)
                 SELECT ?1, ?2, ?3, ?4, subjects.text, entries.at, entries.id, entries.payload
                 FROM entries JOIN subjects ON subjects.id = entries.subject WHERE entries.key = ?5",
            )?
            .execute((
                number,
                sequence as i64,
                delivery.attempts,
                self.now.wall.as_millis(),
                key(self.consumer.stream, sequence),
            ))?;
        if kept == 0 {
            return self.lose(sequence);
        }
        self.take(sequence)?;
        self.place.dead += 1;
        if self.place.dead > DEAD_LETTERS_MAX {
            self.connection
                .prepare_cached(
                    "DELETE FROM dead_letters WHERE consumer = ?1 AND sequence =
                     (SELECT min(sequence) FROM dead_letters WHERE consumer = ?1)",
                )?
                .execute([number])?;
            self.place.dead -= 1;
        }
        self.connection
            .prepare_cached("UPDATE consumers SET dead = ?2 WHERE id = ?1")?
            .execute((number, self.place.dead as i64))?;
        metrics::counter!("greenroom_event_log_dead_letters_total").increment(1);
        tracing::warn!(
            consumer = self.consumer.name,
            sequence,
            attempts = delivery.attempts,
            "an entry was never acknowledged and is now a dead letter"
        );
        Ok(())
    }

    /// Takes off a delivery whose entry is gone.
    fn lose(&mut self, sequence: u64) -> Result<(), Error> {
        self.take(sequence)?;
        self.widen_gap(sequence, sequence)
    }

    /// Notes that a range was lost.
    pub(super) fn widen_gap(&mut self, from: u64, to: u64) -> Result<(), Error> {
        let (from, to) =
            self.place.gap.map_or((from, to), |(old_from, old_to)| (old_from.min(from), old_to.max(to)));
        self.set_gap(Some((from, to)))
    }

    pub(super) fn set_gap(&mut self, gap: Option<(u64, u64)>) -> Result<(), Error> {
        if self.place.gap == gap {
            return Ok(());
        }
        self.place.gap = gap;
        self.connection
            .prepare_cached("UPDATE consumers SET gap_from = ?2, gap_to = ?3 WHERE id = ?1")?
            .execute((
                self.consumer.number,
                gap.map(|(from, _)| from as i64),
                gap.map(|(_, to)| to as i64),
            ))?;
        Ok(())
    }

    pub(super) fn set_cursor(&mut self, cursor: u64) -> Result<(), Error> {
        self.place.cursor = cursor;
        self.place.cursor_saved = cursor;
        self.connection
            .prepare_cached("UPDATE consumers SET cursor = ?2 WHERE id = ?1")?
            .execute((self.consumer.number, cursor as i64))?;
        Ok(())
    }
}
