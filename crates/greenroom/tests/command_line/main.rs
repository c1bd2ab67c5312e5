//! The command line from outside: the built program, its words and its exit codes, against a Greenroom that answers
//! what the test says.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod doctor;
mod init;
mod manual;
mod play;
mod pty;
mod top;
mod watch;

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    process::{Command, Output, Stdio},
    thread,
};

use greenroom_protocol::{ErrorCode, Problem};
use greenroom_test_support::greenroom::Installation;

pub(crate) fn greenroom() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_greenroom"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("GREENROOM_")) {
        command.env_remove(name);
    }
    command
}

pub(crate) fn told(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// Answers one request with `status` and `body`; gives the request's head.
fn answering(status: u16, body: String) -> (String, thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answering = thread::spawn(move || {
        let mut stream = BufReader::new(listener.accept().unwrap().0);
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).unwrap();
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" || line.is_empty() {
                break;
            }
            head.push_str(&line);
        }
        let mut sent = vec![0; length];
        stream.read_exact(&mut sent).unwrap();
        head.push_str(&String::from_utf8(sent).unwrap());
        let answer = format!(
            "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.get_mut().write_all(answer.as_bytes()).unwrap();
        head
    });
    (url, answering)
}

fn problem(code: ErrorCode) -> (u16, String) {
    (code.status(), serde_json::to_string(&Problem::new(code, "The sentence.")).unwrap())
}

#[test]
fn version_and_example() {
    let (code, out, _) = told(&greenroom().arg("version").output().unwrap());
    assert_eq!((code, out.trim()), (Some(0), env!("CARGO_PKG_VERSION")));
    let (code, out, _) = told(&greenroom().args(["config", "example"]).output().unwrap());
    assert_eq!((code, out), (Some(0), greenroom::config::document::example()));
}

#[test]
fn wrong_arguments_are_2() {
    let (code, _, error) = told(&greenroom().arg("fly").output().unwrap());
    assert_eq!(code, Some(2), "{error}");
}

#[test]
fn a_wrong_configuration_is_2_and_tells_everything() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wrong.toml");
    std::fs::write(&file, "listen = 5\npublic_adress = \"x\"\n").unwrap();
    let dev = ["dev", "--config", file.to_str().unwrap()];
    let check = ["config", "check", "--config", file.to_str().unwrap()];
    for arguments in [&dev[..], &check[..], &["serve", "--config", file.to_str().unwrap()]] {
        let (code, out, error) =
            told(&greenroom().args(arguments).current_dir(folder.path()).output().unwrap());
        assert_eq!((code, out.as_str()), (Some(2), ""), "{error}");
        assert!(
            error.contains("2 errors") && error.contains("listen: ") && error.contains("public_adress: "),
            "{error}"
        );
    }
    // Nothing was opened.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_file_that_is_not_there_is_2() {
    let (code, _, error) =
        told(&greenroom().args(["config", "check", "--config", "/no/such.toml"]).output().unwrap());
    assert_eq!(code, Some(2));
    assert!(
        error.contains("the file cannot be read") && error.contains("greenroom config example"),
        "{error}"
    );
}

#[test]
fn nobody_there_is_5() {
    // Bound and not listened on: nobody else gets the port, and nobody answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let (code, out, error) =
        told(&greenroom().args(["servers", "show", "a", "--url", &url]).output().unwrap());
    assert_eq!((code, out.as_str()), (Some(5), ""), "{error}");
    assert!(error.contains(&format!("no Greenroom answers at {url}")), "{error}");
}

#[test]
fn each_error_of_the_interface_has_its_exit_code() {
    for (error_code, exit) in [
        (ErrorCode::NotFound, 3),
        (ErrorCode::Gone, 3),
        (ErrorCode::Unauthorized, 4),
        (ErrorCode::Forbidden, 4),
        (ErrorCode::LimitReached, 6),
        (ErrorCode::NoServer, 6),
        (ErrorCode::Internal, 1),
        (ErrorCode::Invalid, 1),
    ] {
        let (status, body) = problem(error_code);
        let (url, answering) = answering(status, body);
        let arguments = ["allocate", "--game", "g", "--key", "k", "--url", &url];
        let (code, out, error) = told(&greenroom().args(arguments).output().unwrap());
        answering.join().unwrap();
        assert_eq!((code, out.as_str()), (Some(exit), ""), "{error_code:?}: {error}");
        let advice = error.strip_prefix("error: The sentence.").unwrap();
        assert_eq!(advice.contains("GREENROOM_ADMIN_TOKEN"), error_code == ErrorCode::Forbidden, "{error}");
    }
}

