use std::collections::BTreeMap;

use greenroom_protocol::{GameId, HostId, ServerId, StudioId};
use proptest::prelude::*;

use super::*;
use crate::{
    server::{Allocation, Birth, Exit, ExitCause, Purpose, Seen, Step, StopReason},
    settings::{
        ContainerNetwork, ContainerSettings, GatewaySettings, PortProtocol, PortSettings, ProviderSettings,
        Readiness, ServerLimits, VersionSource, WarmPayload,
    },
};

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn region(name: &str) -> RegionId {
    RegionId::new(name).unwrap()
}

fn build(name: &str) -> BuildId {
    BuildId::new(name).unwrap()
}

fn allocation(id: u64) -> Allocation {
    Allocation {
        id: id.to_string(),
        idempotency: None,
        payload: String::new(),
        payload_delivered: false,
        match_id: None,
        at: at(0),
        by: "key".into(),
    }
}

fn server(id: u64, build_name: &str, given: Option<Allocation>, now: Timestamp) -> Server {
    let birth = Birth {
        id: ServerId::new(format!("s{id}")).unwrap(),
        name: format!("g-{id}"),
        title: None,
        code: None,
        is_listed: false,
        game: GameId::new("g").unwrap(),
        studio: StudioId::new("demo").unwrap(),
        version: "1".into(),
        build: build(build_name),
        region: region("local"),
        host: HostId::new("here").unwrap(),
        purpose: if given.is_some() { Purpose::Allocation } else { Purpose::Warm },
        address: "127.0.0.1".into(),
        created_at: now,
    };
    Server::new(birth, "hash".into(), given)
}

fn ready(server: &Server, now: Timestamp) -> Server {
    match server.next(&Seen::Ready, 3, now) {
        Step::Commit(server) | Step::Deliver(server) => *server,
        other => panic!("{other:?}"),
    }
}

fn free(server: &Server) -> Standing<'_> {
    Standing { server, availability: Availability::Free }
}

fn limits(game_max: u32, game_running: u32) -> Limits {
    Limits { game_max, game_running, studio_max: 100, studio_running: game_running }
}

fn pool(wanted: u32, build_name: &str) -> Pool {
    Pool { wanted, build: Some(build(build_name)), region: Some(region("local")), waiting: 0 }
}

fn ask<'a>(servers: &'a [Server], build_name: &str, limits: &Limits) -> Plan<'a> {
    let (build, region) = (build(build_name), region("local"));
    allocate(
        servers.iter().map(free),
        Demand { build: &build, region: &region, warm_fits: true, has_place: true },
        limits,
    )
}

#[test]
fn the_longest_ready_is_given_first_then_the_longest_starting() {
    let servers = [
        server(1, "b1", None, at(0)),
        ready(&server(2, "b1", None, at(0)), at(20)),
        ready(&server(3, "b1", None, at(0)), at(10)),
    ];
    assert!(matches!(ask(&servers, "b1", &limits(9, 3)), Plan::UseWarm(s) if s.id().as_str() == "s3"));
    assert!(matches!(ask(&servers[..1], "b1", &limits(9, 1)), Plan::UseWarm(s) if s.id().as_str() == "s1"));
}

#[test]
fn what_is_dead_taken_or_unfit_is_not_given() {
    let servers = [ready(&server(1, "b1", None, at(0)), at(1))];
    let (b1, local, far) = (build("b1"), region("local"), region("far"));
    let demand = Demand { build: &b1, region: &local, warm_fits: true, has_place: true };
    let never = || servers.iter().map(|server| Standing { server, availability: Availability::Never });
    assert!(matches!(allocate(never(), demand, &limits(9, 1)), Plan::StartNew));
    for demand in [Demand { warm_fits: false, ..demand }, Demand { region: &far, ..demand }] {
        assert!(matches!(allocate(servers.iter().map(free), demand, &limits(9, 1)), Plan::StartNew));
    }
    assert!(matches!(ask(&servers, "b2", &limits(9, 1)), Plan::StartNew));
}

