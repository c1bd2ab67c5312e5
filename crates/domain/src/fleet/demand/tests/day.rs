//! A day of demand, played through with the plans that a node carries out: what a pool that follows
//! demand gives, beside pools of a fixed size.

use std::fmt::Write as _;

use greenroom_protocol::{BuildId, GameId, HostId, RegionId, ServerId, StudioId};
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{super::*, at};
use crate::{
    fleet::{Availability, Demand, Limits, Plan, Pool, PoolHealth, Standing, allocate, plan_pool},
    server::{Allocation, Birth, Purpose, Seen, Server, ServerState, Step, StopReason},
};

/// Matches that begin in each ten minutes of the day: a quiet night, a morning and an afternoon, the
/// update's launch at noon, the evening's peak, and its end.
const DAY: [u32; 144] = [
    14, 12, 9, 8, 6, 5, 4, 3, 3, 2, 2, 1, 1, 1, 2, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1, 0, 1, 1, 0,
    2, 1, 1, 2, 1, 3, 2, 3, 4, 3, 5, 4, 6, 5, 6, 8, 7, 9, 8, 10, 9, 11, 10, 12, 11, 12, 13, 12, 14, 13, 12,
    15, 14, 13, 16, 15, 14, 16, 90, 70, 45, 36, 30, 27, 24, 22, 21, 20, 21, 19, 20, 21, 22, 20, 23, 22, 24,
    25, 24, 26, 28, 27, 30, 31, 33, 32, 36, 38, 40, 43, 45, 48, 52, 55, 58, 62, 66, 70, 75, 79, 84, 88, 93,
    97, 102, 106, 110, 113, 117, 119, 122, 120, 118, 113, 108, 101, 95, 87, 80, 72, 64, 57, 50, 43, 37, 32,
    27, 23, 19, 16,
];

/// The ten minutes of the launch, in which most come within the first minute.
const LAUNCH: usize = 72;

const RUNNING_MAX: u32 = 260;
const READY_MIN: u32 = 2;
const READY_MAX: u32 = 30;
const START_S: std::ops::RangeInclusive<u64> = 5..=9;
const MATCH_S: std::ops::RangeInclusive<u64> = 8 * 60..=16 * 60;

#[derive(Clone, Copy, Debug, Default)]
struct Outcome {
    asked: u32,
    /// Given a server that stood ready.
    warm: u32,
    /// Given one that was starting, or a new one.
    waited: u32,
    refused: u32,
    started: u32,
    idle_s: u64,
    running_most: u32,
    ready_most: u32,
    wanted_changes: u32,
}

impl Outcome {
    fn warm_share(&self) -> f64 {
        f64::from(self.warm) / f64::from(self.asked)
    }

    fn idle_hours(&self) -> f64 {
        self.idle_s as f64 / 3_600.0
    }
}

/// The second of each allocation of the day, in order.
fn arrivals() -> Vec<u64> {
    let mut dice = StdRng::seed_from_u64(20);
    let mut seconds = Vec::new();
    for (number, count) in DAY.iter().enumerate() {
        for one in 0..*count {
            let within = if number == LAUNCH && one % 3 > 0 { 60 } else { 600 };
            seconds.push(number as u64 * 600 + dice.random_range(0..within));
        }
    }
    seconds.sort_unstable();
    seconds
}

struct Played {
    server: Server,
    ready_s: u64,
    ends_s: Option<u64>,
}

struct Day {
    servers: Vec<Played>,
    history: DemandHistory,
    bounds: PoolBounds,
    dice: StdRng,
    next: u64,
    wanted: u32,
    outcome: Outcome,
}

impl Day {
    fn play(bounds: PoolBounds) -> Outcome {
        let mut day = Self {
            servers: Vec::new(),
            history: DemandHistory::default(),
            bounds,
            dice: StdRng::seed_from_u64(7),
            next: 0,
            wanted: 0,
            outcome: Outcome::default(),
        };
        let mut arrivals = arrivals().into_iter().peekable();
        for second in 0..86_400 {
            let mut changed = day.pass(second);
            while arrivals.next_if_eq(&second).is_some() {
                day.allocate(second);
                changed = true;
            }
            if changed || second % LOOK_EVERY.as_secs() == 0 {
                day.keep_pool(second);
            }
            day.count();
        }
        day.outcome
    }

    /// What became ready or ended by now.
    fn pass(&mut self, second: u64) -> bool {
        let now = at(second);
        let before = self.servers.len();
        let mut changed = false;
        for played in &mut self.servers {
            if played.server.state == ServerState::Starting && played.ready_s <= second {
                self.history.became_ready(now.since(played.server.birth.created_at));
                if let Step::Commit(next) | Step::Deliver(next) = played.server.next(&Seen::Ready, 3, now) {
                    played.server = *next;
                }
                changed = true;
            }
        }
        self.servers.retain(|played| {
            let is_over = played.ends_s.is_some_and(|ends| ends <= second);
            !(is_over || played.server.state == ServerState::Stopping)
        });
        changed || before != self.servers.len()
    }

    fn limits(&self) -> Limits {
        let running = self.servers.len() as u32;
        Limits { game_max: RUNNING_MAX, game_running: running, studio_max: 1_000, studio_running: running }
    }

