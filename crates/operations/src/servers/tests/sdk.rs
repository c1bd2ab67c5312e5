//! What game servers ask through the SDK, and what their silence means.

use greenroom_domain::sdk::{Change, Counter, CounterChange, Refusal, SdkSettings, State};
use greenroom_domain::server::instance_of;
use greenroom_fleet::sdk::SdkError;
use tokio::time::Instant;

use super::*;

fn with_sdk() -> FleetSettings {
    let counters = BTreeMap::from([("rooms".to_owned(), Counter { count: 0, capacity: 1_000 })]);
    FleetSettings {
        ready: Readiness::Sdk,
        warm_payload: WarmPayload::Sdk,
        sdk: Some(SdkSettings { counters, ..SdkSettings::default() }),
        ..fleet()
    }
}

/// The one server that there is, by the name of its try.
async fn only(node: &Node) -> ServerId {
    node.until("it runs", |node| node.scripted.running() == 1 && node.servers.snapshot(None).len() == 1)
        .await;
    node.servers.snapshot(None)[0].instance()
}

fn state(node: &Node, instance: &ServerId) -> State {
    node.scripted.sdk().game_server(instance).expect("it is known").borrow().state
}

async fn say(node: &Node, instance: &ServerId, change: Change) -> Result<bool, SdkError> {
    node.scripted.sdk().change(instance, change).await.map(|changed| changed.is_changed)
}

#[tokio::test]
async fn a_server_that_says_it_is_ready_is_given_away_and_sees_its_payload() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = FleetSettings { ready_min: 1, running_max: 1, ..with_sdk() };
    let node = node(folder.path(), &fleet, Fate::Hangs).await;
    let allocating = spawn(node.servers.clone(), ask());
    let instance = only(&node).await;
    let mut watched = node.scripted.sdk().game_server(&instance).unwrap();
    assert_eq!(watched.borrow().state, State::Scheduled);
    assert_eq!(say(&node, &instance, Change::Ready).await, Ok(true));
    let seen = watched.wait_for(|object| object.state == State::Allocated).await.unwrap().clone();
    assert_eq!(seen.annotations["greenroom.dev/payload"], "{\"map\": \"ü\"}");
    assert_eq!(
        seen.ports.iter().map(|port| port.name.as_str()).collect::<Vec<_>>(),
        ["default", "query-port"]
    );
    let allocated = allocating.await.unwrap().unwrap();
    assert_eq!(allocated.server.id.as_str(), seen.uid);

    // It is free again, and the next one who asks gets the same process.
    assert_eq!(say(&node, &instance, Change::Ready).await, Ok(true));
    assert_eq!(state(&node, &instance), State::Ready);
    let again = node.servers.allocate(ask_as("another")).await.unwrap();
    assert_eq!(again.server.id, allocated.server.id);

    // It asks for its end, and is not known any more afterwards.
    assert_eq!(say(&node, &instance, Change::Shutdown).await, Ok(true));
    let id = allocated.server.id;
    node.until("it has ended", |node| node.servers.living(&id).is_none()).await;
    assert_eq!(say(&node, &instance, Change::Ready).await, Err(SdkError::NotFound));
    assert!(watched.wait_for(|object| object.state == State::Shutdown).await.is_ok());
    while watched.changed().await.is_ok() {}
}

#[tokio::test]
async fn the_word_ready_survives_a_death_before_the_provider_heard_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path(), &with_sdk(), Fate::Hangs).await;
    let _allocating = spawn(node.servers.clone(), ask());
    let instance = only(&node).await;
    node.scripted.forget_ready_words(true);
    assert_eq!(say(&node, &instance, Change::Ready).await, Ok(true));
    assert_eq!(state(&node, &instance), State::RequestReady);
    let scripted = node.die().await;
    scripted.forget_ready_words(false);
    let node = Node::open(folder.path(), settings(&["skirmish"], 100, &with_sdk()), scripted, None).await;
    node.until("it is ready", |node| node.in_state(ServerState::Allocated).len() == 1).await;
}

