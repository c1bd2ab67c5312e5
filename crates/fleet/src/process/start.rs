//! Starting a server: ports, command, folder, supervisor.

use std::{
    collections::{BTreeMap, HashSet},
    fs::File,
    io,
    os::{
        fd::OwnedFd,
        unix::net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use greenroom_protocol::Timestamp;
use rustix::fs::Access;
use tokio::{
    io::BufReader,
    process::{Child, Command},
    sync::{mpsc, watch},
};

use super::{Host, adopt, link};
use crate::{
    PAYLOAD_ENVIRONMENT_BYTES_MAX,
    error::StartError,
    folder::{FOLDER_VARIABLE, Folder, Spec, Status},
    local_address,
    model::{BoundPort, ExitCause, Launch, Phase, Program, StartSpec, Started},
    ports::Reserved,
    sdk::{SdkPorts, Taken},
    supervise::now,
};

/// How long a supervisor may take until it says that the server runs, on however busy a machine.
const SUPERVISOR_MAX: Duration = Duration::from_secs(20);

/// What a server inherits of our own environment.
const INHERITED: [&str; 3] = ["PATH", "HOME", "LANG"];

/// The search path where we have none ourselves.
const PATH_DEFAULT: &str = "/usr/local/bin:/usr/bin:/bin";

/// Starts it, tells how that went, and leaves a link behind that follows it.
pub(super) async fn run(
    host: Arc<Host>,
    folder: Folder,
    spec: StartSpec,
    commands: mpsc::Receiver<Duration>,
    outcome: watch::Sender<Option<Result<Started, StartError>>>,
) {
    let (id, name) = (spec.id.clone(), spec.name.clone());
    let result = start(&host, &folder, spec, commands).await;
    match &result {
        Ok(started) => {
            metrics::counter!("greenroom_fleet_starts_total", "result" => "started").increment(1);
            tracing::info!(server = %id, %name, ports = ?numbers(&started.ports), "game server started");
        }
        Err(error) => {
            metrics::counter!("greenroom_fleet_starts_total", "result" => "failed").increment(1);
            tracing::warn!(server = %id, %name, %error, "game server not started");
            host.table.remove(&id);
        }
    }
    outcome.send_replace(Some(result));
}

async fn start(
    host: &Arc<Host>,
    folder: &Folder,
    spec: StartSpec,
    commands: mpsc::Receiver<Duration>,
) -> Result<Started, StartError> {
    let id = spec.id.clone();
    let launched = tokio::task::spawn_blocking({
        let (host, folder) = (Arc::clone(host), folder.clone());
        move || launch(&host, &folder, &spec)
    });
    let broken = |error: &dyn std::fmt::Display| StartError::Unavailable(format!("starting failed: {error}"));
    let Launched { mut reserved, sdk, at, stream, child } =
        launched.await.map_err(|panic| broken(&panic))??;
    let stream = tokio::net::UnixStream::from_std(stream).map_err(|error| broken(&error))?;

    let mut link = link::Link::new(folder.clone(), BufReader::new(stream), child);
    let status = match tokio::time::timeout(SUPERVISOR_MAX, link.first_status()).await {
        Ok(Some(status)) => status,
        first => {
            let why = if first.is_err() { "it said nothing in time".to_owned() } else { complaint(folder) };
            link.break_off().await;
            clear(folder, true).await;
            return Err(StartError::Spawn(format!("the supervisor did not start the game server: {why}")));
        }
    };
    if let Phase::Ended(exit) = &status.phase
        && let ExitCause::SpawnFailed(sentence) = &exit.cause
    {
        let sentence = sentence.clone();
        link.until_gone().await;
        clear(folder, false).await;
        return Err(StartError::Spawn(sentence));
    }
    let started = Started { ports: reserved.keep(), at };
    let sdk = sdk.map(Taken::keep);
    host.table.update(&id, |entry| {
        entry.ports = started.ports.as_slice().into();
        entry.address = Some(local_address());
        entry.own.supervisor = Some(status.supervisor);
        entry.own.sdk = sdk;
    });
    link::apply(host, &id, &status);
    host.links.spawn(link.follow(Arc::clone(host), id, commands));
    Ok(started)
}

/// A supervisor that was just started.
struct Launched {
    reserved: Reserved,
    sdk: Option<Taken>,
    at: Timestamp,
    stream: UnixStream,
    child: Child,
}

fn launch(host: &Host, folder: &Folder, spec: &StartSpec) -> Result<Launched, StartError> {
    let reserved = host.ports.reserve(&spec.ports, &spec.port_range, &HashSet::new())?;
    // Open before it runs: nobody else can answer it there.
    let taken = || Taken::open(&host.sdk, &spec.id, &host.ports, &host.config.sdk_ports);
    let sdk = spec.has_sdk.then(taken).transpose()?;
    let launch = (spec.render)(&reserved.ports).map_err(StartError::Spawn)?;
    let sdk_ports = sdk.as_ref().map(|sdk| sdk.ports);
    let spec_file = spec_file(spec, folder, &reserved.ports, sdk_ports, launch)?;
    let at = spec_file.at;
    match spawn(host, folder, &spec_file, spec.payload.as_deref()) {
        Ok((stream, child)) => Ok(Launched { reserved, sdk, at, stream, child }),
        Err(error) => {
            // Somebody else's folder is not ours to remove.
            if error.kind() != io::ErrorKind::AlreadyExists {
                let _as_far_as_possible = folder.remove();
            }
            let path = folder.path().display();
            Err(StartError::Unavailable(format!(
                "the game server's folder {path} could not be set up: {error}"
            )))
        }
    }
}

fn spec_file(
    spec: &StartSpec,
    folder: &Folder,
    ports: &[BoundPort],
    sdk: Option<SdkPorts>,
    launch: Launch,
) -> Result<Spec, StartError> {
    let mut environment = environment(spec, folder, launch.environment)?;
    environment.extend(sdk.map(SdkPorts::environment).into_iter().flatten());
    let Program::Process { working_dir: wanted_dir } = &spec.program else {
        return Err(StartError::Spawn("this host runs processes alone".into()));
    };
    let working_dir = match wanted_dir {
        None => folder.work(),
        Some(dir) => std::path::absolute(dir).unwrap_or_else(|_| dir.clone()),
    };
    let Some(command) = launch.argv.first() else {
        return Err(StartError::Spawn("the command is empty; `command` needs at least a program".into()));
    };
    if launch.argv.iter().any(|argument| argument.contains('\0')) {
        return Err(StartError::Spawn("an argument of the command has a zero byte in it".into()));
    }
    let search = environment.get("PATH").map_or(PATH_DEFAULT, String::as_str);
    let base = wanted_dir.as_ref().map(|_| working_dir.as_path());
    let program =
        resolve(command, base, search).ok_or_else(|| StartError::CommandNotFound(command.clone()))?;
    Ok(Spec {
        id: spec.id.clone(),
        name: spec.name.clone(),
        at: now(),
        program,
        argv: launch.argv,
        environment,
        working_dir,
        ports: ports.to_vec(),
        sdk,
        ready: (&spec.ready).into(),
        ready_timeout: spec.ready_timeout,
        stop_grace: spec.stop_grace,
        limits: spec.limits.into(),
        log_bytes_max: spec.log_bytes_max,
        labels: spec.labels.clone(),
    })
}

/// The whole environment: three of ours, what the launch says, and where its own things are.
fn environment(
    spec: &StartSpec,
    folder: &Folder,
    given: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, StartError> {
    let mut environment: BTreeMap<String, String> =
        INHERITED.into_iter().filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?))).collect();
    for (name, value) in given {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            return Err(StartError::Spawn(format!(
                "\"{name}\" cannot be set in the environment: names have no =, values no zero byte"
            )));
        }
        environment.insert(name, value);
    }
    environment.entry("GREENROOM_SERVER_ID".into()).or_insert_with(|| spec.id.to_string());
    environment.insert(FOLDER_VARIABLE.into(), folder.path().display().to_string());
    environment.insert("GREENROOM_PAYLOAD_FILE".into(), folder.payload().display().to_string());
    let payload = spec.payload.as_ref().filter(|p| p.len() <= PAYLOAD_ENVIRONMENT_BYTES_MAX);
    // What an environment cannot hold is in the file all the same.
    if let Some(text) = payload.and_then(|p| std::str::from_utf8(p).ok()).filter(|text| !text.contains('\0'))
    {
        environment.insert("GREENROOM_PAYLOAD".into(), text.to_owned());
    }
    Ok(environment)
}

