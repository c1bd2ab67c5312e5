//! Follows one engine: its events as they come, and a look at all our containers now and then, in case
//! one was missed.

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    io,
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bollard::{
    models::{ContainerSummaryStateEnum, EventMessage},
    query_parameters::{EventsOptions, ListContainersOptions},
};
use futures_util::StreamExt as _;
use greenroom_protocol::ServerId;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until},
};

use super::{
    EngineError, Entry, Host, LABEL_HOST, LABEL_INSTALLATION, LABEL_INSTANCE, LABEL_NAME, LABEL_RECORD, Own,
    life, logs, on_disk,
    record::{self, Record, RecordFolder, State},
};
use crate::{
    model::{Phase, Started},
    supervise::now,
};

/// Between two looks while events come.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// How long a look may take.
const LIST_MAX: Duration = Duration::from_secs(5);
/// Between two tries to reach an engine that is away, at first and at last.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// Events from this long before are asked for again, so that none falls between two streams.
const EVENTS_BEFORE_SECONDS: i64 = 2;

/// A server of an earlier life.
pub(super) struct Found {
    id: ServerId,
    folder: RecordFolder,
    record: Record,
    state: State,
}

/// All servers that were seen to run. Folders of starts that were cut off wait for the first look.
pub(super) fn scan(records_dir: &Path) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for id in record::folders(records_dir)? {
        let folder = RecordFolder::new(records_dir, &id);
        let read = folder.read_state().and_then(|state| Ok((state, folder.read_record()?)));
        match read {
            Ok((Some(state), record)) => found.push(Found { id, folder, record, state }),
            Ok((None, _)) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::error!(server = %id, %error, "a game server's record cannot be read and is left alone");
            }
        }
    }
    Ok(found)
}

/// Makes them known; those that lived are followed once the engine tells of them.
pub(super) fn take_over(host: &Arc<Host>, found: Vec<Found>) {
    for Found { id, folder, record, state } in found {
        adopt(host, id, folder, record, state);
    }
}

fn adopt(host: &Arc<Host>, id: ServerId, folder: RecordFolder, record: Record, state: State) {
    let started = Started { ports: record.ports.clone(), at: record.at };
    let (_known, outcome) = watch::channel(Some(Ok(started)));
    let (commands_in, commands) = mpsc::channel(life::COMMANDS_MAX);
    let record = Arc::new(record);
    let own = Own { folder, signals: Arc::default(), record: Some(Arc::clone(&record)) };
    let entry = Entry::starting(own.clone(), record.labels.clone(), outcome, commands_in);
    let _cannot_be_known = host.table.claim(&id, entry, usize::MAX);
    let lives = !matches!(state.phase, Phase::Ended(_));
    if lives && record.holds_ports {
        host.ports.adopt(&record.ports);
    }
    if let Some(ports) = record.sdk.filter(|_| lives && record.host_network) {
        host.ports.adopt(&ports.bound());
        host.answer_sdk(&own, &record, None);
    }
    host.table.update(&id, |entry| {
        entry.ports = record.ports.as_slice().into();
        entry.phase = state.phase.clone();
    });
    if lives {
        host.follow(&own, record, &state.phase, state.stop_asked, None, commands);
    }
}

/// Follows the engine until we close.
pub(super) async fn follow(host: Arc<Host>) {
    let cancel = host.cancel.clone();
    let mut engine = Watch { host, has_looked: false, strangers: HashSet::new() };
    let mut pause = RETRY.0;
    loop {
        let began = Instant::now();
        let Err(error) = tokio::select! {
            biased;
            () = cancel.cancelled() => return,
            result = engine.session() => result,
        };
        engine.host.lost(&error);
        // One that answered for a while is asked again at once: it may only have been restarted.
        pause = if began.elapsed() > LOOK_EVERY { RETRY.0 } else { (pause * 2).min(RETRY.1) };
        tokio::select! {
            biased;
            () = cancel.cancelled() => return,
            () = sleep(pause) => {}
        }
    }
}

struct Watch {
    host: Arc<Host>,
    /// Whether all that ran before us is known.
    has_looked: bool,
    /// Containers of ours that another host of this installation has: told of once.
    strangers: HashSet<String>,
}

