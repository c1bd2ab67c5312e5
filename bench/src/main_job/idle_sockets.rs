//! The memory of 10,000 players who are connected and do nothing.

use std::time::{Duration, Instant};

use crate::{
    load::sockets::Sockets,
    main_job::{Context, players},
    report::{Target, Unit},
    server::How,
    settings::Settings,
};

const SOCKETS: usize = 10_000;

/// How long nothing happens before memory is looked at.
const IDLE: Duration = Duration::from_secs(3);

const NAME: &str = "idle sockets";

pub(super) fn measure(context: &mut Context) -> anyhow::Result<()> {
    for _ in 0..context.arguments.runs {
        let data = context.bench.folder()?;
        let server = context.bench.start(&How::Dev(&Settings::default()), data.path())?;
        let players = players::sign_in(server.address(), SOCKETS)?;
        let before = server.resident_mib()?;
        let mut sockets = Sockets::new(players::connect(server.address(), &players)?)?;
        let idle = Instant::now() + IDLE;
        // A socket that the server closes is an error here.
        while Instant::now() < idle {
            sockets.poll(idle, |_, _| {})?;
        }
        let after = server.resident_mib()?;
        let report = &mut context.report;
        report.add(NAME, "resident with 10,000 sockets", Unit::Mib, Target::AtMost(100.0), after);
        report.note(NAME, "resident before, 10,000 signed in", Unit::Mib, before);
        let each = (after - before) * 1024.0 / SOCKETS as f64;
        report.note(NAME, "KiB a socket", Unit::Count, each);
        drop(sockets);
        server.stop()?;
    }
    Ok(())
}
