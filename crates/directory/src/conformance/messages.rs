//! Messages that are not kept.

use bytes::Bytes;

use super::{Setup, client::in_time};
use crate::{Directory, DirectoryError, MESSAGE_BYTES_MAX, Message, SUBSCRIPTION_MESSAGES_MAX, Subscription};

async fn publish(directory: &Directory, subject: &str, payload: impl Into<Bytes>) {
    directory.publish(subject, payload.into()).await.unwrap();
}

async fn next(subscription: &mut Subscription) -> Message {
    in_time(subscription.next()).await.expect("an open directory")
}

pub(super) async fn come_in_order_to_everyone_subscribed(setup: &impl Setup) {
    let directory = setup.open().await;
    publish(&directory, "rooms.a", "to nobody").await;
    let mut one = directory.subscribe("rooms.a").await.unwrap();
    let mut two = directory.subscribe("rooms.a").await.unwrap();
    let mut other = directory.subscribe("rooms.b").await.unwrap();
    for n in 0..10 {
        publish(&directory, "rooms.a", format!("{n}")).await;
    }
    publish(&directory, "rooms.b", "other").await;
    for n in 0..10 {
        let message = Message::Payload(Bytes::from(format!("{n}")));
        assert_eq!(next(&mut one).await, message);
        assert_eq!(next(&mut two).await, message);
    }
    assert_eq!(next(&mut other).await, Message::Payload("other".into()));
    drop(two);
    publish(&directory, "rooms.a", "last").await;
    assert_eq!(next(&mut one).await, Message::Payload("last".into()));

    for subject in ["", "a..b", "a.*", ">", "a b"] {
        let refused = directory.publish(subject, Bytes::new()).await;
        assert!(matches!(refused, Err(DirectoryError::Malformed(_))), "{subject:?}");
        assert!(matches!(directory.subscribe(subject).await, Err(DirectoryError::Malformed(_))));
    }
    let large = Bytes::from(vec![0; MESSAGE_BYTES_MAX + 1]);
    assert!(matches!(directory.publish("a", large).await, Err(DirectoryError::TooLarge(_))));
}

pub(super) async fn who_falls_behind_is_told(setup: &impl Setup) {
    const MORE: usize = 50;
    let directory = setup.open().await;
    let mut subscription = directory.subscribe("rooms.a").await.unwrap();
    for n in 0..SUBSCRIPTION_MESSAGES_MAX + MORE {
        publish(&directory, "rooms.a", format!("{n}")).await;
    }
    let (mut missed, mut received) = (0, Vec::new());
    while received.last() != Some(&(SUBSCRIPTION_MESSAGES_MAX + MORE - 1)) {
        match next(&mut subscription).await {
            Message::Missed(count) => missed += count,
            Message::Payload(payload) => {
                received.push(std::str::from_utf8(&payload).unwrap().parse::<usize>().unwrap());
            }
        }
    }
    assert!(missed > 0);
    assert!(received.is_sorted());
    assert_eq!(received.len() + missed as usize, SUBSCRIPTION_MESSAGES_MAX + MORE);
}

pub(super) async fn end_with_the_directory(setup: &impl Setup) {
    let directory = setup.open().await;
    let mut subscription = directory.subscribe("rooms.a").await.unwrap();
    publish(&directory, "rooms.a", "last").await;
    directory.close().await;
    assert_eq!(next(&mut subscription).await, Message::Payload("last".into()));
    assert_eq!(in_time(subscription.next()).await, None);
}
