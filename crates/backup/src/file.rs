//! A new file that is there whole or not at all.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::{Advice, fadvise};

use crate::error::BackupError;

/// How the name of a file that is being written begins and ends.
const PART_PREFIX: &str = ".";
const PART_SUFFIX: &str = ".part";

/// Bytes between two syncs. Much that is written and not synced makes the next sync of a database
/// wait for it, as a file system's journal has one order.
const SYNC_BYTES: u64 = 4 * 1024 * 1024;

/// A file that is being written, for this user alone, under a hidden name beside its own. Dropped
/// before [`finish`](Self::finish) it is removed.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    part: PathBuf,
    path: PathBuf,
    written_bytes: u64,
    synced_bytes: u64,
    is_finished: bool,
}

impl NewFile {
    /// Begins `path`; what a killed process left of it under the hidden name is replaced.
    pub fn create(path: &Path) -> Result<Self, BackupError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let part = path.with_file_name(format!("{PART_PREFIX}{name}{PART_SUFFIX}"));
        let told = BackupError::unwritable(path);
        let removed = fs::remove_file(&part);
        if let Some(error) = removed.err().filter(|error| error.kind() != io::ErrorKind::NotFound) {
            return Err(told(error));
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part).map_err(told)?;
        let path = path.to_owned();
        Ok(Self { file, part, path, written_bytes: 0, synced_bytes: 0, is_finished: false })
    }

    /// Syncs it, gives it its name, and syncs that.
    pub fn finish(mut self) -> Result<(), BackupError> {
        let synced = self.file.sync_all().and_then(|()| fs::rename(&self.part, &self.path));
        synced.map_err(BackupError::unwritable(&self.path))?;
        self.is_finished = true;
        sync_folder_of(&self.path).map_err(BackupError::unwritable(&self.path))
    }

    /// Where it is until it is finished.
    pub fn part(&self) -> &Path {
        &self.part
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        // Nobody reads it again soon: what is read of the databases is to stay in memory instead.
        let written = std::num::NonZeroU64::new(self.written_bytes);
        let _only_advice = fadvise(&self.file, 0, written, Advice::DontNeed);
        self.synced_bytes = self.written_bytes;
        Ok(())
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes).and_then(|written| {
            self.written_bytes += written as u64;
            if self.written_bytes - self.synced_bytes >= SYNC_BYTES {
                self.sync()?;
            }
            Ok(written)
        });
        written.map_err(|error| io::Error::other(BackupError::unwritable(&self.path)(error)))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.is_finished
            && let Err(error) = fs::remove_file(&self.part)
        {
            tracing::warn!(path = %self.part.display(), %error, "an unfinished backup could not be removed");
        }
    }
}

/// Removes what killed processes left in `folder` of files whose names `is_ours` knows.
pub(crate) fn remove_parts(folder: &Path, is_ours: impl Fn(&str) -> bool) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let part = name.strip_prefix(PART_PREFIX).and_then(|name| name.strip_suffix(PART_SUFFIX));
        if part.is_some_and(&is_ours) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Makes a change of names in the folder of `path` survive loss of power.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => File::open(".")?.sync_all(),
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
