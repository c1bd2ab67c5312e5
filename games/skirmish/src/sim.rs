//! The rules of the game: plain data, a fixed step, no clock and no I/O.
//!
//! A [`World`] made from the same [`Settings`] and given the same inputs goes the same way,
//! step for step. The browser repeats the movement half of [`World::step`] to predict its own
//! player; the constants it needs are sent in the welcome message, never written down twice.

mod geometry;
mod map;
mod rng;
#[cfg(test)]
mod tests;

pub use geometry::{Rect, Vec2};
pub use map::{Map, PickupKind, PickupSpot};
pub use rng::Rng;

/// How many steps make a second.
pub const TICKS_PER_SECOND: u32 = 30;
/// The time one step covers.
pub const STEP_SECONDS: f32 = 1.0 / TICKS_PER_SECOND as f32;
/// The largest team.
pub const TEAM_SIZE_MAX: usize = 8;
/// The most players in a world.
pub const PLAYERS_MAX: usize = 2 * TEAM_SIZE_MAX;
/// The most shots in flight. A trigger pulled beyond that does nothing.
pub const SHOTS_MAX: usize = 128;

/// Radius of a player, in world units.
pub const PLAYER_RADIUS: f32 = 18.0;
/// Top speed on foot, in units a second.
pub const RUN_SPEED: f32 = 285.0;
/// How fast the velocity approaches what the player asks for, per second.
pub const RUN_RESPONSE: f32 = 14.0;
/// Speed during a dash, in units a second.
pub const DASH_SPEED: f32 = 880.0;
/// Length of a dash, in steps.
pub const DASH_TICKS: u32 = 5;
/// Steps from one dash to the next.
pub const DASH_COOLDOWN_TICKS: u32 = 66;
/// Radius of the zone, in world units.
pub const ZONE_RADIUS: f32 = 125.0;
/// Full health.
pub const HEALTH_MAX: i32 = 100;
/// Steps from a takedown to the return.
pub const RESPAWN_TICKS: u32 = 90;

const PROTECTED_TICKS: u32 = 45;
const SHOT_SPEED: f32 = 960.0;
const SHOT_LIFE_TICKS: u32 = 24;
const SHOT_DAMAGE: i32 = 16;
const SHOT_SPREAD: f32 = 0.035;
const FIRE_TICKS: u32 = 6;
const FIRE_TICKS_OVERDRIVE: u32 = 3;
const OVERDRIVE_TICKS: u32 = 7 * TICKS_PER_SECOND;
const PICKUP_RADIUS: f32 = 34.0;
const PICKUP_HEALTH: i32 = 45;
const ZONE_CAPTURE_PER_TICK: f32 = 1.0 / (1.8 * TICKS_PER_SECOND as f32);
const ZONE_POINT_TICKS: u32 = 4 * TICKS_PER_SECOND;
const ZONE_MOVES_TICKS: u32 = 40 * TICKS_PER_SECOND;

/// One of the two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Team {
    A,
    B,
}

impl Team {
    pub const BOTH: [Self; 2] = [Self::A, Self::B];

    pub fn index(self) -> usize {
        match self {
            Self::A => 0,
            Self::B => 1,
        }
    }

    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    pub fn letter(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
        }
    }
}

/// What one player wants in one step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Input {
    /// Wanted direction of movement; anything longer than 1 is shortened to it, anything that
    /// is no number stands still.
    pub direction: Vec2,
    /// Where the player looks, in radians; kept as it was when it is no number.
    pub aim: f32,
    pub fire: bool,
    pub dash: bool,
}

/// What a match is made of.
#[derive(Clone, Debug)]
pub struct Settings {
    pub seed: u64,
    /// The side of each seat, in seat order; at most [`PLAYERS_MAX`].
    pub seats: Vec<Team>,
    pub match_ticks: u32,
    pub score_limit: u32,
}

