//! A stand-in for Greenroom to work on the browser client with: players, lobbies and tickets in
//! memory, each match on a server in this process.
//!
//! `cargo run -p skirmish --example fake_backend`, then open the address that it prints.
//! `PORT` and `MATCH_SECONDS` change the defaults. It forgets everything and checks nothing.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Json, Router,
    extract::{
        Path, Query, State, WebSocketUpgrade,
        ws::{Message, WebSocket},
    },
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use ring::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use serde_json::{Value, json};
use skirmish::{
    client,
    server::{self, Args, Environment},
};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const SOCKET_QUEUE_MAX: usize = 256;
const TEAM_SIZE: usize = 4;

#[derive(Clone)]
struct Backend(Arc<Inner>);

struct Inner {
    url: String,
    match_seconds: String,
    key: Ed25519KeyPair,
    tasks: TaskTracker,
    state: Mutex<HashMap<String, Value>>,
    sockets: Mutex<HashMap<String, mpsc::Sender<Value>>>,
    matches: Mutex<HashMap<String, Value>>,
}

#[derive(clap::Parser)]
struct CommandLine {
    #[command(flatten)]
    args: Args,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    tracing_subscriber::fmt().init();
    let variable = |name: &str, otherwise: &str| std::env::var(name).unwrap_or(otherwise.to_owned());
    let listener = TcpListener::bind(format!("127.0.0.1:{}", variable("PORT", "4780"))).await?;
    let url = format!("http://{}", listener.local_addr()?);
    println!("{url}/play/skirmish");
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
    let backend = Backend(Arc::new(Inner {
        url,
        match_seconds: variable("MATCH_SECONDS", "60"),
        key: Ed25519KeyPair::from_pkcs8(document.as_ref()).expect("our own key"),
        tasks: TaskTracker::new(),
        state: Mutex::default(),
        sockets: Mutex::default(),
        matches: Mutex::default(),
    }));
    let app = Router::new()
        .route("/play/skirmish", get(async || file(Path(String::new())).await))
        .route("/play/skirmish/{file}", get(file))
        .route("/auth/anonymous", post(sign_in))
        .route("/_ws", get(socket))
        .route("/.well-known/jwks.json", get(keys))
        .route("/v1/events", post(event))
        .with_state(backend);
    axum::serve(listener, app).await
}

async fn file(Path(name): Path<String>) -> Response {
    let Some(asset) = client::asset(&name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, asset.content_type),
        (header::CONTENT_SECURITY_POLICY, client::CONTENT_SECURITY_POLICY),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, asset.bytes).into_response()
}

async fn sign_in(Json(body): Json<Value>) -> Json<Value> {
    let id = uuid::Uuid::new_v4().simple().to_string();
    let name = body["username"].as_str().unwrap_or("Player");
    Json(json!({
        "accessToken": format!("{id}.{}", BASE64.encode(name)),
        "account": {"id": id, "username": name},
    }))
}

async fn keys(State(Backend(inner)): State<Backend>) -> Json<Value> {
    let x = BASE64.encode(inner.key.public_key().as_ref());
    Json(json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "fake", "x": x}]}))
}

async fn event(body: String) -> StatusCode {
    println!("event: {body}");
    StatusCode::ACCEPTED
}

async fn socket(
    State(backend): State<Backend>,
    Query(query): Query<HashMap<String, String>>,
    upgrade: WebSocketUpgrade,
) -> Response {
    upgrade.on_upgrade(async move |socket| {
        let token = query.get("token").cloned().unwrap_or_default();
        let name = token
            .split_once('.')
            .and_then(|(id, name)| Some((id.to_owned(), String::from_utf8(BASE64.decode(name).ok()?).ok()?)));
        if let Some((id, name)) = name {
            backend.talk(socket, id, name).await;
        }
    })
}

impl Backend {
    async fn talk(&self, mut socket: WebSocket, id: String, name: String) {
        let (sender, mut queue) = mpsc::channel(SOCKET_QUEUE_MAX);
        lock(&self.0.sockets).insert(id.clone(), sender);
        self.tell(&id, json!({"type": "connected", "accountId": id, "username": name}));
        if let Some(lobby) = self.lobby_of(&id) {
            self.tell(&id, json!({"type": "lobby:updated", "lobby": lobby}));
            let running = lock(&self.0.matches).get(&text(&lobby["id"])).cloned();
            if let Some(data) = running {
                self.tell_match(&id, data);
            }
        }
        loop {
            tokio::select! {
                next = queue.recv() => {
                    let Some(message) = next else { return };
                    if socket.send(Message::text(message.to_string())).await.is_err() {
                        return;
                    }
                }
                incoming = socket.recv() => {
                    let Some(Ok(frame)) = incoming else { return };
                    let Message::Text(frame) = frame else { continue };
                    if let Ok(message) = serde_json::from_str::<Value>(&frame)
                        && let Err(refusal) = self.command(&id, &name, &message)
                    {
                        self.tell(&id, json!({"type": "error", "message": refusal}));
                    }
                }
            }
        }
    }

