//! Clocks that run and clocks that jump.

use std::time::Duration;

use greenroom_sqlite::rusqlite::Connection;

use super::{FakeClock, entry, open, stream};
use crate::{
    embedded::{
        clock::Clock,
        trim::{CLOCK_STEADY_AFTER, ClockWatch},
    },
    engine::Engine,
    model::{ConsumerConfig, DEDUPE_WINDOW, Sequence, StreamLimits},
};

const HOUR: Duration = Duration::from_hours(1);
const DAY_MS: i64 = 24 * 3_600_000;

#[test]
fn a_clock_is_believed_once_it_ran_steadily() {
    let clock = FakeClock::new();
    let mut watch = ClockWatch::default();
    let mut look = || watch.look(clock.wall().as_millis(), clock.steady());
    assert!(!look());
    for jump in [DAY_MS, -DAY_MS, -DAY_MS, 60_000] {
        let mut minutes = 0;
        loop {
            clock.pass(Duration::from_mins(1));
            minutes += 1;
            if look() {
                break;
            }
        }
        assert!(minutes * 60 >= CLOCK_STEADY_AFTER.as_secs());
        clock.jump(jump);
        assert!(!look(), "a clock that jumped is not believed");
    }
}

#[tokio::test]
async fn what_is_too_old_goes() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), FakeClock::new());
    let engine = open(folder.path(), &clock).await;
    let stream = stream(&engine, StreamLimits { age_max: Some(HOUR * 2), ..StreamLimits::default() }).await;
    for _ in 0..3 {
        engine.append(&stream, (0..700).map(|_| entry("a", "x")).collect(), None).await.unwrap();
        clock.pass(HOUR);
    }
    engine.shared.maintain_once(false).await.unwrap();
    assert_eq!(
        engine.info(&stream).await.unwrap().entries,
        2_100,
        "age is not looked at while it is not believed"
    );
    engine.shared.maintain_once(true).await.unwrap();
    let info = engine.info(&stream).await.unwrap();
    assert_eq!((info.first, info.entries), (Sequence(701), 1_400));
    clock.pass(HOUR * 24);
    engine.shared.maintain_once(true).await.unwrap();
    let info = engine.info(&stream).await.unwrap();
    assert_eq!((info.first, info.last, info.entries, info.bytes), (Sequence(2_101), Sequence(2_100), 0, 0));
}

#[tokio::test]
async fn ids_are_forgotten_after_their_window() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), FakeClock::new());
    let engine = open(folder.path(), &clock).await;
    let stream = stream(&engine, StreamLimits::default()).await;
    let append =
        async || engine.append(&stream, vec![entry("a", "x").with_id("one")], None).await.unwrap()[0];
    assert!(!append().await.duplicate);
    clock.jump(2 * DAY_MS);
    assert!(append().await.duplicate, "a clock that jumps ahead forgets nothing");
    clock.jump(-4 * DAY_MS);
    assert!(append().await.duplicate, "nor one that jumps back");
    clock.jump(2 * DAY_MS);
    clock.pass(DEDUPE_WINDOW.saturating_sub(Duration::from_secs(1)));
    engine.shared.maintain_once(true).await.unwrap();
    assert!(append().await.duplicate);
    clock.pass(Duration::from_secs(2));
    engine.shared.maintain_once(true).await.unwrap();
    assert!(!append().await.duplicate);
}

#[tokio::test]
async fn deliveries_come_again_by_the_steady_clock() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), FakeClock::new());
    let config = ConsumerConfig { ack_wait: HOUR, ..ConsumerConfig::default() };
    let engine = open(folder.path(), &clock).await;
    let stream = stream(&engine, StreamLimits::default()).await;
    engine.append(&stream, vec![entry("a", "x")], None).await.unwrap();
    engine.put_consumer(&stream, "c", config).await.unwrap();
    let fetch = async |engine: &super::Embedded| {
        let fetched = engine.fetch(&stream, "c", 10, Duration::ZERO).await.unwrap();
        fetched.deliveries.first().map(|delivery| delivery.attempt)
    };
    assert_eq!(fetch(&engine).await, Some(1));
    for jump in [DAY_MS, -3 * DAY_MS] {
        clock.jump(jump);
        assert_eq!(fetch(&engine).await, None);
    }
    clock.pass(HOUR.saturating_sub(Duration::from_secs(1)));
    assert_eq!(fetch(&engine).await, None);
    // Our own absence is nobody's fault: after a start the whole time runs again.
    engine.close().await;
    let engine = open(folder.path(), &clock).await;
    clock.pass(HOUR.saturating_sub(Duration::from_secs(1)));
    assert_eq!(fetch(&engine).await, None);
    clock.pass(Duration::from_secs(1));
    assert_eq!(fetch(&engine).await, Some(2));
}

#[tokio::test]
async fn subjects_without_entries_are_forgotten() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), FakeClock::new());
    let engine = open(folder.path(), &clock).await;
    let stream = stream(&engine, StreamLimits::default()).await;
    for number in 0..600 {
        engine.append(&stream, vec![entry(&format!("a.{number}"), "x")], None).await.unwrap();
    }
    // As if a million more had come and gone.
    let age = |connection: &Connection| {
        connection.execute("DELETE FROM entries", [])?;
        connection.execute("UPDATE streams SET first = 1048577, last = 1048576, bytes = 0", [])
    };
    engine.shared.submit(age, |_| {}).await.unwrap();
    engine.close().await;
    let engine = open(folder.path(), &clock).await;
    // One of them comes back.
    engine.append(&stream, vec![entry("a.3", "x")], None).await.unwrap();
    for _ in 0..4 {
        engine.shared.maintain_once(true).await.unwrap();
    }
    let subjects = |connection: &Connection| {
        let mut select = connection.prepare("SELECT text FROM subjects")?;
        select.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()
    };
    assert_eq!(engine.shared.read_with(subjects).await.unwrap(), ["a.3"]);
    let page = engine.read(&stream, Sequence(1), None, 10).await.unwrap();
    assert_eq!(page.entries.last().unwrap().subject.as_str(), "a.3");
    // What was forgotten is a subject like any other.
    engine.append(&stream, vec![entry("a.4", "x")], None).await.unwrap();
    let page = engine.read(&stream, Sequence(1), None, 10).await.unwrap();
    assert_eq!(page.entries.last().unwrap().subject.as_str(), "a.4");
}
