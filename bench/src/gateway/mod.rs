//! The gateway beside a plain proxy: what each adds to a message's time, and what CPU it takes.
//!
//! In front of the same echo server stand nothing, a proxy that is nothing but
//! `tokio::io::copy_bidirectional`, and Greenroom. The same load goes through each in turn, so that
//! what the machine does meanwhile comes to all.

mod crowd;
pub(crate) mod echo;
pub(crate) mod plain;

use std::{
    env,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use clap::Args;
use serde::Deserialize;

use crate::{
    machine::Machine,
    main_job::raise_descriptors,
    process,
    report::{Report, Target, Unit},
    server::{Bench, How, Server},
    settings::{self, RELAYED, Settings},
};
use crowd::{Crowd, Window};

const NAME: &str = "gateway";

/// What is measured, and how thoroughly.
#[derive(Args)]
pub(crate) struct Arguments {
    /// How often everything is measured; the median and the spread of these are shown
    #[arg(long, default_value_t = 5)]
    runs: u32,
    /// How long each way is measured in a run
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// WebSocket connections of each way
    #[arg(long, default_value_t = 1_000)]
    connections: usize,
    /// Messages a second over all connections
    #[arg(long, default_value_t = 5_000.0)]
    rate: f64,
    /// Makes the arrivals of another run again; printed with every run
    #[arg(long)]
    seed: Option<u64>,
    /// The program that is measured [default: the one beside this]
    #[arg(long, value_name = "FILE")]
    greenroom: Option<PathBuf>,
    /// Where data folders are made [default: beside this program]
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

/// Measures, and prints a table and one line of JSON.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let own = env::current_exe()?;
    let greenroom = arguments.greenroom.clone().unwrap_or_else(|| own.with_file_name("greenroom"));
    let beside = own.parent().context("this program has no folder")?;
    let bench = Bench::new(&greenroom, arguments.folder.as_deref().unwrap_or(beside))?;
    let machine = Machine::look(bench.root(), raise_descriptors()?);
    let seed = arguments.seed.unwrap_or_else(rand::random);
    eprintln!("--seed {seed}");
    let mut report = Report::new(machine, settings::raised());

    let data = bench.folder()?;
    let echo = [own.display().to_string(), "echo".into(), "{port}".into()];
    let settings = Settings { relayed: Some(echo.to_vec()), ..Settings::default() };
    let server = bench.start(&How::Dev(&settings), data.path())?;
    let game = Game::start(&server)?;
    let plain = Plain::start(&own, game.address)?;
    let ways = [("/", game.address), ("/", plain.address), (&*game.path, server.address())];
    let [mut direct, mut through_plain, mut through_gateway] =
        ways.map(|(path, address)| Crowd::connect(address, path, arguments.connections, seed));
    let (direct, through_plain, through_gateway) =
        (direct.as_mut(), through_plain.as_mut(), through_gateway.as_mut());
    let [Ok(direct), Ok(through_plain), Ok(through_gateway)] = [direct, through_plain, through_gateway]
    else {
        anyhow::bail!("{} connections of each way could not be opened", arguments.connections);
    };
    let time = Duration::from_secs(arguments.seconds);
    for _ in 0..arguments.runs {
        let bare = direct.run(arguments.rate, time, &mut || Ok(Duration::ZERO))?;
        let plain = through_plain.run(arguments.rate, time, &mut || process::cpu(plain.child.id()))?;
        let gateway = through_gateway.run(arguments.rate, time, &mut || server.cpu())?;
        for (name, window) in [("nothing", &bare), ("the plain proxy", &plain), ("the gateway", &gateway)] {
            eprintln!("{name:>16}: {}", window.line());
        }
        tell(&mut report, &bare, &plain, &gateway);
    }
    println!("{}", report.table());
    println!("{}", report.json()?);
    server.stop()
}

fn tell(report: &mut Report, bare: &Window, plain: &Window, gateway: &Window) {
    let p99 = |window: &Window| window.latency.quantile_ms(0.99);
    // A machine's noise may make what is added nothing at all: less than 1 µs is not told apart.
    let added = |window: &Window| (p99(window) - p99(bare)).max(0.001);
    report.add(
        NAME,
        "p99 added, gateway to plain",
        Unit::Ratio,
        Target::AtMost(2.0),
        added(gateway) / added(plain),
    );
    report.add(
        NAME,
        "CPU, gateway to plain",
        Unit::Ratio,
        Target::AtMost(1.3),
        gateway.cpu_each_us() / plain.cpu_each_us(),
    );
    for (name, value) in [
        ("p99 through nothing", p99(bare)),
        ("p99 through the plain proxy", p99(plain)),
        ("p99 through the gateway", p99(gateway)),
        ("p50 through the plain proxy", plain.latency.quantile_ms(0.5)),
        ("p50 through the gateway", gateway.latency.quantile_ms(0.5)),
        ("p99 of the generator's own delay", gateway.delay.quantile_ms(0.99)),
    ] {
        report.note(NAME, name, Unit::Ms, value);
    }
    report.note(NAME, "CPU of the plain proxy a message", Unit::Us, plain.cpu_each_us());
    report.note(NAME, "CPU of the gateway a message", Unit::Us, gateway.cpu_each_us());
}

/// The game server that Greenroom has started.
struct Game {
    address: SocketAddr,
    path: String,
}

#[derive(Deserialize)]
struct Allocated {
    server: AllocatedServer,
}

#[derive(Deserialize)]
struct AllocatedServer {
    id: String,
    port: u16,
}

#[derive(Deserialize)]
struct View {
    code: String,
}

impl Game {
    fn start(server: &Server) -> anyhow::Result<Self> {
        let mut http = server.http()?;
        let answer = http.call("POST", &format!("/v1/games/{RELAYED}/servers"), b"{}")?;
        let allocated: Allocated = serde_json::from_slice(&answer)?;
        let answer = http.call("GET", &format!("/v1/servers/{}", allocated.server.id), b"")?;
        let view: View = serde_json::from_slice(&answer)?;
        let address = SocketAddr::from(([127, 0, 0, 1], allocated.server.port));
        Ok(Self { address, path: format!("/games/{RELAYED}/{}/", view.code) })
    }
}

/// The proxy that the gateway is held against, as a process of its own.
struct Plain {
    child: Child,
    address: SocketAddr,
}

impl Plain {
    fn start(own: &Path, target: SocketAddr) -> anyhow::Result<Self> {
        let mut child = Command::new(own)
            .args(["plain-proxy", &target.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("the plain proxy does not start")?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("its output is not piped")?;
        BufReader::new(stdout).read_line(&mut line)?;
        ensure!(!line.is_empty(), "the plain proxy ended before it listened");
        Ok(Self { child, address: line.trim().parse()? })
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
