//! Fifty requests at once: each server has a port of its own, and a limit is never passed.

use std::{collections::BTreeSet, thread, time::Instant};

use anyhow::{anyhow, ensure};
use greenroom_protocol::hosting::AllocateResponse;

use crate::{
    fleet::{
        Context,
        settings::{ALLOCATE, Settings},
    },
    report::{Target, Unit},
    server::Server,
};

/// Requests at once.
const REQUESTS: u32 = 50;

/// The lower one of the two limits.
const LIMIT: u32 = 20;

pub(super) fn measure(context: &mut Context) -> anyhow::Result<()> {
    at_once(context, "fifty at once, limit fifty", REQUESTS)?;
    at_once(context, "fifty at once, limit twenty", LIMIT)
}

fn at_once(context: &mut Context, name: &'static str, running_max: u32) -> anyhow::Result<()> {
    let data = context.bench.folder()?;
    let settings = Settings { running_max, ..Settings::plain() };
    let (server, mut operator) = context.start(&settings, data.path())?;
    let began = Instant::now();
    let answers = ask_at_once(&server)?;
    let took = began.elapsed();
    let (mut given, mut refused, mut ports) = (0_u32, 0_u32, BTreeSet::new());
    for (status, body) in answers {
        match status {
            200 | 201 => {
                given += 1;
                ports.insert(serde_json::from_slice::<AllocateResponse>(&body)?.server.port);
            }
            429 => refused += 1,
            status => eprintln!("{name}: {status} {}", String::from_utf8_lossy(&body)),
        }
    }
    let containers = context.engine.containers().len() as f64;
    operator.stop_all()?;
    operator.wait_until_living(0)?;
    server.stop()?;
    ensure!(given <= running_max, "{given} servers were given, more than {running_max}");
    let (limit, rest) = (f64::from(running_max), f64::from(REQUESTS - running_max));
    let report = &mut context.report;
    report.add(name, "servers given", Unit::Count, Target::AtLeast(limit), f64::from(given));
    report.add(name, "different ports", Unit::Count, Target::AtLeast(limit), ports.len() as f64);
    report.add(name, "containers there", Unit::Count, Target::AtMost(limit), containers);
    if rest > 0.0 {
        report.add(name, "answered with 429", Unit::Count, Target::AtLeast(rest), f64::from(refused));
    }
    report.note(name, "until the last answer", Unit::Ms, took.as_secs_f64() * 1e3);
    Ok(())
}

fn ask_at_once(server: &Server) -> anyhow::Result<Vec<(u16, Vec<u8>)>> {
    let mut connections = (0..REQUESTS).map(|_| server.http()).collect::<anyhow::Result<Vec<_>>>()?;
    thread::scope(|scope| {
        let threads: Vec<_> = connections
            .iter_mut()
            .map(|http| scope.spawn(move || http.ask("POST", ALLOCATE, b"{}")))
            .collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| anyhow!("a thread panicked"))?).collect()
    })
}
