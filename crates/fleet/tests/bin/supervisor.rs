//! A supervisor on its own.

use std::{path::Path, process::ExitCode};

fn main() -> ExitCode {
    match std::env::args_os().nth(2) {
        Some(folder) => greenroom_fleet::supervise::main(Path::new(&folder)),
        None => ExitCode::FAILURE,
    }
}
