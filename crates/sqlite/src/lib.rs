//! The embedded engine under the three ports: one writer thread that commits many units of work
//! together, and a few readers beside it. Knows nothing of what is stored.
#![deny(missing_docs)]

mod readers;
mod schema;
mod snapshot;
mod writer;

pub use readers::{READERS_MAX, ReadError, Readers};
pub use rusqlite;
pub use schema::{Schema, check, schema_version};
pub use snapshot::{GATE_WAIT_MAX, Gate, LOG_SUFFIX, Snapshot, SnapshotError, SnapshotFile};
pub use writer::{BATCH_JOBS_MAX, Durability, OpenError, QUEUE_JOBS_MAX, WriteError, Writer, WriterOptions};