#[test]
fn the_audit_log_is_a_table_and_tells_how_to_go_on() {
    let body = r#"{"entries":[{"at":0,"actor":"admin:ann","via":"console","address":"10.0.0.7","action":"server.stop",
        "subject":"s1","detail":{"game":"chess"}}],"next":"c1"}"#;
    let (url, answering) = answering(200, body.into());
    let arguments = ["audit", "--limit", "1", "--after", "c0", "--token", "the token", "--url", &url];
    let (code, out, error) = told(&greenroom().args(arguments).output().unwrap());
    let head = answering.join().unwrap();
    assert!(head.starts_with("GET /v1/audit?limit=1&cursor=c0 "), "{head}");
    assert_eq!(code, Some(0), "{error}");
    for text in
        ["1970-01-01 00:00:00", "admin:ann", "10.0.0.7", "server.stop", "{\"game\":\"chess\"}", "--after c1"]
    {
        assert!(out.contains(text), "{text} is not in {out}");
    }
}

#[test]
fn allocate_sends_what_it_was_given_and_prints_where_the_server_is() {
    let body = r#"{"server":{"name":"s-1","address":"127.0.0.1","port":7000,"id":"s1","state":"allocated"}}"#;
    let (url, answering) = answering(200, body.into());
    let output = greenroom()
        .args([
            "allocate",
            "--game",
            "chess",
            "--payload",
            "{\"a\":1}",
            "--version",
            "1.2.0",
            "--title",
            "Ann's game",
            "--listed",
            "--idempotency-key",
            "once",
            "--url",
            &url,
        ])
        .env("GREENROOM_API_KEY", "the key")
        .output()
        .unwrap();
    let (code, out, error) = told(&output);
    let request = answering.join().unwrap();
    assert_eq!((code, out.as_str()), (Some(0), "s1  127.0.0.1:7000  s-1\n"), "{error}");
    assert!(request.starts_with("POST /v1/games/chess/servers HTTP/1.1\r\n"), "{request}");
    let lower = request.to_ascii_lowercase();
    assert!(lower.contains("x-api-key: the key") && lower.contains("idempotency-key: once"), "{request}");
    let body = r#"{"payload":"{\"a\":1}","version":"1.2.0","title":"Ann's game","listed":true}"#;
    assert!(request.contains(body), "{request}");
}

#[test]
fn a_list_is_a_table_for_people_and_json_for_programs() {
    let body = r#"{"servers":[{"id":"s1","name":"bad\u001b[2Jname","game":"chess","state":"ready","address":"127.0.0.1","port":7000,"createdAt":0}]}"#;
    for json in [false, true] {
        let (url, answering) = answering(200, body.into());
        let mut command = greenroom();
        command.args(["servers", "ls", "--game", "chess", "--state", "ready", "--url", &url]);
        command.args(json.then_some("--json"));
        let (code, out, error) = told(&command.output().unwrap());
        let request = answering.join().unwrap();
        assert_eq!(code, Some(0), "{error}");
        assert!(
            request.starts_with("GET /v1/games/chess/servers?limit=100&state=ready HTTP/1.1\r\n"),
            "{request}"
        );
        assert!(!out.contains('\u{1b}'), "{out:?}");
        if json {
            let value: serde_json::Value = serde_json::from_str(&out).unwrap();
            assert_eq!(value["servers"][0]["id"], "s1");
        } else {
            assert!(out.contains("127.0.0.1:7000") && out.contains("1970-01-01 00:00:00"), "{out}");
        }
    }
}

#[test]
fn credentials_of_the_development_folder_go_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let (status, body) = problem(ErrorCode::Unauthorized);
    let (url, answering) = answering(status, body);
    let dev = format!(
        r#"{{"url":"http://127.0.0.1:9","admin_token":"hidden","api_key":"hidden","game":"g","data_dir":"{}"}}"#,
        folder.path().display()
    );
    std::fs::write(folder.path().join("dev.json"), dev).unwrap();
    let arguments = ["keys", "ls", "--url", &url, "--data-dir", folder.path().to_str().unwrap()];
    let (code, _, error) = told(&greenroom().args(arguments).output().unwrap());
    assert!(!answering.join().unwrap().contains("hidden"));
    assert_eq!(code, Some(4), "{error}");
    assert!(error.contains("--key or GREENROOM_API_KEY"), "{error}");
}

