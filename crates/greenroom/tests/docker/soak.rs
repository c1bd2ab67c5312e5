//! Many servers, one after the other: afterwards everything is as before.

use std::{fs, time::Duration};

use greenroom_test_support::greenroom::{Api, Running};
use tokio::{task::JoinSet, time::Instant};

use crate::world::{PATIENCE, Wish, World, given, say, stopped, wanted};

const SERVERS: &str = "GREENROOM_DOCKER_SOAK";
const SERVERS_DEFAULT: usize = 40;

/// Servers before the first look: pools, caches and buffers have their size by then.
const WARM_UP: usize = 40;

/// Servers at the same time.
const AT_ONCE: usize = 8;

/// What memory may grow by: caches of the databases and what the allocator keeps. A leak of 16 KiB a server
/// shows in a run of 2,000.
const GROWTH_MAX_KIB: u64 = 32 * 1024;

const LOOK_EVERY: Duration = Duration::from_millis(50);
const SAME_LOOKS: u32 = 40;

/// What is counted of Greenroom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    descriptors: usize,
    threads: usize,
    tasks: u64,
}

impl Counts {
    fn is_within(self, other: Self) -> bool {
        self.descriptors <= other.descriptors && self.threads <= other.threads && self.tasks <= other.tasks
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn after_many_servers_everything_is_as_before() {
    let wish = Wish { fleet: "running_max = 20\nended_keep = \"1s\"", ..Wish::default() };
    let Some(world) = World::new("after many servers", &wish) else { return };
    let running = world.installation.serve().await;
    let servers = wanted(SERVERS, SERVERS_DEFAULT);
    some(&running, WARM_UP).await;
    let before = settled(&world, &running).await;
    let before_kib = own_kib(&running);
    some(&running, servers).await;
    world.is_empty().await;
    let after = counts_are(&running, before).await;
    let after_kib = own_kib(&running);
    println!("{servers} servers: {before_kib} KiB before, {after_kib} KiB after; {after:?}");
    assert!(after_kib <= before_kib + GROWTH_MAX_KIB, "{before_kib} KiB became {after_kib} KiB");
}

/// So many servers are started, played on and stopped.
async fn some(running: &Running, servers: usize) {
    let mut askers = JoinSet::new();
    for asker in 0..AT_ONCE {
        let api = running.api();
        let share = servers / AT_ONCE + usize::from(asker < servers % AT_ONCE);
        askers.spawn(async move {
            for _ in 0..share {
                one(&api).await;
            }
        });
    }
    askers.join_all().await;
}

async fn one(api: &Api) {
    let server = given(api).await;
    let said = tokio::task::spawn_blocking(move || say(server.port, "hello")).await.unwrap();
    assert_eq!(said, "hello", "{}", server.id);
    stopped(api, &server.id).await;
}

/// Counts once they have stayed the same for so many looks.
pub(crate) async fn settled(world: &World, running: &Running) -> Counts {
    world.is_empty().await;
    let deadline = Instant::now() + PATIENCE;
    let (mut last, mut same_looks) = (counts(running).await, 0);
    while same_looks < SAME_LOOKS {
        assert!(Instant::now() < deadline, "it does not settle: {last:?}");
        tokio::time::sleep(LOOK_EVERY).await;
        let now = counts(running).await;
        same_looks = if now == last { same_looks + 1 } else { 0 };
        last = now;
    }
    last
}

/// Waits until the counts are what they were, or less; gives them.
pub(crate) async fn counts_are(running: &Running, before: Counts) -> Counts {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let after = counts(running).await;
        // Threads that wait for blocking work and connections that idle may be fewer by now.
        if after.is_within(before) {
            return after;
        }
        assert!(Instant::now() < deadline, "before {before:?}\nafter {after:?}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn counts(running: &Running) -> Counts {
    let entries =
        |what: &str| fs::read_dir(format!("/proc/{}/{what}", running.pid())).map_or(0, Iterator::count);
    let metrics = running.get("/metrics").await;
    let metrics = metrics.body.as_str().unwrap_or_default();
    let tasks = metrics.lines().find_map(|line| line.strip_prefix("greenroom_tasks ")?.parse::<u64>().ok());
    Counts { descriptors: entries("fd"), threads: entries("task"), tasks: tasks.unwrap() }
}

/// Memory of its own, without pages of files such as its program's.
fn own_kib(running: &Running) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
