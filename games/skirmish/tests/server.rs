//! The server, driven over real sockets by players and beside a Greenroom of a few lines.

mod support;

use serde_json::json;
use skirmish::{protocol::close, server::Environment};
use support::{FakeGreenroom, Player, Seen, Server, Signer, claims, long_args, quick_args};

const PAYLOAD: &str = r#"{
    "players": ["ann", "ben", "bot-1"],
    "teamA": [{"accountId": "ann", "username": "Ann"}, {"accountId": "bot-1", "username": "Bot 1"}],
    "teamB": [{"accountId": "ben", "username": "Ben"}]
}"#;

fn environment(greenroom: &FakeGreenroom) -> Environment {
    Environment {
        url: Some(greenroom.url.clone()),
        server_id: Some("s1".to_owned()),
        server_token: Some("secret".to_owned()),
        game: Some("skirmish".to_owned()),
        match_id: Some("m1".to_owned()),
        payload: Some(PAYLOAD.to_owned()),
        payload_file: None,
    }
}

async fn setting() -> (Signer, FakeGreenroom, Server) {
    let signer = Signer::new("k1");
    let greenroom = FakeGreenroom::start(vec![signer.jwk()], 0).await;
    let server = Server::start(long_args(), environment(&greenroom)).await;
    (signer, greenroom, server)
}

async fn join(server: &Server, signer: &Signer, player: &str) -> Player {
    let ticket = signer.ticket(player, 1);
    Player::connect(server, &format!("ticket={ticket}")).await
}

#[tokio::test]
async fn two_players_play_a_match_to_its_end_and_it_is_reported_once() {
    let signer = Signer::new("k1");
    let mut greenroom = FakeGreenroom::start(vec![signer.jwk()], 2).await;
    let server = Server::start(quick_args(), environment(&greenroom)).await;
    let mut ann = join(&server, &signer, "ann").await;
    let mut ben = join(&server, &signer, "ben").await;

    let welcome = ann.text("welcome").await;
    assert_eq!(welcome["matchId"], "m1");
    assert_eq!(welcome["players"].as_array().unwrap().len(), 6, "three a side");
    assert_eq!(welcome["players"][0]["name"], "Ann");
    let ben_seat = ben.text("welcome").await["you"].as_u64().unwrap();
    assert_eq!(welcome["players"][ben_seat as usize]["id"], "ben");

    ann.send(&[1, 7, 0, 1, 127, 0, 0, 0]).await;
    let result = ann.text("result").await;
    assert_eq!(result["reason"], "time");
    assert_eq!(result["durationMs"], 2000);
    assert_eq!(ben.text("result").await["players"], result["players"]);

    let (token, event) = greenroom.event().await;
    assert_eq!(token, "Bearer secret");
    assert_eq!(event["id"], "m1-ended");
    assert_eq!(event["subject"], "v1.skirmish.matches.m1.events.ended");
    assert_eq!(event["source"], "/servers/s1");
    assert_eq!(event["data"]["durationMs"], 2000);
    let players = event["data"]["players"].as_array().unwrap();
    assert!(players.iter().any(|player| player["id"] == "ben" && player["bot"] == false));
    assert_eq!(ann.close_code().await, close::NORMAL);
    server.ended().await;
    assert!(greenroom.events.try_recv().is_err(), "reported once");
}

#[tokio::test]
async fn snapshots_say_which_input_was_applied() {
    let (signer, _greenroom, server) = setting().await;
    let mut ann = join(&server, &signer, "ann").await;
    let you = ann.text("welcome").await["you"].as_u64().unwrap() as usize;
    let aim = ann.input(you, 0x539, 0x4000).await;
    assert!(aim.abs_diff(0x4000) <= 1, "aimed at {aim:#x}");
}

#[tokio::test]
async fn who_joins_again_gets_the_same_seat_and_the_older_socket_is_closed() {
    let (signer, _greenroom, server) = setting().await;
    let mut first = join(&server, &signer, "ann").await;
    let seat = first.text("welcome").await["you"].clone();
    let newer = signer.ticket("ann", 2);
    let mut second = Player::connect(&server, &format!("ticket={newer}")).await;
    assert_eq!(second.text("welcome").await["you"], seat);
    assert_eq!(first.close_code().await, close::REPLACED);

    let mut outdated = join(&server, &signer, "ann").await;
    assert!(outdated.text("refused").await["reason"].as_str().unwrap().contains("newer"));
    assert_eq!(outdated.close_code().await, close::NO_SEAT);
}