impl Watch {
    /// Follows the engine while it answers.
    async fn session(&mut self) -> Result<Infallible, EngineError> {
        let host = Arc::clone(&self.host);
        let version = host.connection.ping().await?;
        let since = now().as_millis() / 1000 - EVENTS_BEFORE_SECONDS;
        let options = EventsOptions {
            since: Some(since.to_string()),
            until: None,
            filters: Some(HashMap::from([
                ("type".into(), vec!["container".into()]),
                ("label".into(), vec![self.label()]),
            ])),
        };
        let mut events = std::pin::pin!(host.connection.client()?.events(Some(options)));
        let mut next_look = Instant::now();
        loop {
            tokio::select! {
                biased;
                event = events.next() => match event {
                    Some(Ok(event)) => self.event(&event),
                    Some(Err(error)) => return Err(host.connection.explain("following events", &error)),
                    None => {
                        let why = "it has closed the stream of events".to_owned();
                        return Err(EngineError::Unreachable { endpoint: host.config.endpoint.to_string(), why });
                    }
                },
                () = sleep_until(next_look) => {
                    self.look().await?;
                    host.up(&version);
                    next_look = Instant::now() + LOOK_EVERY;
                }
            }
        }
    }

    fn label(&self) -> String {
        format!("{LABEL_INSTALLATION}={}", self.host.config.installation)
    }

    fn event(&self, event: &EventMessage) {
        let attributes = event.actor.as_ref().and_then(|actor| actor.attributes.as_ref());
        let Some(attributes) = attributes else { return };
        if attributes.get(LABEL_HOST).is_none_or(|host| host != self.host.config.host.as_str()) {
            return;
        }
        let action = event.action.as_deref().unwrap_or_default();
        // Those of our own doing say nothing new.
        if !matches!(action, "die" | "destroy" | "oom" | "pause" | "unpause" | "kill" | "stop") {
            return;
        }
        let id = attributes.get(LABEL_INSTANCE).and_then(|id| ServerId::new(id).ok());
        let Some(entry) = id.and_then(|id| self.host.table.get(&id)) else { return };
        if action == "oom" {
            entry.own.signals.out_of_memory.store(true, Ordering::Relaxed);
        } else if !matches!(action, "kill" | "stop") {
            entry.own.signals.nudge.notify_one();
        }
    }

    /// Compares what the engine has with what is known.
    async fn look(&mut self) -> Result<(), EngineError> {
        let options = ListContainersOptions {
            all: true,
            filters: Some(HashMap::from([("label".into(), vec![self.label()])])),
            ..ListContainersOptions::default()
        };
        // Known before the list: what is started while it is made may not be in it.
        let known = self.host.table.all();
        let listed = self.host.connection.call("asking for all containers", LIST_MAX, async |docker| {
            docker.list_containers(Some(options)).await
        });
        let mut there: HashMap<ServerId, ContainerSummaryStateEnum> = HashMap::new();
        for container in listed.await? {
            let labels = container.labels.unwrap_or_default();
            let state = container.state.unwrap_or(ContainerSummaryStateEnum::EMPTY);
            let Some(id) = labels.get(LABEL_INSTANCE).and_then(|id| ServerId::new(id).ok()) else { continue };
            if labels.get(LABEL_HOST).is_none_or(|host| host != self.host.config.host.as_str()) {
                self.stranger(&labels, &id);
                continue;
            }
            there.insert(id.clone(), state);
            match self.host.table.get(&id) {
                Some(entry) if entry.is_ended() => self.put_away(id, entry),
                Some(entry) => {
                    let runs = state == ContainerSummaryStateEnum::RUNNING;
                    if entry.is_told() && (!runs || entry.is_paused || !self.has_looked) {
                        entry.own.signals.nudge.notify_one();
                    }
                }
                None => self.unknown(id, state, &labels).await,
            }
        }
        for (id, entry) in &known {
            if entry.is_told() && !entry.is_ended() && !there.contains_key(id) {
                entry.own.signals.nudge.notify_one();
            }
        }
        if !self.has_looked {
            self.has_looked = true;
            self.sweep_folders().await;
            let alive = self.host.table.alive();
            if !known.is_empty() || alive > 0 {
                tracing::info!(host = %self.host.config.host, alive, known = known.len(), "containers of an earlier run found");
            }
        }
        Ok(())
    }

