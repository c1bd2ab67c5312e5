//! When load arrives, whatever becomes of what arrived before.

use std::time::Duration;

use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};

/// The times of arrivals that know nothing of each other: a Poisson process of a given rate, as
/// times since its start. It never waits for answers, so a server that stalls is measured by
/// everything that arrived meanwhile, and not by the one that it stalled for.
#[derive(Clone, Debug)]
pub(crate) struct Arrivals {
    random: SmallRng,
    gap_s: f64,
    at_s: f64,
}

impl Arrivals {
    /// `per_second` of them on average. The same seed gives the same times.
    pub(crate) fn new(per_second: f64, seed: u64) -> Self {
        Self { random: SmallRng::seed_from_u64(seed), gap_s: 1.0 / per_second, at_s: 0.0 }
    }
}

impl Iterator for Arrivals {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        // Of a number in (0, 1], so that the logarithm is finite.
        let unit: f64 = 1.0 - self.random.random::<f64>();
        self.at_s -= unit.ln() * self.gap_s;
        Some(Duration::from_secs_f64(self.at_s))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_kept_over_time() {
        let last = Arrivals::new(10_000.0, 7).nth(99_999).unwrap().as_secs_f64();
        // 100,000 gaps: three standard deviations are 1 %.
        assert!((9.9..10.1).contains(&last), "{last}");
    }

    #[test]
    fn gaps_are_those_of_strangers() {
        let times: Vec<_> = Arrivals::new(1_000.0, 7).take(100_000).collect();
        assert!(times.is_sorted());
        let gaps: Vec<_> =
            times.windows(2).map(|pair| pair[1].as_secs_f64() - pair[0].as_secs_f64()).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        // Of an exponential distribution mean and deviation are the same.
        assert!((0.95..1.05).contains(&(variance.sqrt() / mean)), "{variance} {mean}");
    }

    #[test]
    fn a_seed_gives_the_same_times_again() {
        let times = |seed| Arrivals::new(100.0, seed).take(10).collect::<Vec<_>>();
        assert_eq!(times(1), times(1));
        assert_ne!(times(1), times(2));
    }
}
