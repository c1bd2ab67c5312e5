//! How long things took.

use std::time::Duration;

use anyhow::Context as _;
use hdrhistogram::Histogram;

/// The longest time that is told apart from longer ones.
const LONGEST: Duration = Duration::from_secs(1_000);

/// A histogram of times with three significant digits.
#[derive(Clone, Debug)]
pub(crate) struct Latency(Histogram<u64>);

impl Latency {
    /// Nothing yet.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let longest = u64::try_from(LONGEST.as_nanos())?;
        Histogram::new_with_bounds(1, longest, 3).map(Self).context("the bounds of the histogram are wrong")
    }

    /// Adds one; longer ones than the longest count as that.
    pub(crate) fn record(&mut self, took: Duration) {
        self.0.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    /// The time within which the share `quantile` (0 to 1) was done, in milliseconds.
    pub(crate) fn quantile_ms(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / 1e6
    }

    /// The longest, in milliseconds.
    pub(crate) fn max_ms(&self) -> f64 {
        self.0.max() as f64 / 1e6
    }

    /// How many.
    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_exact_to_three_digits() {
        let mut latency = Latency::new().unwrap();
        for ms in 1..=1_000 {
            latency.record(Duration::from_millis(ms));
        }
        for (quantile, expected) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1_000.0)] {
            let found = latency.quantile_ms(quantile);
            assert!((found / expected - 1.0).abs() < 0.002, "{found} {expected}");
        }
        assert_eq!(latency.count(), 1_000);
    }

    #[test]
    fn what_takes_too_long_to_tell_is_not_lost() {
        let mut latency = Latency::new().unwrap();
        latency.record(LONGEST * 2);
        assert_eq!(latency.count(), 1);
        assert!(latency.max_ms() >= 1e6);
    }
}
