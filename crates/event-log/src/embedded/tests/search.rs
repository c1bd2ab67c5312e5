//! Search by subject, over what is indexed and what is not.

use greenroom_sqlite::rusqlite::Connection;

use super::{super::schema::BATCH_ENTRIES, Embedded, FakeClock, entry, open, stream};
use crate::{
    engine::Engine,
    model::{Sequence, StreamId, StreamLimits},
    subject::SubjectFilter,
};

/// Two batches and a half. `rare.<n>` comes up once in 1,000 entries.
const ENTRIES: u64 = 10_240;
const RARE_EVERY: u64 = 1_000;

async fn filled(engine: &Embedded, stream: &StreamId) {
    let mut sequence = 0;
    while sequence < ENTRIES {
        let entries = (0..512).map(|_| {
            sequence += 1;
            let rare = sequence % RARE_EVERY == 0;
            entry(&if rare { "rare.one".to_owned() } else { format!("often.{}", sequence % 40) }, "x")
        });
        engine.append(stream, entries.collect(), None).await.unwrap();
    }
}

/// Every page of what `filter` selects from `from` on, one after the other.
async fn found(engine: &Embedded, stream: &StreamId, filter: &str, from: u64) -> (Vec<u64>, usize) {
    let filter = SubjectFilter::parse(filter).unwrap();
    let (mut sequences, mut next, mut pages) = (Vec::new(), Sequence(from), 0);
    loop {
        let page = engine.read(stream, next, Some(&filter), 3).await.unwrap();
        sequences.extend(page.entries.iter().map(|entry| entry.sequence.0));
        pages += 1;
        assert!(page.end || page.next > next, "no page stands still");
        if page.end {
            return (sequences, pages);
        }
        next = page.next;
    }
}

async fn indexed(engine: &Embedded) -> i64 {
    let indexed =
        |connection: &Connection| connection.query_row("SELECT indexed FROM streams", [], |row| row.get(0));
    engine.shared.read_with(indexed).await.unwrap()
}

#[tokio::test]
async fn what_is_rare_is_found_behind_and_before_the_end_of_the_index() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), FakeClock::new());
    let engine = open(folder.path(), &clock).await;
    let stream = stream(&engine, StreamLimits::default()).await;
    filled(&engine, &stream).await;
    engine.shared.maintain_once(false).await.unwrap();
    assert_eq!(indexed(&engine).await, (ENTRIES / BATCH_ENTRIES) as i64, "full batches, and no other");
    let rare: Vec<u64> = (1..=ENTRIES / RARE_EVERY).map(|number| number * RARE_EVERY).collect();
    for filter in ["rare.one", "rare.*", "rare.>"] {
        assert_eq!(found(&engine, &stream, filter, 1).await.0, rare, "{filter}");
        assert_eq!(found(&engine, &stream, filter, 4_001).await.0, rare[4..], "{filter} from the middle");
    }
    assert_eq!(found(&engine, &stream, "rare.two", 1).await, (Vec::new(), 1), "nothing in one page");
    let often = found(&engine, &stream, "often.7", 1).await.0;
    let expected: Vec<u64> =
        (1..=ENTRIES).filter(|sequence| sequence % 40 == 7 && sequence % RARE_EVERY != 0).collect();
    assert_eq!(often, expected);
    // The same without an index, and after it was made anew.
    let forget = |connection: &Connection| {
        connection.execute("DELETE FROM subject_batches", [])?;
        connection.execute("UPDATE streams SET indexed = 0", [])
    };
    engine.shared.submit(forget, |_| {}).await.unwrap();
    assert_eq!(found(&engine, &stream, "rare.one", 1).await.0, rare);
    engine.close().await;
    let engine = open(folder.path(), &clock).await;
    engine.shared.maintain_once(false).await.unwrap();
    assert_eq!(indexed(&engine).await, (ENTRIES / BATCH_ENTRIES) as i64);
    assert_eq!(found(&engine, &stream, "rare.one", 1).await.0, rare);
}

#[tokio::test]
async fn what_is_trimmed_leaves_the_index_too() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), FakeClock::new());
    let engine = open(folder.path(), &clock).await;
    let stream = stream(&engine, StreamLimits::default()).await;
    filled(&engine, &stream).await;
    engine.shared.maintain_once(false).await.unwrap();
    engine
        .create_stream(&stream, StreamLimits { entries_max: 3_000, ..StreamLimits::default() })
        .await
        .unwrap();
    engine.shared.maintain_once(false).await.unwrap();
    let batches = |connection: &Connection| {
        connection
            .query_row("SELECT count(DISTINCT batch) FROM subject_batches", [], |row| row.get::<_, i64>(0))
    };
    assert_eq!(engine.shared.read_with(batches).await.unwrap(), 1, "the one that entries are left of");
    assert_eq!(found(&engine, &stream, "rare.one", 1).await.0, [8_000, 9_000, 10_000]);
    engine.delete_stream(&stream).await.unwrap();
    engine.shared.maintain_once(false).await.unwrap();
    assert_eq!(engine.shared.read_with(batches).await.unwrap(), 0);
}

#[tokio::test]
async fn a_log_of_version_1_is_searched_as_before() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), FakeClock::new());
    let engine = open(folder.path(), &clock).await;
    let stream = stream(&engine, StreamLimits::default()).await;
    filled(&engine, &stream).await;
    let downgrade = |connection: &Connection| {
        connection.execute_batch(
            "DROP TABLE subject_batches;
             ALTER TABLE streams DROP COLUMN indexed;
             ALTER TABLE subjects DROP COLUMN age;
             CREATE TABLE subject_blocks (
                 subject INTEGER NOT NULL, block INTEGER NOT NULL, PRIMARY KEY (subject, block)
             ) STRICT, WITHOUT ROWID;",
        )?;
        connection.pragma_update(None, "user_version", 1)
    };
    engine.shared.submit(downgrade, |_| {}).await.unwrap();
    engine.close().await;
    let engine = open(folder.path(), &clock).await;
    engine.shared.maintain_once(false).await.unwrap();
    assert_eq!(indexed(&engine).await, (ENTRIES / BATCH_ENTRIES) as i64);
    assert_eq!(found(&engine, &stream, "rare.one", 1).await.0.len() as u64, ENTRIES / RARE_EVERY);
}
