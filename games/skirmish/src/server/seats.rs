use tokio_tungstenite::tungstenite::Message;
use tracing::debug;

use super::{
    assignment::Assignment,
    socket::{Link, Outgoing},
};
use crate::{
    bot::{Bot, Skill},
    protocol::{self, NumberedInput, SeatState, close},
    sim::{Input, TEAM_SIZE_MAX, Team, World},
};

/// Ids of the bots that this server adds; other bots were asked for by name.
const FILLER_ID_PREFIX: &str = "bot-filler-";
/// Steps that a connected player's last input goes on when no new one comes.
const INPUT_HELD_TICKS: u32 = 15;
/// Inputs that wait beyond this are caught up with, two a tick.
const INPUTS_WAITING_MAX: usize = 3;

/// The seats of one match, in the order of the world's players.
#[derive(Debug)]
pub(super) struct Seats(Vec<Seat>);

#[derive(Debug)]
pub(super) struct Seat {
    pub id: String,
    pub name: String,
    pub team: Team,
    /// Nobody is expected here.
    pub is_bot: bool,
    /// Of the newest ticket that was used here.
    pub generation: u64,
    link: Option<Link>,
    stand_in: Bot,
    input: Input,
    input_age_ticks: u32,
    acknowledged: u16,
}

impl Seats {
    /// Everybody who was named, then bots until each team has `team_size`, at least one.
    pub(super) fn new(assignment: &Assignment, team_size: usize, skill: Skill, seed: u64) -> Self {
        let mut seats = Vec::new();
        let mut numbers = 1..;
        for team in Team::BOTH {
            let before = seats.len();
            let named = assignment.members.iter().flatten();
            for member in named.filter(|member| member.team == team) {
                seats.push((member.id.clone(), member.name.clone(), team, member.is_bot));
            }
            let wanted = team_size.clamp(1, TEAM_SIZE_MAX);
            while seats.len() - before < wanted {
                let number = numbers.next().unwrap_or_default();
                let id = format!("{FILLER_ID_PREFIX}{number}");
                seats.push((id, format!("Bot {number}"), team, true));
            }
        }
        let seat = |(index, (id, name, team, is_bot)): (usize, (String, String, Team, bool))| Seat {
            id,
            name,
            team,
            is_bot,
            generation: 0,
            link: None,
            stand_in: Bot::new(skill, seed.wrapping_add(1 + index as u64)),
            input: Input::default(),
            input_age_ticks: 0,
            acknowledged: 0,
        };
        Self(seats.into_iter().enumerate().map(seat).collect())
    }

