//! The two times that expiry needs.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where the engine has its time from; a test has its own.
pub(crate) trait Clock: Send + Sync + 'static {
    /// Time since some moment in this process. Never jumps: what expires while we run goes by it.
    fn running(&self) -> Duration;

    /// Milliseconds since 1970 by the wall clock, which may jump: what expires after a restart
    /// goes by it, for want of another.
    fn wall_ms(&self) -> i64;
}

/// The system's clocks.
pub(crate) struct SystemClock {
    start: Instant,
}

impl SystemClock {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn running(&self) -> Duration {
        self.start.elapsed()
    }

    fn wall_ms(&self) -> i64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
    }
}
