//! Players: signing in natively and by Discord, sessions, and how their studio sees them.

use axum::{Json, Router, http::HeaderMap, routing::get};
use greenroom_operations::players::DiscordSettings;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{World, problem, read};

/// Discord as far as we ask it: tokens `app1:<user>` and `app2:<user>`.
async fn discord() -> String {
    let token = |headers: &HeaderMap| {
        let text = headers["authorization"].to_str().unwrap().strip_prefix("Bearer ").unwrap().to_owned();
        text.split_once(':').map(|(app, user)| (app.to_owned(), user.to_owned()))
    };
    let unauthorized =
        || (axum::http::StatusCode::UNAUTHORIZED, Json(json!({ "message": "401: Unauthorized" })));
    let me = move |headers: HeaderMap| async move {
        match token(&headers) {
            Some((_, user)) => {
                let avatar = (user != "2").then_some("abc");
                (
                    axum::http::StatusCode::OK,
                    Json(json!({ "id": user, "username": format!("user{user}"), "avatar": avatar })),
                )
            }
            None => unauthorized(),
        }
    };
    let authorization = move |headers: HeaderMap| async move {
        match token(&headers) {
            Some((app, _)) => (axum::http::StatusCode::OK, Json(json!({ "application": { "id": app } }))),
            None => unauthorized(),
        }
    };
    let router = Router::new().route("/api/users/@me", get(me)).route("/api/oauth2/@me", get(authorization));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/api", listener.local_addr().unwrap());
    #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    tokio::spawn(async { axum::serve(listener, router).await });
    url
}

#[tokio::test]
async fn signing_in_as_a_discord_user() {
    let api_url = discord().await;
    let world = World::with(|wish| {
        wish.auth.discord = DiscordSettings {
            api_url,
            cdn_url: "https://cdn.example.com".into(),
            application_id: Some("app1".into()),
            ..DiscordSettings::default()
        };
    })
    .await;
    let ask = |token: &str| read(world.post("/auth/discord").json(&json!({ "discordToken": token })));
    let (status, one) = ask("app1:1").await;
    assert_eq!(status, 200, "{one}");
    let discord =
        json!({ "id": "1", "username": "user1", "avatar": "https://cdn.example.com/avatars/1/abc.png" });
    assert_eq!((&one["account"]["discord"], &one["account"]["username"]), (&discord, &json!("user1")));
    let (_, again) = ask("app1:1").await;
    assert_eq!(again["account"]["id"], one["account"]["id"]);
    let (_, two) = ask("app1:2").await;
    assert_eq!(two["account"]["discord"]["avatar"], Value::Null);
    assert_ne!(two["account"]["id"], one["account"]["id"]);
    let token = one["accessToken"].as_str().unwrap();
    assert_eq!(read(world.get("/accounts/me").bearer_auth(token)).await.1["discord"], discord);

    // A token of another application is refused, as is one that Discord does not know.
    for bad in ["app2:1", "unknown"] {
        assert_eq!(ask(bad).await, (401, json!({ "error": "Invalid Discord token" })), "{bad}");
    }
    for body in ["{}", r#"{"discordToken":""}"#, r#"{"discordToken":7}"#, r#"{"discordToken":null}"#] {
        assert_eq!(
            read(world.post("/auth/discord").body(body)).await,
            (400, json!({ "error": "Discord token required" }))
        );
    }
    assert_eq!(
        read(world.post("/auth/discord").body("[]")).await,
        (400, json!({ "error": "Invalid request body" }))
    );
    // The native twin.
    let native = world.post("/v1/games/skirmish/auth/discord").json(&json!({ "discordToken": "app1:1" }));
    let (status, native) = read(native).await;
    assert_eq!((status, &native["account"]["id"]), (200, &one["account"]["id"]));
    assert!(native["refreshToken"].is_string());
    problem(world.post("/v1/games/skirmish/auth/discord").body("{}"), 400, "bad_request").await;
    world.end().await;
}

#[tokio::test]
async fn discord_is_out_of_reach() {
    let world = World::with(|wish| wish.auth.discord.api_url = "http://127.0.0.1:9/api".into()).await;
    let answer = world.post("/auth/discord").json(&json!({ "discordToken": "t" })).send().await.unwrap();
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    let body: Value = answer.json().await.unwrap();
    // What lies behind is the operator's.
    assert!(!body.to_string().contains("127.0.0.1"), "{body}");
    world.end().await;
}

