//! `doctor`: each finding, made to be so.

use std::{
    fs::{self, Permissions},
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    os::unix::net::UnixListener,
    path::Path,
    process::Command,
};

use greenroom_test_support::{ClockFault, FsyncFault, SmallDisk, greenroom::Installation};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{greenroom, told, watch::serving};

/// A configuration and a data folder, looked at.
struct Patient {
    folder: TempDir,
    /// Further lines at the top, then sections.
    config: String,
    fleet: String,
}

/// What was found.
struct Report {
    code: Option<i32>,
    findings: Vec<Value>,
}

impl Patient {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder, config: "listen = \"127.0.0.1:0\"\n".into(), fleet: "command = [\"sh\"]\n".into() }
    }

    fn with(config: &str) -> Self {
        Self { config: config.into(), ..Self::new() }
    }

    fn with_fleet(fleet: &str) -> Self {
        Self { fleet: fleet.into(), ..Self::new() }
    }

    fn data_dir(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    fn command(&self) -> Command {
        let mut command = greenroom();
        let (top, sections) = match self.config.find("\n[") {
            Some(at) => self.config.split_at(at + 1),
            None => (self.config.as_str(), ""),
        };
        let data_dir = if top.contains("data_dir") {
            String::new()
        } else {
            format!("data_dir = \"{}\"\n", self.data_dir().display())
        };
        let ports = if self.fleet.contains("ports") {
            ""
        } else {
            "ports = [{ name = \"p\", protocol = \"tcp\" }]\n"
        };
        let text = format!(
            "{data_dir}{top}{sections}\n[studios.s]\n[games.g]\nstudio = \"s\"\n[games.g.fleet]\nrunning_max = 4\n{ports}{}",
            self.fleet
        );
        let file = self.folder.path().join("greenroom.toml");
        fs::write(&file, text).unwrap();
        command.args(["doctor", "--json"]).current_dir(self.folder.path());
        command
    }

    fn examined(&self) -> Report {
        examined(self.command())
    }
}

fn examined(mut command: Command) -> Report {
    let (code, out, error) = told(&command.output().unwrap());
    let report: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}\n{error}"));
    assert_eq!(report["good"] == true, code == Some(0), "{report}");
    let findings = report["findings"].as_array().unwrap().clone();
    for finding in &findings {
        let is_bad = ["warning", "error"].contains(&finding["grade"].as_str().unwrap());
        // An error of the data folder says in its sentence what to do.
        let is_told = finding["advice"].is_string() || finding["check"] == "writable";
        assert!(!is_bad || is_told, "what is to be done about {finding}?");
    }
    Report { code, findings }
}

impl Report {
    /// The finding of `check` has this grade, and says `text`.
    #[track_caller]
    fn has(&self, check: &str, grade: &str, text: &str) -> &Self {
        let fits = |finding: &&Value| {
            finding["check"] == check && finding["grade"] == grade && finding.to_string().contains(text)
        };
        assert!(
            self.findings.iter().any(|finding| fits(&finding)),
            "no {grade} of {check} says {text:?}: {:#?}",
            self.findings
        );
        if grade == "error" {
            assert_eq!(self.code, Some(1));
        }
        self
    }
}

#[test]
fn a_machine_where_all_is_well_is_said_to_be_so() {
    let patient = Patient::new();
    fs::create_dir(patient.data_dir()).unwrap();
    fs::set_permissions(patient.data_dir(), Permissions::from_mode(0o700)).unwrap();
    let mut command = patient.command();
    // Nobody listens there; a Greenroom of this machine is none of the test's.
    command.args(["--url", "http://127.0.0.1:1"]);
    let report = examined(command);
    assert_eq!(report.code, Some(0), "{:#?}", report.findings);
    for check in ["settings", "clock", "port", "public_address", "program", "lock", "sock_diag"] {
        report.has(check, "good", "");
    }
    // How fast the disk is, and how much memory there is, is the machine's affair.
    for check in ["sync", "memory"] {
        let is_it = |finding: &Value| finding["check"] == check && finding["grade"] != "error";
        assert!(report.findings.iter().any(is_it), "{check}: {:#?}", report.findings);
    }
    report.has("ready", "note", "no Greenroom runs");
    // Nothing is left behind, and people read the same.
    let left: Vec<_> =
        fs::read_dir(patient.data_dir()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["greenroom.lock"]);
    let mut plain = greenroom();
    plain.args(["doctor", "--url", "http://127.0.0.1:1"]).current_dir(patient.folder.path());
    let (code, out, error) = told(&plain.output().unwrap());
    assert_eq!(code, Some(0), "{error}");
    assert!(out.starts_with("The machine\n") && out.contains("ok       the clock"), "{out}");
    // Without a file it is what `dev` runs with.
    let empty = tempfile::tempdir().unwrap();
    let mut command = greenroom();
    command.args(["doctor", "--json"]).current_dir(empty.path());
    let report = examined(command);
    report.has("settings", "good", "there is no greenroom.toml").has(
        "folder",
        "note",
        "the first start makes it",
    );
}

