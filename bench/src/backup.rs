//! What players feel of a backup: lobby commands and durable events at fixed rates, without one and
//! while one of a given size is made, in turn.

use std::{
    env,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use clap::Args;
use greenroom_protocol::backups::{BackupList, BackupOutcome};
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};

use crate::{
    load::{
        http::{self, Http},
        latency::Latency,
        requests::{self, Until},
    },
    machine::Machine,
    main_job::{
        commands::crowd::{Crowd, Window},
        raise_descriptors,
    },
    report::{Report, Target, Unit},
    server::{Bench, How, Server},
    settings::{self, GAME, Settings},
};

const NAME: &str = "backup";

/// Connections over which the past is written, and events of one of its requests, of so many bytes.
const CONNECTIONS: usize = 8;
const EVENTS: usize = 500;
const DATA_BYTES: usize = 1_024;

/// Different bodies that the past is written with.
const BODIES: usize = 16;

/// How often a backup that is being made is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long a backup may take.
const BACKUP_MAX: Duration = Duration::from_mins(10);

/// By how much a backup may raise the 99th percentile.
const RATIO_MAX: f64 = 2.0;

/// What is measured, and how thoroughly.
#[derive(Args)]
pub(crate) struct Arguments {
    /// How often everything is measured; the median and the spread of these are shown
    #[arg(long, default_value_t = 3)]
    runs: u32,
    /// How long each window is measured; the backup should take no less
    #[arg(long, default_value_t = 12)]
    seconds: u64,
    /// How much history the installation has
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    history_mib: u64,
    /// Lobby commands a second
    #[arg(long, default_value_t = 5_000.0)]
    rate: f64,
    /// Durable events a second, one a request
    #[arg(long, default_value_t = 200.0)]
    events: f64,
    /// Makes the arrivals of another run again; printed with every run
    #[arg(long)]
    seed: Option<u64>,
    /// The program that is measured [default: the one beside this]
    #[arg(long, value_name = "FILE")]
    greenroom: Option<PathBuf>,
    /// Where data folders and backups are made: on the disk that is to be measured [default: beside this program]
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

/// Measures, and prints a table and one line of JSON.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let beside = env::current_exe()?;
    let greenroom = arguments.greenroom.clone().unwrap_or_else(|| beside.with_file_name("greenroom"));
    let beside = beside.parent().context("this program has no folder")?;
    let bench = Bench::new(&greenroom, arguments.folder.as_deref().unwrap_or(beside))?;
    let machine = Machine::look(bench.root(), raise_descriptors()?);
    let seed = arguments.seed.unwrap_or_else(rand::random);
    eprintln!("--seed {seed}");
    let mut report = Report::new(machine, settings::raised());

    let (data, kept) = (bench.folder()?, bench.folder()?);
    let text = format!(
        "{}\n[backup]\nevery = \"1000h\"\nkeep = \"1000h\"\nstore = {{ folder = {:?} }}\n",
        Settings::default().text(),
        kept.path().display().to_string()
    );
    let server = bench.start(&How::DevWith(&text), data.path())?;
    fill(&server, arguments.history_mib, seed)?;
    let mut crowd = Crowd::gather(server.address(), seed)?;
    // The first one is made by itself at the start, of next to nothing.
    wait_for_backup(&server)?;
    for _ in 0..arguments.runs {
        let without = window(&server, &mut crowd, arguments)?;
        let began = begin(&server)?;
        let with = window(&server, &mut crowd, arguments)?;
        let overlap = list(&server)?.running.is_some();
        let last = wait_for_backup(&server)?;
        ensure!(last.problem.is_none(), "the backup failed: {:?}", last.problem);
        if !overlap {
            eprintln!(
                "the backup ended before the window did: after {} ms, of {:?}",
                last.took_ms,
                began.elapsed()
            );
        }
        tell(&mut report, &without, &with, &last);
    }
    drop(crowd);
    println!("{}", report.table());
    println!("{}", report.json()?);
    server.stop()
}

/// Commands and events of the same time.
struct Both {
    commands: Window,
    events: Latency,
}

fn window(server: &Server, crowd: &mut Crowd, arguments: &Arguments) -> anyhow::Result<Both> {
    let is_over = AtomicBool::new(false);
    let (commands, events) = thread::scope(|scope| {
        let events = scope.spawn(|| append(server, arguments.events, &is_over));
        let commands = crowd.run(arguments.rate, Duration::from_secs(arguments.seconds), server);
        is_over.store(true, Ordering::Release);
        let events = events.join().map_err(|_| anyhow::anyhow!("the writer of events panicked"));
        (commands, events)
    });
    let both = Both { commands: commands?, events: events?? };
    eprintln!(
        "commands p50 {:.2} ms, p99 {:.2} ms, longest {:.0} ms; events p50 {:.2} ms, p99 {:.2} ms, longest {:.0} ms; \
         server {:.0} % of a core",
        both.commands.latency.quantile_ms(0.5),
        both.commands.latency.quantile_ms(0.99),
        both.commands.latency.max_ms(),
        both.events.quantile_ms(0.5),
        both.events.quantile_ms(0.99),
        both.events.max_ms(),
        both.commands.cpu.as_secs_f64() * 100.0 / both.commands.time.as_secs_f64(),
    );
    Ok(both)
}

