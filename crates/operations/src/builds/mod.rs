//! Builds: which versions of a game there are, which of them can be asked for, and how they come to
//! the hosts before they are needed.

use std::{collections::HashMap, sync::Arc, time::Duration};

use greenroom_domain::{
    settings::{ContainerSettings, FleetSettings, Settings, VersionSource},
    versions::{Verdict, Versions, is_version},
};
use greenroom_fleet::images::{ImageError, Images, PullFor, Tags};
use greenroom_protocol::{ErrorCode, GameId, HostId, builds::BuildList};
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, watch},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::Failure;

mod ahead;
mod view;

/// How often it is looked at whether the hosts have all supported versions.
const AHEAD_PERIOD: Duration = Duration::from_mins(1);

/// How long a request waits for what a registry has never told yet, before engines are asked what they have.
const LOOKUP_PATIENCE: Duration = Duration::from_secs(2);

/// What [`Builds`] needs.
pub struct BuildsDeps {
    /// Where images are looked up and pulled.
    pub images: Images,
    /// What the operator decided; a change takes effect at once.
    pub settings: watch::Receiver<Arc<Settings>>,
    /// Owns every task that is spawned.
    pub tracker: TaskTracker,
    /// Ends them.
    pub shutdown: CancellationToken,
}

/// The versions of all games. Cheap to clone.
#[derive(Clone)]
pub struct Builds(Arc<Shared>);

struct Shared {
    images: Images,
    settings: watch::Receiver<Arc<Settings>>,
    shutdown: CancellationToken,
    /// New versions may have come.
    nudged: Notify,
    /// What the tags that were told last mean, by game.
    read: Mutex<HashMap<GameId, Read>>,
}

struct Read {
    tags: Arc<[String]>,
    versions_max: u32,
    versions: Arc<Versions>,
}

/// The versions of a game, and what stands behind them.
struct Known {
    versions: Arc<Versions>,
    /// None where they are no images.
    tags: Option<Tags>,
}

impl Builds {
    /// Takes up the games' versions, and keeps the hosts supplied with them until `shutdown`.
    pub fn start(deps: BuildsDeps) -> Self {
        let BuildsDeps { images, settings, tracker, shutdown } = deps;
        let shared = Shared { images, settings, shutdown, nudged: Notify::new(), read: Mutex::default() };
        let builds = Self(Arc::new(shared));
        let keeper = builds.clone();
        tracker.spawn(async move { keeper.keep_ahead().await });
        let (images, shutdown) = (builds.0.images.clone(), builds.0.shutdown.clone());
        tracker.spawn(async move {
            shutdown.cancelled().await;
            images.shutdown().await;
        });
        builds
    }

    /// What is said to somebody who asks for the version `asked`. Answered from what is known; one
    /// that is not known, and would not be too old, is looked up again first.
    pub async fn check_version(&self, game: &GameId, asked: &str) -> Result<Verdict, Failure> {
        let fleet = self.fleet(game)?;
        if !is_version(asked) {
            return Ok(Verdict::NotAVersion);
        }
        let known = {
            let mut lookup = std::pin::pin!(self.known(game, &fleet));
            match timeout(LOOKUP_PATIENCE, &mut lookup).await {
                Ok(Ok(known)) => known,
                outcome => {
                    if let Some(verdict) = self.at_hand(&fleet, asked).await {
                        return Ok(verdict);
                    }
                    match outcome {
                        Ok(known) => known,
                        Err(_elapsed) => lookup.await,
                    }
                    .map_err(unknown)?
                }
            }
        };
        let verdict = known.versions.check(asked);
        let Some(container) = fleet.provider.container().filter(|_| verdict.may_be_outdated()) else {
            return Ok(verdict);
        };
        let tags = self.0.images.refresh(container).await.map_err(unknown)?;
        let versions = self.read(game, &tags, container.versions_max);
        if !Arc::ptr_eq(&versions, &known.versions) {
            self.0.nudged.notify_one();
        }
        Ok(versions.check(asked))
    }

    /// What is said of a version whose image an engine has, while its registry has told nothing yet: a
    /// registry that is away stands in the way of no request that needs no pull.
    async fn at_hand(&self, fleet: &FleetSettings, asked: &str) -> Option<Verdict> {
        let container = fleet.provider.container().filter(|c| can_be_pulled(c.versions))?;
        let of_engines = ContainerSettings { versions: VersionSource::Engine, ..container.clone() };
        let tags = timeout(LOOKUP_PATIENCE, self.0.images.tags(&of_engines)).await.ok()?.ok()?;
        let verdict = Versions::of_tags(tags.tags.iter(), container.versions_max).check(asked);
        Some(verdict).filter(|verdict| matches!(verdict, Verdict::Supported(_)))
    }

    /// The versions that can be asked for, newest first, as far as they are known; no engine is asked.
    pub async fn supported(&self, game: &GameId) -> Result<Vec<String>, Failure> {
        let known = self.known(game, &self.fleet(game)?).await.map_err(unknown)?;
        Ok(known.versions.supported().iter().map(|known| known.version.to_string()).collect())
    }

    /// The versions of a game, which hosts have them, and how far pulls are.
    pub async fn list(&self, game: &GameId) -> Result<BuildList, Failure> {
        let fleet = self.fleet(game)?;
        let known = self.known(game, &fleet).await;
        Ok(self.view(game, &fleet, known).await)
    }

