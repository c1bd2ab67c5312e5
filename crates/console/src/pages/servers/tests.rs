use greenroom_domain::{
    server::{Allocation, Birth, ServerPort},
    settings::PortProtocol,
};
use greenroom_protocol::{BuildId, GameId, HostId, MatchId, RegionId, ServerId, StudioId, Timestamp};

use super::*;

/// The most that a page of a list may weigh.
const PAGE_BYTES_MAX: usize = 200 * 1024;

fn server(number: u32) -> Arc<Server> {
    let created_at = Timestamp::from_millis(1_763_629_577_123);
    let birth = Birth {
        id: ServerId::new(format!("abcdefgh{number:08}")).unwrap(),
        name: format!("a-game-with-a-long-name-{number:06}"),
        title: None,
        code: None,
        is_listed: false,
        game: GameId::new("a-game-with-a-long-name").unwrap(),
        studio: StudioId::new("demo").unwrap(),
        version: "1".into(),
        build: BuildId::new("build").unwrap(),
        region: RegionId::new("local").unwrap(),
        host: HostId::new("here").unwrap(),
        purpose: Purpose::Allocation,
        address: "games.a-studio-with-a-long-name.example".into(),
        created_at,
    };
    let allocation = Allocation {
        id: "one".into(),
        idempotency: None,
        payload: "x".repeat(60_000),
        payload_delivered: true,
        match_id: Some(MatchId::new(format!("01a1f84c-2810-7c64-8637-{number:012}")).unwrap()),
        at: created_at,
        by: "lobby".into(),
    };
    let mut server = Server::new(birth, "hash".into(), Some(allocation));
    server.state = if number.is_multiple_of(2) { ServerState::Allocated } else { ServerState::Starting };
    let port = 7_000 + number as u16;
    server.ports =
        vec![ServerPort { name: "default".into(), protocol: PortProtocol::Udp, port, count: 1, inner: None }];
    Arc::new(server)
}

#[test]
fn a_thousand_servers_are_a_light_page() {
    let all: Vec<_> = (0..1_000).map(server).collect();
    let first = listed(&all, &HashSet::new(), &Filter::default(), Times::ABSOLUTE).into_string();
    assert!(first.len() < PAGE_BYTES_MAX, "{} bytes", first.len());
    assert!(first.contains("1,000 game servers, 1 to 200") && first.contains("page=1"), "{}", &first[..200]);
    assert_eq!(first.matches("<tr id=").count(), ROWS_MAX);
    let last = listed(&all, &HashSet::new(), &Filter { page: 4, ..Filter::default() }, Times::ABSOLUTE)
        .into_string();
    assert!(last.contains("801 to 1000") && last.contains("page=3") && !last.contains("page=5"));
}

#[test]
fn servers_are_found_by_state_game_name_and_match() {
    let all: Vec<_> = (0..300).map(server).collect();
    let count = |filter: Filter| {
        let shown = listed(&all, &HashSet::new(), &filter.bounded(), Times::ABSOLUTE).into_string();
        shown.split_once("class=\"count\">").unwrap().1.split_once(" game server").unwrap().0.to_owned()
    };
    assert_eq!(count(Filter { state: "allocated".into(), ..Filter::default() }), "150");
    assert_eq!(count(Filter { game: "chess".into(), ..Filter::default() }), "0");
    assert_eq!(count(Filter { find: "LONG-NAME-000042".into(), ..Filter::default() }), "1");
    assert_eq!(count(Filter { find: "8637-000000000299".into(), ..Filter::default() }), "1");
}
