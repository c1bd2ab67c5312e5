use std::collections::{BTreeMap, HashSet};

use greenroom_protocol::browser::{BrowserFilter, BrowserSort};
use proptest::prelude::*;

use super::*;

const PUBLIC: &str = "203.0.113.7";
const SECOND_HOST: &str = "203.0.113.8";

fn home() -> Home {
    Home { public_address: PUBLIC.into(), host_addresses: vec![SECOND_HOST.into(), "play.example".into()] }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn said(number: u32, port: u16, from: &str) -> Announced {
    let said = Announcement {
        name: format!("game {number}"),
        port,
        tls: false,
        players: number,
        players_max: None,
        region: None,
        version: None,
    };
    let now = Timestamp::from_millis(i64::from(number));
    Announced::new(format!("a{number:04}"), said, ip(from), None, now).unwrap()
}

fn server(id: &str, port: u16) -> FleetServer {
    FleetServer {
        id: ServerId::new(id).unwrap(),
        name: format!("race-{id}"),
        title: None,
        address: PUBLIC.into(),
        own_address: None,
        port: Some(port),
        inner_port: None,
        path: None,
        tls: false,
        region: RegionId::new("eu").unwrap(),
        version: "1.0.0".into(),
        is_listed: true,
        is_open: true,
        since: Timestamp::from_millis(0),
    }
}

fn ids(fleet: &[FleetServer], announced: &[Announced]) -> Vec<String> {
    entries(fleet, announced, &home()).into_iter().map(|entry| entry.id).collect()
}

#[test]
fn a_private_address_and_one_of_the_installation_are_shown_as_public_and_official() {
    for (from, shown, official) in [
        ("127.0.0.1", PUBLIC, true),
        ("10.1.2.3", PUBLIC, true),
        ("172.17.0.2", PUBLIC, true),
        ("192.168.0.9", PUBLIC, true),
        ("169.254.1.1", PUBLIC, true),
        ("100.64.0.1", PUBLIC, true),
        ("::1", PUBLIC, true),
        ("::ffff:10.0.0.1", PUBLIC, true),
        ("fd00::1", PUBLIC, true),
        ("fe80::1", PUBLIC, true),
        (PUBLIC, PUBLIC, true),
        (SECOND_HOST, SECOND_HOST, true),
        ("198.51.100.1", "198.51.100.1", false),
        ("172.32.0.1", "172.32.0.1", false),
        ("100.128.0.1", "100.128.0.1", false),
        ("::ffff:198.51.100.1", "198.51.100.1", false),
        ("2001:db8::1", "2001:db8::1", false),
    ] {
        let list = entries(&[], &[said(1, 7000, from)], &home());
        assert_eq!((list[0].address.as_str(), list[0].official), (shown, official), "{from}");
    }
}

#[test]
fn names_are_bounded_and_one_of_nothing_is_none() {
    let mut announcement =
        Announcement::parse(r#"{"name":"\u0007 Ann's\nGame \u202e","port":7000}"#).unwrap();
    let new = |said| Announced::new("a".into(), said, ip("::1"), None, Timestamp::from_millis(0));
    assert_eq!(new(announcement.clone()).unwrap().name, "Ann'sGame");
    announcement.name = "x".repeat(10_000);
    assert_eq!(new(announcement.clone()).unwrap().name.len(), text::TITLE_CHARS_MAX);
    for name in ["", " ", "\u{200B}\t"] {
        announcement.name = name.into();
        assert_eq!(new(announcement.clone()), Err(Nameless), "{name:?}");
    }
}

#[test]
fn a_server_of_the_fleet_needs_no_announcement_and_is_one_entry_with_it() {
    let fleet = [server("s1", 7001), FleetServer { title: Some("Ann's".into()), ..server("s2", 7002) }];
    assert_eq!(ids(&fleet, &[]), ["s1", "s2"]);
    for from in ["127.0.0.1", "10.0.0.1", PUBLIC] {
        let list = entries(&fleet, &[said(3, 7002, from)], &home());
        assert_eq!(list.len(), 2, "{from}");
        assert_eq!((list[1].id.as_str(), list[1].name.as_str(), list[1].players), ("s2", "Ann's", 3));
    }
    // The same port elsewhere is another server.
    assert_eq!(ids(&fleet, &[said(3, 7002, "198.51.100.1")]), ["s1", "s2", "a0003"]);
    // So is another port here.
    assert_eq!(ids(&fleet, &[said(3, 7003, "127.0.0.1")]), ["s1", "s2", "a0003"]);
}

#[test]
fn who_is_not_listed_is_shown_once_it_announces_itself_and_only_while_it_is_open() {
    let quiet = FleetServer { is_listed: false, ..server("s1", 7001) };
    assert!(ids(std::slice::from_ref(&quiet), &[]).is_empty());
    assert_eq!(ids(std::slice::from_ref(&quiet), &[said(1, 7001, "127.0.0.1")]), ["s1"]);
    let closed = FleetServer { is_open: false, ..server("s1", 7001) };
    assert!(ids(&[closed], &[said(1, 7001, "127.0.0.1")]).is_empty());
}

#[test]
fn a_proof_decides_whose_an_announcement_is() {
    let fleet = [server("s1", 7001), server("s2", 7002)];
    let proved = Announced { server: Some(ServerId::new("s1").unwrap()), ..said(5, 7002, "198.51.100.1") };
    let list = entries(&fleet, &[proved], &home());
    assert_eq!((list[0].id.as_str(), list[0].players, list[0].port), ("s1", 5, 7001));
    assert_eq!((list[1].id.as_str(), list[1].players), ("s2", 0));
    let gone = Announced { server: Some(ServerId::new("s9").unwrap()), ..said(5, 7009, "127.0.0.1") };
    assert_eq!(ids(&fleet, &[gone]), ["s1", "s2"]);
}

#[test]
fn hosts_are_told_apart_and_a_lone_port_is_enough_from_within() {
    let second = FleetServer { address: SECOND_HOST.into(), ..server("s2", 7001) };
    let both = [server("s1", 7001), second.clone()];
    let players = |fleet: &[FleetServer], from: &str| {
        let list = entries(fleet, &[said(4, 7001, from)], &home());
        list.iter().map(|entry| (entry.id.clone(), entry.players)).collect::<BTreeMap<_, _>>()
    };
    let of = |s1, s2| BTreeMap::from([("s1".to_owned(), s1), ("s2".to_owned(), s2)]);
    assert_eq!(players(&both, SECOND_HOST), of(0, 4));
    assert_eq!(players(&both, "10.0.0.1"), of(4, 0));
    assert_eq!(players(&[second], "10.0.0.1"), BTreeMap::from([("s2".to_owned(), 4)]));
}

#[test]
fn servers_behind_a_proxy_share_a_port_and_are_told_apart_by_their_own_addresses() {
    let behind = |id: &str, own: &str| FleetServer {
        path: Some(format!("/games/race/{id}/ws")),
        own_address: Some(ip(own)),
        ..server(id, 31_400)
    };
    let fleet = [behind("s1", "172.18.0.2"), behind("s2", "172.18.0.3")];
    let list = entries(&fleet, &[said(2, 31_400, "172.18.0.3")], &home());
    assert_eq!(list.iter().map(|entry| entry.players).collect::<Vec<_>>(), [0, 2]);
    assert_eq!(list[1].path.as_deref(), Some("/games/race/s2/ws"));
}

#[test]
fn of_two_announcements_of_one_place_the_newest_counts() {
    let list = entries(&[], &[said(2, 7000, "198.51.100.1"), said(1, 7000, "198.51.100.1")], &home());
    assert_eq!((list.len(), list[0].players), (1, 2));
}

#[test]
fn a_report_is_news_once() {
    let mut server = said(1, 7000, "::1");
    assert!(server.report(PlayersReport { players: 2, players_max: Some(8) }));
    assert!(!server.report(PlayersReport { players: 2, players_max: None }));
    assert_eq!((server.players, server.players_max), (2, Some(8)));
}

#[test]
fn places_are_read_back() {
    for text in ["", "~", "x~a~", "1~a", "1~a~4", "1~a~zz", "1~a~ff", "1~a~+1"] {
        assert_eq!(text.parse::<Place>(), Err(InvalidPlace), "{text}");
    }
}

fn any_entry() -> impl Strategy<Value = BrowserEntry> {
    let region = prop::option::of("(eu|us|asia)").prop_map(|id| id.map(|id| RegionId::new(id).unwrap()));
    let version = prop::option::of("1\\.[0-2]");
    (0..500_u32, "[A-Ca-c ä]{1,6}", 0..10_u32, prop::option::of(1..10_u32), region, version).prop_map(
        |(id, name, players, players_max, region, version)| BrowserEntry {
            id: format!("e{id}"),
            name,
            players,
            players_max,
            region,
            version,
            ..of_itself(&said(1, 7000, "198.51.100.1"), "198.51.100.1".into(), false)
        },
    )
}

fn any_filter() -> impl Strategy<Value = BrowserFilter> {
    let regions = || prop::option::of("(eu|us)").prop_map(|id| id.map(|id| RegionId::new(id).unwrap()));
    let sort = prop::option::of(prop_oneof![
        Just(BrowserSort::Latency),
        Just(BrowserSort::Players),
        Just(BrowserSort::Name)
    ]);
    let latencies = prop::collection::btree_map("(eu|us|asia)", 0..3_u32, 0..3);
    let text = prop::option::of("[a-cB ]{0,2}");
    (regions(), prop::option::of("1\\.[0-2]"), any::<[bool; 2]>(), text, sort, latencies, 1..7_u32).prop_map(
        |(region, version, [not_full, has_players], text, sort, latencies, limit)| BrowserFilter {
            region,
            version,
            not_full,
            has_players,
            text,
            sort,
            latencies: latencies.into_iter().map(|(id, ms)| (RegionId::new(id).unwrap(), ms)).collect(),
            limit: Some(limit),
        },
    )
}

fn any_announced() -> impl Strategy<Value = Vec<Announced>> {
    let from = prop::sample::select(vec!["127.0.0.1", "10.0.0.2", PUBLIC, SECOND_HOST, "198.51.100.1"]);
    let one = (0..40_u32, 7000..7006_u16, from, prop::option::of(0..6_u32));
    let one = one.prop_map(|(number, port, from, proved)| Announced {
        server: proved.map(|number| ServerId::new(format!("s{number}")).unwrap()),
        ..said(number, port, from)
    });
    let unique = |all: Vec<Announced>| {
        let number = |(index, one)| Announced { id: format!("a{index:04}"), ..one };
        all.into_iter().enumerate().map(number).collect()
    };
    prop::collection::vec(one, 0..30).prop_map(unique)
}

fn any_fleet() -> impl Strategy<Value = Vec<FleetServer>> {
    let host = prop::sample::select(vec![PUBLIC, SECOND_HOST, "play.example"]);
    let ports: Vec<u16> = (7000..7005).collect();
    let one = (any::<[bool; 3]>(), host);
    prop::collection::vec(one, 0..5).prop_map(move |all| {
        let make =
            |(index, ([is_listed, is_open, is_behind], host)): (usize, ([bool; 3], &str))| FleetServer {
                is_listed,
                is_open,
                address: host.to_owned(),
                path: is_behind.then(|| "/games/g/x/ws".to_owned()),
                ..server(&format!("s{index}"), ports[index])
            };
        all.into_iter().enumerate().map(make).collect()
    })
}

proptest! {
    #[test]
    fn every_place_is_in_the_list_once(fleet in any_fleet(), announced in any_announced()) {
        let list = entries(&fleet, &announced, &home());
        let (mut seen, mut places) = (HashSet::new(), HashSet::new());
        for entry in &list {
            prop_assert!(seen.insert(entry.id.clone()), "{} twice", entry.id);
            if entry.path.is_none() {
                prop_assert!(places.insert((entry.address.clone(), entry.port)), "a place twice: {:?}", entry);
            }
            prop_assert_eq!(entry.official, entry.address != "198.51.100.1");
        }
        for server in &fleet {
            let is_in = seen.contains(server.id.as_str());
            prop_assert!(is_in || !(server.is_listed && server.is_open));
            prop_assert!(!is_in || server.is_open);
        }
        prop_assert!(list.is_sorted_by_key(|entry| (entry.since, entry.id.clone())));
        // In whatever order they came.
        let reversed: Vec<_> = announced.iter().rev().cloned().collect();
        let again = entries(&fleet, &reversed, &home());
        let places = |list: &[BrowserEntry]| list.iter().map(|e| (e.address.clone(), e.port)).collect::<Vec<_>>();
        prop_assert_eq!(places(&list), places(&again));
    }

    #[test]
    fn pages_are_the_whole_list_in_order(all in prop::collection::vec(any_entry(), 0..40), filter in any_filter()) {
        let mut known = HashSet::new();
        let rows: Vec<Row> =
            all.into_iter().filter(|entry| known.insert(entry.id.clone())).map(Row::from).collect();
        let query = Query::new(filter.clone());
        let whole = Query::new(BrowserFilter { limit: Some(200), ..filter.clone() }).find(&rows, None);
        prop_assert!(whole.next.is_none());
        prop_assert_eq!(whole.total, whole.rows.len());
        let (mut paged, mut after) = (Vec::new(), None);
        loop {
            let found = query.find(&rows, after.as_ref());
            prop_assert_eq!(found.total, whole.total);
            prop_assert!(found.rows.len() <= filter.limit.unwrap() as usize);
            paged.extend(found.rows);
            let Some(next) = found.next else { break };
            prop_assert_eq!(next.to_string().parse::<Place>(), Ok(next.clone()));
            after = Some(next);
        }
        prop_assert_eq!(&paged, &whole.rows);
        for row in &paged {
            let entry = &row.entry;
            prop_assert!(filter.region.is_none() || entry.region == filter.region);
            prop_assert!(filter.version.is_none() || entry.version == filter.version);
            prop_assert!(!filter.not_full || entry.players_max.is_none_or(|max| entry.players < max));
            prop_assert!(!filter.has_players || entry.players > 0);
        }
        let latency = |row: &&Row| {
            row.entry.region.as_ref().and_then(|region| filter.latencies.get(region)).copied().unwrap_or(u32::MAX)
        };
        match filter.sort {
            Some(BrowserSort::Name) => prop_assert!(paged.is_sorted_by_key(|row| row.entry.name.to_lowercase())),
            Some(BrowserSort::Players) => {
                prop_assert!(paged.is_sorted_by_key(|row| std::cmp::Reverse(row.entry.players)));
            }
            Some(BrowserSort::Latency) => prop_assert!(paged.is_sorted_by_key(latency)),
            None if filter.latencies.is_empty() => {
                prop_assert!(paged.is_sorted_by_key(|row| std::cmp::Reverse(row.entry.players)));
            }
            None => prop_assert!(paged.is_sorted_by_key(latency)),
        }
    }

    #[test]
    fn nothing_breaks_the_reader_of_places(text in ".{0,60}") {
        let _ = text.parse::<Place>();
    }
}

#[test]
fn that_a_server_was_heard_again_is_no_news_to_players() {
    let one = said(1, 7000, "198.51.100.1");
    let heard = Announced { heard_at: Timestamp::from_millis(9_000), ..one.clone() };
    assert!(one.says_what(&heard) && heard.says_what(&one));
    let fuller = Announced { players: 7, ..heard };
    assert!(!one.says_what(&fuller));
}
