//! Where backups are kept.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::BytesMut;
use futures_util::{StreamExt as _, TryStreamExt as _};
use greenroom_protocol::Timestamp;
use object_store::{
    ClientOptions, MultipartUpload, ObjectStore, ObjectStoreExt as _, PutPayload, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder},
    path::Path as Key,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::task;

use crate::{
    channel::{self, Chunks},
    error::BackupError,
    file::{self, NewFile},
    manifest::{file_name, taken_at_of},
    pack::{Packed, Packing},
};

/// Most backups that are listed, the newest.
pub const LISTED_MAX: usize = 1_000;

/// The least size of a part of a large object, and most parts that it may have
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>).
const PART_BYTES_MIN: u64 = 8 * 1024 * 1024;
const PARTS_MAX: u64 = 9_000;

/// How long one request to the store may take, and how long it is tried again.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const RETRY_MAX: Duration = Duration::from_secs(45);

/// Which store.
#[derive(Clone, Debug)]
pub enum StoreConfig {
    /// A folder of this machine. Made if it is missing.
    Folder(PathBuf),
    /// A bucket that is spoken to as S3 is.
    S3(S3Config),
}

/// A bucket.
#[derive(Clone, Debug)]
pub struct S3Config {
    /// Its name.
    pub bucket: String,
    /// How the names of backups in it begin, such as `greenroom/`.
    pub prefix: String,
    /// Where the service is; that of AWS in the region unless given.
    pub endpoint: Option<String>,
    /// The region.
    pub region: String,
    /// Who we are to it.
    pub access_key: String,
    /// What proves it.
    pub secret_key: SecretString,
}

/// A store of backups. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    kind: Kind,
    /// What only this installation's backups are called.
    installation: String,
}

#[derive(Clone, Debug)]
enum Kind {
    Folder(PathBuf),
    S3 { client: Arc<AmazonS3>, bucket: String, prefix: String },
}

/// A backup that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its name in the store.
    pub name: String,
    /// The moment that it shows.
    pub taken_at: Timestamp,
    /// Its bytes.
    pub bytes: u64,
}

impl Store {
    /// The store of `config` for the backups of `installation`. Nothing is asked of it yet.
    pub fn open(config: &StoreConfig, installation: &str) -> Result<Self, BackupError> {
        let kind = match config {
            StoreConfig::Folder(path) => Kind::Folder(path.clone()),
            StoreConfig::S3(config) => {
                let client = client(config).map_err(|error| BackupError::Store {
                    store: format!("s3://{}", config.bucket),
                    did: "cannot be used",
                    cause: error.to_string(),
                })?;
                let prefix = config.prefix.trim_matches('/').to_owned();
                Kind::S3 { client: Arc::new(client), bucket: config.bucket.clone(), prefix }
            }
        };
        Ok(Self { kind, installation: installation.to_owned() })
    }

    /// What people call it.
    pub fn describe(&self) -> String {
        match &self.kind {
            Kind::Folder(path) => path.display().to_string(),
            Kind::S3 { bucket, prefix, .. } => format!("s3://{bucket}/{prefix}"),
        }
    }

    /// Makes the backup `packing` and keeps it. If that fails, nothing of it is listed.
    pub async fn keep(&self, packing: Packing) -> Result<Packed, BackupError> {
        let name = file_name(&self.installation, packing.header.taken_at);
        match &self.kind {
            Kind::Folder(folder) => {
                let (folder, installation) = (folder.clone(), self.installation.clone());
                let begun = task::spawn_blocking(move || {
                    fs::DirBuilder::new()
                        .recursive(true)
                        .mode(0o700)
                        .create(&folder)
                        .and_then(|()| {
                            file::remove_parts(&folder, |name| taken_at_of(name, &installation).is_some())
                        })
                        .map_err(BackupError::unwritable(&folder))?;
                    NewFile::create(&folder.join(name))
                });
                let new = begun.await.map_err(|_| BackupError::Cancelled)??;
                packing.on_thread(new, NewFile::finish).await
            }
            Kind::S3 { client, .. } => {
                let part_bytes = (packing.source.bytes() / PARTS_MAX).max(PART_BYTES_MIN);
                let key = self.key(&name);
                let (writer, chunks) = channel::channel();
                let mut upload = client
                    .put_multipart(&key)
                    .await
                    .map_err(|error| self.refused("took no backup", &error))?;
                let packed = packing.on_thread(writer, channel::ChunkWriter::finish);
                let (packed, sent) = tokio::join!(packed, send(&mut *upload, chunks, part_bytes as usize));
                let outcome = match (packed, sent) {
                    // Where both failed, the store's refusal is why the other side had nobody to write to.
                    (Ok(_) | Err(BackupError::NotTaken), Err(Unsent::Refused(error))) => {
                        Err(self.refused("did not take the backup", &error))
                    }
                    (Err(error), _) => Err(error),
                    (Ok(_), Err(Unsent::Unfinished)) => Err(BackupError::Cancelled),
                    (Ok(packed), Ok(())) => Ok(packed),
                };
                if outcome.is_err()
                    && let Err(error) = upload.abort().await
                {
                    tracing::warn!(store = self.describe(), %error, "the parts of an unfinished backup stay in the store");
                }
                outcome
            }
        }
    }

