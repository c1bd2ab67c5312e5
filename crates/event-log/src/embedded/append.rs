//! Appends: gathered beside the writer, and carried out many in one job of it.

use std::{
    collections::{HashMap, VecDeque},
    mem,
    sync::Arc,
    thread,
    time::Duration,
};

use greenroom_protocol::Timestamp;
use greenroom_sqlite::{
    WriteError,
    rusqlite::{CachedStatement, Connection, Error, OptionalExtension},
};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot};

use super::{
    Shared,
    schema::{SEQUENCE_MAX, age, key},
    stream::{Stream, Working},
    trim::trim_to_limits,
    unavailable,
};
use crate::{
    error::EventLogError,
    model::{Appended, ENTRY_OVERHEAD_BYTES, NewEntry, Sequence, StreamInfo, WhenFull},
    subject::Subject,
};

/// How much payload may wait to be appended, in KiB, an append counting with one more than it has.
/// At the limit appends wait. Holds the largest append several times.
const WAITING_KIB_MAX: usize = 64 * 1024;

/// Most entries that one job appends; what waits beyond goes into the next.
const JOB_ENTRIES_MAX: usize = 8_192;

/// Most subjects whose numbers are kept in memory. At the limit all are forgotten.
const SUBJECTS_KEPT_MAX: usize = 65_536;

/// How much of the past a job that appended removes at least, in entries, where limits demand it.
const TRIM_ENTRIES_MIN: usize = 256;

/// How long a job waits at a time, and how often, for appends that follow on the last commit.
const LINGER: Duration = Duration::from_micros(50);
const LINGERS_MAX: usize = 10;

type Answer = Result<Vec<Appended>, EventLogError>;

/// Appends on their way.
pub(super) struct Appends {
    waiting: Mutex<Waiting>,
    room: Semaphore,
    subjects: Mutex<Subjects>,
}

#[derive(Default)]
struct Waiting {
    appends: VecDeque<Append>,
    /// Whether a job that will take them stands in the writer's queue.
    scheduled: bool,
    /// How many appends the job before took.
    taken_last: usize,
}

struct Append {
    stream: Arc<Stream>,
    entries: Vec<NewEntry>,
    expected_last: Option<Sequence>,
    kib: usize,
    answer: oneshot::Sender<Answer>,
}

/// What one job took, shared by its two halves: the work and what follows the commit.
#[derive(Default)]
struct Batch {
    appends: Vec<Append>,
    results: Vec<Answer>,
    touched: Vec<Touched>,
}

struct Touched {
    stream: Arc<Stream>,
    entries: usize,
    info: Option<StreamInfo>,
}

#[derive(Default)]
struct Subjects {
    /// By stream, then by subject.
    known: HashMap<i64, HashMap<Subject, Known>>,
    count: usize,
}

struct Known {
    number: i64,
    /// The age that it is noted in.
    age: u64,
}

impl Appends {
    pub(super) fn new() -> Self {
        Self { waiting: Mutex::default(), room: Semaphore::new(WAITING_KIB_MAX), subjects: Mutex::default() }
    }

    /// Who was just answered is about to append again: gives them a moment, as long as they come,
    /// so that a commit is not spent on the first few.
    fn linger(&self) {
        let mut before = 0;
        for _ in 0..LINGERS_MAX {
            let (here, last) = {
                let waiting = self.waiting.lock();
                (waiting.appends.len(), waiting.taken_last)
            };
            if here * 4 >= last * 3 || here == before {
                return;
            }
            before = here;
            thread::sleep(LINGER);
        }
    }

    pub(super) fn forget_subjects(&self) {
        *self.subjects.lock() = Subjects::default();
    }
}

impl Shared {
    pub(super) async fn append(
        self: &Arc<Self>,
        stream: Arc<Stream>,
        entries: Vec<NewEntry>,
        expected_last: Option<Sequence>,
    ) -> Answer {
        let kib = 1 + entries.iter().map(|entry| entry.payload.len()).sum::<usize>() / 1024;
        let permit =
            self.appends.room.acquire_many(kib as u32).await.map_err(|_| unavailable("it is closed"))?;
        // Given back by the job.
        permit.forget();
        let (answer, answered) = oneshot::channel();
        let first = {
            let mut waiting = self.appends.waiting.lock();
            waiting.appends.push_back(Append { stream, entries, expected_last, kib, answer });
            !mem::replace(&mut waiting.scheduled, true)
        };
        if first {
            self.schedule();
        }
        answered.await.unwrap_or_else(|_| Err(unavailable("it is closed")))
    }

