//! What is copied.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use greenroom_directory::Directory;
use greenroom_event_log::EventLog;
use greenroom_sqlite::{Gate, LOG_SUFFIX, Snapshot};
use greenroom_storage::Storage;

use crate::error::BackupError;

/// The databases' names in a data folder: the state of now, the history, the records.
pub const DATABASES: [&str; 3] = ["directory.sqlite", "event-log.sqlite", "storage.sqlite"];

/// Most bytes that the logs beside the databases may grow by while they are copied.
const GROWN_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;

/// The three ports, in use.
#[derive(Clone, Debug)]
pub struct Ports {
    /// The state of now.
    pub directory: Directory,
    /// The history.
    pub event_log: EventLog,
    /// The records.
    pub storage: Storage,
}

/// What a backup is made of.
#[derive(Debug, Default)]
pub struct Source {
    files: Vec<SourceFile>,
    snapshots: Vec<Snapshot>,
    /// The logs' bytes when the snapshots were taken.
    log_bytes: u64,
}

/// One file of it.
pub(crate) struct SourceFile {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    pub(crate) content: Box<dyn Read + Send>,
}

impl std::fmt::Debug for SourceFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SourceFile").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Source {
    /// The state of `ports` at one moment from now: everything acknowledged before is in it, and what
    /// was written to one port after is in none.
    pub async fn of_ports(ports: &Ports) -> Result<Self, BackupError> {
        let gate = Gate::new(DATABASES.len());
        let (directory, event_log, storage) = tokio::join!(
            ports.directory.snapshot(gate.clone()),
            ports.event_log.snapshot(gate.clone()),
            ports.storage.snapshot(gate),
        );
        // The first that failed made the others fail; its reason is the one that says something.
        let mut failed = None;
        let mut source = Self::default();
        for (name, snapshot) in DATABASES.into_iter().zip([directory, event_log, storage]) {
            match snapshot {
                Ok(snapshot) => source.add_snapshot(name, snapshot)?,
                Err(greenroom_sqlite::SnapshotError::Abandoned) if failed.is_some() => {}
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            None => Ok(source),
            Some(error) => Err(error.into()),
        }
    }

    /// The databases in `folder`, which nobody uses.
    pub fn of_folder(folder: &Path) -> Result<Self, BackupError> {
        let mut source = Self::default();
        for name in DATABASES {
            for name in [name.to_owned(), format!("{name}{LOG_SUFFIX}")] {
                source.add_file(&name, &folder.join(&name))?;
            }
        }
        Ok(source)
    }

    /// Adds the file at `path` as `name`, if it is there.
    pub fn add_file(&mut self, name: &str, path: &Path) -> Result<(), BackupError> {
        let told = || BackupError::unreadable(path.display().to_string());
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(told()(error)),
        };
        let bytes = file.metadata().map_err(told())?.len();
        let content = Box::new(file.take(bytes));
        self.files.push(SourceFile { name: name.to_owned(), bytes, content });
        Ok(())
    }

    /// The bytes of all that is copied.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    pub(crate) fn take_files(&mut self) -> Vec<SourceFile> {
        std::mem::take(&mut self.files)
    }

    /// Whether the logs beside the databases have not grown too long.
    pub(crate) fn check_growth(&self) -> Result<(), BackupError> {
        let grown_bytes = self.logs().saturating_sub(self.log_bytes);
        if grown_bytes > GROWN_BYTES_MAX { Err(BackupError::Outgrown { grown_bytes }) } else { Ok(()) }
    }

    /// Lets the writers move their logs again. Blocks.
    pub(crate) fn release(&mut self) {
        self.files.clear();
        self.snapshots.drain(..).for_each(Snapshot::release);
    }

    fn add_snapshot(&mut self, name: &str, snapshot: Snapshot) -> Result<(), BackupError> {
        for file in snapshot.files().map_err(BackupError::unreadable(name))? {
            let (name, bytes) = (format!("{name}{}", file.suffix), file.bytes);
            self.files.push(SourceFile { name, bytes, content: Box::new(file) });
        }
        self.snapshots.push(snapshot);
        self.log_bytes = self.logs();
        Ok(())
    }

    fn logs(&self) -> u64 {
        self.snapshots.iter().map(Snapshot::log_bytes).sum()
    }
}

/// The files of a database named `name` in `folder` that are there besides it: its log and its log's index.
pub(crate) fn beside(folder: &Path, name: &str) -> Vec<PathBuf> {
    let beside = [LOG_SUFFIX, "-shm"].map(|suffix| folder.join(format!("{name}{suffix}")));
    beside.into_iter().filter(|path| fs::exists(path).unwrap_or(false)).collect()
}
