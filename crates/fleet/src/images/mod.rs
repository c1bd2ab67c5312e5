//! The images of game servers: which versions there are, which of them a host has, and how it gets
//! others.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use greenroom_domain::settings::ContainerSettings;
use greenroom_protocol::HostId;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::docker::Connection;

mod challenge;
mod engine;
mod error;
mod lookup;
mod progress;
mod pulls;
mod reference;
mod registry;

pub use error::ImageError;
pub use lookup::{LookupPace, Tags};
pub use progress::{PullProgress, PullState};
pub use pulls::{PullFor, Pulled};
pub use reference::{DEFAULT_HOST, Repository, is_host, is_tag};
pub use registry::{RegistryAccess, RegistryCredentials, ca_problem};

use lookup::{LookupKey, Lookups, SourceKey, TagSource};
use pulls::{Order, Pulls};
use registry::RegistryClient;

/// How long a pull may take unless said otherwise.
pub const PULL_TIMEOUT_DEFAULT: Duration = Duration::from_mins(10);

/// What [`Images`] stands on.
#[derive(Clone, Debug)]
pub struct ImagesConfig {
    /// The engines that images are for.
    pub engines: Vec<Connection>,
    /// Registries by their host, [`DEFAULT_HOST`] among them. One that is missing is asked over HTTPS,
    /// by nobody in particular.
    pub registries: BTreeMap<String, RegistryAccess>,
    /// How often versions are looked up.
    pub pace: LookupPace,
    /// How long a pull may take.
    pub pull_timeout: Duration,
}

impl Default for ImagesConfig {
    fn default() -> Self {
        Self {
            engines: Vec::new(),
            registries: BTreeMap::new(),
            pace: LookupPace::default(),
            pull_timeout: PULL_TIMEOUT_DEFAULT,
        }
    }
}

/// Images in registries and on hosts. Cheap to clone.
#[derive(Clone)]
pub struct Images(Arc<Shared>);

struct Shared {
    sources: Arc<Sources>,
    lookups: Lookups,
    pulls: Pulls,
    pull_timeout: Duration,
    tracker: TaskTracker,
    shutdown: CancellationToken,
}

struct Sources {
    engines: BTreeMap<HostId, Connection>,
    registries: BTreeMap<String, RegistryAccess>,
    client: RegistryClient,
}

impl Images {
    /// Prepares everything; asks nobody yet.
    pub fn new(config: ImagesConfig) -> Self {
        let client = RegistryClient::default();
        let engines = config.engines.into_iter().map(|engine| (engine.host().clone(), engine));
        let sources = Arc::new(Sources { engines: engines.collect(), registries: config.registries, client });
        let (tracker, shutdown) = (TaskTracker::new(), CancellationToken::new());
        let source = Arc::clone(&sources) as Arc<dyn TagSource>;
        let lookups = Lookups::new(source, config.pace, tracker.clone(), shutdown.clone());
        let pulls = Pulls::new(config.pull_timeout, tracker.clone(), shutdown.clone());
        let pull_timeout = config.pull_timeout;
        Self(Arc::new(Shared { sources, lookups, pulls, pull_timeout, tracker, shutdown }))
    }

    /// Without an engine and without a registry: for an installation that runs processes alone, and
    /// for tests.
    pub fn none() -> Self {
        Self::new(ImagesConfig::default())
    }

    /// The hosts whose engines are known.
    pub fn hosts(&self) -> impl Iterator<Item = &HostId> {
        self.0.sources.engines.keys()
    }

    /// How long a pull may take.
    pub fn pull_timeout(&self) -> Duration {
        self.0.pull_timeout
    }

    /// The versions of the image, as they were looked up last, without waiting where something is
    /// known. What is out of date is looked up anew meanwhile; while that fails, it stays.
    pub async fn tags(&self, container: &ContainerSettings) -> Result<Tags, ImageError> {
        self.0.lookups.tags(&key(container)?).await
    }

