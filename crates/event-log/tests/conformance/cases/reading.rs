//! Reading: filters, pages, tails.

use greenroom_event_log::{EventLogError, Sequence, StreamId};
use tokio::time::timeout;

use crate::bench::{Bench, PATIENCE, numbered, sequences, sure};

pub(crate) async fn filters(bench: Bench) {
    let log = bench.open().await;
    let stream = log.stream("s").await;
    for (number, on) in
        ["v1.g.servers.a.events.started", "v1.g.servers.b.events.started", "v1.g.rooms.a.events.x"]
            .iter()
            .cycle()
            .take(9)
            .enumerate()
    {
        log.append(&stream, vec![numbered(on, number as u64)], None).await.unwrap();
    }
    let select = async |filter| sequences(&log.all(&stream, Some(filter), 2).await);
    assert_eq!(select(">").await.len(), 9);
    assert_eq!(select("v1.g.servers.a.events.started").await, [1, 4, 7]);
    assert_eq!(select("v1.*.servers.>").await, [1, 2, 4, 5, 7, 8]);
    assert_eq!(select("v1.*.*.a.>").await, [1, 3, 4, 6, 7, 9]);
    assert_eq!(select("*.*.*.b.*.*").await, [2, 5, 8]);
    assert!(select("v1.g.servers").await.is_empty());
    assert!(select("v2.>").await.is_empty());
}

/// A stream long enough that an engine may search it by subject.
pub(crate) async fn filters_by_index(bench: Bench) {
    let log = bench.open().await;
    let stream = log.stream("s").await;
    for block in 0..30_u64 {
        let batch = (0..100)
            .map(|place| {
                let number = block * 100 + place;
                let on = match number % 500 {
                    17 => "v1.g.rare.one".to_owned(),
                    18 => "v1.g.rare.two".to_owned(),
                    _ => format!("v1.g.common.p{}", number % 50),
                };
                numbered(&on, number)
            })
            .collect();
        log.append(&stream, batch, None).await.unwrap();
    }
    let whole = log.all(&stream, None, 1_000).await;
    for filter in
        ["v1.g.rare.one", "v1.g.rare.*", "v1.g.common.p7", "v1.g.common.>", "*.g.rare.>", "v1.g.none", "v1.>"]
    {
        let parsed = greenroom_event_log::SubjectFilter::parse(filter).unwrap();
        let wanted: Vec<_> = whole
            .iter()
            .filter(|entry| parsed.matches(&entry.subject))
            .map(|entry| entry.sequence.0)
            .collect();
        for limit in [1_000, 5] {
            assert_eq!(
                sequences(&log.all(&stream, Some(filter), limit).await),
                wanted,
                "{filter} by {limit}"
            );
        }
    }
}

pub(crate) async fn pages(bench: Bench) {
    let log = bench.open().await;
    let stream = log.stream("s").await;
    let empty = log.page(&stream, 1, None, 10).await;
    assert_eq!((empty.entries.len(), empty.next, empty.gap, empty.end), (0, Sequence(1), None, true));
    log.fill(&stream, "a", 10).await;
    let page = log.page(&stream, 3, None, 4).await;
    assert_eq!(sequences(&page.entries), [3, 4, 5, 6]);
    assert_eq!((page.next, page.gap, page.end), (Sequence(7), None, false));
    let page = log.page(&stream, page.next.0, None, 4).await;
    assert_eq!((page.next, page.end), (Sequence(11), true));
    let page = log.page(&stream, 0, None, 1).await;
    assert_eq!((sequences(&page.entries), page.gap), (vec![1], None));
    let beyond = log.page(&stream, 50, None, 4).await;
    assert_eq!((beyond.entries.len(), beyond.next, beyond.end), (0, Sequence(50), true));
}

pub(crate) async fn tail(bench: Bench) {
    let log = bench.open().await;
    let stream = log.stream("s").await;
    let tail = {
        let (log, stream) = (log.clone(), stream.clone());
        async move {
            let (mut seen, mut from) = (Vec::new(), 1);
            while seen.len() < 30 {
                let last = sure(|| log.log.wait_past(&stream, Sequence(from - 1))).await.unwrap();
                assert!(last.0 >= from);
                let page = log.page(&stream, from, None, 100).await;
                assert!(!page.entries.is_empty(), "what a tail is told of can be read");
                seen.extend(sequences(&page.entries));
                from = page.next.0;
            }
            seen
        }
    };
    let (seen, ()) =
        timeout(PATIENCE, async { tokio::join!(tail, log.fill(&stream, "a", 30)) }).await.unwrap();
    assert_eq!(seen, (1..=30).collect::<Vec<_>>());
}

pub(crate) async fn unknown_stream(bench: Bench) {
    let log = bench.open().await;
    let stream = StreamId::new("nowhere").unwrap();
    assert_eq!(log.append(&stream, vec![numbered("a", 1)], None).await, Err(EventLogError::NoStream));
    assert_eq!(sure(|| log.log.read(&stream, Sequence(1), None, 1)).await, Err(EventLogError::NoStream));
    assert_eq!(sure(|| log.log.info(&stream)).await, Err(EventLogError::NoStream));
    assert_eq!(sure(|| log.log.wait_past(&stream, Sequence(0))).await, Err(EventLogError::NoStream));
    assert_eq!(sure(|| log.log.delete_stream(&stream)).await, Err(EventLogError::NoStream));
    let stream = log.stream("here").await;
    assert_eq!(sure(|| log.log.consumer_state(&stream, "nobody")).await, Err(EventLogError::NoConsumer));
    assert_eq!(sure(|| log.log.ack(&stream, "nobody", &[Sequence(1)])).await, Err(EventLogError::NoConsumer));
}
