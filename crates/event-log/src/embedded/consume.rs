//! What consumers do: fetch, acknowledge, give back.

use std::{collections::HashMap, sync::Arc, time::Duration};

use greenroom_protocol::Timestamp;
use greenroom_sqlite::rusqlite::{Connection, Error, OptionalExtension};
use tokio::time::Instant;

use super::{
    Shared,
    consumer::{Change, Consumer, Now, Place},
    read,
    stream::Stream,
    unavailable,
};
use crate::{
    error::EventLogError,
    model::{ConsumerConfig, ConsumerState, DeadLetter, Delivery, Entry, Fetched, Page, Sequence, Start},
    subject::{Subject, SubjectFilter},
};

/// How far a consumer may move over what its filter does not select before that is written down.
const PASSED_OVER_UNSAVED_MAX: u64 = 5_000;

/// What one look at a consumer plans to deliver; a job confirms it.
struct Plan {
    cursor: u64,
    cursor_saved: u64,
    generation: u64,
    /// How many new entries may be delivered.
    room: usize,
    any_due: bool,
    filter: Option<SubjectFilter>,
}

/// What a job delivered.
struct Claimed {
    again: Vec<(u64, u32)>,
    /// Whether the new ones were; else someone else was faster.
    new: bool,
    gap: Option<(u64, u64)>,
}

impl Shared {
    pub(super) async fn put_consumer(
        self: &Arc<Self>,
        stream: &Arc<Stream>,
        name: &str,
        config: ConsumerConfig,
    ) -> Result<(), EventLogError> {
        let text = serde_json::to_string(&config).map_err(|error| unavailable(&error.to_string()))?;
        let work = {
            let (stream, name, config) = (Arc::clone(stream), name.to_owned(), config.clone());
            move |connection: &Connection| put(connection, &stream, &name, &config, &text)
        };
        let after = {
            let (stream, name) = (Arc::clone(stream), name.to_owned());
            move |result: Result<&Result<(i64, u64), EventLogError>, ()>| match result {
                Ok(&Ok((number, cursor))) => {
                    let mut consumers = stream.consumers.lock();
                    match consumers.get(&name) {
                        Some(known) if known.number == number => {
                            known.set_config(config);
                            known.changed.notify_waiters();
                        }
                        _ => {
                            let place = Place::new(config, cursor);
                            let consumer = Consumer::new(number, stream.number, name.clone(), place);
                            consumers.insert(name, Arc::new(consumer));
                        }
                    }
                }
                Ok(Err(_)) => {}
                Err(()) => stream.set_stale(),
            }
        };
        self.submit(work, after).await??;
        Ok(())
    }

    pub(super) async fn delete_consumer(
        self: &Arc<Self>,
        stream: &Arc<Stream>,
        name: &str,
    ) -> Result<(), EventLogError> {
        let consumer = stream.consumer(name)?;
        let now = self.now();
        let (worked, finished, stream) = (Arc::clone(&consumer), consumer, Arc::clone(stream));
        let work = move |connection: &Connection| {
            worked.work(connection, now, |place| {
                if place.deleted {
                    return Ok(Err(EventLogError::NoConsumer));
                }
                connection.prepare_cached("DELETE FROM consumers WHERE id = ?1")?.execute([worked.number])?;
                connection
                    .prepare_cached("INSERT INTO doomed_consumers (consumer) VALUES (?1)")?
                    .execute([worked.number])?;
                place.deleted = true;
                Ok(Ok(()))
            })
        };
        let shared = Arc::clone(self);
        let after = move |result: Result<&Result<(), EventLogError>, ()>| match result {
            Ok(Ok(())) => {
                let mut consumers = stream.consumers.lock();
                if consumers.get(&finished.name).is_some_and(|known| Arc::ptr_eq(known, &finished)) {
                    consumers.remove(&finished.name);
                }
                finished.changed.notify_waiters();
                shared.maintenance.notify_one();
            }
            Ok(Err(_)) => {}
            Err(()) => finished.set_stale(),
        };
        self.submit(work, after).await?
    }

