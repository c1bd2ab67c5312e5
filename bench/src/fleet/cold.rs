//! One request for a server that must be started, beside one bare start, by turns.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::ensure;

use crate::{
    fleet::{Context, settings::Settings},
    load::latency::Latency,
    report::{Target, Unit},
};

/// What Greenroom's answer may take, times the bare start until the program listens.
const BARE_STARTS_MAX: f64 = 1.15;

/// How long the engine may take to have removed a container.
const GONE_MAX: Duration = Duration::from_secs(30);

const NAME: &str = "cold";

pub(super) fn measure(context: &mut Context) -> anyhow::Result<()> {
    let data = context.bench.folder()?;
    let settings = Settings { running_max: 4, ..Settings::plain() };
    let (server, mut operator) = context.start(&settings, data.path())?;
    let bare = context.bare(&mut operator)?;
    let (mut asked, mut alone) = (Latency::new()?, Latency::new()?);
    let (mut create, mut start, mut listening) = (Latency::new()?, Latency::new()?, Latency::new()?);
    for _ in 0..context.arguments.cold_starts {
        none_is_left(context)?;
        let (container, took) = bare.start_and_listen()?;
        alone.record(took.whole());
        create.record(took.created);
        start.record(took.running);
        listening.record(took.listening);
        bare.remove(&container)?;
        none_is_left(context)?;
        let began = Instant::now();
        operator.allocate()?;
        asked.record(began.elapsed());
        operator.stop_all()?;
        operator.wait_until_living(0)?;
    }
    drop(bare);
    server.stop()?;
    let report = &mut context.report;
    let bound = alone.quantile_ms(0.5) * BARE_STARTS_MAX;
    report.add(NAME, "a request to its answer, p50", Unit::Ms, Target::AtMost(bound), asked.quantile_ms(0.5));
    report.note(NAME, "the same, longest", Unit::Ms, asked.max_ms());
    report.note(NAME, "bare: start and listen, p50", Unit::Ms, alone.quantile_ms(0.5));
    report.note(NAME, "bare: longest", Unit::Ms, alone.max_ms());
    report.note(NAME, "bare: create, p50", Unit::Ms, create.quantile_ms(0.5));
    report.note(NAME, "bare: start, p50", Unit::Ms, start.quantile_ms(0.5));
    report.note(NAME, "bare: until it listens, p50", Unit::Ms, listening.quantile_ms(0.5));
    Ok(())
}

/// Waits until the engine has no container, so that no removal weighs on the next start.
fn none_is_left(context: &Context) -> anyhow::Result<()> {
    let deadline = Instant::now() + GONE_MAX;
    while !context.engine.containers().is_empty() {
        ensure!(Instant::now() < deadline, "containers are left after their servers have ended");
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}