#[test]
fn at_the_limit_a_warm_server_gives_way() {
    let old = [ready(&server(1, "old", None, at(0)), at(1)), server(2, "old", None, at(5))];
    assert!(
        matches!(ask(&old, "b1", &limits(2, 2)), Plan::Replace(s) if s.id().as_str() == "s2"),
        "one that still starts gives way before one that is ready"
    );
    let given = [server(1, "b1", Some(allocation(1)), at(0))];
    assert!(matches!(ask(&given, "b1", &limits(1, 1)), Plan::LimitReached(Limit::Game(1))));
    let studio = Limits { game_max: 5, game_running: 1, studio_max: 3, studio_running: 3 };
    assert!(matches!(ask(&given, "b1", &studio), Plan::LimitReached(Limit::Studio(3))));
}

#[test]
fn what_is_being_written_down_is_waited_for_and_counts_as_there() {
    let servers = [server(1, "b1", None, at(0))];
    let standings = || servers.iter().map(|server| Standing { server, availability: Availability::NotNow });
    let (b1, local) = (build("b1"), region("local"));
    let demand = Demand { build: &b1, region: &local, warm_fits: true, has_place: true };
    assert!(matches!(allocate(standings(), demand, &limits(1, 1)), Plan::LookAgain));
    assert!(matches!(allocate(standings(), demand, &limits(2, 1)), Plan::StartNew));
    let plan = plan_pool(standings(), &pool(1, "b1"), &limits(9, 1), &PoolHealth::default(), at(1));
    assert_eq!((plan.start, plan.stop.len()), (0, 0));
}

#[test]
fn a_pool_is_filled_shrunk_and_closed() {
    let healthy = PoolHealth::default();
    let plan = plan_pool([].into_iter(), &pool(3, "b1"), &limits(20, 0), &healthy, at(0));
    assert_eq!((plan.start, plan.stop.len()), (3, 0));
    let servers = [
        ready(&server(1, "b1", None, at(0)), at(1)),
        ready(&server(2, "b1", None, at(0)), at(2)),
        server(3, "b1", None, at(0)),
    ];
    let plan = plan_pool(servers.iter().map(free), &pool(1, "b1"), &limits(20, 3), &healthy, at(9));
    let stopped: Vec<_> = plan.stop.iter().map(|s| s.id().as_str()).collect();
    assert_eq!((plan.start, stopped), (0, vec!["s3", "s2"]));
    let plan = plan_pool(servers.iter().map(free), &Pool::default(), &limits(20, 3), &healthy, at(9));
    assert_eq!(plan.stop.len(), 3, "a game without a fleet has no pool");
}

#[test]
fn a_pool_leaves_places_to_allocations_that_wait() {
    let want = Pool { waiting: 2, ..pool(3, "b1") };
    let plan = plan_pool([].into_iter(), &want, &limits(4, 0), &PoolHealth::default(), at(0));
    assert_eq!(plan.start, 2);
}

#[test]
fn a_lowered_limit_stops_warm_servers_first_and_only_as_many() {
    let servers = [
        ready(&server(1, "b1", None, at(0)), at(1)),
        ready(&server(2, "b1", None, at(0)), at(2)),
        ready(&server(3, "b1", Some(allocation(1)), at(0)), at(2)),
    ];
    let plan =
        plan_pool(servers.iter().map(free), &pool(2, "b1"), &limits(2, 3), &PoolHealth::default(), at(9));
    assert_eq!((plan.start, plan.stop.len()), (0, 1));
    let plan =
        plan_pool(servers.iter().map(free), &pool(2, "b1"), &limits(0, 3), &PoolHealth::default(), at(9));
    assert_eq!(plan.stop.len(), 2, "those that were given away stay");
}

