//! What the server's tests stand on: a Greenroom that signs tickets and takes events, and a
//! player at a socket.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use futures_util::{SinkExt, StreamExt};
use ring::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use serde_json::{Value, json};
use skirmish::server::{self, Args, Environment};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
    time::timeout,
};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Longer than anything here takes; a test that reaches it has hung.
pub(crate) const HANG: Duration = Duration::from_mins(1);

#[derive(clap::Parser)]
struct CommandLine {
    #[command(flatten)]
    args: Args,
}

/// A match that is going on for as long as a test may take, whoever is late.
pub(crate) fn long_args() -> Args {
    let mut args = <CommandLine as clap::Parser>::parse_from(["skirmish-server"]).args;
    args.match_seconds = 600;
    args.idle_seconds = 600;
    args.wait_seconds = 1;
    args.result_seconds = 1;
    args.seed = Some(5);
    args
}

/// A match of two seconds, which begins when all are there.
pub(crate) fn quick_args() -> Args {
    let mut args = long_args();
    args.match_seconds = 2;
    args.wait_seconds = 60;
    args
}

/// A key that tickets are signed with.
pub(crate) struct Signer {
    pair: Ed25519KeyPair,
    pub(crate) kid: String,
}

impl Signer {
    pub(crate) fn new(kid: &str) -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self { pair: Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap(), kid: kid.to_owned() }
    }

    pub(crate) fn jwk(&self) -> Value {
        json!({
            "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": self.kid,
            "x": BASE64.encode(self.pair.public_key().as_ref()),
        })
    }

    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| BASE64.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = BASE64.encode(self.pair.sign(signed.as_bytes()).as_ref());
        format!("{signed}.{signature}")
    }

    pub(crate) fn header(&self) -> Value {
        json!({"alg": "EdDSA", "typ": "greenroom-ticket+jwt", "kid": self.kid})
    }

    pub(crate) fn ticket(&self, player: &str, generation: u64) -> String {
        self.sign(&self.header(), &claims(player, generation))
    }
}

pub(crate) fn claims(player: &str, generation: u64) -> Value {
    json!({
        "iss": "greenroom", "game": "skirmish", "match": "m1", "player": player, "seat": 0,
        "role": "player", "generation": generation, "server": "s1",
        "iat": 1_700_000_000, "exp": 32_503_680_000u64,
    })
}

/// Greenroom, as far as a game server sees it.
pub(crate) struct FakeGreenroom {
    pub(crate) url: String,
    pub(crate) keys: Arc<Mutex<Vec<Value>>>,
    /// Bearer token and body of each event that was acknowledged.
    pub(crate) events: mpsc::Receiver<(String, Value)>,
    task: JoinHandle<()>,
}

impl FakeGreenroom {
    /// Refuses the first `failures` events with 503.
    pub(crate) async fn start(keys: Vec<Value>, failures: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let keys = Arc::new(Mutex::new(keys));
        let (sender, events) = mpsc::channel(16);
        let served = Arc::clone(&keys);
        let accept = async move {
            let mut failures = failures;
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                answer(stream, &served, &sender, &mut failures).await;
            }
        };
        #[expect(clippy::disallowed_methods, reason = "aborted when the fake is dropped")]
        let task = tokio::spawn(accept);
        Self { url, keys, events, task }
    }

    /// The next event that was acknowledged, with its bearer token.
    pub(crate) async fn event(&mut self) -> (String, Value) {
        timeout(HANG, self.events.recv()).await.expect("an event in time").unwrap()
    }
}