#[derive(Clone, Debug)]
pub struct Player {
    pub team: Team,
    pub position: Vec2,
    pub velocity: Vec2,
    pub aim: f32,
    pub health: i32,
    /// Steps until the player is back; 0 while in play.
    pub respawn_ticks: u32,
    pub protected_ticks: u32,
    pub dash_ticks: u32,
    pub dash_cooldown_ticks: u32,
    pub overdrive_ticks: u32,
    pub takedowns: u32,
    pub downs: u32,
    dash_direction: Vec2,
    fire_cooldown_ticks: u32,
}

impl Player {
    pub fn is_alive(&self) -> bool {
        self.respawn_ticks == 0
    }
}

#[derive(Clone, Debug)]
pub struct Shot {
    pub id: u16,
    pub by: usize,
    pub position: Vec2,
    pub angle: f32,
    life_ticks: u32,
}

#[derive(Clone, Debug)]
pub struct Pickup {
    pub spot: PickupSpot,
    /// Steps until it is there again; 0 while it can be taken.
    pub absent_ticks: u32,
}

#[derive(Clone, Debug)]
pub struct Zone {
    pub centre: Vec2,
    pub owner: Option<Team>,
    /// -1 is wholly A's, 1 wholly B's.
    pub progress: f32,
    pub contested: bool,
    spot: usize,
    point_ticks: u32,
    moves_in_ticks: u32,
}

/// What happened in the last step, for those who show it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Happening {
    Spark { at: Vec2 },
    Hit { at: Vec2, who: usize, by: usize },
    Down { at: Vec2, who: usize, by: usize },
    Spawn { at: Vec2, who: usize },
    Dash { at: Vec2, who: usize },
    Taken { at: Vec2, who: usize, kind: PickupKind },
    ZoneTaken { at: Vec2, team: Team },
    ZoneMoved { at: Vec2 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    Score,
    Time,
}

/// How a match ended; no winner is a draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub winner: Option<Team>,
    pub reason: EndReason,
}

#[derive(Clone, Debug)]
pub struct World {
    pub tick: u32,
    pub map: &'static Map,
    pub players: Vec<Player>,
    pub shots: Vec<Shot>,
    pub pickups: Vec<Pickup>,
    pub zone: Zone,
    /// Points of A and of B.
    pub scores: [u32; 2],
    pub outcome: Option<Outcome>,
    /// Of the last step only.
    pub happenings: Vec<Happening>,
    match_ticks: u32,
    score_limit: u32,
    next_shot_id: u16,
    rng: Rng,
}

impl World {
    /// Everybody at their own side's spawn points, nothing moving yet.
    pub fn new(settings: &Settings) -> Self {
        let mut rng = Rng::new(settings.seed);
        let map = map::choose(&mut rng);
        let mut placed = [0usize; 2];
        let players = settings
            .seats
            .iter()
            .take(PLAYERS_MAX)
            .map(|&team| {
                let nth = placed[team.index()];
                placed[team.index()] += 1;
                Player::new(team, map.spawn(team, nth))
            })
            .collect();
        Self {
            tick: 0,
            map,
            players,
            shots: Vec::with_capacity(SHOTS_MAX),
            pickups: map.pickups.iter().map(|&spot| Pickup { spot, absent_ticks: 0 }).collect(),
            zone: Zone {
                centre: map.zones[0],
                owner: None,
                progress: 0.0,
                contested: false,
                spot: 0,
                point_ticks: 0,
                moves_in_ticks: ZONE_MOVES_TICKS,
            },
            scores: [0, 0],
            outcome: None,
            happenings: Vec::new(),
            match_ticks: settings.match_ticks,
            score_limit: settings.score_limit.max(1),
            next_shot_id: 0,
            rng,
        }
    }

    pub fn ticks_left(&self) -> u32 {
        self.match_ticks.saturating_sub(self.tick)
    }

    pub fn score_limit(&self) -> u32 {
        self.score_limit
    }

    /// Whether nothing stands between two points.
    pub fn sees(&self, from: Vec2, to: Vec2) -> bool {
        self.map.obstacles.iter().all(|rect| rect.crossed_by(from, to).is_none())
    }

