//! What the main job must reach: a start, a match, lobbies, sign-ins, events, idle sockets.

pub(crate) mod commands;
mod events;
mod idle_sockets;
mod match_start;
mod players;
mod sign_ins;
mod start;

use std::{
    env, fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{machine::Machine, report::Report, server::Bench, settings};

/// What is measured, and how thoroughly.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Measures only this; may be given several times
    #[arg(long, value_name = "SECTION")]
    only: Vec<Section>,
    /// How often everything is measured; the median and the spread of these are shown
    #[arg(long, default_value_t = 5)]
    runs: u32,
    /// How long one rate is measured
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// How much history the full data folder of `start` has
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    history_mib: u64,
    /// How many matches one run of `match-start` starts from the warm pool
    #[arg(long, value_name = "COUNT", default_value_t = 200)]
    warm_starts: usize,
    /// Makes the arrivals of another run again; printed with every run
    #[arg(long)]
    seed: Option<u64>,
    /// The program that is measured [default: the one beside this]
    #[arg(long, value_name = "FILE")]
    greenroom: Option<PathBuf>,
    /// Where data folders are made: on the disk that is to be measured [default: beside this program]
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Section {
    /// From a start to serving requests; memory and size of the program
    Start,
    /// From `lobby:start` to `match:started`, cold and from the warm pool
    MatchStart,
    /// Lobby commands in an open loop, and a lobby of 64
    Commands,
    /// Durable sign-ins beside bare inserts
    SignIns,
    /// Durable events beside bare inserts
    Events,
    /// Memory of 10,000 idle sockets
    IdleSockets,
}

/// What every section is given.
struct Context<'a> {
    bench: &'a Bench,
    arguments: &'a Arguments,
    seed: u64,
    report: Report,
}

impl Context<'_> {
    fn seconds(&self) -> Duration {
        Duration::from_secs(self.arguments.seconds)
    }
}

/// Measures, and prints a table and one line of JSON.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let beside = env::current_exe()?;
    let greenroom = arguments.greenroom.clone().unwrap_or_else(|| beside.with_file_name("greenroom"));
    let folder = match &arguments.folder {
        Some(folder) => folder.clone(),
        None => beside.parent().context("this program has no folder")?.to_owned(),
    };
    let bench = Bench::new(&greenroom, &folder)?;
    let machine = Machine::look(bench.root(), raise_descriptors()?);
    if !machine.has_disk() {
        eprintln!(
            "{} is in memory: durable figures prove nothing there; name another --folder",
            folder.display()
        );
    }
    let seed = arguments.seed.unwrap_or_else(rand::random);
    eprintln!("--seed {seed}");
    let report = Report::new(machine, settings::raised());
    let mut context = Context { bench: &bench, arguments, seed, report };
    let size = fs::metadata(bench.greenroom())?.len();
    for section in Section::value_variants() {
        if !arguments.only.is_empty() && !arguments.only.contains(section) {
            continue;
        }
        let began = Instant::now();
        match section {
            Section::Start => start::measure(&mut context, size)?,
            Section::MatchStart => match_start::measure(&mut context)?,
            Section::Commands => commands::measure(&mut context)?,
            Section::SignIns => sign_ins::measure(&mut context)?,
            Section::Events => events::measure(&mut context)?,
            Section::IdleSockets => idle_sockets::measure(&mut context)?,
        }
        eprintln!("{section:?} took {:.0} s", began.elapsed().as_secs_f64());
    }
    println!("{}", context.report.table());
    println!("{}", context.report.json()?);
    Ok(())
}

/// Lets this process, and the server that inherits it, have as many sockets as the system permits.
pub(crate) fn raise_descriptors() -> anyhow::Result<u64> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    Ok(maximum.unwrap_or(u64::MAX))
}
