//! Log lines on standard error, and panics as log lines.

use std::{backtrace::Backtrace, io, panic};

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;

use crate::config::{sections::Log, value::LogFormat};

/// Starts logging as `settings` say. To be called once.
pub(crate) fn start(settings: &Log) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&settings.level).context("log.level is no level")?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let started = match settings.format {
        LogFormat::Text => builder.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("cannot start logging: {error}"))?;
    log_panics();
    Ok(())
}

/// A panic ends one task or one request, not Greenroom; it is always a mistake of ours, so it is an error line.
fn log_panics() {
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let what = panic.payload_as_str().unwrap_or("a panic without a text");
        let backtrace = Backtrace::capture();
        tracing::error!(panic = what, place, %backtrace, "something failed inside; please report this");
        metrics::counter!("greenroom_panics_total").increment(1);
    }));
}
