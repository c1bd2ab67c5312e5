//! Backups of the built program: made while it serves, cut off by its death, brought back elsewhere.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use greenroom_test_support::greenroom::{Api, Installation, Running};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{process::Command, time::Instant};

use crate::{Acknowledged, installation};

const PATIENCE: Duration = Duration::from_mins(1);

/// Slow enough that a test comes in between.
const SECTION: &str = "[backup]\nbytes_per_second = \"1MiB\"\nstore = { folder = \"kept\" }\n";

fn with_store(installation: Installation) -> Installation {
    let mut config = OpenOptions::new().append(true).open(installation.config()).unwrap();
    config.write_all(SECTION.as_bytes()).unwrap();
    installation
}

async fn until(api: &Api, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let list = api.get("/v1/backups").await;
        assert_eq!(list.status, 200, "{list:?}");
        if is(&list.body) {
            return list.body;
        }
        assert!(Instant::now() < deadline, "{what}: {list:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn count(list: &Value) -> usize {
    list["backups"].as_array().unwrap().len()
}

/// Runs `greenroom` with `arguments` beside the installation; gives whether it went well, and what it said.
async fn greenroom(installation: &Installation, api: Option<&Api>, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::from(installation.command());
    command.args(arguments);
    if let Some(api) = api {
        command.args(["--url", &api.url, "--token", &api.admin_token]);
    }
    let output = command.output().await.unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (output.status.success(), said.concat())
}

fn parts(folder: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    names.filter(|path| path.extension().is_some_and(|extension| extension == "part")).collect()
}

/// Enough that a backup takes some seconds.
async fn fill(running: &Running, acknowledged: &mut Acknowledged) {
    for _ in 0..90 {
        assert_eq!(acknowledged.try_all(running).await, []);
    }
}

#[tokio::test]
async fn a_backup_survives_death_and_is_brought_back_elsewhere() {
    let installation = with_store(installation());
    let kept = installation.folder().join("kept");
    let mut running = installation.dev().await;
    // The first comes by itself.
    until(&running, "the first backup", |list| count(list) == 1 && list["running"].is_null()).await;
    let mut acknowledged = Acknowledged::default();
    fill(&running, &mut acknowledged).await;

    // Killed in the midst of one: nothing that looks like a backup is left.
    assert_eq!(running.ask(Method::POST, "/v1/backups", None).await.status, 202);
    let list = until(&running, "bytes", |list| list["running"]["bytesDone"].as_u64() > Some(0)).await;
    assert_eq!(list["running"]["intoStore"], true);
    let second = running.ask(Method::POST, "/v1/backups/download", None).await;
    assert!(second.status == 503 && second.sentence().contains("there is one at a time"), "{second:?}");
    running.kill();
    assert_eq!(parts(&kept).len(), 1);
    let mut running = installation.dev().await;
    acknowledged.check(&running).await;
    let list = until(&running, "the list", |list| list["running"].is_null()).await;
    assert_eq!(count(&list), 1, "{list}");

    // A download while it serves; who asks gets a file that is whole, or none.
    let (went_well, said) = greenroom(&installation, Some(&running), &["backup", "-o", "one.backup"]).await;
    assert!(went_well, "{said}");
    let (went_well, said) = greenroom(&installation, None, &["verify", "one.backup"]).await;
    assert!(went_well && said.contains("greenroom.toml") && said.ends_with("It is whole.\n"), "{said}");
    let (went_well, said) = greenroom(&installation, Some(&running), &["backups", "now"]).await;
    assert!(went_well, "{said}");
    assert_eq!(parts(&kept), Vec::<PathBuf>::new(), "what the killed one has left is gone");
    let (_, said) = greenroom(&installation, Some(&running), &["backups", "ls", "--json"]).await;
    assert_eq!(count(&serde_json::from_str(&said).unwrap()), 2, "{said}");

    // Its folder is in use.
    let data = installation.data_dir().display().to_string();
    let offline = ["backup", "--offline", "--data-dir", &data, "-o", "two.backup"];
    let (went_well, said) = greenroom(&installation, None, &offline).await;
    assert!(!went_well && said.contains("in use by another Greenroom"), "{said}");
    running.kill();
    let (went_well, said) = greenroom(&installation, None, &offline).await;
    assert!(went_well, "{said}");

    let bytes = fs::read(installation.folder().join("one.backup")).unwrap();
    fs::write(installation.folder().join("cut.backup"), &bytes[..bytes.len() / 2]).unwrap();
    let (went_well, said) = greenroom(&installation, None, &["verify", "cut.backup"]).await;
    assert!(!went_well && said.contains("this is no good backup: it is cut short"), "{said}");
    for file in ["one.backup", "two.backup"] {
        let folder = installation.folder().join(format!("back-{file}"));
        let path = folder.display().to_string();
        let (went_well, said) = greenroom(&installation, None, &["restore", file, &path]).await;
        assert!(went_well, "{said}");
        let (went_well, said) = greenroom(&installation, None, &["restore", file, &path]).await;
        assert!(!went_well && said.contains("is not empty"), "{said}");
        let restored = crate::installation().with_data_dir(&folder);
        let running = restored.dev().await;
        acknowledged.check(&running).await;
        let audit = json!(running.get("/v1/backups").await.body);
        assert!(audit["store"].is_null(), "this one has no store: {audit}");
        let refused = running.ask(Method::POST, "/v1/backups", None).await;
        assert!(
            refused.status == 409 && refused.sentence().contains("No store is configured"),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn a_backup_that_failed_is_told_and_tried_again() {
    let installation = with_store(installation());
    // A file stands where the store's folder is to be.
    fs::write(installation.folder().join("kept"), "in the way").unwrap();
    let running = installation.dev().await;
    let list = until(&running, "the failure", |list| !list["last"].is_null()).await;
    let problem = list["last"]["problem"].as_str().unwrap();
    assert!(problem.contains("kept") && problem.contains("cannot be written"), "{problem}");
    assert!(list["nextAt"].is_string() || list["nextAt"].is_number(), "{list}");
    assert!(running.log().contains("a backup was not made; it is tried again"), "{}", running.log());
    fs::remove_file(installation.folder().join("kept")).unwrap();
    let (went_well, said) = greenroom(&installation, Some(&running), &["backups", "now"]).await;
    assert!(went_well, "{said}");
    let metrics = greenroom_metrics(&running).await;
    for name in ["last_success_timestamp_seconds", "last_bytes", "last_seconds"] {
        assert!(metrics.contains(&format!("\ngreenroom_backup_{name} ")), "{name}");
    }
    assert!(metrics.contains("greenroom_backups_total{outcome=\"failed\"} "));
}

async fn greenroom_metrics(api: &Api) -> String {
    reqwest::get(format!("{}/metrics", api.url)).await.unwrap().text().await.unwrap()
}
