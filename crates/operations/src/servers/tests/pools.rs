//! Servers that stand ready.

use std::{collections::BTreeSet, time::Instant};

use greenroom_fleet::{ExitCause, Phase};
use greenroom_protocol::ErrorCode;

use super::*;

fn warm(count: u32) -> FleetSettings {
    FleetSettings { ready_min: count, ..fleet() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_is_filled_refilled_shrunk_and_renewed() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path(), &warm(3), Fate::Ready).await;
    let ready = |count| {
        move |node: &Node| {
            node.in_state(ServerState::Ready).len() == count && node.scripted.running() == count
        }
    };
    node.until("it is filled", ready(3)).await;

    let server = node.servers.allocate(ask()).await.unwrap().server;
    let instance = node.scripted.instance(&node.servers.living(&server.id).unwrap().instance()).unwrap();
    assert!(!instance.started_with_payload, "it was warm");
    assert_eq!(instance.payload.unwrap(), "{\"map\": \"ü\"}", "it has its payload when the answer is given");
    node.until("it is refilled", |node| node.in_state(ServerState::Ready).len() == 3).await;
    node.servers.stop(&game(), &server.id).await.unwrap();
    node.until("the pool alone is left", ready(3)).await;

    node.change(|fleet| fleet.ready_min = 1);
    node.until("it is shrunk", ready(1)).await;

    let old: BTreeSet<_> =
        node.in_state(ServerState::Ready).iter().map(|server| server.id().clone()).collect();
    node.change(|fleet| fleet.version = Some("2.0.0".to_owned()));
    node.until("it is renewed", |node| {
        let ready = node.in_state(ServerState::Ready);
        node.scripted.running() == 1 && ready.len() == 1 && !old.contains(ready[0].id())
    })
    .await;
    let server = node.servers.allocate(ask()).await.unwrap().server;
    assert_eq!(server.version.as_deref(), Some("2.0.0"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_follows_demand_between_its_two_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = FleetSettings { ready_max: Some(5), ..warm(1) };
    let node = node(folder.path(), &fleet, Fate::Ready).await;
    node.clock.hold();
    let ready = |count| move |node: &Node| node.in_state(ServerState::Ready).len() == count;
    node.until("it is filled", ready(1)).await;
    let wanted = |node: &Node| node.servers.pools()[0].wanted;
    assert_eq!(wanted(&node), 1);

    let other = AllocateRequest { version: Some("0.9.0".into()), ..ask() };
    node.servers.allocate(other).await.unwrap();
    assert_eq!(wanted(&node), 1, "the pool has none of that version");
    node.servers.allocate(ask()).await.unwrap();
    node.servers.allocate(ask_as("k")).await.unwrap();
    node.servers.allocate(ask_as("k")).await.unwrap();
    assert_eq!(wanted(&node), 3, "two, and half as many again; a repeat is none");
    node.until("it rises", ready(3)).await;
    for _ in 0..4 {
        node.servers.allocate(ask()).await.unwrap();
    }
    node.until("it rises to its limit", ready(5)).await;

    node.leap(Duration::from_mins(5));
    assert_eq!(wanted(&node), 5);
    node.leap(Duration::from_mins(7));
    node.until("it falls", |node| (1..4).contains(&node.in_state(ServerState::Ready).len())).await;
    node.leap(Duration::from_mins(4));
    node.until("it is at rest", ready(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_allocations_while_one_start_in_ten_crashes_are_all_alive() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = FleetSettings { running_max: 30, ..warm(4) };
    let node = node(folder.path(), &fleet, Fate::Ready).await;
    let fates = (1..2_000).map(|number| match number % 20 {
        3 => Fate::Crashes,
        13 => Fate::ReadyThenDies,
        _ => Fate::Ready,
    });
    node.scripted.next_fates(fates);
    let mut given = BTreeSet::new();
    for number in 0..200 {
        // Warm servers also die where they stand.
        if number % 10 == 5
            && let Some(victim) = node.in_state(ServerState::Ready).first()
        {
            node.scripted.end(&victim.instance(), ExitCause::Signalled(9));
        }
        let server = node.servers.allocate(ask()).await.unwrap().server;
        assert!(given.insert(server.id.clone()), "given twice");
        let instance = node.servers.living(&server.id).unwrap().instance();
        let instance = node.scripted.instance(&instance).unwrap();
        assert!(matches!(instance.observed.phase, Phase::Ready { .. }), "a dead server was given: {number}");
        assert!(instance.payload.is_some());
        node.servers.stop(&game(), &server.id).await.unwrap();
    }
    assert!(node.scripted.running_most() <= 30);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_warm_server_that_is_gone_when_it_is_told_its_payload_is_not_given() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path(), &warm(2), Fate::Ready).await;
    node.until("it is filled", |node| node.in_state(ServerState::Ready).len() == 2).await;
    node.scripted.fail_deliveries(1);
    let server = node.servers.allocate(ask_as("k")).await.unwrap().server;
    let instance = node.servers.living(&server.id).unwrap().instance();
    assert!(node.scripted.instance(&instance).unwrap().payload.is_some());
    assert_eq!(node.servers.allocate(ask_as("k")).await.unwrap().server.id, server.id, "the key follows");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_warm_server_that_starts_is_given_rather_than_a_further_one_started() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = FleetSettings { running_max: 1, ..warm(1) };
    let node = node(folder.path(), &fleet, Fate::Hangs).await;
    node.until("it starts", |node| node.scripted.running() == 1).await;
    let asked = spawn(node.servers.clone(), ask());
    node.until("it is taken", |node| {
        node.servers.snapshot(None).iter().any(|server| server.allocation.is_some())
    })
    .await;
    let id = node.scripted.instances()[0].observed.id.clone();
    node.scripted.pass(&id, Phase::Ready { at: Timestamp::default() });
    let server = asked.await.unwrap().unwrap().server;
    assert_eq!(server.state, ServerState::Allocated);
    assert_eq!(node.scripted.instance(&id).unwrap().payload.unwrap(), "{\"map\": \"ü\"}");
    assert_eq!(node.scripted.running_most(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_limit_warm_servers_give_way_to_what_does_not_fit_them() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = FleetSettings { running_max: 2, ..warm(2) };
    let node = node(folder.path(), &fleet, Fate::Ready).await;
    node.until("it is filled", |node| node.in_state(ServerState::Ready).len() == 2).await;
    let other = || AllocateRequest { version: Some("0.9.0".into()), ..ask() };
    let (first, second) = tokio::join!(node.servers.allocate(other()), node.servers.allocate(other()));
    assert_eq!(first.unwrap().server.version.as_deref(), Some("0.9.0"));
    assert_eq!(second.unwrap().server.version.as_deref(), Some("0.9.0"));
    assert_eq!(node.servers.allocate(other()).await.unwrap_err().code(), ErrorCode::LimitReached);
    assert_eq!(node.scripted.running_most(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_title_that_the_command_takes_needs_a_server_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let mut fleet = warm(1);
    fleet.command.extend(["--title".to_owned(), "{title}".to_owned()]);
    let node = node(folder.path(), &fleet, Fate::Ready).await;
    node.until("it is filled", |node| node.in_state(ServerState::Ready).len() == 1).await;
    let request = AllocateRequest { title: Some("Ann's game".into()), ..ask() };
    let server = node.servers.allocate(request).await.unwrap().server;
    let instance = node.scripted.instance(&node.servers.living(&server.id).unwrap().instance()).unwrap();
    assert_eq!(instance.launch.argv.last().unwrap(), "Ann's game");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_whose_servers_crash_is_refilled_with_pauses() {
    let folder = tempfile::tempdir().unwrap();
    let began = Instant::now();
    let node = node(folder.path(), &warm(1), Fate::Crashes).await;
    node.until("three have crashed", |node| node.scripted.instances().len() >= 3).await;
    assert!(began.elapsed() >= Duration::from_millis(750), "250 ms, then 500 ms");
    node.scripted.otherwise(Fate::Ready);
    node.until("it recovers", |node| node.in_state(ServerState::Ready).len() == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_never_takes_the_place_of_what_is_wanted_now() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = FleetSettings { running_max: 5, ..warm(3) };
    let node = node(folder.path(), &fleet, Fate::Ready).await;
    node.until("it is filled", |node| node.in_state(ServerState::Ready).len() == 3).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..5 {
        let servers = node.servers.clone();
        tasks.spawn(async move { servers.allocate(ask()).await });
    }
    let answers = tasks.join_all().await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(node.scripted.running_most(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_game_without_its_fleet_has_no_pool() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path(), &warm(2), Fate::Ready).await;
    node.until("it is filled", |node| node.in_state(ServerState::Ready).len() == 2).await;
    let server = node.servers.allocate(ask()).await.unwrap().server;
    node.settings.send_modify(|settings| {
        let mut changed = (**settings).clone();
        changed.games.get_mut(&game()).unwrap().fleet = None;
        *settings = Arc::new(changed);
    });
    node.until("the warm ones go", |node| node.scripted.running() == 1).await;
    assert_eq!(
        node.servers.living(&server.id).unwrap().state,
        ServerState::Allocated,
        "what was given stays"
    );
    assert_eq!(node.servers.allocate(ask()).await.unwrap_err().code(), ErrorCode::NotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_are_stopped_and_none_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path(), &warm(3), Fate::Ready).await;
    node.until("it is filled", |node| node.in_state(ServerState::Ready).len() == 3).await;
    node.servers.allocate(ask()).await.unwrap();
    node.servers.stop_all().await;
    assert_eq!(node.scripted.running(), 0);
    assert!(node.servers.snapshot(None).is_empty());
    assert_eq!(node.servers.allocate(ask()).await.unwrap_err().code(), ErrorCode::Unavailable);
}

/// Not a benchmark, but a guard: a warm allocation takes no start, no list and no wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_warm_allocation_is_quick() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = FleetSettings { running_max: 300, ..warm(100) };
    let node =
        Node::open(folder.path(), settings(&["skirmish"], 1_000, &fleet), Scripted::new(Fate::Ready), None)
            .await;
    node.until("it is filled", |node| node.in_state(ServerState::Ready).len() == 100).await;
    node.change(|fleet| fleet.running_max = 100);
    let mut times = Vec::new();
    for _ in 0..100 {
        let began = Instant::now();
        node.servers.allocate(ask()).await.unwrap();
        times.push(began.elapsed());
    }
    times.sort();
    println!("warm allocation: median {:?}, p99 {:?}", times[50], times[98]);
    // On a machine that others keep busy most take longer, but not all.
    assert!(times[10] < Duration::from_millis(100), "{times:?}");
}
