//! Greenroom, as one binary: commands, configuration, wiring, life cycle.

pub mod cli;
mod commands;
pub mod config;
pub mod data_dir;
pub mod dev;
pub mod exit;
mod http;
mod listing;
mod log;
pub mod measures;
mod notify;
mod output;
mod outside;
mod screen;
pub mod server;
mod shutdown;
mod sse;

use std::process::ExitCode;

use clap::Parser;

use cli::{Arguments, Command};
use config::value::LogFormat;

/// Runs the program: reads the arguments, does what they say, and tells how it went.
pub fn main() -> ExitCode {
    // Without arguments it is `dev`: the one command of a first start.
    let command = Arguments::parse().command.unwrap_or_else(|| Command::Dev(cli::Dev::default()));
    let outcome = match command {
        // The supervisor of a game server is a process among thousands: it starts no runtime.
        Command::Supervise { folder } => return greenroom_fleet::supervise::main(&folder),
        Command::SkirmishServer(arguments) => single_threaded(async {
            // Its standard error is kept by the supervisor, as any game server's is.
            log::start(&config::sections::Log { format: LogFormat::Text, level: "info".into() })?;
            Ok(skirmish::server::run(arguments).await?)
        }),
        Command::Dev(arguments) => multi_threaded(dev::run(arguments)),
        Command::Serve(arguments) => multi_threaded(server::run(arguments)),
        Command::Config { command } => commands::config::run(command),
        Command::Init(arguments) => commands::init::run(&arguments),
        Command::Doctor { server, arguments } => single_threaded(commands::doctor::run(server, arguments)),
        Command::Top { server, arguments } => single_threaded(commands::top::run(server, arguments)),
        Command::Servers { server, command } => single_threaded(commands::servers::run(server, command)),
        Command::Allocate { server, arguments } => {
            single_threaded(commands::allocate::run(server, arguments))
        }
        Command::Lobbies { server, command } => single_threaded(commands::lobbies::run(server, command)),
        Command::Players { server, command } => single_threaded(commands::players::run(server, command)),
        Command::Events { server, command } => single_threaded(commands::events::run(server, command)),
        Command::Hosts { server, command } => single_threaded(commands::hosts::run(server, command)),
        Command::Keys { server, command } => single_threaded(commands::keys::run(server, command)),
        Command::Admins { server, command } => single_threaded(commands::admins::run(server, command)),
        Command::Audit { server, limit, after } => {
            single_threaded(commands::audit::run(server, limit, after))
        }
        Command::Backup { server, arguments } => single_threaded(commands::backup::backup(server, arguments)),
        Command::Restore { file, folder, json } => commands::backup::restore(&file, &folder, json),
        Command::Verify { file, json } => commands::backup::verify(&file, json),
        Command::Backups { server, command } => single_threaded(commands::backup::backups(server, command)),
        Command::Builds { server, command } => single_threaded(commands::builds::run(server, command)),
        Command::Completions { shell } => {
            commands::manual::completions(shell);
            Ok(())
        }
        Command::Man { out } => commands::manual::pages(out.as_deref()),
        Command::Version => {
            output::line(env!("CARGO_PKG_VERSION"));
            Ok(())
        }
    };
    exit::code_of(outcome)
}

fn single_threaded(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

fn multi_threaded(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}