/// Runs the command with the folder's credentials, with `input` on its standard input.
pub(crate) fn run_in(
    folder: &std::path::Path,
    arguments: &[&str],
    input: &str,
) -> (Option<i32>, String, String) {
    let mut child = greenroom()
        .args(arguments)
        .arg("--data-dir")
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that does not read it has ended before, which its answer tells.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    told(&child.wait_with_output().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn administrators_are_added_listed_and_removed() {
    let fleet = "command = [\"/bin/true\"]\nport_range = \"{ports}\"\n\
                 ports = [{ name = \"default\", protocol = \"tcp\" }]\nrunning_max = 1\n";
    let installation = Installation::new(env!("CARGO_BIN_EXE_greenroom"), "team_size = 2", fleet, 1);
    let _running = installation.dev().await;
    let folder = installation.data_dir();

    let (code, password, error) = run_in(folder, &["admins", "add", "Ada L.", "--role", "viewer"], "");
    assert_eq!(code, Some(0), "{error}");
    assert!(password.trim_end().len() >= 20 && error.contains("Ada L. signs in at http://"), "{error}");
    let (code, out, error) =
        run_in(folder, &["admins", "add", "bo", "--password-stdin"], "correct horse battery\nmore\n");
    assert_eq!((code, out.as_str()), (Some(0), "bo is added\n"), "{error}");
    let (code, _, error) = run_in(folder, &["admins", "add", "bo", "--password-stdin"], "short\n");
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("The password has 10 characters or more"), "{error}");
    let (code, _, error) = run_in(folder, &["admins", "add", "mo", "--password-stdin"], "\n");
    assert_eq!(code, Some(2), "{error}");
    let (code, _, error) = run_in(folder, &["admins", "add", "mo", "--role", "king"], "");
    assert_eq!(code, Some(2), "{error}");

    let (_, out, _) = run_in(folder, &["admins", "ls"], "");
    let rows: Vec<_> = out.lines().skip(1).map(|line| line.contains("viewer")).collect();
    assert_eq!(rows, [true, false, false], "Ada L., bo and root:\n{out}");
    let (_, out, _) = run_in(folder, &["admins", "ls", "--json"], "");
    let list: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(list["admins"][1]["role"], "operator", "{out}");

    let (code, out, error) = run_in(folder, &["admins", "rm", "Ada L."], "");
    assert_eq!((code, out.as_str()), (Some(0), "Ada L. is removed and signed out\n"), "{error}");
    let (code, _, error) = run_in(folder, &["admins", "rm", "Ada L."], "");
    assert_eq!(code, Some(3), "{error}");
    let (code, _, error) = run_in(folder, &["admins", "rm", "root"], "");
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("stands for cannot be removed"), "{error}");
    assert!(!run_in(folder, &["admins", "ls"], "").1.contains("Ada"));
}

#[test]
fn output_that_cannot_be_written_is_no_success_unless_its_reader_went_away() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let (code, _, error) = told(&greenroom().args(["config", "example"]).stdout(full).output().unwrap());
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("standard output cannot be written: "), "{error}");
    let mut child = greenroom().args(["config", "example"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn credentials_and_addresses_that_cannot_be_are_wrong_arguments() {
    for (arguments, sentence) in [
        (&["--url", "nonsense"][..], "\"nonsense\" is no address; expected one such as http://"),
        (&["--url", "ftp://a"], "is no address"),
        (&["--key", "a\nb"], "characters that none have"),
    ] {
        let (code, out, error) =
            told(&greenroom().args(["servers", "show", "a"]).args(arguments).output().unwrap());
        assert_eq!((code, out.as_str()), (Some(2), ""), "{error}");
        assert!(error.contains(sentence), "{error}");
    }
}

#[test]
fn what_is_told_beside_the_output_may_have_no_reader() {
    let body = r#"{"key":"gk_1_2","id":"1","name":"n","studio":"s","hosting":true,"admin":false,"publish":[],"subscribe":[],"createdAt":0}"#;
    let (url, answering) = answering(200, body.into());
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let arguments = ["keys", "create", "n", "--studio", "s", "--hosting", "--url", &url];
    let output = greenroom().args(arguments).stderr(writer).output().unwrap();
    answering.join().unwrap();
    let (code, out, _) = told(&output);
    assert_eq!((code, out.as_str()), (Some(0), "gk_1_2\n"));
}
