//! From a start to an end.

use std::time::Duration;

use greenroom_fleet::{ExitCause, Phase, StartError};

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
    let observed = &host.provider.list().await.unwrap()[0];
    assert_eq!((observed.ports.clone(), observed.labels["game"].as_str()), (ports, "skirmish"));
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
    let starts = (0..8).map(|_| host.provider.start(spec.clone()));
    let mut answers = Vec::new();
    for start in starts.map(|start| Box::pin(start)).collect::<Vec<_>>() {
        answers.push(start.await.unwrap());
    }
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