#[test]
fn a_new_build_takes_over_without_a_gap() {
    let old: Vec<Server> = (1..=3).map(|n| ready(&server(n, "old", None, at(0)), at(1))).collect();
    let plan =
        plan_pool(old.iter().map(free), &pool(3, "new"), &limits(20, 3), &PoolHealth::default(), at(2));
    assert_eq!((plan.start, plan.stop.len()), (3, 0), "the old ones stay until the new ones are ready");
    let mut all = old.clone();
    all.push(ready(&server(4, "new", None, at(2)), at(3)));
    all.extend([server(5, "new", None, at(2)), server(6, "new", None, at(2))]);
    let plan =
        plan_pool(all.iter().map(free), &pool(3, "new"), &limits(20, 6), &PoolHealth::default(), at(3));
    assert_eq!((plan.start, plan.stop.len()), (0, 1), "one new one is ready, one old one goes");
    let plan = plan_pool(old.iter().map(free), &pool(3, "new"), &limits(3, 3), &PoolHealth::default(), at(2));
    assert_eq!((plan.start, plan.stop.len()), (0, 1), "without room they go one by one");
}

#[test]
fn a_pool_that_crashes_is_refilled_ever_more_slowly() {
    let mut health = PoolHealth::default();
    let mut now = at(0);
    let mut pauses = Vec::new();
    for _ in 0..10 {
        health.failed(now);
        let plan = plan_pool([].into_iter(), &pool(1, "b1"), &limits(20, 0), &health, now);
        assert_eq!(plan.start, 0);
        let due = plan.wake_at.unwrap();
        pauses.push(due.since(now).as_millis() as u64);
        now = due;
        let plan = plan_pool([].into_iter(), &pool(1, "b1"), &limits(20, 0), &health, now);
        assert_eq!((plan.start, plan.wake_at), (1, None));
    }
    assert_eq!(pauses, [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
    assert_eq!(health.blocked_until(at(-10_000_000)), None, "a clock set back does not stop the pool");
}

#[test]
fn one_crash_in_ten_does_not_slow_a_pool_down_for_long_but_ready_and_crash_does() {
    let mut health = PoolHealth::default();
    health.failed(at(0));
    health.became_ready();
    health.became_ready();
    assert_eq!(health.blocked_until(at(0)), None);
    let mut last = 0;
    for round in 0..20 {
        health.became_ready();
        health.failed(at(0));
        last = health.blocked_until(at(0)).unwrap().as_millis();
        assert!(round == 0 || last >= 250);
    }
    assert_eq!(last, 30_000);
}

fn fleet() -> FleetSettings {
    FleetSettings {
        provider: ProviderSettings::Process,
        command: vec!["game".into(), "--port".into(), "{port}".into()],
        environment: BTreeMap::new(),
        working_dir: None,
        ports: vec![PortSettings {
            name: "default".into(),
            protocol: PortProtocol::Tcp,
            count: 1,
            fixed: None,
            inner: None,
        }],
        port_range: 7000..=7999,
        ready: Readiness::Listening,
        ready_timeout: std::time::Duration::from_secs(30),
        start_tries_max: 3,
        stop_grace: std::time::Duration::from_secs(10),
        ready_min: 0,
        running_max: 20,
        warm_payload: WarmPayload::File,
        version: Some("1".into()),
        regions: vec![region("local")],
        limits: ServerLimits::default(),
        log_bytes_max: 1 << 20,
        ended_keep: std::time::Duration::from_hours(1),
        ..FleetSettings::default()
    }
}

#[test]
fn a_build_is_what_shapes_the_process() {
    let same = fleet();
    assert_eq!(
        build_of(&same, "1"),
        build_of(&FleetSettings { running_max: 7, ready_min: 3, ..fleet() }, "1")
    );
    assert_ne!(build_of(&same, "1"), build_of(&same, "2"));
    let glued = FleetSettings { command: vec!["game--port".into(), "{port}".into()], ..fleet() };
    assert_ne!(build_of(&same, "1"), build_of(&glued, "1"));
    let gateway = Connection::Gateway(GatewaySettings::default());
    let behind_gateway = FleetSettings { connection: gateway, ..fleet() };
    assert_ne!(build_of(&same, "1"), build_of(&behind_gateway, "1"));
    let containers = |change: fn(&mut ContainerSettings)| {
        let mut container = ContainerSettings {
            image: "studio/game".into(),
            versions: VersionSource::Engine,
            versions_max: 5,
            network: ContainerNetwork::Bridge,
            volumes: Vec::new(),
            user: None,
            read_only_root: false,
            init: true,
            capabilities: Vec::new(),
        };
        change(&mut container);
        build_of(&FleetSettings { provider: ProviderSettings::Docker(Box::new(container)), ..fleet() }, "1")
    };
    let plain = containers(|_| {});
    assert_eq!(
        plain,
        containers(|container| container.versions_max = 9),
        "which may be asked for is no shape"
    );
    assert_ne!(plain, containers(|container| container.network = ContainerNetwork::Host));
    assert_ne!(plain, containers(|container| container.capabilities = vec!["SYS_NICE".into()]));
    assert!(!takes_listed(&same));
    let listed = FleetSettings { command: vec!["game".into(), "{if listed}--list".into()], ..fleet() };
    assert!(takes_listed(&listed));
    assert!(!takes_title(&same));
    assert!(takes_title(&FleetSettings { command: vec!["game".into(), "--t={title}".into()], ..fleet() }));
}

/// The servers of one game with the shell that carries the plans out, at its worst: what is to be
/// stopped takes its time, and what starts may crash.
struct World {
    servers: Vec<Server>,
    next: u64,
    now: Timestamp,
    health: PoolHealth,
    game_max: u32,
    others: u32,
    build: &'static str,
    wanted: u32,
}

impl World {
    fn limits(&self) -> Limits {
        let running = self.servers.iter().filter(|server| !server.state.is_final()).count() as u32;
        Limits {
            game_max: self.game_max,
            game_running: running,
            studio_max: 12,
            studio_running: running + self.others,
        }
    }

    fn start(&mut self, given: Option<Allocation>) {
        self.next += 1;
        self.servers.push(server(self.next, self.build, given, self.now));
    }

    fn position(&self, id: &ServerId) -> usize {
        self.servers.iter().position(|server| server.id() == id).unwrap()
    }

    fn allocate(&mut self) {
        self.next += 1;
        let given = allocation(self.next);
        let plan = ask(&self.servers, self.build, &self.limits());
        match plan {
            Plan::UseWarm(warm) => {
                let at = self.position(&warm.id().clone());
                self.servers[at].allocate(given, self.now).expect("a warm server is nobody's");
            }
            Plan::StartNew => {
                assert!(self.limits().room() > 0, "no start without room");
                self.start(Some(given));
            }
            Plan::Replace(warm) => {
                let at = self.position(&warm.id().clone());
                self.servers[at].stop(StopReason::Pool, self.now).unwrap();
            }
            Plan::LimitReached(_) => assert_eq!(self.limits().room(), 0),
            Plan::NoPlace => unreachable!("there is always one"),
            Plan::LookAgain => unreachable!("here everything is written down at once"),
        }
    }

    fn run_pool(&mut self) {
        let plan = plan_pool(
            self.servers.iter().map(free),
            &pool(self.wanted, self.build),
            &self.limits(),
            &self.health,
            self.now,
        );
        let start = plan.start;
        assert!(start <= self.limits().room());
        let stop: Vec<usize> = plan.stop.iter().map(|server| self.position(server.id())).collect();
        for at in stop {
            assert!(self.servers[at].is_warm(), "only warm ones are stopped");
            self.servers[at].stop(StopReason::Pool, self.now).unwrap();
        }
        for _ in 0..start {
            self.start(None);
        }
    }

    fn happens_to(&mut self, at: usize, crashes: bool) {
        let Some(server) = self.servers.get(at) else { return };
        let exit = |cause| Seen::Ended(Exit { at: self.now, cause, was_ready: true, last_lines: Vec::new() });
        let seen = match server.state {
            ServerState::Stopping => exit(ExitCause::Stopped { killed: false }),
            _ if crashes => exit(ExitCause::Exited(1)),
            _ => Seen::Ready,
        };
        let was_warm = server.is_warm();
        if let Step::Commit(next) | Step::Deliver(next) = server.next(&seen, 3, self.now) {
            if was_warm && next.state == ServerState::Ready {
                self.health.became_ready();
            } else if was_warm && next.state == ServerState::Ended && crashes {
                self.health.failed(self.now);
            }
            self.servers[at] = *next;
        }
    }
}

#[derive(Clone, Debug)]
enum Happens {
    Allocate,
    Pool,
    To { at: usize, crashes: bool },
    Limit(u32),
    Others(u32),
    Wanted(u32),
    Build(bool),
    Later,
}

fn happenings() -> impl Strategy<Value = Vec<Happens>> {
    let one = prop_oneof![
        4 => Just(Happens::Allocate),
        4 => Just(Happens::Pool),
        8 => (0_usize..40, prop::bool::weighted(0.3)).prop_map(|(at, crashes)| Happens::To { at, crashes }),
        1 => (0_u32..8).prop_map(Happens::Limit),
        1 => (0_u32..12).prop_map(Happens::Others),
        1 => (0_u32..5).prop_map(Happens::Wanted),
        1 => any::<bool>().prop_map(Happens::Build),
        2 => Just(Happens::Later),
    ];
    proptest::collection::vec(one, 1..120)
}

proptest! {
    #[test]
    fn limits_hold_and_the_pool_converges(happenings in happenings()) {
        let mut world = World {
            servers: Vec::new(),
            next: 0,
            now: at(0),
            health: PoolHealth::default(),
            game_max: 6,
            others: 0,
            build: "b1",
            wanted: 2,
        };
        for happens in happenings {
            let before = world.limits();
            match happens {
                Happens::Allocate => world.allocate(),
                Happens::Pool => world.run_pool(),
                Happens::To { at, crashes } => world.happens_to(at, crashes),
                Happens::Limit(max) => world.game_max = max,
                Happens::Others(count) => world.others = count,
                Happens::Wanted(count) => world.wanted = count,
                Happens::Build(new) => world.build = if new { "b2" } else { "b1" },
                Happens::Later => world.now = world.now.after(std::time::Duration::from_millis(400)),
            }
            let after = world.limits();
            // A limit may be lowered below what runs; what runs never grows beyond it.
            if after.game_running > before.game_running {
                prop_assert!(after.game_running <= after.game_max);
                prop_assert!(after.studio_running <= after.studio_max);
            }
            let mut given: Vec<_> = world.servers.iter().filter_map(|s| s.allocation.as_ref()).map(|a| &a.id).collect();
            let count = given.len();
            given.sort();
            given.dedup();
            prop_assert_eq!(given.len(), count);
        }
        // Left alone, with servers that behave, the pool comes to what is wanted, or to what there is room for.
        for _ in 0..40 {
            world.now = world.now.after(std::time::Duration::from_secs(31));
            world.run_pool();
            for at in 0..world.servers.len() {
                world.happens_to(at, false);
            }
        }
        let warm = world.servers.iter().filter(|server| server.is_warm());
        let (current, outdated): (Vec<_>, Vec<_>) = warm.partition(|server| server.birth.build == build(world.build));
        prop_assert!(current.len() <= world.wanted as usize);
        let limits = world.limits();
        prop_assert!(current.len() == world.wanted as usize || limits.room() == 0);
        prop_assert!(outdated.is_empty());
        prop_assert!(current.iter().all(|server| server.state == ServerState::Ready));
    }
}
