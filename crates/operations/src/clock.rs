//! The clock that deadlines are measured by: the system's, without its jumps.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use greenroom_protocol::Timestamp;

use crate::context::Clock;

/// A difference up to this is followed at once; a larger one is a jump.
const FOLLOWED_MAX: Duration = Duration::from_secs(1);

/// After a jump the clock approaches the system's by one part in this many of the time that passes.
const SLEW_PARTS: i64 = 10;

/// Wall-clock time that never goes back and never leaps: it runs with the monotonic clock and
/// follows the system's small corrections at once, its large ones (a clock that was set, a machine
/// that slept) slowly. So a jump neither ends every grace period at once nor makes one eternal.
#[derive(Debug)]
pub struct SteadyClock {
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    /// When `told_ms` was told, by the monotonic clock.
    at: Instant,
    told_ms: i64,
    jumped: bool,
}

impl Default for SteadyClock {
    fn default() -> Self {
        let state = State { at: Instant::now(), told_ms: system_ms(), jumped: false };
        Self { state: Mutex::new(state) }
    }
}

impl Clock for SteadyClock {
    fn now(&self) -> Timestamp {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed_ms = i64::try_from(state.at.elapsed().as_millis()).unwrap_or(i64::MAX);
        if elapsed_ms == 0 {
            return Timestamp::from_millis(state.told_ms);
        }
        let (told_ms, jumped) = advance(state.told_ms, elapsed_ms, system_ms());
        if jumped && !state.jumped {
            tracing::warn!(
                difference_ms = system_ms() - told_ms,
                "the system's clock jumped; deadlines go on undisturbed and time is corrected slowly"
            );
        }
        // The fraction of a millisecond stays in `at`, so that frequent calls do not slow the clock.
        let at = state.at + Duration::from_millis(elapsed_ms.unsigned_abs());
        *state = State { at, told_ms, jumped };
        Timestamp::from_millis(told_ms)
    }
}

/// What to tell `elapsed_ms` after `told_ms` was told, when the system's clock says `system_ms`;
/// and whether the two are a jump apart.
fn advance(told_ms: i64, elapsed_ms: i64, system_ms: i64) -> (i64, bool) {
    let steady = told_ms.saturating_add(elapsed_ms);
    let difference = system_ms.saturating_sub(steady);
    if difference.unsigned_abs() <= FOLLOWED_MAX.as_millis() as u64 {
        return (steady.saturating_add(difference).max(told_ms), false);
    }
    let slew = (elapsed_ms / SLEW_PARTS).min(difference.saturating_abs());
    (steady.saturating_add(slew * difference.signum()), true)
}

fn system_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::advance;

    #[test]
    fn small_corrections_are_followed_but_never_backwards() {
        assert_eq!(advance(1_000, 100, 1_150), (1_150, false));
        assert_eq!(advance(1_000, 10, 900), (1_000, false));
    }

    #[test]
    fn an_hour_forwards_is_no_hour_of_grace() {
        let hour = 3_600_000;
        let (told, jumped) = advance(0, 1_000, hour);
        assert!(jumped);
        assert_eq!(told, 1_100);
    }

    #[test]
    fn an_hour_backwards_does_not_stop_time_and_is_made_good() {
        let mut told = 3_600_000;
        let mut system = 0;
        for _ in 0..50_000 {
            let (next, _) = advance(told, 1_000, system + 1_000);
            assert!(next >= told);
            (told, system) = (next, system + 1_000);
        }
        assert_eq!(told, system);
    }
}
