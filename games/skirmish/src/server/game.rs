use std::time::Duration;

use serde_json::{Value, json};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    Args,
    assignment::{self, Assignment, Environment, readable_name},
    greenroom::Greenroom,
    seats::Seats,
    socket::{Join, Link, Outgoing, Visitor},
    ticket::Claims,
};
use crate::{
    protocol::{MapView, MatchResult, Phase, ResultLine, Rules, ServerMessage, close, encode_snapshot},
    sim::{EndReason, Happening, Settings, TICKS_PER_SECOND, Team, World},
};

/// How often a server that was started ahead looks for its match.
const LOOK_EVERY: Duration = Duration::from_millis(10);
const TICK: Duration = Duration::from_nanos(1_000_000_000 / TICKS_PER_SECOND as u64);
const COUNTDOWN: Duration = Duration::from_secs(3);
/// An ended match whose players have all left stays this long, for those who reload.
const EMPTY_RESULT_MAX: Duration = Duration::from_secs(3);
/// What a report that is under way gets when the server is asked to stop.
const REPORT_AFTER_STOP_MAX: Duration = Duration::from_secs(3);

/// The process's one match, from waiting for it to its report.
pub(super) struct Game {
    args: Args,
    environment: Environment,
    greenroom: Greenroom,
    joins: mpsc::Receiver<Join>,
}

/// A match that has players and an arena.
struct Match<'a> {
    args: &'a Args,
    environment: &'a Environment,
    greenroom: &'a Greenroom,
    seats: Seats,
    world: World,
    /// Whether people may take any bot's seat.
    is_open: bool,
    /// What this server was told; tickets of other matches are refused.
    told_id: Option<String>,
    /// What the newest ticket said, and when that was made: stands in where nobody has told it.
    /// Nothing is refused by it, or an old ticket that comes first would lock the others out.
    learned_id: Option<(u64, String)>,
    phase: Phase,
    /// When the phase ends at the latest.
    phase_until: Option<Instant>,
    nobody_since: Option<Instant>,
    frame: u32,
}

/// How a match came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Played,
    Abandoned,
    Stopped,
}

impl Game {
    pub(super) fn new(
        args: Args,
        environment: Environment,
        greenroom: Greenroom,
        joins: mpsc::Receiver<Join>,
    ) -> Self {
        Self { args, environment, greenroom, joins }
    }

    pub(super) async fn run(mut self, stop: &CancellationToken) {
        let Some((assignment, early)) = self.wait_for_assignment(stop).await else {
            return;
        };
        let mut game = Match::new(&self.args, &self.environment, &self.greenroom, &assignment);
        if let Some(join) = early {
            game.join(join);
        }
        game.run(&mut self.joins, stop).await;
    }

    /// The match, and the socket that came with it if it was faster than the next look.
    async fn wait_for_assignment(&mut self, stop: &CancellationToken) -> Option<(Assignment, Option<Join>)> {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let join = tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                join = self.joins.recv() => join,
                _ = looks.tick() => None,
            };
            if let Some(found) = assignment::look(&self.environment) {
                return Some((found, join));
            }
            if let Some(join) = join {
                refuse(&join.link, close::NO_SEAT, "no match has been started here");
            }
        }
    }
}

impl<'a> Match<'a> {
    fn new(
        args: &'a Args,
        environment: &'a Environment,
        greenroom: &'a Greenroom,
        assignment: &Assignment,
    ) -> Self {
        let seed = args.seed.unwrap_or_else(rand::random);
        let seats = Seats::new(assignment, usize::from(args.team_size), args.bots, seed);
        let world = World::new(&Settings {
            seed,
            seats: seats.teams(),
            match_ticks: args.match_seconds * TICKS_PER_SECOND,
            score_limit: args.score_limit,
        });
        let now = Instant::now();
        info!(
            match_id = assignment.match_id,
            players = seats.iter().filter(|seat| !seat.is_bot).count(),
            bots = seats.iter().filter(|seat| seat.is_bot).count(),
            arena = world.map.name,
            seed,
            "match assigned"
        );
        Self {
            args,
            environment,
            greenroom,
            seats,
            world,
            is_open: assignment.members.is_none(),
            told_id: assignment.match_id.clone(),
            learned_id: None,
            phase: Phase::Waiting,
            phase_until: None,
            nobody_since: Some(now),
            frame: 0,
        }
    }

