//! From a start to an end.

use std::time::Duration;

use greenroom_fleet::{ExitCause, Phase, ProcessConfig, Program, Provider, ProviderConfig, StartError};

use crate::support::*;

#[tokio::test]
async fn a_server_starts_is_ready_and_stops() {
    let host = Host::new().await;
    let ports = host.start(game("s1", &["tcp", "{0}", "wait"])).await;
    host.until_ready("s1").await;
    assert!(std::net::TcpStream::connect(("127.0.0.1", ports[0].port)).is_ok());
    host.provider.stop(&server("s1"), PATIENCE).await.unwrap();
    host.provider.stop(&server("s1"), PATIENCE).await.unwrap();
    let exit = host.until_ended("s1").await;
    assert_eq!(exit.cause, ExitCause::Stopped { killed: false });
    assert!(exit.was_ready);
    host.provider.stop(&server("s1"), Duration::ZERO).await.unwrap();
    let observed = host.provider.list().await.unwrap().remove(0);
    assert_eq!((observed.ports.clone(), observed.labels["game"].as_str()), (ports, "skirmish"));
    // Its port is free for the next.
    let mut next = game("s2", &["tcp", "{0}", "wait"]);
    next.port_range = observed.ports[0].port..=observed.ports[0].port;
    host.start(next).await;
    assert!(matches!(
        host.provider.forget(&server("s2")).await,
        Err(greenroom_fleet::ProviderError::StillRuns(_))
    ));
    host.until_ready("s2").await;
    host.provider.stop(&server("s2"), Duration::ZERO).await.unwrap();
    host.until_ended("s2").await;
    host.provider.forget(&server("s2")).await.unwrap();
    host.provider.forget(&server("s1")).await.unwrap();
    assert!(host.provider.list().await.unwrap().is_empty());
    assert!(!host.folder_of("s1").exists());
    host.finish().await;
}

#[tokio::test]
async fn a_command_that_does_not_exist_is_told_at_once_and_leaves_nothing() {
    let host = Host::new().await;
    let error = host.provider.start(command("s1", "no-such-game", &[])).await.unwrap_err();
    assert_eq!(error, StartError::CommandNotFound("no-such-game".into()));
    let text = host.path().join("text");
    std::fs::write(&text, "no program").unwrap();
    let text = text.to_str().unwrap();
    let error = host.provider.start(command("s2", text, &[])).await.unwrap_err();
    assert_eq!(error, StartError::CommandNotFound(text.into()));
    assert!(host.provider.list().await.unwrap().is_empty());
    assert!(!host.folder_of("s1").exists());
    // The same id may be tried again.
    host.start(game("s1", &["tcp", "{0}", "wait"])).await;
    host.until_ready("s1").await;
    host.finish().await;
}

#[tokio::test]
async fn a_program_that_the_system_refuses_is_told_with_its_reason() {
    let host = Host::new().await;
    let program = host.path().join("not-a-program");
    std::fs::write(&program, "#!/no/such/interpreter\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(&program, mode).unwrap();
    let error = host.provider.start(command("s1", program.to_str().unwrap(), &[])).await.unwrap_err();
    assert!(matches!(&error, StartError::Spawn(text) if text.contains("No such file")), "{error}");
    assert!(!host.folder_of("s1").exists());
    host.finish().await;
}

#[tokio::test]
async fn ends_are_told_apart() {
    let host = Host::new().await;
    host.start(game("fine", &["tcp", "{0}", "say", "bye", "exit", "0"])).await;
    host.start(game("code", &["say", "out of luck", "exit", "7"])).await;
    host.start(game("signal", &["crash"])).await;
    let exit = host.until_ended("fine").await;
    assert_eq!(exit.cause, ExitCause::Exited(0));
    assert_eq!(exit.last_lines.last().unwrap(), "bye");
    let exit = host.until_ended("code").await;
    assert_eq!((exit.cause, exit.was_ready), (ExitCause::Exited(7), false));
    assert_eq!(exit.last_lines, ["out of luck"]);
    assert_eq!(host.until_ended("signal").await.cause, ExitCause::Signalled(6));
    host.finish().await;
}

#[tokio::test]
async fn one_that_ignores_sigterm_is_killed_after_its_grace() {
    let host = Host::new().await;
    host.start(game("s1", &["ignore-sigterm", "tcp", "{0}", "wait"])).await;
    host.until_ready("s1").await;
    host.provider.stop(&server("s1"), Duration::from_millis(100)).await.unwrap();
    let exit = host.until_ended("s1").await;
    assert_eq!(exit.cause, ExitCause::Stopped { killed: true });
    host.finish().await;
}

#[tokio::test]
async fn a_second_start_of_an_id_gives_the_first_answer() {
    let host = Host::new().await;
    let spec = game("s1", &["tcp", "{0}", "wait"]);
    let mut starts = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (provider, spec) = (host.provider.clone(), spec.clone());
        starts.spawn(async move { provider.start(spec).await.unwrap() });
    }
    let answers = starts.join_all().await;
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    host.until_ready("s1").await;
    assert_eq!(host.processes().len(), 1);
    host.finish().await;
}

