//! A server is asked for.

use greenroom_fleet::{ExitCause, Phase, StartError};
use greenroom_protocol::{ErrorCode, MatchId};

use super::*;
use crate::servers::AllocateError;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cold_start_is_answered_when_it_is_ready_and_knows_its_payload() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path(), &fleet(), Fate::Hangs).await;
    let request = AllocateRequest { match_id: Some(MatchId::new("m1").unwrap()), ..ask() };
    let asked = spawn(node.servers.clone(), request);
    node.until("it starts", |node| node.scripted.running() == 1).await;
    assert!(!asked.is_finished(), "it is not ready");
    let instance = node.scripted.instances().remove(0);
    assert!(instance.started_with_payload);
    node.scripted.pass(&instance.observed.id, Phase::Ready { at: Timestamp::default() });
    let server = asked.await.unwrap().unwrap().server;
    assert_eq!((server.address.as_str(), server.port), ("203.0.113.7", Some(7000)));
    assert_eq!(server.state, ServerState::Allocated);
    assert!(server.name.starts_with("skirmish-"));
    assert_eq!(instance.payload.unwrap(), "{\"map\": \"ü\"}");

    let launch = instance.launch;
    assert_eq!(
        launch.argv,
        ["/usr/bin/greenroom", "skirmish-server", "--port", "7000", "--name", &server.name]
    );
    let value = |name: &str| launch.environment.get(name).map(String::as_str);
    assert_eq!(value("GREENROOM_SERVER_ID"), Some(server.id.as_str()), "no setting passes as ours");
    assert_eq!(value("GREENROOM_URL"), Some("http://127.0.0.1:4700"));
    assert_eq!(value("GREENROOM_GAME"), Some("skirmish"));
    assert_eq!(value("GREENROOM_REGION"), Some("eu"));
    assert_eq!(value("GREENROOM_MATCH_ID"), Some("m1"));
    assert_eq!(value("GREENROOM_PORT"), Some("7000"));
    assert_eq!(value("GREENROOM_PORT_DEFAULT"), Some("7000"));
    assert_eq!(value("GREENROOM_PORT_QUERY_PORT"), Some("7001"));
    assert_eq!(value("QUERY"), Some("7001"));

    let token = value("GREENROOM_SERVER_TOKEN").unwrap();
    assert_eq!(node.servers.authenticate(token).unwrap().id(), &server.id);
    for wrong in ["", "gs_", "gs_x_y", &token[..token.len() - 1], &token.replace("gs_", "")] {
        assert!(node.servers.authenticate(wrong).is_none(), "{wrong}");
    }
    assert!(!launch.environment.values().any(|value| value.contains("key-1")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let regions = ["eu", "us"].map(|region| RegionId::new(region).unwrap()).to_vec();
    let in_two_regions = FleetSettings { regions, ..fleet() };
    let node = node(folder.path(), &in_two_regions, Fate::Ready).await;
    let unknown = AllocateRequest { game: GameId::new("other").unwrap(), ..ask() };
    let far = AllocateRequest { region: Some("mars".into()), ..ask() };
    let large = AllocateRequest { payload: Some("x".repeat(64 * 1024 + 1)), ..ask() };
    for (request, code, says) in [
        (unknown, ErrorCode::NotFound, "no such game"),
        (far, ErrorCode::UnknownRegion, "eu, us"),
        (large, ErrorCode::TooLarge, "65536"),
        (ask_as(""), ErrorCode::Invalid, "idempotency key"),
    ] {
        let error = node.servers.allocate(request).await.unwrap_err();
        assert_eq!(error.code(), code);
        assert!(error.to_string().contains(says), "{error}");
    }
    let elsewhere = AllocateRequest { region: Some("us".into()), ..ask() };
    let server = node.servers.allocate(elsewhere).await.unwrap().server;
    assert_eq!(server.region.unwrap().as_str(), "us");
    assert_eq!(node.scripted.running(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_crashes_is_tried_again_and_given_up_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path(), &fleet(), Fate::Crashes).await;
    node.scripted.next_fates([Fate::Crashes, Fate::Refused(StartError::PortInUse(7000)), Fate::Ready]);
    let server = node.servers.allocate(ask()).await.unwrap().server;
    assert_eq!(server.history.iter().filter(|change| change.state == ServerState::Starting).count(), 3);
    let error = node.servers.allocate(ask()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::NoServer);
    assert!(error.retry_after().is_some());
    assert!(error.to_string().contains("exit status 1"), "{error}");
    node.until("the failed one is written down", |node| node.servers.snapshot(None).len() == 1).await;
    let ended = node.servers.list_ended(&game(), None, 10).await.unwrap().servers;
    assert_eq!(ended.len(), 1);
    assert_eq!(ended[0].exit.as_ref().unwrap().last_lines, ["the last line"]);
    assert!(node.facts.of(&ended[0].id).is_empty(), "what never was ready is no event");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_does_not_exist_is_not_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path(), &fleet(), Fate::Refused(StartError::CommandNotFound("gaem".into()))).await;
    let error = node.servers.allocate(ask()).await.unwrap_err();
    assert!(
        matches!(&error, AllocateError::NoServer { why: Some(why), .. } if why.contains("gaem")),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_not_ready_by_the_deadline_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path(), &fleet(), Fate::Hangs).await;
    let request = AllocateRequest { timeout: Some(Duration::from_millis(50)), ..ask_as("k") };
    let error = node.servers.allocate(request).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::NoServer);
    node.until("it is stopped", |node| node.scripted.running() == 0).await;
    let key_is_gone = async {
        while !node.directory.list_all(crate::servers::documents::IDEMPOTENCY).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, key_is_gone).await.expect("its key goes with it");
    node.scripted.otherwise(Fate::Ready);
    node.servers.allocate(ask_as("k")).await.expect("a failure is not remembered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_at_once_with_a_limit_of_twenty_are_twenty() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path(), &fleet(), Fate::Ready).await;
    let (given, refused) = rush(&node, &["skirmish"], 50).await;
    assert_eq!((given, refused), (20, 30));
    assert_eq!(node.scripted.running_most(), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_studio_s_limit_spans_its_games() {
    let folder = tempfile::tempdir().unwrap();
    let games = ["skirmish", "chess", "racing"];
    let node =
        Node::open(folder.path(), settings(&games, 25, &fleet()), Scripted::new(Fate::Ready), None).await;
    let (given, refused) = rush(&node, &games, 60).await;
    assert_eq!((given, refused), (25, 35));
    assert_eq!(node.scripted.running_most(), 25);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_is_free_again_when_its_server_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path(), &FleetSettings { running_max: 1, ..fleet() }, Fate::Ready).await;
    for _ in 0..5 {
        let server = node.servers.allocate(ask()).await.unwrap().server;
        assert_eq!(node.servers.allocate(ask()).await.unwrap_err().code(), ErrorCode::LimitReached);
        let stopped = node.servers.stop(&game(), &server.id).await.unwrap();
        // The scripted provider is quick: the answer may come when it has ended.
        assert!(matches!(stopped.state, ServerState::Stopping | ServerState::Ended), "{stopped:?}");
        node.until("it has ended", |node| node.servers.snapshot(None).is_empty()).await;
        assert_eq!(node.facts.of(&server.id), ["started", "stopped"]);
        assert_eq!(node.servers.stop(&game(), &server.id).await.unwrap().state, ServerState::Ended);
        let elsewhere = GameId::new("other").unwrap();
        assert!(node.servers.get(&elsewhere, &server.id).await.is_err(), "another game sees nothing of it");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_key_gives_the_same_server_whatever_became_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path(), &fleet(), Fate::Ready).await;
    let requests = (0..20).map(|_| spawn(node.servers.clone(), ask_as("k1"))).collect::<Vec<_>>();
    let mut ids = Vec::new();
    let mut firsts = 0;
    for request in requests {
        let allocated = request.await.unwrap().unwrap();
        firsts += u32::from(!allocated.is_repeat);
        ids.push(allocated.server.id);
    }
    ids.dedup();
    assert_eq!((ids.len(), firsts, node.scripted.running()), (1, 1, 1));

    let other = AllocateRequest { payload: Some("else".into()), ..ask_as("k1") };
    let error = node.servers.allocate(other).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::IdempotencyMismatch);
    let second = node.servers.allocate(ask_as("k2")).await.unwrap().server;
    assert_ne!(second.id, ids[0]);

    let instance = node.servers.living(&ids[0]).unwrap().instance();
    node.scripted.end(&instance, ExitCause::Signalled(11));
    node.until("its end is written down", |node| node.servers.living(&ids[0]).is_none()).await;
    let again = node.servers.allocate(ask_as("k1")).await.unwrap();
    assert_eq!((&again.server.id, again.server.state), (&ids[0], ServerState::Ended));
    assert!(again.server.exit.unwrap().crashed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeat_waits_for_the_first_even_when_no_place_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path(), &FleetSettings { running_max: 1, ..fleet() }, Fate::Hangs).await;
    let first = spawn(node.servers.clone(), ask_as("k"));
    node.until("it starts", |node| node.scripted.running() == 1).await;
    let repeat = spawn(node.servers.clone(), ask_as("k"));
    let other = AllocateRequest { payload: None, ..ask_as("k") };
    assert_eq!(node.servers.allocate(other).await.unwrap_err().code(), ErrorCode::IdempotencyMismatch);
    let id = node.scripted.instances()[0].observed.id.clone();
    node.scripted.pass(&id, Phase::Ready { at: Timestamp::default() });
    assert_eq!(first.await.unwrap().unwrap().server.id, repeat.await.unwrap().unwrap().server.id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_goes_away_finds_its_server_by_its_key_and_leaks_none_without() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path(), &fleet(), Fate::Hangs).await;
    for (request, running) in [(ask_as("k"), 1), (ask(), 2)] {
        let asked = spawn(node.servers.clone(), request);
        node.until("it is under way", |node| node.scripted.running() == running).await;
        assert!(!asked.is_finished());
        // Its caller goes away.
        drop(asked);
    }
    node.until("both start", |node| node.scripted.running() == 2).await;
    for instance in node.scripted.instances() {
        node.scripted.pass(&instance.observed.id, Phase::Ready { at: Timestamp::default() });
    }
    node.until("the one without a key is stopped", |node| node.scripted.running() == 1).await;
    let found = node.servers.allocate(ask_as("k")).await.unwrap();
    assert!(found.is_repeat);
    assert_eq!(node.in_state(ServerState::Allocated).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn facts_wait_for_a_history_that_cannot_be_written_and_hold_nothing_up() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path(), &fleet(), Fate::Ready).await;
    *node.facts.failing.lock() = true;
    let server = node.servers.allocate(ask()).await.unwrap().server;
    let instance = node.servers.living(&server.id).unwrap().instance();
    node.scripted.end(&instance, ExitCause::SupervisorLost);
    node.until("it counts as lost", |node| node.in_state(ServerState::Lost).len() == 1).await;
    let freed = node.servers.allocate(ask()).await;
    assert!(freed.is_ok(), "its place is free although its end is not written down");
    *node.facts.failing.lock() = false;
    node.until("its end is written down", |node| node.servers.living(&server.id).is_none()).await;
    assert_eq!(node.facts.of(&server.id), ["started", "lost"]);
    let remembered = node.servers.get(&game(), &server.id).await.unwrap();
    assert_eq!(remembered.state, ServerState::Lost);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_ended_gives_its_place_back_while_the_history_hangs() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path(), &FleetSettings { running_max: 1, ..fleet() }, Fate::Ready).await;
    *node.facts.hanging.lock() = true;
    let server = node.servers.allocate(ask()).await.unwrap().server;
    let refused = node.servers.allocate(ask()).await;
    assert!(matches!(refused, Err(AllocateError::LimitReached(_))), "{refused:?}");
    let living = node.servers.living(&server.id).unwrap();
    node.scripted.end(&living.instance(), ExitCause::Exited(0));
    node.until("its end is seen", |node| {
        matches!(node.servers.0.view.seen(&living), greenroom_domain::server::Seen::Ended(_))
    })
    .await;
    assert!(node.servers.allocate(ask()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_directory_that_loses_answers_no_server_is_given_twice_or_leaked() {
    let seed = greenroom_test_support::seed("allocations on a faulty directory");
    let folder = tempfile::tempdir().unwrap();
    let fleet = FleetSettings { ready_min: 3, ..fleet() };
    let settings = settings(&["skirmish"], 100, &fleet);
    let node =
        Node::open(folder.path(), settings, Scripted::new(Fate::Ready), Some(FaultPlan::from_seed(seed)))
            .await;
    let mut given = std::collections::BTreeMap::new();
    for round in 0..60 {
        let key = format!("k{}", round % 15);
        match node.servers.allocate(ask_as(&key)).await {
            Ok(allocated) => {
                let before = given.insert(key, allocated.server.id.clone());
                assert!(before.is_none_or(|before| before == allocated.server.id), "a key gives one server");
            }
            Err(error) => assert!(error.code().status() == 503, "{error}"),
        }
    }
    let mut ids: Vec<_> = given.values().collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), given.len(), "no server is given to two keys");
    // A key whose answer was an error may have its server all the same: it is found by asking again.
    node.until("all settle", |node| {
        node.in_state(ServerState::Ready).len() == 3 && node.in_state(ServerState::Starting).is_empty()
    })
    .await;
    let running = node.scripted.running();
    assert_eq!(node.in_state(ServerState::Allocated).len() + 3, running, "no process without a document");
    assert!(node.in_state(ServerState::Allocated).len() <= 15);
}

/// Asks `count` times at once, the games in turn; how many were given and how many met the limit.
async fn rush(node: &Node, games: &[&str], count: usize) -> (usize, usize) {
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..count {
        let servers = node.servers.clone();
        let game = GameId::new(games[number % games.len()]).unwrap();
        tasks.spawn(async move { servers.allocate(AllocateRequest { game, ..ask() }).await });
    }
    let (mut ids, mut refused) = (std::collections::BTreeSet::new(), 0);
    while let Some(answer) = tasks.join_next().await {
        match answer.unwrap() {
            Ok(allocated) => assert!(ids.insert(allocated.server.id), "given twice"),
            Err(error) => {
                assert_eq!(error.code(), ErrorCode::LimitReached);
                refused += 1;
            }
        }
    }
    (ids.len(), refused)
}
