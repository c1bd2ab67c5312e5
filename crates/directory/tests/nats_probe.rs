//! Tries on a real nats-server what the directory's contract would ask of it, so that the contract
//! can be kept there too. What was learned stands at the contract, in `src/engine.rs`.
#![expect(clippy::unwrap_used, reason = "what goes wrong in a test fails it")]

use std::{collections::BTreeSet, time::Duration};

use async_nats::{
    Client, HeaderMap,
    jetstream::{
        self,
        kv::{Entry, Operation, Store, Watch},
        stream,
    },
};
use bytes::Bytes;
use futures_util::StreamExt;
use greenroom_directory::COMMIT_CHANGES_MAX;
use greenroom_test_support::engines::{self, NatsServer};
use serde::Deserialize;
use tokio::time::timeout;

const WRONG_LAST_SEQUENCE: u64 = 10_071;
const PATIENCE: Duration = Duration::from_mins(1);

/// How JetStream answers a publish.
#[derive(Debug, Deserialize)]
struct Ack {
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    count: u64,
    error: Option<AckError>,
}

#[derive(Debug, Deserialize)]
struct AckError {
    err_code: u64,
    description: String,
}

#[derive(Clone, Copy)]
struct Put<'a> {
    id: &'a str,
    value: &'a str,
    expected: Option<u64>,
    ttl: Option<&'a str>,
    deletes: bool,
}

fn put<'a>(id: &'a str, value: &'a str, expected: Option<u64>) -> Put<'a> {
    Put { id, value, expected, ttl: None, deletes: false }
}

struct Probe {
    _server: NatsServer,
    client: Client,
    jetstream: jetstream::Context,
    store: Store,
    batches: u64,
}

impl Probe {
    /// A stream as a partition would be. `None` where there is no nats-server.
    async fn start(test: &str) -> Option<Self> {
        let server = engines::nats(test)?;
        let client = async_nats::connect(server.url()).await.unwrap();
        let version = client.server_info().version;
        let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
        let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        assert!(version >= (2, 12), "nats-server is {version:?}, the directory needs 2.12");
        let jetstream = jetstream::new(client.clone());
        let stream = stream::Config {
            name: "KV_skirmish".to_owned(),
            subjects: vec!["$KV.skirmish.>".to_owned()],
            max_messages_per_subject: 1,
            discard: stream::DiscardPolicy::New,
            allow_rollup: true,
            allow_direct: true,
            allow_message_ttl: true,
            allow_atomic_publish: true,
            subject_delete_marker_ttl: Some(Duration::from_secs(2)),
            ..stream::Config::default()
        };
        jetstream.create_stream(stream).await.unwrap();
        let store = jetstream.get_key_value("skirmish").await.unwrap();
        Some(Self { _server: server, client, jetstream, store, batches: 0 })
    }

