use proptest::prelude::*;
use rand::{SeedableRng, rngs::StdRng};

use super::*;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn birth(purpose: Purpose) -> Birth {
    Birth {
        id: ServerId::new("s1").unwrap(),
        name: "skirmish-abc234".into(),
        title: None,
        code: None,
        is_listed: false,
        game: GameId::new("skirmish").unwrap(),
        studio: StudioId::new("demo").unwrap(),
        version: "1".into(),
        build: BuildId::new("b1").unwrap(),
        region: RegionId::new("local").unwrap(),
        host: HostId::new("here").unwrap(),
        purpose,
        address: "127.0.0.1".into(),
        created_at: at(0),
    }
}

fn allocation() -> Allocation {
    Allocation {
        id: "a1".into(),
        idempotency: Some("k1".into()),
        payload: "hello".into(),
        payload_delivered: false,
        match_id: None,
        at: at(0),
        by: "key".into(),
    }
}

fn exit(cause: ExitCause) -> Exit {
    Exit { at: at(9), cause, was_ready: false, last_lines: vec!["panic".into()] }
}

fn cold() -> Server {
    Server::new(birth(Purpose::Allocation), "hash".into(), Some(allocation()))
}

fn warm_ready() -> Server {
    let server = Server::new(birth(Purpose::Warm), "hash".into(), None);
    match server.next(&Seen::Ready, 3, at(5)) {
        Step::Commit(server) => *server,
        other => panic!("{other:?}"),
    }
}

fn committed(step: Step) -> Server {
    match step {
        Step::Commit(server) | Step::Deliver(server) => *server,
        other => panic!("no document in {other:?}"),
    }
}

#[test]
fn a_code_has_its_length_and_no_look_alikes() {
    let mut rng = StdRng::seed_from_u64(7);
    let fits = |b: u8| (b.is_ascii_uppercase() && b != b'I' && b != b'O') || (b'2'..=b'9').contains(&b);
    for length in [1, 4, 12] {
        let code = new_code(length, &mut rng);
        assert_eq!(code.len(), length as usize);
        assert!(code.bytes().all(fits), "{code}");
    }
    assert_eq!(new_code(0, &mut rng).len(), 1);
}

#[test]
fn a_cold_start_is_told_its_payload_before_it_counts_as_allocated() {
    let server = cold();
    assert_eq!(server.next(&Seen::Missing, 3, at(1)), Step::Start);
    assert_eq!(server.next(&Seen::Starting, 3, at(1)), Step::Wait(None));
    let step = server.next(&Seen::Ready, 3, at(2));
    assert!(matches!(step, Step::Deliver(_)));
    let server = committed(step);
    assert_eq!(server.state, ServerState::Allocated);
    assert_eq!(
        server.history.iter().map(|p| p.state).collect::<Vec<_>>(),
        [ServerState::Starting, ServerState::Ready, ServerState::Allocated]
    );
    assert!(server.allocation.as_ref().unwrap().payload_delivered);
    assert_eq!(server.forgotten_idempotency(), None);
    let fact = PendingFact { kind: FactKind::Started, at: at(2) };
    assert_eq!(server.next(&Seen::Ready, 3, at(3)), Step::Append(fact));
}

#[test]
fn a_start_for_an_allocation_is_tried_again_with_a_pause_and_then_given_up() {
    let mut server = cold();
    for tries in 1..3 {
        let step = server.next(&Seen::Ended(exit(ExitCause::Exited(1))), 3, at(1_000));
        server = committed(step);
        assert_eq!(server.state, ServerState::Starting);
        assert_eq!(server.tries, tries + 1);
        let due = at(1_000).after(backoff(tries));
        assert_eq!(server.next(&Seen::Missing, 3, at(1_000)), Step::Wait(Some(due)));
        assert_eq!(server.next(&Seen::Missing, 3, due), Step::Start);
        assert_eq!(server.forgotten_idempotency(), None);
    }
    assert_eq!(server.instance().as_str(), "s1-3");
    server = committed(server.next(&Seen::Ended(exit(ExitCause::Signalled(9))), 3, at(2_000)));
    assert_eq!(server.state, ServerState::Ended);
    assert_eq!(server.forgotten_idempotency(), Some("k1"), "a failure is not remembered");
    assert!(server.pending.is_empty(), "what never was ready is no event");
    assert_eq!(server.next(&Seen::Missing, 3, at(2_000)), Step::Finish);
}

