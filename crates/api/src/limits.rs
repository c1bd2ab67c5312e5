//! How often and how many: rates by address, player and key, and counted places.
//!
//! Every limit remembers a bounded number of clients. The memory has two generations: when the
//! younger one is full it becomes the older one, and what was the older one is forgotten. Who is
//! forgotten begins with a full burst; so a flood of addresses costs a bounded piece of memory, and
//! gains nothing that other addresses would not have given it.

use std::{
    collections::HashMap,
    hash::Hash,
    mem,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    nanos::Nanos,
    state::StateStore,
};
use greenroom_protocol::PlayerId;
use tokio::sync::Semaphore;

use crate::{
    error::{ApiError, ApiResult},
    settings::{ListLimits, Rate, RateLimits},
};

/// All limits of the outside.
pub(crate) struct Limits {
    pub(crate) sign_in: Keyed<IpAddr>,
    /// By game and address of the account.
    pub(crate) password: Keyed<Arc<str>>,
    pub(crate) mail: Keyed<IpAddr>,
    /// By game and address of the recipient.
    pub(crate) mail_to: Keyed<Arc<str>>,
    pub(crate) anonymous: Keyed<IpAddr>,
    pub(crate) presented: Keyed<IpAddr>,
    pub(crate) player: Keyed<PlayerId>,
    pub(crate) caller: Keyed<Arc<str>>,
    pub(crate) allocate: Keyed<Arc<str>>,
    pub(crate) allocate_public: Keyed<IpAddr>,
    pub(crate) sockets: Places<IpAddr>,
    pub(crate) list_sockets: Places<IpAddr>,
    /// Of all addresses together.
    pub(crate) list_sockets_total: Arc<Semaphore>,
    pub(crate) streams: Places<Arc<str>>,
}

impl Limits {
    pub(crate) fn new(settings: &RateLimits, list: &ListLimits) -> Self {
        let remembered_max = settings.remembered_max;
        Self {
            sign_in: Keyed::new(settings.sign_in, remembered_max),
            password: Keyed::new(settings.password, remembered_max),
            mail: Keyed::new(settings.mail, remembered_max),
            mail_to: Keyed::new(settings.mail_to, remembered_max),
            anonymous: Keyed::new(settings.anonymous, remembered_max),
            presented: Keyed::new(settings.presented, remembered_max),
            player: Keyed::new(settings.player, remembered_max),
            caller: Keyed::new(settings.caller, remembered_max),
            allocate: Keyed::new(settings.allocate, remembered_max),
            allocate_public: Keyed::new(settings.allocate_public, remembered_max),
            sockets: Places::new(settings.sockets_per_address_max),
            list_sockets: Places::new(list.sockets_per_address_max),
            list_sockets_total: Arc::new(Semaphore::new(list.sockets_max.min(Semaphore::MAX_PERMITS))),
            streams: Places::new(settings.streams_per_caller_max),
        }
    }
}

/// A rate for each of many clients.
pub(crate) struct Keyed<K: Hash + Eq + Clone> {
    limiter: RateLimiter<K, Generations<K>, DefaultClock>,
    clock: DefaultClock,
}

impl<K: Hash + Eq + Clone> Keyed<K> {
    fn new(rate: Rate, remembered_max: usize) -> Self {
        let clock = DefaultClock::default();
        let quota =
            Quota::with_period(rate.each()).unwrap_or(Quota::per_second(rate.count)).allow_burst(rate.count);
        let limiter = RateLimiter::new(quota, Generations::new(remembered_max), clock.clone());
        Self { limiter, clock }
    }

    /// Takes one off what `key` may do now.
    pub(crate) fn check(&self, key: &K) -> ApiResult<()> {
        self.limiter.check_key(key).map_err(|not_until| {
            metrics::counter!("greenroom_rate_limited_total").increment(1);
            ApiError::rate_limited(not_until.wait_time_from(self.clock.now()).max(Duration::from_secs(1)))
        })
    }
}

struct Generations<K> {
    state: Mutex<Two<K>>,
    each_max: usize,
}