    /// Turns players without moving anything: what may happen before the match begins.
    pub fn aim_only(&mut self, inputs: &[Input]) {
        for (player, input) in self.players.iter_mut().zip(inputs) {
            if input.aim.is_finite() {
                player.aim = input.aim;
            }
        }
    }

    /// Goes one step on. A seat without an input stands still; a match that has ended stays
    /// as it is.
    pub fn step(&mut self, inputs: &[Input]) {
        self.happenings.clear();
        if self.outcome.is_some() {
            return;
        }
        self.tick += 1;
        self.step_players(inputs);
        self.separate_players();
        self.step_shots();
        self.step_pickups();
        self.step_zone();
        self.decide();
    }

    fn step_players(&mut self, inputs: &[Input]) {
        for index in 0..self.players.len() {
            let input = inputs.get(index).copied().unwrap_or_default();
            if self.players[index].is_alive() {
                self.step_player(index, input);
            } else {
                self.players[index].respawn_ticks -= 1;
                if self.players[index].is_alive() {
                    self.respawn(index);
                }
            }
        }
    }

    fn step_player(&mut self, index: usize, input: Input) {
        let map = self.map;
        let player = &mut self.players[index];
        if input.aim.is_finite() {
            player.aim = input.aim;
        }
        player.protected_ticks = player.protected_ticks.saturating_sub(1);
        player.overdrive_ticks = player.overdrive_ticks.saturating_sub(1);
        player.fire_cooldown_ticks = player.fire_cooldown_ticks.saturating_sub(1);
        let wanted = input.direction.finite_or_zero().shortened_to(1.0);
        let dashed = player.walk(wanted, input.dash);
        map.keep_inside(&mut player.position);
        if dashed {
            let at = player.position;
            self.happenings.push(Happening::Dash { at, who: index });
        }
        if input.fire {
            self.fire(index);
        }
    }

    fn fire(&mut self, index: usize) {
        let spread = (self.rng.fraction() - 0.5) * 2.0 * SHOT_SPREAD;
        let player = &mut self.players[index];
        if player.fire_cooldown_ticks > 0 || self.shots.len() >= SHOTS_MAX {
            return;
        }
        player.fire_cooldown_ticks =
            if player.overdrive_ticks > 0 { FIRE_TICKS_OVERDRIVE } else { FIRE_TICKS };
        player.protected_ticks = 0;
        self.next_shot_id = self.next_shot_id.wrapping_add(1);
        self.shots.push(Shot {
            id: self.next_shot_id,
            by: index,
            // From the middle of the player, so that a muzzle held into a wall hits the wall.
            position: player.position,
            angle: player.aim + spread,
            life_ticks: SHOT_LIFE_TICKS,
        });
    }

    fn respawn(&mut self, index: usize) {
        let team = self.players[index].team;
        let mut best = (f32::MIN, self.map.spawn(team, 0));
        for nth in 0..self.map.spawns.len() {
            let spot = self.map.spawn(team, nth);
            let nearest_enemy = self
                .players
                .iter()
                .filter(|other| other.is_alive() && other.team != team)
                .map(|other| other.position.distance(spot))
                .fold(900.0, f32::min);
            let worth = nearest_enemy + self.rng.fraction() * 120.0;
            if worth > best.0 {
                best = (worth, spot);
            }
        }
        let player = &mut self.players[index];
        let (takedowns, downs) = (player.takedowns, player.downs);
        *player = Player::new(team, best.1);
        (player.takedowns, player.downs) = (takedowns, downs);
        player.protected_ticks = PROTECTED_TICKS;
        let at = player.position;
        self.happenings.push(Happening::Spawn { at, who: index });
    }

