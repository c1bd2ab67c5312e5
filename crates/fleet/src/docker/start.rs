//! Starting a container: ports, command, container.

use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bollard::{
    models::ContainerCreateBody,
    query_parameters::{CreateContainerOptions, ListContainersOptions, StartContainerOptions},
};
use greenroom_domain::settings::{ContainerNetwork, ContainerSettings, PortSettings, Readiness};
use tokio::sync::{mpsc, watch};

use super::{
    EngineError, Host, LABEL_INSTALLATION, LABEL_INSTANCE, Own,
    create::{self, Make, Marks},
    on_disk, ready,
    record::{PayloadBy, Record, State},
    seen::{Running, Seen},
};
use crate::{
    error::StartError,
    model::{BoundPort, HostState, Phase, Program, StartSpec, Started},
    ports::Reserved,
    sdk::{SdkPorts, Taken},
    supervise::now,
};

/// How long the engine may take to make a container.
const CREATE_MAX: Duration = Duration::from_secs(30);
/// How long it may take to start one.
const START_MAX: Duration = Duration::from_mins(1);
/// How long it may take to say which ports its containers have.
const PORTS_MAX: Duration = Duration::from_secs(5);
/// How many times other ports are tried where the engine refuses some.
const PORT_TRIES_MAX: u32 = 20;

/// Starts it, tells how that went, and leaves a life behind that follows it.
pub(super) async fn run(
    host: Arc<Host>,
    own: Own,
    spec: StartSpec,
    commands: mpsc::Receiver<Duration>,
    outcome: watch::Sender<Option<Result<Started, StartError>>>,
) {
    let (id, name) = (spec.id.clone(), spec.name.clone());
    let result = tokio::select! {
        biased;
        () = host.cancel.cancelled() => {
            Err(StartError::Unavailable("Greenroom ends; what has come of this start is seen when it is back".into()))
        }
        result = start(&host, &own, spec) => result,
    };
    let result = match result {
        Ok((started, record, running)) => {
            metrics::counter!("greenroom_fleet_starts_total", "result" => "started").increment(1);
            let ports: Vec<u16> = started.ports.iter().map(|bound| bound.port).collect();
            tracing::info!(server = %id, %name, host = %host.config.host, ?ports, "game server started");
            host.table.update(&id, |entry| {
                entry.ports = started.ports.as_slice().into();
                entry.address = running.as_ref().and_then(|running| running.address);
                entry.own.record = Some(Arc::clone(&record));
            });
            // One that was not seen to run is looked at again at once.
            if running.is_none() {
                own.signals.nudge.notify_one();
            }
            host.follow(&own, record, &Phase::Starting, false, running, commands);
            Ok(started)
        }
        Err(error) => {
            metrics::counter!("greenroom_fleet_starts_total", "result" => "failed").increment(1);
            tracing::warn!(server = %id, %name, host = %host.config.host, %error, "game server not started");
            host.table.remove(&id);
            Err(error)
        }
    };
    outcome.send_replace(Some(result));
}

type Success = (Started, Arc<Record>, Option<Running>);

async fn start(host: &Arc<Host>, own: &Own, spec: StartSpec) -> Result<Success, StartError> {
    let Program::Container { image, settings, labels, is_published } = &spec.program else {
        return Err(StartError::Spawn("this host runs containers alone".into()));
    };
    if let HostState::Lost(why) = host.status.lock().state.clone() {
        return Err(StartError::Unreachable { host: host.config.host.clone(), why });
    }
    let sdk = host.take_sdk(&spec, settings)?;
    let sdk_ports = spec.has_sdk.then(|| sdk.as_ref().map_or(SdkPorts::DEFAULT, |taken| taken.ports));
    // Ports that the engine has refused, held until others are found.
    let mut refused: Vec<Reserved> = Vec::new();
    let mut except = HashSet::new();
    loop {
        let mut reserved = Ports::take(host, &spec, settings, *is_published, &except)?;
        if spec.ready == Readiness::Listening {
            ready::can_listen(&reserved.bound, host.connection.endpoint()).map_err(StartError::Spawn)?;
        }
        match try_once(host, own, &spec, &Make { image, settings, labels }, &reserved, sdk_ports).await {
            Ok((record, running)) => {
                let ports = reserved.keep();
                sdk.map(Taken::keep);
                return Ok((Started { ports, at: record.at }, record, running));
            }
            Err(Failure::Final(error)) => {
                let removed = host.remove(&spec.id).await;
                if let Err(error) = removed {
                    tracing::warn!(server = %spec.id, %error, "the container of a failed start is removed later");
                }
                let folder = own.folder.clone();
                if let Err(error) = on_disk(move || folder.remove()).await {
                    tracing::warn!(server = %spec.id, %error, "the folder of a failed start could not be removed");
                }
                return Err(error);
            }
            Err(Failure::Ports(message)) => {
                tracing::info!(server = %spec.id, ports = ?reserved.bound, %message, "the engine refuses these ports; others are tried");
                host.remove(&spec.id).await.map_err(|error| unavailable(host, &error))?;
                if let Some(fixed) = spec.ports.iter().find_map(|port| port.fixed) {
                    return Err(StartError::PortInUse(fixed));
                }
                if refused.is_empty() {
                    except = ports_of_others(host).await.unwrap_or_default();
                }
                refused.extend(reserved.reserved.take());
                if refused.len() as u32 >= PORT_TRIES_MAX {
                    return Err(StartError::Unavailable(format!(
                        "the Docker engine refused {PORT_TRIES_MAX} ports one after another: {message}"
                    )));
                }
            }
            Err(Failure::Mount) => {
                tracing::warn!(host = %host.config.host, "the Docker engine does not see our folders; payloads are put into containers through it");
                host.mounts.store(false, Ordering::Relaxed);
            }
        }
    }
}