#[test]
fn every_error_of_the_configuration() {
    let report = Patient::with("listen = 5\npublic_adress = \"x\"\n").examined();
    report.has("settings", "error", "listen: ").has("settings", "error", "public_adress: ");
    let report = Patient::with("listen = \"0.0.0.0:0\"\n").examined();
    report.has("public_address", "warning", "their own machine").has(
        "encryption",
        "warning",
        "neither [tls]",
    );
    let patient =
        Patient::with("listen = \"127.0.0.1:0\"\n[tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n");
    for file in ["cert.pem", "key.pem"] {
        fs::write(patient.folder.path().join(file), "nonsense").unwrap();
    }
    patient.examined().has("tls", "error", "TLS cannot be served");
    Patient::with_fleet("command = [\"no-such-program\"]\n").examined().has("program", "error", "in PATH");
    let patient = Patient::with_fleet("command = [\"./server\"]\n");
    patient.examined().has("program", "error", "there is no program ./server");
    fs::write(patient.folder.path().join("server"), "#!/bin/sh\n").unwrap();
    patient.examined().has("program", "error", "chmod +x ./server");
    fs::set_permissions(patient.folder.path().join("server"), Permissions::from_mode(0o755)).unwrap();
    patient.examined().has("program", "good", "/server");
    let patient = Patient::with_fleet("command = [\"sh\"]\nport_range = \"40000-40100\"\n");
    patient.examined().has("port_range", "warning", "40000-40100");
}

#[test]
fn a_port_that_cannot_be_had() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = listener.local_addr().unwrap();
    let report = Patient::with(&format!("listen = \"{listen}\"\n")).examined();
    report.has("port", "error", &format!("process {}", std::process::id()));
    Patient::with("listen = \"192.0.2.1:4700\"\n").examined().has("port", "error", "ip address");
}

#[test]
fn limits_and_the_clock_of_the_machine() {
    let patient = Patient::new();
    let under = |limit: &str| {
        let doctor = patient.command();
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("ulimit -n {limit}; exec \"$0\" doctor --json")])
            .arg(doctor.get_program());
        for (name, value) in doctor.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.current_dir(patient.folder.path());
        examined(command)
    };
    under("256").has("descriptors", "error", "ulimit -n 51000");
    under("1024").has("descriptors", "warning", "LimitNOFILE=51000");

    let clock = ClockFault::build().unwrap();
    clock.set(-60 * 60 * 24 * 365 * 30).unwrap();
    let mut command = patient.command();
    command.envs(clock.env());
    examined(command).has("clock", "error", "timedatectl");
}

#[test]
fn a_data_folder_that_is_not_as_it_should_be() {
    let patient = Patient::new();
    fs::create_dir_all(patient.data_dir().join("servers/s1-1")).unwrap();
    fs::write(patient.data_dir().join("servers/s1-1/lock"), "").unwrap();
    fs::set_permissions(patient.data_dir(), Permissions::from_mode(0o755)).unwrap();
    let report = patient.examined();
    report.has("permissions", "warning", "chmod 700").has("ended_servers", "note", "1 folders");

    let fsync = FsyncFault::build().unwrap();
    fsync.fail(true).unwrap();
    let mut command = patient.command();
    command.envs(fsync.env());
    examined(command).has("writable", "error", "cannot be used");

    let report = Patient::with("listen = \"127.0.0.1:0\"\ndata_dir = \"/dev/null/data\"\n").examined();
    report.has("folder", "error", "cannot be made");

    let Some(disk) = SmallDisk::mount(1024, "a_data_folder_that_is_not_as_it_should_be") else { return };
    let path = disk.path().display();
    let report = Patient::with(&format!("listen = \"127.0.0.1:0\"\ndata_dir = \"{path}\"\n")).examined();
    report.has("space", "error", "free some space");
}

