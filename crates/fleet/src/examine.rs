//! What can be told of a machine before game servers are started on it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{folder::Folder, network, process};

/// The program that a command means, as [`Provider`](crate::Provider) finds it: a path as it is, from `base` if there
/// is one; a bare name by the search path `search`. None if there is no such program that may be run.
pub fn program(command: &str, base: Option<&Path>, search: &str) -> Option<PathBuf> {
    process::resolve(command, base, search)
}

/// Whether the kernel can be asked for open sockets over netlink, as is done to see whether a game server listens.
/// Otherwise its text tables are read, which costs more.
pub fn socket_diagnostics() -> io::Result<()> {
    network::try_diagnostics()
}

/// How many folders in `servers_dir` are of game servers that no longer run. Of those that are kept some are: an
/// ended server's log can be read for a time.
pub fn ended_servers(servers_dir: &Path) -> io::Result<u32> {
    let entries = match fs::read_dir(servers_dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let mut ended = 0;
    for entry in entries {
        let entry = entry?;
        // One without a lock was never started whole.
        let is_server = entry.file_type()?.is_dir() && entry.path().join("lock").is_file();
        if is_server && Folder::new(entry.path()).try_lock()?.is_some() {
            ended += 1;
        }
    }
    Ok(ended)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_whose_lock_nobody_holds_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(ended_servers(&folder.path().join("none")).unwrap(), 0);
        for name in ["a", "b", "no-lock"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("a/lock"), "").unwrap();
        fs::write(folder.path().join("b/lock"), "").unwrap();
        let _held = Folder::new(folder.path().join("b")).try_lock().unwrap().unwrap();
        assert_eq!(ended_servers(folder.path()).unwrap(), 1);
    }
}
