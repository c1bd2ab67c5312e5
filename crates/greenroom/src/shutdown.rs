//! When to stop, and that it comes to an end.

use std::{io, time::Duration};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The exit status of a program that gave up at the second signal, as a shell has it for Ctrl-C.
const ABORTED: i32 = 130;

/// The signals that ask Greenroom to stop: SIGTERM and SIGINT (Ctrl-C).
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes the signals over; from now on they no longer kill us.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next one and returns its name.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Carries out `steps`, for `timeout` at the longest. A second signal ends the process at once: what was
/// acknowledged is safe, for it was before it was answered.
pub(crate) async fn carry_out(steps: impl Future<Output = ()>, timeout: Duration, signals: &mut Signals) {
    tokio::select! {
        // The impatient operator first.
        biased;
        name = signals.next() => {
            tracing::warn!(signal = name, "asked to stop a second time: stopping at once");
            std::process::exit(ABORTED);
        }
        () = steps => {}
        () = tokio::time::sleep(timeout) => {
            tracing::warn!(timeout_ms = timeout.as_millis() as u64, "stopping took too long: the rest is cut off");
        }
    }
}
