//! The driver of one server: what should be against what is, one step at a time, until both agree.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use greenroom_directory::{Change, DirectoryError, Expected, Partition, Revision};
use greenroom_domain::{
    fleet::build_of,
    server::{FactKind, PendingFact, Seen, Server, ServerState, Step},
    settings::FleetSettings,
};
use greenroom_fleet::{ProviderError, StartError};
use greenroom_protocol::{ServerId, Timestamp};
use greenroom_storage::StorageError;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{
    Servers, authenticate,
    documents::{SERVER, put_server},
    get::record_of,
    launch,
    places::hosts_of,
    pull::Pull,
};
use crate::{AppendFailed, Fact};

/// First pause after a step that failed; doubles up to [`RETRY_MAX`].
pub(crate) const RETRY_MIN: Duration = Duration::from_millis(50);

/// Longest pause between tries of a step that fails.
const RETRY_MAX: Duration = Duration::from_secs(5);

/// Pause after a conflict: the watch brings the newer document.
const CONFLICT_PAUSE: Duration = Duration::from_millis(2);

/// The drivers that run now, at most one a server.
#[derive(Default)]
pub(crate) struct Drivers(Mutex<HashMap<ServerId, Arc<Driver>>>);

#[derive(Default)]
struct Driver {
    look_again: AtomicBool,
    nudged: Notify,
}

/// What became of a commit.
pub(crate) enum Saved {
    Done,
    /// The document was changed by someone else, or something that goes with it was.
    Conflict,
}

enum Outcome {
    /// Something was done: look again.
    Again,
    /// Nothing to do, until a nudge or until then.
    Idle(Option<Timestamp>),
    Conflict,
}

