use greenroom_protocol::{BuildId, GameId, HostId, RegionId, ServerId, StudioId};
use proptest::prelude::*;

use super::*;
use crate::server::{Allocation, Birth, ExitCause, Purpose, Seen, Server, ServerState, Step, StopReason};

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn settings() -> SdkSettings {
    SdkSettings {
        health: Health::default(),
        counters: BTreeMap::from([("rooms".into(), Counter { count: 1, capacity: 10 })]),
        lists: BTreeMap::from([("maps".into(), List { capacity: 2, values: vec!["p0".into()] })]),
    }
}

fn allocation(payload: &str) -> Allocation {
    Allocation {
        id: "a1".into(),
        idempotency: None,
        payload: payload.into(),
        payload_delivered: false,
        match_id: None,
        at: at(0),
        by: "key".into(),
    }
}

fn starting(allocation: Option<Allocation>) -> Server {
    let birth = Birth {
        id: ServerId::new("s1").unwrap(),
        name: "chess-abc234".into(),
        title: None,
        code: None,
        is_listed: false,
        game: GameId::new("chess").unwrap(),
        studio: StudioId::new("demo").unwrap(),
        version: "1".into(),
        build: BuildId::new("b1").unwrap(),
        region: RegionId::new("local").unwrap(),
        host: HostId::new("here").unwrap(),
        purpose: Purpose::Warm,
        address: "127.0.0.1".into(),
        created_at: at(0),
    };
    Server::new(birth, "hash".into(), allocation).with_sdk(Some(&settings()))
}

fn committed(step: Step) -> Server {
    match step {
        Step::Commit(server) | Step::Deliver(server) => *server,
        other => panic!("no document in {other:?}"),
    }
}

/// One that said it is ready, and whose word was appended.
fn ready() -> Server {
    let mut server = starting(None);
    assert_eq!(server.change_by_sdk(&Change::Ready, at(1)), Ok(true));
    let mut server = committed(server.next(&Seen::Ready, 3, at(1)));
    server.pending.clear();
    server
}

fn allocated() -> Server {
    let mut server = ready();
    server.allocate(allocation("map=de_dust"), at(2)).unwrap();
    committed(server.next(&Seen::Ready, 3, at(2)))
}

fn object(server: &Server) -> GameServer {
    GameServer::of(server, &[], true, 7).expect("it has an SDK")
}

fn did(server: &mut Server, change: Change) -> Result<bool, Refusal> {
    server.change_by_sdk(&change, at(10))
}

#[test]
fn a_server_that_said_it_is_ready_is_marked_so_until_the_provider_agrees() {
    let mut server = starting(None);
    assert_eq!(server.next(&Seen::Starting, 3, at(1)), Step::Wait(None));
    assert_eq!(object(&server).state, State::Scheduled);
    assert_eq!(did(&mut server, Change::Ready), Ok(true));
    assert_eq!(did(&mut server, Change::Ready), Ok(false), "saying it again changes nothing");
    assert_eq!(object(&server).state, State::RequestReady);
    assert_eq!(server.next(&Seen::Starting, 3, at(1)), Step::MarkReady);
    let server = committed(server.next(&Seen::Ready, 3, at(1)));
    assert_eq!(object(&server).state, State::Ready);
    assert!(server.is_warm());
}

#[test]
fn ready_from_allocated_makes_it_free_again() {
    let mut server = allocated();
    assert_eq!(object(&server).state, State::Allocated);
    assert_eq!(object(&server).annotations[PAYLOAD_ANNOTATION], "map=de_dust");
    assert_eq!(did(&mut server, Change::Ready), Ok(true));
    assert!(server.is_warm());
    assert_eq!(object(&server).state, State::Ready);
    assert!(object(&server).annotations.is_empty(), "the payload goes with its allocation");
    server.allocate(allocation("again"), at(20)).unwrap();
    assert_eq!(object(&server).annotations[PAYLOAD_ANNOTATION_GAMEFLOW], "again");
}

