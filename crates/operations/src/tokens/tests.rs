use greenroom_protocol::{GameId, MatchId, PlayerId, SessionId, ticket::SeatRole};

use super::*;

fn tokens() -> Tokens {
    Tokens::new(&vec![7; 32].into(), &new_ticket_key().unwrap().into()).unwrap()
}

fn access(exp: i64) -> AccessClaims {
    AccessClaims {
        account_id: PlayerId::new("p1").unwrap(),
        discord_id: "p1".into(),
        exp,
        iat: 0,
        game: GameId::new("skirmish").unwrap(),
        sid: SessionId::new("s1").unwrap(),
    }
}

fn ticket(exp: i64) -> TicketClaims {
    TicketClaims {
        iss: "greenroom".into(),
        game: GameId::new("skirmish").unwrap(),
        room: None,
        match_id: Some(MatchId::new("m1").unwrap()),
        lobby: None,
        player: PlayerId::new("p1").unwrap(),
        name: None,
        seat: 0,
        team: None,
        role: SeatRole::Player,
        generation: 1,
        iat: 0,
        exp,
    }
}

const NOW: Timestamp = Timestamp::from_millis(1_000_000);

#[test]
fn what_was_signed_is_read_back_until_it_expires() {
    let tokens = tokens();
    let token = tokens.sign_access(&access(1_001)).unwrap();
    assert_eq!(tokens.verify_access(&token, NOW).unwrap(), access(1_001));
    assert_eq!(tokens.verify_access(&token, Timestamp::from_millis(1_001_000)), Err(TokenError::Expired));
    let token = tokens.sign_ticket(&ticket(1_001)).unwrap();
    assert_eq!(tokens.verify_ticket(&token, NOW).unwrap(), ticket(1_001));
}

#[test]
fn a_token_of_another_kind_key_or_algorithm_is_refused() {
    let tokens = tokens();
    let one = tokens.sign_ticket(&ticket(2_000)).unwrap();
    assert_eq!(tokens.verify_access(&one, NOW), Err(TokenError::Invalid));
    let access_token = tokens.sign_access(&access(2_000)).unwrap();
    assert_eq!(tokens.verify_ticket(&access_token, NOW), Err(TokenError::Invalid));
    let others = Tokens::new(&vec![8; 32].into(), &new_ticket_key().unwrap().into()).unwrap();
    assert_eq!(others.verify_access(&access_token, NOW), Err(TokenError::Invalid));
    assert_eq!(others.verify_ticket(&one, NOW), Err(TokenError::Invalid));

    let encode = |json: &str| URL_SAFE_NO_PAD.encode(json);
    let claims = serde_json::to_string(&access(2_000)).unwrap();
    let unsigned = format!("{}.{}.", encode(r#"{"alg":"none","typ":"JWT"}"#), encode(&claims));
    assert_eq!(tokens.verify_access(&unsigned, NOW), Err(TokenError::Invalid));
}

#[test]
fn a_token_without_exp_is_refused() {
    let tokens = tokens();
    let mut claims = serde_json::to_value(access(2_000)).unwrap();
    claims.as_object_mut().unwrap().remove("exp");
    let token = tokens.access.sign(&claims).unwrap();
    assert_eq!(tokens.verify_access(&token, NOW), Err(TokenError::Invalid));
}

#[test]
fn another_typ_is_refused_though_the_key_is_right() {
    let tokens = tokens();
    let mut other = header(Algorithm::HS256, "refresh+jwt", None);
    other.kid = None;
    let token = jsonwebtoken::encode(&other, &access(2_000), &tokens.access.sign).unwrap();
    assert_eq!(tokens.verify_access(&token, NOW), Err(TokenError::Invalid));
}

#[test]
fn the_jwks_holds_the_public_ticket_key_alone() {
    let tokens = tokens();
    let jwks: serde_json::Value = serde_json::from_str(tokens.jwks()).unwrap();
    let keys = jwks["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 1);
    assert_eq!(keys[0]["kty"], "OKP");
    assert!(keys[0].get("d").is_none());
    let kid = jsonwebtoken::decode_header(tokens.sign_ticket(&ticket(2_000)).unwrap()).unwrap().kid;
    assert_eq!(kid.as_deref(), keys[0]["kid"].as_str());
}

#[test]
fn short_or_foreign_keys_are_refused() {
    let key = new_ticket_key().unwrap();
    assert_eq!(Tokens::new(&vec![7; 15].into(), &key.into()).unwrap_err(), KeyError::TooShort);
    assert_eq!(Tokens::new(&vec![7; 32].into(), &vec![0; 85].into()).unwrap_err(), KeyError::NoTicketKey);
}
