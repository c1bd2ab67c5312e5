//! A node dies, and another one takes its data folder.

use greenroom_fleet::{ExitCause, Observed, Phase};

use super::*;

async fn reopened(node: Node, folder: &Path, fleet: &FleetSettings) -> Node {
    let scripted = node.die().await;
    Node::open(folder, settings(&["skirmish"], 100, fleet), scripted, None).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_keys_and_tokens_are_there_again_and_nothing_is_started_twice() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = FleetSettings { ready_min: 2, ..fleet() };
    let first = node(folder.path(), &fleet, Fate::Ready).await;
    let server = first.servers.allocate(ask_as("k")).await.unwrap().server;
    first.until("it is filled", |node| node.in_state(ServerState::Ready).len() == 2).await;
    let instance = first.servers.living(&server.id).unwrap().instance();
    let token =
        first.scripted.instance(&instance).unwrap().launch.environment["GREENROOM_SERVER_TOKEN"].clone();

    let second = reopened(first, folder.path(), &fleet).await;
    assert_eq!(second.servers.snapshot(None).len(), 3, "known before anything is served");
    assert_eq!(second.servers.authenticate(&token).unwrap().id(), &server.id);
    let again = second.servers.allocate(ask_as("k")).await.unwrap();
    assert!(again.is_repeat);
    assert_eq!(again.server.id, server.id);
    let warm = second.servers.allocate(ask()).await.unwrap().server;
    second.until("it is refilled", |node| node.in_state(ServerState::Ready).len() == 2).await;
    assert_ne!(warm.id, server.id);
    assert_eq!(second.scripted.instances().len(), 4, "two given, two warm");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_that_rose_is_as_high_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = FleetSettings { ready_min: 1, ready_max: Some(4), ..fleet() };
    let first = node(folder.path(), &fleet, Fate::Ready).await;
    first.clock.hold();
    let mut given = Vec::new();
    for _ in 0..3 {
        given.push(first.servers.allocate(ask()).await.unwrap().server.id);
    }
    first.until("it has risen", |node| node.in_state(ServerState::Ready).len() == 4).await;
    for id in given {
        first.servers.stop(&game(), &id).await.unwrap();
    }
    first.until("the pool alone is left", |node| node.servers.snapshot(None).len() == 4).await;
    let second = reopened(first, folder.path(), &fleet).await;
    assert_eq!(second.servers.pools()[0].wanted, 4, "what stands counts, though its reason is forgotten");
    second.leap(Duration::from_mins(16));
    second.until("it falls", |node| node.in_state(ServerState::Ready).len() == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_was_under_way_goes_on_and_its_key_finds_it() {
    let folder = tempfile::tempdir().unwrap();
    let first = node(folder.path(), &fleet(), Fate::Hangs).await;
    let asked = spawn(first.servers.clone(), ask_as("k"));
    first.until("it starts", |node| node.scripted.running() == 1).await;
    let second = reopened(first, folder.path(), &fleet()).await;
    assert!(asked.await.unwrap().is_err(), "the first node can answer no more");
    let repeat = spawn(second.servers.clone(), ask_as("k"));
    let id = second.scripted.instances()[0].observed.id.clone();
    second.scripted.pass(&id, Phase::Ready { at: Timestamp::default() });
    let server = repeat.await.unwrap().unwrap().server;
    assert_eq!(second.scripted.instances().len(), 1, "nothing is started twice");
    assert_eq!(second.servers.living(&server.id).unwrap().instance(), id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_written_down_and_never_started_is_started_with_a_new_token() {
    let folder = tempfile::tempdir().unwrap();
    let first = node(folder.path(), &fleet(), Fate::Hangs).await;
    let asked = spawn(first.servers.clone(), ask_as("k"));
    first.until("it starts", |node| node.scripted.running() == 1).await;
    let scripted = first.die().await;
    drop(asked);
    // As if the node had died between the commit and the start.
    let id = scripted.instances()[0].observed.id.clone();
    scripted.lose(&id);
    scripted.otherwise(Fate::Ready);
    let second = Node::open(folder.path(), settings(&["skirmish"], 100, &fleet()), scripted, None).await;
    let server = second.servers.allocate(ask_as("k")).await.unwrap().server;
    let instance = second.scripted.instance(&second.servers.living(&server.id).unwrap().instance()).unwrap();
    assert_eq!(instance.payload.unwrap(), "{\"map\": \"ü\"}");
    let token = &instance.launch.environment["GREENROOM_SERVER_TOKEN"];
    assert_eq!(second.servers.authenticate(token).unwrap().id(), &server.id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ends_that_nobody_saw_are_told_and_written_down() {
    let folder = tempfile::tempdir().unwrap();
    let first = node(folder.path(), &fleet(), Fate::Ready).await;
    let crashed = first.servers.allocate(ask()).await.unwrap().server;
    let vanished = first.servers.allocate(ask()).await.unwrap().server;
    let instance = |id: &ServerId| first.servers.living(id).unwrap().instance();
    let (crashed_instance, vanished_instance) = (instance(&crashed.id), instance(&vanished.id));
    let scripted = first.die().await;
    scripted.end(&crashed_instance, ExitCause::Signalled(9));
    scripted.lose(&vanished_instance);
    let second = Node::open(folder.path(), settings(&["skirmish"], 100, &fleet()), scripted, None).await;
    second.until("both ends are written down", |node| node.servers.snapshot(None).is_empty()).await;
    for (id, state, fact) in
        [(&crashed.id, ServerState::Ended, "stopped"), (&vanished.id, ServerState::Lost, "lost")]
    {
        assert_eq!(second.servers.get(&game(), id).await.unwrap().state, state);
        assert_eq!(second.facts.of(id).last().unwrap(), fact);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_without_a_document_is_taken_up_and_never_given_away() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = FleetSettings { ready_min: 1, ..fleet() };
    let first = node(folder.path(), &fleet, Fate::Ready).await;
    first.until("it is filled", |node| node.in_state(ServerState::Ready).len() == 1).await;
    let id = first.in_state(ServerState::Ready)[0].id().clone();
    let scripted = first.die().await;
    // The directory is lost; what runs runs on.
    let other = tempfile::tempdir().unwrap();
    let second = Node::open(other.path(), settings(&["skirmish"], 100, &fleet), scripted, None).await;
    second
        .until("it is taken up", |node| {
            node.servers.living(&id).is_some_and(|server| server.state == ServerState::Allocated)
        })
        .await;
    let server = second.servers.allocate(ask()).await.unwrap().server;
    assert_ne!(server.id, id, "nobody can tell whether it was given");
    assert_eq!(second.servers.living(&id).unwrap().port(), Some(7000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_means_nothing_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let scripted = Scripted::new(Fate::Ready);
    let id = ServerId::new("stray-1").unwrap();
    scripted.plant(Observed {
        id: id.clone(),
        phase: Phase::Ready { at: Timestamp::default() },
        ports: Vec::new(),
        labels: BTreeMap::from([("greenroom.birth".to_owned(), "{}".to_owned())]),
        host: greenroom_fleet::local_host(),
        address: None,
        public_address: None,
        is_host_reachable: true,
        is_paused: false,
    });
    let node = Node::open(folder.path(), settings(&["skirmish"], 100, &fleet()), scripted, None).await;
    node.until("it is stopped", |node| node.scripted.running() == 0).await;
    assert!(node.servers.snapshot(None).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deaths_at_any_moment_forget_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = FleetSettings { ready_min: 2, running_max: 40, ..fleet() };
    let mut scripted = Scripted::new(Fate::Ready);
    let seed = greenroom_test_support::seed("deaths at any moment");
    let mut dice = <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(seed);
    let mut given: BTreeMap<String, ServerId> = BTreeMap::new();
    for round in 0..12 {
        let node = Node::open(folder.path(), settings(&["skirmish"], 100, &fleet), scripted, None).await;
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..3 {
            let (servers, key) = (node.servers.clone(), format!("{}", round * 2 + number));
            tasks.spawn(async move { (key.clone(), servers.allocate(ask_as(&key)).await) });
        }
        let until = Duration::from_micros(rand::Rng::random_range(&mut dice, 0..6_000));
        tokio::time::sleep(until).await;
        scripted = node.die().await;
        while let Some(answer) = tasks.join_next().await {
            let (key, answer) = answer.unwrap();
            if let Ok(allocated) = answer {
                let before = given.insert(key, allocated.server.id.clone());
                assert!(before.is_none_or(|before| before == allocated.server.id), "a key gives one server");
            }
        }
    }
    let node = Node::open(folder.path(), settings(&["skirmish"], 100, &fleet), scripted, None).await;
    node.until("all settle", |node| {
        node.in_state(ServerState::Ready).len() == 2
            && node.in_state(ServerState::Starting).is_empty()
            && node.servers.snapshot(None).len() == node.scripted.running()
    })
    .await;
    for (key, id) in &given {
        let again = node.servers.allocate(ask_as(key)).await.unwrap();
        assert_eq!(&again.server.id, id, "what was answered is still so");
        node.until("it is told as started", |node| {
            node.facts.of(id) == ["started"]
                || node.servers.living(id).is_some_and(|server| server.pending.is_empty())
        })
        .await;
    }
    let has_ended = |observed: &Observed| matches!(observed.phase, Phase::Ended(_));
    for instance in node.scripted.instances().into_iter().filter(|known| !has_ended(&known.observed)) {
        let server =
            node.servers.snapshot(None).into_iter().find(|server| server.instance() == instance.observed.id);
        assert!(server.is_some(), "no process without a document: {:?}", instance.observed);
    }
}
