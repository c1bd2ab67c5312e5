//! Pages: parts of a stream, by sequence and filter.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use greenroom_protocol::Timestamp;
use greenroom_sqlite::rusqlite::{Connection, Error, OptionalExtension, Row};

use super::schema::{BATCH_ENTRIES, BLOCK_ENTRIES, batch, batch_key, block_bit, key, sequence_of};
use crate::{
    model::{Entry, PAGE_BYTES_MAX, Page, Sequence},
    subject::{Subject, SubjectFilter},
};

/// How many entries one page passes over at most in search of selected ones.
const SCAN_ENTRIES_MAX: u64 = 10_000;

/// How many subjects of batches one page looks up at most in search of blocks.
const LOOKUPS_MAX: usize = 20_000;

/// A stream this much ahead is searched by subject, where the filter selects few enough.
const INDEX_ENTRIES_MIN: u64 = 2_048;

/// Most subjects that a search by subject takes.
const INDEX_SUBJECTS_MAX: usize = 32;

/// Most subjects that are looked at to find them.
const INDEX_CANDIDATES_MAX: usize = 1_024;

const ENTRY_COLUMNS: &str = "key, subject, at, id, payload";

/// Reads a page; `None` if there is no such stream.
pub(super) fn page(
    connection: &Connection,
    stream: i64,
    from: Sequence,
    filter: Option<&SubjectFilter>,
    limit: usize,
) -> Result<Option<Page>, Error> {
    let transaction = connection.unchecked_transaction()?;
    let ends = transaction
        .prepare_cached("SELECT first, last, indexed FROM streams WHERE id = ?1")?
        .query_row([stream], |row| {
            Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64, row.get::<_, i64>(2)? as u64))
        })
        .optional()?;
    let Some((first, last, indexed)) = ends else { return Ok(None) };
    let gap = (from.0 < first).then(|| (from, Sequence(first - 1)));
    let from = from.0.max(first);
    if from > last {
        return Ok(Some(Page { entries: Vec::new(), next: Sequence(from), gap, end: true }));
    }
    let filter = filter.filter(|filter| filter.as_str() != ">");
    let by_subject = match filter {
        Some(filter) if last - from >= INDEX_ENTRIES_MIN => few_subjects(&transaction, stream, filter)?,
        _ => None,
    };
    let span = Span { stream, from, last, indexed, limit };
    let (entries, next) = match by_subject {
        Some(subjects) => span.scan_blocks(&transaction, filter, &subjects)?,
        None => span.scan(&transaction, filter)?,
    };
    Ok(Some(Page { entries, next: Sequence(next), gap, end: next > last }))
}

/// The entries of a stream at `sequences`, as far as they are there.
pub(super) fn entries_at(
    connection: &Connection,
    stream: i64,
    sequences: &[u64],
) -> Result<Vec<Entry>, Error> {
    let transaction = connection.unchecked_transaction()?;
    let mut texts = Texts::default();
    let mut entries = Vec::with_capacity(sequences.len());
    for &sequence in sequences {
        entries.extend(entry_at(&transaction, &mut texts, key(stream, sequence))?);
    }
    Ok(entries)
}

struct Span {
    stream: i64,
    from: u64,
    last: u64,
    /// The first batch that is not indexed by subject.
    indexed: u64,
    limit: usize,
}

/// What a page has so far.
#[derive(Default)]
struct Found {
    entries: Vec<Entry>,
    bytes: usize,
    texts: Texts,
}

impl Span {
    /// Goes through the entries in order.
    fn scan(
        &self,
        connection: &Connection,
        filter: Option<&SubjectFilter>,
    ) -> Result<(Vec<Entry>, u64), Error> {
        let mut found = Found::default();
        let end = self.last.min(self.from + SCAN_ENTRIES_MAX - 1);
        let full = self.search(connection, self.from, end, filter, &mut found)?;
        Ok((found.entries, full.unwrap_or(end + 1)))
    }