    fn separate_players(&mut self) {
        for first in 0..self.players.len() {
            for second in first + 1..self.players.len() {
                let (one, two) = (&self.players[first], &self.players[second]);
                if !one.is_alive() || !two.is_alive() {
                    continue;
                }
                let between = two.position - one.position;
                let overlap = 2.0 * PLAYER_RADIUS - between.length();
                if overlap <= 0.0 {
                    continue;
                }
                let away = between.unit_or(Vec2::new(1.0, 0.0)) * (overlap * 0.25);
                self.players[first].position = self.players[first].position - away;
                self.players[second].position = self.players[second].position + away;
                self.map.keep_inside(&mut self.players[first].position);
                self.map.keep_inside(&mut self.players[second].position);
            }
        }
    }

    fn step_shots(&mut self) {
        let mut shots = std::mem::take(&mut self.shots);
        shots.retain_mut(|shot| self.step_shot(shot));
        self.shots = shots;
    }

    /// Whether the shot flies on.
    fn step_shot(&mut self, shot: &mut Shot) -> bool {
        let from = shot.position;
        let to = from + Vec2::from_angle(shot.angle) * (SHOT_SPEED * STEP_SECONDS);
        let mut wall = self.map.leaves_arena(from, to);
        for rect in self.map.obstacles {
            if let Some(part) = rect.crossed_by(from, to) {
                wall = Some(wall.map_or(part, |other: f32| other.min(part)));
            }
        }
        let team = self.players[shot.by].team;
        let mut struck: Option<(f32, usize)> = None;
        for (index, player) in self.players.iter().enumerate() {
            if player.team == team || !player.is_alive() {
                continue;
            }
            if let Some(part) = geometry::circle_hit(from, to, player.position, PLAYER_RADIUS + 4.0)
                && struck.is_none_or(|(nearest, _)| part < nearest)
            {
                struck = Some((part, index));
            }
        }
        if let Some((part, who)) = struck
            && wall.is_none_or(|wall| part <= wall)
        {
            self.hurt(who, shot.by, from + (to - from) * part);
            return false;
        }
        if let Some(part) = wall {
            let at = from + (to - from) * part;
            self.happenings.push(Happening::Spark { at });
            return false;
        }
        shot.position = to;
        shot.life_ticks -= 1;
        shot.life_ticks > 0
    }

    fn hurt(&mut self, who: usize, by: usize, at: Vec2) {
        let player = &mut self.players[who];
        if player.protected_ticks > 0 || player.dash_ticks > 0 {
            self.happenings.push(Happening::Spark { at });
            return;
        }
        player.health -= SHOT_DAMAGE;
        self.happenings.push(Happening::Hit { at, who, by });
        if player.health > 0 {
            return;
        }
        player.health = 0;
        player.downs += 1;
        player.respawn_ticks = RESPAWN_TICKS;
        player.velocity = Vec2::ZERO;
        let at = player.position;
        self.players[by].takedowns += 1;
        self.scores[self.players[by].team.index()] += 1;
        self.happenings.push(Happening::Down { at, who, by });
    }

    fn step_pickups(&mut self) {
        for pickup in &mut self.pickups {
            if pickup.absent_ticks > 0 {
                pickup.absent_ticks -= 1;
                continue;
            }
            let kind = pickup.spot.kind;
            let taker = self.players.iter_mut().enumerate().find(|(_, player)| {
                player.is_alive()
                    && player.position.distance(pickup.spot.at) < PICKUP_RADIUS
                    && (kind != PickupKind::Health || player.health < HEALTH_MAX)
            });
            let Some((who, player)) = taker else { continue };
            match kind {
                PickupKind::Health => {
                    player.health = (player.health + PICKUP_HEALTH).min(HEALTH_MAX);
                }
                PickupKind::Overdrive => player.overdrive_ticks = OVERDRIVE_TICKS,
            }
            pickup.absent_ticks = kind.absent_ticks();
            self.happenings.push(Happening::Taken { at: pickup.spot.at, who, kind });
        }
    }