#[tokio::test]
async fn a_ticket_that_does_not_hold_is_refused() {
    let (signer, _greenroom, server) = setting().await;
    let stranger = Signer::new("k1");
    let good = signer.header();
    let with = |name: &str, value: serde_json::Value| {
        let mut changed = claims("ann", 1);
        changed[name] = value;
        signer.sign(&good, &changed)
    };
    let header = |name: &str, value: &str| {
        let mut changed = signer.header();
        changed[name] = json!(value);
        signer.sign(&changed, &claims("ann", 1))
    };
    let mut without_exp = claims("ann", 1);
    without_exp.as_object_mut().unwrap().remove("exp");
    let mut cut = signer.ticket("ann", 1);
    cut.truncate(cut.len() - 4);

    for (what, ticket, code) in [
        ("another's signature", stranger.ticket("ann", 1), close::TICKET),
        ("a cut signature", cut, close::TICKET),
        ("expired", with("exp", json!(1_700_000_000)), close::TICKET),
        ("without an end", signer.sign(&good, &without_exp), close::TICKET),
        ("another game", with("game", json!("chess")), close::TICKET),
        ("another server", with("server", json!("s2")), close::TICKET),
        ("no algorithm", header("alg", "none"), close::TICKET),
        ("another algorithm", header("alg", "HS256"), close::TICKET),
        ("another type", header("typ", "JWT"), close::TICKET),
        ("an unknown key", header("kid", "k9"), close::TICKET),
        ("nonsense", "nonsense".to_owned(), close::TICKET),
        ("too long", "x".repeat(5000), close::TICKET),
        ("another match", with("match", json!("m2")), close::NO_SEAT),
        ("no match", with("match", json!(null)), close::NO_SEAT),
        ("a spectator", with("role", json!("spectator")), close::NO_SEAT),
        ("not in the teams", with("player", json!("eve")), close::NO_SEAT),
        ("an odd team", with("team", json!(7)), close::TICKET),
        ("a bot's seat", with("player", json!("bot-1")), close::NO_SEAT),
    ] {
        let mut player = Player::connect(&server, &format!("ticket={ticket}")).await;
        player.text("refused").await;
        assert_eq!(player.close_code().await, code, "{what}");
    }
    let mut nobody = Player::connect(&server, "").await;
    assert_eq!(nobody.close_code().await, close::TICKET);
    let mut ann = join(&server, &signer, "ann").await;
    ann.text("welcome").await;
}