#[tokio::test]
async fn observations_begin_with_what_is_and_end_with_the_provider() {
    let host = Host::new().await;
    host.start(game("s1", &["tcp", "{0}", "wait"])).await;
    host.until_ready("s1").await;
    let mut observations = host.provider.observe();
    assert!(matches!(observations.next().await.unwrap().phase, Phase::Ready { .. }));
    host.provider.stop(&server("s1"), Duration::ZERO).await.unwrap();
    assert!(matches!(observations.next().await.unwrap().phase, Phase::Ended(_)));
    host.provider.shutdown().await;
    assert_eq!(observations.next().await, None);
    let error = host.provider.start(game("s2", &[])).await.unwrap_err();
    assert!(matches!(error, StartError::Unavailable(_)));
}

#[tokio::test]
async fn fifty_starts_at_once_get_fifty_ports() {
    let host = Host::new().await;
    let range = some_range(50);
    let mut starts = tokio::task::JoinSet::new();
    for n in 0..50 {
        let provider = host.provider.clone();
        let mut spec = game(&format!("s{n}"), &["tcp", "{0}", "wait"]);
        spec.port_range = range.clone();
        starts.spawn(async move { provider.start(spec).await.unwrap().ports[0].port });
    }
    let ports: std::collections::BTreeSet<u16> = starts.join_all().await.into_iter().collect();
    assert_eq!(ports.len(), 50);
    for n in 0..50 {
        host.until_ready(&format!("s{n}")).await;
    }
    assert_eq!(host.processes().len(), 50);
    // One more finds none left.
    let mut spec = game("one-more", &["tcp", "{0}", "wait"]);
    spec.port_range = range;
    let error = host.provider.start(spec).await.unwrap_err();
    assert!(matches!(error, StartError::NoPort { .. }), "{error}");
    host.finish().await;
}

#[tokio::test]
async fn arguments_stay_whole_and_the_environment_holds_nothing_of_ours() {
    // What cargo set for this test stands for our own secrets.
    assert!(std::env::var("CARGO_MANIFEST_DIR").is_ok());
    let host = Host::new().await;
    let title = "a title; rm -rf $HOME `id` \"quoted\" --option";
    let mut spec = game("s1", &["arguments", "say", title, "environment", "tcp", "{0}", "wait"]);
    spec.payload = Some(bytes::Bytes::from_static(b"{\"map\":1}"));
    host.start(spec).await;
    host.until_ready("s1").await;
    let log = host.log("s1").await;
    let texts: Vec<&str> = log.iter().map(|line| line.text.as_str()).collect();
    assert!(texts.contains(&format!("argument={title}").as_str()), "{texts:#?}");
    let names: std::collections::BTreeSet<&str> = texts
        .iter()
        .filter_map(|text| text.strip_prefix("env ")?.split_once('=').map(|(name, _)| name))
        .collect();
    let mut wanted = std::collections::BTreeSet::from([
        "GREENROOM_PAYLOAD",
        "GREENROOM_PAYLOAD_FILE",
        "GREENROOM_SERVER_DIR",
        "GREENROOM_SERVER_ID",
    ]);
    wanted.extend(["PATH", "HOME", "LANG"].into_iter().filter(|name| std::env::var_os(name).is_some()));
    assert_eq!(names, wanted);
    let (supervisor, _) = host.pids("s1");
    let environment = std::fs::read(format!("/proc/{supervisor}/environ")).unwrap();
    assert!(!String::from_utf8_lossy(&environment).contains("CARGO"), "the supervisor has our environment");
    host.finish().await;
}

