//! Players who share a lobby: they come and go, change it, and start matches.
//!
//! Nobody else touches their lobby, so what it must look like is known: as it was acknowledged, or as
//! the one command would have made it that was under way when the connection broke.

use std::collections::BTreeSet;

use greenroom_test_support::greenroom::{Api, GAME, Gone, Socket};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

use crate::{SETTLE_MAX, actor::think};

const PLAYERS: usize = 4;

/// Starts of matches, of all commands.
const STARTS: (u32, u32) = (1, 40);

/// What a lobby must look like.
#[derive(Clone, Debug)]
struct Lobby {
    id: String,
    code: String,
    /// Players by their number, in the order in which they came, and whether in team A.
    members: Vec<(usize, bool)>,
    owner: usize,
    name: Option<String>,
    /// `lobby:start` was acknowledged: a match must come of it.
    starting: bool,
}

/// What is known when a command is under way.
#[derive(Clone, Debug)]
enum Next {
    /// It makes the lobby this; `None`: the lobby is gone.
    Is(Option<Lobby>),
    /// It makes a lobby whose id and code only the answer tells.
    New,
    /// It starts the match.
    Starts,
}

struct Player {
    id: String,
    token: String,
    socket: Option<Socket>,
}

pub(crate) struct Group {
    rng: StdRng,
    number: usize,
    players: Vec<Player>,
    lobby: Option<Lobby>,
    under_way: Option<Next>,
    /// Who is the owner if a hand-over that was under way was done: it shows only when all are back.
    owner_perhaps: Option<usize>,
    /// The servers of matches that are still to be stopped.
    servers: Vec<String>,
    made: u32,
    pub(crate) commands: u32,
    pub(crate) lobbies: u32,
    pub(crate) matches: u32,
    pub(crate) refused: u32,
    /// Starts that were under way when it was killed.
    pub(crate) resumed: u32,
    pub(crate) facts_due: Vec<String>,
}

