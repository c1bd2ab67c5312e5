//! Commits that fail.

use std::{sync::mpsc, time::Duration};

use futures_util::{FutureExt, poll};
use greenroom_sqlite::{WriteError, rusqlite};

use super::{Embedded, FakeClock, entry, open, stream};
use crate::{
    engine::Engine,
    error::EventLogError,
    model::{ConsumerConfig, Sequence, StreamLimits},
};

/// Holds the writer until it is dropped, so that what is queued meanwhile is committed together.
struct Held(#[expect(dead_code, reason = "its drop lets the writer go")] mpsc::SyncSender<()>);

fn hold(engine: &Embedded) -> Held {
    let (held, wait) = mpsc::sync_channel(0);
    let (entered, inside) = mpsc::sync_channel(1);
    let work = move |_: &rusqlite::Connection| {
        entered.send(()).unwrap();
        // Ends with an error when the sender is dropped.
        let _ = wait.recv();
        Ok::<_, ()>(())
    };
    engine.shared.writer.try_submit(work, |_| {}).unwrap();
    inside.recv().unwrap();
    Held(held)
}

/// Makes the group commit that it is part of fail as a whole, at its end.
fn poison(engine: &Embedded) {
    let work = |connection: &rusqlite::Connection| {
        connection.execute_batch(
            "CREATE TABLE parent (id INTEGER PRIMARY KEY);
             CREATE TABLE child (id INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
             INSERT INTO child VALUES (1);",
        )
    };
    engine
        .shared
        .writer
        .try_submit(work, |result| assert!(matches!(result, Err(WriteError::Commit(_))), "{result:?}"))
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_group_commit_never_was() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), FakeClock::new());
    let engine = open(folder.path(), &clock).await;
    let stream = stream(&engine, StreamLimits::default()).await;
    engine.append(&stream, vec![entry("a", "1"), entry("a", "2")], None).await.unwrap();
    engine.put_consumer(&stream, "c", ConsumerConfig::default()).await.unwrap();
    engine.fetch(&stream, "c", 1, Duration::ZERO).await.unwrap();
    let before = engine.info(&stream).await.unwrap();
    let place = engine.consumer_state(&stream, "c").await.unwrap();
    let mut tail = engine.wait_past(&stream, Sequence(2));

    for _ in 0..3 {
        let held = hold(&engine);
        let mut append = engine.append(&stream, vec![entry("b", "lost").with_id("once")], None);
        let mut ack = engine.ack(&stream, "c", &[Sequence(1)]);
        let mut delete = engine.delete_consumer(&stream, "c");
        assert!(poll!(&mut append).is_pending());
        assert!(poll!(&mut ack).is_pending());
        assert!(poll!(&mut delete).is_pending());
        poison(&engine);
        drop(held);
        assert!(matches!(append.await, Err(EventLogError::Unavailable(_))));
        assert!(matches!(ack.await, Err(EventLogError::Unavailable(_))));
        assert!(matches!(delete.await, Err(EventLogError::Unavailable(_))));
        assert_eq!(engine.info(&stream).await.unwrap(), before);
        assert_eq!(engine.read(&stream, Sequence(1), None, 10).await.unwrap().entries.len(), 2);
        assert_eq!(engine.consumer_state(&stream, "c").await.unwrap(), place);
        assert!(poll!(&mut tail).is_pending(), "nothing was shown");
    }

    // The sequence, the id and the subject are free again.
    let appended = engine.append(&stream, vec![entry("b", "kept").with_id("once")], None).await.unwrap();
    assert_eq!((appended[0].sequence, appended[0].duplicate), (Sequence(3), false));
    assert_eq!(tail.await, Ok(Sequence(3)));
    let page = engine.read(&stream, Sequence(3), None, 10).await.unwrap();
    assert_eq!((page.entries[0].subject.as_str(), &page.entries[0].payload[..]), ("b", &b"kept"[..]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_stream_was_never_made() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), FakeClock::new());
    let engine = open(folder.path(), &clock).await;
    let stream = stream(&engine, StreamLimits::default()).await;
    let other = crate::StreamId::new("other").unwrap();
    let held = hold(&engine);
    let mut create = engine.create_stream(&other, StreamLimits::default());
    let mut delete = engine.delete_stream(&stream);
    assert!(poll!(&mut create).is_pending());
    assert!(poll!(&mut delete).is_pending());
    poison(&engine);
    drop(held);
    assert!(create.await.is_err());
    assert!(delete.await.is_err());
    assert_eq!(engine.info(&other).await, Err(EventLogError::NoStream));
    engine.append(&stream, vec![entry("a", "1")], None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_loses_nothing() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), FakeClock::new());
    let engine = open(folder.path(), &clock).await;
    let stream = stream(&engine, StreamLimits::default()).await;
    let pages_max = async |pages: u32| {
        let pragma = move |connection: &rusqlite::Connection| {
            connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
        };
        engine.shared.submit(pragma, |_| {}).await.unwrap();
    };
    pages_max(60).await;
    let payload = "x".repeat(10_000);
    let mut appended = 0;
    let refusal = loop {
        match engine.append(&stream, vec![entry("a", &payload), entry("a", &payload)], None).await {
            Ok(places) => appended = places[1].sequence.0,
            Err(error) => break error,
        }
    };
    assert!(matches!(refusal, EventLogError::Unavailable(_)) && refusal.is_retryable());
    assert!(appended > 0);
    assert_eq!(engine.info(&stream).await.unwrap().last, Sequence(appended));
    pages_max(100_000).await;
    let next = engine.append(&stream, vec![entry("a", &payload)], Some(Sequence(appended))).await.unwrap();
    assert_eq!(next[0].sequence, Sequence(appended + 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_log_says_so() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), FakeClock::new());
    let engine = open(folder.path(), &clock).await;
    let stream = stream(&engine, StreamLimits::default()).await;
    let mut tail = engine.wait_past(&stream, Sequence(0));
    assert!(poll!(&mut tail).is_pending());
    engine.close().await;
    assert!(matches!(tail.await, Err(EventLogError::Unavailable(_))));
    for _ in 0..2 {
        let answer = engine.append(&stream, vec![entry("a", "1")], None).now_or_never();
        assert!(matches!(answer, Some(Err(EventLogError::Unavailable(_)))), "{answer:?}");
    }
    engine.close().await;
}
