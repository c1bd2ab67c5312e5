//! What a caller of the history can act on.

use std::path::PathBuf;

use crate::model::Sequence;

/// Why the history did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventLogError {
    /// There is no such stream: create it first.
    #[error("there is no such stream")]
    NoStream,
    /// There is no such consumer on the stream: put it first.
    #[error("there is no such consumer")]
    NoConsumer,
    /// The stream's last sequence is not the expected one. Nothing was appended.
    #[error("the stream's last sequence is {}, not the expected one", .last.0)]
    WrongLast {
        /// What it is.
        last: Sequence,
    },
    /// The stream is at a limit and refuses rather than drops ([`WhenFull::Refuse`](crate::WhenFull::Refuse)).
    /// Nothing was appended.
    #[error("the stream is full")]
    Full,
    /// Too many calls wait. Nothing was done.
    #[error("too many calls are waiting")]
    Busy,
    /// The engine is out of reach or could not write. Nothing was done.
    #[error("the event log is unavailable: {0}")]
    Unavailable(String),
    /// The connection broke after the call was sent: it was done whole or not at all. An append
    /// whose entries all have an id can simply be repeated.
    #[error("it is not known whether the call was carried out: {0}")]
    OutcomeUnknown(String),
    /// An entry, or the number or size of all of an append, is over its limit. Nothing was appended.
    #[error("too large: {0}")]
    TooLarge(&'static str),
    /// A name, subject, id or configuration that is not well formed.
    #[error("malformed: {0}")]
    Malformed(&'static str),
    /// The stream has as many consumers as it may, or the log as many streams.
    #[error("limit reached: {0}")]
    LimitReached(&'static str),
}

impl EventLogError {
    /// Whether the same call can be expected to succeed later without anything being changed about it.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Busy | Self::Unavailable(_) => true,
            Self::NoStream
            | Self::NoConsumer
            | Self::WrongLast { .. }
            | Self::Full
            | Self::OutcomeUnknown(_)
            | Self::TooLarge(_)
            | Self::Malformed(_)
            | Self::LimitReached(_) => false,
        }
    }
}

/// Why the history could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database could not be opened.
    #[error(transparent)]
    Database(#[from] greenroom_sqlite::OpenError),
    /// What the database holds could not be read.
    #[error("cannot read the event log {path}: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
}

/// A text that is no stream id, subject or filter; the sentence says what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidName(pub(crate) &'static str);

impl From<InvalidName> for EventLogError {
    fn from(invalid: InvalidName) -> Self {
        Self::Malformed(invalid.0)
    }
}