    async fn run(&mut self, joins: &mut mpsc::Receiver<Join>, stop: &CancellationToken) {
        let end = self.play(joins, stop).await;
        let reason = match end {
            End::Stopped => {
                info!("stopping before the match has ended");
                let closing = ServerMessage::Closing { reason: "The server is being stopped." };
                self.seats.broadcast(closing.to_text());
                self.seats.close_all(close::RESTART, "server stops");
                return;
            }
            End::Abandoned => {
                info!("nobody is left");
                "abandoned"
            }
            End::Played => match self.world.outcome.map(|outcome| outcome.reason) {
                Some(EndReason::Score) => "score",
                _ => "time",
            },
        };
        self.end(reason, joins, stop).await;
    }

    /// Ticks until there is an outcome, nobody is left, or the server is stopped.
    async fn play(&mut self, joins: &mut mpsc::Receiver<Join>, stop: &CancellationToken) -> End {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            // Stopping first; joins before ticks, so that a player is in the very next one.
            tokio::select! {
                biased;
                () = stop.cancelled() => return End::Stopped,
                Some(join) = joins.recv() => {
                    self.join(join);
                }
                _ = ticks.tick() => {
                    self.tick();
                    if self.phase == Phase::Ended {
                        return End::Played;
                    }
                    if self.empty_for(Duration::from_secs(self.args.idle_seconds.into())) {
                        return End::Abandoned;
                    }
                }
            }
        }
    }

    /// Reports the end while the scoreboard stands, then lets everybody go.
    async fn end(
        &mut self,
        reason: &'static str,
        joins: &mut mpsc::Receiver<Join>,
        stop: &CancellationToken,
    ) {
        self.phase = Phase::Ended;
        let greenroom = self.greenroom;
        let event = self.ended_event(reason);
        let report = async {
            let Some(event) = event else { return };
            tokio::select! {
                () = greenroom.report(event) => {}
                () = async { stop.cancelled().await; sleep(REPORT_AFTER_STOP_MAX).await } => {
                    warn!("stopped before the end was reported");
                }
            }
        };
        let [a, b] = self.world.scores;
        info!(reason, score_a = a, score_b = b, "match ended");
        let stays = Duration::from_secs(self.args.result_seconds.into());
        let until = Instant::now() + stays;
        self.seats.broadcast(self.result(reason, stays).to_text());
        let scoreboard = async {
            let mut ticks = interval(TICK);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            loop {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    Some(join) = joins.recv() => {
                        if let Some(index) = self.join(join) {
                            let left = until.saturating_duration_since(Instant::now());
                            let result = self.result(reason, left).to_text();
                            self.seats.send(index, result);
                        }
                    }
                    _ = ticks.tick() => {
                        self.notice_who_left();
                        let over = Instant::now() >= until;
                        if over || self.empty_for(EMPTY_RESULT_MAX) {
                            return;
                        }
                    }
                }
            }
        };
        // A report that takes long must not keep the players, nor they it.
        tokio::join!(report, scoreboard);
        self.seats.close_all(close::NORMAL, "match over");
    }

    fn tick(&mut self) {
        self.notice_who_left();
        let inputs = self.seats.inputs(&self.world);
        match self.phase {
            Phase::Waiting | Phase::Countdown => {
                self.world.aim_only(&inputs);
                self.advance_phase();
            }
            Phase::Playing => {
                self.world.step(&inputs);
                for happening in &self.world.happenings {
                    if let Happening::Down { who, by, .. } = *happening {
                        let down = ServerMessage::Down { by, who };
                        self.seats.broadcast(down.to_text());
                    }
                }
                if self.world.outcome.is_some() {
                    self.phase = Phase::Ended;
                }
            }
            Phase::Ended => {}
        }
        self.frame = self.frame.wrapping_add(1);
        if self.seats.anybody_connected() {
            let states = self.seats.states();
            let snapshot = encode_snapshot(&self.world, self.phase, self.frame, &states);
            self.seats.broadcast_snapshot(snapshot);
        }
    }

    fn advance_phase(&mut self) {
        let now = Instant::now();
        let is_due = self.phase_until.is_some_and(|until| now >= until);
        let next = match self.phase {
            Phase::Waiting if self.seats.anybody_connected() => {
                if !is_due && !self.seats.everybody_connected() {
                    return;
                }
                (Phase::Countdown, Some(now + COUNTDOWN))
            }
            Phase::Countdown if is_due => (Phase::Playing, None),
            _ => return,
        };
        (self.phase, self.phase_until) = next;
        info!(phase = ?self.phase, "phase");
        let text = self.phase_message().to_text();
        self.seats.broadcast(text);
    }

    fn notice_who_left(&mut self) {
        if self.seats.drop_gone() {
            self.show_players();
        }
        if self.seats.anybody_connected() {
            self.nobody_since = None;
        } else if self.nobody_since.is_none() {
            self.nobody_since = Some(Instant::now());
        }
    }

    fn empty_for(&self, time: Duration) -> bool {
        // On its own, a server waits for its first player for as long as it takes.
        if self.phase == Phase::Waiting && self.environment.is_standalone() {
            return false;
        }
        (self.nobody_since).is_some_and(|since| since.elapsed() >= time)
    }

    /// Seats who asks, or refuses it; the seat's index.
    fn join(&mut self, join: Join) -> Option<usize> {
        let Join { visitor, link } = join;
        let (index, generation) = match self.seat_for(visitor) {
            Ok(found) => found,
            Err(reason) => {
                info!(reason, "refused");
                refuse(&link, close::NO_SEAT, reason);
                return None;
            }
        };
        self.seats.connect(index, generation, link);
        self.nobody_since = None;
        if self.phase == Phase::Waiting && self.phase_until.is_none() {
            let wait = Duration::from_secs(self.args.wait_seconds.into());
            self.phase_until = Some(Instant::now() + wait);
        }
        let seat = self.seats.seat(index);
        info!(player = %seat.id, seat = index, team = seat.team.letter(), "joined");
        let welcome = self.welcome(index).to_text();
        self.seats.send(index, welcome);
        let phase = self.phase_message().to_text();
        self.seats.send(index, phase);
        self.show_players();
        Some(index)
    }

    fn seat_for(&mut self, visitor: Visitor) -> Result<(usize, u64), &'static str> {
        let claims = match visitor {
            Visitor::Guest { name } => {
                let index = match self.seats.find(&name) {
                    Some(index) => index,
                    None => self.take_free(None, &name, &name)?,
                };
                return Ok((index, 0));
            }
            Visitor::Ticket(claims) => claims,
        };
        self.check_match(&claims)?;
        let generation = claims.generation;
        let index = match self.seats.find(&claims.player) {
            Some(index) if generation < self.seats.seat(index).generation => {
                return Err("a newer ticket was used for this seat");
            }
            Some(index) => index,
            None => self.come_late(&claims)?,
        };
        if let Some(id) = claims.match_id
            && (self.learned_id.as_ref()).is_none_or(|(iat, _)| *iat < claims.iat)
        {
            self.learned_id = Some((claims.iat, id));
        }
        Ok((index, generation))
    }

    /// A seat for a player whom the assignment did not name: in an open match, or by a ticket
    /// for a team of this very match, which is how Greenroom lets somebody in late.
    fn come_late(&mut self, claims: &Claims) -> Result<usize, &'static str> {
        let team = match claims.team.as_deref() {
            Some("A") => Some(Team::A),
            Some("B") => Some(Team::B),
            _ => None,
        };
        let is_sent_here = team.is_some() && self.told_id.is_some();
        if !self.is_open && !is_sent_here {
            return Err("this player is in neither team");
        }
        let name = readable_name(claims.username.as_deref().unwrap_or_default());
        self.take_free(team, &claims.player, &name)
    }

    fn take_free(&mut self, team: Option<Team>, id: &str, name: &str) -> Result<usize, &'static str> {
        let index = self.seats.find_free(team).ok_or("all seats are taken")?;
        self.seats.take(index, id.to_owned(), name.to_owned());
        Ok(index)
    }

    fn check_match(&self, claims: &Claims) -> Result<(), &'static str> {
        if claims.role.as_deref() == Some("spectator") {
            return Err("this game has no seats for spectators");
        }
        if self.told_id.is_some() && claims.match_id != self.told_id {
            return Err("the ticket is for another match");
        }
        Ok(())
    }

    fn match_id(&self) -> Option<&str> {
        let learned = self.learned_id.as_ref().map(|(_, id)| id.as_str());
        self.told_id.as_deref().or(learned)
    }

    fn show_players(&mut self) {
        let players = self.seats.views();
        let text = ServerMessage::Players { players }.to_text();
        self.seats.broadcast(text);
    }

    fn welcome(&self, you: usize) -> ServerMessage<'_> {
        ServerMessage::Welcome {
            you,
            match_id: self.match_id().unwrap_or_default(),
            players: self.seats.views(),
            map: MapView::of(self.world.map),
            rules: Rules::new(self.args.score_limit, u64::from(self.args.match_seconds) * 1000),
        }
    }

    fn phase_message(&self) -> ServerMessage<'static> {
        let now = Instant::now();
        ServerMessage::Phase {
            phase: self.phase,
            in_ms: (self.phase_until).map(|until| until.saturating_duration_since(now).as_millis() as u64),
        }
    }

    fn result(&self, reason: &'static str, stays: Duration) -> ServerMessage<'_> {
        let players = (self.seats.iter().zip(&self.world.players).enumerate())
            .map(|(index, (seat, player))| ResultLine {
                seat: index,
                id: &seat.id,
                name: &seat.name,
                team: seat.team.letter(),
                bot: seat.is_bot,
                takedowns: player.takedowns,
                downs: player.downs,
            })
            .collect();
        ServerMessage::Result(MatchResult {
            winner: self.winner().map(Team::letter),
            reason,
            scores: self.world.scores,
            players,
            duration_ms: self.duration_ms(),
            closes_in_ms: stays.as_millis() as u64,
        })
    }

    fn winner(&self) -> Option<Team> {
        self.world.outcome.and_then(|outcome| outcome.winner)
    }

    fn duration_ms(&self) -> u64 {
        u64::from(self.world.tick) * 1000 / u64::from(TICKS_PER_SECOND)
    }

    /// The event of the match's end (CloudEvents 1.0), if it is known which match this is.
    fn ended_event(&self, reason: &'static str) -> Option<Value> {
        let Some(match_id) = self.match_id() else {
            if !self.environment.is_standalone() {
                warn!("the match has no id; its end is not reported");
            }
            return None;
        };
        let game = self.environment.game.as_deref().unwrap_or("skirmish");
        let server = self.environment.server_id.as_deref().unwrap_or("unknown");
        let winner = self.winner();
        let players: Vec<Value> = (self.seats.iter().zip(&self.world.players))
            .map(|(seat, player)| {
                json!({
                    "id": seat.id,
                    "username": seat.name,
                    "team": seat.team.letter(),
                    "score": player.takedowns,
                    "downs": player.downs,
                    "won": winner == Some(seat.team),
                    "bot": seat.is_bot,
                    "connected": seat.is_connected(),
                })
            })
            .collect();
        let teams = Team::BOTH.map(|team| {
            json!({
                "team": team.letter(),
                "score": self.world.scores[team.index()],
                "won": winner == Some(team),
            })
        });
        Some(json!({
            "specversion": "1.0",
            "id": format!("{match_id}-ended"),
            "source": format!("/servers/{server}"),
            "type": "match.ended",
            "subject": format!("v1.{game}.matches.{match_id}.events.ended"),
            "time": format!("{:.3}", jiff::Timestamp::now()),
            "datacontenttype": "application/json",
            "data": {
                "players": players,
                "teams": teams,
                "arena": self.world.map.name,
                "reason": reason,
                "durationMs": self.duration_ms(),
            },
        }))
    }
}

fn refuse(link: &Link, code: u16, reason: &'static str) {
    let text = ServerMessage::Refused { reason }.to_text();
    let _ = link.outgoing.try_send(Outgoing::Frame(tokio_tungstenite::tungstenite::Message::text(text)));
    let _ = link.outgoing.try_send(Outgoing::Close(code, reason));
}
