//! 2,000 players in 500 lobbies who ready up, change teams and chat at a rate of their own.
//!
//! The loop is open: commands arrive at times that are drawn before, and each is timed from its
//! arrival, not from when it could be sent; a server that stalls is charged for all that arrived
//! meanwhile. A command is done when its sender sees the effect: its own entry in `lobby:updated`
//! as it asked for, or its own words in `lobby:chat`. So that an effect can be told from an older
//! one, a player has one command under way; who is busy is passed over for the next one who is
//! free, and while nobody is free, arrivals wait with their clock running.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::ensure;
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};

use crate::{
    load::{
        arrivals::Arrivals,
        latency::Latency,
        sockets::{self, Sockets},
    },
    main_job::players::{self, Member, text_field},
    server::Server,
};

/// Lobbies.
const LOBBIES: usize = 500;

/// Players of each.
const MEMBERS: usize = 4;

/// Of a hundred commands so many change the team, and so many chat; the others toggle ready.
const TEAM_PERCENT: u32 = 15;
const CHAT_PERCENT: u32 = 15;

/// How long a rate is offered before it is measured.
const WARM_UP: Duration = Duration::from_secs(1);

/// How long the last commands are waited for. What is not done by then counts as this late.
const LAST_MAX: Duration = Duration::from_secs(10);

/// The players.
pub(crate) struct Crowd {
    sockets: Sockets,
    state: State,
    random: SmallRng,
}

/// What one rate came to.
pub(crate) struct Window {
    /// From a command's arrival to its effect, of those that arrived within the time.
    pub(crate) latency: Latency,
    /// From a chat's arrival to each other member who hears it.
    pub(crate) heard: Latency,
    /// From a command's arrival until it was sent, where a player was free: the load generator's own
    /// part of the latency.
    pub(crate) delay: Latency,
    /// Commands that arrived within the time.
    pub(crate) offered: u64,
    /// Commands that were done within the time.
    pub(crate) done: u64,
    /// CPU time of the server within the time.
    pub(crate) cpu: Duration,
    /// How long was measured.
    pub(crate) time: Duration,
}

impl Window {
    pub(crate) fn done_per_second(&self) -> f64 {
        self.done as f64 / self.time.as_secs_f64()
    }

    pub(crate) fn done_share(&self) -> f64 {
        self.done as f64 / self.offered as f64
    }
}

struct State {
    players: Vec<Player>,
    busy: usize,
    /// When the chat with this number arrived.
    chats: Vec<Duration>,
}

struct Player {
    member: Member,
    under_way: Option<UnderWay>,
}

struct UnderWay {
    arrived: Duration,
    effect: Effect,
}

/// What its sender waits to see.
enum Effect {
    /// Itself, ready or not, in team B or not.
    Member { ready: bool, team_b: bool },
    /// Its own words.
    Chat(usize),
}

impl Crowd {
    /// Signs the players in and puts them in their lobbies.
    pub(crate) fn gather(address: SocketAddr, seed: u64) -> anyhow::Result<Self> {
        let signed_in = players::sign_in(address, LOBBIES * MEMBERS)?;
        let mut sockets = players::connect(address, &signed_in)?;
        let mut players = Vec::with_capacity(signed_in.len());
        for (signed_in, sockets) in signed_in.chunks(MEMBERS).zip(sockets.chunks_mut(MEMBERS)) {
            let members = players::gather(signed_in, sockets)?;
            players.extend(members.into_iter().map(|member| Player { member, under_way: None }));
        }
        let state = State { players, busy: 0, chats: Vec::new() };
        Ok(Self { sockets: Sockets::new(sockets)?, state, random: SmallRng::seed_from_u64(seed) })
    }

