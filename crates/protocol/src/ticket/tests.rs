use super::*;

#[test]
fn claims_are_named_as_the_contract_has_them() {
    let claims = AccessClaims {
        account_id: PlayerId::new("p1").unwrap(),
        discord_id: "p1".into(),
        exp: 2,
        iat: 1,
        game: GameId::new("g").unwrap(),
        sid: SessionId::new("s").unwrap(),
    };
    let expected = serde_json::json!(
        {"accountId": "p1", "discordId": "p1", "exp": 2, "iat": 1, "game": "g", "sid": "s"}
    );
    assert_eq!(serde_json::to_value(&claims).unwrap(), expected);

    let ticket = TicketClaims {
        iss: ISSUER.into(),
        game: GameId::new("g").unwrap(),
        room: None,
        match_id: Some(MatchId::new("m").unwrap()),
        lobby: None,
        player: PlayerId::new("p1").unwrap(),
        name: None,
        seat: 0,
        team: Some(Team::A),
        role: SeatRole::Player,
        generation: 1,
        iat: 1,
        exp: 2,
    };
    let expected = serde_json::json!({
        "iss": "greenroom", "game": "g", "match": "m", "player": "p1", "seat": 0, "team": "A",
        "role": "player", "generation": 1, "iat": 1, "exp": 2,
    });
    assert_eq!(serde_json::to_value(&ticket).unwrap(), expected);
    assert_eq!(serde_json::from_value::<TicketClaims>(expected).unwrap(), ticket);
}

#[test]
fn a_token_without_exp_is_none() {
    let text = r#"{"accountId":"p1","discordId":"p1","iat":1,"game":"g","sid":"s"}"#;
    assert!(serde_json::from_str::<AccessClaims>(text).is_err());
}
