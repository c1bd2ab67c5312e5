//! `backup`, `restore`, `verify` and `backups ls | now`.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use futures_util::StreamExt as _;
use greenroom_backup::{Header, Manifest, NewFile, Pace, Packing, Progress, Source, file_name};
use greenroom_protocol::{
    Timestamp,
    backups::{BackupList, BackupOutcome},
};
use reqwest::{Method, header};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::shown;
use crate::{
    cli::{Backup, BackupsCommand, Server},
    data_dir::DataDir,
    exit::{Exit, Failed},
    http::Greenroom,
    output,
};

/// How often a backup into the store is asked after.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// `backup`
pub(crate) async fn backup(server: Server, arguments: Backup) -> anyhow::Result<()> {
    let (path, manifest, bytes) = if arguments.offline {
        of_folder(&server.data_dir, &arguments)?
    } else {
        let greenroom = Greenroom::new(&server)?;
        download(&greenroom, arguments.output.as_deref()).await?
    };
    if server.json {
        return output::json(&json!({ "file": path, "bytes": bytes, "manifest": manifest }));
    }
    output::line(&path.display().to_string());
    output::note(&format!(
        "{} bytes, of {} bytes of data. It contains every secret of the installation: keep it as safe as the data folder.",
        bytes,
        manifest.bytes()
    ));
    Ok(())
}

/// `verify`
pub(crate) fn verify(path: &Path, as_json: bool) -> anyhow::Result<()> {
    let manifest = greenroom_backup::verify(path)?;
    if as_json {
        return output::json(&manifest);
    }
    tell(&manifest);
    output::line("It is whole.");
    Ok(())
}

/// `restore`
pub(crate) fn restore(path: &Path, folder: &Path, as_json: bool) -> anyhow::Result<()> {
    let manifest = greenroom_backup::restore(path, folder)?;
    if as_json {
        return output::json(&manifest);
    }
    tell(&manifest);
    output::line(&format!("It is restored into {}.", folder.display()));
    Ok(())
}

/// `backups`
pub(crate) async fn backups(server: Server, command: BackupsCommand) -> anyhow::Result<()> {
    let greenroom = Greenroom::new(&server)?;
    match command {
        BackupsCommand::Ls => {
            let list = list(&greenroom).await?;
            if server.json {
                return output::json(&list);
            }
            show(list);
            Ok(())
        }
        BackupsCommand::Now => {
            let before = list(&greenroom).await?.last;
            greenroom.send(greenroom.request(Method::POST, "/v1/backups")).await?;
            let ended = loop {
                let list = list(&greenroom).await?;
                match list.last {
                    Some(last) if list.running.is_none() && Some(&last) != before.as_ref() => break last,
                    _ => tokio::time::sleep(LOOK_EVERY).await,
                }
            };
            if server.json {
                output::json(&ended)?;
            }
            match ended {
                BackupOutcome { problem: Some(problem), .. } => Err(Failed::with(Exit::Failure, problem)),
                BackupOutcome { bytes, took_ms, .. } if !server.json => {
                    output::line(&format!("{} bytes in {took_ms} ms", bytes.unwrap_or_default()));
                    Ok(())
                }
                BackupOutcome { .. } => Ok(()),
            }
        }
    }
}

async fn list(greenroom: &Greenroom) -> anyhow::Result<BackupList> {
    greenroom.json(greenroom.request(Method::GET, "/v1/backups")).await
}

fn show(list: BackupList) {
    let rows = list.backups.into_iter().map(|one| [one.name, shown(one.taken_at), one.bytes.to_string()]);
    output::table(["NAME", "TAKEN AT (UTC)", "BYTES"], rows);
    let mut facts = Vec::new();
    facts.push((
        "store",
        list.store.unwrap_or_else(|| "none is configured; `greenroom backup` downloads one".into()),
    ));
    if let Some(next) = list.next_at {
        facts.push(("next (UTC)", shown(next)));
    }
    if let Some(run) = list.running {
        facts.push(("running", format!("{} of {} bytes", run.bytes_done, run.bytes_total)));
    }
    if let Some(last) = list.last {
        let how = last
            .problem
            .map_or_else(|| format!("good, {} ms", last.took_ms), |problem| format!("failed: {problem}"));
        facts.push(("last (UTC)", format!("{}, {how}", shown(last.at))));
    }
    if let Some(problem) = list.problem {
        facts.push(("problem", problem));
    }
    output::line("");
    output::pairs(&facts);
}

