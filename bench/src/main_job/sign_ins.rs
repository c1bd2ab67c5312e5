//! Durable sign-ins over HTTP beside bare inserts of the same two rows.

use crate::{
    load::requests::{self, Until},
    main_job::{Context, players},
    reference::{self, rows::Rows},
    report::{Target, Unit},
    server::How,
    settings::Settings,
};

/// Callers at once, and what figures of so many are called.
const CALLERS: [(usize, [&str; 6]); 2] = [
    (
        64,
        [
            "64 callers: ratio to bare",
            "64 callers: sign-ins",
            "64 callers: bare, the same rows",
            "64 callers: p99",
            "64 callers: sign-ins a sync",
            "64 callers: bare rows' calls a sync",
        ],
    ),
    (
        256,
        [
            "256 callers: ratio to bare",
            "256 callers: sign-ins",
            "256 callers: bare, the same rows",
            "256 callers: p99",
            "256 callers: sign-ins a sync",
            "256 callers: bare rows' calls a sync",
        ],
    ),
];

const RATIO_MIN: f64 = 0.6;

pub(super) fn measure(context: &mut Context) -> anyhow::Result<()> {
    for _ in 0..context.arguments.runs {
        let data = context.bench.folder()?;
        let server = context.bench.start(&How::Dev(&Settings::default()), data.path())?;
        // The first ones warm the server up, and are the rows that are copied.
        players::sign_in(server.address(), 2_000)?;
        let rows = Rows::of(
            &data.path().join("storage.sqlite"),
            &[("players", "created_at"), ("sessions", "created_at")],
        )?;
        for (callers, [ratio, sign_ins, bare, p99, a_sync, bare_a_sync]) in CALLERS {
            let folder = context.bench.folder()?;
            let reference = reference::group_commit(folder.path(), &rows, callers, context.seconds())?;
            let before = (server.fsyncs()?, server.cpu()?);
            let until = Until::Time(context.seconds());
            let done = requests::run(server.address(), callers, until, players::write_sign_in, |_| Ok(()))?;
            let (syncs, cpu) = (server.fsyncs()? - before.0, server.cpu()?.saturating_sub(before.1));
            let report = &mut context.report;
            let name = "sign-ins";
            report.add(
                name,
                ratio,
                Unit::Ratio,
                Target::AtLeast(RATIO_MIN),
                done.per_second / reference.per_second,
            );
            report.note(name, sign_ins, Unit::PerSecond, done.per_second);
            report.note(name, bare, Unit::PerSecond, reference.per_second);
            report.note(name, p99, Unit::Ms, done.latency.quantile_ms(0.99));
            report.note(name, a_sync, Unit::Count, done.latency.count() as f64 / syncs.calls as f64);
            let bare_calls = reference.per_second * context.arguments.seconds as f64;
            report.note(name, bare_a_sync, Unit::Count, bare_calls / reference.commits as f64);
            if callers == CALLERS[0].0 {
                let each = cpu.as_secs_f64() * 1e6 / done.latency.count() as f64;
                report.note(name, "CPU of the server a sign-in", Unit::Us, each);
                report.note(name, "fsyncs of the server", Unit::Count, syncs.calls as f64);
                let mean = syncs.time.as_secs_f64() * 1e3 / syncs.calls as f64;
                report.note(name, "mean time of an fsync", Unit::Ms, mean);
            }
        }
        server.stop()?;
    }
    Ok(())
}
