//! Limits: what goes, what is refused, and how the loss is told.

use std::time::Instant;

use greenroom_event_log::{
    ENTRY_OVERHEAD_BYTES, EventLogError, NewEntry, Sequence, StreamId, StreamLimits, WhenFull,
};

use crate::bench::{Bench, PATIENCE, numbered, sequences, subject, sure};

pub(crate) async fn oldest_go_and_the_gap_is_told(bench: Bench) {
    let log = bench.open().await;
    let stream = StreamId::new("s").unwrap();
    log.create(&stream, StreamLimits { entries_max: 10, ..StreamLimits::default() }).await;
    log.fill(&stream, "a", 25).await;
    let info = log.info(&stream).await;
    assert_eq!((info.first, info.last, info.entries), (Sequence(16), Sequence(25), 10));
    let page = log.page(&stream, 1, None, 100).await;
    assert_eq!(page.gap, Some((Sequence(1), Sequence(15))));
    assert_eq!(sequences(&page.entries), (16..=25).collect::<Vec<_>>());
    assert_eq!(log.page(&stream, 16, None, 100).await.gap, None);
    assert_eq!(log.page(&stream, 15, None, 100).await.gap, Some((Sequence(15), Sequence(15))));
}

pub(crate) async fn bytes(bench: Bench) {
    let log = bench.open().await;
    let stream = StreamId::new("s").unwrap();
    let size = 1_000 + 1 + ENTRY_OVERHEAD_BYTES;
    log.create(&stream, StreamLimits { bytes_max: size * 4 + 10, ..StreamLimits::default() }).await;
    for number in 0..9 {
        let entry = NewEntry::new(subject("a"), vec![0; 1_000]).with_id(format!("{number}"));
        log.append(&stream, vec![entry], None).await.unwrap();
    }
    let info = log.info(&stream).await;
    assert_eq!((info.first, info.entries, info.bytes), (Sequence(6), 4, size * 4));
    let heavy = NewEntry::new(subject("a"), vec![0; 5_000]).with_id("heavy");
    assert!(matches!(log.append(&stream, vec![heavy], None).await, Err(EventLogError::TooLarge(_))));
    assert_eq!(log.info(&stream).await.entries, 4, "nothing goes for what cannot stay");
}

pub(crate) async fn refuse(bench: Bench) {
    let log = bench.open().await;
    let stream = StreamId::new("s").unwrap();
    let limits = StreamLimits { entries_max: 5, when_full: WhenFull::Refuse, ..StreamLimits::default() };
    log.create(&stream, limits).await;
    log.fill(&stream, "a", 4).await;
    let two = vec![numbered("b", 1), numbered("b", 2)];
    assert_eq!(log.append(&stream, two, None).await, Err(EventLogError::Full), "all or nothing");
    log.fill(&stream, "a", 1).await;
    assert_eq!(log.append(&stream, vec![numbered("b", 1)], None).await, Err(EventLogError::Full));
    let again = log.append(&stream, vec![numbered("a", 5)], None).await.unwrap();
    assert!(again[0].duplicate, "a retry needs no room");
    log.create(&stream, StreamLimits { entries_max: 6, ..limits }).await;
    log.append(&stream, vec![numbered("b", 1)], None).await.unwrap();
    assert_eq!(log.info(&stream).await.first, Sequence(1));
}

pub(crate) async fn lowered(bench: Bench) {
    let log = bench.open().await;
    let stream = log.stream("s").await;
    for block in 0..3_u64 {
        let batch = (0..1_000).map(|place| numbered("a", block * 1_000 + place)).collect();
        log.append(&stream, batch, None).await.unwrap();
    }
    log.create(&stream, StreamLimits { entries_max: 7, ..StreamLimits::default() }).await;
    let started = Instant::now();
    while log.info(&stream).await.entries > 7 {
        assert!(started.elapsed() < PATIENCE, "{:?}", log.info(&stream).await);
        tokio::task::yield_now().await;
    }
    let page = log.page(&stream, 1, None, 100).await;
    assert_eq!(page.gap, Some((Sequence(1), Sequence(2_993))));
    assert_eq!(sequences(&page.entries), (2_994..=3_000).collect::<Vec<_>>());
}

pub(crate) async fn deleted_stream_begins_anew(bench: Bench) {
    let log = bench.open().await;
    let stream = log.stream("s").await;
    log.fill(&stream, "a", 5).await;
    let waiting = {
        let (log, stream) = (log.clone(), stream.clone());
        async move { sure(|| log.log.wait_past(&stream, Sequence(5))).await }
    };
    let delete = async {
        let answer = sure(|| log.log.delete_stream(&stream)).await;
        // After an unknown outcome the retry finds it gone.
        assert!(matches!(answer, Ok(()) | Err(EventLogError::NoStream)), "{answer:?}");
    };
    let (tail, ()) = tokio::time::timeout(PATIENCE, async { tokio::join!(waiting, delete) }).await.unwrap();
    assert_eq!(tail, Err(EventLogError::NoStream));
    assert_eq!(sure(|| log.log.info(&stream)).await, Err(EventLogError::NoStream));
    log.create(&stream, StreamLimits::default()).await;
    let first = log.append(&stream, vec![numbered("a", 5)], None).await.unwrap();
    assert_eq!(first[0].sequence, Sequence(1));
    assert!(!first[0].duplicate || bench.is_faulty(), "its ids are gone too; only a retry is a duplicate");
    assert_eq!(log.all(&stream, None, 10).await.len(), 1);
}
