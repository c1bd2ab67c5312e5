//! Readers: connections that only read, lent to blocking tasks.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use rusqlite::{Connection, OpenFlags};
use tokio::{sync::Semaphore, task};

use crate::writer::{BUSY_TIMEOUT, STATEMENTS_MAX};

/// How many reads run at once; further ones wait.
pub const READERS_MAX: usize = 4;

/// A read that could not be run at all.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// SQLite refused to open the file or to run the query.
    #[error("the database could not be read: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The runtime is shutting down.
    #[error("the database is closed")]
    Closed,
}

/// A handle on the readers of one database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Readers {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    /// Readers of the database at `path`, which must exist by the first read.
    pub fn new(path: &Path) -> Self {
        let shared = Shared {
            path: path.to_owned(),
            idle: Mutex::new(Vec::new()),
            permits: Arc::new(Semaphore::new(READERS_MAX)),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Runs `read` on a blocking thread with a connection of its own. It sees every change that
    /// was answered before the call.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    ) -> Result<T, ReadError> {
        let permit = Arc::clone(&self.shared.permits).acquire_owned().await.map_err(|_| ReadError::Closed)?;
        let shared = Arc::clone(&self.shared);
        task::spawn_blocking(move || {
            let connection = shared.take()?;
            let result = read(&connection);
            shared.give_back(connection);
            drop(permit);
            result.map_err(ReadError::from)
        })
        .await
        .map_err(|_| ReadError::Closed)?
    }
}

impl Shared {
    fn take(&self) -> Result<Connection, rusqlite::Error> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(connection) = idle {
            return Ok(connection);
        }
        let connection = Connection::open_with_flags(
            &self.path,
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        Ok(connection)
    }

    fn give_back(&self, connection: Connection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }
}
