//! The engine's clocks, so that tests can jump them.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use greenroom_protocol::Timestamp;

pub(crate) trait Clock: Send + Sync {
    /// What people call the time. May jump.
    fn wall(&self) -> Timestamp;
    /// Time since some point in this process. Never jumps.
    fn steady(&self) -> Duration;
}

pub(crate) struct SystemClock {
    started: Instant,
}

impl SystemClock {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn wall(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn steady(&self) -> Duration {
        self.started.elapsed()
    }
}
