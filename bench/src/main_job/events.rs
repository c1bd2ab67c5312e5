//! Durable events over HTTP beside bare inserts of the same row.

use crate::{
    load::{
        http,
        requests::{self, Until},
    },
    main_job::Context,
    reference::{self, rows::Rows},
    report::{Target, Unit},
    server::How,
    settings::{GAME, Settings},
};

/// Writers at once.
const WRITERS: usize = 16;

/// Events that each writer has in flight.
const IN_FLIGHT: usize = 64;

/// Bytes of an event's own data.
const DATA_BYTES: usize = 200;

const RATIO_MIN: f64 = 0.6;

const NAME: &str = "events";

pub(super) fn measure(context: &mut Context) -> anyhow::Result<()> {
    for _ in 0..context.arguments.runs {
        let data = context.bench.folder()?;
        let server = context.bench.start(&How::Dev(&Settings::default()), data.path())?;
        let key = format!("X-Api-Key: {}\r\n", server.api_key());
        let append = |events: usize| {
            let key = key.clone();
            move |number: u64, out: &mut Vec<u8>| {
                http::request("POST", "/v1/events", &key, &body(number, events), out);
            }
        };
        requests::run(server.address(), WRITERS, Until::Count(200), append(IN_FLIGHT), |_| Ok(()))?;
        let rows = Rows::of(&data.path().join("event-log.sqlite"), &[("entries", "key")])?;
        let in_flight = WRITERS * IN_FLIGHT;
        let folder = context.bench.folder()?;
        let bare = reference::group_commit(folder.path(), &rows, in_flight, context.seconds())?;
        let plain = reference::plain_loop(folder.path(), &rows, in_flight, context.seconds())?;

        let before = (server.fsyncs()?, server.cpu()?);
        let until = Until::Time(context.seconds());
        let arrays = requests::run(server.address(), WRITERS, until, append(IN_FLIGHT), |_| Ok(()))?;
        let (syncs, cpu) = (server.fsyncs()? - before.0, server.cpu()?.saturating_sub(before.1));
        let events_a_second = arrays.per_second * IN_FLIGHT as f64;
        let events = (arrays.latency.count() * IN_FLIGHT as u64) as f64;
        let singles = requests::run(server.address(), in_flight, until, append(1), |_| Ok(()))?;
        server.stop()?;

        let report = &mut context.report;
        let ratio = events_a_second / bare.per_second;
        report.add(
            NAME,
            "ratio to bare: arrays of 64 from 16 writers",
            Unit::Ratio,
            Target::AtLeast(RATIO_MIN),
            ratio,
        );
        report.note(NAME, "events, arrays of 64 from 16 writers", Unit::PerSecond, events_a_second);
        report.note(
            NAME,
            "events, one a request over 1,024 connections",
            Unit::PerSecond,
            singles.per_second,
        );
        report.note(NAME, "bare group commit, 1,024 callers", Unit::PerSecond, bare.per_second);
        report.note(NAME, "bare loop of 1,024 inserts and a commit", Unit::PerSecond, plain.per_second);
        report.note(NAME, "p99 of an array", Unit::Ms, arrays.latency.quantile_ms(0.99));
        report.note(NAME, "CPU of the server an event", Unit::Us, cpu.as_secs_f64() * 1e6 / events);
        report.note(NAME, "fsyncs of the server", Unit::Count, syncs.calls as f64);
        report.note(NAME, "events an fsync", Unit::Count, events / syncs.calls as f64);
        report.note(NAME, "commits of bare, one fsync each", Unit::Count, bare.commits as f64);
    }
    Ok(())
}

fn body(number: u64, events: usize) -> Vec<u8> {
    let padding = "x".repeat(DATA_BYTES - 32);
    let event = |index: usize| {
        let server = number % WRITERS as u64;
        format!(
            r#"{{"subject":"v1.{GAME}.servers.s{server}.players.p{index}.events.connected","data":{{"number":{number},"padding":"{padding}"}}}}"#
        )
    };
    let events: Vec<_> = (0..events).map(event).collect();
    format!("[{}]", events.join(",")).into_bytes()
}