#[test]
fn the_first_word_of_a_server_that_was_given_away_before_it_spoke_gives_nothing_back() {
    let server = starting(Some(allocation("x")));
    let mut server = committed(server.next(&Seen::Ready, 3, at(1)));
    assert_eq!(server.state, ServerState::Allocated);
    assert_eq!(did(&mut server, Change::Ready), Ok(true));
    assert_eq!(server.state, ServerState::Allocated);
    assert_eq!(did(&mut server, Change::Ready), Ok(true));
    assert_eq!(server.state, ServerState::Ready);
}

#[test]
fn a_reserved_server_is_given_to_nobody_until_its_time_is_over() {
    let mut server = ready();
    assert_eq!(did(&mut server, Change::Reserve(Some(Duration::from_millis(5)))), Ok(true));
    assert_eq!(object(&server).state, State::Reserved);
    assert!(!server.is_warm());
    assert!(server.allocate(allocation("x"), at(11)).is_err());
    assert_eq!(server.next(&Seen::Ready, 3, at(14)), Step::Wait(Some(at(15))));
    let free = committed(server.next(&Seen::Ready, 3, at(15)));
    assert_eq!(object(&free).state, State::Ready);
    assert!(free.is_warm());

    assert_eq!(did(&mut server, Change::Reserve(None)), Ok(true));
    assert_eq!(server.next(&Seen::Ready, 3, at(1 << 40)), Step::Wait(None), "for ever is for ever");
    assert_eq!(did(&mut server, Change::Ready), Ok(true));
    assert!(server.is_warm());
    let too_long = Change::Reserve(Some(RESERVE_MAX + Duration::from_secs(1)));
    assert!(matches!(did(&mut server, too_long), Err(Refusal::BadArgument(_))));
}

#[test]
fn a_server_gives_itself_away() {
    let mut server = ready();
    assert_eq!(did(&mut server, Change::Allocate), Ok(true));
    assert_eq!(did(&mut server, Change::Allocate), Ok(false));
    assert_eq!(object(&server).state, State::Allocated);
    assert!(server.allocate(allocation("x"), at(11)).is_err());
    assert_eq!(server.allocation.as_ref().map(|allocation| allocation.by.as_str()), Some("sdk"));
    // Before it is ready, too: then it is allocated as soon as it is.
    let mut early = starting(None);
    assert_eq!(did(&mut early, Change::Allocate), Ok(true));
    assert_eq!(early.next(&Seen::Starting, 3, at(1)), Step::MarkReady);
    assert_eq!(committed(early.next(&Seen::Ready, 3, at(1))).state, ServerState::Allocated);
}

#[test]
fn a_server_that_asks_for_its_end_is_stopped_and_changes_nothing_any_more() {
    let mut server = allocated();
    assert_eq!(did(&mut server, Change::Shutdown), Ok(true));
    assert_eq!(did(&mut server, Change::Shutdown), Ok(false));
    assert_eq!(server.stop_reason, Some(StopReason::Itself));
    assert_eq!(object(&server).state, State::Shutdown);
    assert_eq!(server.next(&Seen::Ready, 3, at(11)), Step::Stop);
    assert!(matches!(did(&mut server, Change::Ready), Err(Refusal::WrongState(_))));
}

#[test]
fn silence_stops_a_server_or_fails_its_start() {
    let silence = Duration::from_secs(15);
    let server = allocated().unhealthy(silence, 3, at(9)).unwrap();
    assert_eq!(server.stop_reason, Some(StopReason::Unhealthy));
    assert_eq!(object(&server).state, State::Unhealthy);
    assert_eq!(server.unhealthy(silence, 3, at(9)), None, "it is being stopped already");
    let again = starting(Some(allocation("x"))).unhealthy(silence, 3, at(9)).unwrap();
    assert_eq!((again.state, again.tries), (ServerState::Starting, 2));
    assert_eq!(again.sdk, None, "another try begins anew");
    let cause = again.exit.unwrap().cause;
    assert!(matches!(&cause, ExitCause::NotReady(why) if why.contains("15 s")), "{cause:?}");
}

#[test]
fn pings_are_due_after_the_initial_delay_and_the_misses() {
    let health = Health::default();
    assert_eq!(health.patience(true), Duration::from_secs(20));
    assert_eq!(health.patience(false), Duration::from_secs(15));
}

