//! What an engine of the directory is: the contract behind [`Directory`](crate::Directory).

use async_trait::async_trait;
use bytes::Bytes;
use greenroom_sqlite::{Gate, Snapshot, SnapshotError};

use crate::{Change, DirectoryError, Document, Key, Kind, Partition, Revision, Subscription, Watch};

/// An engine: keeps documents, tells of their changes, carries messages. The handle has checked
/// keys, sizes and duplicates before it calls.
///
/// # Order
///
/// The commits of one partition stand in one order; each change takes the next free revision.
/// Between partitions there is no order. A commit whose answer came before another was sent
/// stands before it. A watcher sees the changes of a partition in that order, except that a
/// state it was not yet told is replaced, in its place, by the newer state of the same document,
/// and that passing documents do not wait for kept ones.
///
/// # Durability
///
/// A commit with a kept document is answered, and shown to watchers, only when it survives the
/// death of this process. Between, reads may or may not see it; if they do and it then fails, it
/// is gone from them, along with every later commit of the partition that was not yet answered:
/// those fail too. No watcher is ever shown what was not answered as applied (or as unknown).
/// Passing documents need survive nothing but are shown to all while they last.
///
/// # What a retry does
///
/// * [`Conflict`](DirectoryError::Conflict), [`Busy`](DirectoryError::Busy),
///   [`Unavailable`](DirectoryError::Unavailable): nothing was applied; the same commit may be sent
///   again.
/// * [`OutcomeUnknown`](DirectoryError::OutcomeUnknown): applied whole or not at all, and possibly
///   still on its way. The same commit sent again with [`Expected::At`](crate::Expected::At) or
///   [`Expected::Absent`](crate::Expected::Absent) cannot apply twice: it answers `Conflict` if the
///   first one was applied. With [`Expected::Any`](crate::Expected::Any) it is written again, under
///   a new revision.
/// * A caller that drops the future of a commit does not take the commit back.
///
/// # How it maps to NATS JetStream (2.12 or newer)
///
/// Each line was seen on a real server by `tests/nats_probe.rs`.
///
/// * A partition is a stream `KV_<partition>` that keeps one message a subject (`allow_atomic`,
///   `allow_msg_ttl`, delete markers limited in time); a document is `$KV.<partition>.<kind>.<id>`,
///   its revision the stream's sequence. Passing kinds stand in a second stream, in memory, so a
///   commit of both classes is two batches there: the kept one first, the passing one after it was
///   acknowledged; a conflict of the passing one is found before by reading alone.
/// * A commit is an atomic batch with `Nats-Expected-Last-Subject-Sequence` for each change. One
///   stale change rejects all, uses no sequence and is never shown. The refusal (10071) tells what
///   sequence stands, but not where: which key is in `Conflict` is found by reading them. The
///   acknowledgement has the last sequence and the count, which give every revision.
/// * `Expected::At` is that sequence. `Expected::Absent` is 0 only for a subject without a message;
///   after a delete or an expiry it is the sequence of the marker, which is read first. When the
///   marker itself has been removed it is 0 again.
/// * `expires_after` is `Nats-TTL`, in whole seconds, at least one; it may differ within a batch.
///   The expiry comes to watchers as a marker with a sequence of its own, so generations of leases
///   grow over it. The server's clock counts: the term after a start or a stall is its restart's
///   matter, or that of renewing what was found.
/// * A watch is an ordered consumer from the last message of each subject; what stands comes in the
///   order of its sequences, `Current` when none is pending. Between streams there is no order, as
///   between partitions. An untold state is skipped by the mailbox, not by the server.
/// * `publish` and `subscribe` are core NATS: when a subscriber falls behind, the client knows that
///   messages were dropped, and not always how many.
#[async_trait]
pub(crate) trait Engine: Send + Sync + 'static {
    /// The newest state of the document, unless it was deleted or has expired.
    async fn get(&self, key: &Key) -> Result<Option<Document>, DirectoryError>;

    /// The documents of `kind`, of one partition ordered by id, or of all, ordered by partition
    /// and id. Not a snapshot of one moment on every engine.
    async fn list(&self, partition: Option<&Partition>, kind: Kind) -> Result<Vec<Document>, DirectoryError>;

    /// Applies all changes or none.
    async fn commit(
        &self,
        partition: &Partition,
        changes: Vec<Change>,
    ) -> Result<Vec<Revision>, DirectoryError>;

    /// Tells the acknowledged state of all documents of `kinds`, then
    /// [`Notice::Current`](crate::Notice::Current), then changes, conflated by key.
    async fn watch(&self, kinds: &[Kind]) -> Result<Watch, DirectoryError>;

    /// Sends to whoever is subscribed to exactly this subject now. At most once.
    async fn publish(&self, subject: &str, payload: Bytes) -> Result<(), DirectoryError>;

    /// Receives what is published to exactly this subject from now on, in the order of each
    /// publisher.
    async fn subscribe(&self, subject: &str) -> Result<Subscription, DirectoryError>;

    /// Waits for what was sent, then ends watches and subscriptions. Every later call answers
    /// `Unavailable`.
    async fn close(&self);

    /// The state at the moment when all writers of `gate` stand still. Acknowledged commits are in it.
    async fn snapshot(&self, gate: Gate) -> Result<Snapshot, SnapshotError>;

    /// How often the engine has committed to its store.
    fn commits(&self) -> u64;
}