#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Provider(#[from] ProviderError),
    #[error(transparent)]
    Append(#[from] AppendFailed),
    #[error("the server cannot be labelled: {0}")]
    Labels(#[from] serde_json::Error),
}

impl Servers {
    /// Makes the server's driver look at it, starting one if none runs.
    pub(crate) fn nudge(&self, id: &ServerId) {
        let mut drivers = self.0.drivers.0.lock();
        if let Some(driver) = drivers.get(id) {
            driver.look_again.store(true, Ordering::Release);
            driver.nudged.notify_one();
            return;
        }
        let driver = Arc::new(Driver::default());
        drivers.insert(id.clone(), Arc::clone(&driver));
        drop(drivers);
        let (servers, id) = (self.clone(), id.clone());
        self.0.tracker.spawn(async move { servers.drive(id, driver).await });
    }

    async fn drive(&self, id: ServerId, driver: Arc<Driver>) {
        let mut failures = 0_u32;
        while !self.0.shutdown.is_cancelled() {
            driver.look_again.store(false, Ordering::Release);
            let pause = match self.step(&id).await {
                Ok(Outcome::Again) => {
                    failures = 0;
                    continue;
                }
                Ok(Outcome::Conflict) => Some(CONFLICT_PAUSE),
                Ok(Outcome::Idle(due)) => {
                    failures = 0;
                    let now = self.0.clock.now();
                    due.map(|due| due.since(now).max(Duration::from_millis(1)))
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    // The first one and then ever fewer: a full disk is one message, not thousands.
                    if failures.is_power_of_two() {
                        tracing::warn!(server = %id, failures, %error, "a step of a game server failed and is tried again");
                    }
                    metrics::counter!("greenroom_server_step_failures_total").increment(1);
                    Some(RETRY_MIN.saturating_mul(1 << failures.min(10)).min(RETRY_MAX))
                }
            };
            let Some(pause) = pause else {
                let mut drivers = self.0.drivers.0.lock();
                if driver.look_again.load(Ordering::Acquire) {
                    continue;
                }
                drivers.remove(&id);
                return;
            };
            // A shutdown first: what is left to do is done after the next start.
            tokio::select! {
                biased;
                () = self.0.shutdown.cancelled() => return,
                () = driver.nudged.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn step(&self, id: &ServerId) -> Result<Outcome, StepError> {
        let Some((server, revision)) = self.0.view.get(id) else { return Ok(Outcome::Idle(None)) };
        let seen = self.0.view.seen(&server);
        let now = self.0.clock.now();
        if seen == Seen::Unreachable
            && let Some(next) = self.elsewhere(&server, now)
        {
            tracing::warn!(server = %id, lost = %server.birth.host, host = %next.birth.host, "the host of a game server that starts is lost; it is tried on another one");
            return Ok(match self.save(&server, revision, next).await? {
                Saved::Done => Outcome::Again,
                Saved::Conflict => Outcome::Conflict,
            });
        }
        let next = match server.next(&seen, self.tries_max(&server), now) {
            Step::Wait(due) => return Ok(Outcome::Idle(due)),
            Step::Start => return self.start_try(&server, revision).await,
            Step::Stop => return self.stop_try(&server).await,
            Step::MarkReady => return self.mark_ready(&server).await,
            Step::Append(fact) => {
                self.0.events.append(Self::fact(&server, fact)).await?;
                let mut next = (*server).clone();
                next.fact_appended(fact.kind);
                next
            }
            Step::Finish => return self.finish(&server, revision).await,
            Step::Commit(next) => *next,
            Step::Deliver(next) => {
                if !self.deliver(&next).await? {
                    return Ok(Outcome::Again);
                }
                *next
            }
        };
        Ok(match self.save(&server, revision, next).await? {
            Saved::Done => Outcome::Again,
            Saved::Conflict => Outcome::Conflict,
        })
    }

    /// Commits what became of a server, and what goes with it: a key that led to a failure is forgotten.
    pub(crate) async fn save(
        &self,
        old: &Server,
        revision: Revision,
        mut new: Server,
    ) -> Result<Saved, DirectoryError> {
        if new.ports.is_empty() && new.ready_at.is_some() {
            new.ports = self.0.view.ports(&new.instance());
            if let Some(address) = self.0.view.public_address(&new.instance()) {
                new.birth.address = address;
            }
        }
        if new.state == ServerState::Starting && new.tries > old.tries && new.birth.host == old.birth.host {
            self.place_again(&mut new);
        }
        let mut changes = vec![put_server(&new, Expected::At(revision))?];
        if let Some(key) = new.forgotten_idempotency()
            && old.forgotten_idempotency().is_none()
        {
            changes.extend(self.forget_key(&new, key).await?);
        }
        let Some(revision) = self.commit(&new, changes, |found| *found == new).await? else {
            return Ok(Saved::Conflict);
        };
        Self::note_passage(old, &new);
        self.0.view.apply(new, revision, self.0.clock.now());
        Ok(Saved::Done)
    }

    /// The next try of a server that somebody waits for and whose host is lost, if there is another
    /// host. Without one it waits for its own.
    fn elsewhere(&self, server: &Server, now: Timestamp) -> Option<Server> {
        if server.state != ServerState::Starting || server.allocation.is_none() {
            return None;
        }
        let mut next = server.host_lost(self.tries_max(server), now);
        if next.state != ServerState::Starting {
            return Some(next);
        }
        self.place_again(&mut next);
        (next.birth.host != server.birth.host).then_some(next)
    }

    /// Moves the next try to another host than the last one's, if one has room. A host changes with
    /// the number of the try only, so that no instance can be on two.
    fn place_again(&self, server: &mut Server) {
        let Some((settings, game)) = self.game(&server.birth.game) else { return };
        let Some(fleet) = game.fleet else { return };
        let hosts = hosts_of(&settings, &fleet, &self.0.machines.hosts());
        if let Ok(host) = self.0.view.place_again(server, hosts) {
            server.birth.host = host.id;
            server.birth.address = host.address;
        }
    }

    async fn start_try(&self, server: &Server, revision: Revision) -> Result<Outcome, StepError> {
        let Some((settings, game)) = self.game(&server.birth.game) else {
            return self
                .refuse(server, revision, "the game is not configured any more".to_owned(), true)
                .await;
        };
        let Some(fleet) = game.fleet else {
            return self.refuse(server, revision, "the game has no fleet any more".to_owned(), true).await;
        };
        if fleet.connection.code_length().is_some() && server.birth.code.is_none() {
            let why = "it was asked for when the game's servers had no codes".to_owned();
            return self.refuse(server, revision, why, true).await;
        }
        let instance = server.instance();
        if self.waits_for_image(&instance) {
            return Ok(Outcome::Idle(None));
        }
        let secret = self.0.secrets.lock().get(&instance).cloned();
        let Some(secret) = secret.filter(|_| launch::is_current(server, &fleet)) else {
            return self.renew(server, revision, &fleet).await;
        };
        let spec =
            launch::spec(server, &fleet, &settings.internal_url, &self.0.greenroom, &secret, &game.slug)?;
        let has_payload = spec.payload.is_some();
        match self.0.machines.start(spec).await {
            Ok(started) => {
                let ports = super::machines::ports(&started.ports);
                self.0.secrets.lock().remove(&instance);
                self.0.view.note_started(&instance, ports, has_payload);
                self.0.image_waits.lock().remove(&instance);
                Ok(Outcome::Again)
            }
            Err(StartError::NoImage { host, image }) => {
                match self.pull_for(&server.birth.id, &instance, &host, &image) {
                    // The waiting pull nudges this driver when it is over.
                    Pull::Waits => Ok(Outcome::Idle(None)),
                    Pull::Failed(why) => self.refuse(server, revision, why, false).await,
                }
            }
            Err(error @ StartError::NoPort { .. }) => {
                self.0.secrets.lock().remove(&instance);
                let tries_max = self.tries_max(server);
                let next = server.start_without_port(error.to_string(), tries_max, self.0.clock.now());
                Ok(match self.save(server, revision, next).await? {
                    Saved::Done => Outcome::Again,
                    Saved::Conflict => Outcome::Conflict,
                })
            }
            Err(error) => self.refuse(server, revision, error.to_string(), !error.is_retryable()).await,
        }
    }

    /// The secret was lost with a former process or used up by a former try, or the fleet has
    /// changed since: what the process is to be told is written down before it runs.
    async fn renew(
        &self,
        server: &Server,
        revision: Revision,
        fleet: &FleetSettings,
    ) -> Result<Outcome, StepError> {
        let secret = authenticate::new_secret();
        let mut next = server.clone().with_sdk(fleet.sdk.as_ref());
        next.token_hash = authenticate::hash(&secret);
        next.birth.build = build_of(fleet, &server.birth.version);
        Ok(match self.save(server, revision, next).await? {
            Saved::Done => {
                self.0.secrets.lock().insert(server.instance(), secret);
                Outcome::Again
            }
            Saved::Conflict => Outcome::Conflict,
        })
    }

    async fn refuse(
        &self,
        server: &Server,
        revision: Revision,
        why: String,
        for_good: bool,
    ) -> Result<Outcome, StepError> {
        self.0.secrets.lock().remove(&server.instance());
        self.0.image_waits.lock().remove(&server.instance());
        let next = server.start_refused(why, for_good, self.tries_max(server), self.0.clock.now());
        Ok(match self.save(server, revision, next).await? {
            Saved::Done => Outcome::Again,
            Saved::Conflict => Outcome::Conflict,
        })
    }

    async fn stop_try(&self, server: &Server) -> Result<Outcome, StepError> {
        let instance = server.instance();
        let grace = self.fleet(&server.birth.game).map_or(Duration::from_secs(10), |fleet| fleet.stop_grace);
        match self.0.machines.stop(&instance, grace).await {
            Ok(()) => Ok(Outcome::Idle(None)),
            Err(ProviderError::NotFound(_)) => {
                self.0.view.note_missing(&instance);
                Ok(Outcome::Again)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn mark_ready(&self, server: &Server) -> Result<Outcome, StepError> {
        let instance = server.instance();
        match self.0.machines.mark_ready(&instance).await {
            // What comes of it is seen.
            Ok(()) => Ok(Outcome::Idle(None)),
            Err(ProviderError::NotFound(_)) => {
                self.0.view.note_missing(&instance);
                Ok(Outcome::Again)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Hands over the payload; false if the server is gone.
    async fn deliver(&self, server: &Server) -> Result<bool, StepError> {
        let instance = server.instance();
        let Some(allocation) = &server.allocation else { return Ok(true) };
        if self.0.view.has_payload(&instance) {
            return Ok(true);
        }
        let payload = Bytes::from(allocation.payload.clone());
        match self.0.machines.deliver_payload(&instance, &payload).await {
            Ok(()) => Ok(true),
            Err(ProviderError::NotFound(_)) => {
                self.0.view.note_missing(&instance);
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Writes down an end. Each part is harmless to repeat, and the document goes last.
    async fn finish(&self, server: &Server, revision: Revision) -> Result<Outcome, StepError> {
        self.0.image_waits.lock().remove(&server.instance());
        for fact in &server.pending {
            self.0.events.append(Self::fact(server, *fact)).await?;
        }
        let kept = self.fleet(&server.birth.game).map_or(super::IDEMPOTENCY_KEEP, |fleet| fleet.ended_keep);
        self.0.storage.servers().upsert(&record_of(server, kept)).await?;
        let delete = Change::delete(SERVER, server.id().as_str(), Expected::At(revision));
        let partition = Partition::game(&server.birth.game);
        match self.0.directory.commit(&partition, vec![delete]).await {
            Ok(_) => {
                self.0.view.remove(server.id());
                Ok(Outcome::Idle(None))
            }
            Err(DirectoryError::Conflict(_)) => Ok(Outcome::Conflict),
            // If it was applied, the watch says so; if not, it is tried again.
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn tries_max(&self, server: &Server) -> u32 {
        self.fleet(&server.birth.game).map_or(1, |fleet| fleet.start_tries_max)
    }

    fn fact(server: &Server, fact: PendingFact) -> Fact {
        let (id, birth, kind) = (server.id(), &server.birth, fact.kind.as_str());
        let match_id = server.allocation.as_ref().and_then(|allocation| allocation.match_id.as_ref());
        let mut data = serde_json::json!({
            "name": birth.name,
            "region": birth.region,
            "version": birth.version,
            "address": birth.address,
            "port": server.port(),
            "match": match_id,
        });
        if fact.kind != FactKind::Started {
            data["reason"] = server.exit.as_ref().map(greenroom_domain::server::Exit::sentence).into();
            data["crashed"] =
                server.exit.as_ref().is_some_and(greenroom_domain::server::Exit::is_crash).into();
            data["stopReason"] = server.stop_reason.map(super::get::reason).into();
        }
        Fact {
            studio: birth.studio.clone(),
            id: format!("server-{id}-{kind}"),
            source: format!("/games/{}/servers/{id}", birth.game),
            kind: format!("server.{kind}"),
            subject: format!("v1.{}.servers.{id}.events.{kind}", birth.game),
            at: fact.at,
            data,
        }
    }

    /// What a change of state tells the log and the metrics.
    fn note_passage(old: &Server, new: &Server) {
        if old.state == new.state && old.tries == new.tries {
            return;
        }
        let (id, game) = (new.id(), &new.birth.game);
        let ended = new.state.is_final() && !old.state.is_final();
        if let Some(exit) = new.exit.as_ref().filter(|_| ended || new.tries != old.tries) {
            let (how, tries, crashed) = (exit.sentence(), old.tries, exit.is_crash());
            let last_line = exit.last_lines.last().map(String::as_str).unwrap_or_default();
            if crashed {
                tracing::warn!(server = %id, %game, tries, how, last_line, "a game server failed");
            } else {
                tracing::info!(server = %id, %game, tries, how, "a game server ended");
            }
            let labels = [("game", game.to_string()), ("crashed", crashed.to_string())];
            metrics::counter!("greenroom_server_exits_total", &labels).increment(1);
        } else {
            tracing::debug!(server = %id, %game, state = new.state.as_str(), "a game server changed its state");
        }
        if new.state != ServerState::Starting && old.state == ServerState::Starting && new.ready_at.is_some()
        {
            let seconds = new.ready_at.unwrap_or_default().since(new.birth.created_at).as_secs_f64();
            metrics::histogram!("greenroom_server_ready_seconds", "game" => game.to_string()).record(seconds);
        }
    }
}