#[test]
fn a_clock_set_back_does_not_hold_up_the_next_try() {
    let server = committed(cold().next(&Seen::Ended(exit(ExitCause::Exited(1))), 3, at(100_000_000)));
    assert_eq!(server.next(&Seen::Missing, 3, at(5)), Step::Start);
}

#[test]
fn a_refusal_that_would_be_met_again_ends_it_at_once() {
    let server = cold().start_refused("no such program".into(), true, 3, at(1));
    assert_eq!(server.state, ServerState::Ended);
    let server = cold().start_refused("no port".into(), false, 3, at(1));
    assert_eq!((server.state, server.tries), (ServerState::Starting, 2));
}

#[test]
fn a_warm_server_that_fails_is_not_tried_again() {
    let server = Server::new(birth(Purpose::Warm), "hash".into(), None);
    let server = committed(server.next(&Seen::Ended(exit(ExitCause::Exited(1))), 3, at(1)));
    assert_eq!(server.state, ServerState::Ended);
}

#[test]
fn a_warm_server_is_given_once() {
    let mut server = warm_ready();
    server.allocate(allocation(), at(7)).unwrap();
    assert_eq!(server.state, ServerState::Allocated);
    assert!(matches!(server.next(&Seen::Ready, 3, at(8)), Step::Deliver(_)));
    assert_eq!(server.allocate(allocation(), at(8)), Err(WrongState(ServerState::Allocated)));
}

#[test]
fn a_warm_server_that_dies_before_it_has_its_payload_was_not_given() {
    let mut server = warm_ready();
    server.allocate(allocation(), at(7)).unwrap();
    assert!(!server.was_given());
    assert_eq!(server.forgotten_idempotency(), None, "it may still be");
    let told = committed(server.next(&Seen::Ready, 3, at(8)));
    assert!(told.was_given());
    let told = committed(told.next(&Seen::Missing, 3, at(9)));
    assert_eq!(told.forgotten_idempotency(), None, "one that ended since is still answered");
    let untold = committed(server.next(&Seen::Missing, 3, at(9)));
    assert_eq!(untold.forgotten_idempotency(), Some("k1"));
}

#[test]
fn a_warm_server_given_while_it_starts_is_allocated_when_it_is_ready() {
    let mut server = Server::new(birth(Purpose::Warm), "hash".into(), None);
    server.allocate(allocation(), at(1)).unwrap();
    assert_eq!(server.state, ServerState::Starting);
    assert!(!server.is_warm());
    let server = committed(server.next(&Seen::Ready, 3, at(2)));
    assert_eq!(server.state, ServerState::Allocated);
}

#[test]
fn ends_are_told_apart() {
    let cases = [
        (Seen::Ended(exit(ExitCause::Exited(0))), ServerState::Ended, FactKind::Stopped),
        (Seen::Ended(exit(ExitCause::Signalled(11))), ServerState::Ended, FactKind::Stopped),
        (Seen::Ended(exit(ExitCause::SupervisorLost)), ServerState::Lost, FactKind::Lost),
        (Seen::Missing, ServerState::Lost, FactKind::Lost),
    ];
    for (seen, state, fact) in cases {
        let server = committed(warm_ready().next(&seen, 3, at(10)));
        assert_eq!(server.state, state, "{seen:?}");
        assert_eq!(server.pending.last().unwrap().kind, fact, "{seen:?}");
        assert_eq!(server.ended_at, Some(at(10)));
    }
}

#[test]
fn what_was_told_to_stop_has_ended_however_it_vanished() {
    let mut server = warm_ready();
    server.stop(StopReason::Requested, at(6)).unwrap();
    server.stop(StopReason::Pool, at(7)).unwrap();
    assert_eq!(server.stop_reason, Some(StopReason::Requested), "the first reason stands");
    assert_eq!(server.next(&Seen::Ready, 3, at(7)), Step::Stop);
    let ended = committed(server.next(&Seen::Ended(exit(ExitCause::SupervisorLost)), 3, at(8)));
    assert_eq!(ended.state, ServerState::Ended);
    let ended = committed(server.next(&Seen::Missing, 3, at(8)));
    assert_eq!(ended.state, ServerState::Ended);
    assert_eq!(ended.clone().stop(StopReason::Pool, at(9)), Err(WrongState(ServerState::Ended)));
}

