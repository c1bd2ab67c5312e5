//! How many commits of 1 KB documents the embedded engine makes, and what each costs in CPU time.
//!
//! `cargo run --release -p greenroom-directory --example commits -- [callers] [documents] [seconds]`

use std::{
    env, fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use greenroom_directory::{Change, Directory, DirectoryConfig, Expected, Key, Kind, Partition};
use tokio::task::JoinSet;

const LOBBY: Kind = Kind::kept("lobby");

/// The kernel counts CPU time in hundredths of a second, whatever its own clock.
const TICK: Duration = Duration::from_millis(10);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = env::args().skip(1).map(|text| text.parse::<u64>());
    let mut argument = |default| arguments.next().unwrap_or(Ok(default));
    let (callers, documents, seconds) = (argument(256)?, argument(500)?, argument(5)?);

    let folder = tempfile::tempdir()?;
    let path = folder.path().join("directory.db");
    let directory = Directory::open(DirectoryConfig::Embedded { path: path.clone() }).await?;
    let partition = Partition::game(&greenroom_protocol::GameId::new("bench")?);
    let mut watch = directory.watch(&[LOBBY]).await?;
    let told = Arc::new(AtomicU64::new(0));
    let mut watcher = JoinSet::new();
    watcher.spawn({
        let told = Arc::clone(&told);
        async move {
            while watch.next().await.is_some() {
                told.fetch_add(1, Ordering::Relaxed);
            }
        }
    });

    let stop = Arc::new(AtomicBool::new(false));
    let (started, cpu, commits) = (Instant::now(), cpu_time()?, directory.commits());
    let mut callers_running = JoinSet::new();
    for caller in 0..callers {
        let (directory, partition, stop) = (directory.clone(), partition.clone(), Arc::clone(&stop));
        callers_running.spawn(async move {
            let mut times = Vec::new();
            for n in 0_u64.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                // Each caller has documents of its own, so that none conflicts.
                let of_caller = documents.div_ceil(callers).max(1);
                let id = format!("lobby-{}", caller * of_caller + n % of_caller);
                let began = Instant::now();
                let key = Key::new(partition.clone(), LOBBY, &id);
                let found = directory.get(&key).await?;
                let expected = found.map_or(Expected::Absent, |document| Expected::At(document.revision));
                let value = vec![b'a' + (n % 26) as u8; 1_024];
                directory.commit(&partition, vec![Change::put(LOBBY, &id, expected, value)]).await?;
                times.push(began.elapsed());
            }
            Ok::<_, greenroom_directory::DirectoryError>(times)
        });
    }
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    stop.store(true, Ordering::Relaxed);
    let mut times = Vec::new();
    while let Some(finished) = callers_running.join_next().await {
        times.extend(finished??);
    }
    let (elapsed, cpu, commits) =
        (started.elapsed(), cpu_time()?.saturating_sub(cpu), directory.commits() - commits);
    times.sort_unstable();
    let count = times.len();
    let at = |share: f64| times.get((count as f64 * share) as usize).copied().unwrap_or_default();
    println!("{callers} callers, {documents} documents of 1 KiB, {:.1} s", elapsed.as_secs_f64());
    println!("commits/s        {:.0}", count as f64 / elapsed.as_secs_f64());
    println!("CPU per commit   {:.1} us", cpu.as_secs_f64() * 1e6 / count as f64);
    println!("commits a group  {:.1}", count as f64 / commits as f64);
    println!(
        "p50, p99, most   {:?}, {:?}, {:?}",
        at(0.5),
        at(0.99),
        times.last().copied().unwrap_or_default()
    );
    println!("notices told     {}", told.load(Ordering::Relaxed));
    directory.close().await;
    println!("file             {} KiB", fs::metadata(&path)?.len() / 1024);
    Ok(())
}

/// User and system time of this process.
fn cpu_time() -> Result<Duration, Box<dyn std::error::Error>> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The second field, the program's name, may hold spaces; it ends with the last parenthesis.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u32 = fields.skip(11).take(2).map(str::parse::<u32>).sum::<Result<_, _>>()?;
    Ok(TICK * ticks)
}
