//! `cargo xtask golden`: the files that tests hold to the letter.

use crate::process;

/// Runs every test whose name contains `golden` so that it writes its file instead of comparing.
pub(crate) fn write() -> anyhow::Result<()> {
    process::run(
        process::cargo()
            .args(["test", "--workspace", "--quiet", "golden"])
            .env("GREENROOM_GOLDEN", "write")
            .env("INSTA_UPDATE", "always"),
    )
}

/// Runs the same tests so that they compare.
pub(crate) fn compare() -> anyhow::Result<()> {
    process::run(
        process::cargo()
            .args(["test", "--workspace", "--quiet", "golden"])
            .env_remove("GREENROOM_GOLDEN")
            .env("INSTA_UPDATE", "no"),
    )
}