#[test]
fn backoff_doubles_up_to_its_bound() {
    let pauses: Vec<u64> = (0..10).map(|n| backoff(n).as_millis() as u64).collect();
    assert_eq!(pauses, [0, 250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
    assert_eq!(backoff(u32::MAX), BACKOFF_MAX);
}

#[test]
fn exits_are_cut_to_their_bounds() {
    let lines = (0..50).map(|n| format!("{n} {}", "ü".repeat(600))).collect();
    let exit = Exit { last_lines: lines, ..exit(ExitCause::Exited(1)) }.bounded();
    assert_eq!(exit.last_lines.len(), LAST_LINES_MAX);
    assert!(exit.last_lines.iter().all(|line| line.len() <= LAST_LINE_BYTES_MAX));
    assert!(exit.last_lines[0].starts_with("30 "), "the last ones stay");
}

#[test]
fn ids_and_names_have_their_form() {
    let mut rng = StdRng::seed_from_u64(7);
    let game = GameId::new("skirmish").unwrap();
    let name = new_name(&game, &mut rng);
    assert_eq!(name.len(), "skirmish-".len() + 6);
    assert_eq!(new_id(&mut rng).as_str().len(), 16);
    assert_ne!(new_id(&mut rng), new_id(&mut rng));
}

#[test]
fn the_document_reads_back() {
    let mut server = cold();
    server.ports.push(ServerPort {
        name: "default".into(),
        protocol: PortProtocol::TcpUdp,
        port: 7000,
        count: 2,
        inner: None,
    });
    let server =
        committed(server.next(&Seen::Ended(exit(ExitCause::NotReady("no socket".into()))), 3, at(4)));
    let text = serde_json::to_string(&server).unwrap();
    assert_eq!(serde_json::from_str::<Server>(&text).unwrap(), server);
}

#[derive(Clone, Debug)]
enum Happens {
    Seen(Seen),
    Allocate,
    Stop,
    FactDone,
}

fn happenings() -> impl Strategy<Value = Vec<Happens>> {
    let causes = prop_oneof![
        Just(ExitCause::Exited(0)),
        Just(ExitCause::Exited(3)),
        Just(ExitCause::Signalled(9)),
        Just(ExitCause::SupervisorLost),
        Just(ExitCause::Stopped { killed: true }),
    ];
    let one = prop_oneof![
        2 => Just(Happens::Seen(Seen::Missing)),
        3 => Just(Happens::Seen(Seen::Starting)),
        4 => Just(Happens::Seen(Seen::Ready)),
        3 => causes.prop_map(|cause| Happens::Seen(Seen::Ended(exit(cause)))),
        2 => Just(Happens::Allocate),
        1 => Just(Happens::Stop),
        2 => Just(Happens::FactDone),
    ];
    proptest::collection::vec(one, 1..40)
}

proptest! {
    #[test]
    fn whatever_happens_a_life_is_in_order(
        is_warm in any::<bool>(),
        tries_max in 1_u32..5,
        happenings in happenings(),
    ) {
        let mut server = if is_warm { Server::new(birth(Purpose::Warm), "h".into(), None) } else { cold() };
        let mut given = u32::from(!is_warm);
        let mut appended = Vec::new();
        for (n, happens) in happenings.into_iter().enumerate() {
            let now = at(n as i64 * 60_000);
            let before = server.clone();
            match happens {
                Happens::Seen(seen) => if let Step::Commit(next) | Step::Deliver(next) = server.next(&seen, tries_max, now) {
                    server = *next;
                },
                Happens::Allocate => given += u32::from(server.allocate(allocation(), now).is_ok()),
                Happens::Stop => { let _ = server.stop(StopReason::Requested, now); }
                Happens::FactDone => if let Some(fact) = server.pending.first().copied() {
                    server.fact_appended(fact.kind);
                    appended.push(fact.kind);
                },
            }
            prop_assert!(given <= 1, "given twice");
            prop_assert!(server.state >= before.state
                || (before.state == ServerState::Lost && server.state == ServerState::Lost));
            prop_assert!(server.tries <= tries_max.max(1));
            prop_assert!(server.history.len() <= HISTORY_MAX);
            prop_assert_eq!(server.history.last().unwrap().state, server.state);
            prop_assert_eq!(server.state == ServerState::Allocated && server.allocation.is_none(), false);
            prop_assert!(server.pending.len() <= 2);
            if server.state.is_final() {
                let told = appended.iter().copied().chain(server.pending.iter().map(|fact| fact.kind));
                let ends = told.filter(|kind| *kind != FactKind::Started).count();
                prop_assert_eq!(ends, usize::from(server.ready_at.is_some()), "the end is told once iff it was ready");
            }
        }
    }
}
