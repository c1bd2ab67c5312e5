//! Durable consumers: delivery, acknowledgement, what comes again and what is given up.
//!
//! Answers may be lost on the way, so what was fetched may have been fetched before, and what is
//! asserted is what must hold nonetheless.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use greenroom_event_log::{
    ConsumerConfig, EventLogError, Sequence, Start, StreamId, StreamLimits, SubjectFilter,
};
use tokio::{task::JoinSet, time::timeout};

use crate::bench::{Bench, Log, PATIENCE, numbered, sequences, sure};

const SHORT: Duration = Duration::from_millis(60);
const LONG: Duration = Duration::from_hours(1);

fn config(ack_wait: Duration, max_deliver: u32) -> ConsumerConfig {
    ConsumerConfig { ack_wait, max_deliver, ..ConsumerConfig::default() }
}

async fn filled(bench: &Bench, count: u64, config: ConsumerConfig) -> (Log, StreamId) {
    let log = bench.open().await;
    let stream = log.stream("s").await;
    log.fill(&stream, "a", count).await;
    log.put_consumer(&stream, "c", config).await;
    (log, stream)
}

pub(crate) async fn acknowledges(bench: Bench) {
    let (log, stream) = filled(&bench, 6, config(SHORT, 1_000)).await;
    log.fetch_all(&stream, "c", &[1, 2, 3, 4, 5, 6]).await;
    log.ack(&stream, "c", &[1, 2, 4]).await;
    let state = log.state(&stream, "c").await;
    assert_eq!((state.pending, state.lag, state.acked_floor), (3, 0, Sequence(2)));
    log.ack(&stream, "c", &[1, 99]).await;
    assert_eq!(log.state(&stream, "c").await.pending, 3, "what is not outstanding is passed over");
    log.ack(&stream, "c", &[3, 5, 6]).await;
    let state = log.state(&stream, "c").await;
    assert_eq!((state.pending, state.acked_floor, state.dead_letters), (0, Sequence(6), 0));
}

pub(crate) async fn gives_back(bench: Bench) {
    let (log, stream) = filled(&bench, 2, config(SHORT, 1_000)).await;
    log.fetch_all(&stream, "c", &[1, 2]).await;
    log.ack(&stream, "c", &[2]).await;
    log.nak(&stream, "c", 1, None).await;
    let started = Instant::now();
    loop {
        assert!(started.elapsed() < PATIENCE);
        let deliveries = log.fetch(&stream, "c", 10, PATIENCE).await.deliveries;
        if deliveries.iter().any(|delivery| delivery.entry.sequence.0 == 1 && delivery.attempt >= 2) {
            break;
        }
    }
    log.nak(&stream, "c", 77, Some(SHORT)).await;
    log.nak(&stream, "c", 1, Some(LONG)).await;
    assert_eq!(log.state(&stream, "c").await.pending, 1);
    log.ack(&stream, "c", &[1]).await;
    assert_eq!(log.state(&stream, "c").await.acked_floor, Sequence(2));
}

pub(crate) async fn comes_again(bench: Bench) {
    let (log, stream) = filled(&bench, 3, config(SHORT, 1_000)).await;
    let mut attempts = 0;
    let started = Instant::now();
    while attempts < 3 {
        assert!(started.elapsed() < PATIENCE);
        for delivery in log.fetch(&stream, "c", 10, PATIENCE).await.deliveries {
            match delivery.entry.sequence.0 {
                2 => attempts = delivery.attempt.max(attempts),
                other => log.ack(&stream, "c", &[other]).await,
            }
        }
    }
    assert_eq!(log.state(&stream, "c").await.acked_floor, Sequence(1));
    log.ack(&stream, "c", &[2]).await;
    assert_eq!(log.state(&stream, "c").await.acked_floor, Sequence(3));
}

