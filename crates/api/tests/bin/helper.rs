//! What tests start: `supervise <folder>` is a supervisor, `game` and `echo <port>` are game
//! servers.

mod echo;

use std::{path::Path, process::ExitCode, thread, time::Duration};

/// A game server whose test is gone ends by itself after this.
const LIFE_MAX: Duration = Duration::from_mins(2);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["supervise", folder] => greenroom_fleet::supervise::main(Path::new(folder)),
        ["echo", port] => match port.parse().map(echo::run) {
            Ok(Ok(())) => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        },
        ["game"] => {
            println!("token={}", std::env::var("GREENROOM_SERVER_TOKEN").unwrap_or_default());
            println!("payload={}", std::env::var("GREENROOM_PAYLOAD").unwrap_or_default());
            println!("ready");
            thread::sleep(LIFE_MAX);
            ExitCode::SUCCESS
        }
        _ => ExitCode::FAILURE,
    }
}