    /// One of ours that the table does not know: of a start that was cut off, or that was given up as the
    /// engine did not answer. At the first look one that has run is taken over; everything else is
    /// removed.
    async fn unknown(
        &self,
        id: ServerId,
        state: ContainerSummaryStateEnum,
        labels: &HashMap<String, String>,
    ) {
        use ContainerSummaryStateEnum as State_;
        let has_run = !matches!(state, State_::CREATED | State_::EMPTY | State_::REMOVING);
        if has_run && !self.has_looked {
            let folder = RecordFolder::new(&self.host.config.records_dir, &id);
            let own = folder.clone();
            let on_record = on_disk(move || own.read_record()).await.ok();
            if let Some(record) = on_record.or_else(|| from_labels(labels)) {
                let (own, kept) = (folder.clone(), record.clone());
                let state = State { phase: Phase::Starting, stop_asked: false };
                let written = on_disk(move || {
                    if own.read_record().is_err() {
                        own.create(&kept)?;
                    }
                    own.write_state(&state)
                });
                if let Err(error) = written.await {
                    tracing::warn!(server = %id, %error, "the record of a container could not be written");
                }
                tracing::info!(server = %id, name = %record.name, "a container of a start that was cut off is taken over");
                let state = State { phase: Phase::Starting, stop_asked: false };
                adopt(&self.host, id.clone(), folder, record, state);
                if let Some(entry) = self.host.table.get(&id) {
                    entry.own.signals.nudge.notify_one();
                }
                return;
            }
        }
        let name = labels.get(LABEL_NAME).map_or("", String::as_str);
        tracing::warn!(server = %id, name, ?state, "a container that a start has left behind is removed");
        let host = Arc::clone(&self.host);
        self.host.tasks.spawn(async move {
            if let Err(error) = host.remove(&id).await {
                tracing::warn!(server = %id, %error, "a container that was left behind could not be removed; it is tried again");
            }
        });
    }

    /// An ended one whose container is still there: what was not kept of it is, and it is removed.
    fn put_away(&self, id: ServerId, entry: Entry) {
        let host = Arc::clone(&self.host);
        self.host.tasks.spawn(async move {
            let Phase::Ended(exit) = &entry.phase else { return };
            let folder = entry.own.folder.clone();
            let has_log = folder.log().log().exists();
            if !has_log {
                let bytes_max = entry.own.record.as_ref().map_or(0, |record| record.log_bytes_max);
                let last_word = (exit.at, format!("the game server has ended: {}", exit.cause));
                if !logs::save(&host, &id, &folder, bytes_max, Some(last_word)).await.is_whole {
                    return;
                }
            }
            let state = State { phase: entry.phase.clone(), stop_asked: false };
            if on_disk(move || folder.write_state(&state)).await.is_ok()
                && let Err(error) = host.remove(&id).await
            {
                tracing::debug!(server = %id, %error, "an ended container is not removed yet");
            }
        });
    }

    fn stranger(&mut self, labels: &HashMap<String, String>, id: &ServerId) {
        let other = labels.get(LABEL_HOST).map_or("", String::as_str);
        if self.strangers.len() < crate::SERVERS_MAX && self.strangers.insert(id.to_string()) {
            tracing::warn!(server = %id, other, host = %self.host.config.host, "a container of this installation was started by another host; name the host as before, or remove the container");
        }
    }

    /// Removes the folders of starts that never came to anything.
    async fn sweep_folders(&self) {
        let host = Arc::clone(&self.host);
        let swept = on_disk(move || {
            for id in record::folders(&host.config.records_dir)? {
                let folder = RecordFolder::new(&host.config.records_dir, &id);
                if host.table.get(&id).is_none() && matches!(folder.read_state(), Ok(None)) {
                    folder.remove()?;
                }
            }
            Ok(())
        });
        if let Err(error) = swept.await {
            tracing::warn!(%error, "the folders of starts that were cut off could not be removed");
        }
    }
}

/// How a container was started, by its labels alone.
fn from_labels(labels: &HashMap<String, String>) -> Option<Record> {
    let mut record: Record = serde_json::from_str(labels.get(LABEL_RECORD)?).ok()?;
    let ours = [LABEL_INSTALLATION, LABEL_HOST, LABEL_INSTANCE, LABEL_NAME, LABEL_RECORD];
    let others = labels.iter().filter(|(name, _)| !ours.contains(&name.as_str()));
    record.labels = others.map(|(name, value)| (name.clone(), value.clone())).collect();
    Some(record)
}