#[tokio::test]
async fn the_payload_file_appears_when_it_is_delivered() {
    let host = Host::new().await;
    host.start(game("s1", &["tcp", "{0}", "payload", "wait"])).await;
    host.until_ready("s1").await;
    assert!(!host.folder_of("s1").join("payload").exists());
    let payload = bytes::Bytes::from_static("{\"grüße\":true}".as_bytes());
    host.provider.deliver_payload(&server("s1"), &payload).await.unwrap();
    host.provider.deliver_payload(&server("s1"), &payload).await.unwrap();
    assert_eq!(host.said("s1", "payload=").await.as_bytes(), &payload[..]);
    let mode = std::fs::metadata(host.folder_of("s1").join("payload")).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o777, 0o600);
    host.finish().await;
}

#[tokio::test]
async fn limits_are_applied() {
    let host = Host::new().await;
    let mut spec = game("s1", &["descriptors", "tcp", "{0}", "wait"]);
    spec.limits.descriptors = Some(77);
    host.start(spec).await;
    assert_eq!(host.said("s1", "descriptors=").await, "Some(77)");
    let mut spec = game("s2", &["allocate", "1000000", "allocate", "400000000", "wait"]);
    spec.limits.memory_bytes = Some(100_000_000);
    spec.limits.cpu_cores = Some(0.5);
    host.start(spec).await;
    host.said("s2", "allocated 1000000").await;
    let exit = host.until_ended("s2").await;
    assert!(matches!(exit.cause, ExitCause::Signalled(6 | 9)), "{:?}", exit.cause);
    host.until_ready("s1").await;
    let usage = host.provider.usage(&server("s1")).await.unwrap();
    assert!(usage.memory_bytes > 100_000 && usage.cpu_seconds < 10.0, "{usage:?}");
    assert_eq!(host.provider.usage(&server("s2")).await, None);
    host.finish().await;
}

#[tokio::test]
async fn a_folder_that_does_not_exist_is_said() {
    let host = Host::new().await;
    let mut spec = game("s1", &["wait"]);
    spec.program = Program::Process { working_dir: Some("/no/such/folder".into()) };
    let error = host.provider.start(spec).await.unwrap_err();
    assert!(error.to_string().contains("no such folder"), "{error}");
    host.finish().await;
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_said_when_it_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    std::fs::write(&path, "no folder").unwrap();
    let config = ProcessConfig {
        servers_dir: path.clone(),
        greenroom: "/no/such/program".into(),
        supervise_args: Vec::new(),
        sdk_ports: greenroom_fleet::sdk::PORTS,
    };
    let error = Provider::open(ProviderConfig::processes(config)).await.err().unwrap();
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
}

#[tokio::test]
async fn a_supervisor_that_does_not_come_up_is_told_with_its_words() {
    let dir = tempfile::tempdir().unwrap();
    let config = |greenroom: &str| ProcessConfig {
        servers_dir: dir.path().to_owned(),
        greenroom: greenroom.into(),
        supervise_args: vec!["-c".into(), "echo no luck today >&2; exit 1".into()],
        sdk_ports: greenroom_fleet::sdk::PORTS,
    };
    for (program, says) in [("/bin/sh", "no luck today"), ("/no/such/program", "does not run")] {
        let provider = Provider::open(ProviderConfig::processes(config(program))).await.unwrap();
        let error = provider.start(game("s1", &["wait"])).await.unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert!(provider.list().await.unwrap().is_empty());
        assert!(!dir.path().join("s1").exists());
    }
}

#[test]
fn a_supervisor_started_by_hand_says_what_it_is() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_fleet-test-supervisor"))
        .args(["supervise", "/tmp"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("not by hand"));
}
