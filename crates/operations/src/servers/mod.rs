//! Dedicated servers: allocated, kept ready, watched, stopped.
//!
//! A server is a document that says what should be. Requests and the pool only change documents;
//! one driver a server (`drive`) looks at the document and at what the provider sees, and does
//! the one next thing, until both agree. It is nudged by the directory's watch, by the provider's
//! observations and by a timer, so that what a dead node left undone is done by the next.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use greenroom_directory::{Directory, DirectoryError};
use greenroom_domain::settings::{FleetSettings, GameSettings, Settings};
use greenroom_fleet::{Provider, ProviderError, images::Images};
use greenroom_protocol::{GameId, ServerId};
use greenroom_storage::Storage;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Clock, EventSink};

mod allocate;
mod authenticate;
mod connection;
mod documents;
mod drive;
mod error;
mod get;
mod hosts;
mod idempotency;
mod launch;
mod list;
mod logs;
mod machines;
mod places;
mod pool;
mod pull;
mod reconcile;
mod route;
mod sdk;
mod stop;
#[cfg(test)]
mod tests;
mod traefik;
mod usage;
mod version;
mod view;

pub use allocate::{AllocateRequest, Allocated};
pub use error::{AllocateError, ServerError};
pub use list::{Counts, EndedPage};
pub use pool::PoolView;
pub use route::{RouteError, Target};
pub use traefik::TraefikConfig;
pub use usage::{SAMPLE_EVERY, SAMPLES_MAX, UsageSample};

use machines::Machines;
use traefik::{Told, TraefikApi};
use view::{LimitsMax, View};

/// How long an idempotency key is remembered.
pub const IDEMPOTENCY_KEEP: Duration = Duration::from_hours(24);

/// How long an allocation takes at the longest, whatever the fleet's settings multiply to.
pub const ALLOCATE_MAX: Duration = Duration::from_mins(15);

/// What [`Servers`] needs.
pub struct ServersDeps {
    /// Where the servers' documents stand.
    pub directory: Directory,
    /// What runs them.
    pub provider: Provider,
    /// Where images come from that a host does not have.
    pub images: Images,
    /// Where ended ones are remembered.
    pub storage: Storage,
    /// What the operator decided; a change takes effect at once.
    pub settings: watch::Receiver<Arc<Settings>>,
    /// Where facts are appended.
    pub events: Arc<dyn EventSink>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Owns every task that is spawned.
    pub tracker: TaskTracker,
    /// Ends them. No server is stopped by it.
    pub shutdown: CancellationToken,
    /// The path of our own binary, for the template `{greenroom}`.
    pub greenroom: String,
}

/// The game servers of all games. Cheap to clone.
#[derive(Clone)]
pub struct Servers(Arc<Shared>);

struct Shared {
    directory: Directory,
    machines: Machines,
    images: Images,
    storage: Storage,
    settings: watch::Receiver<Arc<Settings>>,
    events: Arc<dyn EventSink>,
    clock: Arc<dyn Clock>,
    tracker: TaskTracker,
    shutdown: CancellationToken,
    greenroom: String,
    view: Arc<View>,
    /// What Traefik has been told of.
    traefik: Told,
    traefik_api: TraefikApi,
    usages: usage::Usages,
    /// The newest version of games whose settings name none.
    newest: Mutex<HashMap<GameId, version::Newest>>,
    drivers: drive::Drivers,
    in_flight: idempotency::InFlight,
    pings: sdk::Pings,
    sdk_inboxes: sdk::Inboxes,
    /// The bearer tokens' secrets of instances that are to be started, by instance.
    secrets: Mutex<HashMap<ServerId, String>>,
    /// The instances whose host did not have their image.
    image_waits: Mutex<HashMap<ServerId, pull::ImageWait>>,
    /// All are being stopped: nothing new is begun.
    is_draining: AtomicBool,
    /// Counts allocations that gave a server.
    handed_out: AtomicU64,
}

/// Why the servers could not be taken up.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The directory's documents could not be watched.
    #[error("the game servers' documents could not be read")]
    Directory(#[from] DirectoryError),
    /// The provider could not tell what runs.
    #[error("the provider could not tell which game servers run")]
    Provider(#[from] ProviderError),
}

impl Servers {
    /// Takes up the servers that there are, and keeps at it until `shutdown`. When it returns, all
    /// of them are known, and a server's process without a document has one again.
    pub async fn start(deps: ServersDeps) -> Result<Self, StartError> {
        let machines = Machines::Provider(deps.provider.clone());
        Self::start_on(deps.into_shared(machines)).await
    }

    async fn start_on(shared: Shared) -> Result<Self, StartError> {
        let servers = Self(Arc::new(shared));
        servers.take_up().await?;
        servers.0.machines.serve_sdk(sdk::Backend::of(&servers));
        Ok(servers)
    }

    /// A counter that changes with every change of any server.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.0.view.changes()
    }

    fn is_draining(&self) -> bool {
        self.0.is_draining.load(Ordering::Acquire)
    }

    fn game(&self, game: &GameId) -> Option<(Arc<Settings>, GameSettings)> {
        let settings = Arc::clone(&self.0.settings.borrow());
        let game = settings.games.get(game)?.clone();
        Some((settings, game))
    }

    fn fleet(&self, game: &GameId) -> Option<FleetSettings> {
        self.0.settings.borrow().games.get(game)?.fleet.clone()
    }
}

impl ServersDeps {
    fn into_shared(self, machines: Machines) -> Shared {
        Shared {
            directory: self.directory,
            machines,
            images: self.images,
            storage: self.storage,
            settings: self.settings,
            events: self.events,
            clock: self.clock,
            tracker: self.tracker,
            shutdown: self.shutdown,
            greenroom: self.greenroom,
            view: View::new(),
            traefik: Told::default(),
            traefik_api: TraefikApi::default(),
            usages: usage::Usages::default(),
            newest: Mutex::default(),
            drivers: drive::Drivers::default(),
            in_flight: idempotency::InFlight::default(),
            pings: sdk::Pings::default(),
            sdk_inboxes: sdk::Inboxes::default(),
            secrets: Mutex::default(),
            image_waits: Mutex::default(),
            is_draining: AtomicBool::new(false),
            handed_out: AtomicU64::new(0),
        }
    }
}

fn limits_max(settings: &Settings, game: &GameSettings, fleet: &FleetSettings) -> LimitsMax {
    let studio = settings.studios.get(&game.studio).map_or(u32::MAX, |studio| studio.servers_max);
    LimitsMax { game: fleet.running_max, studio }
}
