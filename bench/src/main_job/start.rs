//! From a start to serving requests: on an empty data folder, and on one with a past.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use greenroom_protocol::hosting::ServerList;

use crate::{
    load::{
        http::{self, Http},
        requests::{self, Until},
    },
    main_job::{Context, players},
    report::{Target, Unit, median},
    server::{How, Server},
    settings::{GAME, SLEEPER, Settings},
};

/// Starts of one run; their median is the run's figure.
const STARTS: usize = 5;

/// How long a server does nothing before its memory is looked at.
const IDLE: Duration = Duration::from_secs(2);

const LOBBIES: usize = 1_000;
const SERVERS: u64 = 100;

/// Connections over which servers are allocated, and history is written.
const CONNECTIONS: usize = 8;

/// Bytes of an event's own data, and events of one request.
const DATA_BYTES: usize = 1_024;
const EVENTS: usize = 500;

const NAME: &str = "start";

pub(super) fn measure(context: &mut Context, size: u64) -> anyhow::Result<()> {
    let mib = f64::from(1 << 20);
    context.report.add(NAME, "size of the program", Unit::Mib, Target::AtMost(40.0), size as f64 / mib);
    for _ in 0..context.arguments.runs {
        empty(context)?;
    }
    full(context)
}

fn empty(context: &mut Context) -> anyhow::Result<()> {
    let mut starts = Vec::new();
    for start in 0..STARTS {
        let data = context.bench.folder()?;
        let server = context.bench.start(&How::DevAsItComes, data.path())?;
        starts.push(ms(server.started_in()));
        if start == 0 {
            thread::sleep(IDLE);
            context.report.add(
                NAME,
                "idle resident memory",
                Unit::Mib,
                Target::AtMost(40.0),
                server.resident_mib()?,
            );
            let syncs = server.fsyncs()?.calls as f64;
            context.report.note(NAME, "fsyncs of a start on an empty folder", Unit::Count, syncs);
        }
        server.stop()?;
    }
    context.report.add(NAME, "empty folder to serving", Unit::Ms, Target::AtMost(300.0), median(starts));
    Ok(())
}

fn full(context: &mut Context) -> anyhow::Result<()> {
    let data = context.bench.folder()?;
    let settings = Settings { sleeper: true, ..Settings::default() };
    let past = fill(context, &settings, data.path())?;
    for _ in 0..context.arguments.runs {
        let mut starts = Vec::new();
        for start in 0..STARTS {
            let server = context.bench.start(&How::Serve(&settings), data.path())?;
            starts.push(ms(server.started_in()));
            if start == 0 {
                thread::sleep(IDLE);
                let resident = server.resident_mib()?;
                context.report.note(NAME, "resident memory, full folder", Unit::Mib, resident);
                past.is_there(&server)?;
            }
            server.stop()?;
        }
        context.report.add(NAME, "full folder to serving", Unit::Ms, Target::AtMost(150.0), median(starts));
    }
    for _ in 0..context.arguments.runs {
        let server = context.bench.start(&How::Serve(&settings), data.path())?;
        server.kill()?;
        let server = context.bench.start(&How::Serve(&settings), data.path())?;
        context.report.note(NAME, "full folder to serving, after a kill", Unit::Ms, ms(server.started_in()));
        server.stop()?;
    }
    // `dev` takes its game servers with it.
    context.bench.start(&How::Dev(&settings), data.path())?.stop()
}

/// Gives the folder its past, through the interface: lobbies, running servers, history. Greenroom
/// is killed at the end, as only that leaves the servers running under `dev`.
fn fill(context: &mut Context, settings: &Settings, data: &Path) -> anyhow::Result<Past> {
    let server = context.bench.start(&How::Dev(settings), data)?;
    let players = players::sign_in(server.address(), LOBBIES)?;
    let mut sockets = players::connect(server.address(), &players)?;
    for socket in &mut sockets {
        socket.send(r#"{"type":"lobby:create"}"#)?;
        socket.wait_for("lobby:created")?;
    }
    let key = format!("X-Api-Key: {}\r\n", server.api_key());
    let path = format!("/v1/games/{SLEEPER}/servers");
    let allocate = |_, out: &mut Vec<u8>| http::request("POST", &path, &key, b"{}", out);
    requests::run(server.address(), CONNECTIONS, Until::Count(SERVERS), allocate, |_| Ok(()))?;

    let began = Instant::now();
    let requests = (context.arguments.history_mib << 20).div_ceil((DATA_BYTES * EVENTS) as u64);
    let body = events();
    let append = |_, out: &mut Vec<u8>| http::request("POST", "/v1/events", &key, &body, out);
    requests::run(server.address(), CONNECTIONS, Until::Count(requests), append, |_| Ok(()))?;
    let file = data.join("event-log.sqlite").metadata().context("there is no history")?.len();
    eprintln!(
        "{LOBBIES} lobbies, {SERVERS} servers, {} events in {} MiB after {:.0} s",
        requests * EVENTS as u64,
        file >> 20,
        began.elapsed().as_secs_f64()
    );
    let api_key = server.api_key().to_owned();
    server.kill()?;
    let player_token = players.into_iter().next().context("nobody is signed in")?.access_token;
    Ok(Past { player_token, api_key })
}

fn events() -> Vec<u8> {
    let padding = "x".repeat(DATA_BYTES);
    let event = |index: usize| {
        format!(
            r#"{{"subject":"v1.{GAME}.servers.s{}.players.p{index}.events.connected","data":"{padding}"}}"#,
            index % 10
        )
    };
    format!("[{}]", (0..EVENTS).map(event).collect::<Vec<_>>().join(",")).into_bytes()
}

/// Who may look at what a full folder has in it.
struct Past {
    player_token: String,
    api_key: String,
}

impl Past {
    /// Fails unless all of it is there: a start that forgets is fast.
    fn is_there(&self, server: &Server) -> anyhow::Result<()> {
        let token = format!("Bearer {}", self.player_token);
        let mut http = Http::connect(server.address())?.with_header("Authorization", &token);
        let lobbies: Vec<serde_json::Value> = serde_json::from_slice(&http.call("GET", "/lobbies", b"")?)?;
        ensure!(lobbies.len() == LOBBIES, "{} lobbies are there instead of {LOBBIES}", lobbies.len());
        let mut http = Http::connect(server.address())?.with_header("X-Api-Key", &self.api_key);
        let path = format!("/v1/games/{SLEEPER}/servers?state=allocated&limit=500");
        let servers: ServerList = serde_json::from_slice(&http.call("GET", &path, b"")?)?;
        let count = servers.servers.len();
        ensure!(count as u64 == SERVERS, "{count} servers are there instead of {SERVERS}");
        Ok(())
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
