//! What is kept of each container beside the engine: how it was started, where it is in its life,
//! and, once it has ended, its log.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use greenroom_protocol::{ServerId, Timestamp};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    folder::{Folder, ReadySpec},
    model::{BoundPort, Phase},
    sdk::SdkPorts,
};

/// How a container was started. Also one of its labels, so that it is known without our folder.
///
/// An older Greenroom may have written it: fields are only ever added, with a default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) id: ServerId,
    pub(super) name: String,
    pub(super) at: Timestamp,
    pub(super) ports: Vec<BoundPort>,
    pub(super) ready: ReadySpec,
    pub(super) ready_timeout: Duration,
    pub(super) stop_grace: Duration,
    pub(super) log_bytes_max: u64,
    /// Whether it is on the host's own network.
    pub(super) host_network: bool,
    /// Whether its ports are the host's, ours to give back.
    pub(super) holds_ports: bool,
    /// Where its SDK finds us, if it has one: in its own network, or on the host's, ours to give back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sdk: Option<SdkPorts>,
    /// How it is given its payload.
    pub(super) payload_by: PayloadBy,
    /// What it is for. Not in the container's label: there they are labels of their own.
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
}

/// How a container sees its payload file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PayloadBy {
    /// A folder of ours is mounted into it.
    Mount,
    /// The engine puts it into a volume of the container.
    Archive,
}

/// Where it is in its life.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) phase: Phase,
    /// Whether we have asked it to end.
    pub(super) stop_asked: bool,
}

/// The folder of one container.
#[derive(Clone, Debug)]
pub(super) struct RecordFolder(PathBuf);

impl RecordFolder {
    pub(super) fn new(records_dir: &Path, id: &ServerId) -> Self {
        Self(records_dir.join(id.as_str()))
    }

    /// The part that is laid out like that of a process: its log.
    pub(super) fn log(&self) -> Folder {
        Folder::new(self.0.clone())
    }

    /// What is mounted into the container.
    pub(super) fn payload_dir(&self) -> PathBuf {
        self.0.join("payload")
    }

    /// Makes the folder, which only we may look into, and in it the one that the container sees.
    pub(super) fn create(&self, record: &Record) -> io::Result<()> {
        // What a start that was cut off has left is of no use.
        self.remove()?;
        DirBuilder::new().mode(0o700).recursive(true).create(&self.0)?;
        DirBuilder::new().mode(0o755).create(self.payload_dir())?;
        // Whatever our umask: the program in the container may be any user.
        fs::set_permissions(self.payload_dir(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        self.write_record(record)
    }

    pub(super) fn write_record(&self, record: &Record) -> io::Result<()> {
        write_at_once(&self.0.join("record.json"), &serde_json::to_vec(record)?, 0o600)
    }

    pub(super) fn read_record(&self) -> io::Result<Record> {
        read(&self.0.join("record.json"))
    }

    pub(super) fn write_state(&self, state: &State) -> io::Result<()> {
        write_at_once(&self.0.join("state.json"), &serde_json::to_vec(state)?, 0o600)
    }

    /// Its state; none if it was never seen to run.
    pub(super) fn read_state(&self) -> io::Result<Option<State>> {
        match read(&self.0.join("state.json")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            state => state.map(Some),
        }
    }

    /// Puts the payload file there in one step.
    pub(super) fn write_payload(&self, payload: &[u8]) -> io::Result<()> {
        let path = self.payload_dir().join(super::PAYLOAD_FILE);
        write_at_once(&path, payload, 0o644)
    }

    pub(super) fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Every folder in `records_dir` that is named like a server.
pub(super) fn folders(records_dir: &Path) -> io::Result<Vec<ServerId>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(records_dir)? {
        let entry = entry?;
        let Some(id) = entry.file_name().to_str().and_then(|name| ServerId::new(name).ok()) else { continue };
        if entry.file_type()?.is_dir() {
            found.push(id);
        }
    }
    Ok(found)
}

fn read<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    let text = fs::read(path)?;
    serde_json::from_slice(&text)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", path.display())))
}

fn write_at_once(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut next = path.as_os_str().to_owned();
    next.push(".next");
    let next = PathBuf::from(next);
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(mode).open(&next)?;
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))?;
    file.write_all(bytes)?;
    fs::rename(&next, path)
}
