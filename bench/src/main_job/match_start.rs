//! From `lobby:start` to `match:started`: with a process that is started for it, and from the pool.

use std::{
    net::TcpStream,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use greenroom_protocol::hosting::{ServerList, ServerState};

use crate::{
    load::{http::Http, latency::Latency, sockets::Socket},
    main_job::{Context, players},
    reference::{self, rows::Rows},
    report::{Target, Unit},
    server::{Bench, How, free_address},
    settings::{GAME, Settings},
};

/// Matches of one run that are started cold, and as many bare starts of the same program.
const COLD_STARTS: usize = 20;

/// Servers that stand ready.
const POOL: u32 = 4;

/// Single durable commits that a warm start is compared with.
const COMMITS: usize = 500;

/// What Greenroom may add to the program's own time.
const ADDED_MAX_MS: f64 = 20.0;

/// A warm start may take this long, or so many durable commits.
const WARM_MAX_MS: f64 = 5.0;
const WARM_COMMITS: f64 = 12.0;

/// How long the game servers may take to be as they should be before the next match.
const CALM_MAX: Duration = Duration::from_mins(1);

const NAME: &str = "match start";

pub(super) fn measure(context: &mut Context) -> anyhow::Result<()> {
    for _ in 0..context.arguments.runs {
        cold(context)?;
        warm(context)?;
    }
    Ok(())
}

fn cold(context: &mut Context) -> anyhow::Result<()> {
    let (mut started, mut alone) = (Latency::new()?, Latency::new()?);
    let data = context.bench.folder()?;
    let server = context.bench.start(&How::Dev(&Settings::default()), data.path())?;
    let mut owner = Owner::new(server.http()?)?;
    for _ in 0..COLD_STARTS {
        // By turns, so that both see the same machine.
        alone.record(bare_start(context.bench)?);
        owner.calm_down(0)?;
        started.record(owner.start_match()?);
        owner.stop_servers()?;
    }
    server.stop()?;
    let report = &mut context.report;
    let added = started.quantile_ms(0.5) - alone.quantile_ms(0.5);
    report.add(
        NAME,
        "cold: added to the program's own start, p50",
        Unit::Ms,
        Target::AtMost(ADDED_MAX_MS),
        added,
    );
    report.note(NAME, "cold: lobby:start to match:started, p50", Unit::Ms, started.quantile_ms(0.5));
    report.note(NAME, "cold: the same, longest", Unit::Ms, started.max_ms());
    report.note(NAME, "bare: spawn to listening, p50", Unit::Ms, alone.quantile_ms(0.5));
    report.note(NAME, "bare: the same, longest", Unit::Ms, alone.max_ms());
    Ok(())
}

fn warm(context: &mut Context) -> anyhow::Result<()> {
    let settings = Settings { ready_min: POOL, ..Settings::default() };
    let data = context.bench.folder()?;
    let server = context.bench.start(&How::Dev(&settings), data.path())?;
    let mut owner = Owner::new(server.http()?)?;
    let mut started = Latency::new()?;
    let mut syncs = 0;
    for _ in 0..context.arguments.warm_starts {
        owner.calm_down(POOL as usize)?;
        let before = server.fsyncs()?;
        started.record(owner.start_match()?);
        syncs += (server.fsyncs()? - before).calls;
        owner.stop_servers()?;
    }
    server.stop()?;
    let folder = context.bench.folder()?;
    let commits = reference::commit_latency(folder.path(), &Rows::plain(), COMMITS)?;
    let bound = (commits.quantile_ms(0.99) * WARM_COMMITS).max(WARM_MAX_MS);
    let report = &mut context.report;
    report.add(NAME, "warm: p99", Unit::Ms, Target::AtMost(bound), started.quantile_ms(0.99));
    report.note(NAME, "warm: p50", Unit::Ms, started.quantile_ms(0.5));
    report.note(NAME, "warm: longest", Unit::Ms, started.max_ms());
    report.note(NAME, "a bare durable commit, p99", Unit::Ms, commits.quantile_ms(0.99));
    report.note(NAME, "a bare durable commit, p50", Unit::Ms, commits.quantile_ms(0.5));
    let each = syncs as f64 / started.count() as f64;
    report.note(NAME, "warm: fsyncs a start", Unit::Count, each);
    Ok(())
}

/// A player who starts match after match, and the operator who clears up after it.
struct Owner {
    socket: Socket,
    http: Http,
}

impl Owner {
    fn new(http: Http) -> anyhow::Result<Self> {
        let players = players::sign_in(http.address(), 1)?;
        let player = players.first().context("nobody is signed in")?;
        Ok(Self { socket: Socket::connect(http.address(), &player.access_token)?, http })
    }

    /// Makes a lobby and starts its match; the time from the start's command to the match's news.
    fn start_match(&mut self) -> anyhow::Result<Duration> {
        self.socket.send(r#"{"type":"lobby:create"}"#)?;
        self.socket.wait_for("lobby:created")?;
        self.socket.send(r#"{"type":"lobby:ready"}"#)?;
        self.socket.wait_until("lobby:updated", |frame| frame.contains("\"ready\":true"))?;
        let began = Instant::now();
        self.socket.send(r#"{"type":"lobby:start"}"#)?;
        self.socket.wait_for("match:started")?;
        Ok(began.elapsed())
    }

    fn servers(&mut self) -> anyhow::Result<ServerList> {
        let body = self.http.call("GET", &format!("/v1/games/{GAME}/servers?limit=50"), b"")?;
        Ok(serde_json::from_slice(&body)?)
    }

    fn stop_servers(&mut self) -> anyhow::Result<()> {
        for server in self.servers()?.servers {
            if server.state == ServerState::Allocated {
                self.http.call("DELETE", &format!("/v1/servers/{}", server.id), b"")?;
            }
        }
        Ok(())
    }

    /// Waits until exactly `ready` servers stand ready and no other one lives.
    fn calm_down(&mut self, ready: usize) -> anyhow::Result<()> {
        let deadline = Instant::now() + CALM_MAX;
        loop {
            let servers = self.servers()?.servers;
            let living: Vec<_> = servers.iter().filter(|server| !server.state.is_final()).collect();
            if living.len() == ready && living.iter().all(|server| server.state == ServerState::Ready) {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{} servers live instead of {ready} ready ones", living.len());
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The program's own time from its spawn until it listens, which a connection shows.
fn bare_start(bench: &Bench) -> anyhow::Result<Duration> {
    let address = free_address()?;
    let mut command = Command::new(bench.greenroom());
    command
        .args(["skirmish-server", "--name", "bare", "--port", &address.port().to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let began = Instant::now();
    let mut program = Killed(command.spawn()?);
    loop {
        if TcpStream::connect(address).is_ok() {
            return Ok(began.elapsed());
        }
        ensure!(program.0.try_wait()?.is_none(), "the bare game server ended at once");
        ensure!(began.elapsed() < CALM_MAX, "the bare game server does not listen");
        thread::sleep(Duration::from_micros(100));
    }
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
