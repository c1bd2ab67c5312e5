//! The folder of one game server: what the provider and the supervisor tell each other on disk, and
//! what is found after a restart of either.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use greenroom_domain::settings::{Readiness, ServerLimits};
use greenroom_protocol::{ServerId, Timestamp};
use rustix::fs::{FlockOperation, RenameFlags, flock};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    model::{BoundPort, Phase},
    procfs::Identity,
    sdk::SdkPorts,
};

/// The environment variable that marks every process of a server: its folder, which is unique on
/// this machine. What carries it is the server's, whatever its process id.
pub(crate) const FOLDER_VARIABLE: &str = "GREENROOM_SERVER_DIR";

/// Bytes that the two status files take from the beginning, so that a disk that has filled up does
/// not keep a server's end from being recorded.
const STATUS_BYTES: usize = 16 * 1024;

/// What is to run, as the supervisor reads it. Holds the server's token: mode 0600.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) id: ServerId,
    pub(crate) name: String,
    pub(crate) at: Timestamp,
    pub(crate) program: PathBuf,
    pub(crate) argv: Vec<String>,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) working_dir: PathBuf,
    pub(crate) ports: Vec<BoundPort>,
    /// Where its SDK finds us, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sdk: Option<SdkPorts>,
    pub(crate) ready: ReadySpec,
    pub(crate) ready_timeout: Duration,
    pub(crate) stop_grace: Duration,
    pub(crate) limits: LimitsSpec,
    pub(crate) log_bytes_max: u64,
    pub(crate) labels: BTreeMap<String, String>,
}

/// [`Readiness`] as it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReadySpec {
    Listening,
    Log(String),
    After(Duration),
    Health,
    Sdk,
}

impl From<&Readiness> for ReadySpec {
    fn from(ready: &Readiness) -> Self {
        match ready {
            Readiness::Listening => Self::Listening,
            Readiness::Log(regex) => Self::Log(regex.clone()),
            Readiness::After(delay) => Self::After(*delay),
            Readiness::Health => Self::Health,
            Readiness::Sdk => Self::Sdk,
        }
    }
}

/// [`ServerLimits`] as they are written.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct LimitsSpec {
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) cpu_cores: Option<f64>,
    pub(crate) descriptors: Option<u64>,
}

impl From<ServerLimits> for LimitsSpec {
    fn from(limits: ServerLimits) -> Self {
        Self {
            memory_bytes: limits.memory_bytes,
            cpu_cores: limits.cpu_cores,
            descriptors: limits.descriptors,
        }
    }
}

/// Where the server is, as its supervisor writes it and tells it: one JSON line on the control
/// socket, the same in the file. An older supervisor may have written it: fields are only ever added,
/// with a default.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Status {
    pub(crate) boot_id: String,
    pub(crate) supervisor: Identity,
    pub(crate) game: Option<Identity>,
    pub(crate) phase: Phase,
    /// Control groups that were made for it and are to be removed.
    pub(crate) cgroups: Vec<PathBuf>,
}

/// What the provider asks of a supervisor: one JSON line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Command {
    Stop {
        grace: Duration,
    },
    /// The server has said that it is ready.
    Ready,
}

/// The folder of one game server.
#[derive(Clone, Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) const fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn payload(&self) -> PathBuf {
        self.0.join("payload")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    /// The part of the log before the last rotation.
    pub(crate) fn log_old(&self) -> PathBuf {
        self.0.join("log.1")
    }

    /// What the supervisor itself has to complain about.
    pub(crate) fn supervisor_log(&self) -> PathBuf {
        self.0.join("supervisor.log")
    }

    /// Where the server runs unless its fleet says otherwise.
    pub(crate) fn work(&self) -> PathBuf {
        self.0.join("work")
    }

    /// Makes the folder, which only we may look into.
    pub(crate) fn create(&self) -> io::Result<()> {
        let mut builder = fs::DirBuilder::new();
        builder.mode(0o700);
        builder.create(&self.0)?;
        builder.create(self.work())
    }

    pub(crate) fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    pub(crate) fn write_spec(&self, spec: &Spec) -> io::Result<()> {
        write_at_once(&self.0.join("spec.json"), &serde_json::to_vec(spec).map_err(io::Error::other)?)
    }

    pub(crate) fn read_spec(&self) -> io::Result<Spec> {
        read(&self.0.join("spec.json"))
    }

    /// Puts the payload file there in one step.
    pub(crate) fn write_payload(&self, payload: &[u8]) -> io::Result<()> {
        write_at_once(&self.payload(), payload)
    }

    pub(crate) fn read_status(&self) -> io::Result<Status> {
        read(&self.0.join("status"))
    }

    /// Replaces the status in one step. The new text goes into the space of the one before last, and
    /// the two change names, so that no space is asked of a full disk.
    pub(crate) fn write_status(&self, status: &Status) -> io::Result<()> {
        let mut text = serde_json::to_vec(status).map_err(io::Error::other)?;
        text.resize(text.len().max(STATUS_BYTES), b'\n');
        let (current, next) = (self.0.join("status"), self.0.join("status.next"));
        let mut file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&next)?;
        file.write_all(&text)?;
        file.set_len(text.len() as u64)?;
        let exchanged = rustix::fs::renameat_with(
            rustix::fs::CWD,
            &next,
            rustix::fs::CWD,
            &current,
            RenameFlags::EXCHANGE,
        );
        if exchanged.is_err() {
            // The first time there is nothing to change with; some file systems cannot.
            fs::rename(&next, &current)?;
            fs::write(&next, vec![b'\n'; STATUS_BYTES])?;
        }
        Ok(())
    }

    /// The lock, if nobody holds it: then no supervisor lives.
    pub(crate) fn try_lock(&self) -> io::Result<Option<File>> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(self.0.join("lock"))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives `with` a path to the control socket that fits into a socket address, however long the
    /// folder's own path is.
    pub(crate) fn with_socket_path<T>(&self, with: impl FnOnce(PathBuf) -> io::Result<T>) -> io::Result<T> {
        use std::os::fd::AsRawFd as _;
        let dir = File::open(&self.0)?;
        with(format!("/proc/self/fd/{}/control.sock", dir.as_raw_fd()).into())
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    let text = fs::read(path)?;
    serde_json::from_slice(&text)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", path.display())))
}

fn write_at_once(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut next = path.as_os_str().to_owned();
    next.push(".next");
    let next = PathBuf::from(next);
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&next)?;
    file.write_all(bytes)?;
    fs::rename(&next, path)
}
