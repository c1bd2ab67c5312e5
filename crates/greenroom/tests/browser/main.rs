//! README's promise from outside: the built program, and two people with browsers who sign in, meet in a lobby, play
//! a match to its end on a server that was started for them, and a rematch.

mod browser;
mod console;
mod greenroom;
mod processes;

use std::{
    collections::HashSet,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use fantoccini::actions::KeyAction;
use greenroom_protocol::{
    events::PlayerMatches,
    hosting::{ServerState, ServerView},
    lobby::{LobbyPhase, LobbyView},
};
use greenroom_test_support::engines::require_engine;
use serde::Deserialize;
use serde_json::Value;
use tokio::try_join;

use crate::{
    browser::{Driver, Page, Programs, Screen},
    greenroom::Greenroom,
    processes::Folder,
};

/// All of it; an eighth of that where the machine is not busy.
const WALK_MAX: Duration = Duration::from_mins(8);
/// A match, with its countdown and what may hold it up.
const MATCH_MAX: Duration = Duration::from_secs(90);
const POLL_EVERY: Duration = Duration::from_millis(50);
/// How far a player has to get, in world units: more than it is wide.
const STEPS: f64 = 60.0;

#[tokio::test]
async fn two_browsers_play_a_match_and_a_rematch() -> anyhow::Result<()> {
    let programs = require_engine(
        "Chromium with its chromedriver",
        Programs::find(),
        "two_browsers_play_a_match_and_a_rematch",
    );
    let Some(programs) = programs else { return Ok(()) };
    let pictures = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser");
    fs::create_dir_all(&pictures)?;
    let folder = Folder::new()?;
    let greenroom = Greenroom::start(&folder, &pictures.join("greenroom.log"))?;
    let driver = Driver::start(programs, &folder, &pictures)?;
    let walked = tokio::time::timeout(WALK_MAX, walk(&greenroom, &driver)).await;
    walked.with_context(|| format!("not done after {WALK_MAX:?}"))??;
    drop(driver);
    let status = greenroom.stop().context("Greenroom stops when it is asked to")?;
    assert!(status.success(), "{status}");
    assert_eq!(folder.processes(), [], "nothing is left behind");
    Ok(())
}

async fn walk(greenroom: &Greenroom, driver: &Driver<'_>) -> anyhow::Result<()> {
    let (ann, bob) = try_join!(driver.open("ann", Screen::Desktop), driver.open("bob", Screen::Phone))?;
    try_join!(sign_in(greenroom, &ann, "Ann"), sign_in(greenroom, &bob, "Bob"))?;
    meet(&ann, &bob).await?;
    talk(&ann, &bob).await?;
    choose_teams(&ann, &bob).await?;
    get_ready(&ann, &bob).await?;
    let first = start(&ann, &bob).await?;
    try_join!(walk_by_keyboard(&ann), walk_by_touch(&bob))?;
    for page in [&ann, &bob] {
        page.until("game.players.some(({ alive, health }) => !alive || health < 100)").await?;
        page.picture("match").await?;
    }
    see_result(&ann, &bob).await?;

    for page in [&ann, &bob] {
        page.click("rematch-button").await?;
    }
    for page in [&ann, &bob] {
        page.until("game.view === 'lobby' && game.lobby.phase === 'waiting' && game.lobby.teamA[0].ready && game.lobby.teamB[0].ready").await?;
    }
    waits_again(greenroom, &ann).await?;
    servers_ended(greenroom, &[&first]).await?;

    let second = start(&ann, &bob).await?;
    assert_ne!(first, second);
    reload(&ann, &bob, &second).await?;
    see_result(&ann, &bob).await?;
    servers_ended(greenroom, &[&second, &first]).await?;
    for page in [&ann, &bob] {
        history_has(greenroom, page, &[&second, &first]).await?;
    }

    for page in [&ann, &bob] {
        page.click("to-lobbies-button").await?;
        page.until("game.view === 'lobbies'").await?;
    }
    ann.until("document.querySelectorAll(\"[data-testid='lobby-item']\").length === 0").await?;
    let mut complaints = ann.complaints().await?;
    complaints.extend(bob.complaints().await?);
    assert_eq!(complaints, Vec::<String>::new(), "the browsers have nothing to complain about");
    try_join!(ann.close(), bob.close())?;
    Ok(())
}

async fn sign_in(greenroom: &Greenroom, page: &Page, name: &str) -> anyhow::Result<()> {
    page.goto(&format!("{}/play/skirmish/", greenroom.url())).await?;
    page.until("game.view === 'sign-in'").await?;
    page.picture("1-sign-in").await?;
    page.fill("name-input", name).await?;
    page.click("sign-in").await?;
    page.until("game.view === 'lobbies'").await?;
    page.until_text("my-name", name).await
}

/// Ann makes a lobby; Bob comes by the list, leaves, and comes again by the code.
async fn meet(ann: &Page, bob: &Page) -> anyhow::Result<()> {
    ann.fill("lobby-name", "Friday night").await?;
    ann.click("lobby-create").await?;
    ann.until("game.view === 'lobby'").await?;
    bob.until_text("lobby-list", "Friday night").await?;
    bob.picture("2-lobbies").await?;
    bob.click("list-join").await?;
    both_see(ann, bob, "game.view === 'lobby' && game.lobby.teamA.length + game.lobby.teamB.length === 2")
        .await?;
    bob.click("leave-button").await?;
    bob.until("game.view === 'lobbies'").await?;
    ann.until("game.lobby.teamA.length + game.lobby.teamB.length === 1").await?;
    let code: String = ann.get("game.lobby.code").await?;
    bob.fill("join-code", &code).await?;
    bob.click("join-button").await?;
    both_see(ann, bob, "game.view === 'lobby' && game.lobby.teamA.length + game.lobby.teamB.length === 2")
        .await
}

async fn both_see(ann: &Page, bob: &Page, expression: &str) -> anyhow::Result<()> {
    try_join!(ann.until(expression), bob.until(expression))?;
    Ok(())
}

async fn talk(ann: &Page, bob: &Page) -> anyhow::Result<()> {
    for (from, to, text) in [(ann, bob, "Hello Bob, <b>ready</b>?"), (bob, ann, "Almost ☕")] {
        from.fill("chat-input", text).await?;
        from.click("chat-send").await?;
        from.until_text("chat-log", text).await?;
        to.until_text("chat-log", text).await?;
    }
    Ok(())
}

/// Who comes is put into the smaller team; Bob looks at the other one and goes back.
async fn choose_teams(ann: &Page, bob: &Page) -> anyhow::Result<()> {
    both_see(ann, bob, "game.lobby.teamB[0]?.username === 'Bob'").await?;
    bob.click("join-team-a").await?;
    both_see(ann, bob, "game.lobby.teamA.length === 2").await?;
    bob.click("join-team-b").await?;
    both_see(ann, bob, "game.lobby.teamB[0]?.username === 'Bob' && game.lobby.teamA[0]?.username === 'Ann'")
        .await
}

async fn get_ready(ann: &Page, bob: &Page) -> anyhow::Result<()> {
    ann.click("ready-button").await?;
    both_see(ann, bob, "game.lobby.teamA[0].ready").await?;
    let disabled = "document.getElementById('start-button').disabled";
    assert!(ann.get::<bool>(disabled).await?, "nobody starts while Bob is not ready");
    for page in [ann, bob] {
        page.picture("3-lobby").await?;
    }
    bob.click("ready-button").await?;
    both_see(ann, bob, "game.lobby.teamB[0].ready").await
}

/// Ann starts; both get to the same match, each on the team that was chosen. The match's id.
async fn start(ann: &Page, bob: &Page) -> anyhow::Result<String> {
    ann.click("start-button").await?;
    both_see(ann, bob, "game.view === 'game' && game.connected && game.phase === 'playing' && game.tick > 0")
        .await?;
    let (mut ids, mut seats) = (HashSet::new(), HashSet::new());
    for (page, name, team) in [(ann, "Ann", "A"), (bob, "Bob", "B")] {
        let (id, seat, players, players_ready): (String, i64, Vec<Player>, bool) = page
            .get("[game.matchId, game.you, game.players, game.players.every(({ bot, connected }) => bot || connected)]")
            .await?;
        let own = &players[usize::try_from(seat)?];
        assert_eq!((own.name.as_str(), own.team.as_str(), own.bot), (name, team, false));
        assert_eq!(players.iter().filter(|player| player.bot).count(), 4, "bots fill two teams of three");
        assert!(players_ready, "nobody is missing");
        ids.insert(id);
        seats.insert(seat);
    }
    assert_eq!((ids.len(), seats.len()), (1, 2), "one match, two seats");
    ids.into_iter().next().context("the match has an id")
}

#[derive(Deserialize)]
struct Player {
    name: String,
    team: String,
    bot: bool,
}

/// Ann's team starts at the left: she holds D until she has got somewhere.
async fn walk_by_keyboard(ann: &Page) -> anyhow::Result<()> {
    let from = place(ann).await?;
    ann.key(KeyAction::Down { value: 'd' }).await?;
    ann.until(&format!("game.players[game.you].x > {}", from + STEPS)).await?;
    ann.let_go().await
}

/// Bob's team starts at the right: he drags the left stick to the left.
async fn walk_by_touch(bob: &Page) -> anyhow::Result<()> {
    let from = place(bob).await?;
    bob.drag((100.0, 600.0), (40.0, 600.0)).await?;
    bob.until(&format!("game.players[game.you].x < {}", from - STEPS)).await?;
    bob.picture("4-touch").await?;
    bob.let_go().await
}

async fn place(page: &Page) -> anyhow::Result<f64> {
    page.get("game.players[game.you].x").await
}

/// The match ends by its clock, and both are shown the same.
async fn see_result(ann: &Page, bob: &Page) -> anyhow::Result<()> {
    let mut results = Vec::new();
    for page in [ann, bob] {
        page.until_within(MATCH_MAX, "game.result && !document.getElementById('result').hidden").await?;
        let mut result: Value = page.get("game.result").await?;
        let scores = &result["scores"];
        page.until_text("result", &scores[0].to_string()).await?;
        page.until_text("result", &scores[1].to_string()).await?;
        for name in ["Ann", "Bob"] {
            page.until_text("result", name).await?;
        }
        assert_eq!(result["reason"], "time", "{result}");
        assert_eq!(result["players"].as_array().map(Vec::len), Some(6), "{result}");
        page.picture("5-result").await?;
        result["closesInMs"].take();
        results.push(result);
    }
    assert_eq!(results[0], results[1]);
    Ok(())
}

/// Bob reloads in the middle of a match and has his seat again.
async fn reload(ann: &Page, bob: &Page, id: &str) -> anyhow::Result<()> {
    let seat: i64 = bob.get("game.you").await?;
    bob.until("game.players.some(({ alive, health }) => !alive || health < 100)").await?;
    bob.reload().await?;
    bob.until("game.view === 'game' && game.connected && game.phase === 'playing'").await?;
    let after: (i64, String, bool) =
        bob.get("[game.you, game.matchId, game.tick > 0 || game.connected]").await?;
    assert_eq!(after, (seat, id.to_owned(), true));
    ann.until(&format!("game.phase === 'playing' && game.players[{seat}].connected")).await?;
    walk_again(bob).await
}

/// Inputs still count: wherever he is now, he gets away from there.
async fn walk_again(bob: &Page) -> anyhow::Result<()> {
    bob.until("game.players[game.you]?.alive").await?;
    let from = place(bob).await?;
    bob.drag((100.0, 600.0), (40.0, 560.0)).await?;
    bob.until(&format!("Math.abs(game.players[game.you].x - {from}) > {STEPS}")).await?;
    bob.picture("6-resumed").await?;
    bob.let_go().await
}

/// Greenroom too says that the lobby waits, with both in it.
async fn waits_again(greenroom: &Greenroom, page: &Page) -> anyhow::Result<()> {
    let token = token(page).await?;
    let lobbies: Vec<LobbyView> = greenroom.as_player(&token, "/lobbies").await?;
    let [lobby] = &lobbies[..] else { panic!("one lobby, not {lobbies:?}") };
    assert_eq!(lobby.phase, LobbyPhase::Waiting);
    let names: Vec<_> =
        lobby.team_a.iter().chain(&lobby.team_b).map(|member| member.username.as_str()).collect();
    assert_eq!(names, ["Ann", "Bob"]);
    Ok(())
}

/// A server was started for each of these matches, newest first, and each has ended well by itself,
/// with its log kept.
async fn servers_ended(greenroom: &Greenroom, matches: &[&String]) -> anyhow::Result<()> {
    let deadline = Instant::now() + MATCH_MAX;
    let servers = loop {
        let servers = greenroom.servers().await?;
        if servers.iter().all(|server| server.state.is_final()) {
            break servers;
        }
        anyhow::ensure!(Instant::now() < deadline, "servers that should have ended: {servers:?}");
        tokio::time::sleep(POLL_EVERY).await;
    };
    let played: Vec<_> = servers.iter().filter_map(match_of).collect();
    assert_eq!(played, matches.iter().map(|id| (*id).clone()).collect::<Vec<_>>());
    for server in &servers {
        assert_eq!(server.state, ServerState::Ended, "{server:?}");
        let exit = server.exit.as_ref().context("an ended server tells how")?;
        assert_eq!((exit.code, exit.signal, exit.crashed), (Some(0), None, false), "{server:?}");
        let log = greenroom.log_of(server).await?;
        assert!(log.contains("match assigned") && log.contains("match ended"), "{log}");
    }
    Ok(())
}

fn match_of(server: &ServerView) -> Option<String> {
    Some(server.allocation.as_ref()?.match_id.as_ref()?.to_string())
}

/// The player's own history has these matches, newest first, with their ends.
async fn history_has(greenroom: &Greenroom, page: &Page, matches: &[&String]) -> anyhow::Result<()> {
    let token = token(page).await?;
    let deadline = Instant::now() + MATCH_MAX;
    let history = loop {
        let history: PlayerMatches = greenroom.as_player(&token, "/v1/players/me/matches").await?;
        if history.matches.len() == matches.len() && history.matches.iter().all(|one| one.ended_at.is_some())
        {
            break history;
        }
        anyhow::ensure!(Instant::now() < deadline, "the history is {history:?}");
        tokio::time::sleep(POLL_EVERY).await;
    };
    for (one, id) in history.matches.iter().zip(matches) {
        assert_eq!(&&one.match_id.to_string(), id);
        assert!(one.team.is_some() && one.score.is_some() && one.won.is_some(), "{one:?}");
        assert_eq!(one.players.len(), 6, "{one:?}");
    }
    Ok(())
}

async fn token(page: &Page) -> anyhow::Result<String> {
    page.get("sessionStorage.getItem('skirmish.token')").await
}
