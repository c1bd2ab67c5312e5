//! `lobby.md`, the part over sockets: every sentence of it.

use std::collections::BTreeSet;

use greenroom_storage::KeyPermissions;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Socket, World, game, none, read};

fn member<'a>(lobby: &'a Value, id: &str) -> Option<&'a Value> {
    let teams = ["teamA", "teamB"].map(|team| lobby[team].as_array().unwrap());
    teams.into_iter().flatten().find(|member| member["accountId"] == id)
}

fn members(lobby: &Value) -> usize {
    ["teamA", "teamB"].iter().map(|team| lobby[team].as_array().unwrap().len()).sum()
}

async fn join(socket: &mut Socket, lobby: &Value) -> Value {
    socket.send(json!({ "type": "lobby:join", "code": lobby["code"] })).await;
    let id = socket.id.clone();
    socket.lobby(|lobby| member(lobby, &id).is_some()).await
}

#[tokio::test]
async fn what_is_no_message() {
    let world = World::new().await;
    let mut socket = world.joined("Ada").await;
    socket.send(json!({ "type": "ping" })).await;
    assert_eq!(socket.next().await, json!({ "type": "pong" }));
    for (text, sentence) in [
        ("nonsense", "Invalid message format"),
        ("null", "Invalid message format"),
        ("", "Invalid message format"),
        ("{", "Invalid message format"),
        ("7", "Unknown message type"),
        ("[]", "Unknown message type"),
        ("{}", "Unknown message type"),
        (r#"{"type":"nope"}"#, "Unknown message type"),
        (r#"{"type":7}"#, "Unknown message type"),
        (r#"{"type":"PING"}"#, "Unknown message type"),
    ] {
        socket.say(Message::text(text)).await;
        let error = socket.next().await;
        assert_eq!((&error["type"], &error["message"]), (&json!("error"), &json!(sentence)), "{text}");
    }
    socket.say(Message::binary(br#"{"type":"ping"}"#.to_vec())).await;
    assert_eq!(socket.next().await["message"], "Invalid message format");
    // Fields of a wrong type are told by name, and change nothing.
    for (message, field) in [
        (json!({ "type": "lobby:create", "isPrivate": "yes" }), "isPrivate"),
        (json!({ "type": "lobby:join", "code": 123_456 }), "code"),
        (json!({ "type": "lobby:join", "code": "1", "team": "C" }), "team"),
        (json!({ "type": "lobby:ready", "ready": "true" }), "ready"),
        (json!({ "type": "lobby:kick" }), "accountId"),
        (json!({ "type": "lobby:settings", "teamSize": -1 }), "teamSize"),
    ] {
        socket.send(message.clone()).await;
        let error = socket.next().await;
        assert!(error["message"].as_str().unwrap().contains(field), "{message}: {error}");
    }
    world.end().await;
}

#[tokio::test]
async fn creating_joining_and_leaving() {
    let world = World::new().await;
    let (mut ada, mut bo, mut cy) =
        (world.joined("Ada").await, world.joined("Bo").await, world.joined("Cy").await);
    let lobby = ada.create(json!({})).await;
    let code = lobby["code"].as_str().unwrap();
    assert!(code.len() == 6 && code.bytes().all(|b| b.is_ascii_digit()));
    assert_eq!((&lobby["isPrivate"], &lobby["ownerId"]), (&json!(false), &json!(ada.id)));
    assert_eq!(
        (lobby["teamA"][0]["ready"].clone(), lobby["teamA"][0]["username"].clone()),
        (json!(false), json!("Ada"))
    );

    // Without a team the smaller one; the joiner is told as well.
    let seen = join(&mut bo, &lobby).await;
    assert_eq!(seen["teamB"][0]["accountId"], json!(bo.id));
    let bo_id = bo.id.clone();
    ada.lobby(|lobby| member(lobby, &bo_id).is_some()).await;
    // On a tie team A; by id too; a team that was asked for is given.
    cy.send(json!({ "type": "lobby:join", "lobbyId": lobby["id"] })).await;
    let seen = cy.until("lobby:updated").await;
    assert_eq!(seen["lobby"]["teamA"][1]["accountId"], json!(cy.id));
    let mut di = world.joined("Di").await;
    di.send(json!({ "type": "lobby:join", "code": code, "lobbyId": "another", "team": "A" })).await;
    assert_eq!(di.until("lobby:updated").await["lobby"]["teamA"][2]["accountId"], json!(di.id));

    // Refusals.
    ada.refused(json!({ "type": "lobby:join", "code": code }), "Already in lobby").await;
    let mut ed = world.joined("Ed").await;
    ed.refused(json!({ "type": "lobby:join", "code": "000000" }), "Lobby not found").await;
    ed.refused(json!({ "type": "lobby:join", "lobbyId": "none" }), "Lobby not found").await;
    ed.refused(json!({ "type": "lobby:join" }), "Lobby ID or code required").await;
    ed.refused(json!({ "type": "lobby:join", "code": "" }), "Lobby ID or code required").await;
    for kind in ["lobby:leave", "lobby:ready", "lobby:start", "lobby:fill-bots"] {
        ed.refused(json!({ "type": kind }), "Not in a lobby").await;
    }
    let hidden = ed.create(json!({ "isPrivate": true })).await;
    bo.refused(json!({ "type": "lobby:join", "lobbyId": hidden["id"] }), "Lobby is private").await;

    // Who joins another lobby leaves the first.
    join(&mut di, &hidden).await;
    let di_id = di.id.clone();
    ada.lobby(|lobby| member(lobby, &di_id).is_none() && members(lobby) == 3).await;

    // The owner leaves: the longest-present player owns it. `updated` to all who were in it, then `left`.
    ada.send(json!({ "type": "lobby:leave" })).await;
    let first = ada
        .until_that(|message| message["type"] != "lobby:updated" || message["lobby"]["ownerId"] == bo_id)
        .await;
    assert_eq!(first["type"], "lobby:updated");
    assert_eq!(ada.next().await["type"], "lobby:left");
    assert_eq!(bo.lobby(|lobby| lobby["ownerId"] == bo_id).await["ownerId"], json!(bo_id));
    world.end().await;
}

#[tokio::test]
async fn the_last_to_leave_sees_it_deleted_and_then_itself_out() {
    let world = World::new().await;
    let mut ada = world.joined("Ada").await;
    let lobby = ada.create(json!({})).await;
    // Bots alone keep no lobby alive.
    ada.send(json!({ "type": "lobby:fill-bots" })).await;
    let filled = ada.lobby(|lobby| members(lobby) == 4).await;
    let bot = &filled["teamB"][0];
    assert!(bot["accountId"].as_str().unwrap().starts_with("bot-"));
    assert!(bot["username"].as_str().unwrap().starts_with("Bot "));
    assert_eq!(bot["ready"], true);
    ada.send(json!({ "type": "lobby:leave" })).await;
    let told = ada.until_that(|message| message["type"] != "lobby:updated").await;
    assert_eq!(told, json!({ "type": "lobby:deleted", "lobbyId": lobby["id"] }));
    assert_eq!(ada.next().await["type"], "lobby:left");
    world.end().await;
}

#[tokio::test]
async fn created_comes_before_any_update_of_it() {
    let world = World::new().await;
    let mut ada = world.joined("Ada").await;
    for _ in 0..20 {
        ada.send(json!({ "type": "lobby:create", "id": 7 })).await;
        let answer =
            ada.until_that(|message| message["type"] != "lobby:deleted" && message["type"] != "ok").await;
        assert_eq!((&answer["type"], &answer["id"]), (&json!("lobby:created"), &json!(7)));
        ada.send(json!({ "type": "lobby:ready" })).await;
        let updated = ada.until("lobby:updated").await;
        assert_eq!(updated["lobby"]["id"], answer["lobby"]["id"]);
        assert_eq!(updated["lobby"]["teamA"][0]["ready"], true);
    }
    world.end().await;
}

#[tokio::test]
async fn a_hundred_at_once_all_count() {
    let world = World::with(|wish| {
        for game in wish.settings.games.values_mut() {
            game.lobby.members_max = 101;
        }
    })
    .await;
    let mut owner = world.joined("owner").await;
    let lobby = owner.create(json!({})).await;
    let mut sockets = futures_util::future::join_all((0..100).map(|n| {
        let world = &world;
        async move { world.joined(&format!("p{n}")).await }
    }))
    .await;
    let seen = futures_util::future::join_all(sockets.iter_mut().map(|socket| join(socket, &lobby))).await;
    assert_eq!(seen.len(), 100);
    let all = owner.lobby(|lobby| members(lobby) == 101).await;
    let ids: BTreeSet<_> = ["teamA", "teamB"]
        .iter()
        .flat_map(|team| all[team].as_array().unwrap())
        .map(|member| member["accountId"].as_str().unwrap().to_owned())
        .collect();
    assert!(sockets.iter().all(|socket| ids.contains(&socket.id)));
    // And one more is one too many.
    world
        .joined("late")
        .await
        .refused(json!({ "type": "lobby:join", "code": lobby["code"] }), "Lobby is full")
        .await;
    // All toggle at once; each sees the end, in which all are ready.
    futures_util::future::join_all(
        sockets.iter_mut().map(|socket| socket.send(json!({ "type": "lobby:ready" }))),
    )
    .await;
    let all_ready = |lobby: &Value| {
        let ready = |team: &str| {
            lobby[team].as_array().unwrap().iter().filter(|member| member["ready"] == true).count()
        };
        ready("teamA") + ready("teamB") == 100
    };
    owner.lobby(all_ready).await;
    futures_util::future::join_all(sockets.iter_mut().map(|socket| socket.lobby(all_ready))).await;
    world.end().await;
}

#[tokio::test]
async fn teams_have_their_size() {
    let world = World::with(|wish| {
        let lobby = &mut wish.settings.games.get_mut(&game("skirmish")).unwrap().lobby;
        (lobby.team_size, lobby.members_max) = (Some(1), 2);
    })
    .await;
    let (mut ada, mut bo) = (world.joined("Ada").await, world.joined("Bo").await);
    let lobby = ada.create(json!({})).await;
    bo.refused(json!({ "type": "lobby:join", "code": lobby["code"], "team": "A" }), "Team is full").await;
    join(&mut bo, &lobby).await;
    world
        .joined("Cy")
        .await
        .refused(json!({ "type": "lobby:join", "code": lobby["code"] }), "Lobby is full")
        .await;
    world.end().await;
}

#[tokio::test]
async fn a_dropped_socket_keeps_its_place_and_returns() {
    let world = World::new().await;
    let mut bo = world.joined("Bo").await;
    let (token, ada_id) = world.player("Ada").await;
    let mut ada = world.socket(&token).await;
    let lobby = ada.create(json!({})).await;
    join(&mut bo, &lobby).await;
    ada.send(json!({ "type": "lobby:ready" })).await;
    bo.lobby(|lobby| member(lobby, &ada_id).unwrap()["ready"] == true).await;

    // A second socket of the account is in its lobby as well; only the last one's close drops it.
    let mut second = world.socket(&token).await;
    assert_eq!(second.next().await["lobby"]["id"], lobby["id"]);
    ada.close().await;
    second.send(json!({ "type": "lobby:chat", "text": "still here" })).await;
    assert_eq!(bo.until("lobby:chat").await["text"], "still here");

    // Without a farewell it drops: not connected, not ready, and the ownership passes at once.
    second.cut();
    let dropped = bo.lobby(|lobby| member(lobby, &ada_id).unwrap()["connected"] == false).await;
    assert_eq!(member(&dropped, &ada_id).unwrap()["ready"], false);
    assert_eq!(dropped["ownerId"], json!(bo.id));

    // On return the state follows `connected`.
    let mut back = world.socket(&token).await;
    let state = back.next().await;
    assert_eq!((&state["type"], &state["lobby"]["id"]), (&json!("lobby:updated"), &lobby["id"]));
    bo.lobby(|lobby| member(lobby, &ada_id).unwrap()["connected"] == true).await;
    world.end().await;
}

#[tokio::test]
async fn a_match_is_started() {
    let world = World::new().await;
    let (mut ada, mut bo) = (world.joined("Ada").await, world.joined("Bo").await);
    let lobby = ada.create(json!({})).await;
    join(&mut bo, &lobby).await;
    bo.refused(json!({ "type": "lobby:start" }), "Only lobby owner can start match").await;
    bo.refused(json!({ "type": "lobby:fill-bots" }), "Only lobby owner can add bots").await;
    ada.refused(json!({ "type": "lobby:start" }), "Not all players are ready").await;
    for socket in [&mut ada, &mut bo] {
        socket.send(json!({ "type": "lobby:ready", "ready": true })).await;
    }
    ada.lobby(|lobby| lobby["teamA"][0]["ready"] == true && lobby["teamB"][0]["ready"] == true).await;
    // Two quick starts make one server.
    ada.send(json!({ "type": "lobby:start" })).await;
    ada.send(json!({ "type": "lobby:start" })).await;
    let (to_ada, to_bo) = (ada.until("match:started").await, bo.until("match:started").await);
    let data = &to_ada["matchData"];
    assert_eq!((&data["lobbyId"], &data["matchId"]), (&lobby["id"], &to_bo["matchData"]["matchId"]));
    assert_eq!(data["teamA"], json!([{ "accountId": ada.id, "username": "Ada" }]));
    assert_eq!(data["teamB"], json!([{ "accountId": bo.id, "username": "Bo" }]));
    assert!(data["startedAt"].is_i64());
    assert_eq!(data["server"]["address"], "127.0.0.1");
    assert!(data["server"]["port"].is_u64() && data["server"]["serverName"].is_string());
    // Each finds its own ticket, good by the published keys' kind.
    let ticket = |message: &Value| message["matchData"]["ticket"].as_str().unwrap().to_owned();
    assert_ne!(ticket(&to_ada), ticket(&to_bo));
    assert_eq!(ticket(&to_ada).split('.').count(), 3);

    let key = world.hosting_key().await;
    let list = || read(world.get("/v1/games/skirmish/servers?state=allocated").header("x-api-key", &key));
    let (_, servers) = list().await;
    let servers = servers["servers"].as_array().unwrap().clone();
    assert_eq!(servers.len(), 1);
    assert_eq!(servers[0]["allocation"]["matchId"], data["matchId"]);
    let path = format!("/v1/servers/{}/logs", servers[0]["id"].as_str().unwrap());
    let (_, log) = read(world.get(&path).header("x-api-key", &key)).await;
    let payload =
        log.as_str().unwrap().lines().find_map(|line| line.strip_prefix("payload=")).unwrap().to_owned();
    let payload: Value = serde_json::from_str(&payload).unwrap();
    assert_eq!(payload["players"], json!([ada.id, bo.id]));
    assert_eq!(payload["teamA"], data["teamA"]);

    // The lobby is gone, and the started match is told again to who reconnects.
    ada.refused(json!({ "type": "lobby:join", "lobbyId": lobby["id"] }), "Lobby not found").await;
    world.end().await;
}

#[tokio::test]
async fn no_server_no_match_and_the_lobby_stays() {
    let world = World::with(|wish| {
        let fleet = wish.settings.games.get_mut(&game("skirmish")).unwrap().fleet.as_mut().unwrap();
        fleet.command = vec!["{greenroom}".into(), "nothing".into()];
    })
    .await;
    let mut ada = world.joined("Ada").await;
    let lobby = ada.create(json!({})).await;
    ada.send(json!({ "type": "lobby:ready" })).await;
    ada.refused(json!({ "type": "lobby:start" }), "Failed to allocate game server").await;
    let mut bo = world.joined("Bo").await;
    let seen = join(&mut bo, &lobby).await;
    assert_eq!((&seen["phase"], members(&seen)), (&json!("waiting"), 2));
    world.end().await;
}

#[tokio::test]
async fn a_kept_lobby_plays_and_waits_again_and_the_result_is_remembered() {
    let world = World::new().await;
    let (token, ada_id) = world.player("Ada").await;
    let mut ada = world.socket(&token).await;
    ada.create(json!({ "keep": true })).await;
    ada.send(json!({ "type": "lobby:ready" })).await;
    ada.send(json!({ "type": "lobby:start" })).await;
    let started = ada.until("match:started").await;
    let match_id = started["matchData"]["matchId"].as_str().unwrap().to_owned();
    // Who reconnects is told again.
    ada.cut();
    let mut ada = world.socket(&token).await;
    assert_eq!(ada.until("match:started").await["matchData"]["matchId"], json!(match_id));

    // The game server says by its own token how it went.
    let key = world.key("demo", KeyPermissions { hosting: true, ..none() }).await;
    let (_, servers) = read(world.get("/v1/games/skirmish/servers").header("x-api-key", &key)).await;
    let server = servers["servers"][0]["id"].as_str().unwrap().to_owned();
    let (_, log) = read(world.get(&format!("/v1/servers/{server}/logs")).header("x-api-key", &key)).await;
    let server_token =
        log.as_str().unwrap().lines().find_map(|line| line.strip_prefix("token=")).unwrap().to_owned();
    let (status, itself) = read(world.get(&format!("/v1/servers/{server}")).bearer_auth(&server_token)).await;
    assert_eq!((status, &itself["id"]), (200, &json!(server)));
    let ended = json!({
        "subject": format!("v1.skirmish.matches.{match_id}.events.ended"),
        "data": { "players": [{ "id": ada_id, "team": "A", "score": 7.0, "won": true }] },
    });
    assert_eq!(read(world.post("/v1/events").bearer_auth(&server_token).json(&ended)).await.0, 202);
    let of_another = json!({ "subject": "v1.skirmish.matches.another.events.ended", "data": {} });
    assert_eq!(read(world.post("/v1/events").bearer_auth(&server_token).json(&of_another)).await.0, 403);
    // It may do nothing else with it.
    for path in ["/v1/games/skirmish/servers", "/v1/events", "/v1/keys"] {
        assert_eq!(read(world.get(path).bearer_auth(&server_token)).await.0, 403, "{path}");
    }

    assert_eq!(ada.until("match:ended").await["matchId"], json!(match_id));
    let (status, history) = read(world.get("/v1/players/me/matches").bearer_auth(&token)).await;
    assert_eq!((status, history["matches"].as_array().unwrap().len()), (200, 1), "{history}");
    assert_eq!((&history["matches"][0]["score"], &history["matches"][0]["won"]), (&json!(7.0), &json!(true)));
    let one = read(world.get(&format!("/v1/players/me/matches/{match_id}")).bearer_auth(&token)).await;
    assert_eq!((one.0, &one.1["matchId"]), (200, &json!(match_id)));
    let (other, _) = world.player("Bo").await;
    assert_eq!(
        read(world.get(&format!("/v1/players/me/matches/{match_id}")).bearer_auth(other)).await.0,
        404
    );
    world.end().await;
}

#[tokio::test]
async fn beyond_the_template() {
    let world = World::new().await;
    let (mut ada, mut bo) = (world.joined("Ada").await, world.joined("Bo").await);
    let lobby = ada.create(json!({ "name": "Fun", "password": "secret" })).await;
    assert_eq!((&lobby["name"], &lobby["hasPassword"]), (&json!("Fun"), &json!(true)));
    assert!(!lobby.to_string().contains("secret"));
    bo.refused(json!({ "type": "lobby:join", "code": lobby["code"] }), "Wrong password").await;
    bo.send(json!({ "type": "lobby:join", "code": lobby["code"], "password": "secret" })).await;
    bo.lobby(|lobby| members(lobby) == 2).await;
    bo.send(json!({ "type": "lobby:team", "team": "A" })).await;
    ada.lobby(|lobby| lobby["teamA"].as_array().unwrap().len() == 2).await;
    ada.send(json!({ "type": "lobby:transfer", "accountId": bo.id })).await;
    let bo_id = bo.id.clone();
    bo.lobby(|lobby| lobby["ownerId"] == bo_id).await;
    ada.refused(json!({ "type": "lobby:kick", "accountId": bo.id }), "Only lobby owner can kick players")
        .await;
    bo.send(json!({ "type": "lobby:settings", "map": "dust", "isPrivate": true, "id": "s" })).await;
    assert_eq!(ada.lobby(|lobby| lobby["map"] == "dust").await["isPrivate"], true);
    bo.until_that(|message| *message == json!({ "type": "ok", "id": "s" })).await;
    bo.send(json!({ "type": "lobby:kick", "accountId": ada.id })).await;
    bo.lobby(|lobby| members(lobby) == 1).await;

    // The public list, live.
    let mut watcher = world.joined("Cy").await;
    watcher.send(json!({ "type": "lobby:list:watch" })).await;
    assert_eq!(watcher.until("lobby:list").await["lobbies"], json!([]));
    bo.send(json!({ "type": "lobby:settings", "isPrivate": false })).await;
    let news = watcher.until("lobby:list:changed").await;
    assert_eq!(news["changed"][0]["id"], lobby["id"]);
    bo.send(json!({ "type": "lobby:leave" })).await;
    let news = watcher
        .until_that(|message| message["removed"].as_array().is_some_and(|gone| !gone.is_empty()))
        .await;
    assert_eq!(news["removed"], json!([lobby["id"]]));
    world.end().await;
}