#[tokio::test]
async fn fifty_changes_at_once_are_all_counted() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path(), &FleetSettings { ready_min: 1, ..with_sdk() }, Fate::Hangs).await;
    let instance = only(&node).await;
    let by = |by| Change::Counter { name: "rooms".into(), change: CounterChange::By(by) };
    let says = (0..50).map(|_| say(&node, &instance, by(1)));
    let said = futures_util::future::join_all(says).await;
    assert!(said.iter().all(|done| *done == Ok(true)), "{said:?}");
    let object = node.scripted.sdk().game_server(&instance).unwrap();
    assert_eq!(object.borrow().counters["rooms"].count, 50);
    let refused = say(&node, &instance, by(-51)).await;
    assert!(matches!(refused, Err(SdkError::Refused(Refusal::OutOfRange(_)))), "{refused:?}");
    let server = node.servers.snapshot(None)[0].id().clone();
    let shown = node.servers.get(&game(), &server).await.unwrap().sdk.expect("its studio sees it");
    assert_eq!((shown.state.as_str(), shown.counters["rooms"].count), ("Scheduled", 50));
}

#[tokio::test]
async fn a_reserved_server_is_replaced_in_the_pool_and_comes_back_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path(), &FleetSettings { ready_min: 1, ..with_sdk() }, Fate::Hangs).await;
    let instance = only(&node).await;
    let reserve = |time| Change::Reserve(Some(time));
    assert_eq!(say(&node, &instance, Change::Ready).await, Ok(true));
    node.until("it is ready", |node| node.in_state(ServerState::Ready).len() == 1).await;
    assert_eq!(say(&node, &instance, reserve(Duration::from_hours(1))).await, Ok(true));
    node.until("another one starts", |node| node.servers.snapshot(None).len() == 2).await;
    assert_eq!(state(&node, &instance), State::Reserved);
    assert_eq!(say(&node, &instance, reserve(Duration::from_millis(50))).await, Ok(true));
    let mut object = node.scripted.sdk().game_server(&instance).unwrap();
    let free = tokio::time::timeout(SOON, object.wait_for(|object| object.state == State::Ready)).await;
    assert!(free.is_ok(), "its reservation is over");
}

/// Seconds from now.
fn later(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds)
}

#[tokio::test]
async fn a_server_that_falls_silent_is_stopped_but_not_for_a_pause_of_ours() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = FleetSettings { ready: Readiness::Listening, ..with_sdk() };
    let node = node(folder.path(), &fleet, Fate::Ready).await;
    let quiet = node.servers.allocate(ask()).await.unwrap().server.id;
    let pinging = node.servers.allocate(ask_as("two")).await.unwrap().server.id;
    let is_settled = |node: &Node| node.servers.snapshot(None).iter().all(|server| server.pending.is_empty());
    node.until("nothing else is written down", is_settled).await;
    node.scripted.sdk().health(&instance_of(&pinging, 1));
    node.servers.stop_silent(later(14)).await;
    assert_eq!(node.in_state(ServerState::Allocated).len(), 2, "two misses are borne");
    node.servers.0.pings.later(Duration::from_secs(30));
    node.servers.stop_silent(later(30)).await;
    assert_eq!(node.in_state(ServerState::Allocated).len(), 2, "nobody could be heard for so long");
    node.servers.stop_silent(later(46)).await;
    node.until("the silent one has ended", |node| node.servers.living(&pinging).is_none()).await;
    assert!(node.servers.living(&quiet).is_some(), "one that never pinged may be silent");
    let row = node.storage.servers().get(&pinging).await.unwrap().unwrap();
    assert!(row.history.to_string().contains("stopping"), "{row:?}");
}

#[tokio::test]
async fn with_readiness_by_the_sdk_pings_are_expected_from_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = FleetSettings { start_tries_max: 1, ..with_sdk() };
    let node = node(folder.path(), &fleet, Fate::Hangs).await;
    let allocating = spawn(node.servers.clone(), ask());
    only(&node).await;
    node.servers.stop_silent(Instant::now()).await;
    node.servers.stop_silent(later(19)).await;
    assert_eq!(node.in_state(ServerState::Starting).len(), 1, "the initial delay and two misses are borne");
    node.servers.stop_silent(later(30)).await;
    let failed = allocating.await.unwrap().unwrap_err();
    assert!(format!("{failed:?}").contains("health ping"), "{failed:?}");
    node.until("its process is ended", |node| node.scripted.running() == 0).await;
}
