//! A provider whose servers do what the test says, at the moment it says.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use greenroom_fleet::{
    BoundPort, Exit, ExitCause, HostState, HostStatus, Launch, Observed, Phase, ProviderError, StartError,
    StartSpec, Started, sdk::SdkBackend,
};
use greenroom_protocol::{HostId, ServerId, Timestamp};
use parking_lot::Mutex;
use tokio::sync::watch;

/// What becomes of a start.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    Ready,
    /// It runs and is not ready until told.
    Hangs,
    Crashes,
    /// It is ready, and dead before anybody can look.
    ReadyThenDies,
    Refused(StartError),
}

#[derive(Clone)]
pub(crate) struct Scripted {
    world: Arc<Mutex<World>>,
    changes: watch::Sender<u64>,
    host_changes: watch::Sender<u64>,
}

struct World {
    hosts: Vec<HostStatus>,
    instances: BTreeMap<ServerId, Instance>,
    fates: VecDeque<Fate>,
    otherwise: Fate,
    changes: u64,
    next_port: u16,
    running_most: usize,
    deliveries_fail: u32,
    sdk: Option<Arc<dyn SdkBackend>>,
    forgets_ready_words: bool,
}

#[derive(Clone)]
pub(crate) struct Instance {
    pub(crate) observed: Observed,
    pub(crate) launch: Launch,
    pub(crate) payload: Option<Bytes>,
    pub(crate) started_with_payload: bool,
    change: u64,
}

pub(crate) struct ScriptedObservations {
    scripted: Scripted,
    changes: watch::Receiver<u64>,
    told: BTreeMap<ServerId, u64>,
}

impl Scripted {
    pub(crate) fn new(otherwise: Fate) -> Self {
        let world = World {
            hosts: vec![host_status(greenroom_fleet::local_host())],
            instances: BTreeMap::new(),
            fates: VecDeque::new(),
            otherwise,
            changes: 0,
            next_port: 7000,
            running_most: 0,
            deliveries_fail: 0,
            sdk: None,
            forgets_ready_words: false,
        };
        Self {
            world: Arc::new(Mutex::new(world)),
            changes: watch::Sender::new(0),
            host_changes: watch::Sender::new(0),
        }
    }

    pub(crate) fn hosts(&self) -> Vec<HostStatus> {
        self.world.lock().hosts.clone()
    }

    pub(crate) fn host_changes(&self) -> watch::Receiver<u64> {
        self.host_changes.subscribe()
    }

    /// Hosts beside this machine, all up.
    pub(crate) fn add_hosts(&self, ids: &[&str]) {
        let ids = ids.iter().map(|id| HostId::new(id).unwrap());
        self.world.lock().hosts.extend(ids.map(host_status));
    }

    /// The host goes away or comes back, with all that runs there.
    pub(crate) fn set_host(&self, id: &str, is_up: bool) {
        self.change(|world| {
            let host = world.hosts.iter_mut().find(|host| host.id.as_str() == id).unwrap();
            host.state = if is_up { HostState::Up } else { HostState::Lost("it does not answer".into()) };
            world.changes += 1;
            let change = world.changes;
            for instance in world.instances.values_mut().filter(|known| known.observed.host.as_str() == id) {
                instance.observed.is_host_reachable = is_up;
                instance.change = change;
            }
        });
        self.host_changes.send_modify(|count| *count += 1);
    }

    /// The next starts come to these ends, later ones to the usual one.
    pub(crate) fn next_fates(&self, fates: impl IntoIterator<Item = Fate>) {
        self.world.lock().fates.extend(fates);
    }

    pub(crate) fn otherwise(&self, fate: Fate) {
        self.world.lock().otherwise = fate;
    }

    /// The next payloads find their server gone.
    pub(crate) fn fail_deliveries(&self, count: u32) {
        self.world.lock().deliveries_fail = count;
    }

    pub(crate) fn instances(&self) -> Vec<Instance> {
        self.world.lock().instances.values().cloned().collect()
    }

    pub(crate) fn instance(&self, id: &ServerId) -> Option<Instance> {
        self.world.lock().instances.get(id).cloned()
    }

    pub(crate) fn running(&self) -> usize {
        self.world.lock().running()
    }

    /// The most that ever ran at once.
    pub(crate) fn running_most(&self) -> usize {
        self.world.lock().running_most
    }

    pub(crate) fn pass(&self, id: &ServerId, phase: Phase) {
        self.change(|world| world.pass(id, phase));
    }

    pub(crate) fn end(&self, id: &ServerId, cause: ExitCause) {
        self.pass(id, ended(cause));
    }

    /// A process that nobody here started.
    pub(crate) fn plant(&self, observed: Observed) {
        self.change(|world| {
            world.changes += 1;
            let launch = Launch { argv: Vec::new(), environment: BTreeMap::new() };
            let change = world.changes;
            let instance = Instance { observed, launch, payload: None, started_with_payload: false, change };
            world.instances.insert(instance.observed.id.clone(), instance);
        });
    }

    /// As if the provider had never heard of it.
    pub(crate) fn lose(&self, id: &ServerId) {
        self.world.lock().instances.remove(id);
    }