    /// Offers `per_second` commands for `time`, after a time to warm up.
    pub(crate) fn run(&mut self, per_second: f64, time: Duration, server: &Server) -> anyhow::Result<Window> {
        let mut window = Window {
            latency: Latency::new()?,
            heard: Latency::new()?,
            delay: Latency::new()?,
            offered: 0,
            done: 0,
            cpu: Duration::ZERO,
            time,
        };
        let (first, end) = (WARM_UP, WARM_UP + time);
        let mut arrivals = Arrivals::new(per_second, self.random.random()).peekable();
        let mut waiting: VecDeque<Duration> = VecDeque::new();
        // So many at the front of the queue found everybody busy: that delay is the server's.
        let mut kept_waiting = 0_usize;
        let mut cpu = None;
        let mut refusal = Ok(());
        let began = Instant::now();
        self.state.chats.clear();
        loop {
            let now = began.elapsed();
            if cpu.is_none() && now >= first {
                cpu = Some(server.cpu()?);
            }
            if now >= end {
                break;
            }
            while let Some(arrived) = arrivals.next_if(|arrived| *arrived <= now) {
                window.offered += u64::from(arrived >= first && arrived < end);
                waiting.push_back(arrived);
            }
            while let Some(&arrived) = waiting.front() {
                let Some(player) = self.state.free(&mut self.random) else {
                    kept_waiting = waiting.len();
                    break;
                };
                waiting.pop_front();
                let command = self.state.command(player, arrived, &mut self.random);
                self.sockets.send(player, &command)?;
                if kept_waiting > 0 {
                    kept_waiting -= 1;
                } else if arrived >= first {
                    window.delay.record(began.elapsed().saturating_sub(arrived));
                }
            }
            let next = arrivals.peek().copied().unwrap_or(end).min(end);
            let state = &mut self.state;
            self.sockets.poll(began + next, |player, frame| {
                let seen = began.elapsed();
                if let Err(refused) = sockets::refused(frame) {
                    refusal = Err(refused);
                }
                let Some(arrived) = state.told(player, frame, seen, &mut window.heard, first) else { return };
                window.done += u64::from(seen >= first && seen < end);
                if arrived >= first {
                    window.latency.record(seen.saturating_sub(arrived));
                }
            })?;
            std::mem::replace(&mut refusal, Ok(()))?;
        }
        window.cpu = server.cpu()?.saturating_sub(cpu.unwrap_or_default());
        self.finish(began, &mut window, waiting, first)?;
        Ok(window)
    }

    /// Waits for what is under way, so that the next rate begins with an idle server.
    fn finish(
        &mut self,
        began: Instant,
        window: &mut Window,
        never_sent: VecDeque<Duration>,
        first: Duration,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + LAST_MAX;
        while self.state.busy > 0 && Instant::now() < deadline {
            let state = &mut self.state;
            self.sockets.poll(deadline, |player, frame| {
                let seen = began.elapsed();
                if let Some(arrived) = state.told(player, frame, seen, &mut window.heard, first)
                    && arrived >= first
                {
                    window.latency.record(seen.saturating_sub(arrived));
                }
            })?;
        }
        ensure!(self.state.busy == 0, "{} commands had no effect within {LAST_MAX:?}", self.state.busy);
        for arrived in never_sent {
            window.latency.record(began.elapsed().saturating_sub(arrived));
        }
        Ok(())
    }
}

impl State {
    /// A player without a command under way: a random one, or the next after it.
    fn free(&self, random: &mut SmallRng) -> Option<usize> {
        let count = self.players.len();
        if self.busy == count {
            return None;
        }
        let first = random.random_range(0..count);
        (first..count).chain(0..first).find(|player| self.players[*player].under_way.is_none())
    }

    /// The next command of `player`, which changes something, so that its effect can be seen.
    fn command(&mut self, player: usize, arrived: Duration, random: &mut SmallRng) -> String {
        let Player { member, under_way } = &mut self.players[player];
        let (ready, team_b) = (member.ready, member.team_b);
        let (command, effect) = match random.random_range(0..100) {
            0..CHAT_PERCENT => {
                let number = self.chats.len();
                self.chats.push(arrived);
                (format!(r#"{{"type":"lobby:chat","text":"{number}"}}"#), Effect::Chat(number))
            }
            dice if dice < CHAT_PERCENT + TEAM_PERCENT => {
                let team = if team_b { "A" } else { "B" };
                let effect = Effect::Member { ready, team_b: !team_b };
                (format!(r#"{{"type":"lobby:team","team":"{team}"}}"#), effect)
            }
            _ => {
                let effect = Effect::Member { ready: !ready, team_b };
                (format!(r#"{{"type":"lobby:ready","ready":{}}}"#, !ready), effect)
            }
        };
        *under_way = Some(UnderWay { arrived, effect });
        self.busy += 1;
        command
    }

    /// Takes in what `player` was told; when that is the effect of its command, says when that arrived.
    fn told(
        &mut self,
        player: usize,
        frame: &str,
        seen: Duration,
        heard: &mut Latency,
        first: Duration,
    ) -> Option<Duration> {
        let Player { member, under_way } = &mut self.players[player];
        if frame.starts_with(r#"{"type":"lobby:chat""#) {
            let number: usize = text_field(frame, "text")?.parse().ok()?;
            if !matches!(under_way, Some(UnderWay { effect: Effect::Chat(own), .. }) if *own == number) {
                let arrived = *self.chats.get(number)?;
                if arrived >= first {
                    heard.record(seen.saturating_sub(arrived));
                }
                return None;
            }
        } else {
            let Some(UnderWay { effect: Effect::Member { ready, team_b }, .. }) = under_way else {
                return None;
            };
            if !frame.starts_with(r#"{"type":"lobby:updated""#) || member.seen(frame)? != (*ready, *team_b) {
                return None;
            }
            (member.ready, member.team_b) = (*ready, *team_b);
        }
        self.busy -= 1;
        under_way.take().map(|done| done.arrived)
    }
}

#[cfg(test)]
mod tests;
