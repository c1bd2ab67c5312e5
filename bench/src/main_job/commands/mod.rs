//! Lobby commands in an open loop, and a lobby of 64 in which all toggle at once.

pub(crate) mod crowd;
mod settle;

use std::time::Duration;

use crowd::{Crowd, Window};

use crate::{
    main_job::Context,
    report::{Target, Unit},
    server::{How, Server},
    settings::Settings,
};

/// The rate that is always offered, in commands a second.
const RATE: f64 = 10_000.0;

/// How the rate grows until it is no longer held, in commands a second.
const STEP: f64 = 2_500.0;

/// Where the search for the highest rate ends, in commands a second.
const RATE_MAX: f64 = 100_000.0;

/// Within this time 99 of 100 commands must be seen, for a rate to be held.
const P99_MAX_MS: f64 = 50.0;

/// This share of a rate must be done, for it to be held.
const DONE_MIN: f64 = 0.98;

const NAME: &str = "lobby commands";

pub(super) fn measure(context: &mut Context) -> anyhow::Result<()> {
    let data = context.bench.folder()?;
    let server = context.bench.start(&How::Dev(&Settings::default()), data.path())?;
    let mut crowd = Crowd::gather(server.address(), context.seed)?;
    for _ in 0..context.arguments.runs {
        at_the_rate(context, &server, &mut crowd)?;
        let highest = highest_held(context.seconds(), &server, &mut crowd)?;
        context.report.add(NAME, "highest rate held", Unit::PerSecond, Target::AtLeast(15_000.0), highest);
    }
    drop(crowd);
    for _ in 0..context.arguments.runs {
        let settled = settle::worst(server.address())?;
        let ms = settled.as_secs_f64() * 1e3;
        context.report.add(NAME, "lobby of 64 settles, worst of 20", Unit::Ms, Target::AtMost(200.0), ms);
    }
    server.stop()
}

fn at_the_rate(context: &mut Context, server: &Server, crowd: &mut Crowd) -> anyhow::Result<()> {
    let syncs = server.fsyncs()?;
    let window = crowd.run(RATE, context.seconds(), server)?;
    let syncs = server.fsyncs()? - syncs;
    eprintln!("{}", line(RATE, &window));
    let report = &mut context.report;
    let latency = &window.latency;
    report.add(NAME, "p99 at 10,000/s", Unit::Ms, Target::AtMost(P99_MAX_MS), latency.quantile_ms(0.99));
    report.note(NAME, "p50 at 10,000/s", Unit::Ms, latency.quantile_ms(0.5));
    report.note(NAME, "longest at 10,000/s", Unit::Ms, latency.max_ms());
    report.note(NAME, "p99 of others hearing a chat at 10,000/s", Unit::Ms, window.heard.quantile_ms(0.99));
    report.note(NAME, "done at 10,000/s", Unit::PerSecond, window.done_per_second());
    report.note(NAME, "p99 of the generator's own delay", Unit::Ms, window.delay.quantile_ms(0.99));
    let each = window.cpu.as_secs_f64() * 1e6 / window.done as f64;
    report.add(NAME, "CPU of the server a command", Unit::Us, Target::AtMost(80.0), each);
    report.note(NAME, "fsyncs of the server at 10,000/s", Unit::Count, syncs.calls as f64);
    report.note(NAME, "time in these fsyncs", Unit::Ms, syncs.time.as_secs_f64() * 1e3);
    Ok(())
}

/// The last rate that was held before two tries at a higher one failed: one try alone would find
/// the noise of the machine.
fn highest_held(seconds: Duration, server: &Server, crowd: &mut Crowd) -> anyhow::Result<f64> {
    let mut highest = 0.0;
    let mut rate = RATE;
    while rate <= RATE_MAX {
        let mut is_held = false;
        for _ in 0..2 {
            let window = crowd.run(rate, seconds, server)?;
            eprintln!("{}", line(rate, &window));
            is_held = window.latency.quantile_ms(0.99) <= P99_MAX_MS && window.done_share() >= DONE_MIN;
            if is_held {
                break;
            }
        }
        if !is_held {
            break;
        }
        highest = rate;
        rate += STEP;
    }
    Ok(highest)
}

fn line(rate: f64, window: &Window) -> String {
    let latency = &window.latency;
    format!(
        "{rate:>7.0}/s offered: {:>7.0}/s done, p50 {:.1} ms, p99 {:.1} ms, longest {:.0} ms, generator late by {:.1} ms at p99, \
         server {:.1} µs a command, {:.0} % of a core",
        window.done_per_second(),
        latency.quantile_ms(0.5),
        latency.quantile_ms(0.99),
        latency.max_ms(),
        window.delay.quantile_ms(0.99),
        window.cpu.as_secs_f64() * 1e6 / window.done as f64,
        window.cpu.as_secs_f64() * 100.0 / window.time.as_secs_f64(),
    )
}
