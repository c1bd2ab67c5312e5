//! The repository's own tasks. `cargo xtask ci` is what CI runs.

mod bench;
mod ci;
mod fuzz;
mod golden;
mod layers;
mod process;
mod sdks;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The repository's own tasks", version)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Everything that CI demands of a change, step by step, each one timed.
    Ci {
        /// Runs only this step; may be given several times.
        #[arg(long = "step", value_name = "NAME")]
        steps: Vec<ci::Step>,
    },
    /// Checks who depends on whom, and what nobody may depend on.
    Layers,
    /// Writes the golden files anew: look at the difference before you commit it.
    Golden,
    /// Throws mutated input at everything that parses, for a time.
    Fuzz {
        /// How long each target runs.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// The seed to repeat a failed run with; a new one unless given.
        #[arg(long)]
        seed: Option<u64>,
        /// Runs only this target.
        target: Option<String>,
    },
    /// Runs a benchmark of `greenroom-bench`, built for release.
    Bench {
        /// Which one, and its own arguments: see `cargo xtask bench -- --help`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().task {
        Task::Ci { steps } => ci::run(&steps),
        Task::Layers => layers::check(),
        Task::Golden => golden::write(),
        Task::Fuzz { seconds, seed, target } => fuzz::run(seconds, seed, target.as_deref()),
        Task::Bench { arguments } => bench::run(&arguments),
    }
}
