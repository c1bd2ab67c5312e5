//! Durable sign-ins over HTTP beside bare inserts of the same two rows.

use crate::{
    load::requests::{self, Until},
    main_job::{Context, players},
    reference::{self, rows::Rows},
    report::{Target, Unit},
    server::{How, Server},
    settings::Settings,
};

/// Callers at once, and what their figures stand under.
const CALLERS: [(usize, &str); 2] = [(64, "sign-ins, 64 callers"), (256, "sign-ins, 256 callers")];

const RATIO_MIN: f64 = 0.6;

/// Sign-ins that warm the server up, the last of which is the one that is copied.
const FIRST: usize = 2_000;

pub(super) fn measure(context: &mut Context) -> anyhow::Result<()> {
    for _ in 0..context.arguments.runs {
        let data = context.bench.folder()?;
        let server = context.bench.start(&How::Dev(&Settings::default()), data.path())?;
        players::sign_in(server.address(), FIRST)?;
        let tables = [("players", "created_at"), ("sessions", "created_at")];
        let rows = Rows::of(&data.path().join("storage.sqlite"), &tables)?;
        for (callers, section) in CALLERS {
            beside_bare(context, &server, &rows, callers, section)?;
        }
        server.stop()?;
    }
    Ok(())
}

fn beside_bare(
    context: &mut Context,
    server: &Server,
    rows: &Rows,
    callers: usize,
    section: &'static str,
) -> anyhow::Result<()> {
    let folder = context.bench.folder()?;
    let bare = reference::group_commit(folder.path(), rows, callers, context.seconds())?;

    let before = (server.fsyncs()?, server.cpu()?);
    let until = Until::Time(context.seconds());
    let done = requests::run(server.address(), callers, until, players::write_sign_in, |_| Ok(()))?;
    let (syncs, cpu) = (server.fsyncs()? - before.0, server.cpu()?.saturating_sub(before.1));

    let report = &mut context.report;
    let ratio = done.per_second / bare.per_second;
    report.add(section, "ratio to bare", Unit::Ratio, Target::AtLeast(RATIO_MIN), ratio);
    report.note(section, "durable sign-ins", Unit::PerSecond, done.per_second);
    report.note(section, "bare: the same two rows", Unit::PerSecond, bare.per_second);
    report.note(section, "p99 of a sign-in", Unit::Ms, done.latency.quantile_ms(0.99));
    let sign_ins = done.latency.count() as f64;
    report.note(section, "CPU of the server a sign-in", Unit::Us, cpu.as_secs_f64() * 1e6 / sign_ins);
    report.note(section, "fsyncs of the server", Unit::Count, syncs.calls as f64);
    report.note(section, "sign-ins an fsync", Unit::Count, sign_ins / syncs.calls as f64);
    let mean = syncs.time.as_secs_f64() * 1e3 / syncs.calls as f64;
    report.note(section, "mean time of an fsync", Unit::Ms, mean);
    report.note(section, "commits of bare, one fsync each", Unit::Count, bare.commits as f64);
    Ok(())
}
