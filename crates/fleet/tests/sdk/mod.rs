//! A backend of the SDK by the real rules, in memory, and clients for every form of the protocol.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use greenroom_domain::{
    sdk::{Change, Counter, GameServer, List, SdkSettings},
    server::{Allocation, Birth, Purpose, Seen, Server, ServerState, Step},
};
use greenroom_fleet::sdk::{Changed, SdkBackend, SdkError};
use greenroom_protocol::{BuildId, GameId, HostId, RegionId, ServerId, StudioId, Timestamp};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::watch,
};

/// Game servers that have the SDK.
#[derive(Default)]
pub(crate) struct Backend {
    servers: Mutex<HashMap<ServerId, Known>>,
    pings: watch::Sender<u32>,
    is_away: AtomicBool,
}

struct Known {
    server: Server,
    revision: u64,
    told: watch::Sender<Arc<GameServer>>,
}

impl Known {
    fn tell(&mut self) -> Arc<GameServer> {
        self.revision += 1;
        let object = Arc::new(GameServer::of(&self.server, &[], true, self.revision).unwrap());
        self.told.send_replace(Arc::clone(&object));
        object
    }
}

impl Backend {
    /// One that has servers of these ids, as they are at their start.
    pub(crate) fn of(ids: &[&str]) -> Arc<Self> {
        let backend = Self::default();
        for id in ids {
            let server = starting(id);
            let object = GameServer::of(&server, &[], true, 1).unwrap();
            let told = watch::Sender::new(Arc::new(object));
            let known = Known { server, revision: 1, told };
            backend.servers.lock().unwrap().insert(ServerId::new(*id).unwrap(), known);
        }
        Arc::new(backend)
    }

    /// Gives it away, as the API does.
    pub(crate) fn allocate(&self, id: &str, payload: &str) {
        let mut servers = self.servers.lock().unwrap();
        let known = servers.get_mut(&ServerId::new(id).unwrap()).unwrap();
        known.server.allocate(allocation(payload), now()).unwrap();
        settle(&mut known.server);
        known.tell();
    }

    /// It is known no more.
    pub(crate) fn forget(&self, id: &str) {
        self.servers.lock().unwrap().remove(&ServerId::new(id).unwrap());
    }

    /// Whether changes fail, to be tried again.
    pub(crate) fn set_away(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::Relaxed);
    }

    /// Waits until so many pings have come.
    pub(crate) async fn until_pinged(&self, times: u32) {
        self.pings.subscribe().wait_for(|pings| *pings >= times).await.unwrap();
    }
}

#[async_trait]
impl SdkBackend for Backend {
    fn game_server(&self, instance: &ServerId) -> Option<watch::Receiver<Arc<GameServer>>> {
        Some(self.servers.lock().unwrap().get(instance)?.told.subscribe())
    }

    fn health(&self, _instance: &ServerId) {
        self.pings.send_modify(|pings| *pings += 1);
    }

    async fn change(&self, instance: &ServerId, change: Change) -> Result<Changed, SdkError> {
        if self.is_away.load(Ordering::Relaxed) {
            return Err(SdkError::Unavailable("The disk is full; try again later.".into()));
        }
        let mut servers = self.servers.lock().unwrap();
        let known = servers.get_mut(instance).ok_or(SdkError::NotFound)?;
        let is_changed = known.server.change_by_sdk(&change, now())?;
        settle(&mut known.server);
        Ok(Changed { is_changed, object: known.tell() })
    }
}

/// What the driver does at once.
fn settle(server: &mut Server) {
    let is_said = server.sdk.as_ref().is_some_and(|sdk| sdk.is_ready_said);
    while is_said
        && matches!(server.state, ServerState::Starting | ServerState::Ready | ServerState::Allocated)
    {
        match server.next(&Seen::Ready, 3, now()) {
            Step::Commit(next) | Step::Deliver(next) => *server = *next,
            _ => break,
        }
    }
    server.pending.clear();
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_700_000_000_999)
}

fn starting(id: &str) -> Server {
    let birth = Birth {
        id: ServerId::new(id).unwrap(),
        name: format!("chess-{id}"),
        title: None,
        code: None,
        is_listed: false,
        game: GameId::new("chess").unwrap(),
        studio: StudioId::new("demo").unwrap(),
        version: "1".into(),
        build: BuildId::new("b1").unwrap(),
        region: RegionId::new("local").unwrap(),
        host: HostId::new("here").unwrap(),
        purpose: Purpose::Warm,
        address: "127.0.0.1".into(),
        created_at: now(),
    };
    let settings = SdkSettings {
        counters: BTreeMap::from([("rooms".into(), Counter { count: 1, capacity: 10 })]),
        lists: BTreeMap::from([("maps".into(), List { capacity: 100, values: vec!["p0".into()] })]),
        ..SdkSettings::default()
    };
    Server::new(birth, "hash".into(), None).with_sdk(Some(&settings))
}

fn allocation(payload: &str) -> Allocation {
    Allocation {
        id: "a1".into(),
        idempotency: None,
        payload: payload.into(),
        payload_delivered: false,
        match_id: None,
        at: now(),
        by: "key".into(),
    }
}

/// Calls over HTTP; the status and the answer.
pub(crate) async fn call(port: u16, method: &str, path: &str, body: &str) -> (u16, Value) {
    call_with(port, method, path, "", body).await
}

/// The same with further lines in its head.
pub(crate) async fn call_with(port: u16, method: &str, path: &str, head: &str, body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n{head}Content-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head in {answer:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}")))
}

/// The clients that are made of `proto/`.
pub(crate) mod client {
    #![expect(unreachable_pub, clippy::allow_attributes_without_reason, reason = "it is not written by hand")]

    pub(crate) mod sdk {
        include!(concat!(env!("OUT_DIR"), "/client/agones.dev.sdk.rs"));
    }

    pub(crate) mod alpha {
        include!(concat!(env!("OUT_DIR"), "/client/agones.dev.sdk.alpha.rs"));
    }

    pub(crate) mod beta {
        include!(concat!(env!("OUT_DIR"), "/client/agones.dev.sdk.beta.rs"));
    }
}
