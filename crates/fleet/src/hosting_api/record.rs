//! What is kept of each server that was asked for, on disk.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::PathBuf,
    time::Duration,
};

use greenroom_protocol::{RegionId, ServerId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::model::{BoundPort, Exit, Phase};

/// How the names of records end.
const ENDING: &str = ".json";

/// One server, from before it was asked for until it is forgotten. Another version of ours may have
/// written it: fields are only ever added, with a default.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) id: ServerId,
    pub(super) at: Timestamp,
    pub(super) region: RegionId,
    pub(super) payload: Option<String>,
    pub(super) ready_timeout: Duration,
    pub(super) labels: BTreeMap<String, String>,
    /// What the host gave.
    pub(super) answer: Option<Answer>,
    /// Whether the host can be asked about it; none until that was tried.
    pub(super) can_be_asked: Option<bool>,
    pub(super) exit: Option<Exit>,
}

/// A server that a host gave.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    /// Its id there, if it was told.
    pub(super) id: Option<String>,
    pub(super) address: String,
    pub(super) ports: Vec<BoundPort>,
    pub(super) at: Timestamp,
}

impl Record {
    pub(super) fn phase(&self) -> Phase {
        match (&self.exit, &self.answer) {
            (Some(exit), _) => Phase::Ended(exit.clone()),
            (None, Some(answer)) => Phase::Ready { at: answer.at },
            (None, None) => Phase::Starting,
        }
    }

    pub(super) fn ports(&self) -> Vec<BoundPort> {
        self.answer.as_ref().map(|answer| answer.ports.clone()).unwrap_or_default()
    }

    pub(super) fn address(&self) -> Option<String> {
        self.answer.as_ref().map(|answer| answer.address.clone())
    }
}

/// The folder of the records. They hold payloads: only we may look into it.
#[derive(Clone, Debug)]
pub(super) struct Records(PathBuf);

impl Records {
    /// Opens the folder and reads what is in it. A record that cannot be read is left alone.
    pub(super) async fn open(folder: PathBuf) -> io::Result<(Self, Vec<Record>)> {
        blocking(move || {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
            let mut found = Vec::new();
            for entry in fs::read_dir(&folder)? {
                let path = entry?.path();
                if !path.to_string_lossy().ends_with(ENDING) {
                    continue;
                }
                match fs::read(&path).and_then(|text| serde_json::from_slice(&text).map_err(io::Error::other)) {
                    Ok(record) => found.push(record),
                    Err(error) => {
                        tracing::error!(%error, path = %path.display(), "the record of a game server cannot be read and is left alone");
                    }
                }
            }
            Ok((Self(folder), found))
        })
        .await
    }

    /// Writes a record in one step.
    pub(super) async fn write(&self, record: &Record) -> io::Result<()> {
        let path = self.path(&record.id);
        let next = path.with_extension("next");
        let text = serde_json::to_vec(record).map_err(io::Error::other)?;
        blocking(move || {
            let mut options = fs::OpenOptions::new();
            let mut file = options.create(true).truncate(true).write(true).mode(0o600).open(&next)?;
            file.write_all(&text)?;
            fs::rename(&next, &path)
        })
        .await
    }

    pub(super) async fn remove(&self, id: &ServerId) -> io::Result<()> {
        let path = self.path(id);
        blocking(move || match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        })
        .await
    }

    fn path(&self, id: &ServerId) -> PathBuf {
        self.0.join(format!("{id}{ENDING}"))
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|panic| Err(io::Error::other(panic)))
}
