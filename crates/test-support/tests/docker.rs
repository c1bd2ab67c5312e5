//! The private Docker Engine: it runs containers, and leaves nothing behind.

use std::{
    env, fs,
    io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _},
    net::{TcpStream, UdpSocket},
    os::unix::net::UnixStream,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use greenroom_test_support::engines::{self, Docker, DockerOptions, DockerRun};
use serde_json::json;

/// Tells this program, run again as a child, to start an engine and a container and to wait.
const CHILD: &str = "GREENROOM_DOCKER_TEST_CHILD";

fn run(docker: &Docker, arguments: &[&str]) -> String {
    let more = json!({ "HostConfig": { "Init": true, "PortBindings": {
        "7000/tcp": [{ "HostIp": "127.0.0.1", "HostPort": "0" }],
        "7000/udp": [{ "HostIp": "127.0.0.1", "HostPort": "0" }],
    } }, "ExposedPorts": { "7000/tcp": {}, "7000/udp": {} } });
    docker.run(&DockerRun { image: "game:1.0.0", arguments, more, ..DockerRun::default() })
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(90);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn address(docker: &Docker, id: &str, port: &str) -> String {
    let port = docker.inspect(id)["NetworkSettings"]["Ports"][port][0]["HostPort"].clone();
    format!("127.0.0.1:{}", port.as_str().expect("a port"))
}

fn ask(address: &str, line: &str) -> String {
    let mut answer = String::new();
    if let Ok(mut stream) = TcpStream::connect(address) {
        let _ = stream.write_all(line.as_bytes());
        let _ = BufReader::new(stream).read_line(&mut answer);
    }
    answer
}

#[test]
fn a_game_echoes_over_its_published_ports_and_its_image_checks_its_health() {
    let Some(docker) = engines::shared_docker("a_game_echoes") else { return };
    docker.import_game("game", &["1.0.0", "1.1.0"]);
    docker.import_game_with(
        "checked",
        &["1.0.0"],
        &[
            r#"ENV GAME_ARGS="--delay-ms 300""#,
            r#"HEALTHCHECK --interval=50ms --retries=1000 CMD ["/game", "--health"]"#,
        ],
    );
    let id = run(docker, &["--name", "--exit", "--port", "7000"]);
    let tcp = address(docker, &id, "7000/tcp");
    // The engine's proxy accepts before the game listens.
    until("no echo by TCP", || ask(&tcp, "hello\n") == "hello\n");
    assert_eq!(ask(&tcp, "!arguments\n"), "arguments [\"--name\", \"--exit\", \"--port\", \"7000\"]\n");
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.connect(address(docker, &id, "7000/udp")).unwrap();
    udp.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    udp.send(b"ping").unwrap();
    let mut datagram = [0; 16];
    let size = udp.recv(&mut datagram).unwrap();
    assert_eq!(&datagram[..size], b"ping");
    ask(&tcp, "!exit 7\n");
    until("it does not end", || docker.inspect(&id)["State"]["ExitCode"] == 7);

    let checked = docker.run(&DockerRun { image: "checked:1.0.0", ..DockerRun::default() });
    until("it does not become healthy", || {
        docker.inspect(&checked)["State"]["Health"]["Status"] == "healthy"
    });
    assert!(docker.remove_container(&checked));
    assert!(docker.remove_container(&id));
    let tags: Vec<_> = docker
        .call("GET", "/images/json", None)
        .json()
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|image| image["RepoTags"].as_array().unwrap().clone())
        .collect();
    assert!(tags.contains(&json!("game:1.0.0")) && tags.contains(&json!("game:1.1.0")), "{tags:?}");
}

#[test]
fn an_engine_is_stopped_killed_paused_and_started_again() {
    let options = DockerOptions { live_restore: true, ..DockerOptions::default() };
    let Some(docker) = engines::docker_with("an_engine_is_stopped", &options) else { return };
    docker.import_game("game", &["1.0.0"]);
    let id = run(&docker, &["--port", "7000"]);
    let pid = docker.inspect(&id)["State"]["Pid"].clone();

    docker.stop();
    assert!(!docker.answers());
    docker.start();
    assert_eq!(docker.inspect(&id)["State"]["Pid"], pid, "the container did not outlive a stop");
    docker.kill();
    assert!(!docker.answers());
    docker.start();
    assert_eq!(docker.inspect(&id)["State"]["Pid"], pid, "the container did not outlive a kill");

    docker.hide_socket().unwrap();
    assert!(docker.try_call("GET", "/_ping", "", &[]).is_err());
    docker.show_socket().unwrap();
    docker.pause();
    let mut asked = UnixStream::connect(docker.socket()).unwrap();
    asked.write_all(b"GET /_ping HTTP/1.0\r\n\r\n").unwrap();
    asked.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut answer = [0; 12];
    let early = asked.read_exact(&mut answer).map_err(|error| error.kind());
    assert_eq!(early, Err(ErrorKind::WouldBlock), "a paused engine answers");
    docker.resume();
    asked.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    asked.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.0 200");
}

#[test]
fn without_live_restore_containers_end_with_the_engine() {
    let Some(docker) = engines::docker("without_live_restore") else { return };
    docker.import_game("game", &["1.0.0"]);
    let id = run(&docker, &["--port", "7000"]);
    docker.kill();
    docker.start();
    assert_eq!(docker.inspect(&id)["State"]["Running"], false);
}

#[test]
fn nothing_is_left_of_an_engine_whose_test_is_killed() {
    if env::var_os(CHILD).is_some() {
        let docker = engines::docker("child").expect("an engine");
        docker.import_game("game", &["1.0.0"]);
        run(&docker, &["--port", "7000", "--ignore-term"]);
        docker.call("POST", "/networks/create", Some(&json!({ "Name": "ours" })));
        docker.pause();
        println!("engine at {}", docker.url());
        loop {
            thread::park();
        }
    }
    if engines::docker("nothing_is_left").is_none() {
        return;
    }
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "nothing_is_left_of_an_engine_whose_test_is_killed"])
        .env(CHILD, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let line =
        stdout.lines().map_while(Result::ok).find_map(|line| Some(line.split_once("unix://")?.1.to_owned()));
    let socket = line.expect("the engine's socket");
    let folder = socket.trim_end_matches("/docker.sock").to_owned();
    assert!(!left_of(&folder).is_empty());
    child.kill().unwrap();
    child.wait().unwrap();
    until("something is left", || left_of(&folder).is_empty());
}

/// Processes, mounts and files that name `folder`.
fn left_of(folder: &str) -> Vec<String> {
    let mut left = Vec::new();
    for process in fs::read_dir("/proc").expect("/proc").flatten() {
        let mut command = Vec::new();
        let opened = fs::File::open(process.path().join("cmdline"));
        let _ = opened.and_then(|mut file| file.read_to_end(&mut command));
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        if command.contains(folder) {
            left.push(command);
        }
    }
    let mounts = fs::read_to_string("/proc/self/mounts").expect("the mounts");
    left.extend(mounts.lines().filter(|line| line.contains(folder)).map(str::to_owned));
    if fs::exists(folder).expect("the folder") {
        left.push(folder.to_owned());
    }
    left
}
