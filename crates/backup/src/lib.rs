//! Backups: the state of the three ports at one moment, and the few files beside them, in one file
//! that can be checked.
//!
//! [`Source`] says what is copied: of ports that are in use, held together for a moment, or of a
//! folder that nobody uses. [`Packing`] writes it as one stream, [`verify`] and [`restore`] read that.
//! [`Store`] is where backups are kept. Why a backup is consistent, and the form of the file, stand
//! in `docs/decisions/0007-a-backup-is-the-moment-of-a-kill.md`.
#![deny(missing_docs)]

mod channel;
mod container;
mod error;
mod file;
mod manifest;
mod pack;
mod read;
mod source;
mod store;
mod upgrade;

pub use channel::{ChunkWriter, Chunks, channel};
pub use container::FORMAT_VERSION;
pub use error::BackupError;
pub use file::NewFile;
pub use manifest::{Header, Manifest, PackedFile, file_name, taken_at_of};
pub use pack::{Pace, Packed, Packing, Progress};
pub use read::{RESTORING, put_back, restore, verify};
pub use source::{DATABASES, Ports, Source};
pub use store::{LISTED_MAX, S3Config, Store, StoreConfig, Stored};
pub use upgrade::{UPGRADES, Upgrade, UpgradeError};
