//! `lobby.md`, the part over HTTP: every sentence of it.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::{Method, header};
use serde_json::{Value, json};

use crate::support::{Socket, World, read};

const PATHS: [(&str, Method); 5] = [
    ("/auth/anonymous", Method::POST),
    ("/auth/discord", Method::POST),
    ("/accounts/me", Method::GET),
    ("/lobbies", Method::GET),
    ("/_ws", Method::GET),
];

#[tokio::test]
async fn signing_in_by_a_name() {
    let world = World::new().await;
    for content_type in ["application/json", "text/plain;charset=UTF-8", "application/x-www-form-urlencoded"]
    {
        let request = world.post("/auth/anonymous").header(header::CONTENT_TYPE, content_type);
        let (status, body) = read(request.body(r#"{"username":"  Ada  "}"#)).await;
        assert_eq!((status, &body["account"]["username"]), (200, &json!("Ada")), "{content_type}");
        assert_eq!(body.as_object().unwrap().len(), 2, "nothing but the contract's fields: {body}");
    }
    let long = "é".repeat(80);
    let (_, body) = read(world.post("/auth/anonymous").json(&json!({ "username": long }))).await;
    assert_eq!(body["account"]["username"].as_str().unwrap().chars().count(), 64);
    for body in
        [r#"{"username":""}"#, r#"{"username":"   "}"#, "{}", r#"{"username":null}"#, r#"{"username":7}"#]
    {
        let answer = read(world.post("/auth/anonymous").body(body)).await;
        assert_eq!(answer, (400, json!({ "error": "Username required" })), "{body}");
    }
    for body in ["", "nonsense", "[]", r#"["Ada"]"#, "null", "7", r#""Ada""#, "{", "\u{0}"] {
        let answer = read(world.post("/auth/anonymous").body(body)).await;
        assert_eq!(answer, (400, json!({ "error": "Invalid request body" })), "{body}");
    }
    let not_utf8 = read(world.post("/auth/anonymous").body(b"{\"username\":\"\xff\"}".to_vec())).await;
    assert_eq!(not_utf8, (400, json!({ "error": "Invalid request body" })));
    let large = json!({ "username": "x".repeat(5 << 20) }).to_string();
    let (status, body) = read(world.post("/auth/anonymous").body(large)).await;
    assert_eq!(status, 413);
    assert!(body["error"].is_string());
    world.end().await;
}

#[tokio::test]
async fn the_token_is_as_clients_expect_it() {
    let world = World::new().await;
    let (token, id) = world.player("Ada").await;
    let parts: Vec<&str> = token.split('.').collect();
    let read_part =
        |part: &str| -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap() };
    let (head, claims) = (read_part(parts[0]), read_part(parts[1]));
    assert_eq!(head["alg"], "HS256");
    assert_eq!((&claims["accountId"], &claims["discordId"]), (&json!(id), &json!(id)));
    let days_s = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
    assert_eq!(days_s, 30 * 24 * 60 * 60);
    // Another algorithm in the head, another key, or none: refused.
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
    for forged in [format!("{none}.{}.", parts[1]), format!("{}.{}.AAAA", parts[0], parts[1]), "a.b.c".into()]
    {
        assert_eq!(read(world.get("/accounts/me").bearer_auth(&forged)).await.0, 401);
    }
    world.end().await;
}

#[tokio::test]
async fn who_am_i_and_which_lobbies_are_there() {
    let world = World::new().await;
    let (token, id) = world.player("Ada").await;
    let (status, me) = read(world.get("/accounts/me").bearer_auth(&token)).await;
    assert_eq!((status, &me["id"], &me["username"]), (200, &json!(id), &json!("Ada")));
    assert!(me["createdAt"].as_i64().unwrap() > 1_500_000_000_000);
    assert!(me.get("discord").is_none());
    for path in ["/accounts/me", "/lobbies"] {
        assert_eq!(read(world.get(path)).await, (401, json!({ "error": "Token required" })));
        for wrong in ["Bearer nonsense", "Bearer", "Basic YTpi", "Bearer gk_1_2"] {
            let (status, body) = read(world.get(path).header(header::AUTHORIZATION, wrong)).await;
            assert_eq!(status, 401, "{wrong}");
            assert!(body["error"].is_string());
        }
    }
    assert_eq!(read(world.get("/lobbies").bearer_auth(&token)).await, (200, json!([])));
    let (mut open, mut hidden) = (world.joined("Bo").await, world.joined("Cy").await);
    let lobby = open.create(json!({})).await;
    hidden.create(json!({ "isPrivate": true })).await;
    let (_, listed) = read(world.get("/lobbies").bearer_auth(&token)).await;
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["id"], lobby["id"]);
    world.end().await;
}

#[tokio::test]
async fn every_answer_carries_cors_errors_and_preflights_too() {
    let world = World::new().await;
    let check = |answer: &reqwest::Response, what: &str| {
        let header = |name: &str| {
            answer
                .headers()
                .get(name)
                .unwrap_or_else(|| panic!("{what}: no {name}"))
                .to_str()
                .unwrap()
                .to_owned()
        };
        assert_eq!(header("access-control-allow-origin"), "*", "{what}");
        assert_eq!(header("access-control-allow-methods"), "GET, POST, PUT, DELETE, OPTIONS", "{what}");
        assert_eq!(header("access-control-allow-headers"), "Content-Type, Authorization", "{what}");
    };
    for (path, method) in PATHS {
        let preflight = world
            .request(Method::OPTIONS, path)
            .header("origin", "https://example.com")
            .send()
            .await
            .unwrap();
        assert_eq!(preflight.status(), 204, "{path}");
        check(&preflight, path);
        assert!(preflight.bytes().await.unwrap().is_empty());
        let bad = world.request(method, path).send().await.unwrap();
        assert!(bad.status().is_client_error(), "{path}");
        check(&bad, path);
        assert_eq!(bad.headers()["content-type"], "application/json", "{path}");
        // A method that the path does not know is answered in the contract's form as well.
        let wrong = world.request(Method::PATCH, path).send().await.unwrap();
        assert_eq!(wrong.status(), if path == "/_ws" { 404 } else { 405 }, "{path}");
        check(&wrong, path);
        let body: Value = wrong.json().await.unwrap();
        assert!(body["error"].is_string(), "{path}");
    }
    let (token, _) = world.player("Ada").await;
    let good = world.get("/accounts/me").bearer_auth(token).send().await.unwrap();
    assert_eq!(good.status(), 200);
    check(&good, "a good answer");
    world.end().await;
}

#[tokio::test]
async fn the_host_says_which_game() {
    let world = World::new().await;
    let sign_in = |host: &'static str| {
        let request =
            world.post("/auth/anonymous").header(header::HOST, host).json(&json!({ "username": "Ada" }));
        async move { read(request).await.1["accessToken"].as_str().unwrap().to_owned() }
    };
    let (chess, skirmish) = (sign_in("CHESS.test:8080").await, sign_in("nobody.test").await);
    let me = |token: &str, host: &'static str| {
        read(world.get("/accounts/me").bearer_auth(token).header(header::HOST, host))
    };
    assert_eq!(me(&chess, "chess.test").await.0, 200);
    assert_eq!(me(&skirmish, "skirmish.test").await.0, 200);
    // Another game's token is refused.
    assert_eq!(me(&chess, "skirmish.test").await, (401, json!({ "error": "Invalid token" })));
    assert_eq!(me(&skirmish, "chess.test").await.0, 401);
    world.end().await;
}

#[tokio::test]
async fn the_socket_is_always_upgraded_and_says_what_is_wrong() {
    let world = World::new().await;
    for (path, sentence) in [
        ("/_ws", "Token required"),
        ("/_ws?token=", "Token required"),
        ("/_ws?token=nonsense", "Invalid token"),
        ("/_ws?token=a&token=b", "Token required"),
    ] {
        let mut socket = Socket::open(&world.socket_url(path)).await;
        let error = socket.next().await;
        assert_eq!((&error["type"], &error["message"]), (&json!("error"), &json!(sentence)), "{path}");
        assert_eq!(socket.closed().await.0, 4401);
    }
    let (token, id) = world.player("Ada").await;
    let mut socket = Socket::open(&world.socket_url(&format!("/_ws?token={token}"))).await;
    assert_eq!(socket.next().await, json!({ "type": "connected", "accountId": id, "username": "Ada" }));
    let path = format!("/_ws?token={token}");
    for method in [Method::GET, Method::POST, Method::DELETE] {
        let (status, body) = read(world.request(method, &path)).await;
        assert_eq!(status, 404);
        assert!(body["error"].is_string());
    }
    world.end().await;
}
