//! The sweeper: removes what has expired.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::time::{self, MissedTickBehavior};

use super::Shared;
use crate::COMMIT_CHANGES_MAX;

/// How often it looks. Expiry is told within a second, the group commit included.
const SWEEP_INTERVAL: Duration = Duration::from_millis(250);

/// When it last looked longer ago than this, the process was paused, and so were those who would
/// have renewed their leases through it.
const STALL: Duration = Duration::from_secs(1);

/// Sweeps until the engine is gone.
pub(super) async fn run(shared: Weak<Shared>) {
    let mut ticks = time::interval(SWEEP_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut swept = None;
    loop {
        ticks.tick().await;
        let Some(shared) = shared.upgrade() else { return };
        swept = Some(shared.sweep(swept));
    }
}

impl Shared {
    /// Removes what has expired; `last` is when that was done before, by
    /// [`Clock::running`](super::clock::Clock::running). Answers when it was done now.
    pub(super) fn sweep(self: &Arc<Self>, last: Option<Duration>) -> Duration {
        let now = self.clock.running();
        let stall = last.map(|last| now.saturating_sub(last)).filter(|gap| *gap > STALL);
        if let Some(gap) = stall {
            tracing::warn!(
                paused_ms = gap.as_millis() as u64,
                "this process was paused; every lease gets a new term"
            );
        }
        for cell in self.cells() {
            let mut memory = cell.memory.lock();
            if stall.is_some() {
                memory.renew_leases(now);
            }
            loop {
                let expired = memory.expired(now, COMMIT_CHANGES_MAX);
                if expired.is_empty() {
                    break;
                }
                let count = expired.len() as u64;
                // When the writer is busy, or the disk is full, the next sweep tries again.
                if let Err(error) = self.commit(&cell, &mut memory, expired, None) {
                    tracing::debug!(partition = cell.partition.as_str(), %error, "what has expired stays a while");
                    break;
                }
                metrics::counter!("greenroom_directory_expired_total").increment(count);
            }
        }
        now
    }
}
