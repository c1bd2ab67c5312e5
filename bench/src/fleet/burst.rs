//! Sixteen starts in flight: Greenroom's rate beside the engine's.

use crate::{
    fleet::{
        Context,
        settings::{ALLOCATE, Settings},
    },
    load::{
        http,
        requests::{self, Until},
    },
    report::{Target, Unit},
};

/// Requests that wait at the same time.
const IN_FLIGHT: u32 = 16;

/// The share of the engine's own rate that Greenroom reaches.
const SHARE_MIN: f64 = 0.9;

/// On the host's network.
const HOST_PER_SECOND_MIN: f64 = 20.0;

pub(super) fn measure(context: &mut Context, host_network: bool) -> anyhow::Result<()> {
    let count = context.arguments.burst_starts;
    let data = context.bench.folder()?;
    let settings = Settings { host_network, running_max: count + IN_FLIGHT, ..Settings::plain() };
    let (server, mut operator) = context.start(&settings, data.path())?;
    let bare = context.bare(&mut operator)?;
    let alone = bare.rate(count, IN_FLIGHT)?;
    drop(bare);

    let key = format!("X-Api-Key: {}\r\n", server.api_key());
    let before = server.cpu()?;
    let write = |_, out: &mut Vec<u8>| http::request("POST", ALLOCATE, &key, b"{}", out);
    let until = Until::Count(u64::from(count));
    let done = requests::run(server.address(), IN_FLIGHT as usize, until, write, |_| Ok(()))?;
    let cpu = server.cpu()?.saturating_sub(before);
    operator.stop_all()?;
    operator.wait_until_living(0)?;
    server.stop()?;

    let report = &mut context.report;
    let (name, target) = if host_network {
        ("sixteen at once, host network", Target::AtLeast(HOST_PER_SECOND_MIN))
    } else {
        ("sixteen at once", Target::AtLeast(alone * SHARE_MIN))
    };
    report.add(name, "servers ready a second", Unit::PerSecond, target, done.per_second);
    report.note(name, "bare: containers started a second", Unit::PerSecond, alone);
    report.note(name, "a request to its answer, p50", Unit::Ms, done.latency.quantile_ms(0.5));
    report.note(name, "the same, longest", Unit::Ms, done.latency.max_ms());
    report.note(name, "CPU time of Greenroom a start", Unit::Ms, cpu.as_secs_f64() * 1e3 / f64::from(count));
    Ok(())
}
