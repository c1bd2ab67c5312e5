//! The game server of test images, alone in an image made from nothing. `rustc` makes it a static
//! program; it is no part of this crate.
//!
//! Arguments, those in `GAME_ARGS` first; unknown ones are passed over:
//!
//! | argument | what it does |
//! | --- | --- |
//! | `--port N` | echoes TCP and UDP on that port, of all addresses; may be repeated |
//! | `--tcp-port N`, `--udp-port N` | the same for one of the two |
//! | `--delay-ms N` | sockets are opened after that time |
//! | `--print LINE` | a line printed once the sockets are open, after `listening` |
//! | `--exit-after-ms N` | ends so long after the sockets are open |
//! | `--exit CODE` | its exit status; at once unless `--exit-after-ms` says when |
//! | `--eat-mib N` | takes so much memory once the sockets are open |
//! | `--unhealthy-after-ms N` | `--health` fails from then on |
//! | `--ignore-term` | `SIGTERM` does nothing |
//! | `--health` | no game: succeeds if the game beside it has its sockets and is not unhealthy |
//!
//! The first line that it prints is `arguments` and what it was given, quoted. What comes over TCP
//! goes back as it is, except `GET …`, which is answered by HTTP with the request, and lines that
//! begin with `!`: `!exit CODE`, `!eat MIB`, `!print LINE`, `!unhealthy`, `!arguments`, and
//! `!greenroom PATH`, which is answered with `GREENROOM_URL` and the first line of what that says to a
//! `GET` of this path, and `!sdk ADDRESS METHOD PATH [BODY]`, which is answered with the status and the
//! body of what the SDK's endpoint says there, at `AGONES_SDK_HTTP_PORT` or 9358.

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket},
    process, thread,
    time::Duration,
};

/// There while the game is healthy: in memory of the container's own, also under a read-only root.
const HEALTHY: &str = "/dev/shm/healthy";

const SIGTERM: i32 = 15;
const SIG_IGN: usize = 1;

unsafe extern "C" {
    fn signal(number: i32, handler: usize) -> usize;
}

#[derive(Default)]
struct Arguments {
    tcp_ports: Vec<u16>,
    udp_ports: Vec<u16>,
    delay_ms: u64,
    lines: Vec<String>,
    exit: Option<i32>,
    exit_after_ms: Option<u64>,
    eat_mib: usize,
    unhealthy_after_ms: Option<u64>,
    ignores_term: bool,
    is_health_check: bool,
}

fn main() {
    let arguments = Arguments::read();
    if arguments.is_health_check {
        process::exit(i32::from(!fs::exists(HEALTHY).unwrap_or(false)));
    }
    say(&given());
    if arguments.ignores_term {
        // SAFETY: ignoring a signal runs no code.
        unsafe { signal(SIGTERM, SIG_IGN) };
    }
    if let (Some(code), None) = (arguments.exit, arguments.exit_after_ms) {
        process::exit(code);
    }
    wait(arguments.delay_ms);
    for port in arguments.tcp_ports {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap_or_else(|error| give_up(port, &error));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || serve(stream));
            }
        });
    }
    for port in arguments.udp_ports {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap_or_else(|error| give_up(port, &error));
        thread::spawn(move || {
            let mut datagram = [0; 65_536];
            while let Ok((size, peer)) = socket.recv_from(&mut datagram) {
                let _ = socket.send_to(&datagram[..size], peer);
            }
        });
    }
    let _ = fs::write(HEALTHY, "");
    say("listening");
    arguments.lines.iter().for_each(|line| say(line));
    if let Some(after_ms) = arguments.unhealthy_after_ms {
        thread::spawn(move || {
            wait(after_ms);
            let _ = fs::remove_file(HEALTHY);
        });
    }
    eat(arguments.eat_mib);
    if let Some(after_ms) = arguments.exit_after_ms {
        wait(after_ms);
        process::exit(arguments.exit.unwrap_or(0));
    }
    loop {
        thread::park();
    }
}

