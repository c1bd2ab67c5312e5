//! The dedicated server: one process, one match, one thread.
//!
//! [`run`] listens at once (that is its readiness), waits for the match it is for (from its
//! environment, or from the payload file when it was started ahead), lets in who has a ticket,
//! plays 30 ticks a second, reports how it ended, and returns. One task owns the match; sockets
//! talk to it through bounded queues, so none of them can hold it up.

mod assignment;
mod game;
mod greenroom;
mod seats;
mod socket;
mod ticket;

use std::{io, net::SocketAddr, time::Duration};

use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use crate::bot::Skill;

pub use assignment::Environment;

/// How long sockets get to take their last frames and say goodbye.
const GOODBYE_MAX: Duration = Duration::from_secs(2);

/// Options of `skirmish-server`. What Greenroom has to say comes from the environment, see
/// [`Environment`].
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Port to listen on; 0 takes a free one and logs it.
    #[arg(long, default_value_t = 7777)]
    pub port: u16,

    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    pub bind: std::net::IpAddr,

    /// Name of this server, for its log.
    #[arg(long, default_value = "skirmish")]
    pub name: String,

    /// Length of a match in seconds.
    #[arg(long, default_value_t = 180, value_parser = clap::value_parser!(u32).range(5..=3600))]
    pub match_seconds: u32,

    /// Points that end a match before its time.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub score_limit: u32,

    /// How well bots play.
    #[arg(long, value_enum, default_value_t = Skill::Normal)]
    pub bots: Skill,

    /// Teams smaller than this are filled with bots; 0 adds one only to an empty team.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(0..=8))]
    pub team_size: u8,

    /// Seconds to wait for players that have not come; the match starts at once when all are in.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=600))]
    pub wait_seconds: u32,

    /// Seconds that an assigned match goes on with nobody connected.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub idle_seconds: u32,

    /// Seconds that the scoreboard stays after the end.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(0..=600))]
    pub result_seconds: u32,

    /// Seed of arena, spread of shots and bots; random unless given.
    #[arg(long)]
    pub seed: Option<u64>,
}

/// Why a server could not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot listen on {address}; is another server there? Choose a free --port")]
    Listen {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("{name} is set but empty or not readable as text; unset it or give it a value")]
    Environment { name: &'static str },
    #[error("cannot receive signals")]
    Signals(#[source] io::Error),
}

/// Plays one match and returns when it is over, when nobody came, or after SIGTERM or SIGINT,
/// which end it in good order.
///
/// Wants a runtime with time and I/O; one thread is enough and costs the least memory.
pub async fn run(args: Args) -> Result<(), Error> {
    let address = SocketAddr::new(args.bind, args.port);
    let listener = TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })?;
    let environment = Environment::from_process()?;
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    stop_on_signals(&tasks, &stop)?;
    serve(listener, args, environment, stop, tasks).await;
    Ok(())
}

/// Like [`run`], with everything that comes from outside given by the caller.
pub async fn serve(
    listener: TcpListener,
    args: Args,
    environment: Environment,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    let greenroom = greenroom::Greenroom::new(&environment);
    match listener.local_addr() {
        Ok(address) => info!(name = %args.name, %address, "listening"),
        Err(error) => warn!(%error, "listening on an unknown address"),
    }
    let (joins, joins_queue) = mpsc::channel(socket::JOINS_QUEUED_MAX);
    let door = socket::Door::new(joins, ticket::Gate::new(greenroom.clone(), &environment));
    tasks.spawn(socket::accept(listener, door, stop.clone(), tasks.clone()));
    game::Game::new(args, environment, greenroom, joins_queue).run(&stop).await;
    // The other tasks end with the match, however that ended.
    stop.cancel();
    tasks.close();
    if tokio::time::timeout(GOODBYE_MAX, tasks.wait()).await.is_err() {
        warn!("some sockets did not say goodbye in time");
    }
    info!("stopped");
}

fn stop_on_signals(tasks: &TaskTracker, stop: &CancellationToken) -> Result<(), Error> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Signals)?;
    let stop = stop.clone();
    let signals = async move {
        tokio::select! {
            _ = terminate.recv() => info!("asked to stop by SIGTERM"),
            _ = interrupt.recv() => info!("asked to stop by SIGINT"),
            () = stop.cancelled() => {}
        }
        stop.cancel();
    };
    tasks.spawn(signals);
    Ok(())
}
