//! The one folder that holds everything, and the lock that keeps it to one Greenroom.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use greenroom_backup::{DATABASES, RESTORING};

/// The file that names the installation.
const INSTALLATION: &str = "installation";
/// The file of the credentials that `dev` has made.
pub(crate) const DEV: &str = "dev.json";
/// The file of the version of the program that has used the folder last.
const VERSION: &str = "version";
/// What the configuration is called in a backup.
const CONFIG: &str = "greenroom.toml";
/// The lock's file; in it stands the process that holds it.
pub(crate) const LOCK: &str = "greenroom.lock";
/// Written and removed at every start, to learn at once whether the folder takes writes.
const PROBE: &str = ".write-probe";
/// Enough that a full disk shows.
const PROBE_BYTES: usize = 64 * 1024;

/// The data folder, kept to this process until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

/// Why the data folder cannot be used. The sentence says what to do.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another Greenroom uses it.
    #[error(
        "the data folder {} is in use by another Greenroom{}; stop that one, or choose another folder with \
         data_dir or --data-dir",
        .path.display(), .pid.map_or_else(String::new, |pid| format!(" (process {pid})"))
    )]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The process that has it, if it could be told.
        pid: Option<u32>,
    },
    /// It may not be written.
    #[error("the data folder {} cannot be written ({cause}); make it writable for this user, or choose another one", .path.display())]
    ReadOnly {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// There is no room on its disk.
    #[error("the disk of the data folder {} is full ({cause}); free some space and start again: nothing was lost", .path.display())]
    Full {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A restore into it was cut off.
    #[error(
        "a backup was being restored into the data folder {} and that was cut off; empty the folder and restore the \
         backup again", .path.display()
    )]
    Unfinished {
        /// The folder.
        path: PathBuf,
    },
    /// Anything else.
    #[error("the data folder {} cannot be used ({cause}); it must be a folder that Greenroom may write", .path.display())]
    Unusable {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

impl DataDir {
    /// Makes the folder `path` if it is missing (for this user alone), takes its lock, and tries whether
    /// it can be written.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        let told = |cause| explained(path, cause);
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(told)?;
        let path = path.canonicalize().map_err(told)?;
        if path.join(RESTORING).exists() {
            return Err(DataDirError::Unfinished { path });
        }
        let lock = lock(&path)?;
        probe(&path).map_err(|cause| explained(&path, cause))?;
        Ok(Self { path, _lock: lock })
    }

    /// The folder, as an absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file of the state of now.
    pub fn directory_file(&self) -> PathBuf {
        self.path.join(DATABASES[0])
    }

    /// The file of the history.
    pub fn event_log_file(&self) -> PathBuf {
        self.path.join(DATABASES[1])
    }

    /// The file of the records.
    pub fn storage_file(&self) -> PathBuf {
        self.path.join(DATABASES[2])
    }

    /// The folder with a folder for each Docker engine.
    pub fn containers_dir(&self) -> PathBuf {
        self.path.join("containers")
    }

    /// The folder with a folder for each other host that game servers are asked for.
    pub fn hosting_api_dir(&self) -> PathBuf {
        self.path.join("hosting-api")
    }

    /// What tells this installation from any other, for good: made at the first call.
    pub fn installation(&self) -> io::Result<String> {
        let path = self.path.join(INSTALLATION);
        match fs::read_to_string(&path) {
            Ok(text) if !text.trim().is_empty() => return Ok(text.trim().to_owned()),
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let id = format!("{:016x}", rand::random::<u64>());
        write_private(&path, format!("{id}\n").as_bytes())?;
        Ok(id)
    }

    /// The version of the program that has used the folder last, if it was noted.
    pub fn used_by(&self) -> Option<String> {
        fs::read_to_string(self.path.join(VERSION)).ok().map(|text| text.trim().to_owned())
    }

    /// Notes that this version of the program uses the folder.
    pub fn note_version(&self) -> io::Result<()> {
        let own = env!("CARGO_PKG_VERSION");
        if self.used_by().as_deref() == Some(own) {
            return Ok(());
        }
        write_private(&self.path.join(VERSION), format!("{own}\n").as_bytes())
    }

    /// The files that belong to the installation beside its databases, and what they are called in a
    /// backup: its name, the credentials of `dev`, and its configuration, if that is a file.
    pub fn files_beside(&self, config: Option<&Path>) -> Vec<(String, PathBuf)> {
        let own = [INSTALLATION, DEV, VERSION].map(|name| (name.to_owned(), self.path.join(name)));
        let config = config.map(|path| (CONFIG.to_owned(), path.to_owned()));
        own.into_iter().chain(config).collect()
    }

    /// The folder with a folder for each game server.
    pub fn servers_dir(&self) -> PathBuf {
        self.path.join("servers")
    }
}

/// Writes `bytes` to `path` for this user alone, in one step: whoever reads it sees the old or the new file whole.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    // A leftover of a start that was killed here may have another mode.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

fn lock(path: &Path) -> Result<File, DataDirError> {
    let told = |cause| explained(path, cause);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let mut file = options.open(path.join(LOCK)).map_err(told)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
            return Err(DataDirError::InUse { path: path.to_owned(), pid });
        }
        Err(TryLockError::Error(cause)) => return Err(explained(path, cause)),
    }
    let holder = format!("{}\n", std::process::id());
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| file.write_all(holder.as_bytes()))
        .map_err(told)?;
    Ok(file)
}

fn probe(path: &Path) -> io::Result<()> {
    let probe = path.join(PROBE);
    let written = File::create(&probe).and_then(|mut file| {
        file.write_all(&vec![0; PROBE_BYTES])?;
        file.sync_all()
    });
    let removed = fs::remove_file(&probe);
    written.and(removed)
}

fn explained(path: &Path, cause: io::Error) -> DataDirError {
    let path = path.to_owned();
    match cause.kind() {
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => DataDirError::ReadOnly { path, cause },
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => DataDirError::Full { path, cause },
        _ => DataDirError::Unusable { path, cause },
    }
}
