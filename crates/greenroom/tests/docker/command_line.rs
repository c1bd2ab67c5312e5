//! The command line against an installation with a real engine: hosts, builds and their pulls, and
//! the environment of a manager of game servers in place of a configuration.

use std::{
    ffi::OsString,
    process::{Output, Stdio},
    thread,
};

use greenroom_test_support::{
    engines::{self, Docker},
    greenroom::{GAME, Installation, some_ports},
    registry::Registry,
};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::world::{PATIENCE, PROGRAM, TOLD_WITHIN, Wish, World, say, until};

/// Large enough that half of it is more than nothing.
const LAYER_BYTES: usize = 4 << 20;

/// What a command told: its exit code, and both its outputs.
type Told = (Option<i32>, String, String);

fn told(output: &Output) -> Told {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// Runs a command against the installation that `dev` started.
fn run(installation: &Installation, arguments: &[&str]) -> Told {
    let mut command = installation.command();
    command.args(arguments).arg("--data-dir").arg(installation.data_dir());
    told(&command.output().unwrap())
}

fn run_json(installation: &Installation, arguments: &[&str]) -> Value {
    let with_json: Vec<_> = arguments.iter().copied().chain(["--json"]).collect();
    let (code, out, error) = run(installation, &with_json);
    assert_eq!(code, Some(0), "{arguments:?}: {error}");
    serde_json::from_str(&out).unwrap()
}

/// An installation whose game's image is in `registry`.
fn with_registry(docker: &Docker, registry: &Registry) -> Installation {
    let installation = Installation::new(PROGRAM, "", "command = [\"none\"]", 0);
    let fleet = format!(
        "provider = \"docker\"\nversion = \"1.0.0\"\ncommand = []\nrunning_max = 10\nport_range = \"{ports}\"\n\
         ports = [{{ name = \"default\", protocol = \"tcp\" }}]\n\
         [games.{GAME}.fleet.container]\nimage = \"{registry}/studio/game\"\nversions = \"registry\"\n\
         [registries.\"{registry}\"]\nurl = \"{url}\"\n[hosts.engine]\ndocker = \"{engine}\"\n",
        ports = some_ports(10),
        registry = registry.host(),
        url = registry.url(),
        engine = docker.url(),
    );
    installation.configure("", &fleet);
    installation
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_and_builds_are_listed_and_a_pull_is_followed() {
    let test = "hosts_and_builds_are_listed_and_a_pull_is_followed";
    let Some(docker) = engines::docker(test) else { return };
    let registry = Registry::start();
    registry.push("studio/game", "1.0.0", LAYER_BYTES);
    // The version is pulled ahead as soon as Greenroom is there.
    registry.hold_layers(true);
    let installation = with_registry(&docker, &registry);
    let _running = installation.dev().await;

    let mut pull = installation.command();
    pull.args(["builds", "pull", GAME, "1.0.0", "--data-dir"]).arg(installation.data_dir());
    let pull = pull.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pulled = thread::spawn(move || told(&pull.wait_with_output().unwrap()));
    let mut list = Value::Null;
    let is_half = || {
        list = run_json(&installation, &["builds", "ls"]);
        let pull = &list["builds"][0]["hosts"][0]["pull"];
        pull["state"] == "pulling" && pull["bytesDone"].as_u64().is_some_and(|bytes| bytes > 0)
    };
    assert!(until(PATIENCE, is_half).await, "{list}");
    let (_, out, _) = run(&installation, &["builds", "ls", GAME]);
    assert!(out.contains("1.0.0") && out.contains("engine pulls "), "{out}");
    registry.hold_layers(false);
    let (code, out, error) = pulled.join().unwrap();
    assert_eq!((code, out.as_str()), (Some(0), "version 1.0.0 is on engine\n"), "{error}");
    assert!(error.starts_with("engine: ") && error.ends_with("engine: has it\n"), "{error}");
    assert!(!error.contains('\u{1b}') && error.lines().count() <= 7, "lines, and not too many: {error}");

    let (code, out, error) = run(&installation, &["builds", "ls", "--refresh"]);
    assert_eq!(code, Some(0), "{error}");
    assert!(out.starts_with("VERSION") && out.contains("engine has it"), "{out}");
    let (code, out, error) = run(&installation, &["builds", "pull", GAME, "9.9.9"]);
    assert_eq!((code, out.as_str()), (Some(3), ""), "{error}");
    let (code, out, error) = run(&installation, &["builds", "ls", "nogame"]);
    assert_eq!((code, out.as_str()), (Some(3), ""), "{error}");

    let hosts = run_json(&installation, &["hosts", "ls"]);
    assert_eq!((&hosts["hosts"][0]["id"], &hosts["hosts"][0]["state"]), (&json!("engine"), &json!("up")));
    docker.stop();
    let mut listed = String::new();
    let is_lost = || {
        listed = run(&installation, &["hosts", "ls"]).1;
        listed.contains("\nengine is lost: the Docker engine at unix://")
    };
    assert!(until(TOLD_WITHIN, is_lost).await, "{listed}");
    let (code, out, error) = run(&installation, &["builds", "pull", GAME, "1.0.0"]);
    assert_eq!((code, out.as_str()), (Some(6), ""), "{error}");
    assert!(error.contains("the engine of the host engine cannot be asked"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_of_a_manager_is_all_that_it_needs() {
    let Some(docker) = engines::docker("the_environment_of_a_manager_is_all_that_it_needs") else { return };
    docker.import_game("racer", &["1.0.0", "1.1.0"]);
    let ports = some_ports(5);
    let (first, last) = ports.split_once('-').unwrap();
    let installation = Installation::new(PROGRAM, "", "command = [\"none\"]", 0);
    let data_dir = installation.data_dir().as_os_str().to_owned();
    let installation = installation.with_env([
        ("DOCKER_REPO", OsString::from("racer")),
        ("LOCAL_IMAGES", "true".into()),
        ("CONNECTION_MODE", "ports".into()),
        ("MAX_RUNNING_SERVERS", "1".into()),
        ("GAME_SERVER_PORT_MIN", first.into()),
        ("GAME_SERVER_PORT_MAX", last.into()),
        // What no manager's environment has: where it listens, and an engine that is not the machine's.
        ("GREENROOM_LISTEN", "127.0.0.1:0".into()),
        ("GREENROOM_DATA_DIR", data_dir),
        ("GREENROOM_HOSTS__ENGINE__DOCKER", docker.url().into()),
    ]);

    let (code, file, error) = told(&installation.command().args(["config", "from-env"]).output().unwrap());
    assert_eq!(code, Some(0), "{error}");
    assert!(
        file.contains(&format!("port_range = \"{ports}\"")) && file.contains("image = \"racer\""),
        "{file}"
    );
    std::fs::write(installation.config(), &file).unwrap();
    let (code, _, error) = told(&installation.command().args(["config", "check"]).output().unwrap());
    assert_eq!(code, Some(0), "{error}");
    for (name, value) in [("MAX_TAGS", "many"), ("CONNECTION_MODE", "pigeon"), ("DOCKER_REPO", "")] {
        for arguments in [&["config", "from-env"][..], &["serve", "--from-env"]] {
            let mut command = installation.command();
            let (code, out, error) = told(&command.args(arguments).env(name, value).output().unwrap());
            assert_eq!((code, out.as_str()), (Some(2), ""), "{name}: {error}");
            assert!(error.contains(name), "{error}");
        }
    }

    let mut serve = installation.command();
    serve.args(["serve", "--from-env"]);
    let running = installation.started(serve).await;
    let ask = async |body: Value| {
        let url = format!("{}/api/manager/request", running.url);
        let answer = reqwest::Client::new().post(url).json(&body).send().await.unwrap();
        (answer.status(), answer.json::<Value>().await.unwrap())
    };
    let (status, body) = ask(json!({ "name": "Ann's game", "list": 1, "version": "1.0.0" })).await;
    assert_eq!(status, StatusCode::CREATED, "{body}; its log:\n{}", running.log());
    let port = u16::try_from(body["port"].as_u64().unwrap()).unwrap();
    assert!((first.parse().unwrap()..=last.parse().unwrap()).contains(&port), "{port}");
    assert_eq!(say(port, "hello"), "hello");
    let (status, body) = ask(json!({ "name": "One more", "list": 1, "version": "1.1.0" })).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "{body}");
    let (status, body) = ask(json!({ "name": "An old one", "list": 1, "version": "0.9.0" })).await;
    assert!(status.is_client_error() && body["detail"].is_string(), "{status} {body}");
}

/// What `doctor` finds about engines.
fn examined(installation: &Installation) -> Vec<Value> {
    let mut command = installation.command();
    command.args(["doctor", "--json", "--url", "http://127.0.0.1:1", "--config"]).arg(installation.config());
    let (_, out, error) = told(&command.output().unwrap());
    let report: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}\n{error}"));
    report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["part"] == "engine")
        .cloned()
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_tells_how_an_engine_is_and_which_images_are_missing() {
    let test = "doctor_tells_how_an_engine_is_and_which_images_are_missing";
    let Some(world) = World::new(test, &Wish::default()) else { return };
    let findings = examined(&world.installation);
    let has = |findings: &[Value], check: &str, grade: &str, text: &str| {
        let fits = |finding: &Value| {
            finding["check"] == check && finding["grade"] == grade && finding.to_string().contains(text)
        };
        assert!(findings.iter().any(fits), "no {grade} of {check} says {text:?}: {findings:#?}");
    };
    has(&findings, "docker", "good", "host engine has Docker");
    has(&findings, "image", "good", "echo:1.0.0");
    if world.docker.call("GET", "/info", None).json()["Driver"] == "vfs" {
        has(&findings, "docker_storage", "warning", "overlay2");
    }
    let config = std::fs::read_to_string(world.installation.config()).unwrap();
    std::fs::write(world.installation.config(), config.replace("version = \"1.0.0\"", "version = \"9.9.9\""))
        .unwrap();
    has(&examined(&world.installation), "image", "warning", "docker pull echo:9.9.9");
}
