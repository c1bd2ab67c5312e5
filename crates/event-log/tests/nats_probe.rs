//! Whether NATS JetStream keeps what the port promises, asked of a real server: the ground on which
//! the contract was fixed, until the engine on it runs the conformance suite.
#![expect(clippy::unwrap_used, reason = "helpers stand outside the functions that clippy knows as tests")]

use std::time::Duration;

use async_nats::jetstream::{
    self, AckKind, Context,
    consumer::{AckPolicy, PullConsumer, pull},
    context::PublishErrorKind,
    message::PublishMessage,
    stream::{Config, DiscardPolicy, Stream},
};
use futures_util::StreamExt;
use greenroom_test_support::engines::{NatsServer, nats};

async fn connect(server: &NatsServer) -> Context {
    jetstream::new(async_nats::connect(server.url()).await.unwrap())
}

async fn stream(context: &Context, config: Config) -> Stream {
    let config = Config {
        name: "studio_demo".into(),
        subjects: vec!["v1.>".into()],
        duplicate_window: Duration::from_hours(1),
        allow_direct: true,
        ..config
    };
    context.create_stream(config).await.unwrap()
}

async fn publish(context: &Context, message: PublishMessage) -> Result<(u64, bool), PublishErrorKind> {
    let sent =
        context.send_publish("v1.g.servers.a.events.x", message).await.map_err(|error| error.kind())?;
    let answer = sent.await.map_err(|error| error.kind())?;
    Ok((answer.sequence, answer.duplicate))
}

fn message(text: &str) -> PublishMessage {
    PublishMessage::build().payload(text.to_owned().into())
}

#[tokio::test]
async fn sequences_expectations_and_duplicates() {
    let Some(server) = nats("sequences_expectations_and_duplicates") else { return };
    let context = connect(&server).await;
    let stream = stream(&context, Config::default()).await;
    for sequence in 1..=3_u64 {
        let message = message("x").message_id(format!("id-{sequence}")).expected_last_sequence(sequence - 1);
        assert_eq!(publish(&context, message).await, Ok((sequence, false)));
    }
    let wrong = publish(&context, message("x").message_id("id-4").expected_last_sequence(1)).await;
    assert_eq!(wrong, Err(PublishErrorKind::WrongLastSequence));
    // The expectation is checked before the duplicate window. So that a retry is answered like the
    // first try, the engine looks whether what stands after the expected entry bears the ids.
    let again = publish(&context, message("x").message_id("id-2").expected_last_sequence(1)).await;
    assert_eq!(again, Err(PublishErrorKind::WrongLastSequence));
    let standing = stream.direct_get(2).await.unwrap();
    assert_eq!(standing.headers.get("Nats-Msg-Id").map(async_nats::HeaderValue::as_str), Some("id-2"));
    // Without an expectation the window answers.
    assert_eq!(publish(&context, message("x").message_id("id-2")).await, Ok((2, true)));
    assert_eq!(
        publish(&context, message("x").message_id("id-4")).await,
        Ok((4, false)),
        "refused ids are free"
    );
    assert_eq!(stream.get_info().await.unwrap().state.messages, 4);
    assert_eq!(stream.direct_get(3).await.unwrap().sequence, 3);
    let next = stream.direct_get_next_for_subject("v1.*.servers.>", Some(2)).await.unwrap();
    assert_eq!(next.sequence, 2);
}

#[tokio::test]
async fn limits_drop_the_oldest_or_refuse() {
    let Some(server) = nats("limits_drop_the_oldest_or_refuse") else { return };
    let context = connect(&server).await;
    let dropping =
        stream(&context, Config { max_messages: 3, discard: DiscardPolicy::Old, ..Config::default() }).await;
    for sequence in 1..=5 {
        assert_eq!(publish(&context, message("x")).await, Ok((sequence, false)));
    }
    let state = dropping.get_info().await.unwrap().state;
    assert_eq!((state.first_sequence, state.last_sequence, state.messages), (3, 5, 3));
    // Limits change while it runs.
    let config =
        Config { max_messages: 4, discard: DiscardPolicy::New, ..dropping.get_info().await.unwrap().config };
    context.update_stream(config).await.unwrap();
    assert_eq!(publish(&context, message("x")).await, Ok((6, false)));
    assert!(publish(&context, message("x")).await.is_err(), "full");
    assert_eq!(
        dropping.get_info().await.unwrap().state.last_sequence,
        6,
        "a refused message takes no sequence"
    );
}

#[tokio::test]
async fn durable_pull_consumers() {
    let Some(server) = nats("durable_pull_consumers") else { return };
    let context = connect(&server).await;
    let stream = stream(&context, Config::default()).await;
    for _ in 0..3 {
        publish(&context, message("x")).await.unwrap();
    }
    let client = async_nats::connect(server.url()).await.unwrap();
    let mut advisories = client.subscribe("$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>").await.unwrap();
    client.flush().await.unwrap();
    let config = pull::Config {
        durable_name: Some("c".into()),
        ack_policy: AckPolicy::Explicit,
        ack_wait: Duration::from_secs(2),
        max_deliver: 2,
        max_ack_pending: 4_096,
        filter_subject: "v1.*.servers.>".into(),
        ..pull::Config::default()
    };
    let consumer: PullConsumer = stream.create_consumer(config.clone()).await.unwrap();
    // The same again is no error, and a changed one keeps its place.
    let mut consumer_again: PullConsumer = stream.create_consumer(config).await.unwrap();

    let fetch = async |count| {
        let mut batch =
            consumer.batch().max_messages(count).expires(Duration::from_secs(30)).messages().await.unwrap();
        let mut messages = Vec::new();
        while messages.len() < count
            && let Some(message) = batch.next().await
        {
            messages.push(message.unwrap());
        }
        messages
    };
    let first = fetch(3).await;
    let places: Vec<_> =
        first.iter().map(|m| (m.info().unwrap().stream_sequence, m.info().unwrap().delivered)).collect();
    assert_eq!(places, [(1, 1), (2, 1), (3, 1)]);
    first[1].double_ack().await.unwrap();
    first[2].ack_with(AckKind::Nak(None)).await.unwrap();
    let state = consumer_again.info().await.unwrap();
    assert_eq!(state.ack_floor.stream_sequence, 0, "acknowledged out of order");
    // What was given back and what was not acknowledged come again, once each: then it is enough.
    let again = fetch(2).await;
    let mut places: Vec<_> =
        again.iter().map(|m| (m.info().unwrap().stream_sequence, m.info().unwrap().delivered)).collect();
    places.sort_unstable();
    assert_eq!(places, [(1, 2), (3, 2)]);
    again.iter().find(|m| m.info().unwrap().stream_sequence == 3).unwrap().double_ack().await.unwrap();
    // A fetch is what notices that the last delivery's time has passed.
    let advisory = tokio::select! {
        advisory = advisories.next() => advisory.unwrap(),
        _ = fetch(1) => tokio::time::timeout(Duration::from_mins(1), advisories.next()).await.unwrap().unwrap(),
    };
    let advisory: serde_json::Value = serde_json::from_slice(&advisory.payload).unwrap();
    assert_eq!((advisory["stream_seq"].as_u64(), advisory["deliveries"].as_u64()), (Some(1), Some(2)));
    let letter = stream.direct_get(1).await.unwrap();
    assert_eq!(&letter.payload[..], b"x", "a dead letter's entry is there to be copied");
}