impl Group {
    pub(crate) fn new(number: usize, seed: u64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            number,
            players: Vec::new(),
            lobby: None,
            under_way: None,
            owner_perhaps: None,
            servers: Vec::new(),
            made: 0,
            commands: 0,
            lobbies: 0,
            matches: 0,
            refused: 0,
            resumed: 0,
            facts_due: Vec::new(),
        }
    }

    pub(crate) async fn check(&mut self, api: &Api) {
        self.sign_in(api).await;
        let found = self.found(api).await;
        let starts = matches!(self.under_way, Some(Next::Starts));
        let was_starting = self.lobby.as_ref().is_some_and(|lobby| lobby.starting);
        match self.under_way.take() {
            // Started, or not yet, or not at all: that is seen below.
            Some(Next::Starts) => {}
            None if was_starting => {}
            None => self.assert_is(found.as_ref(), std::slice::from_ref(&self.lobby)),
            Some(Next::Is(next)) => {
                self.assert_is(found.as_ref(), &[self.lobby.clone(), next.clone()]);
                if self.looks_like(found.as_ref(), next.as_ref()) {
                    // Before and after may differ in nothing but the owner.
                    let before = std::mem::replace(&mut self.lobby, next);
                    let looked_the_same = self.looks_like(found.as_ref(), before.as_ref());
                    self.owner_perhaps = before.filter(|_| looked_the_same).map(|lobby| lobby.owner);
                }
            }
            Some(Next::New) => {
                self.lobby = found.as_ref().map(read_new);
                self.assert_is(found.as_ref(), std::slice::from_ref(&self.lobby));
            }
        }
        for place in 0..PLAYERS {
            self.connect(api, place).await.unwrap();
        }
        if starts || was_starting {
            self.resumed += 1;
            self.follow_start(api, was_starting).await;
        }
        if let Some(lobby) = self.lobby.clone() {
            self.resumed(api, &lobby).await;
        }
        for server in std::mem::take(&mut self.servers) {
            self.stop(api, server).await;
        }
    }

    pub(crate) async fn work(&mut self, api: &Api) {
        while self.step(api).await.is_ok() {
            think(&mut self.rng).await;
        }
        for player in &mut self.players {
            player.socket = None;
        }
    }

    async fn sign_in(&mut self, api: &Api) {
        while self.players.len() < PLAYERS {
            let name = format!("{}-{}", self.number, self.players.len());
            let signed_in = api.sign_in(&name).await;
            assert_eq!(signed_in.status, 200, "{signed_in:?}");
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            self.players.push(Player {
                id: text(&signed_in.body["account"]["id"]),
                token: text(&signed_in.body["accessToken"]),
                socket: None,
            });
        }
    }

    /// The lobby in which any of the players is. No two are in different ones.
    async fn found(&self, api: &Api) -> Option<Value> {
        let path = format!("/v1/games/{GAME}/lobbies");
        let all = api.ask_as(reqwest::Method::GET, &path, &self.players[0].token, &[], None).await;
        assert_eq!(all.status, 200, "{all:?}");
        let ours = |lobby: &&Value| {
            members(lobby).iter().any(|(id, _)| self.players.iter().any(|player| player.id == *id))
        };
        let found: Vec<Value> = all.body.as_array().unwrap().iter().filter(ours).cloned().collect();
        assert!(found.len() < 2, "one player in two lobbies, or a lobby came back: {found:#?}");
        found.into_iter().next()
    }

    fn assert_is(&self, found: Option<&Value>, wanted: &[Option<Lobby>]) {
        let fits = wanted.iter().any(|wanted| self.looks_like(found, wanted.as_ref()));
        assert!(fits, "group {}: found {found:#?}, acknowledged or under way {wanted:#?}", self.number);
    }

    /// All but the owner: it is the old one again when all have come back.
    fn looks_like(&self, found: Option<&Value>, wanted: Option<&Lobby>) -> bool {
        match (found, wanted) {
            (None, None) => true,
            (Some(found), Some(wanted)) => {
                let members_wanted: BTreeSet<_> =
                    wanted.members.iter().map(|(place, a)| (self.players[*place].id.clone(), *a)).collect();
                found["id"] == *wanted.id
                    && found["code"] == *wanted.code
                    && members(found) == members_wanted
                    && found["name"].as_str() == wanted.name.as_deref()
                    && (found["phase"] == "waiting" || wanted.starting)
            }
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    async fn connect(&mut self, api: &Api, place: usize) -> Result<(), Gone> {
        let player = &mut self.players[place];
        player.socket = Some(api.connect(&player.token).await?);
        Ok(())
    }

    /// The start that was under way or acknowledged became a match, or the lobby waits again.
    async fn follow_start(&mut self, api: &Api, was_acknowledged: bool) {
        let deadline = Instant::now() + SETTLE_MAX;
        loop {
            match self.found(api).await {
                None => {
                    self.started().await.unwrap();
                    return;
                }
                Some(found) if found["phase"] == "waiting" => {
                    self.refused += u32::from(was_acknowledged);
                    if let Some(lobby) = &mut self.lobby {
                        lobby.starting = false;
                    }
                    return;
                }
                Some(found) => assert!(Instant::now() < deadline, "a start is forgotten: {found:#?}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Everybody is told of the match, and of the same.
    async fn started(&mut self) -> Result<(), Gone> {
        let lobby = self.lobby.clone().unwrap();
        let mut told = BTreeSet::new();
        for (place, _) in &lobby.members {
            let socket = self.players[*place].socket.as_mut().unwrap();
            let ours = |message: &Value| {
                message["type"] == "match:started" && message["matchData"]["lobbyId"] == *lobby.id
            };
            let started = socket.until(ours).await?["matchData"].take();
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            assert!(started["ticket"].is_string(), "{started}");
            told.insert((text(&started["matchId"]), text(&started["server"]["serverName"])));
        }
        assert_eq!(told.len(), 1, "one lobby, two matches: {told:?}");
        let (match_id, server) = told.pop_first().unwrap();
        self.matches += 1;
        self.facts_due.push(format!("v1.{GAME}.matches.{match_id}.events.started"));
        self.facts_due.push(format!("v1.{GAME}.lobbies.{}.events.closed", lobby.id));
        self.servers.push(server);
        self.lobby = None;
        Ok(())
    }

    /// All members have come back: each is connected, and the owner is who it was.
    async fn resumed(&mut self, api: &Api, lobby: &Lobby) {
        for (place, _) in &lobby.members {
            let player = &mut self.players[*place];
            let id = player.id.clone();
            let is_back = |message: &Value| {
                message["type"] == "lobby:updated" && member(&message["lobby"], &id)["connected"] == true
            };
            player.socket.as_mut().unwrap().until(is_back).await.unwrap();
        }
        let found = self.found(api).await.unwrap();
        let perhaps =
            self.owner_perhaps.take().filter(|perhaps| found["ownerId"] == *self.players[*perhaps].id);
        let owner = perhaps.unwrap_or(lobby.owner);
        assert_eq!(found["ownerId"], *self.players[owner].id, "the ownership is lost: {found:#?}");
        if let Some(lobby) = &mut self.lobby {
            lobby.owner = owner;
        }
    }

    async fn step(&mut self, api: &Api) -> Result<(), Gone> {
        if let Some(server) = self.servers.pop() {
            return if self.stop(api, server).await { Ok(()) } else { Err(Gone::default()) };
        }
        let Some(lobby) = self.lobby.clone() else { return self.create().await };
        if self.rng.random_ratio(STARTS.0, STARTS.1) {
            return self.start(&lobby).await;
        }
        let in_it: Vec<usize> = lobby.members.iter().map(|(place, _)| *place).collect();
        let any = in_it[self.rng.random_range(0..in_it.len())];
        let mut next = lobby.clone();
        match self.rng.random_range(0..6) {
            0 => self.change_team(any, next).await,
            1 => {
                next.owner = any;
                let command = json!({ "type": "lobby:transfer", "accountId": self.players[any].id });
                self.command(lobby.owner, command, Next::Is(Some(next))).await.map(drop)
            }
            2 => {
                self.made += 1;
                let name = format!("name {}", self.made);
                let command = json!({ "type": "lobby:settings", "name": name });
                next.name = Some(name);
                self.command(lobby.owner, command, Next::Is(Some(next))).await.map(drop)
            }
            3 => self.leave(any, next).await,
            4 => {
                let ready: bool = self.rng.random();
                let command = json!({ "type": "lobby:ready", "ready": ready });
                self.command(any, command, Next::Is(Some(next))).await.map(drop)
            }
            _ => self.join(&in_it, next).await,
        }
    }

    async fn create(&mut self) -> Result<(), Gone> {
        let answer = self.command(0, json!({ "type": "lobby:create" }), Next::New).await?;
        self.lobbies += 1;
        let lobby = read_new(&answer["lobby"]);
        self.facts_due.push(format!("v1.{GAME}.lobbies.{}.events.created", lobby.id));
        self.lobby = Some(lobby);
        Ok(())
    }

    async fn change_team(&mut self, player: usize, mut next: Lobby) -> Result<(), Gone> {
        let team_a: bool = self.rng.random();
        next.members.iter_mut().filter(|(place, _)| *place == player).for_each(|(_, a)| *a = team_a);
        let command = json!({ "type": "lobby:team", "team": if team_a { "A" } else { "B" } });
        self.command(player, command, Next::Is(Some(next))).await.map(drop)
    }

    async fn leave(&mut self, player: usize, mut next: Lobby) -> Result<(), Gone> {
        next.members.retain(|(place, _)| *place != player);
        if next.owner == player
            && let Some((longest, _)) = next.members.first()
        {
            next.owner = *longest;
        }
        let id = next.id.clone();
        let next = (!next.members.is_empty()).then_some(next);
        let is_closed = next.is_none();
        self.command(player, json!({ "type": "lobby:leave" }), Next::Is(next)).await?;
        if is_closed {
            self.facts_due.push(format!("v1.{GAME}.lobbies.{id}.events.closed"));
        }
        Ok(())
    }

    async fn join(&mut self, in_it: &[usize], mut next: Lobby) -> Result<(), Gone> {
        let Some(player) = (0..PLAYERS).find(|place| !in_it.contains(place)) else { return Ok(()) };
        let team_a: bool = self.rng.random();
        next.members.push((player, team_a));
        let command =
            json!({ "type": "lobby:join", "code": next.code, "team": if team_a { "A" } else { "B" } });
        self.command(player, command, Next::Is(Some(next))).await.map(drop)
    }

    async fn start(&mut self, lobby: &Lobby) -> Result<(), Gone> {
        for (place, _) in &lobby.members {
            let same = Next::Is(Some(lobby.clone()));
            self.command(*place, json!({ "type": "lobby:ready" }), same).await?;
        }
        self.command(lobby.owner, json!({ "type": "lobby:start" }), Next::Starts).await?;
        if let Some(lobby) = &mut self.lobby {
            lobby.starting = true;
        }
        self.started().await
    }

    /// Sends a command and remembers what is so once it is acknowledged.
    async fn command(&mut self, player: usize, command: Value, next: Next) -> Result<Value, Gone> {
        let socket = self.players[player].socket.as_mut().unwrap();
        self.under_way = Some(next);
        let answer = socket.ask(command.clone()).await?;
        assert_ne!(answer["type"], "error", "{command}: {answer}; the lobby: {:#?}", self.lobby);
        self.commands += 1;
        if let Some(Next::Is(lobby)) = self.under_way.take() {
            self.lobby = lobby;
        }
        Ok(answer)
    }

    /// The match is over: its server is stopped. If no answer comes, that is asked for again.
    async fn stop(&mut self, api: &Api, name: String) -> bool {
        let servers = api.get(&format!("/v1/games/{GAME}/servers?limit=500&state=allocated")).await;
        let id = servers.body["servers"].as_array().and_then(|servers| {
            servers.iter().find(|server| server["name"] == *name)?["id"].as_str().map(str::to_owned)
        });
        let Some(id) = id else {
            if servers.is_unknown() {
                self.servers.push(name);
                return false;
            }
            // It was stopped when the connection broke.
            return true;
        };
        let answer = api.stop_server(&id).await;
        if answer.is_unknown() {
            self.servers.push(name);
            return false;
        }
        assert_eq!(answer.status, 202, "{answer:?}");
        self.facts_due.push(format!("v1.{GAME}.servers.{id}.events.stopped"));
        true
    }
}

fn members(lobby: &Value) -> BTreeSet<(String, bool)> {
    let team = |field: &str, a: bool| {
        let members = lobby[field].as_array().cloned().unwrap_or_default();
        members.into_iter().map(move |member| (member["accountId"].as_str().unwrap().to_owned(), a))
    };
    team("teamA", true).chain(team("teamB", false)).collect()
}

fn member(lobby: &Value, id: &str) -> Value {
    let teams = ["teamA", "teamB"].into_iter().filter_map(|team| lobby[team].as_array());
    teams.flatten().find(|member| member["accountId"] == id).cloned().unwrap_or_default()
}

fn read_new(lobby: &Value) -> Lobby {
    let text = |field: &str| lobby[field].as_str().unwrap().to_owned();
    Lobby {
        id: text("id"),
        code: text("code"),
        members: vec![(0, true)],
        owner: 0,
        name: None,
        starting: false,
    }
}