/// The program that a command means: a path as it is, from the working folder if there is one; a
/// bare name by the search path.
pub(crate) fn resolve(command: &str, base: Option<&Path>, search: &str) -> Option<PathBuf> {
    let runs = |path: &PathBuf| path.is_file() && rustix::fs::access(path, Access::EXEC_OK).is_ok();
    if command.contains('/') {
        let path = base.map_or_else(|| PathBuf::from(command), |base| base.join(command));
        return std::path::absolute(path).ok().filter(runs);
    }
    let mut folders = search.split(':').filter(|folder| folder.starts_with('/'));
    folders.find_map(|folder| Some(Path::new(folder).join(command)).filter(runs))
}

/// Makes the folder and starts the supervisor with the lock and the control socket in its hands, so
/// that there is no moment in which it lives and neither holds.
fn spawn(
    host: &Host,
    folder: &Folder,
    spec: &Spec,
    payload: Option<&[u8]>,
) -> io::Result<(UnixStream, Child)> {
    folder.create()?;
    folder.write_spec(spec)?;
    if let Some(payload) = payload {
        folder.write_payload(payload)?;
    }
    let lock = folder.try_lock()?.ok_or_else(|| io::Error::other("its lock is held by another process"))?;
    let listener = folder.with_socket_path(UnixListener::bind)?;
    // While we hold the other end: whatever becomes of the supervisor, it is heard here.
    let stream = folder.with_socket_path(UnixStream::connect)?;
    stream.set_nonblocking(true)?;
    let complaints = File::create(folder.supervisor_log())?;
    let mut command = Command::new(&host.config.greenroom);
    command.args(&host.config.supervise_args).arg(folder.path()).env_clear();
    // What it does not have, nobody can read from it.
    command.envs(INHERITED.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    let child = command
        .stdin(OwnedFd::from(listener))
        .stdout(OwnedFd::from(lock))
        .stderr(Stdio::from(complaints))
        .spawn()
        .map_err(|error| {
            let program = host.config.greenroom.display();
            io::Error::other(format!("the supervisor {program} does not run: {error}"))
        });
    // The command, which holds our ends of both, is dropped here, before anybody waits for the
    // supervisor's to close.
    Ok((stream, child?))
}

/// What a supervisor that failed has said.
fn complaint(folder: &Folder) -> String {
    let said = std::fs::read_to_string(folder.supervisor_log()).unwrap_or_default();
    said.trim().lines().last().map_or_else(|| "it ended without a word".to_owned(), str::to_owned)
}

/// Takes away what a failed start has left; with `processes`, those too.
async fn clear(folder: &Folder, processes: bool) {
    let folder = folder.clone();
    let cleared = tokio::task::spawn_blocking(move || {
        if processes {
            let status: Option<Status> = folder.read_status().ok();
            adopt::kill_leftovers(&folder, status.as_ref(), true);
        }
        folder.remove()
    });
    if let Ok(Err(error)) = cleared.await {
        tracing::warn!(%error, "the folder of a failed start could not be removed");
    }
}

fn numbers(ports: &[BoundPort]) -> Vec<u16> {
    ports.iter().map(|bound| bound.port).collect()
}