    /// The versions of the image as they are now: waits for a lookup that begins after this call. All
    /// who wait share one, and one follows another by [`LookupPace::gap`] at the earliest. Soon
    /// after a failure it is what was known before it.
    pub async fn refresh(&self, container: &ContainerSettings) -> Result<Tags, ImageError> {
        self.0.lookups.refresh(&key(container)?).await
    }

    /// The tags of `name`, which has none itself, that the host's engine has.
    pub async fn tags_on(&self, host: &HostId, name: &str) -> Result<BTreeSet<String>, ImageError> {
        engine::tags(self.engine(host)?, &repository(name)?).await
    }

    /// Whether the host's engine has `image`, which has its tag.
    pub async fn present(&self, host: &HostId, image: &str) -> Result<bool, ImageError> {
        engine::has(self.engine(host)?, image).await
    }

    /// Makes the host's engine fetch `image`, which has its tag. On one host an image is pulled once
    /// at a time: this tells of the pull that is under way, if one is; soon after one failed, of that
    /// one. It goes on when the caller goes away.
    pub fn pull(
        &self,
        host: &HostId,
        image: &str,
        why: PullFor,
    ) -> Result<watch::Receiver<PullProgress>, ImageError> {
        let engine = self.engine(host)?.clone();
        let (repository, tag) =
            Repository::parse_tagged(image).ok_or_else(|| ImageError::BadName(image.to_owned()))?;
        let access = self.0.sources.registries.get(&repository.host);
        let credentials = access.and_then(|access| access.credentials.clone());
        let (image, tag) = (image.to_owned(), tag.to_owned());
        self.0.pulls.begin(Order { engine, image, repository, tag, credentials }, why)
    }

    /// The pulls that are under way, and those whose last try failed.
    pub fn pulls(&self) -> Vec<Pulled> {
        self.0.pulls.list()
    }

    /// A counter that changes with every change of any pull.
    pub fn pull_changes(&self) -> watch::Receiver<u64> {
        self.0.pulls.changes()
    }

    /// Gives up what is being asked and pulled, and waits until it is.
    pub async fn shutdown(&self) {
        self.0.shutdown.cancel();
        self.0.tracker.close();
        self.0.tracker.wait().await;
    }

    fn engine(&self, host: &HostId) -> Result<&Connection, ImageError> {
        self.0.sources.engines.get(host).ok_or_else(|| ImageError::NoSuchHost(host.clone()))
    }
}

#[async_trait]
impl TagSource for Sources {
    async fn look_up(&self, key: &LookupKey) -> Result<Vec<String>, ImageError> {
        match key.source {
            SourceKey::Registry => {
                let host = &key.repository.host;
                let unnamed = || RegistryAccess::open(format!("https://{host}"));
                let access = self.registries.get(host).cloned().unwrap_or_else(unnamed);
                self.client.tags(&access, &key.repository).await
            }
            SourceKey::Engine => self.tags_of_engines(&key.repository).await,
        }
    }
}

impl Sources {
    /// What any of the engines has. One that is away does not hide the others' images.
    async fn tags_of_engines(&self, repository: &Repository) -> Result<Vec<String>, ImageError> {
        let mut tags = BTreeSet::new();
        let (mut answered, mut problem) = (false, None);
        for engine in self.engines.values() {
            match engine::tags(engine, repository).await {
                Ok(found) => {
                    answered = true;
                    tags.extend(found);
                }
                Err(error) => problem = Some(error),
            }
        }
        match problem {
            Some(problem) if !answered => Err(problem),
            _ => Ok(tags.into_iter().collect()),
        }
    }
}

fn key(container: &ContainerSettings) -> Result<LookupKey, ImageError> {
    Ok(LookupKey { repository: repository(&container.image)?, source: container.versions.into() })
}

fn repository(name: &str) -> Result<Repository, ImageError> {
    Repository::parse(name).ok_or_else(|| ImageError::BadName(name.to_owned()))
}
