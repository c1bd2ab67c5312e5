//! `greenroom-bench`: measures a release build of Greenroom beside a load generator.
//!
//! `cargo xtask bench main-job` builds both and runs this; `bench/README.md` says how to read it.

mod backup;
mod fleet;
mod fsyncs;
mod gateway;
mod load;
mod machine;
mod main_job;
mod process;
mod reference;
mod report;
mod server;
mod settings;

use std::net::SocketAddr;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask bench", about = "Measures Greenroom beside a load generator")]
struct Arguments {
    #[command(subcommand)]
    benchmark: Benchmark,
}

#[derive(Subcommand)]
enum Benchmark {
    /// From a start to a running match: what the main job must reach, each figure beside its target.
    MainJob(main_job::Arguments),
    /// Servers in containers, beside bare calls of the Docker engine for the same container
    Fleet(fleet::Arguments),
    /// What players feel of a backup while it is made
    Backup(backup::Arguments),
    /// The gateway beside a plain proxy, at 1,000 WebSocket connections
    Gateway(gateway::Arguments),
    /// The game server of `gateway`
    #[command(hide = true)]
    Echo {
        /// Where it listens
        port: u16,
    },
    /// The proxy that the gateway is held against
    #[command(hide = true)]
    PlainProxy {
        /// Where it passes on to
        target: SocketAddr,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().benchmark {
        Benchmark::MainJob(arguments) => main_job::run(&arguments),
        Benchmark::Fleet(arguments) => fleet::run(&arguments),
        Benchmark::Backup(arguments) => backup::run(&arguments),
        Benchmark::Gateway(arguments) => gateway::run(&arguments),
        Benchmark::Echo { port } => gateway::echo::run(port),
        Benchmark::PlainProxy { target } => gateway::plain::run(target),
    }
}
