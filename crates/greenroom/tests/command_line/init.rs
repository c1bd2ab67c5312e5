//! `init`.

use std::fs;

use greenroom_test_support::greenroom::Installation;
use reqwest::Method;
use serde_json::json;

use crate::{greenroom, pty::Pty, told};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_it_writes_is_right_and_starts() {
    let installation = Installation::new(env!("CARGO_BIN_EXE_greenroom"), "", "", 1);
    let file = installation.folder().join("new.toml");
    let ports = greenroom_test_support::greenroom::some_ports(2);
    let arguments = ["init", file.to_str().unwrap(), "--yes", "--game", "chess", "--ports", &ports];
    let (code, out, error) = told(&greenroom().args(arguments).output().unwrap());
    assert_eq!(code, Some(0), "{error}");
    assert!(out.contains("is written") && out.contains("greenroom dev --config"), "{out}");
    let check = ["config", "check", "--config", file.to_str().unwrap()];
    let (code, out, error) = told(&greenroom().args(check).output().unwrap());
    assert_eq!(code, Some(0), "{error}");
    assert!(out.contains("1 game"), "{out}");

    let mut command = installation.command();
    command.args(["dev", "--json", "--listen", "127.0.0.1:0", "--config"]).arg(&file);
    command.arg("--data-dir").arg(installation.data_dir());
    let running = installation.started(command).await;
    let answer = running.ask(Method::POST, "/v1/games/chess/servers", Some(&json!({}))).await;
    assert_eq!(answer.status, 200, "its servers start: {answer:?}");

    // A second time nothing is touched.
    let before = fs::read(&file).unwrap();
    let (code, _, error) = told(&greenroom().args(arguments).output().unwrap());
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("exists already"), "{error}");
    assert_eq!(fs::read(&file).unwrap(), before);
}

#[test]
fn flags_say_what_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let init = |name: &str, arguments: &[&str]| {
        let file = folder.path().join(name);
        let output = greenroom().arg("init").arg(&file).args(arguments).output().unwrap();
        let check = || greenroom().args(["config", "check", "--config"]).arg(&file).output().unwrap();
        let text = fs::read_to_string(&file).unwrap_or_default();
        if !text.is_empty() {
            let (code, _, error) = told(&check());
            assert_eq!(code, Some(0), "{error}\n{text}");
        }
        let (code, _, error) = told(&output);
        (code, text, error)
    };
    let (code, text, error) = init(
        "container.toml",
        &[
            "--yes",
            "--image",
            "ghcr.io/studio/game:1.2",
            "--inner-port",
            "7777",
            "--protocol",
            "udp",
            "--address",
            "play.example.org",
        ],
    );
    assert_eq!(code, Some(0), "{error}");
    for part in [
        "image = \"ghcr.io/studio/game\"",
        "version = \"1.2\"",
        "inner = 7777",
        "\"udp\"",
        "\"play.example.org\"",
    ] {
        assert!(text.contains(part), "{part} is not in it:\n{text}");
    }
    let (code, text, error) = init(
        "program.toml",
        &["--yes", "--command", "./my server 'a b' --port {port}", "--ports", "9000-9001"],
    );
    assert_eq!(code, Some(0), "{error}");
    assert!(
        text.contains(r#"["./my", "server", "a b", "--port", "{port}"]"#) && text.contains("running_max = 2"),
        "{text}"
    );

    for (arguments, sentence) in [
        (&[][..], "there is no terminal to ask on; add --yes"),
        (&["--yes", "--protocol", "sctp"], "expected one of tcp, udp"),
        (&["--yes", "--command", "'a"], "is not closed"),
        (&["--yes", "--ports", "9-1"], "no range of ports"),
        // What only the whole file tells.
        (&["--yes", "--listen", "127.0.0.1:7001"], "Greenroom's own port 7001 is in it"),
        (&["--yes", "--command", "./a {nonsense}"], "nonsense"),
    ] {
        let (code, text, error) = init("none.toml", arguments);
        assert_eq!((code, text.as_str()), (Some(2), ""), "{arguments:?}: {error}");
        assert!(error.contains(sentence), "{arguments:?}: {error}");
    }
}

#[tokio::test]
async fn questions_are_asked_again_until_their_answer_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("asked.toml");
    let mut command = greenroom();
    command.arg("init").arg(&file);
    let mut pty = Pty::start(command, 120, 30);
    for (question, answer) in [
        ("The game's id", "Not An Id!"),
        ("The game's id", "arena"),
        ("a program, or a container", ""),
        ("The command that starts one", "./arena --port {port}"),
        ("What it listens for", "sctp"),
        ("What it listens for", "udp"),
        ("The ports that servers are given", ""),
        ("The address that players reach", "192.0.2.1"),
        ("Where Greenroom itself listens", "0.0.0.0:4800"),
    ] {
        pty.until(question).await;
        pty.forget();
        pty.types(format!("{answer}\n").as_bytes());
    }
    assert_eq!(pty.ended().await, Some(0), "{}", pty.shown());
    let text = fs::read_to_string(&file).unwrap();
    for part in [
        "[games.arena]",
        r#"["./arena", "--port", "{port}"]"#,
        "\"udp\"",
        "\"192.0.2.1\"",
        "\"0.0.0.0:4800\"",
        "7000-7999",
    ] {
        assert!(text.contains(part), "{part} is not in it:\n{text}");
    }
    // Who goes away in the middle leaves nothing.
    let mut command = greenroom();
    command.arg("init").arg(folder.path().join("none.toml"));
    let mut pty = Pty::start(command, 120, 30);
    pty.until("The game's id").await;
    pty.types(b"\x04");
    assert_eq!(pty.ended().await, Some(1));
    assert!(!folder.path().join("none.toml").exists());
}
