//! How often one address may try to sign in.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::Rate;

/// Addresses whose attempts are counted at once. When there are more, those that come anew share
/// one bucket until others are full again.
const ADDRESSES_MAX: usize = 4_096;

/// A token bucket for each address.
pub(crate) struct Attempts {
    rate: Rate,
    buckets: Mutex<HashMap<Option<IpAddr>, Bucket>>,
}

#[derive(Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Attempts {
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, buckets: Mutex::default() }
    }

    /// Takes an attempt of `address` at `now`, or tells when the next one may be made.
    pub(crate) fn take(&self, address: Option<IpAddr>, now: Instant) -> Result<(), Duration> {
        let count = f64::from(self.rate.count.max(1));
        let per_second = count / self.rate.period.as_secs_f64().max(0.001);
        let refilled = |bucket: &Bucket| {
            let since = now.saturating_duration_since(bucket.at).as_secs_f64();
            per_second.mul_add(since, bucket.left).min(count)
        };
        let mut key = address.map(network);
        let mut buckets = self.buckets.lock();
        if buckets.len() >= ADDRESSES_MAX && !buckets.contains_key(&key) {
            buckets.retain(|_, bucket| refilled(bucket) < count);
            if buckets.len() >= ADDRESSES_MAX {
                key = None;
            }
        }
        let bucket = buckets.entry(key).or_insert(Bucket { left: count, at: now });
        *bucket = Bucket { left: refilled(bucket), at: now };
        if bucket.left >= 1.0 {
            bucket.left -= 1.0;
            Ok(())
        } else {
            Err(Duration::from_secs_f64((1.0 - bucket.left) / per_second))
        }
    }
}

/// What counts as one caller: a customer of IPv6 has a whole /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempts() -> Attempts {
        Attempts::new(Rate { count: 2, period: Duration::from_mins(1) })
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_bucket_empties_and_fills_again() {
        let (attempts, start) = (attempts(), Instant::now());
        let one = address("192.0.2.1");
        assert!(attempts.take(Some(one), start).is_ok());
        assert!(attempts.take(Some(one), start).is_ok());
        let wait = attempts.take(Some(one), start).unwrap_err();
        assert!((29..=30).contains(&wait.as_secs()), "{wait:?}");
        assert!(attempts.take(Some(address("192.0.2.2")), start).is_ok(), "another address has its own");
        assert!(attempts.take(Some(one), start + Duration::from_secs(31)).is_ok());
        assert!(attempts.take(Some(one), start + Duration::from_secs(31)).is_err());
    }

    #[test]
    fn a_customer_of_ipv6_is_one_caller() {
        let (attempts, start) = (attempts(), Instant::now());
        assert!(attempts.take(Some(address("2001:db8::1")), start).is_ok());
        assert!(attempts.take(Some(address("2001:db8::2")), start).is_ok());
        assert!(attempts.take(Some(address("2001:db8::3")), start).is_err());
        assert!(attempts.take(Some(address("2001:db8:0:1::1")), start).is_ok());
    }

    #[test]
    fn many_addresses_take_no_more_memory_than_is_allowed() {
        let (attempts, start) = (attempts(), Instant::now());
        for number in 0..3 * ADDRESSES_MAX as u32 {
            let _ = attempts.take(Some(IpAddr::V4((0x0a00_0000 + number).into())), start);
        }
        assert!(attempts.buckets.lock().len() <= ADDRESSES_MAX + 1);
        assert!(attempts.take(Some(address("192.0.2.9")), start).is_err(), "those beyond share one bucket");
        assert!(attempts.take(Some(address("192.0.2.9")), start + Duration::from_secs(61)).is_ok());
    }
}
