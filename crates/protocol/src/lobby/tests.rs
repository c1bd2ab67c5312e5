use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    RegionId,
    browser::{BrowserFilter, BrowserSort},
};

fn error(text: &str) -> String {
    ClientMessage::parse(text).unwrap_err().to_string()
}

#[test]
fn the_contracts_commands_are_read() {
    let read = |text| ClientMessage::parse(text).unwrap();
    assert_eq!(read(r#"{"type":"ping"}"#), ClientMessage::Ping);
    assert_eq!(read(r#"{"type":"lobby:create"}"#), ClientMessage::Create(LobbyCreate::default()));
    let private = LobbyCreate { is_private: true, keep: true, ..LobbyCreate::default() };
    assert_eq!(
        read(r#"{"type":"lobby:create","isPrivate":true,"keep":true}"#),
        ClientMessage::Create(private)
    );
    let join = LobbyJoin { code: Some("012345".into()), team: Some(Team::B), ..LobbyJoin::default() };
    assert_eq!(
        read(r#"{"type":"lobby:join","code":"012345","team":"B","lobbyId":""}"#),
        ClientMessage::Join(join)
    );
    assert_eq!(read(r#"{"type":"lobby:leave"}"#), ClientMessage::Leave);
    assert_eq!(read(r#"{"type":"lobby:ready"}"#), ClientMessage::Ready { ready: true });
    assert_eq!(read(r#"{"type":"lobby:ready","ready":null}"#), ClientMessage::Ready { ready: true });
    assert_eq!(read(r#"{"type":"lobby:ready","ready":false}"#), ClientMessage::Ready { ready: false });
    assert_eq!(read(r#"{"type":"lobby:start"}"#), ClientMessage::Start);
    assert_eq!(read(r#"{"type":"lobby:fill-bots","x":[1]}"#), ClientMessage::FillBots);
}

#[test]
fn a_filter_of_the_server_browser_is_read() {
    let read = |text| ClientMessage::parse(text).unwrap();
    let all = ClientMessage::BrowserWatch(BrowserFilter::default());
    assert_eq!(read(r#"{"type":"browser:watch"}"#), all);
    assert_eq!(read(r#"{"type":"browser:unwatch"}"#), ClientMessage::BrowserUnwatch);
    let eu = RegionId::new("eu").unwrap();
    let filter = BrowserFilter {
        region: Some(eu.clone()),
        version: Some("1.2.3".into()),
        not_full: true,
        has_players: true,
        text: Some("ann".into()),
        sort: Some(BrowserSort::Name),
        latencies: [(eu, 30)].into(),
        limit: Some(5),
    };
    let written = ClientMessage::BrowserWatch(filter);
    assert_eq!(read(&serde_json::to_string(&written).unwrap()), written);
    for (text, field) in [
        (r#"{"type":"browser:watch","sort":"ping"}"#, "`sort`"),
        (r#"{"type":"browser:watch","region":"no region"}"#, "`region`"),
        (r#"{"type":"browser:watch","notFull":1}"#, "`notFull`"),
        (r#"{"type":"browser:watch","latencies":[1]}"#, "`latencies`"),
        (r#"{"type":"browser:watch","latencies":{"eu":-1}}"#, "`latencies`"),
        (r#"{"type":"browser:watch","latencies":{"no region":1}}"#, "`latencies`"),
        (r#"{"type":"browser:watch","limit":"all"}"#, "`limit`"),
    ] {
        assert!(error(text).starts_with(field), "{text}: {}", error(text));
    }
}

#[test]
fn what_is_no_command_has_the_contracts_sentence() {
    for text in ["", "{", "nul", "null", "{\"type\":\"ping\"} x", "\u{0}"] {
        assert_eq!(error(text), "Invalid message format", "{text:?}");
    }
    for text in [
        "{}",
        "[]",
        "5",
        "true",
        "\"ping\"",
        r#"{"type":7}"#,
        r#"{"type":"lobby:fly"}"#,
        r#"{"type":"Ping"}"#,
    ] {
        assert_eq!(error(text), "Unknown message type", "{text:?}");
    }
}

#[test]
fn a_field_of_the_wrong_type_is_refused_and_named() {
    for ready in ["\"yes\"", "1", "0", "[]", "{}"] {
        let text = format!(r#"{{"type":"lobby:ready","ready":{ready}}}"#);
        assert_eq!(error(&text), "`ready` must be true or false");
    }
    assert_eq!(error(r#"{"type":"lobby:create","isPrivate":"no"}"#), "`isPrivate` must be true or false");
    assert_eq!(error(r#"{"type":"lobby:join","code":123456}"#), "`code` must be a string");
    for team in ["\"C\"", "1", "\"a\""] {
        let text = format!(r#"{{"type":"lobby:join","team":{team}}}"#);
        assert_eq!(error(&text), "`team` must be \"A\" or \"B\"");
    }
    assert_eq!(error(r#"{"type":"lobby:team"}"#), "`team` must be \"A\" or \"B\"");
    assert_eq!(error(r#"{"type":"lobby:kick"}"#), "`accountId` must be a string");
    assert_eq!(error(r#"{"type":"lobby:kick","accountId":"a b"}"#), "`accountId` must be the id of a member");
    assert_eq!(error(r#"{"type":"lobby:chat"}"#), "`text` must be a string");
    for size in ["-1", "1.5", "\"2\"", "4294967296"] {
        let text = format!(r#"{{"type":"lobby:settings","teamSize":{size}}}"#);
        assert_eq!(error(&text), "`teamSize` must be a whole number");
    }
}

#[test]
fn an_id_is_known_though_the_message_is_no_good() {
    let id = |text: &str| ClientFrame::parse(text).id;
    assert_eq!(id(r#"{"type":"x","id":7}"#), Some(RequestId::Number(7)));
    assert_eq!(id(r#"{"type":"ping","id":"a"}"#), Some(RequestId::Text("a".into())));
    for odd in ["{}", "null", "1.5", "true"] {
        assert_eq!(id(&format!(r#"{{"type":"ping","id":{odd}}}"#)), None, "{odd}");
    }
    let long = "x".repeat(REQUEST_ID_BYTES_MAX + 1);
    assert_eq!(id(&format!(r#"{{"type":"ping","id":"{long}"}}"#)), None);
}

#[test]
fn server_messages_are_written_as_the_contract_has_them() {
    let written = |message: ServerMessage| serde_json::to_value(message).unwrap();
    let ann = PlayerId::new("ann").unwrap();
    let connected = ServerMessage::Connected { account_id: ann.clone(), username: "Ann".into() };
    assert_eq!(written(connected), json!({"type": "connected", "accountId": "ann", "username": "Ann"}));
    assert_eq!(written(ServerMessage::Pong { id: None }), json!({"type": "pong"}));
    let error =
        ServerMessage::Error { message: "Not in a lobby".into(), code: Some(ErrorCode::Conflict), id: None };
    assert_eq!(written(error), json!({"type": "error", "message": "Not in a lobby", "code": "conflict"}));
    assert_eq!(written(ServerMessage::Left { id: None }), json!({"type": "lobby:left"}));
    let deleted = ServerMessage::Deleted { lobby_id: LobbyId::new("l1").unwrap() };
    assert_eq!(written(deleted), json!({"type": "lobby:deleted", "lobbyId": "l1"}));

    let member = MatchMember { account_id: ann, username: "Ann".into() };
    let started = ServerMessage::MatchStarted {
        match_data: MatchData {
            match_id: MatchId::new("m1").unwrap(),
            lobby_id: LobbyId::new("l1").unwrap(),
            team_a: vec![member],
            team_b: vec![],
            started_at: Timestamp::from_millis(5),
            server: MatchServer { address: "203.0.113.7".into(), port: 7000, server_name: "s".into() },
            ticket: Some("t".into()),
        },
    };
    let expected = json!({"type": "match:started", "matchData": {
        "matchId": "m1", "lobbyId": "l1", "teamA": [{"accountId": "ann", "username": "Ann"}], "teamB": [],
        "startedAt": 5, "server": {"address": "203.0.113.7", "port": 7000, "serverName": "s"}, "ticket": "t",
    }});
    assert_eq!(written(started.clone()), expected);
    assert_eq!(serde_json::from_value::<ServerMessage>(expected).unwrap(), started);
}

fn sent() -> impl Strategy<Value = ClientMessage> {
    let text = || prop::option::of("\\PC{1,8}");
    let team = || prop_oneof![Just(Team::A), Just(Team::B)];
    let player = || "[A-Za-z0-9_-]{1,12}".prop_map(|id| PlayerId::new(id).unwrap());
    prop_oneof![
        Just(ClientMessage::Ping),
        Just(ClientMessage::Leave),
        Just(ClientMessage::ListWatch),
        Just(ClientMessage::ListUnwatch),
        any::<bool>().prop_map(|ready| ClientMessage::Ready { ready }),
        player().prop_map(|account_id| ClientMessage::Kick { account_id }),
        player().prop_map(|account_id| ClientMessage::Transfer { account_id }),
        team().prop_map(|team| ClientMessage::Team { team }),
        "\\PC{0,8}".prop_map(|text| ClientMessage::Chat { text }),
        (text(), text(), prop::option::of(team()), text()).prop_map(|(lobby_id, code, team, password)| {
            ClientMessage::Join(LobbyJoin { lobby_id, code, team, password })
        }),
        (any::<bool>(), any::<bool>(), text(), text(), prop::option::of(any::<u32>())).prop_map(
            |(is_private, keep, name, map, team_size)| {
                let (mode, password) = (None, None);
                ClientMessage::Create(LobbyCreate { is_private, keep, name, map, mode, team_size, password })
            }
        ),
        (text(), text(), prop::option::of(any::<u32>()), prop::option::of(any::<bool>())).prop_map(
            |(mode, password, team_size, is_private)| {
                let (name, map) = (None, None);
                ClientMessage::Settings(LobbyChanges { name, map, mode, team_size, password, is_private })
            }
        ),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(message in sent()) {
        let text = serde_json::to_string(&message).unwrap();
        prop_assert_eq!(ClientMessage::parse(&text), Ok(message));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC*|[{}\\[\\]\":,a-z0-9]{0,40}") {
        let _ = ClientFrame::parse(&text);
    }
}

#[test]
fn the_schema_asks_only_for_what_must_be_sent() {
    let schema = schemars::schema_for!(ClientMessage).to_value();
    let required = |kind: &str| {
        let variants = schema["oneOf"].as_array().unwrap();
        let is_kind = |variant: &&serde_json::Value| variant["properties"]["type"]["const"] == kind;
        variants.iter().find(is_kind).unwrap()["required"].clone()
    };
    assert_eq!(required("lobby:ready"), json!(["type"]));
    assert_eq!(required("lobby:kick"), json!(["type", "accountId"]));
    assert_eq!(schema["$defs"]["LobbyCreate"]["required"], json!(null));
    assert_eq!(schemars::schema_for!(ServerMessage).to_value()["oneOf"].as_array().unwrap().len(), 15);
}