#[test]
fn counters_stay_within_their_bounds() {
    let mut server = ready();
    let mut counter = |change| {
        let done = did(&mut server, Change::Counter { name: "rooms".into(), change });
        done.map(|_| server.sdk.as_ref().unwrap().counters["rooms"])
    };
    let is = |count, capacity| Ok(Counter { count, capacity });
    assert_eq!(counter(CounterChange::By(-1)), is(0, 10));
    assert!(matches!(counter(CounterChange::By(-1)), Err(Refusal::OutOfRange(_))));
    assert!(matches!(counter(CounterChange::By(i64::MAX)), Err(Refusal::OutOfRange(_))));
    assert_eq!(counter(CounterChange::Set { count: Some(11), capacity: Some(11) }), is(11, 11));
    assert!(matches!(
        counter(CounterChange::Set { count: Some(12), capacity: None }),
        Err(Refusal::OutOfRange(_))
    ));
    assert!(matches!(
        counter(CounterChange::Set { count: None, capacity: Some(-1) }),
        Err(Refusal::OutOfRange(_))
    ));
    assert_eq!(counter(CounterChange::Set { count: None, capacity: Some(5) }), is(5, 5));
    assert!(matches!(
        counter(CounterChange::Set { count: None, capacity: None }),
        Err(Refusal::BadArgument(_))
    ));
    let unknown = Change::Counter { name: "nope".into(), change: CounterChange::By(1) };
    assert!(matches!(did(&mut server, unknown), Err(Refusal::NotFound(_))));
}

#[test]
fn lists_hold_distinct_values_up_to_their_capacity() {
    let mut server = ready();
    let add = |value: &str| Change::AddValue { list: "maps".into(), value: value.into() };
    let remove = |value: &str| Change::RemoveValue { list: "maps".into(), value: value.into() };
    assert!(matches!(did(&mut server, add("p0")), Err(Refusal::AlreadyExists(_))));
    assert_eq!(did(&mut server, add("p1")), Ok(true));
    assert!(matches!(did(&mut server, add("p2")), Err(Refusal::OutOfRange(_))));
    assert!(matches!(did(&mut server, remove("p2")), Err(Refusal::NotFound(_))));
    assert_eq!(did(&mut server, remove("p0")), Ok(true));
    assert!(matches!(did(&mut server, add("")), Err(Refusal::BadArgument(_))));
    let set = |capacity, values: Option<&[&str]>| Change::List {
        name: "maps".into(),
        capacity,
        values: values.map(|values| values.iter().map(|value| (*value).to_owned()).collect()),
    };
    assert_eq!(did(&mut server, set(Some(3), None)), Ok(true));
    assert_eq!(did(&mut server, set(None, Some(&["a", "b", "a", "c", "d"]))), Ok(true));
    assert_eq!(object(&server).lists["maps"].values, ["a", "b", "c"]);
    assert_eq!(did(&mut server, set(Some(1), None)), Ok(true));
    assert_eq!(object(&server).lists["maps"].values, ["a"]);
    for capacity in [-1, LIST_CAPACITY_MAX + 1] {
        assert!(matches!(did(&mut server, set(Some(capacity), None)), Err(Refusal::OutOfRange(_))));
    }
}

#[test]
fn player_tracking_works_on_the_list_of_players() {
    let mut server = ready();
    assert_eq!(object(&server).players().capacity, PLAYERS_CAPACITY);
    assert_eq!(did(&mut server, Change::PlayerCapacity(1)), Ok(true));
    assert_eq!(did(&mut server, Change::PlayerConnect("u".into())), Ok(true));
    assert_eq!(did(&mut server, Change::PlayerConnect("u".into())), Ok(false));
    assert!(matches!(did(&mut server, Change::PlayerConnect("v".into())), Err(Refusal::OutOfRange(_))));
    assert_eq!(object(&server).players().values, ["u"]);
    assert_eq!(did(&mut server, Change::PlayerDisconnect("u".into())), Ok(true));
    assert_eq!(did(&mut server, Change::PlayerDisconnect("u".into())), Ok(false));
}