    fn command(&self, id: &str, name: &str, message: &Value) -> Result<(), &'static str> {
        let kind = message["type"].as_str().unwrap_or_default();
        match kind {
            "ping" => self.tell(id, json!({"type": "pong"})),
            "lobby:list:watch" => self.tell_list(Some(id)),
            "lobby:list:unwatch" => {}
            "lobby:create" => {
                let lobby_id = uuid::Uuid::new_v4().to_string();
                let code = rand::random_range(100_000..1_000_000).to_string();
                let lobby = json!({
                    "id": lobby_id, "code": code, "isPrivate": message["isPrivate"], "ownerId": id,
                    "teamA": [member(id, name, false)], "teamB": [], "phase": "waiting", "keep": true,
                    "membersMax": 2 * TEAM_SIZE, "teamSize": TEAM_SIZE, "name": message["name"],
                    "createdAt": lock(&self.0.state).len(),
                });
                lock(&self.0.state).insert(lobby_id, lobby.clone());
                self.tell(id, json!({"type": "lobby:created", "lobby": lobby}));
                self.tell_list(None);
            }
            "lobby:join" => {
                let found = lock(&self.0.state)
                    .values()
                    .find(|lobby| lobby["code"] == message["code"] || lobby["id"] == message["lobbyId"])
                    .cloned();
                let lobby = found.ok_or("Lobby not found")?;
                self.change(&text(&lobby["id"]), |lobby| {
                    let count = |team: &str| lobby[team].as_array().map_or(0, Vec::len);
                    let team = if count("teamB") < count("teamA") { "teamB" } else { "teamA" };
                    add(lobby, team, member(id, name, false));
                });
            }
            _ => {
                let lobby_id = text(&self.lobby_of(id).ok_or("Not in a lobby")?["id"]);
                return self.lobby_command(id, name, &lobby_id, kind, message);
            }
        }
        Ok(())
    }

    fn lobby_command(
        &self,
        id: &str,
        name: &str,
        lobby_id: &str,
        kind: &str,
        message: &Value,
    ) -> Result<(), &'static str> {
        match kind {
            "lobby:leave" => {
                self.change(lobby_id, |lobby| remove(lobby, id));
                self.tell(id, json!({"type": "lobby:left"}));
            }
            "lobby:kick" => {
                let account = text(&message["accountId"]);
                self.change(lobby_id, |lobby| remove(lobby, &account));
                self.tell(&account, json!({"type": "lobby:kicked", "lobbyId": lobby_id}));
            }
            "lobby:ready" => {
                let ready = message["ready"].as_bool().unwrap_or(true);
                self.change(lobby_id, |lobby| {
                    for member in members(lobby).filter(|member| member["accountId"] == id) {
                        member["ready"] = json!(ready);
                    }
                });
            }
            "lobby:team" => self.change(lobby_id, |lobby| {
                remove(lobby, id);
                let team = if message["team"] == "B" { "teamB" } else { "teamA" };
                add(lobby, team, member(id, name, false));
            }),
            "lobby:fill-bots" => self.change(lobby_id, |lobby| {
                let mut number = 1;
                for team in ["teamA", "teamB"] {
                    while lobby[team].as_array().is_some_and(|team| team.len() < TEAM_SIZE) {
                        let bot = format!("bot-{}", uuid::Uuid::new_v4());
                        add(lobby, team, member(&bot, &format!("Bot {number}"), true));
                        number += 1;
                    }
                }
            }),
            "lobby:chat" => {
                let line = json!({
                    "type": "lobby:chat", "accountId": id, "username": name, "text": message["text"],
                });
                let mut lobby = self.lobby_of(id).ok_or("Not in a lobby")?;
                for member in members(&mut lobby) {
                    self.tell(&text(&member["accountId"]), line.clone());
                }
            }
            "lobby:start" => {
                self.change(lobby_id, |lobby| lobby["phase"] = json!("starting"));
                let (backend, lobby_id) = (self.clone(), lobby_id.to_owned());
                self.0.tasks.spawn(async move { backend.play(&lobby_id).await });
            }
            _ => return Err("Unknown message type"),
        }
        Ok(())
    }

    /// Runs a server for the lobby's match until it ends.
    async fn play(&self, lobby_id: &str) {
        let Some(lobby) = lock(&self.0.state).get(lobby_id).cloned() else { return };
        let Ok(listener) = TcpListener::bind("127.0.0.1:0").await else { return };
        let Ok(address) = listener.local_addr() else { return };
        let match_id = uuid::Uuid::new_v4().to_string();
        let data = json!({
            "matchId": match_id, "lobbyId": lobby_id, "teamA": lobby["teamA"], "teamB": lobby["teamB"],
            "server": {"address": "127.0.0.1", "port": address.port(), "serverName": "fake"},
        });
        let environment = Environment {
            url: Some(self.0.url.clone()),
            match_id: Some(match_id.clone()),
            payload: Some(data.to_string()),
            ..Environment::default()
        };
        self.change(lobby_id, |lobby| lobby["phase"] = json!("playing"));
        lock(&self.0.matches).insert(lobby_id.to_owned(), data.clone());
        let mut lobby = lobby;
        for member in members(&mut lobby) {
            self.tell_match(&text(&member["accountId"]), data.clone());
        }
        let args = ["fake", "--match-seconds", &self.0.match_seconds];
        let args = <CommandLine as clap::Parser>::parse_from(args).args;
        server::serve(listener, args, environment, CancellationToken::new(), TaskTracker::new()).await;
        lock(&self.0.matches).remove(lobby_id);
        self.change(lobby_id, |lobby| {
            lobby["phase"] = json!("waiting");
            for member in members(lobby) {
                member["ready"] = json!(text(&member["accountId"]).starts_with("bot-"));
            }
        });
    }

    fn tell_match(&self, id: &str, mut data: Value) {
        let claims = json!({
            "iss": "greenroom", "game": "skirmish", "match": data["matchId"], "player": id,
            "seat": 0, "role": "player", "generation": 1, "iat": 0, "exp": 32_503_680_000_u64,
        });
        let header = json!({"alg": "EdDSA", "typ": "greenroom-ticket+jwt", "kid": "fake"});
        let part = |value: &Value| BASE64.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let signature = BASE64.encode(self.0.key.sign(signed.as_bytes()).as_ref());
        data["ticket"] = json!(format!("{signed}.{signature}"));
        self.tell(id, json!({"type": "match:started", "matchData": data}));
    }

    fn change(&self, lobby_id: &str, how: impl FnOnce(&mut Value)) {
        let mut state = lock(&self.0.state);
        let Some(lobby) = state.get_mut(lobby_id) else { return };
        how(lobby);
        let mut told = lobby.clone();
        if !members(&mut told).any(|member| !text(&member["accountId"]).starts_with("bot-")) {
            state.remove(lobby_id);
        }
        drop(state);
        let message = json!({"type": "lobby:updated", "lobby": told});
        for member in members(&mut told) {
            self.tell(&text(&member["accountId"]), message.clone());
        }
        self.tell_list(None);
    }

    fn lobby_of(&self, id: &str) -> Option<Value> {
        let mut lobbies: Vec<Value> = lock(&self.0.state).values().cloned().collect();
        let index =
            lobbies.iter_mut().position(|lobby| members(lobby).any(|member| member["accountId"] == id))?;
        Some(lobbies.swap_remove(index))
    }

    fn tell(&self, id: &str, message: Value) {
        if let Some(socket) = lock(&self.0.sockets).get(id) {
            let _ = socket.try_send(message);
        }
    }

    fn tell_list(&self, only: Option<&str>) {
        let lobbies: Vec<Value> =
            lock(&self.0.state).values().filter(|lobby| lobby["isPrivate"] != true).cloned().collect();
        let message = json!({"type": "lobby:list", "lobbies": lobbies});
        let everybody: Vec<String> = lock(&self.0.sockets).keys().cloned().collect();
        for id in everybody.iter().filter(|id| only.is_none_or(|only| only == *id)) {
            self.tell(id, message.clone());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn member(id: &str, name: &str, ready: bool) -> Value {
    json!({"accountId": id, "username": name, "ready": ready, "connected": true})
}

fn members(lobby: &mut Value) -> impl Iterator<Item = &mut Value> {
    let Value::Object(fields) = lobby else { unreachable!("lobbies are objects") };
    (fields.iter_mut())
        .filter(|(name, _)| name.starts_with("team"))
        .filter_map(|(_, team)| team.as_array_mut())
        .flatten()
}

fn add(lobby: &mut Value, team: &str, member: Value) {
    if let Some(team) = lobby[team].as_array_mut() {
        team.push(member);
    }
}

fn remove(lobby: &mut Value, id: &str) {
    for team in ["teamA", "teamB"] {
        if let Some(team) = lobby[team].as_array_mut() {
            team.retain(|member| member["accountId"] != id);
        }
    }
}