/// Appends an event at each due time, over one connection; each is timed from when it was due.
fn append(server: &Server, per_second: f64, is_over: &AtomicBool) -> anyhow::Result<Latency> {
    let mut http = server.http()?;
    let mut latency = Latency::new()?;
    let began = Instant::now();
    let mut number = 0_u64;
    while !is_over.load(Ordering::Acquire) {
        let due = Duration::from_secs_f64(number as f64 / per_second);
        thread::sleep(due.saturating_sub(began.elapsed()));
        let body = format!(
            r#"{{"subject":"v1.{GAME}.servers.s1.players.p1.events.connected","data":{{"number":{number}}}}}"#
        );
        http.call("POST", "/v1/events", body.as_bytes())?;
        latency.record(began.elapsed().saturating_sub(due));
        number += 1;
    }
    Ok(latency)
}

fn tell(report: &mut Report, without: &Both, with: &Both, last: &BackupOutcome) {
    let ratio = |with: &Latency, without: &Latency| with.quantile_ms(0.99) / without.quantile_ms(0.99);
    let commands = ratio(&with.commands.latency, &without.commands.latency);
    report.add(NAME, "p99 of commands, with to without", Unit::Ratio, Target::AtMost(RATIO_MAX), commands);
    let events = ratio(&with.events, &without.events);
    report.add(
        NAME,
        "p99 of durable events, with to without",
        Unit::Ratio,
        Target::AtMost(RATIO_MAX),
        events,
    );
    for (name, latency) in [
        ("p99 of commands without", &without.commands.latency),
        ("p99 of commands with", &with.commands.latency),
        ("p99 of durable events without", &without.events),
        ("p99 of durable events with", &with.events),
    ] {
        report.note(NAME, name, Unit::Ms, latency.quantile_ms(0.99));
    }
    report.note(NAME, "longest command with", Unit::Ms, with.commands.latency.max_ms());
    report.note(NAME, "longest durable event with", Unit::Ms, with.events.max_ms());
    report.note(NAME, "the backup took", Unit::Ms, last.took_ms as f64);
    report.note(
        NAME,
        "size of the backup",
        Unit::Mib,
        last.bytes.unwrap_or_default() as f64 / f64::from(1 << 20),
    );
}

/// Writes a past of `mib` that does not compress to nothing: letters by chance.
fn fill(server: &Server, mib: u64, seed: u64) -> anyhow::Result<()> {
    let mut random = SmallRng::seed_from_u64(seed);
    let bodies: Vec<_> = (0..BODIES).map(|_| past(&mut random)).collect();
    let key = format!("X-Api-Key: {}\r\n", server.api_key());
    let requests = (mib << 20).div_ceil((DATA_BYTES * EVENTS) as u64);
    let append = |number: u64, out: &mut Vec<u8>| {
        let body = &bodies[number as usize % BODIES];
        http::request("POST", "/v1/events", &key, body, out);
    };
    requests::run(server.address(), CONNECTIONS, Until::Count(requests), append, |_| Ok(()))?;
    eprintln!("{mib} MiB of history are written");
    Ok(())
}

fn past(random: &mut SmallRng) -> Vec<u8> {
    let mut event = |index: usize| {
        let text: String = (0..DATA_BYTES).map(|_| char::from(random.random_range(b'a'..=b'z'))).collect();
        let server = index % 10;
        format!(
            r#"{{"subject":"v1.{GAME}.servers.s{server}.players.p{index}.events.connected","data":"{text}"}}"#
        )
    };
    let events: Vec<_> = (0..EVENTS).map(&mut event).collect();
    format!("[{}]", events.join(",")).into_bytes()
}

fn begin(server: &Server) -> anyhow::Result<Instant> {
    admin(server)?.call("POST", "/v1/backups", b"")?;
    Ok(Instant::now())
}

fn list(server: &Server) -> anyhow::Result<BackupList> {
    Ok(serde_json::from_slice(&admin(server)?.call("GET", "/v1/backups", b"")?)?)
}

fn wait_for_backup(server: &Server) -> anyhow::Result<BackupOutcome> {
    let deadline = Instant::now() + BACKUP_MAX;
    loop {
        let list = list(server)?;
        if let (None, Some(last)) = (list.running, list.last) {
            return Ok(last);
        }
        ensure!(Instant::now() < deadline, "the backup does not end");
        thread::sleep(LOOK_EVERY);
    }
}

fn admin(server: &Server) -> anyhow::Result<Http> {
    let token = format!("Bearer {}", server.admin_token());
    Ok(Http::connect(server.address())?.with_header("Authorization", &token))
}
