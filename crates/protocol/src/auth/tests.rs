use super::*;

#[test]
fn a_name_that_is_no_text_is_missing() {
    let read = |body: &str| parse_body::<AnonymousRequest>(body.as_bytes()).map(|body| body.username);
    assert_eq!(read(r#"{"username":"Ann","x":1}"#), Ok(Some("Ann".into())));
    for body in ["{}", r#"{"username":null}"#, r#"{"username":5}"#, r#"{"username":["a"]}"#] {
        assert_eq!(read(body), Ok(None), "{body}");
    }
    for body in ["", "null", "[\"Ann\"]", "\"Ann\"", "{"] {
        assert_eq!(read(body), Err(InvalidBody), "{body}");
    }
    assert_eq!(InvalidBody.to_string(), "Invalid request body");
}

#[test]
fn the_contracts_answer_has_no_further_fields() {
    let signed_in = SignedIn {
        access_token: "t".into(),
        account: Account { id: PlayerId::new("p1").unwrap(), username: "Ann".into(), discord: None },
        refresh_token: None,
        expires_at: None,
        refresh_expires_at: None,
    };
    let expected = serde_json::json!({"accessToken": "t", "account": {"id": "p1", "username": "Ann"}});
    assert_eq!(serde_json::to_value(signed_in).unwrap(), expected);
}