impl Drop for FakeGreenroom {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    mut stream: TcpStream,
    keys: &Mutex<Vec<Value>>,
    events: &mpsc::Sender<(String, Value)>,
    failures: &mut usize,
) {
    let mut received = Vec::new();
    let (head, body_start) = loop {
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk).await.unwrap_or(0);
        if count == 0 {
            return;
        }
        received.extend_from_slice(&chunk[..count]);
        if let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") {
            break (String::from_utf8_lossy(&received[..end]).to_ascii_lowercase(), end + 4);
        }
    };
    let original = String::from_utf8_lossy(&received[..body_start]).into_owned();
    let header = |name: &str| {
        (original.lines())
            .filter_map(|line| line.split_once(": "))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.to_owned())
    };
    let length: usize = header("content-length").map_or(0, |length| length.parse().unwrap());
    while received.len() < body_start + length {
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk).await.unwrap();
        received.extend_from_slice(&chunk[..count]);
    }
    let (status, body) = if head.starts_with("get /.well-known/jwks.json") {
        ("200 OK", json!({"keys": *keys.lock().unwrap()}).to_string())
    } else if head.starts_with("post /v1/events") && *failures > 0 {
        *failures -= 1;
        ("503 Service Unavailable", String::new())
    } else if head.starts_with("post /v1/events") {
        let event = serde_json::from_slice(&received[body_start..]).unwrap();
        let token = header("authorization").unwrap_or_default();
        events.send((token, event)).await.unwrap();
        ("202 Accepted", "{}".to_owned())
    } else {
        ("404 Not Found", String::new())
    };
    let answer =
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    stream.write_all(answer.as_bytes()).await.unwrap();
}

/// A game server under test.
pub(crate) struct Server {
    pub(crate) address: String,
    pub(crate) stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(args: Args, environment: Environment) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let stop = CancellationToken::new();
        let serve = server::serve(listener, args, environment, stop.clone(), TaskTracker::new());
        #[expect(clippy::disallowed_methods, reason = "joined by `ended` or stopped on drop")]
        let task = tokio::spawn(serve);
        Self { address, stop, task }
    }

    pub(crate) async fn ended(mut self) {
        timeout(HANG, &mut self.task).await.expect("the server ends").expect("without a panic");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A player's socket.
pub(crate) struct Player {
    pub(crate) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

/// What a player may see next.
#[derive(Debug)]
pub(crate) enum Seen {
    Text(Value),
    Snapshot(Vec<u8>),
    Closed(u16),
}

impl Player {
    pub(crate) async fn connect(server: &Server, query: &str) -> Self {
        let url = format!("ws://{}/play?{query}", server.address);
        let (socket, _) = connect_async(url).await.unwrap();
        Self { socket }
    }

    pub(crate) async fn next(&mut self) -> Seen {
        loop {
            let frame = timeout(HANG, self.socket.next()).await.expect("a frame in time");
            match frame {
                Some(Ok(Message::Text(text))) => {
                    return Seen::Text(serde_json::from_str(&text).unwrap());
                }
                Some(Ok(Message::Binary(bytes))) => return Seen::Snapshot(bytes.to_vec()),
                Some(Ok(Message::Close(frame))) => {
                    return Seen::Closed(frame.map_or(1005, |frame| frame.code.into()));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Seen::Closed(1006),
            }
        }
    }

    /// The next text frame of a type; others are passed over.
    pub(crate) async fn text(&mut self, kind: &str) -> Value {
        loop {
            match self.next().await {
                Seen::Text(value) if value["type"] == kind => return value,
                Seen::Closed(code) => panic!("closed with {code} while waiting for {kind}"),
                _ => {}
            }
        }
    }

    pub(crate) async fn close_code(&mut self) -> u16 {
        loop {
            if let Seen::Closed(code) = self.next().await {
                return code;
            }
        }
    }

    /// Sends the input `sequence`, and waits for the snapshot in which it was applied to the seat `you`;
    /// where that seat aims.
    pub(crate) async fn input(&mut self, you: usize, sequence: u16, aim: u16) -> u16 {
        let ([low, high], [aim_low, aim_high]) = (sequence.to_le_bytes(), aim.to_le_bytes());
        self.send(&[1, low, high, 0, 0, 0, aim_low, aim_high]).await;
        loop {
            let Seen::Snapshot(bytes) = self.next().await else { continue };
            assert!(bytes.len() <= 3 * 1024);
            let player = 20 + you * 19;
            if u16::from_le_bytes([bytes[player + 17], bytes[player + 18]]) == sequence {
                return u16::from_le_bytes([bytes[player + 8], bytes[player + 9]]);
            }
        }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let frame = Message::binary(bytes.to_vec());
        self.socket.send(frame).await.unwrap();
    }
}
