//! The fsync fault on a child that writes with SQLite: this very program, run again.
#![expect(clippy::unwrap_used, reason = "what goes wrong in a test fails it")]

use std::{
    env,
    io::{BufRead, BufReader, Write, stdin},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use greenroom_sqlite::rusqlite::Connection;
use greenroom_test_support::FsyncFault;

const DATABASE: &str = "GREENROOM_TEST_DATABASE";

struct Writer {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Writer {
    fn start(database: &Path, fault: &FsyncFault) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "the_child", "--nocapture"])
            .env(DATABASE, database)
            .envs(fault.env())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let requests = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { child, requests, answers }
    }

    /// Whether the database said that the row is durable.
    fn write(&mut self, n: u32) -> bool {
        writeln!(self.requests, "{n}").unwrap();
        for line in (&mut self.answers).lines() {
            // The test harness prints too.
            match line.unwrap().rsplit(' ').next() {
                Some("written") => return true,
                Some("failed") => return false,
                _ => {}
            }
        }
        panic!("the child is gone: {:?}", self.child.wait());
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes the numbers it is told to. Does nothing unless it is a child.
#[test]
fn the_child() {
    let Some(path) = env::var_os(DATABASE) else { return };
    let connection = Connection::open(path).unwrap();
    connection.pragma_update(None, "journal_mode", "WAL").unwrap();
    connection.pragma_update(None, "synchronous", "FULL").unwrap();
    connection.execute_batch("CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY)").unwrap();
    for line in stdin().lines() {
        let n: u32 = line.unwrap().parse().unwrap();
        let written = connection.execute("INSERT INTO t VALUES (?1)", [n]).is_ok();
        println!(" {}", if written { "written" } else { "failed" });
    }
}

#[test]
fn fsyncs_of_a_child_are_counted_and_fail_while_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("a.db");
    let fault = FsyncFault::build().unwrap();
    let mut writer = Writer::start(&database, &fault);
    assert!(writer.write(1));
    let count = fault.count().unwrap();
    assert!(count > 0);
    assert!(writer.write(2));
    assert_eq!(fault.count().unwrap(), count + 1, "one fsync a commit");
    fault.fail(true).unwrap();
    assert!(!writer.write(3));
    assert!(fault.count().unwrap() > count + 1, "failed ones are counted too");
    fault.fail(false).unwrap();
    assert!(writer.write(4));
    drop(writer);
    let connection = Connection::open(database).unwrap();
    let written: u32 = connection.query_row("SELECT sum(n) FROM t", [], |row| row.get(0)).unwrap();
    assert_eq!(written, 1 + 2 + 4);
    // Told twice is told once.
    fault.fail(false).unwrap();
}