impl Arguments {
    fn read() -> Self {
        let mut read = Self::default();
        let from_environment = env::var("GAME_ARGS").unwrap_or_default();
        let words = from_environment.split_whitespace().map(str::to_owned);
        let mut words = words.chain(env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()));
        while let Some(word) = words.next() {
            let mut next = || words.next().unwrap_or_default();
            match word.as_str() {
                "--port" => {
                    let port = number(&next());
                    read.tcp_ports.push(port);
                    read.udp_ports.push(port);
                }
                "--tcp-port" => read.tcp_ports.push(number(&next())),
                "--udp-port" => read.udp_ports.push(number(&next())),
                "--delay-ms" => read.delay_ms = number(&next()),
                "--print" => read.lines.push(next()),
                "--exit" => read.exit = Some(number(&next())),
                "--exit-after-ms" => read.exit_after_ms = Some(number(&next())),
                "--eat-mib" => read.eat_mib = number(&next()),
                "--unhealthy-after-ms" => read.unhealthy_after_ms = Some(number(&next())),
                "--ignore-term" => read.ignores_term = true,
                "--health" => read.is_health_check = true,
                // A name may look like an argument of this program: it is the next word, whatever it is.
                "--name" | "--game-id" => drop(next()),
                _ => {}
            }
        }
        read
    }
}

fn serve(mut stream: TcpStream) {
    let Ok(reading) = stream.try_clone() else { return };
    let mut reading = BufReader::new(reading);
    let mut line = Vec::new();
    while reading.read_until(b'\n', &mut line).is_ok_and(|size| size > 0) {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        if text.starts_with("GET ") {
            // To its end: what is not read makes the system break the connection instead of closing it.
            while reading.read_until(b'\n', &mut line).is_ok_and(|size| size > 2) {}
            let body = format!("{text}\n{}\n", given());
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length:";
            let _ = write!(stream, "{head} {}\r\n\r\n{body}", body.len());
            return;
        }
        let (command, rest) = text.split_once(' ').unwrap_or((&text, ""));
        let answer = match command {
            "!exit" => process::exit(number(rest)),
            "!eat" => {
                eat(number(rest));
                b"eaten\n".to_vec()
            }
            "!print" => {
                say(rest);
                b"printed\n".to_vec()
            }
            "!unhealthy" => {
                let _ = fs::remove_file(HEALTHY);
                b"unhealthy\n".to_vec()
            }
            "!greenroom" => format!("{}\n", greenroom(rest)).into_bytes(),
            "!sdk" => format!("{}\n", sdk(rest)).into_bytes(),
            "!arguments" => format!("{}\n", given()).into_bytes(),
            _ => line.clone(),
        };
        if stream.write_all(&answer).is_err() {
            return;
        }
        line.clear();
    }
}

/// Asks Greenroom where the environment says that it is.
fn greenroom(path: &str) -> String {
    let url = env::var("GREENROOM_URL").unwrap_or_default();
    let authority = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let (host, port) = authority.split_once(':').unwrap_or((&authority, "80"));
    // Nothing but this file knows names here.
    let hosts = fs::read_to_string("/etc/hosts").unwrap_or_default();
    let of_host = |line: &&str| line.split_whitespace().skip(1).any(|name| name == host);
    let address = hosts.lines().find(of_host).and_then(|line| line.split_whitespace().next()).unwrap_or(host);
    let ask = || {
        let mut stream = TcpStream::connect(format!("{address}:{port}"))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n")?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        Ok::<_, std::io::Error>(line.trim_end().to_owned())
    };
    format!("{url} {}", ask().unwrap_or_else(|error| error.to_string()))
}

/// Calls the SDK's endpoint, as an unchanged server would.
fn sdk(call: &str) -> String {
    let mut words = call.splitn(4, ' ');
    let mut next = || words.next().unwrap_or_default();
    let (address, method, path, body) = (next(), next(), next(), next());
    let port = env::var("AGONES_SDK_HTTP_PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(9358_u16);
    let ask = || {
        let mut stream = TcpStream::connect((address, port))?;
        let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        let status = head.split(' ').nth(1).unwrap_or_default();
        Ok::<_, std::io::Error>(format!("{status} {body}"))
    };
    ask().unwrap_or_else(|error| error.to_string())
}

fn given() -> String {
    format!("arguments {:?}", env::args_os().skip(1).collect::<Vec<_>>())
}

/// Standard output may be gone; that ends no game.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

fn eat(mib: usize) {
    for _ in 0..mib {
        // Written to, or the system would not give it.
        vec![1_u8; 1 << 20].leak();
    }
}

fn wait(ms: u64) {
    thread::sleep(Duration::from_millis(ms));
}

fn number<T: std::str::FromStr>(text: &str) -> T {
    text.trim().parse().unwrap_or_else(|_| {
        eprintln!("{text:?} is no number");
        process::exit(2);
    })
}

fn give_up(port: u16, error: &std::io::Error) -> ! {
    eprintln!("port {port} cannot be had: {error}");
    process::exit(1)
}
