//! The supervisor of one game server.

use std::{path::Path, process::ExitCode};

/// Runs the game server that `folder` describes.
pub fn main(_folder: &Path) -> ExitCode {
    ExitCode::FAILURE
}