    fn step_zone(&mut self) {
        let zone = &mut self.zone;
        zone.moves_in_ticks -= 1;
        if zone.moves_in_ticks == 0 {
            zone.moves_in_ticks = ZONE_MOVES_TICKS;
            zone.spot = (zone.spot + 1) % self.map.zones.len();
            zone.centre = self.map.zones[zone.spot];
            zone.owner = None;
            zone.progress = 0.0;
            zone.point_ticks = 0;
            self.happenings.push(Happening::ZoneMoved { at: zone.centre });
        }
        let mut inside = [0u8; 2];
        for player in &self.players {
            if player.is_alive() && player.position.distance(zone.centre) < ZONE_RADIUS {
                inside[player.team.index()] += 1;
            }
        }
        zone.contested = inside[0] > 0 && inside[1] > 0;
        let holder = match inside {
            [0, 0] => None,
            [_, 0] => Some(Team::A),
            [0, _] => Some(Team::B),
            _ => None,
        };
        if let Some(team) = holder {
            let many = f32::from(inside[team.index()].min(3));
            let side = if team == Team::A { -1.0 } else { 1.0 };
            let pace = ZONE_CAPTURE_PER_TICK * (0.7 + 0.3 * many);
            zone.progress = (zone.progress + side * pace).clamp(-1.0, 1.0);
            if zone.progress * side >= 1.0 && zone.owner != Some(team) {
                zone.owner = Some(team);
                zone.point_ticks = 0;
                self.happenings.push(Happening::ZoneTaken { at: zone.centre, team });
            }
        }
        if let Some(team) = zone.owner
            && !zone.contested
        {
            zone.point_ticks += 1;
            if zone.point_ticks >= ZONE_POINT_TICKS {
                zone.point_ticks = 0;
                self.scores[team.index()] += 1;
            }
        }
    }

    fn decide(&mut self) {
        let [a, b] = self.scores;
        let limit_reached = a >= self.score_limit || b >= self.score_limit;
        let out_of_time = self.tick >= self.match_ticks;
        if !limit_reached && !out_of_time {
            return;
        }
        self.outcome = Some(Outcome {
            winner: match a.cmp(&b) {
                std::cmp::Ordering::Greater => Some(Team::A),
                std::cmp::Ordering::Less => Some(Team::B),
                std::cmp::Ordering::Equal => None,
            },
            reason: if limit_reached { EndReason::Score } else { EndReason::Time },
        });
    }
}

impl Player {
    fn new(team: Team, position: Vec2) -> Self {
        Self {
            team,
            position,
            velocity: Vec2::ZERO,
            aim: if team == Team::A { 0.0 } else { std::f32::consts::PI },
            health: HEALTH_MAX,
            respawn_ticks: 0,
            protected_ticks: 0,
            dash_ticks: 0,
            dash_cooldown_ticks: 0,
            overdrive_ticks: 0,
            takedowns: 0,
            downs: 0,
            dash_direction: Vec2::ZERO,
            fire_cooldown_ticks: 0,
        }
    }

    /// Moves one step; whether a dash began with it. The browser's `predict.js` does the same.
    fn walk(&mut self, wanted: Vec2, dash: bool) -> bool {
        self.dash_cooldown_ticks = self.dash_cooldown_ticks.saturating_sub(1);
        let begins = dash && self.dash_cooldown_ticks == 0 && self.dash_ticks == 0;
        if begins {
            self.dash_direction = wanted.unit_or(Vec2::from_angle(self.aim));
            self.dash_ticks = DASH_TICKS;
            self.dash_cooldown_ticks = DASH_COOLDOWN_TICKS;
        }
        if self.dash_ticks > 0 {
            self.dash_ticks -= 1;
            self.velocity = self.dash_direction * DASH_SPEED;
            if self.dash_ticks == 0 {
                self.velocity = self.dash_direction * RUN_SPEED;
            }
        } else {
            let gap = wanted * RUN_SPEED - self.velocity;
            self.velocity = self.velocity + gap * (RUN_RESPONSE * STEP_SECONDS).min(1.0);
        }
        self.position = self.position + self.velocity * STEP_SECONDS;
        begins
    }
}
