//! The handle.

use std::{path::PathBuf, sync::Arc, time::Instant};

use greenroom_sqlite::{Gate, Schema, Snapshot, SnapshotError};

use crate::{
    AdminInvites, Admins, ApiKeys, Audit, Identities, Jobs, Matches, OneTimeTokens, OpenError,
    PersonalTokens, Players, Secrets, Servers, Sessions, StorageError, Studios,
    engine::Engine,
    migrations,
    sqlite::SqliteEngine,
    unit::{Applied, Query, Row, UnitOfWork},
};

/// Which engine keeps the records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorageConfig {
    /// SQLite in one file, made if it is missing.
    Embedded {
        /// The file.
        path: PathBuf,
    },
}

/// The records: what is looked up and changed by many keys. Cheap to clone.
///
/// A change is a [`UnitOfWork`]: applied all or not at all, and once acknowledged it survives loss
/// of power. A read sees every change that was acknowledged before it began. Dropping the future
/// of a change does not take the change back.
#[derive(Clone, Debug)]
pub struct Storage {
    engine: Arc<dyn Engine>,
}

impl Storage {
    /// Opens the records and brings their schema up to date. Blocks; call it where blocking is fine.
    pub fn open(config: StorageConfig) -> Result<Self, OpenError> {
        let engine: Arc<dyn Engine> = match config {
            StorageConfig::Embedded { path } => Arc::new(SqliteEngine::open(&path)?),
        };
        Ok(Self { engine })
    }

    /// The version of the schema that the file of `config` has. Blocks; nobody may have it open.
    pub fn schema(config: &StorageConfig) -> Result<Schema, OpenError> {
        match config {
            StorageConfig::Embedded { path } => migrations::schema(path),
        }
    }

    /// Applies all of `unit` or nothing, durably.
    pub async fn apply(&self, unit: UnitOfWork) -> Result<Applied, StorageError> {
        let started = Instant::now();
        let result = self.engine.apply(unit).await;
        metrics::histogram!("greenroom_storage_apply_seconds").record(started.elapsed());
        if let Err(error) = &result {
            count_failure("apply", error);
        }
        result
    }

    /// Answers `query`, each row read by `read`.
    pub async fn query<T>(
        &self,
        query: Query,
        read: impl FnMut(&mut Row) -> Result<T, StorageError>,
    ) -> Result<Vec<T>, StorageError> {
        let started = Instant::now();
        let result = self.engine.query(query).await;
        metrics::histogram!("greenroom_storage_query_seconds").record(started.elapsed());
        if let Err(error) = &result {
            count_failure("query", error);
        }
        result?.iter_mut().map(read).collect()
    }

    /// Studios that were seen in a configuration.
    pub fn studios(&self) -> Studios<'_> {
        Studios { storage: self }
    }

    /// Players, their identities and bans.
    pub fn players(&self) -> Players<'_> {
        Players { storage: self }
    }

    /// What players sign in with.
    pub fn identities(&self) -> Identities<'_> {
        Identities { storage: self }
    }

    /// Tokens that are good once.
    pub fn one_time_tokens(&self) -> OneTimeTokens<'_> {
        OneTimeTokens { storage: self }
    }

    /// Sign-ins of players.
    pub fn sessions(&self) -> Sessions<'_> {
        Sessions { storage: self }
    }

    /// API keys of studios.
    pub fn api_keys(&self) -> ApiKeys<'_> {
        ApiKeys { storage: self }
    }

    /// Administrators and their sessions.
    pub fn admins(&self) -> Admins<'_> {
        Admins { storage: self }
    }

    /// Invitations of administrators.
    pub fn admin_invites(&self) -> AdminInvites<'_> {
        AdminInvites { storage: self }
    }

    /// Tokens of administrators.
    pub fn personal_tokens(&self) -> PersonalTokens<'_> {
        PersonalTokens { storage: self }
    }

    /// The audit log.
    pub fn audit(&self) -> Audit<'_> {
        Audit { storage: self }
    }

    /// Secrets that are made once.
    pub fn secrets(&self) -> Secrets<'_> {
        Secrets { storage: self }
    }

    /// What is remembered of game servers.
    pub fn servers(&self) -> Servers<'_> {
        Servers { storage: self }
    }

    /// Matches that were played, and the positions of the read models.
    pub fn matches(&self) -> Matches<'_> {
        Matches { storage: self }
    }

    /// Work that is to be done later.
    pub fn jobs(&self) -> Jobs<'_> {
        Jobs { storage: self }
    }

    /// Finishes what was begun; everything after is answered `Closed`, by all clones of the handle.
    pub async fn close(&self) {
        self.engine.close().await;
    }

    /// A snapshot of the records, at the moment when all writers that `gate` awaits stand still:
    /// every change that was acknowledged before is in it.
    pub async fn snapshot(&self, gate: Gate) -> Result<Snapshot, SnapshotError> {
        self.engine.snapshot(gate).await
    }

    /// Durable commits since it was opened. On the embedded engine each was one sync.
    pub fn commits(&self) -> u64 {
        self.engine.commits()
    }

    pub(crate) async fn query_one<T>(
        &self,
        query: Query,
        read: impl FnMut(&mut Row) -> Result<T, StorageError>,
    ) -> Result<Option<T>, StorageError> {
        Ok(self.query(query, read).await?.pop())
    }
}

fn count_failure(operation: &'static str, error: &StorageError) {
    let kind = match error {
        StorageError::Busy => "busy",
        StorageError::Unavailable { .. } => "unavailable",
        StorageError::OutcomeUnknown => "outcome_unknown",
        StorageError::Corrupt { .. } => "corrupt",
        // Answers, not failures.
        StorageError::NotFound { .. }
        | StorageError::Conflict { .. }
        | StorageError::AlreadyApplied
        | StorageError::BadCursor
        | StorageError::Closed => return,
    };
    metrics::counter!("greenroom_storage_failures_total", "operation" => operation, "kind" => kind)
        .increment(1);
}
