//! Servers in containers: what Greenroom adds to the engine's own calls for the same container.

mod bare;
mod burst;
mod cold;
mod limits;
mod operator;
mod pool;
mod settings;

use std::{
    env,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::Context as _;
use bare::Bare;
use clap::{Args, ValueEnum};
use greenroom_test_support::engines::{self, Docker};
use operator::Operator;
use settings::Settings;
use tempfile::TempDir;

use crate::{
    machine::Machine,
    main_job,
    report::Report,
    server::{Bench, How},
    settings::RAISED,
};

/// What is measured, and how thoroughly.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Measures only this; may be given several times
    #[arg(long, value_name = "SECTION")]
    only: Vec<Section>,
    /// How often everything is measured; the median and the spread of these are shown
    #[arg(long, default_value_t = 5)]
    runs: u32,
    /// Cold starts of one run, and as many bare ones, by turns
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    cold_starts: u32,
    /// Starts of one burst with sixteen in flight, and as many bare ones
    #[arg(long, value_name = "COUNT", default_value_t = 48)]
    burst_starts: u32,
    /// Allocations of one run from the warm pool, one after another
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    warm_starts: u32,
    /// Servers of the pool that is emptied at once
    #[arg(long, value_name = "COUNT", default_value_t = 250)]
    pool: u32,
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
    /// One request, with nothing else running
    Cold,
    /// Sixteen requests at once, again and again
    Burst,
    /// The same on the host's network
    HostNetwork,
    /// Allocations from a warm pool, one by one and as fast as they go
    Pool,
    /// Fifty requests at once against a limit
    Limits,
}

/// What every section is given.
struct Context<'a> {
    bench: &'a Bench,
    engine: &'a Docker,
    engine_url: String,
    /// What containers see as a volume.
    volume: TempDir,
    arguments: &'a Arguments,
    report: Report,
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
    let machine = Machine::look(bench.root(), main_job::raise_descriptors()?);
    let engine = engines::docker("bench fleet")
        .context("there is no Docker engine to measure: install docker.io, and run this as root")?;
    engine.import_game(settings::IMAGE, &[settings::VERSION]);
    let limits: Vec<_> = RAISED.iter().map(|(key, value)| format!("{key} = {value}")).collect();
    let report = Report::new(machine, limits.join(", "));
    let volume = bench.folder()?;
    let mut context =
        Context { bench: &bench, engine_url: engine.url(), engine: &engine, volume, arguments, report };
    context.note_engine()?;
    for run in 1..=arguments.runs {
        for section in Section::value_variants() {
            if !arguments.only.is_empty() && !arguments.only.contains(section) {
                continue;
            }
            let began = Instant::now();
            match section {
                Section::Cold => cold::measure(&mut context)?,
                Section::Burst => burst::measure(&mut context, false)?,
                Section::HostNetwork => burst::measure(&mut context, true)?,
                Section::Pool => pool::measure(&mut context)?,
                Section::Limits => limits::measure(&mut context)?,
            }
            eprintln!("run {run}: {section:?} took {:.0} s", began.elapsed().as_secs_f64());
        }
    }
    println!("{}", context.report.table());
    println!("{}", context.report.json()?);
    Ok(())
}

impl Context<'_> {
    /// Which engine it is, on standard error: figures without it say nothing.
    fn note_engine(&self) -> anyhow::Result<()> {
        let version = self.engine.call("GET", "/version", None).json();
        let info = self.engine.call("GET", "/info", None).json();
        let version = version["Version"].as_str().context("the engine has no version")?;
        eprintln!(
            "Docker Engine {version}, storage {}, cgroup {} v{}; published by its proxies, without packet filters",
            info["Driver"].as_str().unwrap_or_default(),
            info["CgroupDriver"].as_str().unwrap_or_default(),
            info["CgroupVersion"].as_str().unwrap_or_default(),
        );
        Ok(())
    }

    /// Greenroom over the engine, with `settings` but for what this knows better.
    fn start(&self, settings: &Settings, data: &Path) -> anyhow::Result<(crate::server::Server, Operator)> {
        let volume = self.volume.path().display().to_string();
        let text = Settings { engine: &self.engine_url, volume: &volume, ..settings.clone() }.text();
        let server = self.bench.start(&How::DevWith(&text), data)?;
        let operator = Operator::new(server.http()?);
        Ok((server, operator))
    }

    /// Removes what Greenroom left when it was killed.
    fn remove_all(&self) -> anyhow::Result<()> {
        let ids: Vec<_> = self
            .engine
            .containers()
            .into_iter()
            .filter_map(|found| Some(found["Id"].as_str()?.to_owned()))
            .collect();
        bare::remove_all(self.engine, &ids)
    }

    /// The engine's own calls for a container that Greenroom is made to run for a moment.
    fn bare(&self, operator: &mut Operator) -> anyhow::Result<Bare<'_>> {
        let port = operator.allocate()?.port;
        let bare = Bare::like_the_running_one(self.engine, port, self.volume.path());
        operator.stop_all()?;
        operator.wait_until_living(0)?;
        bare
    }
}
