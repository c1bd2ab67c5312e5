//! A data folder of another version: refused where it is newer, copied before it is changed where it
//! is older.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use greenroom_directory::{Directory, DirectoryConfig};
use greenroom_event_log::{EventLog, EventLogConfig};
use greenroom_sqlite::Schema;
use greenroom_storage::{Storage, StorageConfig};
use tokio_util::sync::CancellationToken;

use crate::{
    error::BackupError,
    file::NewFile,
    manifest::{Header, file_name, taken_at_of},
    pack::{Pace, Packing},
    read::put_back,
    source::{DATABASES, Source},
};

/// The folder, in the data folder, of the copies made before upgrades.
pub const UPGRADES: &str = "backups";

/// How many of these are kept.
const KEPT: usize = 3;

/// What each database is to people.
const WORDS: [&str; 3] = ["state of now", "history", "records"];

/// A data folder that was not brought up to this version. The sentence says what to do.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// A newer Greenroom has used it.
    #[error(
        "the data folder {} was used by {used_by}, and this is Greenroom {program}: its {what} has version {found}, \
         and this Greenroom knows up to version {known}; start {used_by} or a newer one, or restore a backup that \
         was made before it was upgraded",
        .folder.display()
    )]
    TooNew {
        /// The folder.
        folder: PathBuf,
        /// Which program that was, as far as it is known.
        used_by: String,
        /// This program's version.
        program: String,
        /// What in it is newer.
        what: &'static str,
        /// The version that it has.
        found: i64,
        /// The newest that this program knows.
        known: i64,
    },
    /// It could not be looked at.
    #[error("the data folder {} cannot be read: {cause}", .folder.display())]
    Unreadable {
        /// The folder.
        folder: PathBuf,
        /// What went wrong.
        cause: String,
    },
    /// It could not be copied, so nothing was changed.
    #[error(
        "the data folder is of an older Greenroom and is copied before it is brought up to this version; that \
         failed, so nothing was changed: {0}"
    )]
    NotCopied(#[source] BackupError),
    /// It could not be brought up, and is as it was.
    #[error(
        "the data folder could not be brought up to this version: {cause}; it is as it was before, so the former \
         Greenroom can be started; the copy that was made of it is {}",
        .copy.display()
    )]
    PutBack {
        /// What went wrong.
        cause: String,
        /// The copy.
        copy: PathBuf,
    },
    /// It could not be brought up, and could not be put back either.
    #[error(
        "the data folder could not be brought up to this version: {cause}; putting it back failed as well ({also}): \
         restore {} into an empty folder, and start the former Greenroom there",
        .copy.display()
    )]
    NotPutBack {
        /// What went wrong.
        cause: String,
        /// What went wrong then.
        also: BackupError,
        /// The copy.
        copy: PathBuf,
    },
}

/// A data folder that nobody uses, to be brought up to this program's version.
#[derive(Debug)]
pub struct Upgrade<'a> {
    /// The folder.
    pub folder: &'a Path,
    /// What a copy says of itself.
    pub header: Header,
    /// Files beside the databases that belong into a copy.
    pub files: Vec<(String, PathBuf)>,
    /// The version of the program that has used it before, where that is known.
    pub used_by: Option<String>,
}

impl Upgrade<'_> {
    /// Brings the folder up to this version. If anything in it is older, it is copied before and the
    /// path of the copy is returned. Where that fails midway the folder is put back to what it was.
    pub async fn carry_out(self) -> Result<Option<PathBuf>, UpgradeError> {
        let schemas = self.schemas()?;
        for (what, Schema { found, known }) in WORDS.into_iter().zip(schemas) {
            if found > known {
                let used_by = self.used_by.as_ref().filter(|used_by| **used_by != self.header.program);
                let used_by =
                    used_by.map_or_else(|| "a newer Greenroom".into(), |by| format!("Greenroom {by}"));
                let (folder, program) = (self.folder.to_owned(), self.header.program.clone());
                return Err(UpgradeError::TooNew { folder, used_by, program, what, found, known });
            }
        }
        // What is new has nothing that could be lost.
        if !schemas.iter().any(|schema| schema.found > 0 && schema.found < schema.known) {
            return Ok(None);
        }
        let copy = self.copy().map_err(UpgradeError::NotCopied)?;
        tracing::info!(copy = %copy.display(), "the data folder is of an older Greenroom: it was copied, and is brought up to this version");
        match migrate(self.folder).await {
            Ok(()) => {
                self.remove_old();
                Ok(Some(copy))
            }
            Err(cause) => match put_back(&copy, self.folder) {
                Ok(_) => Err(UpgradeError::PutBack { cause, copy }),
                Err(also) => Err(UpgradeError::NotPutBack { cause, also, copy }),
            },
        }
    }

    fn schemas(&self) -> Result<[Schema; 3], UpgradeError> {
        let told = |cause: String| UpgradeError::Unreadable { folder: self.folder.to_owned(), cause };
        let (directory, event_log, storage) = configs(self.folder);
        Ok([
            Directory::schema(&directory).map_err(|error| told(reasons(&error)))?,
            EventLog::schema(&event_log).map_err(|error| told(reasons(&error)))?,
            Storage::schema(&storage).map_err(|error| told(reasons(&error)))?,
        ])
    }

    fn copy(&self) -> Result<PathBuf, BackupError> {
        let folder = self.folder.join(UPGRADES);
        fs::create_dir_all(&folder).map_err(BackupError::unwritable(&folder))?;
        let path = folder.join(file_name(&self.header.installation, self.header.taken_at));
        let mut source = Source::of_folder(self.folder)?;
        for (name, path) in &self.files {
            source.add_file(name, path)?;
        }
        let packing = Packing {
            source,
            header: self.header.clone(),
            pace: Pace::default(),
            progress: Arc::default(),
            cancel: CancellationToken::new(),
        };
        let (file, _) = packing.run(NewFile::create(&path)?)?;
        file.finish()?;
        Ok(path)
    }

    /// Removes the copies that are too many. One that stays does no harm.
    fn remove_old(&self) {
        let removed = || -> io::Result<()> {
            let mut copies = Vec::new();
            for entry in fs::read_dir(self.folder.join(UPGRADES))? {
                let path = entry?.path();
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                if let Some(taken_at) = taken_at_of(name, &self.header.installation) {
                    copies.push((taken_at, path));
                }
            }
            copies.sort();
            let too_many = copies.len().saturating_sub(KEPT);
            copies.drain(..too_many).try_for_each(|(_, path)| fs::remove_file(path))
        };
        if let Err(error) = removed() {
            tracing::warn!(%error, "old copies of the data folder were not removed");
        }
    }
}

fn configs(folder: &Path) -> (DirectoryConfig, EventLogConfig, StorageConfig) {
    let [directory, event_log, storage] = DATABASES.map(|name| folder.join(name));
    (
        DirectoryConfig::Embedded { path: directory },
        EventLogConfig::Embedded { path: event_log },
        StorageConfig::Embedded { path: storage },
    )
}

/// Opens each database, which brings it up, and closes it again.
async fn migrate(folder: &Path) -> Result<(), String> {
    let (directory, event_log, storage) = configs(folder);
    Directory::open(directory).await.map_err(|error| reasons(&error))?.close().await;
    EventLog::open(event_log).await.map_err(|error| reasons(&error))?.close().await;
    Storage::open(storage).map_err(|error| reasons(&error))?.close().await;
    Ok(())
}

/// An error with everything that lies behind it.
fn reasons(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