#[test]
fn engines_that_are_not_there_or_not_well() {
    let folder = tempfile::tempdir().unwrap();
    let docker = |path: &Path| {
        let host = format!("listen = \"127.0.0.1:0\"\n[hosts.d]\ndocker = \"unix://{}\"\n", path.display());
        let fleet = "provider = \"docker\"\nversion = \"1.0\"\n[games.g.fleet.container]\nimage = \"a/b\"\n";
        Patient { config: host, fleet: fleet.into(), ..Patient::new() }.examined()
    };
    docker(&folder.path().join("none.sock")).has("docker", "error", "systemctl start docker");
    let silent = folder.path().join("silent.sock");
    drop(UnixListener::bind(&silent).unwrap());
    docker(&silent).has("docker", "error", "Connection refused");
    let open = "listen = \"127.0.0.1:0\"\n[hosts.d]\ndocker = \"tcp://192.0.2.1:1\"\n";
    let fleet = "provider = \"docker\"\n[games.g.fleet.container]\nimage = \"a/b\"\n";
    let report = Patient { config: open.into(), fleet: fleet.into(), ..Patient::new() }.examined();
    report.has("docker_open", "warning", "--tlsverify").has("docker", "error", "");

    let traefik = |url: &str| {
        let fleet = format!(
            "command = [\"sh\"]\nconnection = \"traefik\"\n[games.g.fleet.traefik]\napi_url = \"{url}\"\n"
        );
        Patient::with_fleet(&fleet).examined()
    };
    let (url, answer) = serving(200, json!({ "Version": "3" }));
    traefik(&url).has("traefik", "good", "Traefik answers");
    *answer.lock().unwrap() = (404, json!({}));
    traefik(&url).has("traefik", "error", "answers 404");
    traefik("http://127.0.0.1:1").has("traefik", "error", "does not answer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_greenroom_that_runs_and_one_that_hangs() {
    let fleet = "command = [\"/bin/sleep\", \"100000\"]\nready = \"after:10ms\"\nport_range = \"{ports}\"\n\
                 ports = [{ name = \"default\", protocol = \"tcp\" }]\nrunning_max = 1\n";
    let installation = Installation::new(env!("CARGO_BIN_EXE_greenroom"), "", fleet, 1);
    let mut running = installation.dev().await;
    let doctor = || {
        let mut command = greenroom();
        command.args(["doctor", "--json", "--config"]).arg(installation.config());
        command.arg("--data-dir").arg(installation.data_dir());
        examined(command)
    };
    let report = doctor();
    report.has("lock", "good", &format!("process {}, greenroom", running.pid()));
    report.has("ready", "good", &running.url).has("version", "good", "").has(
        "host",
        "good",
        "host local answers",
    );
    assert_eq!(running.allocate(None).await.status, 200);
    doctor().has("capacity", "warning", "raise games.arena.fleet.running_max");
    running.signal(Signal::STOP);
    doctor().has("ready", "error", "has the data folder, and no Greenroom answers");
    running.signal(Signal::CONT);
    running.kill();
    let report = doctor();
    report.has("lock", "good", "free to be used").has("ready", "note", "no Greenroom runs");
}

#[test]
fn what_another_greenroom_tells_of_itself() {
    let at = |url: &str| {
        let patient = Patient::new();
        let mut command = patient.command();
        command.args(["--url", url, "--token", "t"]);
        examined(command)
    };
    let host = json!({ "id": "far", "provider": "docker", "state": "lost", "since": 0, "servers": 0,
                       "reason": "it does not answer", "address": "192.0.2.1" });
    let overview = json!({ "version": "0.0.1", "at": 0, "players": 0, "sockets": 0, "lobbies": 0, "allocations": 0,
                           "games": [], "hosts": [host], "servers": [] });
    let (url, answer) = serving(200, overview);
    let report = at(&url);
    report.has("version", "warning", "it has version 0.0.1").has(
        "host",
        "error",
        "host far is lost: it does not",
    );
    // The stand-in says that it is the year 2000.
    report.has("clock", "warning", "differ by");
    *answer.lock().unwrap() = (503, json!({}));
    at(&url).has("ready", "warning", "is starting or stopping");
    *answer.lock().unwrap() = (404, json!({}));
    at(&url).has("ready", "error", "which no Greenroom does");
}