struct Two<K> {
    younger: HashMap<K, Nanos>,
    older: HashMap<K, Nanos>,
}

impl<K> Generations<K> {
    fn new(remembered_max: usize) -> Self {
        let state = Two { younger: HashMap::new(), older: HashMap::new() };
        Self { state: Mutex::new(state), each_max: (remembered_max / 2).max(1) }
    }
}

impl<K: Hash + Eq + Clone> StateStore for Generations<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Two { younger, older } = &mut *state;
        let known = younger.get(key).or_else(|| older.get(key)).copied();
        let (answer, next) = f(known)?;
        if let Some(place) = younger.get_mut(key) {
            *place = next;
            return Ok(answer);
        }
        if younger.len() >= self.each_max {
            *older = mem::take(younger);
        }
        younger.insert(key.clone(), next);
        Ok(answer)
    }
}

/// Counted places of each of many clients. Holds no more clients than places are taken.
pub(crate) struct Places<K: Hash + Eq> {
    taken: Arc<Mutex<HashMap<K, u32>>>,
    each_max: u32,
}

impl<K: Hash + Eq + Clone> Places<K> {
    pub(crate) fn new(each_max: u32) -> Self {
        Self { taken: Arc::default(), each_max }
    }

    /// One of `key`'s places, free again when it is dropped; `None` if all are taken.
    pub(crate) fn take(&self, key: &K) -> Option<Place<K>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(key.clone()).or_insert(0);
        if *count >= self.each_max {
            return None;
        }
        *count += 1;
        Some(Place { taken: Arc::clone(&self.taken), key: key.clone() })
    }
}

/// A place that is taken.
pub(crate) struct Place<K: Hash + Eq> {
    taken: Arc<Mutex<HashMap<K, u32>>>,
    key: K,
}

impl<K: Hash + Eq> Drop for Place<K> {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.key);
            }
        }
    }
}

/// The pace of one socket's messages: a token bucket in 24 bytes.
#[derive(Debug)]
pub(crate) struct Pace {
    /// When the bucket will be full again.
    full_at: tokio::time::Instant,
    each: Duration,
    burst: Duration,
}

impl Pace {
    pub(crate) fn new(rate: Rate) -> Self {
        let each = rate.each();
        Self { full_at: tokio::time::Instant::now(), each, burst: each * rate.count.get() }
    }

    /// Takes one, if there is one.
    pub(crate) fn take(&mut self) -> bool {
        let now = tokio::time::Instant::now();
        let full_at = self.full_at.max(now) + self.each;
        let is_within = full_at <= now + self.burst;
        if is_within {
            self.full_at = full_at;
        }
        is_within
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_the_next_is_told_when() {
        let keyed = Keyed::new(Rate::new(1, 3), 100);
        let (a, b) = (1_u8, 2_u8);
        assert!((0..3).all(|_| keyed.check(&a).is_ok()));
        assert_eq!(keyed.check(&a).unwrap_err().code().status(), 429);
        assert!(keyed.check(&b).is_ok());
    }

    #[test]
    fn a_flood_of_clients_is_remembered_in_bounded_memory() {
        let keyed = Keyed::new(Rate::new(1, 1), 100);
        for client in 0..10_000_u32 {
            assert!(keyed.check(&client).is_ok());
        }
        assert!(keyed.check(&9_999).is_err());
        let generations = keyed.limiter.into_state_store();
        let state = generations.state.lock().unwrap();
        assert!(state.younger.len() + state.older.len() <= 100);
    }

    #[test]
    fn a_place_is_free_again_when_it_is_dropped() {
        let places = Places::new(2);
        let (one, _two) = (places.take(&1), places.take(&1));
        assert!(places.take(&1).is_none());
        assert!(places.take(&2).is_some());
        drop(one);
        assert!(places.take(&1).is_some());
        assert_eq!(places.taken.lock().unwrap().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_pace_of_a_socket() {
        let mut pace = Pace::new(Rate::new(20, 40));
        assert_eq!((0..100).filter(|_| pace.take()).count(), 40);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!((0..100).filter(|_| pace.take()).count(), 20);
    }
}