    /// Puts the job that takes what waits into the writer's queue. One stands there at a time.
    fn schedule(self: &Arc<Self>) {
        let batch = Arc::new(Mutex::new(Batch::default()));
        let work = {
            let (shared, batch) = (Arc::clone(self), Arc::clone(&batch));
            move |connection: &Connection| {
                let mut batch = batch.lock();
                let result = shared.carry_out(connection, &mut batch);
                if result.is_err() {
                    // Now, for jobs that follow in the same commit.
                    shared.appends.forget_subjects();
                    batch.touched.iter().for_each(|touched| touched.stream.set_stale());
                }
                result
            }
        };
        let finish = {
            let shared = Arc::clone(self);
            move |result: Result<Result<(), Error>, WriteError>| {
                shared.finish(mem::take(&mut *batch.lock()), result);
            }
        };
        if let Err(error) = self.writer.try_submit(work, finish) {
            // Other jobs leave room in the queue (see `JOBS_WAITING_MAX`), so this is the end of the writer.
            let refused = mem::take(&mut *self.appends.waiting.lock());
            for append in refused.appends {
                self.appends.room.add_permits(append.kib);
                let _ = append.answer.send(Err(EventLogError::from_write(&error)));
            }
        }
    }

    /// The first half: on the writer thread, within the transaction.
    fn carry_out(&self, connection: &Connection, batch: &mut Batch) -> Result<(), Error> {
        self.appends.linger();
        {
            let mut waiting = self.appends.waiting.lock();
            let mut entries = 0;
            while let Some(append) = waiting.appends.front() {
                entries += append.entries.len();
                if entries > JOB_ENTRIES_MAX && !batch.appends.is_empty() {
                    break;
                }
                batch.appends.extend(waiting.appends.pop_front());
            }
            waiting.taken_last = batch.appends.len();
        }
        let mut table = Table {
            connection,
            insert: connection.prepare_cached(
                "INSERT INTO entries (key, subject, at, size, id, payload) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?,
            subjects: &mut self.appends.subjects.lock(),
            now: self.clock.wall(),
        };
        for append in &mut batch.appends {
            let entries = mem::take(&mut append.entries);
            let known =
                batch.touched.iter().rposition(|touched| Arc::ptr_eq(&touched.stream, &append.stream));
            let position = known.unwrap_or_else(|| {
                batch.touched.push(Touched { stream: Arc::clone(&append.stream), entries: 0, info: None });
                batch.touched.len() - 1
            });
            batch.touched[position].entries += entries.len();
            let number = append.stream.number;
            let expected_last = append.expected_last;
            let result = append
                .stream
                .work(connection, |working| table.append(number, working, entries, expected_last))?;
            batch.results.push(result);
        }
        for touched in &mut batch.touched {
            let number = touched.stream.number;
            let (info, more) = touched.stream.work(connection, |working| {
                if working.deleted {
                    return Ok((None, false));
                }
                let budget = TRIM_ENTRIES_MIN + 2 * touched.entries;
                trim_to_limits(connection, number, working, budget)?;
                working.save(connection, number)?;
                Ok((Some(working.info()), working.over_limits()))
            })?;
            touched.info = info;
            if more {
                self.maintenance.notify_one();
            }
        }
        Ok(())
    }

    /// The second half: on the writer thread, after the commit returned or failed.
    fn finish(self: &Arc<Self>, batch: Batch, result: Result<Result<(), Error>, WriteError>) {
        let failure = match result {
            Ok(Ok(())) => None,
            Ok(Err(error)) => {
                tracing::error!(%error, appends = batch.appends.len(), "appending to the event log failed; it was undone");
                Some(unavailable(&error.to_string()))
            }
            // The writer has logged it.
            Err(error) => Some(EventLogError::from_write(&error)),
        };
        let mut entries = 0;
        for touched in &batch.touched {
            match (&failure, touched.info) {
                (None, Some(info)) => {
                    touched.stream.publish(info);
                    if touched.stream.head().unindexed().is_some() {
                        self.maintenance.notify_one();
                    }
                }
                (None, None) => {}
                (Some(_), _) => touched.stream.set_stale(),
            }
            entries += touched.entries;
        }
        if failure.is_some() {
            self.appends.forget_subjects();
        } else {
            metrics::counter!("greenroom_event_log_appended_total").increment(entries as u64);
        }
        let mut kib = 0;
        let mut results = batch.results.into_iter();
        for append in batch.appends {
            kib += append.kib;
            let result = match (&failure, results.next()) {
                (Some(failure), _) => Err(failure.clone()),
                (None, Some(result)) => result,
                (None, None) => Err(unavailable("it was not carried out")),
            };
            // Who asked may have gone; it is appended all the same.
            let _ = append.answer.send(result);
        }
        self.appends.room.add_permits(kib);
        let more = {
            let mut waiting = self.appends.waiting.lock();
            waiting.scheduled = !waiting.appends.is_empty();
            waiting.scheduled
        };
        if more {
            self.schedule();
        }
    }
}

/// What appending needs of the database, prepared once a job.
struct Table<'a> {
    connection: &'a Connection,
    insert: CachedStatement<'a>,
    subjects: &'a mut Subjects,
    now: Timestamp,
}