    fn allocate(&mut self, second: u64) {
        self.outcome.asked += 1;
        let (build, region) = (build(), region());
        let demand = Demand { build: &build, region: &region, warm_fits: true, has_place: true };
        let plan = allocate(self.servers.iter().map(standing), demand, &self.limits());
        let given = Allocation {
            id: second.to_string(),
            idempotency: None,
            payload: String::new(),
            payload_delivered: false,
            match_id: None,
            at: at(second),
            by: "day".into(),
        };
        let chosen = match plan {
            Plan::UseWarm(server) => {
                let id = server.id().clone();
                self.servers.iter().position(|played| *played.server.id() == id).unwrap()
            }
            Plan::StartNew => {
                self.start(second);
                self.servers.len() - 1
            }
            Plan::LimitReached(_) => {
                self.outcome.refused += 1;
                return;
            }
            other => panic!("{other:?}"),
        };
        self.history.asked(at(second));
        let played = &mut self.servers[chosen];
        let was_ready = played.server.state == ServerState::Ready;
        played.server.allocate(given, at(second)).unwrap();
        played.ends_s = Some(played.ready_s.max(second) + self.dice.random_range(MATCH_S));
        if was_ready {
            self.outcome.warm += 1;
        } else {
            self.outcome.waited += 1;
        }
    }

    fn keep_pool(&mut self, second: u64) {
        let wanted = self.history.wanted(self.bounds, at(second));
        assert!((self.bounds.ready_min..=self.bounds.ready_max).contains(&wanted));
        self.outcome.wanted_changes += u32::from(wanted != self.wanted);
        self.wanted = wanted;
        let pool = Pool { wanted, build: Some(build()), region: Some(region()), waiting: 0 };
        let servers = self.servers.iter().map(standing);
        let plan = plan_pool(servers, &pool, &self.limits(), &PoolHealth::default(), at(second));
        let (start, stop) = (plan.start, plan.stop.iter().map(|one| one.id().clone()).collect::<Vec<_>>());
        for played in self.servers.iter_mut().filter(|played| stop.contains(played.server.id())) {
            played.server.stop(StopReason::Pool, at(second)).unwrap();
        }
        for _ in 0..start {
            self.start(second);
        }
    }

    fn start(&mut self, second: u64) {
        self.next += 1;
        self.outcome.started += 1;
        let ready_s = second + self.dice.random_range(START_S);
        self.servers.push(Played { server: server(self.next, second), ready_s, ends_s: None });
    }

    fn count(&mut self) {
        let running = self.servers.len() as u32;
        assert!(running <= RUNNING_MAX, "never above running_max");
        let ready = self.servers.iter().filter(|one| one.server.state == ServerState::Ready).count() as u32;
        assert!(ready <= self.bounds.ready_max, "never above ready_max");
        self.outcome.idle_s += u64::from(ready);
        self.outcome.running_most = self.outcome.running_most.max(running);
        self.outcome.ready_most = self.outcome.ready_most.max(ready);
    }
}

fn standing(played: &Played) -> Standing<'_> {
    Standing { server: &played.server, availability: Availability::Free }
}

fn build() -> BuildId {
    BuildId::new("b1").unwrap()
}

fn region() -> RegionId {
    RegionId::new("local").unwrap()
}

fn server(number: u64, second: u64) -> Server {
    let birth = Birth {
        id: ServerId::new(format!("s{number}")).unwrap(),
        name: format!("g-{number}"),
        title: None,
        code: None,
        is_listed: false,
        game: GameId::new("g").unwrap(),
        studio: StudioId::new("demo").unwrap(),
        version: "1".into(),
        build: build(),
        region: region(),
        host: HostId::new("here").unwrap(),
        purpose: Purpose::Warm,
        address: "127.0.0.1".into(),
        created_at: at(second),
    };
    Server::new(birth, "hash".into(), None)
}

#[test]
fn a_pool_that_follows_demand_serves_a_day_like_a_large_one_and_idles_like_a_small_one() {
    let fixed = |count| Day::play(PoolBounds { ready_min: count, ready_max: count });
    let (small, large) = (fixed(READY_MIN), fixed(READY_MAX));
    let following = Day::play(PoolBounds { ready_min: READY_MIN, ready_max: READY_MAX });
    let mut table =
        String::from("pool        warm     waited  started  idle hours  most ready  most running\n");
    for (name, one) in [("fixed 2", small), ("2 to 30", following), ("fixed 30", large)] {
        let (share, idle) = (one.warm_share() * 100.0, one.idle_hours());
        let _ = writeln!(
            table,
            "{name:<10} {share:5.1} % {:8} {:8} {idle:11.1} {:11} {:13}",
            one.waited, one.started, one.ready_most, one.running_most
        );
    }
    println!("{table}");
    assert_eq!((small.refused, following.refused, large.refused), (0, 0, 0), "{table}");
    assert_eq!(following.asked, following.warm + following.waited);
    assert!(following.warm_share() > 0.97, "{table}");
    assert!(following.warm_share() > small.warm_share() + 0.1, "{table}");
    assert!(following.idle_s * 3 < large.idle_s, "a third of the large pool's idle hours:\n{table}");
    // What it lets go and starts again is little beside the day's allocations.
    assert!(following.started < following.asked + following.asked / 20, "{table}");
    assert!(following.wanted_changes < 400, "{following:?}");
}
