//! Backups of the installation: what is kept, what is being made, what comes next.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Timestamp;

/// The backups of an installation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupList {
    /// Where they are kept; missing where no store is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// How often one is made by itself, in seconds; missing where none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every_seconds: Option<u64>,
    /// How long one is kept, in seconds; missing where none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_seconds: Option<u64>,
    /// When the next one is made by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Timestamp>,
    /// The one that is being made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running: Option<BackupRun>,
    /// How the last one into the store went, since this node started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<BackupOutcome>,
    /// Why the store could not be looked at; `backups` is empty then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What the store has of this installation, the newest first, at most 1000.
    pub backups: Vec<BackupView>,
}

/// A backup that is being made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupRun {
    /// Since when.
    pub since: Timestamp,
    /// Whether it goes into the store, and not to who asked for it.
    pub into_store: bool,
    /// Bytes of the databases that were copied.
    pub bytes_done: u64,
    /// Of how many; 0 until that is known.
    pub bytes_total: u64,
}

/// How a backup went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupOutcome {
    /// When it ended.
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Its bytes, if it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Why it was not made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// A backup that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupView {
    /// Its name in the store.
    pub name: String,
    /// The moment that it shows.
    pub taken_at: Timestamp,
    /// Its bytes.
    pub bytes: u64,
}