pub(crate) async fn dead_letters(bench: Bench) {
    let (log, stream) = filled(&bench, 4, config(SHORT, 3)).await;
    let started = Instant::now();
    while log.state(&stream, "c").await.dead_letters < 4 {
        assert!(started.elapsed() < PATIENCE, "{:?}", log.state(&stream, "c").await);
        for delivery in log.fetch(&stream, "c", 10, SHORT).await.deliveries {
            assert!(delivery.attempt <= 3);
            if delivery.attempt == 3 {
                log.nak(&stream, "c", delivery.entry.sequence.0, None).await;
            }
        }
    }
    let state = log.state(&stream, "c").await;
    assert_eq!((state.pending, state.acked_floor), (0, Sequence(4)));
    // They are kept, whatever becomes of the stream's entries.
    log.create(&stream, StreamLimits { entries_max: 1, ..StreamLimits::default() }).await;
    log.fill(&stream, "b", 1).await;
    let letters = sure(|| log.log.dead_letters(&stream, "c", Sequence(2), 2)).await.unwrap();
    assert_eq!(letters.len(), 2);
    assert_eq!(letters[0].entry.sequence, Sequence(2));
    assert_eq!((letters[1].entry.payload.as_ref(), letters[1].attempts), (&b"3"[..], 3));
    assert_eq!(letters[1].entry.id.as_deref(), Some("a#3"));
    log.fetch_all(&stream, "c", &[5]).await;
}

pub(crate) async fn resumes_after_restart(bench: Bench) {
    let (log, stream) = filled(&bench, 10, config(SHORT, 1_000)).await;
    log.fetch_all(&stream, "c", &(1..=10).collect::<Vec<_>>()).await;
    log.ack(&stream, "c", &[1, 2, 3, 5, 9, 10]).await;
    let before = log.state(&stream, "c").await;
    log.close().await;
    let log = bench.open().await;
    assert_eq!(log.state(&stream, "c").await, before);
    assert_eq!((before.pending, before.acked_floor), (4, Sequence(3)));
    let seen = log.fetch_all(&stream, "c", &[4, 6, 7, 8]).await;
    assert!(seen.keys().all(|sequence| [4, 6, 7, 8].contains(sequence)), "{seen:?}");
    assert!(seen.values().all(|attempt| *attempt >= 2), "{seen:?}");
    log.ack(&stream, "c", &[4, 6, 7, 8]).await;
    assert_eq!(log.state(&stream, "c").await.acked_floor, Sequence(10));
}

pub(crate) async fn attempts_survive_restart(bench: Bench) {
    let (mut log, stream) = filled(&bench, 1, config(SHORT, 4)).await;
    let started = Instant::now();
    let mut highest = 0;
    while log.state(&stream, "c").await.dead_letters == 0 {
        assert!(started.elapsed() < PATIENCE);
        for delivery in log.fetch(&stream, "c", 1, SHORT * 2).await.deliveries {
            assert!(delivery.attempt >= highest && delivery.attempt <= 4);
            highest = delivery.attempt;
        }
        log.close().await;
        log = bench.open().await;
        log.fetch(&stream, "c", 1, SHORT * 2).await;
    }
    let letters = sure(|| log.log.dead_letters(&stream, "c", Sequence(1), 10)).await.unwrap();
    assert_eq!(letters[0].attempts, 4);
}

pub(crate) async fn lag(bench: Bench) {
    let (log, stream) = filled(&bench, 8, config(LONG, 5)).await;
    assert_eq!(log.state(&stream, "c").await.lag, 8);
    let started = Instant::now();
    while log.state(&stream, "c").await.lag > 5 {
        assert!(started.elapsed() < PATIENCE);
        log.fetch(&stream, "c", 3, Duration::ZERO).await;
    }
    let state = log.state(&stream, "c").await;
    assert_eq!(state.pending + state.lag, 8);
    log.fill(&stream, "a", 2).await;
    assert_eq!(log.state(&stream, "c").await.lag, state.lag + 2);
    let all = sure(|| log.log.consumers(&stream)).await.unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].name, "c");
}

