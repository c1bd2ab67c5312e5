use super::*;

#[test]
fn times_are_written_with_milliseconds_and_read_again() {
    let at = Timestamp::from_millis(1_700_000_000_120);
    assert_eq!(rfc3339(at), "2023-11-14T22:13:20.120Z");
    assert_eq!(parse_rfc3339("2023-11-14T22:13:20.120Z"), Some(at));
    assert_eq!(parse_rfc3339("2023-11-14T23:13:20.12+01:00"), Some(at));
    assert_eq!(parse_rfc3339("yesterday"), None);
    assert_eq!(parse_rfc3339(&rfc3339(Timestamp::from_millis(0))), Some(Timestamp::from_millis(0)));
    assert_eq!(rfc3339(Timestamp::from_millis(i64::MIN)), "0001-01-01T00:00:00.000Z");
    assert!(rfc3339(Timestamp::from_millis(i64::MAX)).starts_with("9999"));
}

#[test]
fn one_event_and_several_are_both_an_append() {
    let read = |text: &str| serde_json::from_str::<AppendRequest>(text).unwrap().into_events();
    assert_eq!(read(r#"{"subject":"v1.g.servers.s.events.started"}"#).len(), 1);
    assert_eq!(read(r#"[{"subject":"a","type":"x"},{"subject":"b","data":null}]"#).len(), 2);
    assert!(serde_json::from_str::<AppendRequest>(r#"{"id":"x"}"#).is_err());
}

#[test]
fn what_a_match_says_beyond_its_players_is_kept() {
    let text = r#"{"players":[{"id":"p1","team":"A","score":3,"won":true},{"id":"bot-1"}],"map":"docks"}"#;
    let ended: MatchEnded = serde_json::from_str(text).unwrap();
    assert_eq!((ended.players[0].team, ended.players[0].won), (Some(Team::A), true));
    assert_eq!((ended.players[1].score, ended.players[1].won), (0.0, false));
    assert_eq!(serde_json::to_value(&ended).unwrap()["map"], "docks");
}
