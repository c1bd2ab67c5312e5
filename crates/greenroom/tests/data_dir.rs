//! The data folder: one Greenroom at a time, and a clear sentence where it cannot be used.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
};

use greenroom::{
    data_dir::{DataDir, DataDirError, write_private},
    dev::DevFile,
};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn it_is_made_for_this_user_alone() {
    let folder = tempfile::tempdir().unwrap();
    let data = DataDir::open(&folder.path().join("a/b")).unwrap();
    assert_eq!(mode(data.path()), 0o700);
    assert!(data.path().is_absolute());
}

#[test]
fn a_second_greenroom_is_refused_and_told_which_process_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let first = DataDir::open(folder.path()).unwrap();
    let error = DataDir::open(folder.path()).unwrap_err();
    assert!(
        matches!(error, DataDirError::InUse { pid: Some(pid), .. } if pid == std::process::id()),
        "{error}"
    );
    assert!(error.to_string().contains("in use by another Greenroom (process "), "{error}");
    drop(first);
    DataDir::open(folder.path()).unwrap();
}

#[test]
fn a_folder_that_is_none_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = DataDir::open(&file.join("data")).unwrap_err();
    assert!(error.to_string().contains("it must be a folder that Greenroom may write"), "{error}");
}

#[test]
fn a_full_disk_is_explained() {
    // The system's own full disk stands where the probe is written.
    let folder = tempfile::tempdir().unwrap();
    symlink("/dev/full", folder.path().join(".write-probe")).unwrap();
    let error = DataDir::open(folder.path()).unwrap_err();
    assert!(matches!(error, DataDirError::Full { .. }), "{error}");
    assert!(error.to_string().contains("is full"), "{error}");
}

#[test]
fn a_read_only_folder_is_explained() {
    // /proc takes no file of anybody's, root's included.
    let error = DataDir::open(Path::new("/proc/sys/kernel")).unwrap_err();
    assert!(matches!(error, DataDirError::ReadOnly { .. } | DataDirError::Unusable { .. }), "{error}");
    assert!(error.to_string().starts_with("the data folder /proc/sys/kernel cannot be "), "{error}");
}

#[test]
fn what_is_private_is_replaced_in_one_step() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dev.json");
    fs::write(folder.path().join("dev.new"), "left over").unwrap();
    write_private(&path, b"one").unwrap();
    write_private(&path, b"two").unwrap();
    assert_eq!((fs::read(&path).unwrap(), mode(&path)), (b"two".to_vec(), 0o600));
}

#[test]
fn what_dev_keeps_is_read_back_and_for_this_user_alone() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(DevFile::read(folder.path()).unwrap(), None);
    let file = DevFile {
        url: "http://127.0.0.1:1".into(),
        admin_token: "ga_a".into(),
        api_key: "gk_k_s".into(),
        game: None,
        data_dir: folder.path().to_owned(),
    };
    file.write().unwrap();
    assert_eq!(mode(&folder.path().join("dev.json")), 0o600);
    assert_eq!(DevFile::read(folder.path()).unwrap(), Some(file));
}

#[test]
fn a_damaged_dev_file_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("dev.json"), "{").unwrap();
    let error = DevFile::read(folder.path()).unwrap_err();
    assert!(error.to_string().contains("is damaged; remove it"), "{error}");
}