    /// One atomic batch: all but the last are sent without an answer.
    async fn commit(&mut self, puts: &[Put<'_>]) -> Ack {
        self.batches += 1;
        for (index, put) in puts.iter().enumerate() {
            let mut headers = HeaderMap::new();
            headers.insert("Nats-Batch-Id", format!("batch-{}", self.batches));
            headers.insert("Nats-Batch-Sequence", (index + 1).to_string());
            if let Some(expected) = put.expected {
                headers.insert("Nats-Expected-Last-Subject-Sequence", expected.to_string());
            }
            if let Some(ttl) = put.ttl {
                headers.insert("Nats-TTL", ttl);
            }
            if put.deletes {
                headers.insert("KV-Operation", "DEL");
            }
            let subject = format!("$KV.skirmish.{}", put.id);
            let value = Bytes::from(put.value.to_owned());
            if index + 1 < puts.len() {
                self.client.publish_with_headers(subject, headers, value).await.unwrap();
                continue;
            }
            headers.insert("Nats-Batch-Commit", "1");
            let answer = self.client.request_with_headers(subject, headers, value).await.unwrap();
            return serde_json::from_slice(&answer.payload).unwrap();
        }
        panic!("an empty batch")
    }

    async fn value(&self, id: &str) -> Option<String> {
        let value = self.store.get(id).await.unwrap();
        value.map(|value| String::from_utf8(value.to_vec()).unwrap())
    }
}

async fn next(watch: &mut Watch) -> Entry {
    timeout(PATIENCE, watch.next()).await.expect("a notice in time").unwrap().unwrap()
}

#[tokio::test]
async fn a_batch_with_an_expectation_for_each_key_is_applied_whole_or_not_at_all() {
    let name = "a_batch_with_an_expectation_for_each_key_is_applied_whole_or_not_at_all";
    let Some(mut probe) = Probe::start(name).await else { return };
    let mut watch = probe.store.watch_all().await.unwrap();

    let absent = Some(0);
    let ack = probe
        .commit(&[put("lobby.a", "1", absent), put("code.X", "1", absent), put("seat.p", "1", absent)])
        .await;
    assert!(ack.error.is_none(), "{ack:?}");
    // The revisions are the last `count` sequences.
    assert_eq!((ack.seq, ack.count), (3, 3));
    for (revision, id) in [(1, "lobby.a"), (2, "code.X"), (3, "seat.p")] {
        assert_eq!(probe.store.entry(id).await.unwrap().unwrap().revision, revision);
    }

    // Stale at the beginning, in the middle, at the end.
    for stale in 0..3 {
        let mut puts =
            [put("lobby.a", "2", Some(1)), put("code.X", "2", Some(2)), put("seat.p", "2", Some(3))];
        puts[stale].expected = Some(99);
        let error = probe.commit(&puts).await.error.expect("a refusal");
        assert_eq!(error.err_code, WRONG_LAST_SEQUENCE);
        // It tells the sequence that stands, not the key.
        assert!(error.description.contains("wrong last sequence"), "{}", error.description);
    }
    for id in ["lobby.a", "code.X", "seat.p"] {
        assert_eq!(probe.value(id).await.unwrap(), "1");
    }
    let ack = probe.commit(&[put("lobby.a", "2", Some(1)), put("seat.p", "2", None)]).await;
    assert_eq!((ack.seq, ack.count), (5, 2), "refused batches take no sequence");

    // Watchers see batches in order, and nothing of what was refused.
    let mut told = Vec::new();
    while told.last() != Some(&(5, "seat.p".to_owned())) {
        let entry = next(&mut watch).await;
        told.push((entry.revision, entry.key));
    }
    let told: Vec<_> = told.iter().map(|(revision, key)| (*revision, key.as_str())).collect();
    let all = [(1, "lobby.a"), (2, "code.X"), (3, "seat.p"), (4, "lobby.a"), (5, "seat.p")];
    assert_eq!(told, all);

    let many: Vec<String> = (0..COMMIT_CHANGES_MAX).map(|n| format!("many.{n}")).collect();
    let ack = probe.commit(&many.iter().map(|id| put(id, "x", absent)).collect::<Vec<_>>()).await;
    assert_eq!(ack.count, COMMIT_CHANGES_MAX as u64, "{ack:?}");
}

#[tokio::test]
async fn a_deleted_key_is_expected_at_its_marker() {
    let Some(mut probe) = Probe::start("a_deleted_key_is_expected_at_its_marker").await else { return };
    let created = probe.commit(&[put("lobby.a", "1", Some(0))]).await.seq;
    let delete = Put { deletes: true, ..put("lobby.a", "", Some(created)) };
    let deleted = probe.commit(&[delete]).await.seq;
    assert_eq!(probe.value("lobby.a").await, None);
    // So `Expected::Absent` is: read the marker, expect its sequence, else 0.
    let refused = probe.commit(&[put("lobby.a", "2", Some(0))]).await;
    assert_eq!(refused.error.expect("a refusal").err_code, WRONG_LAST_SEQUENCE);
    let anew = probe.commit(&[put("lobby.a", "2", Some(deleted))]).await;
    assert!(anew.error.is_none() && anew.seq > deleted, "{anew:?}");
}

#[tokio::test]
async fn concurrent_updates_of_a_key_conflict() {
    let Some(probe) = Probe::start("concurrent_updates_of_a_key_conflict").await else { return };
    let first = probe.store.create("lobby.a", "1".into()).await.unwrap();
    let tries = (0..8).map(|n| probe.store.update("lobby.a", format!("by {n}").into(), first));
    let results = futures_util::future::join_all(tries).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
    let lost = results.into_iter().find_map(Result::err).unwrap();
    assert_eq!(lost.kind(), jetstream::kv::UpdateErrorKind::WrongLastRevision);
}

#[tokio::test]
async fn expiry_is_told_to_watchers_and_frees_the_key() {
    let Some(mut probe) = Probe::start("expiry_is_told_to_watchers_and_frees_the_key").await else { return };
    let mut watch = probe.store.watch_all().await.unwrap();
    let passes = Put { ttl: Some("1s"), ..put("lease.a", "passes", Some(0)) };
    let prolonged = Put { ttl: Some("1s"), ..put("lease.b", "is renewed", Some(0)) };
    let ack = probe.commit(&[passes, prolonged]).await;
    assert!(ack.error.is_none(), "a time to live within a batch: {ack:?}");
    let renewed = Put { ttl: Some("600s"), ..put("lease.b", "renewed", Some(2)) };
    assert!(probe.commit(&[renewed]).await.error.is_none());
    let marker = loop {
        let entry = next(&mut watch).await;
        if entry.operation != Operation::Put {
            break entry;
        }
    };
    assert_eq!((marker.key.as_str(), marker.operation), ("lease.a", Operation::Purge));
    assert!(marker.revision > 3, "the marker has a sequence of its own");
    assert_eq!(probe.value("lease.a").await, None);
    assert_eq!(probe.value("lease.b").await.unwrap(), "renewed");
    let taken = probe.commit(&[put("lease.a", "taken over", Some(marker.revision))]).await;
    assert!(taken.error.is_none() && taken.seq > marker.revision, "{taken:?}");
}

#[tokio::test]
async fn a_watch_begins_with_what_stands_and_skips_older_states() {
    let name = "a_watch_begins_with_what_stands_and_skips_older_states";
    let Some(probe) = Probe::start(name).await else { return };
    for n in 0..5 {
        probe.store.put("lobby.a", format!("{n}").into()).await.unwrap();
    }
    probe.store.put("lobby.b", "b".into()).await.unwrap();
    probe.store.put("room.c", "c".into()).await.unwrap();
    let mut watch = probe.store.watch_many_with_history(["lobby.>", "room.>"]).await.unwrap();
    let mut told = BTreeSet::new();
    loop {
        let entry = next(&mut watch).await;
        told.insert((entry.key, String::from_utf8(entry.value.to_vec()).unwrap()));
        // Nothing is left to tell: this is where `Notice::Current` goes.
        if entry.delta == 0 {
            break;
        }
    }
    let stands = [("lobby.a", "4"), ("lobby.b", "b"), ("room.c", "c")];
    assert_eq!(told, stands.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
}

#[tokio::test]
async fn an_append_at_an_expected_sequence_is_refused_when_another_came_first() {
    let name = "an_append_at_an_expected_sequence_is_refused_when_another_came_first";
    let Some(probe) = Probe::start(name).await else { return };
    let config = stream::Config {
        name: "EVENTS".to_owned(),
        subjects: vec!["events.>".to_owned()],
        ..Default::default()
    };
    probe.jetstream.create_stream(config).await.unwrap();
    let append = async |expected: u64| {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Expected-Last-Sequence", expected.to_string());
        let answer = probe.client.request_with_headers("events.a", headers, "event".into()).await.unwrap();
        serde_json::from_slice::<Ack>(&answer.payload).unwrap()
    };
    assert_eq!(append(0).await.seq, 1);
    assert_eq!(append(1).await.seq, 2);
    assert_eq!(append(1).await.error.expect("a refusal").err_code, WRONG_LAST_SEQUENCE);
    assert_eq!(append(2).await.seq, 3);
}