#[test]
fn labels_and_annotations_are_kept_under_their_prefix_and_bounded() {
    let mut server = ready();
    let label = |key: &str, value: &str| Change::Label { key: key.into(), value: value.into() };
    assert_eq!(did(&mut server, label("foo", "bar")), Ok(true));
    assert_eq!(did(&mut server, label("foo", "bar")), Ok(false));
    assert_eq!(object(&server).labels["agones.dev/sdk-foo"], "bar");
    for (key, value) in [("", "x"), ("a b", "x"), ("-a", "x"), ("a", "b/c"), ("a", "b-")] {
        assert!(matches!(did(&mut server, label(key, value)), Err(Refusal::BadArgument(_))), "{key}={value}");
    }
    for number in 1..LABELS_MAX {
        assert_eq!(did(&mut server, label(&format!("l{number}"), "")), Ok(true));
    }
    assert!(matches!(did(&mut server, label("more", "x")), Err(Refusal::OutOfRange(_))));
    assert_eq!(did(&mut server, label("foo", "other")), Ok(true), "one that is there can change");
    let annotation = |value: String| Change::Annotation { key: "foo".into(), value };
    assert_eq!(did(&mut server, annotation("any text, {\"json\": 1} too".into())), Ok(true));
    assert_eq!(object(&server).annotations["agones.dev/sdk-foo"], "any text, {\"json\": 1} too");
    let long = annotation("x".repeat(ANNOTATION_BYTES_MAX + 1));
    assert!(matches!(did(&mut server, long), Err(Refusal::BadArgument(_))));
}

#[test]
fn without_an_sdk_there_is_no_object_and_nothing_to_change() {
    let mut server = starting(None).with_sdk(None);
    assert_eq!(GameServer::of(&server, &[], true, 1), None);
    assert!(matches!(did(&mut server, Change::Ready), Err(Refusal::NotFound(_))));
}

fn any_change() -> impl Strategy<Value = Change> {
    let value = prop::sample::select(vec!["a", "b", "c", "d"]).prop_map(str::to_owned);
    let values = prop::collection::vec(value.clone(), 0..5);
    prop_oneof![
        Just(Change::Ready),
        Just(Change::Allocate),
        Just(Change::Shutdown),
        prop::option::of(0_u64..50).prop_map(|ms| Change::Reserve(ms.map(Duration::from_millis))),
        (prop::option::of(-2_i64..12), prop::option::of(-2_i64..12)).prop_map(|(count, capacity)| {
            Change::Counter { name: "rooms".into(), change: CounterChange::Set { count, capacity } }
        }),
        (-5_i64..6).prop_map(|by| Change::Counter { name: "rooms".into(), change: CounterChange::By(by) }),
        (prop::option::of(-1_i64..4), prop::option::of(values)).prop_map(|(capacity, values)| Change::List {
            name: "maps".into(),
            capacity,
            values
        }),
        value.clone().prop_map(|value| Change::AddValue { list: "maps".into(), value }),
        value.clone().prop_map(|value| Change::RemoveValue { list: "maps".into(), value }),
        value.clone().prop_map(Change::PlayerConnect),
        value.prop_map(Change::PlayerDisconnect),
        (0_i64..4).prop_map(Change::PlayerCapacity),
    ]
}

proptest! {
    #[test]
    fn whatever_a_server_asks_for_its_bounds_hold(changes in prop::collection::vec(any_change(), 0..40)) {
        let mut server = ready();
        for (turn, change) in changes.iter().enumerate() {
            let before = server.clone();
            let now = at(100 + turn as i64);
            let done = server.change_by_sdk(change, now);
            if done.is_err() || done == Ok(false) {
                prop_assert_eq!(&server, &before, "what is refused or changes nothing leaves no trace");
            }
            if let Step::Commit(next) | Step::Deliver(next) = server.next(&Seen::Ready, 3, now) {
                server = *next;
            }
            let sdk = server.sdk.as_deref().unwrap();
            for counter in sdk.counters.values() {
                prop_assert!((0..=counter.capacity).contains(&counter.count));
            }
            for list in sdk.lists.values() {
                prop_assert!(list.values.len() as i64 <= list.capacity);
                let distinct: std::collections::BTreeSet<_> = list.values.iter().collect();
                prop_assert_eq!(distinct.len(), list.values.len());
            }
            prop_assert!(!(server.is_warm() && (server.allocation.is_some() || server.is_reserved())));
            prop_assert_eq!(server.state == ServerState::Allocated, server.allocated_at.is_some() && server.stop_reason.is_none());
        }
    }
}