    /// Goes through the blocks in which the subjects come up, and behind the index through all.
    fn scan_blocks(
        &self,
        connection: &Connection,
        filter: Option<&SubjectFilter>,
        subjects: &[i64],
    ) -> Result<(Vec<Entry>, u64), Error> {
        let mut select = connection
            .prepare_cached("SELECT blocks FROM subject_batches WHERE batch = ?1 AND subject = ?2")?;
        let mut found = Found::default();
        let (mut passed, mut lookups) = (0, 0);
        for batch in batch(self.from)..self.indexed.min(batch(self.last) + 1) {
            let first = batch * BATCH_ENTRIES;
            if lookups >= LOOKUPS_MAX {
                return Ok((found.entries, first.max(self.from)));
            }
            let mut blocks = 0;
            for &subject in subjects {
                let found = select.query_row((batch_key(self.stream, batch), subject), |row| row.get(0));
                blocks |= found.optional()?.map_or(0, i64::cast_unsigned);
            }
            lookups += subjects.len();
            for from in (first..first + BATCH_ENTRIES).step_by(BLOCK_ENTRIES as usize) {
                let to = self.last.min(from + BLOCK_ENTRIES - 1);
                if blocks & block_bit(from) == 0 || to < self.from {
                    continue;
                }
                if passed >= SCAN_ENTRIES_MAX {
                    return Ok((found.entries, from));
                }
                passed += BLOCK_ENTRIES;
                if let Some(next) = self.search(connection, from.max(self.from), to, filter, &mut found)? {
                    return Ok((found.entries, next));
                }
            }
        }
        let from = self.from.max(self.indexed * BATCH_ENTRIES);
        let end = self.last.min(from + SCAN_ENTRIES_MAX.saturating_sub(passed));
        if from > end {
            return Ok((found.entries, self.last + 1));
        }
        let full = self.search(connection, from, end, filter, &mut found)?;
        Ok((found.entries, full.unwrap_or(end + 1)))
    }

    /// Finds what the filter selects from `from` to `to`; answers where to go on if the page is full.
    fn search(
        &self,
        connection: &Connection,
        from: u64,
        to: u64,
        filter: Option<&SubjectFilter>,
        found: &mut Found,
    ) -> Result<Option<u64>, Error> {
        let mut select = connection.prepare_cached(&format!(
            "SELECT {ENTRY_COLUMNS} FROM entries WHERE key BETWEEN ?1 AND ?2 ORDER BY key"
        ))?;
        let mut rows = select.query((key(self.stream, from), key(self.stream, to)))?;
        while let Some(row) = rows.next()? {
            let Some(subject) = found.texts.get(connection, row.get(1)?, filter)? else { continue };
            let entry = entry(row, subject)?;
            let next = entry.sequence.0 + 1;
            found.bytes += entry.payload.len();
            found.entries.push(entry);
            if found.entries.len() >= self.limit || found.bytes >= PAGE_BYTES_MAX {
                return Ok(Some(next));
            }
        }
        Ok(None)
    }
}

/// The numbers of the stream's subjects that the filter selects, if they are few.
fn few_subjects(
    connection: &Connection,
    stream: i64,
    filter: &SubjectFilter,
) -> Result<Option<Vec<i64>>, Error> {
    let prefix = filter.literal_prefix();
    if prefix.is_empty() {
        return Ok(None);
    }
    // Subjects are ASCII, so what begins with the prefix stands before the prefix and a DEL.
    let beyond = format!("{prefix}\u{7f}");
    let mut select = connection.prepare_cached(
        "SELECT id, text FROM subjects WHERE stream = ?1 AND text >= ?2 AND text < ?3 LIMIT ?4",
    )?;
    let mut rows = select.query((stream, prefix, beyond, INDEX_CANDIDATES_MAX as i64 + 1))?;
    let (mut selected, mut candidates) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        candidates += 1;
        if filter.selects(row.get_ref(1)?.as_str()?) {
            selected.push(row.get(0)?);
        }
        if candidates > INDEX_CANDIDATES_MAX || selected.len() > INDEX_SUBJECTS_MAX {
            return Ok(None);
        }
    }
    Ok(Some(selected))
}

/// Subjects by number, as one page meets them; `None` for those that its filter leaves out.
#[derive(Default)]
struct Texts(HashMap<i64, Option<Subject>>);

impl Texts {
    fn get(
        &mut self,
        connection: &Connection,
        number: i64,
        filter: Option<&SubjectFilter>,
    ) -> Result<Option<Subject>, Error> {
        if let Some(known) = self.0.get(&number) {
            return Ok(known.clone());
        }
        let text: String = connection
            .prepare_cached("SELECT text FROM subjects WHERE id = ?1")?
            .query_row([number], |row| row.get(0))?;
        let selected = filter.is_none_or(|filter| filter.selects(&text));
        let subject = selected.then(|| Subject::from_stored(Arc::from(text)));
        self.0.insert(number, subject.clone());
        Ok(subject)
    }
}

fn entry_at(connection: &Connection, texts: &mut Texts, key: i64) -> Result<Option<Entry>, Error> {
    let mut select =
        connection.prepare_cached(&format!("SELECT {ENTRY_COLUMNS} FROM entries WHERE key = ?1"))?;
    let mut rows = select.query([key])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let subject = texts.get(connection, row.get(1)?, None)?;
    subject.map(|subject| entry(row, subject)).transpose()
}

fn entry(row: &Row<'_>, subject: Subject) -> Result<Entry, Error> {
    Ok(Entry {
        sequence: Sequence(sequence_of(row.get(0)?)),
        subject,
        at: Timestamp::from_millis(row.get(2)?),
        payload: Bytes::copy_from_slice(row.get_ref(4)?.as_blob()?),
        id: row.get(3)?,
    })
}
