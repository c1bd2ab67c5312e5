//! `greenroom-bench`: measures a release build of Greenroom beside a load generator.
//!
//! `cargo xtask bench main-job` builds both and runs this; `bench/README.md` says how to read it.

mod fsyncs;
mod load;
mod machine;
mod main_job;
mod process;
mod reference;
mod report;
mod server;
mod settings;

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
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().benchmark {
        Benchmark::MainJob(arguments) => main_job::run(&arguments),
    }
}
