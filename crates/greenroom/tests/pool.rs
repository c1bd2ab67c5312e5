//! Many who ask for a server at once, of a game that crashes now and then.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    collections::BTreeSet,
    fs,
    net::TcpStream,
    time::{SystemTime, UNIX_EPOCH},
};

use greenroom_test_support::greenroom::{Api, Installation};
use serde_json::Value;
use tokio::task::JoinSet;

const PROGRAM: &str = env!("CARGO_BIN_EXE_greenroom");

const ALLOCATIONS: usize = 200;

/// Those who ask at once.
const ASKERS: usize = 4;

/// How long it may take, on a machine that stalls, until an end that was recorded is known to who gives
/// servers away.
const KNOWN_LATE_MAX_MS: u64 = 500;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_whose_servers_crash_now_and_then_never_hands_out_a_dead_one() {
    // Of twenty starts two never come up, and one comes up and dies soon after, ready or given away by then.
    // Its own line in the file numbers a start, whoever else starts at the same moment.
    let script = r#"echo "pid $$" >> "$STARTS"; n=$(($(grep -nx "pid $$" "$STARTS" | tail -n 1 | cut -d : -f 1) % 20)); case $n in 2|7) exit 1;; esac; if [ $n = 17 ]; then "$0" skirmish-server --port "$1" & sleep 0.2; kill -9 $!; kill -9 $$; fi; exec "$0" skirmish-server --port "$1""#;
    let installation = Installation::new(PROGRAM, "", "command = [\"none\"]", 0);
    let starts = installation.folder().join("starts");
    let ports = greenroom_test_support::greenroom::some_ports(120);
    let fleet = format!(
        "command = [\"/bin/sh\", \"-c\", '''{script}''', \"{{greenroom}}\", \"{{port}}\"]\n\
         environment = {{ STARTS = {starts:?} }}\nport_range = \"{ports}\"\n\
         ports = [{{ name = \"default\", protocol = \"tcp\" }}]\n\
         stop_grace = \"2s\"\nready_min = 5\nwarm_payload = \"file\"\nrunning_max = 100\n\
         start_tries_max = 5\n"
    );
    installation.configure("", &fleet);
    let running = installation.serve().await;
    let mut askers = JoinSet::new();
    for _ in 0..ASKERS {
        let api = running.api();
        askers.spawn(async move {
            let mut given = Vec::new();
            for _ in 0..ALLOCATIONS / ASKERS {
                given.push(allocate(&api).await);
            }
            given
        });
    }
    let given: Vec<_> = askers.join_all().await.into_iter().flatten().collect();
    let ids: BTreeSet<_> = given.iter().map(|given| &given.id).collect();
    assert_eq!(ids.len(), ALLOCATIONS, "a server was given twice");
    let starts = fs::read_to_string(starts).unwrap().lines().count();
    let died_after = given.iter().filter(|given| given.died_after).count();
    println!("{ALLOCATIONS} allocations, {starts} starts, {died_after} died just after they were given");
    assert!(starts >= ALLOCATIONS + ALLOCATIONS / 20, "hardly any start crashed: {starts}");
}

struct Given {
    id: String,
    /// It was alive when it was given, and is not any more.
    died_after: bool,
}

async fn allocate(api: &Api) -> Given {
    let asked_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    let answer = api.allocate(None).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let server = &answer.body["server"];
    let (id, port) = (server["id"].as_str().unwrap().to_owned(), server["port"].as_u64().unwrap() as u16);
    let is_listening = TcpStream::connect(("127.0.0.1", port)).is_ok();
    if !is_listening {
        let ended = ended(api, &id).await;
        let ended_ms = ended["exit"]["at"].as_u64().unwrap();
        assert!(
            ended_ms + KNOWN_LATE_MAX_MS >= asked_ms,
            "a server was given that was asked for at {asked_ms} and dead since {ended_ms}: {ended:#}"
        );
    }
    // Makes room for the next.
    let stopped = api.stop_server(&id).await;
    assert_eq!(stopped.status, 202, "{stopped:?}");
    Given { id, died_after: !is_listening }
}

async fn ended(api: &Api, id: &str) -> Value {
    api.server_in(id, "ended").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fifty_who_ask_at_once_as_many_get_one_as_may_run() {
    let fleet = "command = [\"/bin/sh\", \"-c\", \"echo ready; exec sleep 100000\"]\nready = \"log:^ready\"\n\
                 port_range = \"{ports}\"\nports = [{ name = \"default\", protocol = \"tcp\" }]\n\
                 stop_grace = \"2s\"\nrunning_max = 20\n";
    let installation = Installation::new(PROGRAM, "", fleet, 60);
    let running = installation.dev().await;
    let mut askers = JoinSet::new();
    for _ in 0..50 {
        let api = running.api();
        askers.spawn(async move { api.allocate(None).await });
    }
    let answers = askers.join_all().await;
    let count = |status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(200), count(429)), (20, 30), "{answers:#?}");
    let refused = answers.iter().find(|answer| answer.status == 429).unwrap();
    assert_eq!(
        refused.sentence(),
        "The game runs as many servers as it may (20); wait until one ends, or stop one."
    );
    assert!(refused.retry_after_s.is_some());
    assert_eq!(installation.games().len(), 20);
    // One ends, one may come.
    let id = answers.iter().find_map(|answer| answer.body["server"]["id"].as_str()).unwrap();
    assert_eq!(running.stop_server(id).await.status, 202);
    running.server_in(id, "ended").await;
    assert_eq!(running.allocate(None).await.status, 200);
    assert_eq!(running.allocate(None).await.status, 429);
}
