//! What can go wrong, by what a caller can do about it.

use std::{borrow::Cow, sync::Arc};

/// A request to the records that failed. Unless it says [`OutcomeUnknown`](Self::OutcomeUnknown),
/// nothing of it is in the database.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StorageError {
    /// The record is not there, or no longer in the state the change asked for.
    #[error("there is no such {what}")]
    NotFound {
        /// The kind of record: `player`, `session`, …
        what: Cow<'static, str>,
    },
    /// Another record has what must be unique, or someone else changed this one first.
    #[error("it conflicts with what is stored: {what}")]
    Conflict {
        /// The constraint, as PostgreSQL names it by default on every engine: `players_pkey`,
        /// `admins_name_key`; or what a statement's expectation calls it.
        what: Cow<'static, str>,
    },
    /// The read model has taken this event in before; nothing was changed and nothing is missing.
    #[error("it was applied before")]
    AlreadyApplied,
    /// A page was asked for with a cursor that no page gave out.
    #[error("the cursor is not one that a page gave out")]
    BadCursor,
    /// More changes wait than may.
    #[error("too many changes are waiting")]
    Busy,
    /// The engine is out of reach or could not store it (disk full, I/O error).
    #[error("the records are unavailable: {reason}")]
    Unavailable {
        /// The engine's words, for the log.
        reason: Arc<str>,
    },
    /// The storage has been closed.
    #[error("the storage is closed")]
    Closed,
    /// The engine was lost between the commit and its answer: it may or may not be applied.
    #[error("it is not known whether the change was applied")]
    OutcomeUnknown,
    /// What is stored, or the statement itself, is not what this program understands: a fault of
    /// the program or of the file.
    #[error("the records are not as expected: {reason}")]
    Corrupt {
        /// What was found, for the log.
        reason: Arc<str>,
    },
}

impl StorageError {
    /// Whether the same request may succeed later, unchanged. After
    /// [`OutcomeUnknown`](Self::OutcomeUnknown) only what is idempotent may be repeated, so it is
    /// not counted.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Busy | Self::Unavailable { .. } => true,
            Self::NotFound { .. }
            | Self::Conflict { .. }
            | Self::AlreadyApplied
            | Self::BadCursor
            | Self::Closed
            | Self::OutcomeUnknown
            | Self::Corrupt { .. } => false,
        }
    }

    pub(crate) fn corrupt(reason: impl Into<Arc<str>>) -> Self {
        Self::Corrupt { reason: reason.into() }
    }
}

/// A storage that could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The embedded engine refused, or the file is newer than this program.
    #[error(transparent)]
    Embedded(#[from] greenroom_sqlite::OpenError),
    /// A migration that was applied to this database is not the one this program has.
    #[error(
        "migration {version} of the database differs from this program's: it was made by another build of Greenroom; start that one, or restore a backup"
    )]
    MigrationDiffers {
        /// The number of the migration.
        version: i64,
    },
}
