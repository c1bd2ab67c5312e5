//! A game server that does what its arguments say, one after the other.

use std::{
    io::Write as _,
    net::{TcpListener, UdpSocket},
    process::{Command, ExitCode},
    time::{Duration, SystemTime},
};

use rustix::process::{Pid, Signal, kill_process};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let mut tcp = Vec::new();
    let mut udp = Vec::new();
    let number = |arguments: &mut dyn Iterator<Item = String>| -> u64 {
        arguments.next().and_then(|text| text.parse().ok()).expect("a number")
    };
    while let Some(verb) = arguments.next() {
        match verb.as_str() {
            "tcp" => {
                let port = number(&mut arguments) as u16;
                match TcpListener::bind(("127.0.0.1", port)) {
                    Ok(listener) => tcp.push(listener),
                    Err(error) => {
                        eprintln!("cannot listen on {port}: {error}");
                        return ExitCode::from(3);
                    }
                }
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock");
                println!("listening at {}", now.as_micros());
            }
            "udp" => udp.push(UdpSocket::bind(("0.0.0.0", number(&mut arguments) as u16)).expect("bind")),
            "say" => println!("{}", arguments.next().expect("a text")),
            "arguments" => std::env::args().for_each(|argument| println!("argument={argument}")),
            "environment" => std::env::vars().for_each(|(name, value)| println!("env {name}={value}")),
            "ignore-sigterm" => {
                let never = std::sync::Arc::default();
                signal_hook::flag::register(signal_hook::consts::SIGTERM, never).expect("a handler");
            }
            // A child of its own that goes on with the rest.
            "fork" => {
                let rest: Vec<String> = arguments.by_ref().collect();
                let me = std::env::current_exe().expect("a path");
                let mut child = Command::new(me).args(rest).spawn().expect("a child");
                println!("child {}", child.id());
                child.wait().expect("waiting");
            }
            // One that leaves the group and the session, and goes on beside us.
            "escape" => {
                let me = std::env::current_exe().expect("a path");
                let mut child =
                    Command::new("setsid").arg("--fork").arg(me).args(["wait"]).spawn().expect("a child");
                child.wait().expect("waiting");
                println!("escaped");
            }
            "flood" => {
                let mut out = std::io::stdout().lock();
                for line in 0..number(&mut arguments) {
                    writeln!(out, "flood {line} {}", "x".repeat(80)).expect("writing");
                }
            }
            "pause" => std::thread::sleep(Duration::from_millis(number(&mut arguments))),
            "payload" => {
                let path = std::env::var("GREENROOM_PAYLOAD_FILE").expect("the variable");
                loop {
                    if let Ok(text) = std::fs::read_to_string(&path) {
                        println!("payload={text}");
                        break;
                    }
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
            // Until there is a file of that name in its folder.
            "await" => {
                let folder = std::env::var("GREENROOM_SERVER_DIR").expect("the variable");
                let path = std::path::Path::new(&folder).join(arguments.next().expect("a name"));
                while !path.exists() {
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
            "descriptors" => {
                let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
                println!("descriptors={:?}", limit.current);
            }
            "allocate" => {
                let bytes = number(&mut arguments) as usize;
                println!("allocated {}", vec![1_u8; bytes].len());
            }
            "crash" => {
                let me = Pid::from_raw(std::process::id() as i32).expect("a pid");
                kill_process(me, Signal::ABORT).expect("a signal");
            }
            "exit" => return ExitCode::from(number(&mut arguments) as u8),
            "wait" => loop {
                std::thread::park();
            },
            other => panic!("unknown verb {other}"),
        }
    }
    ExitCode::SUCCESS
}