    pub(super) async fn consumer_state(
        self: &Arc<Self>,
        stream: &Arc<Stream>,
        consumer: &Arc<Consumer>,
    ) -> Result<ConsumerState, EventLogError> {
        let shown = Arc::clone(consumer);
        let shown_of = Arc::clone(stream);
        self.change(stream, consumer, move |change| {
            change.settle(0)?;
            Ok(())
        })
        .await?;
        Ok(shown.state(shown_of.head().info.last.0))
    }

    /// Waits for something to deliver.
    pub(super) async fn fetch(
        self: &Arc<Self>,
        stream: &Arc<Stream>,
        consumer: &Arc<Consumer>,
        batch: usize,
        wait: Duration,
    ) -> Result<Fetched, EventLogError> {
        let deadline = Instant::now() + wait;
        let mut head = stream.watch();
        loop {
            // Both before the look, so that nothing in between is missed.
            head.borrow_and_update();
            let changed = consumer.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let fetched = self.fetch_now(stream, consumer, batch).await?;
            if !fetched.deliveries.is_empty() || Instant::now() >= deadline {
                metrics::counter!("greenroom_event_log_delivered_total")
                    .increment(fetched.deliveries.len() as u64);
                return Ok(fetched);
            }
            let due = consumer.look(Place::next_due);
            let due = due.map(|due| Instant::now() + due.saturating_sub(self.clock.steady()));
            let wake = due.map_or(deadline, |due| due.min(deadline));
            tokio::select! {
                biased;
                () = self.closing.cancelled() => return Err(unavailable("it is closed")),
                result = head.changed() => if result.is_err() { return Err(EventLogError::NoStream) },
                () = &mut changed => {}
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }

    async fn fetch_now(
        self: &Arc<Self>,
        stream: &Arc<Stream>,
        consumer: &Arc<Consumer>,
        batch: usize,
    ) -> Result<Fetched, EventLogError> {
        loop {
            if stream.head().deleted {
                return Err(EventLogError::NoStream);
            }
            let steady = self.clock.steady();
            let plan = consumer.look(|place| {
                let due = place.due(steady).min(batch);
                let plan = Plan {
                    cursor: place.cursor,
                    cursor_saved: place.cursor_saved,
                    generation: place.generation,
                    room: place.free().min(batch - due),
                    any_due: due > 0,
                    filter: place.config.filter.clone(),
                };
                (!place.deleted).then_some(plan)
            });
            let plan = plan.ok_or(EventLogError::NoConsumer)?;
            let page = self.look_ahead(stream, &plan).await?;
            let found = page.as_ref().is_some_and(|page| !page.entries.is_empty() || page.gap.is_some());
            let end = page.as_ref().is_none_or(|page| page.end);
            let to = page.as_ref().map_or(plan.cursor, |page| page.next.0 - 1);
            let worth_a_job = found || plan.any_due || to > plan.cursor_saved + PASSED_OVER_UNSAVED_MAX;
            let fetched = if worth_a_job {
                let claimed = self.claim(stream, consumer, &plan, page.as_ref(), batch).await?;
                self.gather(stream, claimed, page).await?
            } else {
                consumer.pass_over(plan.cursor, to, plan.generation);
                Fetched { deliveries: Vec::new(), gap: consumer.look(|place| as_gap(place.gap)) }
            };
            // Where a job found the plan overtaken, another look tells what became of the rest.
            let overtaken = worth_a_job
                && consumer.look(|place| place.cursor < stream.head().info.last.0 && place.free() > 0);
            if !fetched.deliveries.is_empty() || (end && !overtaken) {
                return Ok(fetched);
            }
        }
    }

    /// What lies ahead of the consumer, if there is room for it and anything there.
    async fn look_ahead(&self, stream: &Arc<Stream>, plan: &Plan) -> Result<Option<Page>, EventLogError> {
        if plan.room == 0 || plan.cursor >= stream.head().info.last.0 {
            return Ok(None);
        }
        let (number, from, room, filter) =
            (stream.number, Sequence(plan.cursor + 1), plan.room, plan.filter.clone());
        let page = self
            .read_with(move |connection| read::page(connection, number, from, filter.as_ref(), room))
            .await?
            .ok_or(EventLogError::NoStream)?;
        Ok(Some(page))
    }

    /// Makes the deliveries durable, as far as the plan still holds.
    async fn claim(
        self: &Arc<Self>,
        stream: &Arc<Stream>,
        consumer: &Arc<Consumer>,
        plan: &Plan,
        page: Option<&Page>,
        batch: usize,
    ) -> Result<Claimed, EventLogError> {
        let (cursor, generation) = (plan.cursor, plan.generation);
        let wanted: Vec<u64> =
            page.iter().flat_map(|page| &page.entries).map(|entry| entry.sequence.0).collect();
        let passed = page.map(|page| (page.next.0 - 1, page.gap));
        self.change(stream, consumer, move |change| {
            let again = change.settle(batch - wanted.len())?;
            let holds = change.place.cursor == cursor
                && change.place.generation == generation
                && change.place.free() >= wanted.len();
            let mut new = false;
            if let Some((to, gap)) = passed
                && holds
            {
                for sequence in wanted {
                    change.deliver(sequence, 1)?;
                }
                if let Some((from, to)) = gap {
                    change.widen_gap(from.0, to.0)?;
                }
                change.set_cursor(to)?;
                new = true;
            }
            Ok(Claimed { again, new, gap: change.place.gap })
        })
        .await
    }

    /// Puts together what is delivered.
    async fn gather(
        &self,
        stream: &Arc<Stream>,
        claimed: Claimed,
        page: Option<Page>,
    ) -> Result<Fetched, EventLogError> {
        let mut deliveries = Vec::new();
        if !claimed.again.is_empty() {
            let attempts: HashMap<u64, u32> = claimed.again.iter().copied().collect();
            let sequences: Vec<u64> = claimed.again.iter().map(|(sequence, _)| *sequence).collect();
            let number = stream.number;
            let entries =
                self.read_with(move |connection| read::entries_at(connection, number, &sequences)).await?;
            deliveries.extend(entries.into_iter().map(|entry| {
                let attempt = attempts.get(&entry.sequence.0).copied().unwrap_or(1);
                Delivery { entry, attempt }
            }));
        }
        if let Some(page) = page
            && claimed.new
        {
            deliveries.extend(page.entries.into_iter().map(|entry| Delivery { entry, attempt: 1 }));
        }
        deliveries.sort_by_key(|delivery| delivery.entry.sequence);
        Ok(Fetched { deliveries, gap: as_gap(claimed.gap) })
    }

    pub(super) async fn ack(
        self: &Arc<Self>,
        stream: &Arc<Stream>,
        consumer: &Arc<Consumer>,
        sequences: Vec<Sequence>,
    ) -> Result<(), EventLogError> {
        let acknowledged = self
            .change(stream, consumer, move |change| {
                let mut acknowledged = 0;
                for sequence in &sequences {
                    acknowledged += u64::from(change.take(sequence.0)?);
                }
                if let Some((_, to)) = change.place.gap
                    && sequences.iter().any(|sequence| sequence.0 >= to)
                {
                    change.set_gap(None)?;
                }
                Ok(acknowledged)
            })
            .await?;
        metrics::counter!("greenroom_event_log_acknowledged_total").increment(acknowledged);
        Ok(())
    }

    pub(super) async fn nak(
        self: &Arc<Self>,
        stream: &Arc<Stream>,
        consumer: &Arc<Consumer>,
        sequence: Sequence,
        delay: Option<Duration>,
    ) -> Result<(), EventLogError> {
        self.change(stream, consumer, move |change| {
            let max_deliver = change.place.config.max_deliver;
            let now = change.now.steady;
            match change.place.outstanding.get_mut(&sequence.0) {
                Some(delivery) if delivery.attempts >= max_deliver => change.bury(sequence.0)?,
                Some(delivery) => delivery.due = now + delay.unwrap_or_default(),
                None => {}
            }
            Ok(())
        })
        .await
    }

    pub(super) async fn dead_letters(
        self: &Arc<Self>,
        stream: &Arc<Stream>,
        consumer: &Arc<Consumer>,
        from: Sequence,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, EventLogError> {
        self.change(stream, consumer, |change| change.settle(0).map(drop)).await?;
        let number = consumer.number;
        self.read_with(move |connection| letters(connection, number, from, limit)).await
    }

    /// Changes a consumer in a job, and wakes its waiting fetches once that is durable.
    async fn change<T: Send + 'static>(
        self: &Arc<Self>,
        stream: &Arc<Stream>,
        consumer: &Arc<Consumer>,
        change: impl FnOnce(&mut Change<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, EventLogError> {
        let (worked, finished, stream) = (Arc::clone(consumer), Arc::clone(consumer), Arc::clone(stream));
        let shared = Arc::clone(self);
        let work = move |connection: &Connection| {
            let (first, stream_deleted) =
                stream.work(connection, |working| Ok((working.first, working.deleted)))?;
            let now = shared.now();
            worked.work(connection, now, |place| {
                if stream_deleted {
                    return Ok(Err(EventLogError::NoStream));
                }
                if place.deleted {
                    return Ok(Err(EventLogError::NoConsumer));
                }
                change(&mut Change { connection, consumer: &worked, place, now, first }).map(Ok)
            })
        };
        let after = move |result: Result<&Result<T, EventLogError>, ()>| {
            if result.is_err() {
                finished.set_stale();
            }
            finished.changed.notify_waiters();
        };
        self.submit(work, after).await?
    }

    pub(super) fn now(&self) -> Now {
        Now { steady: self.clock.steady(), wall: self.clock.wall() }
    }
}

/// Writes the consumer down; answers its number and, if it is new, its cursor.
fn put(
    connection: &Connection,
    stream: &Stream,
    name: &str,
    config: &ConsumerConfig,
    text: &str,
) -> Result<Result<(i64, u64), EventLogError>, Error> {
    let (first, last, deleted, consumers_max) = stream.work(connection, |working| {
        Ok((working.first, working.last, working.deleted, working.limits.consumers_max))
    })?;
    if deleted {
        return Ok(Err(EventLogError::NoStream));
    }
    let known = connection
        .prepare_cached(
            "UPDATE consumers SET config = ?3 WHERE stream = ?1 AND name = ?2 RETURNING id, cursor",
        )?
        .query_row((stream.number, name, text), |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64)))
        .optional()?;
    if let Some(known) = known {
        return Ok(Ok(known));
    }
    let count: u32 = connection
        .prepare_cached("SELECT count(*) FROM consumers WHERE stream = ?1")?
        .query_row([stream.number], |row| row.get(0))?;
    if count >= consumers_max {
        return Ok(Err(EventLogError::LimitReached("the stream has as many consumers as it may")));
    }
    let cursor = match config.start {
        Start::First => first - 1,
        Start::Next => last,
        Start::At(sequence) => sequence.0.saturating_sub(1),
    };
    connection
        .prepare_cached(
            "INSERT INTO consumers (stream, name, config, cursor, dead) VALUES (?1, ?2, ?3, ?4, 0)",
        )?
        .execute((stream.number, name, text, cursor as i64))?;
    Ok(Ok((connection.last_insert_rowid(), cursor)))
}

fn letters(
    connection: &Connection,
    consumer: i64,
    from: Sequence,
    limit: usize,
) -> Result<Vec<DeadLetter>, Error> {
    connection
        .prepare_cached(
            "SELECT sequence, attempts, died_at, subject, at, id, payload FROM dead_letters
             WHERE consumer = ?1 AND sequence >= ?2 ORDER BY sequence LIMIT ?3",
        )?
        .query_map((consumer, from.0.min(i64::MAX as u64) as i64, limit as i64), |row| {
            Ok(DeadLetter {
                entry: Entry {
                    sequence: Sequence(row.get::<_, i64>(0)? as u64),
                    subject: Subject::from_stored(row.get(3)?),
                    at: Timestamp::from_millis(row.get(4)?),
                    payload: row.get::<_, Vec<u8>>(6)?.into(),
                    id: row.get(5)?,
                },
                attempts: row.get(1)?,
                died_at: Timestamp::from_millis(row.get(2)?),
            })
        })?
        .collect()
}

fn as_gap(gap: Option<(u64, u64)>) -> Option<(Sequence, Sequence)> {
    gap.map(|(from, to)| (Sequence(from), Sequence(to)))
}