/// Why one try came to nothing.
enum Failure {
    Final(StartError),
    /// Others may do: the engine's own words.
    Ports(String),
    /// Our folders cannot be mounted.
    Mount,
}

async fn try_once(
    host: &Arc<Host>,
    own: &Own,
    spec: &StartSpec,
    make: &Make<'_>,
    ports: &Ports,
    sdk: Option<SdkPorts>,
) -> Result<(Arc<Record>, Option<Running>), Failure> {
    let launch = (spec.render)(&ports.bound).map_err(|error| Failure::Final(StartError::Spawn(error)))?;
    let payload_by = if host.mounts.load(Ordering::Relaxed) { PayloadBy::Mount } else { PayloadBy::Archive };
    let record = Arc::new(Record {
        id: spec.id.clone(),
        name: spec.name.clone(),
        at: now(),
        ports: ports.bound.clone(),
        ready: (&spec.ready).into(),
        ready_timeout: spec.ready_timeout,
        stop_grace: spec.stop_grace,
        log_bytes_max: spec.log_bytes_max,
        host_network: make.settings.network == ContainerNetwork::Host,
        holds_ports: ports.reserved.is_some(),
        sdk,
        payload_by,
        labels: spec.labels.clone(),
    });
    let marks = Marks { installation: &host.config.installation, host: host.config.host.as_str() };
    let body = create::body(spec, make, &marks, &record, &own.folder, launch);
    let body = body.map_err(Failure::Final)?;
    let (folder, kept, payload) = (own.folder.clone(), Arc::clone(&record), spec.payload.clone());
    let made = on_disk(move || {
        folder.create(&kept)?;
        match payload.filter(|_| kept.payload_by == PayloadBy::Mount) {
            Some(payload) => folder.write_payload(&payload),
            None => Ok(()),
        }
    });
    made.await.map_err(|error| {
        Failure::Final(StartError::Unavailable(format!(
            "the game server's folder in {} could not be set up: {error}",
            host.config.records_dir.display()
        )))
    })?;
    create(host, spec, make.image, body).await?;
    if let Some(payload) = spec.payload.as_ref().filter(|_| payload_by == PayloadBy::Archive) {
        let uploaded = host.upload_payload(&spec.id, payload).await;
        uploaded.map_err(|error| Failure::Final(unavailable(host, &error)))?;
    }
    let name = host.container(&spec.id);
    let started = host.connection.call("starting a container", START_MAX, async |docker| {
        docker.start_container(&name, None::<StartContainerOptions>).await
    });
    started.await.map_err(|error| not_started(host, error))?;
    let seen = host.inspect(&spec.id, record.host_network).await;
    let folder = own.folder.clone();
    let state = State { phase: Phase::Starting, stop_asked: false };
    if let Err(error) = on_disk(move || folder.write_state(&state)).await {
        tracing::warn!(server = %spec.id, %error, "the state of a game server could not be recorded");
    }
    // Whatever else was seen, its life sees again.
    let running = if let Ok(Seen::Running(running)) = seen { Some(running) } else { None };
    if let Some(running) = &running {
        let opened = host.open_sdk(own, &record, running.clone()).await;
        opened.map_err(|sentence| Failure::Final(StartError::Spawn(sentence)))?;
    }
    Ok((record, running))
}