#[tokio::test]
async fn a_key_that_is_new_at_greenroom_is_fetched() {
    let newer = Signer::new("k2");
    let greenroom = FakeGreenroom::start(vec![], 0).await;
    let server = Server::start(long_args(), environment(&greenroom)).await;
    greenroom.keys.lock().unwrap().push(newer.jwk());
    loop {
        let mut ann = join(&server, &newer, "ann").await;
        // The first look may just have been made; keys are asked for every two seconds at most.
        match ann.next().await {
            Seen::Text(text) if text["type"] == "welcome" => break,
            Seen::Text(text) => assert_eq!(text["type"], "refused"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_client_that_misbehaves_loses_its_own_socket_only() {
    let (signer, _greenroom, server) = setting().await;
    let mut ben = join(&server, &signer, "ben").await;
    let you = ben.text("welcome").await["you"].as_u64().unwrap() as usize;

    let mut ann = join(&server, &signer, "ann").await;
    ann.send(b"not an input").await;
    assert_eq!(ann.close_code().await, close::POLICY);

    let mut ann = join(&server, &signer, "ann").await;
    ann.send(&[0; 1000]).await;
    assert!([close::POLICY, 1006].contains(&ann.close_code().await));

    let mut ann = join(&server, &signer, "ann").await;
    for sequence in 0..=255 {
        let frame = tokio_tungstenite::tungstenite::Message::binary(vec![1, sequence, 0, 0, 0, 0, 0, 0]);
        if futures_util::SinkExt::send(&mut ann.socket, frame).await.is_err() {
            break;
        }
    }
    assert!([close::POLICY, 1006].contains(&ann.close_code().await));

    ben.input(you, 7, 0).await;
}

#[tokio::test]
async fn a_server_started_ahead_takes_its_match_from_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("payload.json");
    let signer = Signer::new("k1");
    let mut greenroom = FakeGreenroom::start(vec![signer.jwk()], 0).await;
    let mut args = long_args();
    // Long enough to come back within it on a machine that stalls, short enough to wait for.
    args.idle_seconds = 5;
    let server = Server::start(
        args,
        Environment {
            match_id: None,
            payload: None,
            payload_file: Some(file.clone()),
            ..environment(&greenroom)
        },
    )
    .await;
    let mut early = join(&server, &signer, "ann").await;
    assert_eq!(early.close_code().await, close::NO_SEAT, "no match yet");

    let written = folder.path().join("payload.new");
    std::fs::write(&written, PAYLOAD).unwrap();
    std::fs::rename(written, file).unwrap();
    let mut ann = join(&server, &signer, "ann").await;
    assert_eq!(ann.text("welcome").await["players"][0]["name"], "Ann");
    drop(ann);
    let (_, event) = greenroom.event().await;
    assert_eq!(event["data"]["reason"], "abandoned");
    assert_eq!(event["subject"], "v1.skirmish.matches.m1.events.ended", "learned from the ticket");
    server.ended().await;
}

#[tokio::test]
async fn a_payload_without_teams_lets_in_whoever_has_a_ticket() {
    let signer = Signer::new("k1");
    let greenroom = FakeGreenroom::start(vec![signer.jwk()], 0).await;
    let server = Server::start(
        long_args(),
        Environment { payload: Some("anything".to_owned()), ..environment(&greenroom) },
    )
    .await;
    let mut ann = join(&server, &signer, "ann").await;
    let mut ben = join(&server, &signer, "ben").await;
    let (ann, ben) = (ann.text("welcome").await, ben.text("welcome").await);
    let team = |welcome: &serde_json::Value| {
        welcome["players"][welcome["you"].as_u64().unwrap() as usize]["team"].clone()
    };
    assert_ne!(team(&ann), team(&ben));
}

#[tokio::test]
async fn who_is_sent_late_takes_a_seat_that_was_only_filled_up() {
    let (signer, _greenroom, server) = setting().await;
    let mut late = claims("eve", 1);
    late["team"] = json!("B");
    late["name"] = json!("Eve");
    let ticket = signer.sign(&signer.header(), &late);
    let mut eve = Player::connect(&server, &format!("ticket={ticket}")).await;
    let welcome = eve.text("welcome").await;
    let seat = &welcome["players"][welcome["you"].as_u64().unwrap() as usize];
    assert_eq!((&seat["name"], &seat["team"]), (&json!("Eve"), &json!("B")));
    for (nth, expected) in [("dan", true), ("fay", false)] {
        let mut next = late.clone();
        next["player"] = json!(nth);
        let ticket = signer.sign(&signer.header(), &next);
        let mut player = Player::connect(&server, &format!("ticket={ticket}")).await;
        let Seen::Text(first) = player.next().await else {
            panic!("a text frame comes first");
        };
        assert_eq!(first["type"] == "welcome", expected, "{nth}: {first}");
    }
}

#[tokio::test]
async fn on_its_own_a_server_lets_in_anybody_by_name() {
    let mut args = quick_args();
    args.wait_seconds = 1;
    let server = Server::start(args, Environment::default()).await;
    let mut player = Player::connect(&server, "name=J%C3%BCrgen+K").await;
    let welcome = player.text("welcome").await;
    let you = welcome["you"].as_u64().unwrap() as usize;
    assert_eq!(welcome["players"][you]["name"], "Jürgen K");
    player.text("result").await;
    server.ended().await;
}

#[tokio::test]
async fn who_is_stopped_tells_its_players() {
    let (signer, _greenroom, server) = setting().await;
    let mut ann = join(&server, &signer, "ann").await;
    ann.text("welcome").await;
    server.stop.cancel();
    ann.text("closing").await;
    assert_eq!(ann.close_code().await, close::RESTART);
    server.ended().await;
}

#[tokio::test]
async fn another_path_is_not_found() {
    let (_signer, _greenroom, server) = setting().await;
    let url = format!("ws://{}/elsewhere", server.address);
    let error = tokio_tungstenite::connect_async(url).await.unwrap_err();
    assert!(error.to_string().contains("404"), "{error}");
}
