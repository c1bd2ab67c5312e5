//! What a caller of the directory can act on.

use crate::model::Key;

/// Why the directory did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryError {
    /// A document was not as expected; nothing of the commit was applied. Read again, apply the
    /// rule again, commit again.
    #[error("the document {}/{} was changed by someone else", .0.kind.name(), .0.id)]
    Conflict(Key),
    /// Too many commits wait. Nothing was applied.
    #[error("too many commits are waiting")]
    Busy,
    /// The engine is out of reach or could not write. Nothing was applied.
    #[error("the directory is unavailable: {0}")]
    Unavailable(String),
    /// The connection broke after the commit was sent: it was applied whole or not at all. Read to find out.
    #[error("it is not known whether the commit was applied: {0}")]
    OutcomeUnknown(String),
    /// A document, or the number of changes, is over its limit. Nothing was applied.
    #[error("the commit is too large: {0}")]
    TooLarge(&'static str),
    /// A key or kind that is not well formed, or two changes of one key in a commit.
    #[error("the commit is malformed: {0}")]
    Malformed(&'static str),
}

impl DirectoryError {
    /// The label of the error in metrics.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Conflict(_) => "conflict",
            Self::Busy => "busy",
            Self::Unavailable(_) => "unavailable",
            Self::OutcomeUnknown(_) => "outcome_unknown",
            Self::TooLarge(_) => "too_large",
            Self::Malformed(_) => "malformed",
        }
    }

    /// Whether the same call can be expected to succeed later without anything being changed about it.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Busy | Self::Unavailable(_) => true,
            Self::Conflict(_) | Self::OutcomeUnknown(_) | Self::TooLarge(_) | Self::Malformed(_) => false,
        }
    }
}

/// Why a directory could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database could not be opened, or is from a newer Greenroom.
    #[error(transparent)]
    Database(#[from] greenroom_sqlite::OpenError),
    /// The database holds something that no Greenroom writes.
    #[error(
        "the directory's database is damaged: {0}; restore it from a backup, or move it away to begin anew"
    )]
    Damaged(&'static str),
}
