//! Whether the other side of a socket still lives.

use tokio::time::Instant;

use crate::settings::SocketLimits;

/// When a socket was heard, and when it was asked.
pub(super) struct KeepAlive {
    heard_at: Instant,
    pinged_at: Option<Instant>,
}

/// What is to be done about a socket's silence.
pub(super) enum Look {
    /// Nothing before this.
    At(Instant),
    /// Ping it, and look again then.
    Ping(Instant),
    /// It was asked and did not answer.
    Gone,
}

impl KeepAlive {
    pub(super) fn new() -> Self {
        Self { heard_at: Instant::now(), pinged_at: None }
    }

    /// Takes in that something came, whatever it was.
    pub(super) fn heard(&mut self) {
        self.heard_at = Instant::now();
    }

    pub(super) fn look(&mut self, limits: &SocketLimits) -> Look {
        let now = Instant::now();
        if self.pinged_at.is_some_and(|at| self.heard_at < at) {
            return Look::Gone;
        }
        let silent_until = self.heard_at + limits.ping_after;
        if now < silent_until {
            return Look::At(silent_until);
        }
        self.pinged_at = Some(now);
        Look::Ping(now + limits.pong_timeout)
    }
}