pub(crate) async fn gap_is_told_until_noticed(bench: Bench) {
    let log = bench.open().await;
    let stream = StreamId::new("s").unwrap();
    log.create(&stream, StreamLimits { entries_max: 5, ..StreamLimits::default() }).await;
    log.put_consumer(&stream, "c", config(SHORT, 1_000)).await;
    log.fill(&stream, "a", 12).await;
    let started = Instant::now();
    loop {
        assert!(started.elapsed() < PATIENCE, "a gap is never silence");
        let fetched = log.fetch(&stream, "c", 2, SHORT).await;
        if fetched.gap == Some((Sequence(1), Sequence(7))) {
            break;
        }
    }
    let fetched = log.fetch_all(&stream, "c", &[8, 9, 10, 11, 12]).await;
    assert_eq!(fetched.len(), 5);
    log.ack(&stream, "c", &[8, 9, 10, 11, 12]).await;
    log.fill(&stream, "a", 1).await;
    assert_eq!(log.fetch(&stream, "c", 10, SHORT).await.gap, None, "it was noticed");
}

pub(crate) async fn several_fetches_share(bench: Bench) {
    let (log, stream) = filled(&bench, 200, config(Duration::from_secs(2), 1_000)).await;
    let mut workers = JoinSet::new();
    for _ in 0..4 {
        let (log, stream) = (log.clone(), stream.clone());
        workers.spawn(async move {
            let mut seen = Vec::new();
            let started = Instant::now();
            while log.state(&stream, "c").await.acked_floor < Sequence(200) {
                assert!(started.elapsed() < PATIENCE);
                let deliveries = log.fetch(&stream, "c", 9, SHORT).await.deliveries;
                let first: Vec<_> =
                    deliveries.iter().filter(|d| d.attempt == 1).map(|d| d.entry.sequence.0).collect();
                let all: Vec<_> = deliveries.iter().map(|delivery| delivery.entry.sequence.0).collect();
                assert!(all.is_sorted());
                log.ack(&stream, "c", &all).await;
                seen.extend(first);
            }
            seen
        });
    }
    let seen: Vec<_> = workers.join_all().await.into_iter().flatten().collect();
    let once: BTreeSet<_> = seen.iter().copied().collect();
    if !bench.is_faulty() {
        assert_eq!(seen.len(), 200, "nothing was delivered to two");
        assert_eq!(once, (1..=200).collect());
    }
}

pub(crate) async fn waits_for_entries(bench: Bench) {
    let (log, stream) = filled(&bench, 0, config(SHORT, 1_000)).await;
    assert!(log.fetch(&stream, "c", 10, Duration::ZERO).await.deliveries.is_empty());
    let fetch = async {
        loop {
            let fetched = log.fetch(&stream, "c", 10, PATIENCE).await;
            if !fetched.deliveries.is_empty() {
                return fetched;
            }
        }
    };
    let (fetched, ()) =
        timeout(PATIENCE, async { tokio::join!(fetch, log.fill(&stream, "a", 1)) }).await.unwrap();
    assert_eq!(fetched.deliveries[0].entry.sequence, Sequence(1));
}

