//! The handle: what every engine has in common lives here once, limits, metrics and tracing.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration, time::Instant};

use bytes::Bytes;
use greenroom_sqlite::{Gate, Schema, Snapshot, SnapshotError};

use crate::{
    Change, DirectoryError, Document, Key, Kind, Lease, OpenError, Partition, Revision, Subscription, Watch,
    embedded, engine::Engine, lease, limits,
};

/// Which engine keeps the directory.
#[derive(Clone, Debug)]
pub enum DirectoryConfig {
    /// Memory, written through to this SQLite file.
    Embedded {
        /// The file; created if it is missing.
        path: PathBuf,
    },
}

/// The directory: documents that live now, changed by compare-and-set. Cheap to clone.
#[derive(Clone)]
pub struct Directory(pub(crate) Arc<dyn Engine>);

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory").finish_non_exhaustive()
    }
}

impl Directory {
    /// Opens the directory and loads what was kept. Must be called within a tokio runtime.
    ///
    /// Leases that were held get a full new term, other expiring documents keep their deadline.
    pub async fn open(config: DirectoryConfig) -> Result<Self, OpenError> {
        match config {
            DirectoryConfig::Embedded { path } => {
                let engine = embedded::Embedded::open(path).await?;
                Ok(Self(Arc::new(engine)))
            }
        }
    }

    /// The version of the schema that the file of `config` has. Blocks; nobody may have it open.
    pub fn schema(config: &DirectoryConfig) -> Result<Schema, OpenError> {
        match config {
            DirectoryConfig::Embedded { path } => embedded::schema(path),
        }
    }

    /// The newest state of a document; `None` if it was deleted, has expired or never was.
    ///
    /// It may be a state whose commit is not answered yet: to build on, not to tell anyone. What
    /// others are told comes from [`watch`](Self::watch).
    pub async fn get(&self, key: &Key) -> Result<Option<Document>, DirectoryError> {
        limits::check_key(key)?;
        self.0.get(key).await
    }

    /// The documents of `kind` in `partition`, ordered by id; as fresh as [`get`](Self::get).
    pub async fn list(&self, partition: &Partition, kind: Kind) -> Result<Vec<Document>, DirectoryError> {
        limits::check_kind(kind)?;
        self.0.list(Some(partition), kind).await
    }

    /// The documents of `kind` in all partitions, ordered by partition and id.
    pub async fn list_all(&self, kind: Kind) -> Result<Vec<Document>, DirectoryError> {
        limits::check_kind(kind)?;
        self.0.list(None, kind).await
    }

    /// Applies all `changes` to documents of `partition`, or none of them, and answers the new
    /// revisions in the order of the changes. Kept documents have then survived the death of this
    /// process.
    ///
    /// At most [`COMMIT_CHANGES_MAX`](crate::COMMIT_CHANGES_MAX) changes of different documents,
    /// each of at most [`DOCUMENT_BYTES_MAX`](crate::DOCUMENT_BYTES_MAX). Dropping the future does
    /// not take the commit back. What each error says about a retry stands at [`DirectoryError`].
    pub async fn commit(
        &self,
        partition: &Partition,
        changes: Vec<Change>,
    ) -> Result<Vec<Revision>, DirectoryError> {
        let started = Instant::now();
        let result = match limits::check_changes(&changes) {
            Ok(()) => self.0.commit(partition, changes).await,
            Err(error) => Err(error),
        };
        let outcome = match &result {
            Ok(_) => "ok",
            Err(error) => {
                tracing::debug!(partition = partition.as_str(), %error, "a commit was not applied");
                error.name()
            }
        };
        metrics::counter!("greenroom_directory_commits_total", "outcome" => outcome).increment(1);
        metrics::histogram!("greenroom_directory_commit_seconds").record(started.elapsed());
        result
    }

    /// Watches all documents of `kinds`, in all partitions: first their current state, then
    /// [`Notice::Current`](crate::Notice::Current), then their changes, each document's newest
    /// state only. Documents of one commit, and of one partition, come in the order of the commits
    /// as far as that allows. Shows only what was acknowledged.
    ///
    /// Costs memory for each document that changed and was not yet told. Meant for one watch a node
    /// and use, not one a client.
    pub async fn watch(&self, kinds: &[Kind]) -> Result<Watch, DirectoryError> {
        kinds.iter().try_for_each(|kind| limits::check_kind(*kind))?;
        self.0.watch(kinds).await
    }

    /// Sends `payload`, at most [`MESSAGE_BYTES_MAX`](crate::MESSAGE_BYTES_MAX), to whoever is
    /// subscribed to exactly `subject` now. Nothing is kept; nobody need be there.
    pub async fn publish(&self, subject: &str, payload: Bytes) -> Result<(), DirectoryError> {
        limits::check_subject(subject)?;
        limits::check_message(payload.len())?;
        metrics::counter!("greenroom_directory_published_total").increment(1);
        self.0.publish(subject, payload).await
    }

    /// Receives what is published to exactly `subject` from now on; bounded, see [`Subscription`].
    pub async fn subscribe(&self, subject: &str) -> Result<Subscription, DirectoryError> {
        limits::check_subject(subject)?;
        self.0.subscribe(subject).await
    }

    /// Takes the lease `name` (formed as a document's id) for `holder`, unless somebody else has
    /// it: then `None`. It runs out `term` (whole seconds, rounded up) after it was last renewed,
    /// within a second; never because this process or its engine paused.
    ///
    /// A holder that acquires again what it holds gets it under a new generation, and its former
    /// lease is void: so a restarted node fences off what it sent before.
    pub async fn acquire_lease(
        &self,
        name: &str,
        holder: &str,
        term: Duration,
    ) -> Result<Option<Lease>, DirectoryError> {
        lease::acquire(&*self.0, name, holder, term).await
    }

    /// Begins a new term of a lease; false if it is no longer the holder's.
    pub async fn renew_lease(&self, lease: &Lease, term: Duration) -> Result<bool, DirectoryError> {
        lease::renew(&*self.0, lease, term).await
    }

    /// Gives a lease back, so that others need not wait for its end. No error if it is lost already.
    pub async fn release_lease(&self, lease: &Lease) -> Result<(), DirectoryError> {
        lease::release(&*self.0, lease).await
    }

    /// Waits for the commits that were sent, then ends every watch and subscription. Every later
    /// call answers [`DirectoryError::Unavailable`].
    pub async fn close(&self) {
        self.0.close().await;
    }

    /// A snapshot of what is kept, at the moment when all writers that `gate` awaits stand still:
    /// every commit that was acknowledged before is in it.
    pub async fn snapshot(&self, gate: Gate) -> Result<Snapshot, SnapshotError> {
        self.0.snapshot(gate).await
    }

    /// How many commits the engine made to its store: with many callers at once fewer than theirs.
    pub fn commits(&self) -> u64 {
        self.0.commits()
    }
}
