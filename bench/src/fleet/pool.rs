//! Allocations of servers that stand ready.

use std::time::{Duration, Instant};

use crate::{
    fleet::{
        Context,
        settings::{ALLOCATE, Settings},
    },
    load::{
        http,
        latency::Latency,
        requests::{self, Until},
    },
    reference::{self, rows::Rows},
    report::{Target, Unit},
};

/// Servers that stand ready while they are taken one by one.
const POOL: u32 = 4;

/// Single durable commits that an allocation is compared with.
const COMMITS: usize = 500;

/// An allocation may take this long, or so many durable commits.
const WARM_MAX_MS: f64 = 10.0;
const WARM_COMMITS: f64 = 12.0;

/// From a pool that was prepared for it.
const PER_SECOND_MIN: f64 = 500.0;

/// Connections over which the pool is emptied.
const CONNECTIONS: usize = 16;

pub(super) fn measure(context: &mut Context) -> anyhow::Result<()> {
    one_by_one(context)?;
    all_at_once(context)
}

fn one_by_one(context: &mut Context) -> anyhow::Result<()> {
    const NAME: &str = "warm pool";
    let data = context.bench.folder()?;
    let settings =
        Settings { ready_min: POOL, running_max: 4 * POOL, host_network: true, ..Settings::plain() };
    let (server, mut operator) = context.start(&settings, data.path())?;
    let mut took = Latency::new()?;
    let mut syncs = 0;
    for _ in 0..context.arguments.warm_starts {
        operator.wait_until_living(POOL as usize)?;
        let before = server.fsyncs()?;
        let began = Instant::now();
        operator.allocate()?;
        took.record(began.elapsed());
        syncs += (server.fsyncs()? - before).calls;
        operator.stop_all()?;
    }
    server.stop()?;
    let folder = context.bench.folder()?;
    let commits = reference::commit_latency(folder.path(), &Rows::plain(), COMMITS)?;
    let bound = (commits.quantile_ms(0.99) * WARM_COMMITS).max(WARM_MAX_MS);
    let report = &mut context.report;
    report.add(NAME, "a request to its answer, p99", Unit::Ms, Target::AtMost(bound), took.quantile_ms(0.99));
    report.note(NAME, "the same, p50", Unit::Ms, took.quantile_ms(0.5));
    report.note(NAME, "the same, longest", Unit::Ms, took.max_ms());
    report.note(NAME, "a bare durable commit, p99", Unit::Ms, commits.quantile_ms(0.99));
    report.note(NAME, "a bare durable commit, p50", Unit::Ms, commits.quantile_ms(0.5));
    report.note(NAME, "fsyncs an allocation", Unit::Count, syncs as f64 / took.count() as f64);
    Ok(())
}

fn all_at_once(context: &mut Context) -> anyhow::Result<()> {
    const NAME: &str = "prepared pool";
    let size = context.arguments.pool;
    let data = context.bench.folder()?;
    // As many as may run at all: none is started while they are taken.
    let settings = Settings { ready_min: size, running_max: size, host_network: true, ..Settings::plain() };
    let (server, mut operator) = context.start(&settings, data.path())?;
    let began = Instant::now();
    operator.wait_until_living(size as usize)?;
    let filled: Duration = began.elapsed();
    let key = format!("X-Api-Key: {}\r\n", server.api_key());
    let write = |_, out: &mut Vec<u8>| http::request("POST", ALLOCATE, &key, b"{}", out);
    let until = Until::Count(u64::from(size));
    let before = server.cpu()?;
    let done = requests::run(server.address(), CONNECTIONS, until, write, |_| Ok(()))?;
    let cpu = server.cpu()?.saturating_sub(before);
    let resident = server.resident_mib()?;
    // Stopped in good order, they would be replaced and stopped one after the other.
    server.kill()?;
    context.remove_all()?;
    let report = &mut context.report;
    let target = Target::AtLeast(PER_SECOND_MIN);
    report.add(NAME, "allocations a second", Unit::PerSecond, target, done.per_second);
    report.note(NAME, "a request to its answer, p99", Unit::Ms, done.latency.quantile_ms(0.99));
    let each_us = cpu.as_secs_f64() * 1e6 / f64::from(size);
    report.note(NAME, "CPU time of Greenroom an allocation", Unit::Us, each_us);
    report.note(NAME, "servers of the pool", Unit::Count, f64::from(size));
    let rate = f64::from(size) / filled.as_secs_f64();
    report.note(NAME, "servers a second while it fills", Unit::PerSecond, rate);
    report.note(NAME, "resident memory of Greenroom", Unit::Mib, resident);
    Ok(())
}
