//! Appending: order, expectations, duplicates, batches.

use greenroom_event_log::{ENTRY_BYTES_MAX, EventLogError, NewEntry, Sequence};
use tokio::task::JoinSet;

use crate::bench::{Bench, numbered, sequences, subject};

pub(crate) async fn order_and_gapless(bench: Bench) {
    let log = bench.open().await;
    let stream = log.stream("s").await;
    log.fill(&stream, "a.b", 50).await;
    let entries = log.all(&stream, None, 7).await;
    assert_eq!(sequences(&entries), (1..=50).collect::<Vec<_>>());
    for entry in &entries {
        assert_eq!(entry.payload, entry.sequence.0.to_string());
        assert_eq!(entry.subject.as_str(), "a.b");
        assert_eq!(entry.id, Some(format!("a.b#{}", entry.sequence)));
        assert!(entry.at.as_millis() > 0);
    }
    let info = log.info(&stream).await;
    assert_eq!((info.first, info.last, info.entries), (Sequence(1), Sequence(50), 50));
}

pub(crate) async fn expected_last(bench: Bench) {
    let log = bench.open().await;
    let stream = log.stream("s").await;
    log.append(&stream, vec![numbered("a", 1)], Some(Sequence::ZERO)).await.unwrap();
    log.append(&stream, vec![numbered("a", 2)], Some(Sequence(1))).await.unwrap();
    for wrong in [0, 1, 3] {
        let answer = log.append(&stream, vec![numbered("a", 3)], Some(Sequence(wrong))).await;
        assert_eq!(answer, Err(EventLogError::WrongLast { last: Sequence(2) }));
    }
    // The retry of an append is answered like it, though the last sequence has moved by it.
    let again = log.append(&stream, vec![numbered("a", 2)], Some(Sequence(1))).await.unwrap();
    assert!(again[0].duplicate);
    assert_eq!(again[0].sequence, Sequence(2));
    assert_eq!(log.info(&stream).await.last, Sequence(2));
}

pub(crate) async fn duplicates(bench: Bench) {
    let log = bench.open().await;
    let stream = log.stream("s").await;
    let other = log.stream("other").await;
    log.fill(&stream, "a", 3).await;
    for number in 1..=3 {
        let answer = log.append(&stream, vec![numbered("a", number)], None).await.unwrap();
        assert_eq!((answer[0].sequence, answer[0].duplicate), (Sequence(number), true));
    }
    assert_eq!(log.info(&stream).await.entries, 3);
    log.append(&other, vec![numbered("a", 3)], None).await.unwrap();
    assert_eq!(log.info(&other).await.last, Sequence(1), "ids are a stream's own");
}

pub(crate) async fn duplicates_within_a_batch(bench: Bench) {
    let log = bench.open().await;
    let stream = log.stream("s").await;
    log.fill(&stream, "a", 1).await;
    let batch = vec![numbered("a", 2), numbered("a", 1), numbered("a", 2), numbered("a", 3)];
    let answer = log.append(&stream, batch, None).await.unwrap();
    let places: Vec<_> = answer.iter().map(|appended| appended.sequence.0).collect();
    assert_eq!(places, [2, 1, 2, 3]);
    assert_eq!(log.info(&stream).await.entries, 3);
}

pub(crate) async fn batch_is_all_or_nothing(bench: Bench) {
    let log = bench.open().await;
    let stream = log.stream("s").await;
    let batch: Vec<_> = (1..=100).map(|number| numbered("a", number)).collect();
    let answer = log.append(&stream, batch, None).await.unwrap();
    assert_eq!(answer.len(), 100);
    let batch: Vec<_> = (101..=110).map(|number| numbered("a", number)).collect();
    let answer = log.append(&stream, batch, Some(Sequence(99))).await;
    assert_eq!(answer, Err(EventLogError::WrongLast { last: Sequence(100) }));
    let mut batch: Vec<_> = (101..=110).map(|number| numbered("a", number)).collect();
    batch.push(NewEntry::new(subject("a"), vec![0; ENTRY_BYTES_MAX + 1]).with_id("large"));
    let answer = log.append(&stream, batch, None).await;
    assert!(matches!(answer, Err(EventLogError::TooLarge(_))));
    assert_eq!(log.all(&stream, None, 1_000).await.len(), 100);
}

