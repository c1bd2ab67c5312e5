//! The installation itself: how its parts are, how much there is, what it was told.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use greenroom_directory::{Directory, Key, Partition};
use greenroom_domain::settings::{GameSettings, Settings};
use greenroom_event_log::{EventLog, StreamId};
use greenroom_protocol::{
    ErrorCode, GameId, Timestamp,
    hosting::HostState,
    system::{
        ConfigurationSection, GameSettingsView, GameView, HistoryView, JobsView, PartView, SizeView,
        SystemView,
    },
};
use greenroom_storage::Storage;
use tokio::{
    sync::watch,
    task,
    time::{Instant, timeout},
};

use crate::{context::Clock, documents::LOBBY, failure::Failure, servers::Servers};

/// How long a part may take to answer before it counts as not well.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Files of the data folder that are looked at; with more the sizes are what was found until then.
const FILES_MAX: usize = 50_000;

/// Entries of the data folder that are told, the largest ones.
const SIZES_MAX: usize = 20;

/// What only the program knows of itself.
#[derive(Clone, Debug, Default)]
pub struct Installation {
    /// Its version.
    pub version: String,
    /// The folder that holds everything.
    pub data_dir: Option<PathBuf>,
    /// What it was told, without secrets.
    pub configuration: Vec<ConfigurationSection>,
}

/// The installation. Cheap to clone.
#[derive(Clone)]
pub struct System {
    parts: Arc<Parts>,
}

struct Parts {
    installation: Installation,
    started_at: Timestamp,
    directory: Directory,
    log: EventLog,
    storage: Storage,
    servers: Servers,
    settings: watch::Receiver<Arc<Settings>>,
    clock: Arc<dyn Clock>,
}

