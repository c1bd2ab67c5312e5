use proptest::prelude::*;
use serde_json::json;

use super::*;

fn refused(text: &str) -> String {
    Announcement::parse(text).unwrap_err().to_string()
}

#[test]
fn an_announcement_is_read_in_any_order_and_tls_may_be_missing() {
    let plain = Announcement::parse(r#"{"name":"Ann's Game","port":7003}"#).unwrap();
    assert_eq!((plain.name.as_str(), plain.port, plain.tls, plain.players), ("Ann's Game", 7003, false, 0));
    let turned = Announcement::parse(r#" {"tls":true,"x":[],"port":65535.0,"name":""} "#).unwrap();
    assert_eq!((turned.name.as_str(), turned.port, turned.tls), ("", 65535, true));
    let more = r#"{"name":"n","port":1,"players":2,"playersMax":8,"region":"eu","version":"1.2.3"}"#;
    let more = Announcement::parse(more).unwrap();
    assert_eq!((more.players, more.players_max, more.version.as_deref()), (2, Some(8), Some("1.2.3")));
    assert_eq!(more.region, Some(RegionId::new("eu").unwrap()));
}

#[test]
fn what_does_not_fit_is_refused_by_the_name_of_its_field() {
    for text in ["", "{", "null", "[]", "7", "\"x\"", "{\"name\":\"n\",\"port\":1} x"] {
        assert!(refused(text).contains("JSON object"), "{text:?}");
    }
    for (text, field) in [
        ("{}", "`name`"),
        (r#"{"port":7000}"#, "`name`"),
        (r#"{"name":7,"port":7000}"#, "`name`"),
        (r#"{"name":null,"port":7000}"#, "`name`"),
        (r#"{"name":"n"}"#, "`port`"),
        (r#"{"name":"n","port":0}"#, "`port`"),
        (r#"{"name":"n","port":-1}"#, "`port`"),
        (r#"{"name":"n","port":65536}"#, "`port`"),
        (r#"{"name":"n","port":7000.5}"#, "`port`"),
        (r#"{"name":"n","port":"7000"}"#, "`port`"),
        (r#"{"name":"n","port":7000,"tls":1}"#, "`tls`"),
        (r#"{"name":"n","port":7000,"tls":null}"#, "`tls`"),
        (r#"{"name":"n","port":7000,"region":"no region"}"#, "`region`"),
        (r#"{"name":"n","port":7000,"version":""}"#, "`version`"),
        (r#"{"name":"n","port":7000,"players":-1}"#, "`players`"),
    ] {
        assert!(refused(text).starts_with(field), "{text}: {}", refused(text));
    }
}

#[test]
fn players_are_reported() {
    assert_eq!(PlayersReport::parse(r#"{"players":3}"#).unwrap().players, 3);
    assert_eq!(PlayersReport::parse(r#"{"players":3.0,"x":1}"#).unwrap().players, 3);
    for text in ["", "[]", "{}", r#"{"players":"3"}"#, r#"{"players":-1}"#, r#"{"players":100001}"#] {
        assert!(PlayersReport::parse(text).is_err(), "{text}");
    }
}

#[test]
fn the_list_has_the_contracts_fields_in_their_order() {
    let server = ListedServer {
        name: "Ann's Game".into(),
        ip: "203.0.113.7".into(),
        tls: false,
        port: 7003,
        official: true,
        players: 3,
    };
    let text =
        r#"{"name":"Ann's Game","ip":"203.0.113.7","tls":false,"port":7003,"official":true,"players":3}"#;
    assert_eq!(serde_json::to_string(&server).unwrap(), text);
}

proptest! {
    #[test]
    fn nothing_breaks_the_reader(text in ".{0,200}", value in any::<f64>()) {
        let _ = Announcement::parse(&text);
        let _ = PlayersReport::parse(&text);
        let _ = Announcement::parse(&json!({ "name": text, "port": value }).to_string());
        let _ = PlayersReport::parse(&json!({ "players": value }).to_string());
    }

    #[test]
    fn reasons_fit_a_close_frame(text in "[{}\\[\\]\":,a-z0-9]{0,80}") {
        if let Err(error) = Announcement::parse(&text) {
            prop_assert!(error.to_string().len() <= 123);
        }
    }
}
