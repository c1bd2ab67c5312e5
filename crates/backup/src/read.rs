//! Checks a backup, and brings it back.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, BufReader, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use crate::{
    container::{self, Visitor},
    error::BackupError,
    file::sync_folder_of,
    manifest::Manifest,
    source::{DATABASES, beside},
};

/// The folder, in the one that is restored into, where everything stands until all of it is good. While it
/// is there the data folder must not be used.
pub const RESTORING: &str = ".restoring";

/// Reads the backup at `path` to its end and checks every byte of it. Blocks.
pub fn verify(path: &Path) -> Result<Manifest, BackupError> {
    struct Nothing;

    impl Visitor for Nothing {
        fn begin(&mut self, _: &str) -> Result<(), BackupError> {
            Ok(())
        }

        fn bytes(&mut self, _: &[u8]) -> Result<(), BackupError> {
            Ok(())
        }

        fn end(&mut self) -> Result<(), BackupError> {
            Ok(())
        }
    }

    container::read(open(path)?, &mut Nothing)
}

/// Brings the backup at `path` back into `folder`, which is made if it is missing and must be empty. If
/// anything is wrong nothing is left there. Blocks.
pub fn restore(path: &Path, folder: &Path) -> Result<Manifest, BackupError> {
    let input = open(path)?;
    let told = || BackupError::unwritable(folder);
    let is_new = !folder.exists();
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(told())?;
    if fs::read_dir(folder).map_err(told())?.next().is_some() {
        return Err(BackupError::NotEmpty { path: folder.to_owned() });
    }
    let restored = unpack(input, folder);
    if restored.is_err() {
        let _as_far_as_it_goes = fs::remove_dir_all(folder.join(RESTORING));
        if is_new {
            let _as_far_as_it_goes = fs::remove_dir(folder);
        }
    }
    restored
}

/// Puts the databases of the backup at `path` in the place of those in `folder`, which nobody uses. Blocks.
pub fn put_back(path: &Path, folder: &Path) -> Result<Manifest, BackupError> {
    let unpacking = folder.join(RESTORING);
    remove_if_there(&unpacking)?;
    let unpacked = unpack_into(open(path)?, &unpacking);
    let replaced = unpacked.and_then(|manifest| {
        for name in DATABASES {
            for path in beside(folder, name) {
                fs::remove_file(&path).map_err(BackupError::unwritable(&path))?;
            }
            let new = unpacking.join(name);
            if new.exists() {
                fs::rename(&new, folder.join(name)).map_err(BackupError::unwritable(folder))?;
            }
        }
        sync_folder_of(&folder.join(RESTORING)).map_err(BackupError::unwritable(folder))?;
        Ok(manifest)
    });
    remove_if_there(&unpacking)?;
    replaced
}

fn remove_if_there(folder: &Path) -> Result<(), BackupError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(BackupError::unwritable(folder)(error)),
        _ => Ok(()),
    }
}

fn unpack(input: BufReader<File>, folder: &Path) -> Result<Manifest, BackupError> {
    let unpacking = folder.join(RESTORING);
    let manifest = unpack_into(input, &unpacking)?;
    let told = || BackupError::unwritable(folder);
    for entry in fs::read_dir(&unpacking).map_err(told())? {
        let entry = entry.map_err(told())?;
        fs::rename(entry.path(), folder.join(entry.file_name())).map_err(told())?;
    }
    sync_folder_of(&unpacking).map_err(told())?;
    // Gone last: until then no Greenroom starts here.
    fs::remove_dir(&unpacking).and_then(|()| sync_folder_of(&unpacking)).map_err(told())?;
    Ok(manifest)
}

/// Unpacks into the new folder `unpacking`, checks that every byte is as it was, and that the databases are whole.
fn unpack_into(input: BufReader<File>, unpacking: &Path) -> Result<Manifest, BackupError> {
    DirBuilder::new().mode(0o700).create(unpacking).map_err(BackupError::unwritable(unpacking))?;
    let mut files = Files { folder: unpacking.to_owned(), open: None };
    let manifest = container::read(input, &mut files)?;
    for name in DATABASES {
        let path = unpacking.join(name);
        if path.exists() {
            match greenroom_sqlite::check(&path) {
                Ok(None) => {}
                Ok(Some(found)) => return Err(BackupError::damaged(format!("{name} is not whole: {found}"))),
                Err(error) => return Err(BackupError::damaged(format!("{name} cannot be opened: {error}"))),
            }
            for path in beside(unpacking, name) {
                fs::remove_file(&path).map_err(BackupError::unwritable(&path))?;
            }
            let synced = File::open(&path).and_then(|file| file.sync_all());
            synced.map_err(BackupError::unwritable(&path))?;
        }
    }
    Ok(manifest)
}

fn open(path: &Path) -> Result<BufReader<File>, BackupError> {
    let file = File::open(path).map_err(BackupError::unreadable(path.display().to_string()))?;
    Ok(BufReader::with_capacity(256 * 1024, file))
}

/// Writes the files of a backup into a folder.
struct Files {
    folder: PathBuf,
    open: Option<(File, PathBuf)>,
}

impl Visitor for Files {
    fn begin(&mut self, name: &str) -> Result<(), BackupError> {
        let path = self.folder.join(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        self.open = Some((file.map_err(BackupError::unwritable(&path))?, path));
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), BackupError> {
        let Some((file, path)) = &mut self.open else { return Ok(()) };
        file.write_all(bytes).map_err(BackupError::unwritable(&*path))
    }

    fn end(&mut self) -> Result<(), BackupError> {
        let Some((file, path)) = self.open.take() else { return Ok(()) };
        file.sync_all().map_err(BackupError::unwritable(path))
    }
}
