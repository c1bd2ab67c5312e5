//! What can go wrong, as sentences for people.

use std::{io, path::PathBuf};

use greenroom_sqlite::SnapshotError;

/// A backup that was not made, is no good, or was not restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The moment could not be taken hold of.
    #[error("no snapshot could be taken: {0}")]
    Snapshot(#[from] SnapshotError),
    /// What is to be copied could not be read.
    #[error("{what} cannot be read: {cause}")]
    Unreadable {
        /// The file.
        what: String,
        /// What the system said.
        cause: io::Error,
    },
    /// The disk that it is written to is full. Nothing is left there.
    #[error("the disk of {} is full; nothing of the backup was kept; free some space and try again", .path.display())]
    Full {
        /// What was written.
        path: PathBuf,
    },
    /// It could not be written. Nothing is left there.
    #[error("{} cannot be written: {cause}", .path.display())]
    Unwritable {
        /// What was written.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Who takes it is gone, or does not take it any more.
    #[error("who receives the backup has gone, or took nothing for a minute")]
    NotTaken,
    /// The write-ahead logs grew too long while it was taken.
    #[error(
        "so much was written meanwhile that the logs beside the databases grew by {grown_bytes} bytes; the backup \
         was given up to spare the disk: raise backup.bytes_per_second, or make it at a quieter hour"
    )]
    Outgrown {
        /// By how much.
        grown_bytes: u64,
    },
    /// It was asked to stop.
    #[error("Greenroom stops; the backup was not finished")]
    Cancelled,
    /// The file is no backup, is cut short, or was altered.
    #[error("this is no good backup: {0}; take another one")]
    Damaged(String),
    /// A newer Greenroom made the file.
    #[error(
        "this backup has format {found}, made by Greenroom {program}; this Greenroom reads up to format {known}: \
         use Greenroom {program} or a newer one"
    )]
    TooNew {
        /// The format of the file.
        found: u32,
        /// The newest format that this program reads.
        known: u32,
        /// The program that made it, as the file says.
        program: String,
    },
    /// The folder to restore into has something in it.
    #[error(
        "{} is not empty; a backup is restored into an empty or a new folder only: name another one, or move away what is there",
        .path.display()
    )]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// The store refused or could not be reached.
    #[error("the store {store} {did}: {cause}")]
    Store {
        /// Which.
        store: String,
        /// What it could not do.
        did: &'static str,
        /// What it said.
        cause: String,
    },
}

impl BackupError {
    pub(crate) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged(what.into())
    }

    pub(crate) fn unreadable(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        |cause| Self::Unreadable { what: what.into(), cause }
    }

    pub(crate) fn unwritable(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        |cause| {
            let path = path.into();
            match cause.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path },
                _ => Self::Unwritable { path, cause },
            }
        }
    }
}
