//! Files that are made of the code's own declarations, held to the letter. `cargo xtask golden` writes them anew.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{env, fs, path::Path};

use greenroom::{cli, config::document, measures};

#[track_caller]
fn hold(path: &str, made: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    if env::var_os("GREENROOM_GOLDEN").is_some_and(|value| value == "write") {
        fs::write(&path, made).unwrap();
        return;
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    let differing = kept.lines().zip(made.lines()).position(|(kept, made)| kept != made);
    let line = differing.unwrap_or_else(|| kept.lines().count().min(made.lines().count())) + 1;
    assert!(kept == made, "{} differs at line {line}: run `cargo xtask golden` and look", path.display());
}

#[test]
fn golden_example_configuration() {
    hold("docs/reference/greenroom.toml", &document::example());
}

#[test]
fn golden_reference_of_the_configuration() {
    hold("docs/reference/configuration.md", &document::reference());
}

#[test]
fn golden_reference_of_the_command_line() {
    hold("docs/reference/cli.md", &cli::reference());
}

#[test]
fn golden_reference_of_the_metrics() {
    hold("docs/reference/metrics.md", &measures::reference());
}
