//! What `packaging/` holds: read, and where there is an engine, built and started. What `docs/grafana` asks for: told
//! by a Greenroom that runs.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use greenroom::measures::{ALL, Kind};

use greenroom_test_support::{
    engines::{DockerRun, docker, require_engine},
    greenroom::{Installation, Running},
    wait_for,
};
use regex::Regex;
use serde_json::{Value, json};
use yaml_rust2::{Yaml, YamlLoader};

const PATIENCE: Duration = Duration::from_secs(90);

fn packaging(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/docker").join(name)
}

fn in_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program)).find(|program| program.is_file())
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
}

#[test]
fn the_compose_file_fits_the_image() {
    let text = fs::read_to_string(packaging("compose.yaml")).unwrap();
    let documents = YamlLoader::load_from_str(&text).unwrap();
    let service = &documents[0]["services"]["greenroom"];
    let list = |key: &str| -> Vec<String> {
        service[key].as_vec().unwrap().iter().map(|item| item.as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(service["image"].as_str(), Some("greenroom"));
    assert_eq!(list("command"), ["serve", "--from-env"]);
    assert_eq!(list("ports"), ["127.0.0.1:4700:4700"]);
    assert_eq!(list("volumes"), ["data:/data", "/var/run/docker.sock:/var/run/docker.sock"]);
    assert!(matches!(documents[0]["volumes"]["data"], Yaml::Null), "the volume is declared");
    // The same port, folder and program in both images.
    for name in ["Dockerfile", "Dockerfile.scratch"] {
        let text = fs::read_to_string(packaging(name)).unwrap();
        for line in [
            "VOLUME /data",
            "EXPOSE 4700",
            "STOPSIGNAL SIGTERM",
            "ENTRYPOINT [\"/usr/bin/greenroom\"]",
            "CMD [\"serve\", \"--config\", \"/etc/greenroom/greenroom.toml\"]",
        ] {
            assert!(text.lines().any(|known| known == line), "{name} has no line {line}");
        }
        assert!(text.contains("GREENROOM_LISTEN=0.0.0.0:4700 GREENROOM_DATA_DIR=/data"), "{name}");
    }
}

#[tokio::test]
async fn the_image_made_from_nothing_is_built_and_serves() {
    const TEST: &str = "the_image_made_from_nothing_is_built_and_serves";
    let Some(client) = require_engine("docker (the command)", in_path("docker"), TEST) else { return };
    let Some(engine) = docker(TEST) else { return };
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("greenroom");
    // The debug information of a test's build would be most of the image.
    match in_path("strip") {
        Some(strip) => run(Command::new(strip)
            .args(["--strip-debug", "-o"])
            .arg(&program)
            .arg(env!("CARGO_BIN_EXE_greenroom"))),
        None => drop(fs::copy(env!("CARGO_BIN_EXE_greenroom"), &program).unwrap()),
    }
    let context = folder.path().join("context");
    fs::create_dir(&context).unwrap();
    run(Command::new(packaging("rootfs.sh")).arg(&program).arg(context.join("rootfs")));
    run(Command::new(client)
        .args(["build", "--quiet", "--tag", "greenroom", "--file"])
        .args([&packaging("Dockerfile.scratch"), &context])
        // The builder that every engine has in itself.
        .envs([("DOCKER_HOST", engine.url().as_str()), ("DOCKER_BUILDKIT", "0")]));

    let config = folder.path().join("config");
    fs::create_dir(&config).unwrap();
    fs::write(config.join("greenroom.toml"), "[studios.demo]\n[games.arena]\nstudio = \"demo\"\n").unwrap();
    let more = json!({ "HostConfig": { "Binds": [format!("{}:/etc/greenroom:ro", config.display())] } });
    let container = engine.run(&DockerRun { image: "greenroom", more, ..DockerRun::default() });
    let seen = engine.inspect(&container);
    let address = seen["NetworkSettings"]["IPAddress"].as_str().unwrap().to_owned();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
    let url = format!("http://{address}:4700/readyz");
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
            break;
        }
        let state = engine.inspect(&container)["State"].clone();
        assert_eq!(state["Running"], true, "{state}");
        assert!(tokio::time::Instant::now() < deadline, "{url} is silent; {state}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let manager = http.get(format!("http://{address}:4700/api/manager/healthcheck")).send().await.unwrap();
    assert_eq!(manager.status(), 200);

    // Asked to stop, it does, in good order: it is not killed after its grace.
    assert!(engine.kill_container(&container, "SIGTERM"));
    let ended = wait_for(|| engine.inspect(&container)["State"]["Running"] == false, PATIENCE).await;
    assert!(ended, "it does not stop");
    assert_eq!(engine.inspect(&container)["State"]["ExitCode"], 0);
}

fn monitoring(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/grafana").join(name);
    fs::read_to_string(path).unwrap()
}

/// The expressions of the dashboard.
fn shown() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&monitoring("greenroom.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}

/// The expressions of the alerts; each says what is wrong and what to do.
fn alerts() -> Vec<String> {
    let documents = YamlLoader::load_from_str(&monitoring("alerts.yml")).unwrap();
    let rules = documents[0]["groups"][0]["rules"].as_vec().unwrap();
    for rule in rules {
        for said in ["summary", "action"] {
            assert!(
                rule["annotations"][said].as_str().is_some_and(|text| text.ends_with('.')),
                "{said} of {rule:?}"
            );
        }
    }
    rules.iter().map(|rule| rule["expr"].as_str().unwrap().to_owned()).collect()
}

/// The metrics of an expression, each with the labels that it asks for.
fn metrics_of(expression: &str) -> Vec<(String, Vec<String>)> {
    let metric = Regex::new(r"(greenroom_[a-z0-9_]+)(?:\{([^}]*)\})?").unwrap();
    let label = Regex::new(r#"([a-z_]+)(?:=~|!~|!=|=)""#).unwrap();
    let found = metric.captures_iter(expression).map(|found| {
        let asked = found.get(2).map_or("", |asked| asked.as_str());
        (found[1].to_owned(), label.captures_iter(asked).map(|label| label[1].to_owned()).collect())
    });
    found.collect()
}

/// What is seen only with what a test of monitoring does not have.
const NOT_AT_PEACE: &[(&str, &str)] = &[
    ("greenroom_fleet_host_up", "a Docker engine"),
    ("greenroom_sqlite_commit_failures_total", "a disk that fails"),
    ("greenroom_tls_reloads_total", "a certificate that changes"),
    ("greenroom_pool_wanted", "a game with servers that stand ready"),
];

#[test]
fn the_dashboard_and_the_alerts_ask_for_metrics_and_labels_that_there_are() {
    for expression in shown().iter().chain(&alerts()) {
        for (name, labels) in metrics_of(expression) {
            let measure = ALL.iter().find(|measure| measure.name == name);
            let measure = measure.unwrap_or_else(|| panic!("there is no metric {name}: {expression}"));
            for label in labels {
                let is_quantile = label == "quantile" && measure.kind == Kind::Histogram;
                assert!(
                    is_quantile || measure.labels.contains(&label.as_str()),
                    "{name} has no label {label}"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_dashboard_and_the_alerts_ask_for_is_told_by_a_greenroom_that_runs() {
    let fleet = "command = [\"/bin/sleep\", \"100000\"]\nready = \"after:10ms\"\nport_range = \"{ports}\"\n\
                 ports = [{ name = \"default\", protocol = \"tcp\" }]\nrunning_max = 2\nstop_grace = \"1s\"\n";
    let installation = Installation::new(env!("CARGO_BIN_EXE_greenroom"), "team_size = 2", fleet, 2);
    let running = installation.dev().await;
    let ada = running.sign_in("Ada").await.body;
    let mut socket = running.connect(ada["accessToken"].as_str().unwrap()).await.unwrap();
    socket.ask(json!({ "type": "lobby:create" })).await.unwrap();
    for told in ["greenroom_players_connected 1", "greenroom_player_sockets 1", "greenroom_lobbies 1"] {
        until_told(&running, |line| line == told, told).await;
    }
    let server = running.allocate(None).await.body["server"]["id"].as_str().unwrap().to_owned();
    running.stop_server(&server).await;
    running.server_in(&server, "ended").await;

    let mut wanted: BTreeSet<_> =
        shown().iter().flat_map(|text| metrics_of(text)).map(|(name, _)| name).collect();
    wanted.extend(alerts().iter().flat_map(|text| metrics_of(text)).map(|(name, _)| name));
    wanted.retain(|name| NOT_AT_PEACE.iter().all(|(other, _)| other != name));
    for name in &wanted {
        // Of a histogram there is how often it was measured.
        let is_it = |line: &str| {
            let rest = line.strip_prefix(name.as_str());
            rest.is_some_and(|rest| rest.starts_with([' ', '{']) || rest.starts_with("_count"))
        };
        until_told(&running, is_it, name).await;
    }
    // What is told is described, and has the labels that the page says.
    described(running.get("/metrics").await.body.as_str().unwrap());
}

/// Waits until `/metrics` has a line that is it.
async fn until_told(running: &Running, is_it: impl Fn(&str) -> bool, what: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let told = running.get("/metrics").await.body.as_str().unwrap().to_owned();
        if told.lines().any(&is_it) {
            return;
        }
        assert!(Instant::now() < deadline, "/metrics does not tell {what}:\n{told}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Every sample of ours has a description, and no label that its description does not have.
fn described(told: &str) {
    let label = Regex::new(r#"([a-z_]+)=""#).unwrap();
    for sample in told.lines().filter(|line| line.starts_with("greenroom_")) {
        let name = sample.split(['{', ' ']).next().unwrap();
        let of = |name: &str| ALL.iter().find(|measure| measure.name == name);
        let of_histogram = || ["_sum", "_count"].iter().find_map(|end| of(name.strip_suffix(end)?));
        let measure = of(name).or_else(of_histogram).unwrap_or_else(|| panic!("{name} is not described"));
        assert!(told.contains(&format!("# HELP {} ", measure.name)), "{name} has no HELP");
        let labels = sample.split_once('{').map_or("", |(_, rest)| rest);
        for found in label.captures_iter(labels) {
            let is_known = measure.labels.contains(&&found[1]) || &found[1] == "quantile";
            assert!(is_known, "{name} has a label {} that its page does not have", &found[1]);
        }
    }
}
