//! The test game: a static program of our own, alone in an image made from nothing.

use std::{
    env, fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::PathBuf,
    process::Command,
    sync::OnceLock,
};

/// The program of test images inside them; see `docker_game.rs` for its arguments.
pub const GAME: &str = "/game";

/// The test game as a static program that needs nothing beside it; see `docker_game.rs` for its
/// arguments. Compiled by the first test that wants it, and kept beside the test's own program.
///
/// # Panics
///
/// If it cannot be compiled.
pub fn test_game() -> PathBuf {
    const SOURCE: &str = include_str!("../docker_game.rs");
    let mut hasher = DefaultHasher::new();
    SOURCE.hash(&mut hasher);
    let this = env::current_exe().expect("the path of this program");
    let beside = this.parent().expect("a folder with programs");
    let program = beside.join(format!("docker-game-{:016x}", hasher.finish()));
    if !program.is_file() {
        // Renamed when it is complete: another test may look for it now.
        let folder = tempfile::tempdir_in(beside).expect("a folder beside the programs");
        let source = folder.path().join("game.rs");
        fs::write(&source, SOURCE).expect("the game's source");
        let compiled = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
            .args(["--edition=2024", "-Ctarget-feature=+crt-static", "-Copt-level=s", "-Cpanic=abort"])
            .args(["-Cstrip=symbols", "-Ccodegen-units=1", "-o"])
            .arg(folder.path().join("game"))
            .arg(&source)
            .output()
            .expect("rustc, which compiles the test game");
        assert!(compiled.status.success(), "rustc: {}", String::from_utf8_lossy(&compiled.stderr));
        fs::rename(folder.path().join("game"), &program).expect("the game's program");
    }
    program
}

/// The test game alone in a tar, with an empty `/tmp`: the only layer of its images.
///
/// # Panics
///
/// If it cannot be made.
pub fn game_archive() -> &'static [u8] {
    static ARCHIVE: OnceLock<Vec<u8>> = OnceLock::new();
    ARCHIVE.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        fs::copy(test_game(), folder.path().join(GAME.trim_start_matches('/'))).expect("the game's program");
        fs::create_dir(folder.path().join("tmp")).expect("a folder");
        let archive = Command::new("tar")
            .args(["--create", "--owner=0", "--group=0", "--mode=0755", "--directory"])
            .arg(folder.path())
            .arg(".")
            .output()
            .expect("tar");
        assert!(archive.status.success(), "tar: {}", String::from_utf8_lossy(&archive.stderr));
        archive.stdout
    })
}
