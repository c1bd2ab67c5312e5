//! What an engine of the records has to do.

use std::fmt;

use async_trait::async_trait;
use greenroom_sqlite::{Gate, Snapshot, SnapshotError};

use crate::{
    StorageError,
    unit::{Applied, Query, Row, UnitOfWork},
};

/// An engine: it executes data and knows no repository.
#[async_trait]
pub(crate) trait Engine: fmt::Debug + Send + Sync {
    /// Applies all statements of `unit` in order, or none. When it answers `Ok`, they survive loss
    /// of power and every later [`query`](Self::query) sees them. Units are applied as if one after
    /// the other. A violated uniqueness is a `Conflict` that names the constraint as PostgreSQL
    /// does by default. `OutcomeUnknown` only if the engine was lost around the commit.
    async fn apply(&self, unit: UnitOfWork) -> Result<Applied, StorageError>;

    /// Answers `query` from one consistent state.
    async fn query(&self, query: Query) -> Result<Vec<Row>, StorageError>;

    /// Finishes what was begun and refuses everything after.
    async fn close(&self);

    /// The state at the moment when all writers of `gate` stand still. Acknowledged units are in it.
    async fn snapshot(&self, gate: Gate) -> Result<Snapshot, SnapshotError>;

    /// Durable commits made since it was opened.
    fn commits(&self) -> u64;
}
