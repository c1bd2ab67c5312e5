//! What `packaging/` holds: read, and where there is an engine, built and started.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use greenroom_test_support::{
    engines::{DockerRun, docker, require_engine},
    wait_for,
};
use serde_json::json;
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