    #[expect(clippy::unused_async, reason = "it stands in for a provider's")]
    pub(crate) async fn start(&self, spec: StartSpec) -> Result<Started, StartError> {
        let mut world = self.world.lock();
        if let Some(known) = world.instances.get(&spec.id) {
            return Ok(Started { ports: known.observed.ports.clone(), at: Timestamp::default() });
        }
        if world.hosts.iter().any(|host| host.id == spec.host && !host.state.is_up()) {
            return Err(StartError::Unreachable { host: spec.host, why: "it does not answer".into() });
        }
        let fate = world.fates.pop_front().unwrap_or_else(|| world.otherwise.clone());
        if let Fate::Refused(error) = fate {
            return Err(error);
        }
        let mut ports = Vec::new();
        for port in &spec.ports {
            let number = world.next_port;
            world.next_port += port.count;
            ports.push(BoundPort {
                name: port.name.clone(),
                protocol: port.protocol,
                port: number,
                count: port.count,
                inner: None,
            });
        }
        let launch = (spec.render)(&ports).map_err(StartError::Spawn)?;
        let observed = Observed {
            id: spec.id.clone(),
            phase: Phase::Starting,
            ports: ports.clone(),
            labels: spec.labels,
            host: spec.host,
            address: None,
            public_address: None,
            is_host_reachable: true,
            is_paused: false,
        };
        let started_with_payload = spec.payload.is_some();
        world.changes += 1;
        let change = world.changes;
        let instance = Instance { observed, launch, payload: spec.payload, started_with_payload, change };
        world.instances.insert(spec.id.clone(), instance);
        world.running_most = world.running_most.max(world.running());
        match fate {
            Fate::Ready => world.pass(&spec.id, Phase::Ready { at: Timestamp::default() }),
            Fate::Crashes => world.pass(&spec.id, ended(ExitCause::Exited(1))),
            Fate::ReadyThenDies => {
                world.pass(&spec.id, Phase::Ready { at: Timestamp::default() });
                world.pass(&spec.id, ended(ExitCause::Signalled(11)));
            }
            Fate::Hangs | Fate::Refused(_) => {}
        }
        drop(world);
        self.changes.send_modify(|count| *count += 1);
        Ok(Started { ports, at: Timestamp::default() })
    }

    pub(crate) fn list(&self) -> Vec<Observed> {
        self.world.lock().instances.values().map(|instance| instance.observed.clone()).collect()
    }

    pub(crate) fn observe(&self) -> ScriptedObservations {
        ScriptedObservations {
            scripted: self.clone(),
            changes: self.changes.subscribe(),
            told: BTreeMap::new(),
        }
    }

    pub(crate) fn deliver_payload(&self, id: &ServerId, payload: &Bytes) -> Result<(), ProviderError> {
        let mut world = self.world.lock();
        if world.deliveries_fail > 0 {
            world.deliveries_fail -= 1;
            world.instances.remove(id);
            return Err(ProviderError::NotFound(id.clone()));
        }
        let instance = world.instances.get_mut(id).ok_or_else(|| ProviderError::NotFound(id.clone()))?;
        instance.payload = Some(payload.clone());
        Ok(())
    }

    pub(crate) fn serve_sdk(&self, backend: Arc<dyn SdkBackend>) {
        self.world.lock().sdk = Some(backend);
    }

    /// What a game server's SDK would be answered by.
    pub(crate) fn sdk(&self) -> Arc<dyn SdkBackend> {
        self.world.lock().sdk.clone().expect("the servers have started")
    }

    /// It is told which servers are ready, and does not do it.
    pub(crate) fn forget_ready_words(&self, forgets: bool) {
        self.world.lock().forgets_ready_words = forgets;
    }

    pub(crate) fn mark_ready(&self, id: &ServerId) -> Result<(), ProviderError> {
        let world = self.world.lock();
        if !world.instances.contains_key(id) {
            return Err(ProviderError::NotFound(id.clone()));
        }
        if world.forgets_ready_words {
            return Ok(());
        }
        drop(world);
        self.pass(id, Phase::Ready { at: Timestamp::default() });
        Ok(())
    }

    pub(crate) fn stop(&self, id: &ServerId) -> Result<(), ProviderError> {
        let known = self.world.lock().instances.contains_key(id);
        if !known {
            return Err(ProviderError::NotFound(id.clone()));
        }
        self.end(id, ExitCause::Stopped { killed: false });
        Ok(())
    }

    pub(crate) fn forget(&self, id: &ServerId) -> Result<(), ProviderError> {
        let gone = self.world.lock().instances.remove(id);
        gone.map(drop).ok_or_else(|| ProviderError::NotFound(id.clone()))
    }

    fn change(&self, change: impl FnOnce(&mut World)) {
        change(&mut self.world.lock());
        self.changes.send_modify(|count| *count += 1);
    }
}

impl World {
    fn pass(&mut self, id: &ServerId, phase: Phase) {
        self.changes += 1;
        let Some(instance) = self.instances.get_mut(id) else { return };
        if !matches!(instance.observed.phase, Phase::Ended(_)) {
            instance.observed.phase = phase;
            instance.change = self.changes;
        }
    }

    fn running(&self) -> usize {
        let phases = self.instances.values().map(|instance| &instance.observed.phase);
        phases.filter(|phase| !matches!(phase, Phase::Ended(_))).count()
    }
}

impl ScriptedObservations {
    pub(crate) async fn next(&mut self) -> Option<Observed> {
        loop {
            self.changes.mark_unchanged();
            let news = self.scripted.instances().into_iter().find(|instance| {
                self.told.get(&instance.observed.id).is_none_or(|told| *told < instance.change)
            });
            if let Some(instance) = news {
                self.told.insert(instance.observed.id.clone(), instance.change);
                return Some(instance.observed);
            }
            self.changes.changed().await.ok()?;
        }
    }
}

fn host_status(id: HostId) -> HostStatus {
    let since = Timestamp::default();
    HostStatus { id, provider: "process", state: HostState::Up, since, engine_version: None, running: 0 }
}

pub(crate) fn ended(cause: ExitCause) -> Phase {
    Phase::Ended(Exit {
        at: Timestamp::default(),
        cause,
        was_ready: false,
        last_lines: vec!["the last line".to_owned()],
    })
}