/// What the installation stands on.
pub(crate) struct SystemDeps {
    pub(crate) installation: Installation,
    pub(crate) directory: Directory,
    pub(crate) log: EventLog,
    pub(crate) storage: Storage,
    pub(crate) servers: Servers,
    pub(crate) settings: watch::Receiver<Arc<Settings>>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl System {
    pub(crate) fn new(deps: SystemDeps) -> Self {
        let SystemDeps { installation, directory, log, storage, servers, settings, clock } = deps;
        let started_at = clock.now();
        let parts = Parts { installation, started_at, directory, log, storage, servers, settings, clock };
        Self { parts: Arc::new(parts) }
    }

    /// Everything that is known of the installation; every part is asked.
    pub async fn look(&self) -> SystemView {
        let Parts { installation, started_at, .. } = &*self.parts;
        let (now, history, records) = tokio::join!(self.now(), self.histories(), self.records());
        let ((history, histories), (records, jobs)) = (history, records);
        let mut parts = vec![now, history, records];
        parts.extend(self.hosts());
        SystemView {
            version: installation.version.clone(),
            started_at: *started_at,
            data_dir: installation.data_dir.as_ref().map(|folder| folder.display().to_string()),
            parts,
            sizes: self.sizes().await,
            jobs,
            histories,
            configuration: installation.configuration.clone(),
        }
    }

    /// The games.
    pub fn games(&self) -> Vec<GameView> {
        self.parts.settings.borrow().games.values().map(game_view).collect()
    }

    /// A game and its part of the configuration.
    pub fn game(&self, id: &GameId) -> Result<GameSettingsView, Failure> {
        let settings = self.parts.settings.borrow();
        let game = settings.games.get(id);
        let game = game.ok_or(Failure::new(ErrorCode::NotFound, "There is no such game."))?;
        let own = format!("games.{id}");
        let is_own = |section: &&ConfigurationSection| {
            section.path.strip_prefix(&own).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let configuration = self.parts.installation.configuration.iter().filter(is_own).cloned().collect();
        Ok(GameSettingsView { game: game_view(game), configuration })
    }

    async fn now(&self) -> PartView {
        let game = self.parts.settings.borrow().games.keys().next().cloned();
        let Some(game) = game else { return part("now", Instant::now(), None) };
        let key = Key::new(Partition::game(&game), LOBBY, "nobody-is-called-this");
        let began = Instant::now();
        let answer = timeout(ANSWER_MAX, self.parts.directory.get(&key)).await;
        part("now", began, problem_of(answer.map(|found| found.map(drop))))
    }

    async fn histories(&self) -> (PartView, Vec<HistoryView>) {
        let studios: Vec<_> = self.parts.settings.borrow().studios.keys().cloned().collect();
        let began = Instant::now();
        let mut histories = Vec::with_capacity(studios.len());
        let all = async {
            for studio in studios {
                let info = self.parts.log.info(&StreamId::studio(&studio)).await?;
                let (events, bytes, bytes_max) = (info.entries, info.bytes, info.limits.bytes_max);
                histories.push(HistoryView { studio, events, bytes, bytes_max });
            }
            Ok::<_, greenroom_event_log::EventLogError>(())
        };
        let answer = timeout(ANSWER_MAX, all).await;
        (part("history", began, problem_of(answer)), histories)
    }

    async fn records(&self) -> (PartView, JobsView) {
        let began = Instant::now();
        let now = self.parts.clock.now();
        let answer = timeout(ANSWER_MAX, async { self.parts.storage.jobs().counts(now).await }).await;
        let jobs = match &answer {
            Ok(Ok(counts)) => {
                JobsView { waiting: counts.waiting, running: counts.running, failed: counts.failed }
            }
            Ok(Err(_)) | Err(_) => JobsView::default(),
        };
        (part("records", began, problem_of(answer.map(|found| found.map(drop)))), jobs)
    }

    fn hosts(&self) -> Vec<PartView> {
        let hosts = self.parts.servers.hosts().into_iter();
        let view = |host: greenroom_protocol::hosting::HostView| PartView {
            name: format!("host:{}", host.id),
            is_well: host.state == HostState::Up,
            took_us: 0,
            problem: host.reason,
        };
        hosts.map(view).collect()
    }

    async fn sizes(&self) -> Vec<SizeView> {
        let Some(folder) = self.parts.installation.data_dir.clone() else { return Vec::new() };
        let found = task::spawn_blocking(move || sizes_in(&folder)).await;
        found.unwrap_or_else(|error| {
            tracing::warn!(%error, "the sizes in the data folder could not be told");
            Vec::new()
        })
    }
}

fn game_view(game: &GameSettings) -> GameView {
    GameView {
        id: game.id.clone(),
        studio: game.studio.clone(),
        hosts: game.hosts.clone(),
        provider: game.fleet.as_ref().map(|fleet| fleet.provider.as_str().to_owned()),
    }
}

fn part(name: &str, began: Instant, problem: Option<String>) -> PartView {
    let took_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    PartView { name: name.to_owned(), is_well: problem.is_none(), took_us, problem }
}

/// What is wrong, without what lies behind it: that is for the log.
fn problem_of<E: std::error::Error>(
    answer: Result<Result<(), E>, tokio::time::error::Elapsed>,
) -> Option<String> {
    match answer {
        Ok(Ok(())) => None,
        Ok(Err(error)) => {
            tracing::warn!(%error, "a part of the installation does not answer as it should");
            Some("it answers with an error; the log has the cause".to_owned())
        }
        Err(_) => Some(format!("it does not answer within {} s", ANSWER_MAX.as_secs())),
    }
}

/// What is in `folder`, each entry with all that is in it, the largest first. What vanishes meanwhile or cannot
/// be read counts nothing; links are not followed.
fn sizes_in(folder: &Path) -> Vec<SizeView> {
    let mut left = FILES_MAX;
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut sizes: Vec<_> = entries
        .map(|entry| SizeView {
            name: entry.file_name().to_string_lossy().into_owned(),
            bytes: size_of(&entry.path(), &mut left),
        })
        .collect();
    sizes.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
    sizes.truncate(SIZES_MAX);
    sizes
}

fn size_of(path: &Path, left: &mut usize) -> u64 {
    let mut bytes = 0;
    let mut waiting = vec![path.to_owned()];
    while let Some(path) = waiting.pop() {
        if *left == 0 {
            break;
        }
        *left -= 1;
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        if metadata.is_dir() {
            let entries = fs::read_dir(&path).into_iter().flatten().flatten();
            waiting.extend(entries.map(|entry| entry.path()).take(*left));
        } else {
            bytes += metadata.len();
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_count_with_all_that_is_in_them() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("servers/a/b")).unwrap();
        fs::write(folder.path().join("servers/a/b/log"), [0; 30]).unwrap();
        fs::write(folder.path().join("servers/a/state"), [0; 10]).unwrap();
        fs::write(folder.path().join("records"), [0; 20]).unwrap();
        let sizes: Vec<_> = sizes_in(folder.path()).into_iter().map(|one| (one.name, one.bytes)).collect();
        assert_eq!(sizes, [("servers".to_owned(), 40), ("records".to_owned(), 20)]);
        assert!(sizes_in(&folder.path().join("none")).is_empty());
    }
}
