//! Greenroom itself cannot start.

use std::{fs::Permissions, net::TcpListener, os::unix::fs::PermissionsExt as _, process::Command};

use greenroom_test_support::{FsyncFault, SmallDisk};

use crate::{installation, text};

/// Runs `command` to its end; gives the exit code and what it said.
fn refused(mut command: Command) -> (Option<i32>, String) {
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test]
async fn an_address_in_use_is_said() {
    let installation = installation();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    let mut command = installation.dev_command();
    command.args(["--listen", &address]);
    let (code, said) = refused(command);
    assert_eq!(code, Some(1));
    let sentence =
        format!("cannot listen on {address}; is another program there? Choose another address with");
    assert!(said.contains(&sentence), "{said}");
}

#[tokio::test]
async fn a_second_greenroom_on_the_same_folder_is_refused_with_the_firsts_process() {
    let installation = installation();
    let first = installation.dev().await;
    let sentence = format!(
        "the data folder {} is in use by another Greenroom (process {}); stop that one, or choose another",
        installation.data_dir().display(),
        first.pid()
    );
    for command in [installation.dev_command(), installation.serve_command()] {
        let (code, said) = refused(command);
        assert_eq!(code, Some(1));
        assert!(said.contains(&sentence), "{said}");
    }
    let signed_in = first.sign_in("Ann").await;
    assert_eq!(signed_in.status, 200, "the first goes on: {signed_in:?}");
}

#[tokio::test]
async fn a_read_only_data_folder_is_said() {
    let disk;
    let folder = tempfile::tempdir().unwrap();
    let data_dir = if rustix::process::geteuid().is_root() {
        // Permissions mean nothing to root; the file system has to refuse.
        let Some(mounted) = SmallDisk::mount(4096, "a read-only data folder") else { return };
        disk = mounted;
        std::fs::create_dir(disk.path().join("data")).unwrap();
        disk.make_read_only();
        disk.path().join("data")
    } else {
        let data_dir = folder.path().join("data");
        std::fs::create_dir(&data_dir).unwrap();
        std::fs::set_permissions(&data_dir, Permissions::from_mode(0o500)).unwrap();
        data_dir
    };
    let installation = installation().with_data_dir(&data_dir);
    let (code, said) = refused(installation.dev_command());
    assert_eq!(code, Some(1));
    let sentence = format!("the data folder {} cannot be written (", data_dir.display());
    assert!(said.contains(&sentence) && said.contains("make it writable for this user"), "{said}");
}

#[tokio::test]
async fn a_full_disk_at_the_start_is_said() {
    let Some(disk) = SmallDisk::mount(4096, "a full disk at the start") else { return };
    let data_dir = disk.path().join("data");
    let installation = installation().with_data_dir(&data_dir);
    let mut first = installation.dev().await;
    let player = first.sign_in("Ann").await.body;
    first.kill();
    disk.fill().unwrap();
    let (code, said) = refused(installation.dev_command());
    assert_eq!(code, Some(1));
    let sentence = format!("the disk of the data folder {} is full (", data_dir.display());
    assert!(said.contains(&sentence) && said.contains("nothing was lost"), "{said}");
    disk.free().unwrap();
    let again = installation.dev().await;
    let token = text(&player["accessToken"]);
    let me = again.ask_as(reqwest::Method::GET, "/accounts/me", &token, &[], None).await;
    assert_eq!(me.status, 200, "{me:?}");
}

#[tokio::test]
async fn a_disk_that_does_not_keep_what_is_written_is_said_at_the_start() {
    let fault = FsyncFault::build().unwrap();
    let installation = installation().with_env(fault.env());
    fault.fail(true).unwrap();
    let (code, said) = refused(installation.dev_command());
    assert_eq!(code, Some(1));
    assert!(said.contains("cannot be used (Input/output error"), "{said}");
}