    /// The backups of this installation, the newest first, at most [`LISTED_MAX`].
    pub async fn list(&self) -> Result<Vec<Stored>, BackupError> {
        let mut stored = match &self.kind {
            Kind::Folder(folder) => {
                let (folder, installation) = (folder.clone(), self.installation.clone());
                let told = BackupError::unreadable(folder.display().to_string());
                let listed = task::spawn_blocking(move || list_folder(&folder, &installation)).await;
                listed.map_err(|_| BackupError::Cancelled)?.map_err(told)?
            }
            Kind::S3 { client, prefix, .. } => {
                let prefix = (!prefix.is_empty()).then(|| Key::from(prefix.as_str()));
                let objects: Vec<_> = client
                    .list(prefix.as_ref())
                    .try_collect()
                    .await
                    .map_err(|error| self.refused("cannot be listed", &error))?;
                let of_ours = objects.into_iter().filter_map(|object| {
                    let name = object.location.filename()?.to_owned();
                    let taken_at = taken_at_of(&name, &self.installation)?;
                    Some(Stored { name, taken_at, bytes: object.size })
                });
                of_ours.collect()
            }
        };
        stored.sort_by_key(|one| std::cmp::Reverse(one.taken_at));
        stored.truncate(LISTED_MAX);
        Ok(stored)
    }

    /// Removes the backup `name`, one that was listed.
    pub async fn remove(&self, name: &str) -> Result<(), BackupError> {
        match &self.kind {
            Kind::Folder(folder) => {
                let path = folder.join(name);
                let told = BackupError::unwritable(path.clone());
                let removed = task::spawn_blocking(move || fs::remove_file(path)).await;
                removed.map_err(|_| BackupError::Cancelled)?.map_err(told)
            }
            Kind::S3 { client, .. } => client
                .delete(&self.key(name))
                .await
                .map_err(|error| self.refused("did not remove a backup", &error)),
        }
    }

    fn key(&self, name: &str) -> Key {
        match &self.kind {
            Kind::S3 { prefix, .. } if !prefix.is_empty() => Key::from(format!("{prefix}/{name}")),
            _ => Key::from(name),
        }
    }

    fn refused(&self, did: &'static str, error: &object_store::Error) -> BackupError {
        BackupError::Store { store: self.describe(), did, cause: error.to_string() }
    }
}

fn client(config: &S3Config) -> Result<AmazonS3, object_store::Error> {
    // An error is that it was installed before, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let retry = RetryConfig { retry_timeout: RETRY_MAX, ..RetryConfig::default() };
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&config.bucket)
        .with_region(&config.region)
        .with_access_key_id(&config.access_key)
        .with_secret_access_key(config.secret_key.expose_secret())
        .with_client_options(ClientOptions::new().with_timeout(REQUEST_TIMEOUT).with_allow_http(true))
        // Not every service that speaks like S3 removes many at once.
        .with_disable_bulk_delete(true)
        .with_retry(retry);
    if let Some(endpoint) = &config.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    builder.build()
}

enum Unsent {
    /// The store did not take it.
    Refused(object_store::Error),
    /// There was no end.
    Unfinished,
}

impl From<object_store::Error> for Unsent {
    fn from(error: object_store::Error) -> Self {
        Self::Refused(error)
    }
}

/// Sends `chunks` in parts of `part_bytes`, one at a time; the object is there once all are.
async fn send(upload: &mut dyn MultipartUpload, mut chunks: Chunks, part_bytes: usize) -> Result<(), Unsent> {
    let mut part = BytesMut::new();
    while let Some(chunk) = chunks.next().await {
        part.extend_from_slice(&chunk.map_err(|_| Unsent::Unfinished)?);
        // Some services want all parts but the last to be of one size.
        while part.len() >= part_bytes {
            upload.put_part(PutPayload::from_bytes(part.split_to(part_bytes).freeze())).await?;
        }
    }
    if !part.is_empty() {
        upload.put_part(PutPayload::from_bytes(part.freeze())).await?;
    }
    upload.complete().await?;
    Ok(())
}

fn list_folder(folder: &Path, installation: &str) -> io::Result<Vec<Stored>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut stored = Vec::new();
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let Some(taken_at) = taken_at_of(&name, installation) else { continue };
        stored.push(Stored { name, taken_at, bytes: entry.metadata()?.len() });
    }
    Ok(stored)
}