    pub(super) fn teams(&self) -> Vec<Team> {
        self.0.iter().map(|seat| seat.team).collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Seat> {
        self.0.iter()
    }

    pub(super) fn find(&self, id: &str) -> Option<usize> {
        self.0.iter().position(|seat| seat.id == id && !seat.is_bot)
    }

    /// A seat that only fills up a team: on the wanted side, else on the one with fewer people.
    pub(super) fn find_free(&self, wanted: Option<Team>) -> Option<usize> {
        let people = |team: Team| (self.0.iter()).filter(|seat| seat.team == team && !seat.is_bot).count();
        let smaller = if people(Team::B) < people(Team::A) { Team::B } else { Team::A };
        let sides = wanted.map_or(vec![smaller, smaller.other()], |team| vec![team]);
        sides.into_iter().find_map(|team| {
            (self.0.iter()).position(|seat| seat.team == team && seat.id.starts_with(FILLER_ID_PREFIX))
        })
    }

    pub(super) fn take(&mut self, index: usize, id: String, name: String) {
        let seat = &mut self.0[index];
        (seat.id, seat.name, seat.is_bot) = (id, name, false);
    }

    pub(super) fn seat(&self, index: usize) -> &Seat {
        &self.0[index]
    }

    /// Puts a socket at a seat; an older one there is closed.
    pub(super) fn connect(&mut self, index: usize, generation: u64, link: Link) {
        let seat = &mut self.0[index];
        seat.generation = generation;
        seat.input = Input::default();
        seat.input_age_ticks = 0;
        if let Some(older) = seat.link.replace(link) {
            let _ = older.outgoing.try_send(Outgoing::Close(close::REPLACED, "joined from elsewhere"));
        }
    }

    /// Forgets sockets that are gone; whether there were any.
    pub(super) fn drop_gone(&mut self) -> bool {
        let mut any = false;
        for seat in &mut self.0 {
            if seat.link.as_ref().is_some_and(|link| link.outgoing.is_closed()) {
                seat.link = None;
                any = true;
            }
        }
        any
    }

    pub(super) fn anybody_connected(&self) -> bool {
        self.0.iter().any(|seat| seat.link.is_some())
    }

    pub(super) fn everybody_connected(&self) -> bool {
        self.0.iter().all(|seat| seat.is_bot || seat.link.is_some())
    }

    /// What each seat does in the next step: the player at it, or a bot.
    pub(super) fn inputs(&mut self, world: &World) -> Vec<Input> {
        (self.0.iter_mut().enumerate())
            .map(
                |(index, seat)| {
                    if seat.link.is_some() { seat.next_input() } else { seat.stand_in.play(world, index) }
                },
            )
            .collect()
    }

    pub(super) fn states(&self) -> Vec<SeatState> {
        (self.0.iter())
            .map(|seat| SeatState { acknowledged: seat.acknowledged, human: seat.link.is_some() })
            .collect()
    }

    /// To one seat, when somebody is at it.
    pub(super) fn send(&mut self, index: usize, text: String) {
        self.0[index].send_reliably(Message::text(text));
    }

    /// To all: must arrive, or the socket goes.
    pub(super) fn broadcast(&mut self, text: String) {
        let message = Message::text(text);
        for seat in &mut self.0 {
            seat.send_reliably(message.clone());
        }
    }

    /// To all: may be skipped by who is behind, the next one says it anew.
    pub(super) fn broadcast_snapshot(&self, snapshot: bytes::Bytes) {
        let message = Message::Binary(snapshot);
        for link in self.0.iter().filter_map(|seat| seat.link.as_ref()) {
            let _ = link.outgoing.try_send(Outgoing::Frame(message.clone()));
        }
    }

    pub(super) fn close_all(&mut self, code: u16, reason: &'static str) {
        for seat in &mut self.0 {
            if let Some(link) = seat.link.take() {
                let _ = link.outgoing.try_send(Outgoing::Close(code, reason));
            }
        }
    }

    pub(super) fn views(&self) -> Vec<protocol::Seat<'_>> {
        (self.0.iter().enumerate())
            .map(|(index, seat)| protocol::Seat {
                seat: index,
                id: &seat.id,
                name: &seat.name,
                team: seat.team.letter(),
                bot: seat.is_bot,
                connected: seat.link.is_some(),
            })
            .collect()
    }
}

impl Seat {
    pub(super) fn is_connected(&self) -> bool {
        self.link.is_some()
    }

    fn send_reliably(&mut self, message: Message) {
        let Some(link) = &self.link else { return };
        if link.outgoing.try_send(Outgoing::Frame(message)).is_err() {
            debug!(player = %self.id, "cannot keep up and is disconnected");
            self.link = None;
        }
    }

    /// One input a tick, so that the browser's prediction counts the same steps; two when they
    /// pile up. A press of the dash is never lost in that.
    fn next_input(&mut self) -> Input {
        let Some(link) = &mut self.link else {
            return Input::default();
        };
        let mut fresh: Option<NumberedInput> = None;
        let mut dash = false;
        let at_once = if link.inputs.len() > INPUTS_WAITING_MAX { 2 } else { 1 };
        for _ in 0..at_once {
            if let Ok(next) = link.inputs.try_recv() {
                dash |= next.input.dash;
                fresh = Some(next);
            }
        }
        if let Some(next) = fresh {
            self.acknowledged = next.sequence;
            self.input = next.input;
            self.input_age_ticks = 0;
        } else {
            self.input_age_ticks += 1;
            if self.input_age_ticks > INPUT_HELD_TICKS {
                // Somebody whose connection hangs stands still rather than walk on for ever.
                self.input = Input { aim: self.input.aim, ..Input::default() };
            }
        }
        Input { dash: dash || self.input.dash && fresh.is_some(), ..self.input }
    }
}
