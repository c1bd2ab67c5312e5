//! How many servers of a pool stand ready: as many as demand of late asks for.
//!
//! A pool is there for the allocations that come while a further server starts. So the history
//! counts allocations by the second, and what is wanted is the most that came within one start's
//! time, with a share for safety. The highest point of the last [`HOLD`] counts in full, so that the
//! pool rises at once and does not follow every lull; from then on it counts less and less, until it
//! is forgotten after a further [`FADE`]. Nothing else moves the number: between two allocations it
//! only falls, so that it cannot swing.

use std::{collections::VecDeque, time::Duration};

use greenroom_protocol::Timestamp;

use crate::settings::FleetSettings;

/// How long the highest demand counts in full.
pub const HOLD: Duration = Duration::from_mins(5);

/// How long after [`HOLD`] it takes until it is forgotten.
pub const FADE: Duration = Duration::from_mins(10);

/// A start that takes longer is planned for as if it took this long.
pub const START_TIME_MAX: Duration = Duration::from_mins(5);

/// What a start is thought to take until one was seen.
pub const START_TIME_UNKNOWN: Duration = Duration::from_secs(10);

/// How often what is wanted is looked at while it falls.
pub const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Starts whose time is remembered; an older one makes room.
const START_TIMES_MAX: usize = 16;

/// Seconds in which demand is remembered: one of them still counts in the oldest window that does.
const SECONDS_MAX: i64 = (HOLD.as_secs() + FADE.as_secs() + START_TIME_MAX.as_secs()).cast_signed();

/// What stands ready beyond what is expected: half as many again.
const SHARE: (u64, u64) = (3, 2);

/// Between which numbers a pool follows demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolBounds {
    /// So many stand ready whatever the demand.
    pub ready_min: u32,
    /// No more stand ready whatever the demand.
    pub ready_max: u32,
}

impl PoolBounds {
    /// As the fleet's settings say: without `ready_max` the pool follows nothing.
    pub fn of(fleet: &FleetSettings) -> Self {
        let ready_max = fleet.ready_max.unwrap_or(fleet.ready_min).max(fleet.ready_min);
        Self { ready_min: fleet.ready_min, ready_max }
    }
}

/// What was asked of a game in a region of late, and how long its servers took to be ready.
/// Belongs to the node; the next one begins with what it finds (see [`Self::found`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DemandHistory {
    /// The seconds in which something was asked for, oldest first, and how often.
    seconds: VecDeque<(i64, u32)>,
    /// The last starts, oldest first.
    start_times: VecDeque<Duration>,
    /// How many servers stood ready when a node began, and when that was.
    found: Option<(Timestamp, u32)>,
}

impl DemandHistory {
    /// Notes an allocation that a server of the pool would fit.
    pub fn asked(&mut self, now: Timestamp) {
        let second = second_of(now);
        match self.seconds.back_mut() {
            // A clock that was set back counts on where it was, so that the order holds.
            Some((last, count)) if *last >= second => *count = count.saturating_add(1),
            _ => self.seconds.push_back((second, 1)),
        }
        while self.seconds.front().is_some_and(|(oldest, _)| second - oldest > SECONDS_MAX) {
            self.seconds.pop_front();
        }
    }

    /// Notes how long a server took from the decision to start it until it was ready.
    pub fn became_ready(&mut self, took: Duration) {
        if self.start_times.len() >= START_TIMES_MAX {
            self.start_times.pop_front();
        }
        self.start_times.push_back(took);
    }

    /// Notes how many servers of the pool stand when a node begins. Somebody had a reason for them;
    /// they go as slowly as if they were asked for now.
    pub fn found(&mut self, count: u32, now: Timestamp) {
        self.found = Some((now, count));
    }

    /// How long a start takes: nine of ten of the last ones took no longer.
    pub fn start_time(&self) -> Duration {
        let mut times: Vec<_> = self.start_times.iter().copied().collect();
        times.sort_unstable();
        let rank = (times.len() * 9).div_ceil(10);
        let slow = rank.checked_sub(1).and_then(|index| times.get(index));
        slow.copied().unwrap_or(START_TIME_UNKNOWN).min(START_TIME_MAX)
    }

    /// How many are to stand ready, those that start included.
    pub fn wanted(&self, bounds: PoolBounds, now: Timestamp) -> u32 {
        if bounds.ready_min >= bounds.ready_max {
            return bounds.ready_min;
        }
        let found = self.found.map_or(0, |(at, count)| faded(u64::from(count), now.since(at)));
        let wanted = self.expected(now).max(found);
        u32::try_from(wanted).unwrap_or(u32::MAX).clamp(bounds.ready_min, bounds.ready_max)
    }

    /// The most that was asked for within one start's time, with its share for safety, each faded by
    /// how long ago it was.
    fn expected(&self, now: Timestamp) -> u64 {
        let window = i64::try_from(self.start_time().as_millis().div_ceil(1_000)).unwrap_or(i64::MAX).max(1);
        let mut first = 0;
        let mut within = 0_u64;
        let mut most = 0;
        for (second, count) in &self.seconds {
            within += u64::from(*count);
            while let Some((old, gone)) = self.seconds.get(first).filter(|(old, _)| old + window <= *second) {
                debug_assert!(old < second, "the window holds its own end");
                within -= u64::from(*gone);
                first += 1;
            }
            let age = now.since(Timestamp::from_millis(second.saturating_mul(1_000)));
            most = most.max(faded(within * SHARE.0, age).div_ceil(SHARE.1));
        }
        most
    }
}

/// What is left of `count` after `age`, rounded up.
fn faded(count: u64, age: Duration) -> u64 {
    let left = (HOLD + FADE).saturating_sub(age).min(FADE).as_millis();
    let left = u64::try_from(left).unwrap_or(u64::MAX);
    let whole = u64::try_from(FADE.as_millis()).unwrap_or(u64::MAX);
    count.saturating_mul(left).div_ceil(whole)
}

fn second_of(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(1_000)
}

#[cfg(test)]
mod tests;
