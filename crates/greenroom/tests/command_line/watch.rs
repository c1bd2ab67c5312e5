//! `--watch`: a list that goes on.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    process::Stdio,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use greenroom_test_support::wait_for;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::{greenroom, pty::Pty};

const PATIENCE: Duration = Duration::from_mins(1);

/// Answers every request with the status and body that are set at the moment.
pub(crate) fn serving(status: u16, body: Value) -> (String, Arc<Mutex<(u16, Value)>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = Arc::new(Mutex::new((status, body)));
    let current = Arc::clone(&answer);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut line = String::new();
            while stream.read_line(&mut line).is_ok_and(|count| count > 2) {
                line.clear();
            }
            let (status, body) = current.lock().unwrap().clone();
            let body = body.to_string();
            let head = format!(
                "HTTP/1.1 {status} X\r\nDate: Sat, 01 Jan 2000 00:00:00 GMT\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            // Who asked may have ended.
            let _ = stream.get_mut().write_all(format!("{head}{body}").as_bytes());
        }
    });
    (url, answer)
}

fn host(id: &str, servers: u32) -> Value {
    json!({ "id": id, "provider": "process", "state": "up", "since": 0, "servers": servers, "address": "127.0.0.1",
            "cpuMillicores": 1250, "memoryBytes": 3_221_225_472_u64 })
}

fn hosts(hosts: &[Value]) -> Value {
    json!({ "hosts": hosts })
}

const WATCH: [&str; 6] = ["hosts", "ls", "--watch", "--every", "100ms", "--url"];

#[tokio::test]
async fn with_json_each_change_is_a_line() {
    let (url, answer) = serving(200, hosts(&[host("a", 1), host("b", 1)]));
    let mut command = greenroom();
    command.args(WATCH).args([&url, "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || {
        let line: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        let text = |field: &str| line[field].as_str().unwrap().to_owned();
        (text("change"), text("id"), line["entry"]["servers"].clone())
    };
    assert_eq!(next(), ("added".into(), "a".into(), json!(1)));
    assert_eq!(next(), ("added".into(), "b".into(), json!(1)));
    // A Greenroom that is busy is asked again; it is said once.
    *answer.lock().unwrap() = (503, json!({}));
    let mut warnings = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(warnings.next().unwrap().unwrap().contains("it is looked at again"));
    *answer.lock().unwrap() = (200, hosts(&[host("a", 2), host("c", 1)]));
    assert_eq!(next(), ("removed".into(), "b".into(), Value::Null));
    assert_eq!(next(), ("changed".into(), "a".into(), json!(2)));
    assert_eq!(next(), ("added".into(), "c".into(), json!(1)));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[tokio::test]
async fn into_a_pipe_the_table_comes_again_when_it_has_changed() {
    let (url, answer) = serving(200, hosts(&[host("a", 1)]));
    let mut child = greenroom().args(WATCH).arg(&url).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let first: Vec<_> = lines.by_ref().take(2).collect();
    assert!(
        first[0].starts_with("ID") && first[1].contains("1.25") && first[1].contains("3.0 GiB"),
        "{first:?}"
    );
    *answer.lock().unwrap() = (200, hosts(&[host("later", 1)]));
    let second: Vec<_> = lines.by_ref().take(3).collect();
    assert!(second[0].is_empty() && second[2].starts_with("later"), "{second:?}");
    // What nobody may see any more is the end of it.
    *answer.lock().unwrap() = (401, json!({}));
    assert_eq!(child.wait().unwrap().code(), Some(4));
}

#[tokio::test]
async fn in_a_terminal_it_is_painted_in_place_and_the_terminal_is_given_back() {
    let (url, answer) = serving(200, hosts(&[host("first", 1)]));
    for end in [&b"q"[..], b"\x03", b"SIGTERM"] {
        *answer.lock().unwrap() = (200, hosts(&[host("first", 1)]));
        let mut command = greenroom();
        command.args(WATCH).arg(&url);
        let mut pty = Pty::start(command, 100, 20);
        pty.until("first").await;
        assert!(!pty.is_as_before(), "keys would be shown");
        pty.forget();
        *answer.lock().unwrap() = (200, hosts(&[host("second", 1)]));
        pty.until("second").await;
        let painted = pty.shown();
        assert!(!painted.contains("\x1b[2J") && painted.contains("\x1b[H"), "it flickers: {painted:?}");
        *answer.lock().unwrap() = (503, json!({}));
        pty.until("as it was last seen").await;
        if end == b"SIGTERM" {
            pty.signal(Signal::TERM);
        } else {
            pty.types(end);
        }
        assert_eq!(pty.ended().await, Some(0));
        assert!(pty.is_as_before());
        // The cursor is back, and the last list stays.
        let left = wait_for(
            || {
                pty.shown()
                    .rsplit_once("\x1b[?25h\x1b[?1049l")
                    .is_some_and(|(_, left)| left.contains("second"))
            },
            PATIENCE,
        );
        assert!(left.await, "{:?}", pty.shown());
    }
}

#[test]
fn an_interval_that_is_no_use_is_refused() {
    for arguments in [&["hosts", "ls", "--watch", "--every", "1ms"][..], &["hosts", "ls", "--every", "5s"]] {
        assert_eq!(greenroom().args(arguments).output().unwrap().status.code(), Some(2), "{arguments:?}");
    }
}