#[tokio::test]
async fn a_session_is_refreshed_listed_and_ended() {
    let world = World::new().await;
    let sign_in = world.post("/v1/games/chess/auth/anonymous").header("user-agent", "game/1.0");
    let (status, first) = read(sign_in.json(&json!({ "username": "Ada" }))).await;
    assert_eq!(status, 200);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let refresh = |token: String| {
        read(world.post("/v1/games/chess/auth/refresh").json(&json!({ "refreshToken": token })))
    };
    let (status, second) = refresh(text(&first["refreshToken"])).await;
    assert_eq!(status, 200, "{second}");
    let access = text(&second["accessToken"]);
    let (_, sessions) = read(world.get("/v1/auth/sessions").bearer_auth(&access)).await;
    assert_eq!(sessions["sessions"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&sessions["sessions"][0]["current"], &sessions["sessions"][0]["userAgent"]),
        (&json!(true), &json!("game/1.0"))
    );
    assert_eq!(read(world.get("/v1/players/me").bearer_auth(&access)).await.1["username"], "Ada");
    assert_eq!(read(world.get("/v1/games/chess/lobbies").bearer_auth(&access)).await, (200, json!([])));
    assert_eq!(read(world.get("/v1/games/skirmish/lobbies").bearer_auth(&access)).await.0, 401);

    // A refresh token is good for one use: a second use ends the session, for two hold it.
    assert_eq!(refresh(text(&first["refreshToken"])).await.0, 401);
    assert_eq!(refresh(text(&second["refreshToken"])).await.0, 401);
    assert_eq!(read(world.get("/v1/players/me").bearer_auth(&access)).await.0, 401);
    for (body, status, code) in [
        ("nonsense", 400, "bad_request"),
        ("{}", 422, "invalid"),
        (r#"{"refreshToken":"x"}"#, 401, "unauthorized"),
    ] {
        problem(world.post("/v1/auth/refresh").body(body), status, code).await;
    }
    world.end().await;
}

#[tokio::test]
async fn signing_out_here_or_everywhere() {
    let world = World::new().await;
    let (token, _) = world.player("Ada").await;
    let out =
        |token: &str, body: &'static str| read(world.post("/v1/auth/sign-out").bearer_auth(token).body(body));
    assert_eq!(out(&token, "[]").await.0, 422);
    assert_eq!(out(&token, "{").await.0, 400);
    assert_eq!(out(&token, r#"{"everywhere":true}"#).await.0, 204);
    assert_eq!(out(&token, "").await.0, 401);
    assert_eq!(
        read(world.get("/accounts/me").bearer_auth(&token)).await,
        (401, json!({ "error": "Invalid token" }))
    );
    world.end().await;
}

#[tokio::test]
async fn the_studio_finds_its_players() {
    let world = World::new().await;
    let key = world.studio_key().await;
    let (_, ada) = world.player("Ada").await;
    world.player("Adam").await;
    world.player("Bo").await;
    let search = |query: &str| {
        read(world.get(&format!("/v1/games/skirmish/players{query}")).header("x-api-key", &key))
    };
    let names = |page: &Value| {
        page["players"].as_array().unwrap().iter().map(|p| p["username"].clone()).collect::<Vec<_>>()
    };
    let (status, page) = search("?name=Ada&limit=1").await;
    assert_eq!((status, names(&page)), (200, vec![json!("Ada")]));
    let next = page["next"].as_str().unwrap().replace('~', "%7E");
    let (_, page) = search(&format!("?name=Ada&limit=1&cursor={next}")).await;
    assert_eq!((names(&page), page.get("next")), (vec![json!("Adam")], None));
    assert_eq!(names(&search("").await.1).len(), 3);
    assert_eq!(search("?cursor=nonsense").await.0, 400);
    assert_eq!(search("?limit=many").await.0, 400);
    let one = |path: String| world.get(&path).header("x-api-key", &key);
    assert_eq!(read(one(format!("/v1/games/skirmish/players/{ada}"))).await.1["username"], "Ada");
    problem(one(format!("/v1/games/chess/players/{ada}")), 404, "not_found").await;
    let (_, sessions) = read(one(format!("/v1/games/skirmish/players/{ada}/sessions"))).await;
    assert_eq!(sessions["sessions"].as_array().unwrap().len(), 1);
    assert_eq!(sessions["sessions"][0]["current"], false, "it is not the player that asks");
    problem(one(format!("/v1/games/chess/players/{ada}/sessions")), 404, "not_found").await;
    problem(one("/v1/games/skirmish/players/no%20id".into()), 404, "not_found").await;
    world.end().await;
}