pub(crate) async fn changed_filter_keeps_the_place(bench: Bench) {
    let log = bench.open().await;
    let stream = log.stream("s").await;
    let filtered =
        |text| ConsumerConfig { filter: Some(SubjectFilter::parse(text).unwrap()), ..config(SHORT, 1_000) };
    log.put_consumer(&stream, "c", filtered("a.*")).await;
    for number in 1..=4 {
        log.append(&stream, vec![numbered(if number % 2 == 0 { "b.x" } else { "a.x" }, number)], None)
            .await
            .unwrap();
    }
    let seen = log.fetch_all(&stream, "c", &[1, 3]).await;
    assert_eq!(seen.len(), 2);
    log.ack(&stream, "c", &[1, 3]).await;
    log.put_consumer(&stream, "c", filtered("b.*")).await;
    assert_eq!(log.state(&stream, "c").await.config, filtered("b.*"));
    for number in 5..=8 {
        log.append(&stream, vec![numbered(if number % 2 == 0 { "b.x" } else { "a.x" }, number)], None)
            .await
            .unwrap();
    }
    let mut wanted = log.fetch_all(&stream, "c", &[6, 8]).await;
    // Passed over under the old filter, unless the consumer had not come to it yet.
    wanted.remove(&4);
    if bench.is_faulty() {
        wanted.retain(|sequence, _| *sequence > 4);
    }
    assert_eq!(wanted.into_keys().collect::<Vec<_>>(), [6, 8]);
}

pub(crate) async fn starts(bench: Bench) {
    let log = bench.open().await;
    let stream = log.stream("s").await;
    log.fill(&stream, "a", 5).await;
    for (name, start, lag) in
        [("first", Start::First, 5), ("next", Start::Next, 0), ("at", Start::At(Sequence(4)), 2)]
    {
        log.put_consumer(&stream, name, ConsumerConfig { start, ..config(SHORT, 1_000) }).await;
        assert_eq!(log.state(&stream, name).await.lag, lag, "{name}");
    }
    log.fill(&stream, "a", 1).await;
    let first = |name| {
        let (log, stream) = (log.clone(), stream.clone());
        async move { *log.fetch_all(&stream, name, &[6]).await.keys().next().unwrap() }
    };
    assert_eq!(first("first").await, 1);
    assert_eq!(first("next").await, 6);
    assert_eq!(first("at").await, 4);
    assert_eq!(sequences(&log.all(&stream, None, 10).await).len(), 6, "consuming takes nothing away");
}

pub(crate) async fn limit_of_consumers(bench: Bench) {
    let log = bench.open().await;
    let stream = StreamId::new("s").unwrap();
    log.create(&stream, StreamLimits { consumers_max: 2, ..StreamLimits::default() }).await;
    log.put_consumer(&stream, "one", config(SHORT, 5)).await;
    log.put_consumer(&stream, "two", config(SHORT, 5)).await;
    log.put_consumer(&stream, "two", config(SHORT, 5)).await;
    let third = sure(|| log.log.put_consumer(&stream, "three", config(SHORT, 5))).await;
    assert!(matches!(third, Err(EventLogError::LimitReached(_))));
    let odd = sure(|| log.log.put_consumer(&stream, "a b", config(SHORT, 5))).await;
    assert!(matches!(odd, Err(EventLogError::Malformed(_))));
    let odd = sure(|| log.log.put_consumer(&stream, "one", config(SHORT, 0))).await;
    assert!(matches!(odd, Err(EventLogError::Malformed(_))));
}

pub(crate) async fn deleted(bench: Bench) {
    let (log, stream) = filled(&bench, 2, config(SHORT, 5)).await;
    log.fetch_all(&stream, "c", &[1, 2]).await;
    log.ack(&stream, "c", &[1, 2]).await;
    let waiting = async { sure(|| log.log.fetch(&stream, "c", 1, PATIENCE)).await };
    let delete = async {
        let answer = sure(|| log.log.delete_consumer(&stream, "c")).await;
        assert!(matches!(answer, Ok(()) | Err(EventLogError::NoConsumer)), "{answer:?}");
    };
    let (fetched, ()) = timeout(PATIENCE, async { tokio::join!(waiting, delete) }).await.unwrap();
    assert!(bench.is_faulty() || fetched == Err(EventLogError::NoConsumer), "{fetched:?}");
    assert_eq!(sure(|| log.log.consumer_state(&stream, "c")).await, Err(EventLogError::NoConsumer));
    log.put_consumer(&stream, "c", config(SHORT, 5)).await;
    assert_eq!(log.state(&stream, "c").await.lag, 2, "it begins anew");
}
