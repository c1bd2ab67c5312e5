use greenroom_protocol::{LobbyId, PlayerId, Timestamp, lobby::Team};

use super::*;

/// The most that a page of a list may weigh.
const PAGE_BYTES_MAX: usize = 200 * 1024;

fn lobby(number: u32) -> (GameId, LobbyView) {
    let member = |place: u32, team: Team| MemberView {
        account_id: PlayerId::new(format!("01a1f84c-2827-7895-a009-{number:08}{place:04}")).unwrap(),
        username: format!("A rather long name {number} {team:?}"),
        ready: place == 0,
        connected: place != 1,
        bot: false,
        joined_at: Timestamp::from_millis(1_763_629_577_123),
    };
    let view = LobbyView {
        id: LobbyId::new(format!("01a1f84c-2827-7895-a009-{number:012}")).unwrap(),
        code: format!("{number:06}"),
        is_private: true,
        team_a: (0..4).map(|place| member(place, Team::A)).collect(),
        team_b: (4..8).map(|place| member(place, Team::B)).collect(),
        owner_id: member(0, Team::A).account_id,
        name: Some(format!("Friday night with friends, number {number}")),
        map: None,
        mode: None,
        team_size: Some(4),
        members_max: 8,
        has_password: false,
        phase: LobbyPhase::Waiting,
        keep: false,
        match_id: None,
        created_at: Timestamp::from_millis(1_763_629_577_123 - i64::from(number)),
        revision: Some(1),
    };
    (GameId::new("skirmish").unwrap(), view)
}

#[test]
fn a_thousand_lobbies_are_a_light_page() {
    let all: Vec<_> = (0..1_000).map(lobby).collect();
    let first = listed(&all, &Filter::default(), Times::ABSOLUTE).into_string();
    assert!(first.len() < PAGE_BYTES_MAX, "{} bytes", first.len());
    assert!(first.contains("1,000 lobbies, 1 to 200") && first.contains("page=1"), "{}", &first[..200]);
    let last = listed(&all, &Filter { page: 4, ..Filter::default() }, Times::ABSOLUTE).into_string();
    assert!(last.contains("801 to 1000") && last.contains("000999") && !last.contains("page=5"));
    let beyond = listed(&all, &Filter { page: 9, ..Filter::default() }, Times::ABSOLUTE).into_string();
    assert!(beyond.contains("No lobby fits"));
}

#[test]
fn lobbies_are_found_by_what_people_know_of_them() {
    let all: Vec<_> = (0..300).map(lobby).collect();
    for (find, count) in [
        ("000042", "1 lobby of 300"),
        ("NUMBER 299", "1 lobby of 300"),
        ("name 7 b", "1 lobby of 300"),
        ("zzz", "0 lobbies of 300"),
    ] {
        let filter = Filter { find: find.into(), ..Filter::default() }.bounded();
        let shown = listed(&all, &filter, Times::ABSOLUTE).into_string();
        assert!(shown.contains(count), "{find}: {}", &shown[..120]);
    }
    let playing = Filter { phase: "playing".into(), ..Filter::default() };
    assert!(listed(&all, &playing, Times::ABSOLUTE).into_string().contains("No lobby fits"));
}