pub(crate) async fn concurrent_appends(bench: Bench) {
    let log = bench.open().await;
    let stream = log.stream("s").await;
    let mut writers = JoinSet::new();
    for writer in 0..8 {
        let (log, stream) = (log.clone(), stream.clone());
        writers.spawn(async move {
            let mut places = Vec::new();
            for number in 0..40 {
                let answer =
                    log.append(&stream, vec![numbered(&format!("w{writer}"), number)], None).await.unwrap();
                places.push(answer[0].sequence.0);
            }
            assert!(places.is_sorted(), "one writer's appends keep their order");
            places
        });
    }
    let mut places: Vec<_> = writers.join_all().await.into_iter().flatten().collect();
    places.sort_unstable();
    assert_eq!(places, (1..=320).collect::<Vec<_>>());
    assert_eq!(sequences(&log.all(&stream, None, 100).await), places);
}

pub(crate) async fn too_large(bench: Bench) {
    let log = bench.open().await;
    let stream = log.stream("s").await;
    let largest = NewEntry::new(subject("a"), vec![7; ENTRY_BYTES_MAX]).with_id("largest");
    log.append(&stream, vec![largest], None).await.unwrap();
    let larger = NewEntry::new(subject("a"), vec![7; ENTRY_BYTES_MAX + 1]).with_id("larger");
    assert!(matches!(log.append(&stream, vec![larger], None).await, Err(EventLogError::TooLarge(_))));
    let many = (0..1_001).map(|number| numbered("a", number)).collect();
    assert!(matches!(log.append(&stream, many, None).await, Err(EventLogError::TooLarge(_))));
    let heavy =
        (0..129).map(|n| NewEntry::new(subject("a"), vec![0; ENTRY_BYTES_MAX]).with_id(format!("{n}")));
    assert!(matches!(log.append(&stream, heavy.collect(), None).await, Err(EventLogError::TooLarge(_))));
    let odd = NewEntry::new(subject("a"), "").with_id("line\nbreak");
    assert!(matches!(log.append(&stream, vec![odd], None).await, Err(EventLogError::Malformed(_))));
    assert_eq!(log.info(&stream).await.entries, 1);
}

pub(crate) async fn restart(bench: Bench) {
    let log = bench.open().await;
    let stream = log.stream("s").await;
    log.fill(&stream, "a", 20).await;
    let before = log.all(&stream, None, 100).await;
    let info = log.info(&stream).await;
    log.close().await;
    let log = bench.open().await;
    assert_eq!(log.all(&stream, None, 100).await, before);
    assert_eq!(log.info(&stream).await, info);
    let again = log.append(&stream, vec![numbered("a", 20)], None).await.unwrap();
    assert!(again[0].duplicate, "ids are remembered across a restart");
    log.fill(&stream, "a", 1).await;
    assert_eq!(log.info(&stream).await.last, Sequence(21));
}

pub(crate) async fn streams_are_apart(bench: Bench) {
    let log = bench.open().await;
    let one = log.stream("one").await;
    let two = log.stream("two").await;
    log.fill(&one, "a", 5).await;
    log.fill(&two, "b", 3).await;
    log.fill(&one, "a", 2).await;
    assert_eq!(sequences(&log.all(&one, None, 2).await), (1..=7).collect::<Vec<_>>());
    assert_eq!(sequences(&log.all(&two, None, 2).await), (1..=3).collect::<Vec<_>>());
    assert!(log.all(&two, Some("a"), 10).await.is_empty());
}
