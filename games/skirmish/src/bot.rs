//! Who plays the seats that no person is at. Pure: a bot sees the world and its own memory and
//! answers with an input.

use std::collections::VecDeque;

use crate::sim::{HEALTH_MAX, Input, Map, PLAYER_RADIUS, PickupKind, Rng, Team, Vec2, World, ZONE_RADIUS};

#[cfg(test)]
mod tests;

/// How well a bot plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Skill {
    Easy,
    Normal,
    Hard,
}

impl Skill {
    /// Steps between seeing and shooting.
    fn reaction_ticks(self) -> u32 {
        match self {
            Self::Easy => 22,
            Self::Normal => 13,
            Self::Hard => 7,
        }
    }

    /// The largest error of aim, in radians.
    fn aim_error(self) -> f32 {
        match self {
            Self::Easy => 0.22,
            Self::Normal => 0.12,
            Self::Hard => 0.05,
        }
    }

    fn sight(self) -> f32 {
        match self {
            Self::Easy => 480.0,
            Self::Normal => 580.0,
            Self::Hard => 680.0,
        }
    }
}

const THINK_TICKS: u32 = 10;
const LOW_HEALTH: i32 = 45;

/// What one bot remembers between steps.
#[derive(Clone, Debug)]
pub struct Bot {
    skill: Skill,
    rng: Rng,
    think_in_ticks: u32,
    goal: Vec2,
    waypoint: Vec2,
    target: Option<usize>,
    seen_ticks: u32,
    aim: f32,
    aim_error: f32,
    strafe: f32,
    dash: bool,
}

impl Bot {
    pub fn new(skill: Skill, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        Self {
            skill,
            think_in_ticks: rng.below(THINK_TICKS as usize) as u32,
            goal: Vec2::ZERO,
            waypoint: Vec2::ZERO,
            target: None,
            seen_ticks: 0,
            aim: 0.0,
            aim_error: 0.0,
            strafe: 1.0,
            dash: false,
            rng,
        }
    }

    /// What the bot does in the next step at this seat.
    pub fn play(&mut self, world: &World, seat: usize) -> Input {
        let Some(me) = world.players.get(seat) else {
            return Input::default();
        };
        if !me.is_alive() {
            self.think_in_ticks = 0;
            self.seen_ticks = 0;
            return Input { aim: self.aim, ..Input::default() };
        }
        if self.think_in_ticks == 0 {
            self.think_in_ticks = THINK_TICKS;
            self.think(world, seat);
        }
        self.think_in_ticks -= 1;

        let mut direction = (self.waypoint - me.position).unit_or(Vec2::ZERO);
        if me.position.distance(self.goal) < 30.0 {
            direction = Vec2::ZERO;
        }
        let mut wanted_aim = if direction == Vec2::ZERO { self.aim } else { direction.angle() };
        let mut fire = false;
        let target = (self.target)
            .and_then(|target| world.players.get(target))
            .filter(|enemy| enemy.is_alive() && world.sees(me.position, enemy.position));
        if let Some(enemy) = target {
            self.seen_ticks += 1;
            let distance = me.position.distance(enemy.position);
            let lead = enemy.position + enemy.velocity * (distance / 960.0 * 0.8);
            wanted_aim = (lead - me.position).angle() + self.aim_error;
            fire = self.seen_ticks > self.skill.reaction_ticks()
                && distance < self.skill.sight() + 60.0
                && turn_between(self.aim, wanted_aim).abs() < 0.25;
            direction = self.dance(me.position, enemy.position, direction);
        } else {
            self.seen_ticks = 0;
        }
        self.aim += turn_between(self.aim, wanted_aim).clamp(-0.28, 0.28);
        Input { direction, aim: self.aim, fire, dash: std::mem::take(&mut self.dash) }
    }

    /// Sideways while fighting, and neither too near nor too far.
    fn dance(&self, me: Vec2, enemy: Vec2, towards_goal: Vec2) -> Vec2 {
        let to_enemy = (enemy - me).unit_or(Vec2::new(1.0, 0.0));
        let sideways = Vec2::new(-to_enemy.y, to_enemy.x) * self.strafe;
        let distance = me.distance(enemy);
        let closing = if distance < 170.0 {
            -0.8
        } else if distance > 400.0 {
            0.5
        } else {
            0.0
        };
        (sideways * 0.8 + to_enemy * closing + towards_goal * 0.7).shortened_to(1.0)
    }

    fn think(&mut self, world: &World, seat: usize) {
        let me = &world.players[seat];
        self.target = nearest_visible_enemy(world, seat, self.skill.sight());
        self.aim_error = (self.rng.fraction() - 0.5) * 2.0 * self.skill.aim_error();
        if self.rng.fraction() < 0.25 {
            self.strafe = -self.strafe;
        }
        let in_trouble = me.health < LOW_HEALTH && self.target.is_some();
        let chance = if in_trouble { 0.35 } else { 0.03 };
        self.dash = self.skill != Skill::Easy && self.rng.fraction() < chance;
        self.goal = self.choose_goal(world, seat);
        self.waypoint = next_waypoint(world.map, me.position, self.goal);
    }