    /// The same after looking the versions up again; those that came are pulled.
    pub async fn refresh(&self, game: &GameId) -> Result<BuildList, Failure> {
        let fleet = self.fleet(game)?;
        let known = match fleet.provider.container() {
            None => self.known(game, &fleet).await,
            Some(container) => self.0.images.refresh(container).await.map(|tags| Known {
                versions: self.read(game, &tags, container.versions_max),
                tags: Some(tags),
            }),
        };
        self.0.nudged.notify_one();
        Ok(self.view(game, &fleet, known).await)
    }

    /// Pulls a version to all hosts of the game that do not have it. Answered as soon as that is on
    /// its way; [`list`](Self::list) tells how far it is.
    pub async fn pull(&self, game: &GameId, version: &str) -> Result<BuildList, Failure> {
        let fleet = self.fleet(game)?;
        let Some(container) = fleet.provider.container() else {
            let sentence = "This game's servers are no containers: there is nothing to pull.";
            return Err(Failure::new(ErrorCode::Conflict, sentence));
        };
        let tag = self.tag(game, &fleet, container, version).await?;
        let hosts = self.hosts(&fleet);
        if hosts.is_empty() {
            let sentence =
                "There is no host with an engine in this game's regions; check [hosts] in the configuration.";
            return Err(Failure::new(ErrorCode::Conflict, sentence));
        }
        let image = format!("{}:{tag}", container.image);
        let mut problem = None;
        let mut reached = 0;
        for host in &hosts {
            match self.pull_to(host, &image).await {
                Ok(()) => reached += 1,
                Err(error) => problem = Some(error),
            }
        }
        match problem {
            Some(error) if reached == 0 => {
                let sentence = format!("The image cannot be pulled: {error}.");
                Err(Failure::new(ErrorCode::Unavailable, sentence).because(error))
            }
            _ => self.list(game).await,
        }
    }

    /// A counter that changes with every change of any pull.
    pub fn pull_changes(&self) -> watch::Receiver<u64> {
        self.0.images.pull_changes()
    }

    async fn pull_to(&self, host: &HostId, image: &str) -> Result<(), ImageError> {
        if !self.0.images.present(host, image).await? {
            self.0.images.pull(host, image, PullFor::Person)?;
        }
        Ok(())
    }

    /// The tag of `version`, which may be one itself.
    async fn tag(
        &self,
        game: &GameId,
        fleet: &FleetSettings,
        container: &ContainerSettings,
        version: &str,
    ) -> Result<String, Failure> {
        let find = |versions: &Versions| {
            let known = versions.known().iter();
            let mut fitting =
                known.filter(|known| known.tag == version || known.version.to_string() == version);
            fitting.next().map(|known| known.tag.clone())
        };
        let known = self.known(game, fleet).await.map_err(unknown)?;
        if let Some(tag) = find(&known.versions) {
            return Ok(tag);
        }
        let tags = self.0.images.refresh(container).await.map_err(unknown)?;
        find(&self.read(game, &tags, container.versions_max))
            .ok_or(Failure::new(ErrorCode::NotFound, "There is no such version of this game."))
    }

    async fn known(&self, game: &GameId, fleet: &FleetSettings) -> Result<Known, ImageError> {
        let Some(container) = fleet.provider.container() else {
            // One version, and it is where the program is.
            let versions = Versions::of_tags(fleet.version.as_slice(), 1);
            return Ok(Known { versions: Arc::new(versions), tags: None });
        };
        let tags = self.0.images.tags(container).await?;
        Ok(Known { versions: self.read(game, &tags, container.versions_max), tags: Some(tags) })
    }

    /// What `tags` mean; read once for as long as they stay the same.
    fn read(&self, game: &GameId, tags: &Tags, versions_max: u32) -> Arc<Versions> {
        let mut read = self.0.read.lock();
        if let Some(known) = read.get(game)
            && known.versions_max == versions_max
            && (Arc::ptr_eq(&known.tags, &tags.tags) || known.tags == tags.tags)
        {
            return Arc::clone(&known.versions);
        }
        let versions = Arc::new(Versions::of_tags(tags.tags.iter(), versions_max));
        let tags = Arc::clone(&tags.tags);
        read.insert(game.clone(), Read { tags, versions_max, versions: Arc::clone(&versions) });
        versions
    }

    /// The hosts whose engines run the fleet's containers.
    fn hosts(&self, fleet: &FleetSettings) -> Vec<HostId> {
        let settings = self.0.settings.borrow();
        let is_one =
            |host: &&HostId| settings.hosts.get(host).is_none_or(|host| fleet.regions.contains(&host.region));
        self.0.images.hosts().filter(is_one).cloned().collect()
    }

    fn fleet(&self, game: &GameId) -> Result<FleetSettings, Failure> {
        let settings = self.0.settings.borrow();
        let game = settings.games.get(game);
        let game = game.ok_or(Failure::new(ErrorCode::NotFound, "There is no such game."))?;
        game.fleet.clone().ok_or(Failure::new(
            ErrorCode::NotFound,
            "This game has no fleet of game servers; add `fleet` to its configuration.",
        ))
    }
}

fn unknown(error: ImageError) -> Failure {
    let sentence = "The versions of this game cannot be looked up at the moment. Try again later.";
    Failure::new(ErrorCode::Unavailable, sentence).because(error)
}

/// Whether images of `source` come from elsewhere: what only the engines have cannot be pulled.
const fn can_be_pulled(source: VersionSource) -> bool {
    matches!(source, VersionSource::Registry)
}
