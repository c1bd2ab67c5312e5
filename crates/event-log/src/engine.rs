//! The contract of the history, and what of each engine keeps it.

use std::time::Duration;

use async_trait::async_trait;
use greenroom_sqlite::{Gate, Snapshot, SnapshotError};

use crate::{
    error::EventLogError,
    model::{
        Appended, ConsumerConfig, ConsumerState, DeadLetter, Fetched, NewEntry, Page, Sequence, StreamId,
        StreamInfo, StreamLimits,
    },
    subject::SubjectFilter,
};

/// An engine of the port. What each call promises stands at the method of the same name of
/// [`EventLog`](crate::EventLog); the arguments were checked there.
///
/// # What maps to what on NATS JetStream
/// Tried against a real server in `tests/nats_probe.rs`.
///
/// | here | there |
/// | --- | --- |
/// | stream | a stream; the id with `.` as `_`; `max_bytes`, `max_msgs`, `max_age`, `max_consumers`, `discard` old or new, `duplicate_window` 1 h |
/// | sequence | the stream sequence: from 1, gapless as appended |
/// | `append` of one | publish with `Nats-Msg-Id` and `Nats-Expected-Last-Sequence`; answered by the acknowledgement (`sync_interval: always` for loss of power on a single server) |
/// | `append` of several | an atomic batch (2.12); the duplicate window does not reach into it, so its ids are looked up first |
/// | `WrongLast` | error 10071; the server checks it before the duplicate window, so the engine then looks whether the entries after the expected one bear these ids, and answers them as duplicates |
/// | `Full` | errors 10077 (`max_msgs`, `max_bytes` under `discard: new`) |
/// | `read` | direct get by sequence and subject; `gap` from `first_seq` |
/// | consumer | a durable pull consumer, explicit acknowledgement, `filter_subject`, `ack_wait`, `max_deliver`, `max_ack_pending` = [`PENDING_DELIVERIES_MAX`](crate::PENDING_DELIVERIES_MAX) |
/// | `ack`, `nak` by sequence | the delivery's reply subject, which the engine keeps until then |
/// | dead letter | the advisory `$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES`, whose entry is copied to a stream of dead letters |
/// | `acked_floor`, `pending`, `lag` | `ack_floor.stream_seq`, `num_ack_pending`, `last_seq - delivered.stream_seq` |
#[async_trait]
pub(crate) trait Engine: Send + Sync {
    async fn create_stream(&self, stream: &StreamId, limits: StreamLimits) -> Result<(), EventLogError>;
    async fn delete_stream(&self, stream: &StreamId) -> Result<(), EventLogError>;
    async fn append(
        &self,
        stream: &StreamId,
        entries: Vec<NewEntry>,
        expected_last: Option<Sequence>,
    ) -> Result<Vec<Appended>, EventLogError>;
    async fn read(
        &self,
        stream: &StreamId,
        from: Sequence,
        filter: Option<&SubjectFilter>,
        limit: usize,
    ) -> Result<Page, EventLogError>;
    async fn info(&self, stream: &StreamId) -> Result<StreamInfo, EventLogError>;
    async fn wait_past(&self, stream: &StreamId, sequence: Sequence) -> Result<Sequence, EventLogError>;
    async fn put_consumer(
        &self,
        stream: &StreamId,
        name: &str,
        config: ConsumerConfig,
    ) -> Result<(), EventLogError>;
    async fn delete_consumer(&self, stream: &StreamId, name: &str) -> Result<(), EventLogError>;
    async fn consumers(&self, stream: &StreamId) -> Result<Vec<ConsumerState>, EventLogError>;
    async fn consumer_state(&self, stream: &StreamId, name: &str) -> Result<ConsumerState, EventLogError>;
    async fn fetch(
        &self,
        stream: &StreamId,
        name: &str,
        batch: usize,
        wait: Duration,
    ) -> Result<Fetched, EventLogError>;
    async fn ack(&self, stream: &StreamId, name: &str, sequences: &[Sequence]) -> Result<(), EventLogError>;
    async fn nak(
        &self,
        stream: &StreamId,
        name: &str,
        sequence: Sequence,
        delay: Option<Duration>,
    ) -> Result<(), EventLogError>;
    async fn dead_letters(
        &self,
        stream: &StreamId,
        name: &str,
        from: Sequence,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, EventLogError>;
    /// The state at the moment when all writers of `gate` stand still. Acknowledged changes are in it.
    async fn snapshot(&self, gate: Gate) -> Result<Snapshot, SnapshotError>;
    async fn close(&self);
    fn commits(&self) -> u64;
}
