//! Messages that are not kept: published to a subject, received by who is there.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Weak},
};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

/// How many messages wait for one subscriber. When one more comes, the oldest is dropped and the
/// subscriber is told [`Message::Missed`].
pub const SUBSCRIPTION_MESSAGES_MAX: usize = 1_024;

/// How many bytes of messages wait for one subscriber; as for [`SUBSCRIPTION_MESSAGES_MAX`].
pub const SUBSCRIPTION_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What a subscriber receives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// What was published.
    Payload(Bytes),
    /// The subscriber fell behind, and about so many messages that stood here are gone.
    Missed(u64),
}

/// What a subscriber reads from. Dropping it ends the subscription.
#[derive(Debug)]
pub struct Subscription {
    queue: Arc<Queue>,
    subject: Box<str>,
    hub: Weak<Hub>,
}

impl Subscription {
    /// The next message; `None` when the directory is closed and all was received. Cancel-safe.
    pub async fn next(&mut self) -> Option<Message> {
        loop {
            let came = self.queue.came.notified();
            let (message, closed) = self.queue.take();
            if message.is_some() || closed {
                return message;
            }
            came.await;
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(hub) = self.hub.upgrade() {
            hub.remove(&self.subject, &self.queue);
        }
    }
}

#[derive(Debug, Default)]
struct Queue {
    came: Notify,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    messages: VecDeque<Bytes>,
    bytes: usize,
    missed: u64,
    closed: bool,
}

impl Queue {
    fn put(&self, payload: Bytes) {
        let mut waiting = self.waiting.lock();
        waiting.bytes += payload.len();
        waiting.messages.push_back(payload);
        while waiting.messages.len() > SUBSCRIPTION_MESSAGES_MAX || waiting.bytes > SUBSCRIPTION_BYTES_MAX {
            let Some(oldest) = waiting.messages.pop_front() else { break };
            waiting.bytes -= oldest.len();
            waiting.missed += 1;
            metrics::counter!("greenroom_directory_messages_missed_total").increment(1);
        }
        drop(waiting);
        self.came.notify_one();
    }

    fn take(&self) -> (Option<Message>, bool) {
        let mut waiting = self.waiting.lock();
        if waiting.missed > 0 {
            return (Some(Message::Missed(std::mem::take(&mut waiting.missed))), waiting.closed);
        }
        let message = waiting.messages.pop_front();
        waiting.bytes -= message.as_ref().map_or(0, Bytes::len);
        (message.map(Message::Payload), waiting.closed)
    }

    fn close(&self) {
        self.waiting.lock().closed = true;
        self.came.notify_one();
    }
}

/// The subscriptions within one process, by subject.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    subjects: RwLock<HashMap<Box<str>, Vec<Arc<Queue>>>>,
}

impl Hub {
    pub(crate) fn publish(&self, subject: &str, payload: &Bytes) {
        if let Some(queues) = self.subjects.read().get(subject) {
            for queue in queues {
                queue.put(payload.clone());
            }
        }
    }

    pub(crate) fn subscribe(self: &Arc<Self>, subject: &str) -> Subscription {
        let queue = Arc::new(Queue::default());
        self.subjects.write().entry(subject.into()).or_default().push(Arc::clone(&queue));
        Subscription { queue, subject: subject.into(), hub: Arc::downgrade(self) }
    }

    /// Ends every subscription, once it has handed out what it holds.
    pub(crate) fn close(&self) {
        for (_, queues) in self.subjects.write().drain() {
            for queue in queues {
                queue.close();
            }
        }
    }

    fn remove(&self, subject: &str, queue: &Arc<Queue>) {
        let mut subjects = self.subjects.write();
        if let Some(queues) = subjects.get_mut(subject) {
            queues.retain(|other| !Arc::ptr_eq(other, queue));
            if queues.is_empty() {
                subjects.remove(subject);
            }
        }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.close();
    }
}
