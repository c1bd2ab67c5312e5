use super::*;

#[test]
fn an_allocation_is_read_leniently() {
    let read = |body: &str| AllocateRequest::parse(body.as_bytes());
    assert_eq!(read("{}"), Ok(AllocateRequest::default()));
    let full = AllocateRequest {
        region: Some("us-east".into()),
        payload: Some("{\"a\":1}".into()),
        timeout_seconds: Some(0.0),
        version: Some("v1.2.3-rc.1+7".into()),
        title: Some("Ann's game".into()),
        listed: true,
    };
    let body = r#"{"region":"us-east","payload":"{\"a\":1}","timeoutSeconds":0,"x":[],"y":null,
        "version":"v1.2.3-rc.1+7","title":"Ann's game","listed":true}"#;
    assert_eq!(read(body), Ok(full));
    assert_eq!(read(r#"{"region":null,"payload":null}"#), Ok(AllocateRequest::default()));
}

#[test]
fn a_body_that_is_none_is_told_from_a_wrong_field() {
    let code = |body: &str| AllocateRequest::parse(body.as_bytes()).unwrap_err().code().status();
    for body in ["", "x", "[]", "null", "\"a\"", "{"] {
        assert_eq!(code(body), 400, "{body:?}");
    }
    for body in [
        r#"{"region":1}"#,
        r#"{"payload":{}}"#,
        r#"{"timeoutSeconds":"1"}"#,
        r#"{"timeoutSeconds":-1}"#,
        r#"{"version":"-x"}"#,
        r#"{"version":"1 2"}"#,
        r#"{"version":""}"#,
        r#"{"title":5}"#,
        r#"{"listed":1}"#,
    ] {
        assert_eq!(code(body), 422, "{body:?}");
    }
    let payload = |bytes| format!(r#"{{"payload":"{}"}}"#, "x".repeat(bytes));
    assert!(AllocateRequest::parse(payload(PAYLOAD_BYTES_MAX).as_bytes()).is_ok());
    assert_eq!(code(&payload(PAYLOAD_BYTES_MAX + 1)), 413);
}