/// Downloads a backup and checks it before it gets its name.
async fn download(greenroom: &Greenroom, named: Option<&Path>) -> anyhow::Result<(PathBuf, Manifest, u64)> {
    let response = greenroom.send(greenroom.request(Method::POST, "/v1/backups/download")).await?;
    let told = response.headers().get(header::CONTENT_DISPOSITION).and_then(|value| value.to_str().ok());
    let told = told.and_then(|value| value.split('"').nth(1)).unwrap_or("greenroom.backup");
    // The name is another program's word: only its last part counts.
    let told = Path::new(told).file_name().map_or_else(|| PathBuf::from("greenroom.backup"), PathBuf::from);
    let path = destination(named, &told)?;
    let mut file = NewFile::create(&path)?;
    let (mut chunks, mut bytes) = (response.bytes_stream(), 0);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| {
            Failed::with(
                Exit::Unreachable,
                "the connection broke before the backup was whole; nothing of it was kept: try again",
            )
        })?;
        file.write_all(&chunk).map_err(unwritten)?;
        bytes += chunk.len() as u64;
    }
    let manifest = greenroom_backup::verify(file.part())?;
    file.finish()?;
    Ok((path, manifest, bytes))
}

fn unwritten(error: std::io::Error) -> anyhow::Error {
    error.downcast::<greenroom_backup::BackupError>().map_or_else(anyhow::Error::from, anyhow::Error::from)
}

/// Copies a data folder that nobody uses.
fn of_folder(folder: &Path, arguments: &Backup) -> anyhow::Result<(PathBuf, Manifest, u64)> {
    if !folder.is_dir() {
        let sentence = format!("there is no data folder {}; name it with --data-dir", folder.display());
        return Err(Failed::with(Exit::NotFound, sentence));
    }
    let data = DataDir::open(folder)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let taken_at = Timestamp::from_millis(i64::try_from(now.as_millis()).unwrap_or(i64::MAX));
    let installation = data.installation().context("the installation's name cannot be kept")?;
    let path = destination(arguments.output.as_deref(), Path::new(&file_name(&installation, taken_at)))?;
    let mut source = Source::of_folder(data.path())?;
    for (name, path) in data.files_beside(arguments.config.as_deref()) {
        source.add_file(&name, &path)?;
    }
    let header = Header { program: env!("CARGO_PKG_VERSION").to_owned(), installation, taken_at };
    let (progress, cancel) = (Arc::new(Progress::default()), CancellationToken::new());
    let packing = Packing { source, header, pace: Pace::default(), progress, cancel };
    let (file, packed) = packing.run(NewFile::create(&path)?)?;
    file.finish()?;
    Ok((path, packed.manifest, packed.bytes))
}

/// Where a backup is put: `named`, in it if it is a folder, else `name` where we stand. Nothing is overwritten.
fn destination(named: Option<&Path>, name: &Path) -> anyhow::Result<PathBuf> {
    let path = match named {
        Some(folder) if folder.is_dir() => folder.join(name),
        Some(path) => path.to_owned(),
        None => name.to_owned(),
    };
    if path.exists() {
        let sentence = format!("there is a file {} already; name another one with --output", path.display());
        return Err(Failed::with(Exit::Usage, sentence));
    }
    Ok(path)
}

fn tell(manifest: &Manifest) {
    let Manifest { header, files } = manifest;
    let rows = files.iter().map(|file| [file.name.clone(), file.bytes.to_string(), file.sha256.clone()]);
    output::table(["FILE", "BYTES", "SHA-256"], rows);
    output::line("");
    output::pairs(&[
        ("installation", header.installation.clone()),
        ("taken at (UTC)", shown(header.taken_at)),
        ("program", header.program.clone()),
    ]);
}
