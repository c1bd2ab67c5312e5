//! Backups: one store, whole, and times that make sense.

use std::{num::NonZeroU64, path::PathBuf, time::Duration};

use greenroom_backup::{S3Config, StoreConfig};
use greenroom_operations::backups::{BackupSchedule, BackupSettings};

use super::{Context, Root, at_least, not_blank, web_address};
use crate::config::sections::{Backup, S3Store};

/// Most often that a backup is made by itself.
const EVERY_MIN: Duration = Duration::from_mins(1);
/// Least bytes that are read in a second: with fewer a backup would hardly end.
const BYTES_PER_SECOND_MIN: u64 = 1024 * 1024;

/// As the section has it, for those who have none.
const BYTES_PER_SECOND_DEFAULT: u64 = 64 * 1024 * 1024;

pub(super) fn check(context: &mut Context, root: &Root) {
    let Some(backup) = &root.backup else { return };
    at_least(context, "backup.every", backup.every, EVERY_MIN);
    at_least(context, "backup.keep", backup.keep, backup.every);
    if backup.bytes_per_second.0 < BYTES_PER_SECOND_MIN {
        context.error("backup.bytes_per_second", "it is too little; expected at least \"1MiB\"");
    }
    match (&backup.store.folder, &backup.store.s3) {
        (Some(_), Some(_)) => {
            context.error("backup.store", "there are two stores; expected `folder` or `s3`");
        }
        (None, None) => {
            context.error(
                "backup.store",
                "there is no store; expected `folder = \"…\"` or `s3 = { bucket = \"…\", … }`",
            );
        }
        (Some(_), None) => {}
        (None, Some(s3)) => check_s3(context, s3),
    }
}

fn check_s3(context: &mut Context, s3: &S3Store) {
    not_blank(context, "backup.store.s3.bucket", &s3.bucket);
    not_blank(context, "backup.store.s3.access_key", &s3.access_key);
    if let Some(endpoint) = &s3.endpoint {
        web_address(context, "backup.store.s3.endpoint", endpoint);
    }
    if s3.secret_key.is_none() {
        context.error("backup.store.s3.secret_key", "it is missing; the bucket wants to know who asks");
    }
}

/// What the operations are told of backups of `installation`, with `files` beside the databases.
pub(in crate::config) fn settings(
    backup: Option<&Backup>,
    installation: &str,
    files: Vec<(String, PathBuf)>,
) -> BackupSettings {
    let bytes_per_second = match backup {
        Some(backup) => NonZeroU64::new(backup.bytes_per_second.0),
        None => NonZeroU64::new(BYTES_PER_SECOND_DEFAULT),
    };
    let schedule = backup.and_then(|backup| {
        let store = match (&backup.store.folder, &backup.store.s3) {
            (Some(folder), _) => StoreConfig::Folder(folder.clone()),
            (None, Some(s3)) => StoreConfig::S3(S3Config {
                bucket: s3.bucket.clone(),
                prefix: s3.prefix.clone(),
                endpoint: s3.endpoint.clone(),
                region: s3.region.clone(),
                access_key: s3.access_key.clone(),
                secret_key: s3.secret_key.clone()?,
            }),
            (None, None) => return None,
        };
        Some(BackupSchedule { every: backup.every, keep: backup.keep, store })
    });
    BackupSettings { schedule, bytes_per_second, installation: installation.to_owned(), files }
}