async fn create(
    host: &Host,
    spec: &StartSpec,
    image: &str,
    body: ContainerCreateBody,
) -> Result<(), Failure> {
    let name = host.container(&spec.id);
    let mut has_removed = false;
    loop {
        let (body, options) =
            (body.clone(), CreateContainerOptions { name: Some(name.clone()), ..Default::default() });
        let created = host.connection.call("creating a container", CREATE_MAX, async |docker| {
            docker.create_container(Some(options), body).await
        });
        match created.await {
            Ok(made) => {
                for warning in made.warnings {
                    tracing::debug!(server = %spec.id, %warning, "the Docker engine warns");
                }
                return Ok(());
            }
            // What an earlier try has left, for the table knows of none: its engine was slow to make it.
            Err(EngineError::Conflict { .. }) if !has_removed => {
                has_removed = true;
                host.remove(&spec.id).await.map_err(|error| Failure::Final(unavailable(host, &error)))?;
            }
            Err(EngineError::NotFound { message, .. }) if is_no_image(&message) => {
                let (host, image) = (host.config.host.clone(), image.to_owned());
                return Err(Failure::Final(StartError::NoImage { host, image }));
            }
            Err(error) if is_no_mount(host, &error) => return Err(Failure::Mount),
            Err(error) => return Err(not_started(host, error)),
        }
    }
}

/// Whether the engine means the image, and not the network or a volume.
fn is_no_image(message: &str) -> bool {
    message.to_ascii_lowercase().contains("no such image")
}

/// Whether the engine does not see our folders: it, or we, are in a container or on another machine.
fn is_no_mount(host: &Host, error: &EngineError) -> bool {
    let records = host.config.records_dir.to_string_lossy();
    host.mounts.load(Ordering::Relaxed)
        && error.message().is_some_and(|message| {
            message.contains("bind source path does not exist") && message.contains(records.as_ref())
        })
}

fn not_started(host: &Host, error: EngineError) -> Failure {
    let message = error.message().unwrap_or_default().to_owned();
    let words = message.to_ascii_lowercase();
    if words.contains("port is already allocated") || words.contains("address already in use") {
        return Failure::Ports(message);
    }
    Failure::Final(match &error {
        EngineError::Refused { status: 500.., .. } if words.contains("no space left") => {
            StartError::Unavailable(format!("the disk of the Docker engine is full: {message}"))
        }
        EngineError::Refused { .. } | EngineError::NotFound { .. } | EngineError::Conflict { .. } => {
            StartError::Spawn(error.to_string())
        }
        EngineError::Unreachable { .. } | EngineError::TimedOut { .. } | EngineError::Garbled { .. } => {
            unavailable(host, &error)
        }
    })
}

fn unavailable(host: &Host, error: &EngineError) -> StartError {
    if error.is_away() {
        return StartError::Unreachable { host: host.config.host.clone(), why: error.to_string() };
    }
    StartError::Unavailable(error.to_string())
}

/// The ports that all containers of the engine have published, whoever's they are.
async fn ports_of_others(host: &Host) -> Result<HashSet<u16>, EngineError> {
    let asked = host.connection.call("asking for the ports of containers", PORTS_MAX, async |docker| {
        docker.list_containers(None::<ListContainersOptions>).await
    });
    let all = asked.await?;
    let others = all.into_iter().filter(|container| {
        let labels = container.labels.as_ref();
        let label = |name: &str| labels.and_then(|labels| labels.get(name));
        label(LABEL_INSTALLATION) != Some(&host.config.installation) || label(LABEL_INSTANCE).is_none()
    });
    Ok(others
        .flat_map(|container| container.ports.unwrap_or_default())
        .filter_map(|port| port.public_port)
        .collect())
}

/// The ports of one try.
struct Ports {
    bound: Vec<BoundPort>,
    /// None where they are the container's own.
    reserved: Option<Reserved>,
}

impl Ports {
    fn take(
        host: &Host,
        spec: &StartSpec,
        settings: &ContainerSettings,
        is_published: bool,
        except: &HashSet<u16>,
    ) -> Result<Self, StartError> {
        let is_on_host = settings.network == ContainerNetwork::Host;
        if !is_on_host && !is_published {
            return Ok(Self { bound: own_ports(&spec.ports, *spec.port_range.start()), reserved: None });
        }
        let reserved = host.ports.reserve(&spec.ports, &spec.port_range, except)?;
        let mut bound = reserved.ports.clone();
        if !is_on_host {
            for (bound, settings) in bound.iter_mut().zip(&spec.ports) {
                bound.inner = settings.inner.filter(|inner| *inner != bound.port);
            }
        }
        Ok(Self { bound, reserved: Some(reserved) })
    }

    /// They are the container's now.
    fn keep(mut self) -> Vec<BoundPort> {
        if let Some(reserved) = &mut self.reserved {
            reserved.keep();
        }
        self.bound
    }
}

/// Ports in a network that the container has for itself: as they are set, or from `first` on.
fn own_ports(wanted: &[PortSettings], first: u16) -> Vec<BoundPort> {
    let mut next = first;
    let mut bound = Vec::new();
    for settings in wanted {
        let count = settings.count.max(1);
        let port = settings.inner.or(settings.fixed).unwrap_or(next);
        if settings.inner.or(settings.fixed).is_none() {
            next = next.saturating_add(count);
        }
        bound.push(BoundPort {
            name: settings.name.clone(),
            protocol: settings.protocol,
            port,
            count,
            inner: None,
        });
    }
    bound
}
