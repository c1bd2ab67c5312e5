//! What keeps the view and the drivers going: the directory's watch, the provider's observations,
//! and a timer for what neither of them told.

use std::{collections::HashSet, time::Duration};

use greenroom_directory::{DirectoryError, Expected, Notice, Watch};
use greenroom_domain::server::Server;
use greenroom_fleet::{Observed, Phase};
use greenroom_protocol::{ServerId, Timestamp};
use tokio::sync::watch;

use super::{
    IDEMPOTENCY_KEEP, Servers, StartError,
    documents::{SERVER, decode, put_server},
    launch,
    machines::{self, Sightings},
};

/// How often everything is looked at without having been told of.
const RESYNC_PERIOD: Duration = Duration::from_secs(10);

/// How many resyncs pass between two times that old records are deleted.
const PRUNE_RESYNCS: u32 = 60;

/// How many old records are deleted at a time.
const PRUNE_ROWS: u32 = 500;

/// Most ended servers whose logs the provider keeps; beyond it the oldest go before their time, so
/// that they never keep new ones from being started.
const ENDED_MAX: usize = 4_000;

/// What a process that means nothing to us is given to end.
const STRAY_GRACE: Duration = Duration::from_secs(10);

impl Servers {
    /// Learns what there is, then starts the loops.
    pub(crate) async fn take_up(&self) -> Result<(), StartError> {
        // What runs comes first: a document whose process is not known yet would count as lost.
        let sightings = self.0.machines.observe();
        let mut host_changes = self.0.machines.host_changes();
        host_changes.mark_unchanged();
        self.0.view.note_hosts(&self.0.machines.hosts());
        let words = self.0.view.words();
        self.0.view.note_list(&self.0.machines.list().await?, words);
        let mut watch = self.0.directory.watch(&[SERVER]).await?;
        while let Some(notice) = watch.next().await {
            if notice == Notice::Current {
                break;
            }
            self.take_in(notice);
        }
        self.resync().await?;
        self.recall_demand();
        let count = self.0.view.list(None).len();
        if count > 0 {
            tracing::info!(servers = count, "took up the game servers that there are");
        }
        let (watcher, observer, resyncer, pooler) = (self.clone(), self.clone(), self.clone(), self.clone());
        let hosts = self.clone();
        self.0.tracker.spawn(async move { hosts.watch_hosts(host_changes).await });
        self.0.tracker.spawn(async move { watcher.watch_documents(watch).await });
        self.0.tracker.spawn(async move { observer.watch_machines(sightings).await });
        self.0.tracker.spawn(async move { resyncer.resync_for_ever().await });
        self.0.tracker.spawn(async move { pooler.keep_pools().await });
        let (health, shutdown) = (self.clone(), self.0.shutdown.clone());
        self.0.tracker.spawn(async move { shutdown.run_until_cancelled(health.watch_health()).await });
        let (sampler, shutdown) = (self.clone(), self.0.shutdown.clone());
        // Samples are kept nowhere, so that its end needs no order.
        self.0.tracker.spawn(async move { shutdown.run_until_cancelled(sampler.sample_usage()).await });
        Ok(())
    }

    async fn watch_documents(&self, mut watch: Watch) {
        loop {
            // A shutdown first: a busy watch would otherwise hold it up.
            let notice = tokio::select! {
                biased;
                () = self.0.shutdown.cancelled() => return,
                notice = watch.next() => notice,
            };
            let Some(notice) = notice else { return };
            self.take_in(notice);
        }
    }

    fn take_in(&self, notice: Notice) {
        match notice {
            Notice::Put(document) => {
                let Some(server) = decode::<Server>(&document) else { return };
                let id = server.id().clone();
                if self.0.view.apply(server, document.revision, self.0.clock.now()) {
                    self.nudge(&id);
                }
            }
            Notice::Deleted { key, .. } => {
                if let Ok(id) = ServerId::new(&*key.id) {
                    self.0.view.remove(&id);
                }
            }
            Notice::Current => {}
        }
    }

    async fn watch_machines(&self, mut sightings: Sightings) {
        loop {
            let observed = tokio::select! {
                biased;
                () = self.0.shutdown.cancelled() => return,
                observed = sightings.next() => observed,
            };
            let Some(observed) = observed else { return };
            self.0.view.note(&observed);
            self.look_at(&observed).await;
        }
    }

    /// Looks at everything as soon as a host is lost or comes back.
    async fn watch_hosts(&self, mut changes: watch::Receiver<u64>) {
        loop {
            tokio::select! {
                biased;
                () = self.0.shutdown.cancelled() => return,
                changed = changes.changed() => if changed.is_err() { return },
            }
            if let Err(error) = self.resync().await {
                tracing::warn!(%error, "the game servers could not be looked at after a host changed; it is tried again");
            }
        }
    }

    async fn resync_for_ever(&self) {
        let mut resyncs = 0_u32;
        loop {
            tokio::select! {
                biased;
                () = self.0.shutdown.cancelled() => return,
                () = tokio::time::sleep(RESYNC_PERIOD) => {}
            }
            if let Err(error) = self.resync().await {
                tracing::warn!(%error, "the game servers could not be looked at; it is tried again");
            }
            resyncs = resyncs.wrapping_add(1);
            if resyncs % PRUNE_RESYNCS == 1 {
                self.prune().await;
            }
        }
    }