    fn choose_goal(&mut self, world: &World, seat: usize) -> Vec2 {
        let me = &world.players[seat];
        let wanted = if me.health < LOW_HEALTH {
            Some(PickupKind::Health)
        } else if self.target.is_none() && me.overdrive_ticks == 0 && me.health == HEALTH_MAX {
            Some(PickupKind::Overdrive)
        } else {
            None
        };
        let reach = if wanted == Some(PickupKind::Health) { 650.0 } else { 260.0 };
        let pickup = (world.pickups.iter())
            .filter(|pickup| pickup.absent_ticks == 0 && Some(pickup.spot.kind) == wanted)
            .map(|pickup| pickup.spot.at)
            .filter(|at| at.distance(me.position) < reach)
            .min_by(|one, two| one.distance(me.position).total_cmp(&two.distance(me.position)));
        if let Some(at) = pickup {
            return at;
        }
        // Every third seat hunts, the others care for the zone.
        if seat % 3 == 2
            && let Some(enemy) = nearest_enemy(world, seat)
        {
            return world.players[enemy].position;
        }
        let at_zone = me.position.distance(world.zone.centre) < ZONE_RADIUS * 0.8;
        if at_zone && self.rng.fraction() < 0.7 {
            return self.goal;
        }
        let around = Vec2::from_angle(self.rng.fraction() * std::f32::consts::TAU);
        world.zone.centre + around * (self.rng.fraction() * ZONE_RADIUS * 0.7)
    }
}

fn nearest_enemy(world: &World, seat: usize) -> Option<usize> {
    let me = &world.players[seat];
    living_enemies(world, me.team).min_by(|&one, &two| {
        let distance = |index: usize| world.players[index].position.distance(me.position);
        distance(one).total_cmp(&distance(two))
    })
}

fn nearest_visible_enemy(world: &World, seat: usize, sight: f32) -> Option<usize> {
    let me = &world.players[seat];
    living_enemies(world, me.team)
        .filter(|&index| {
            let enemy = &world.players[index];
            enemy.protected_ticks == 0
                && enemy.position.distance(me.position) < sight
                && world.sees(me.position, enemy.position)
        })
        .min_by(|&one, &two| {
            let distance = |index: usize| world.players[index].position.distance(me.position);
            distance(one).total_cmp(&distance(two))
        })
}

fn living_enemies(world: &World, team: Team) -> impl Iterator<Item = usize> {
    (world.players.iter().enumerate())
        .filter(move |(_, player)| player.is_alive() && player.team != team)
        .map(|(index, _)| index)
}

/// The shortest turn from one angle to another.
fn turn_between(from: f32, to: f32) -> f32 {
    let turn = (to - from).rem_euclid(std::f32::consts::TAU);
    if turn > std::f32::consts::PI { turn - std::f32::consts::TAU } else { turn }
}

const CELL: f32 = 50.0;

/// Where to walk next on the way to `goal`: the goal itself when the way is free, else the
/// farthest visible cell of a shortest way over a coarse grid.
fn next_waypoint(map: &Map, from: Vec2, goal: Vec2) -> Vec2 {
    if way_is_free(map, from, goal) {
        return goal;
    }
    let columns = (map.width / CELL).ceil() as usize;
    let rows = (map.height / CELL).ceil() as usize;
    let cell_of = |at: Vec2| {
        let column = ((at.x / CELL).max(0.0) as usize).min(columns - 1);
        let row = ((at.y / CELL).max(0.0) as usize).min(rows - 1);
        row * columns + column
    };
    let centre_of = |cell: usize| {
        Vec2::new(((cell % columns) as f32 + 0.5) * CELL, ((cell / columns) as f32 + 0.5) * CELL)
    };
    let (start, end) = (cell_of(from), cell_of(goal));
    // Breadth first from the goal, so that the steps of the way come out in walking order.
    let mut next: Vec<Option<usize>> = vec![None; columns * rows];
    let mut queue = VecDeque::from([end]);
    next[end] = Some(end);
    while let Some(cell) = queue.pop_front() {
        if cell == start {
            break;
        }
        let (column, row) = (cell % columns, cell / columns);
        let neighbours = [
            (column > 0).then(|| cell - 1),
            (column + 1 < columns).then(|| cell + 1),
            (row > 0).then(|| cell - columns),
            (row + 1 < rows).then(|| cell + columns),
        ];
        for neighbour in neighbours.into_iter().flatten() {
            if next[neighbour].is_none() && (neighbour == start || stands_free(map, centre_of(neighbour))) {
                next[neighbour] = Some(cell);
                queue.push_back(neighbour);
            }
        }
    }
    let mut waypoint = goal;
    let mut cell = start;
    for step in 0..14 {
        let Some(following) = next[cell] else { break };
        let centre = centre_of(following);
        if step > 0 && !way_is_free(map, from, centre) {
            break;
        }
        waypoint = centre;
        if following == cell {
            break;
        }
        cell = following;
    }
    waypoint
}

fn stands_free(map: &Map, at: Vec2) -> bool {
    (map.obstacles.iter()).all(|rect| rect.nearest(at).distance(at) > PLAYER_RADIUS)
}

/// Whether a player could walk straight: both edges of its body have a free line.
fn way_is_free(map: &Map, from: Vec2, to: Vec2) -> bool {
    let along = (to - from).unit_or(Vec2::new(1.0, 0.0));
    let aside = Vec2::new(-along.y, along.x) * (PLAYER_RADIUS + 2.0);
    (map.obstacles.iter()).all(|rect| {
        rect.crossed_by(from + aside, to + aside).is_none()
            && rect.crossed_by(from - aside, to - aside).is_none()
    })
}