impl Table<'_> {
    /// Appends all or none. The outer error is the database's, and undoes the whole job.
    fn append(
        &mut self,
        stream: i64,
        working: &mut Working,
        entries: Vec<NewEntry>,
        expected_last: Option<Sequence>,
    ) -> Result<Answer, Error> {
        if working.deleted {
            return Ok(Err(EventLogError::NoStream));
        }
        let mut appended = Vec::with_capacity(entries.len());
        let mut last = working.last;
        let mut bytes = 0;
        let mut ids_here = HashMap::new();
        for entry in &entries {
            let earlier = match &entry.id {
                None => None,
                Some(id) => match ids_here.get(id.as_str()) {
                    Some(&sequence) => Some(sequence),
                    None => self.sequence_of_id(stream, id)?,
                },
            };
            if let Some(sequence) = earlier {
                appended.push(Appended { sequence: Sequence(sequence), duplicate: true });
                continue;
            }
            last += 1;
            bytes += size(entry);
            if let Some(id) = &entry.id
                && entries.len() > 1
            {
                ids_here.insert(id.as_str(), last);
            }
            appended.push(Appended { sequence: Sequence(last), duplicate: false });
        }
        let count = last - working.last;
        if count == 0 {
            return Ok(Ok(appended));
        }
        if let Err(error) = admit(working, count, bytes, expected_last) {
            return Ok(Err(error));
        }
        for (entry, appended) in entries.into_iter().zip(&appended) {
            if !appended.duplicate {
                self.insert(stream, appended.sequence.0, &entry)?;
            }
        }
        working.last = last;
        working.bytes += bytes;
        Ok(Ok(appended))
    }

    fn insert(&mut self, stream: i64, sequence: u64, entry: &NewEntry) -> Result<(), Error> {
        let subject = self.subjects.note(self.connection, stream, &entry.subject, age(sequence))?;
        let at = self.now.as_millis();
        let id = entry.id.as_deref();
        self.insert.execute((
            key(stream, sequence),
            subject,
            at,
            size(entry) as i64,
            id,
            &entry.payload[..],
        ))?;
        if let Some(id) = id {
            self.connection
                .prepare_cached("INSERT INTO dedupe (stream, id, sequence, at) VALUES (?1, ?2, ?3, ?4)")?
                .execute((stream, id, sequence as i64, at))?;
        }
        Ok(())
    }

    fn sequence_of_id(&self, stream: i64, id: &str) -> Result<Option<u64>, Error> {
        self.connection
            .prepare_cached("SELECT sequence FROM dedupe WHERE stream = ?1 AND id = ?2")?
            .query_row((stream, id), |row| Ok(row.get::<_, i64>(0)? as u64))
            .optional()
    }
}

fn admit(
    working: &Working,
    count: u64,
    bytes: u64,
    expected_last: Option<Sequence>,
) -> Result<(), EventLogError> {
    if expected_last.is_some_and(|expected| expected.0 != working.last) {
        return Err(EventLogError::WrongLast { last: Sequence(working.last) });
    }
    let limits = &working.limits;
    if count > limits.entries_max || bytes > limits.bytes_max {
        return Err(EventLogError::TooLarge("the append is larger than the stream may be"));
    }
    let over = working.entries() + count > limits.entries_max || working.bytes + bytes > limits.bytes_max;
    if over && limits.when_full == WhenFull::Refuse {
        return Err(EventLogError::Full);
    }
    if working.last + count > SEQUENCE_MAX {
        return Err(EventLogError::LimitReached("the stream has had as many entries as a stream can have"));
    }
    Ok(())
}

/// The size that an entry counts with.
fn size(entry: &NewEntry) -> u64 {
    (entry.payload.len() + entry.subject.as_str().len()) as u64 + ENTRY_OVERHEAD_BYTES
}

impl Subjects {
    /// The subject's number; notes that it comes up in `age`.
    fn note(
        &mut self,
        connection: &Connection,
        stream: i64,
        subject: &Subject,
        age: u64,
    ) -> Result<i64, Error> {
        if let Some(known) = self.known.get_mut(&stream).and_then(|of_stream| of_stream.get_mut(subject)) {
            if known.age != age {
                note_age(connection, known.number, age)?;
                known.age = age;
            }
            return Ok(known.number);
        }
        let found: Option<(i64, i64)> = connection
            .prepare_cached("SELECT id, age FROM subjects WHERE stream = ?1 AND text = ?2")?
            .query_row((stream, subject.as_str()), |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let number = if let Some((number, noted)) = found {
            if noted as u64 != age {
                note_age(connection, number, age)?;
            }
            number
        } else {
            connection
                .prepare_cached("INSERT INTO subjects (stream, text, age) VALUES (?1, ?2, ?3)")?
                .execute((stream, subject.as_str(), age as i64))?;
            connection.last_insert_rowid()
        };
        if self.count >= SUBJECTS_KEPT_MAX {
            *self = Self::default();
        }
        self.known.entry(stream).or_default().insert(subject.clone(), Known { number, age });
        self.count += 1;
        Ok(number)
    }
}

fn note_age(connection: &Connection, subject: i64, age: u64) -> Result<(), Error> {
    connection
        .prepare_cached("UPDATE subjects SET age = ?2 WHERE id = ?1")?
        .execute((subject, age as i64))?;
    Ok(())
}