    /// Compares everything that should be with everything that is.
    async fn resync(&self) -> Result<(), StartError> {
        // Asked for before the list and taken in after it: what is missing on a host that can be
        // asked is gone, and must not seem so a moment too early.
        let hosts = self.0.machines.hosts();
        let words = self.0.view.words();
        let list = self.0.machines.list().await?;
        self.0.view.note_list(&list, words);
        self.0.view.note_hosts(&hosts);
        for observed in &list {
            self.look_at(observed).await;
        }
        for server in self.0.view.list(None) {
            self.nudge(server.id());
        }
        self.forget_ended(list).await;
        Ok(())
    }

    /// Brings an instance together with its document: nudges the driver, takes up a process whose
    /// document is gone, stops one that nothing can be known of.
    async fn look_at(&self, observed: &Observed) {
        let living = !matches!(observed.phase, Phase::Ended(_));
        let labelled = launch::read_labels(observed);
        let id = labelled.as_ref().map(|(birth, ..)| birth.id.clone());
        if let Some((server, _)) = id.as_ref().and_then(|id| self.0.view.get(id)) {
            self.nudge(server.id());
            if living && server.instance() != observed.id {
                self.stop_stray(observed, "another try of its server has taken its place").await;
            }
            return;
        }
        if !living {
            return;
        }
        let Some((birth, token_hash, tries)) = labelled else {
            self.stop_stray(observed, "its labels cannot be read").await;
            return;
        };
        match self.0.storage.servers().get(&birth.id).await {
            Ok(Some(row)) if row.ended_at.is_some() => {
                self.stop_stray(observed, "its server counts as ended").await;
                return;
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(server = %birth.id, %error, "a process without a document waits: the records cannot be read");
                return;
            }
        }
        let ports = machines::ports(&observed.ports);
        let sdk = self.fleet(&birth.game).and_then(|fleet| fleet.sdk);
        let server =
            Server::adopted(birth, token_hash, tries, ports, self.0.clock.now()).with_sdk(sdk.as_ref());
        if let Err(error) = self.adopt(&server).await {
            tracing::warn!(server = %server.id(), %error, "a process without a document could not be taken up; it is tried again");
        }
    }

    async fn adopt(&self, server: &Server) -> Result<(), DirectoryError> {
        let changes = vec![put_server(server, Expected::Absent)?];
        // A conflict means that it has a document, which the watch is about to bring.
        if let Some(revision) = self.commit(server, changes, |_| true).await? {
            tracing::warn!(server = %server.id(), "took up a game server whose document was gone");
            self.0.view.apply(server.clone(), revision, self.0.clock.now());
            self.nudge(server.id());
        }
        Ok(())
    }

    async fn stop_stray(&self, observed: &Observed, why: &str) {
        tracing::warn!(instance = %observed.id, why, "stopping a game server process that is nobody's");
        if let Err(error) = self.0.machines.stop(&observed.id, STRAY_GRACE).await {
            tracing::warn!(instance = %observed.id, %error, "it could not be stopped; it is tried again");
        }
    }

    /// Deletes what the provider keeps of servers that ended long ago.
    async fn forget_ended(&self, list: Vec<Observed>) {
        let now = self.0.clock.now();
        let living: HashSet<ServerId> =
            self.0.view.list(None).iter().map(|server| server.instance()).collect();
        let mut ended: Vec<(Timestamp, Observed)> = list
            .into_iter()
            .filter(|observed| !living.contains(&observed.id))
            .filter_map(|observed| match &observed.phase {
                Phase::Ended(exit) => Some((exit.at, observed)),
                Phase::Starting | Phase::Ready { .. } => None,
            })
            .collect();
        ended.sort_by_key(|(at, _)| *at);
        let surplus = ended.len().saturating_sub(ENDED_MAX);
        for (position, (at, observed)) in ended.into_iter().enumerate() {
            let game = launch::read_labels(&observed).map(|(birth, ..)| birth.game);
            let keep =
                game.and_then(|game| self.fleet(&game)).map_or(IDEMPOTENCY_KEEP, |fleet| fleet.ended_keep);
            if position >= surplus && at.after(keep) > now {
                continue;
            }
            match self.0.machines.forget(&observed.id).await {
                Ok(()) => self.0.view.note_missing(&observed.id),
                Err(error) => {
                    tracing::debug!(instance = %observed.id, %error, "an ended server's files stay for now");
                }
            }
        }
    }

    /// Deletes the records of servers that ended long ago; none that an idempotency key may still ask for.
    async fn prune(&self) {
        let kept = |settings: &greenroom_domain::settings::Settings| {
            let fleets = settings.games.values().filter_map(|game| game.fleet.as_ref());
            fleets.map(|fleet| fleet.ended_keep).max().unwrap_or_default().max(IDEMPOTENCY_KEEP)
        };
        let keep = kept(&self.0.settings.borrow());
        let keep_ms = i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
        let before = Timestamp::from_millis(self.0.clock.now().as_millis().saturating_sub(keep_ms));
        loop {
            match self.0.storage.servers().prune(before, PRUNE_ROWS).await {
                Ok(pruned) if pruned.len() < PRUNE_ROWS as usize => return,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "old records of game servers could not be deleted; it is tried again");
                    return;
                }
            }
        }
    }
}
