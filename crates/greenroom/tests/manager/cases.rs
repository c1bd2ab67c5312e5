//! What shipped game clients do, whatever runs the game servers.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use futures_util::{StreamExt as _, future::join_all, stream};
use greenroom_test_support::greenroom::{Answer, Api, Installation};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    time::{Instant, timeout},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_greenroom");
const REQUEST: &str = "/api/manager/request";
const PATIENCE: Duration = Duration::from_mins(1);

/// What runs the game servers. The game is that of `greenroom_test_support::engines::docker`.
pub(crate) struct Fleet {
    /// Its provider and all that this needs, as lines of `[games.arena.fleet]`.
    pub(crate) provider: String,
    /// The game's program, where the command names it.
    pub(crate) program: Option<PathBuf>,
    /// Tables behind those of the game.
    pub(crate) tables: String,
}

impl Fleet {
    /// An installation whose game is started with these arguments, and may run `running_max` times.
    pub(crate) fn installation(&self, arguments: &[&str], running_max: u16) -> Installation {
        let program = self.program.iter().map(|program| program.display().to_string());
        let own = ["--port", "{port}", "--name", "{title}", "{if listed}--list"].map(str::to_owned);
        let command: Vec<_> =
            program.chain(own).chain(arguments.iter().map(|argument| (*argument).to_owned())).collect();
        let fleet = format!(
            "{}\ncommand = {}\nports = [{{ name = \"game\", protocol = \"tcp+udp\" }}]\nport_range = \"{{ports}}\"\n\
             version = \"1.0.0\"\nrunning_max = {running_max}\nstop_grace = \"1s\"\n{}",
            self.provider,
            Value::from(command),
            self.tables,
        );
        Installation::new(PROGRAM, "", &fleet, running_max)
    }
}

async fn ask(api: &Api, name: &str) -> Answer {
    let body = json!({ "name": name, "list": 1, "version": "1.0.0" });
    api.ask(Method::POST, REQUEST, Some(&body)).await
}

fn port(answer: &Answer) -> u16 {
    assert_eq!(answer.status, 201, "{answer:?}");
    let port = answer.body["port"].as_u64().and_then(|port| u16::try_from(port).ok());
    let port = port.unwrap_or_else(|| panic!("no port in {answer:?}"));
    assert_eq!(answer.body, json!({ "port": port }), "nothing but the port");
    port
}

/// Connects once, as a game's client does, and plays: `word` has to come back.
async fn play(port: u16, word: &str) -> TcpStream {
    let play = async {
        let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", port)).await?);
        stream.write_all(format!("{word}\n").as_bytes()).await?;
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        Ok::<_, std::io::Error>((line, stream.into_inner()))
    };
    let (line, stream) = timeout(PATIENCE, play)
        .await
        .unwrap_or_else(|_| panic!("port {port} is silent"))
        .unwrap_or_else(|error| panic!("port {port} was told to be ready: {error}"));
    assert_eq!(line.trim_end(), word, "port {port}");
    stream
}

/// `count` clients, `at_once` of them at a time: each connects once, at once, after the 201. When
/// they leave, the game ends by itself, and its place is free.
pub(crate) async fn every_client_connects_at_once(
    fleet: &Fleet,
    arguments: &[&str],
    count: usize,
    at_once: usize,
) {
    // Those that have just left, and are being written down, still have theirs.
    let places = u16::try_from(at_once * 2 + 8).unwrap();
    let installation = fleet.installation(arguments, places);
    let running = installation.serve().await;
    let began = Instant::now();
    let one = async |number: usize| {
        let answer = ask(&running, &format!("Client {number}")).await;
        let asked = Instant::now();
        let mut stream = play(port(&answer), "hello").await;
        let connected = asked.elapsed();
        stream.write_all(b"!exit 7\n").await.unwrap();
        connected
    };
    let took: Vec<Duration> = stream::iter(0..count).map(one).buffered(at_once).collect().await;
    let longest = took.iter().max().copied().unwrap_or_default();
    println!(
        "{count} clients, {at_once} at a time, in {:?}; the longest connected in {longest:?}",
        began.elapsed()
    );
    assert_eq!(took.len(), count);
    // Whatever their exit status: they were up, so that they ended by themselves.
    assert!(gone(&running).await, "servers that have ended are still there");
}

async fn gone(api: &Api) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let states: Vec<_> = api.servers().await.into_iter().map(|server| server["state"].clone()).collect();
        if states.iter().all(|state| state == "ended") {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}

/// `count` requests at once where `running_max` may run: so many servers at different ports, and
/// 429 for the rest.
pub(crate) async fn a_rush(fleet: &Fleet, count: usize, running_max: u16) {
    let installation = fleet.installation(&[], running_max);
    let running = installation.serve().await;
    let began = Instant::now();
    let answers = join_all((0..count).map(|_| ask(&running, "Rush"))).await;
    let given: Vec<_> = answers.iter().filter(|answer| answer.status != 429).map(port).collect();
    println!("{} servers for {count} requests in {:?}", given.len(), began.elapsed());
    assert_eq!(given.len(), count.min(running_max.into()));
    assert_eq!(given.iter().collect::<BTreeSet<_>>().len(), given.len(), "a port was given twice: {given:?}");
    for answer in answers.iter().filter(|answer| answer.status == 429) {
        assert!(answer.body["detail"].is_string(), "{answer:?}");
    }
    join_all(given.iter().map(|port| play(*port, "hello"))).await;
    assert_eq!(running.servers().await.len(), given.len());
}

/// Names that a program could take for something else reach none; all others arrive as one argument.
pub(crate) async fn hostile_names(fleet: &Fleet) {
    let installation = fleet.installation(&[], 4);
    let running = installation.serve().await;
    let long = "x".repeat(10_000);
    for name in ["--help", "-p9", "/etc/passwd", "../../x", "a\u{0}b", "a\nb", "\u{1b}[2J", "\u{9f}", &long] {
        let answer = ask(&running, name).await;
        assert_eq!(answer.status, 400, "{name:?}: {answer:?}");
        assert!(answer.body["detail"].is_string(), "{answer:?}");
    }
    assert!(running.servers().await.is_empty(), "a program was started for one of them");
    let name = "$(reboot) `x` ' \" ; & | > < * {port} %s \\n";
    let port = port(&ask(&running, name).await);
    play(port, "hello").await;
    let server = running.servers().await.remove(0);
    assert_eq!(server["title"], name);
    let path = format!("/v1/servers/{}/logs", server["id"].as_str().unwrap());
    let mut log = String::new();
    let deadline = Instant::now() + PATIENCE;
    while !log.contains("listening") && Instant::now() < deadline {
        running.get(&path).await.body.as_str().unwrap_or_default().clone_into(&mut log);
    }
    assert!(log.contains(&format!("{name:?}")), "not one argument: {log}");
}
