use super::{PLAYER_RADIUS, Rect, Rng, TICKS_PER_SECOND, Team, Vec2};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PickupKind {
    Health,
    /// Fires twice as fast for a while.
    Overdrive,
}

impl PickupKind {
    pub(super) fn absent_ticks(self) -> u32 {
        match self {
            Self::Health => 12 * TICKS_PER_SECOND,
            Self::Overdrive => 25 * TICKS_PER_SECOND,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct PickupSpot {
    pub kind: PickupKind,
    pub at: Vec2,
}

/// An arena. Every map looks the same from both sides (turned by half a circle), so neither
/// team has the better half.
#[derive(Debug)]
pub struct Map {
    pub name: &'static str,
    pub width: f32,
    pub height: f32,
    pub obstacles: &'static [Rect],
    /// The zone visits them in turn.
    pub zones: &'static [Vec2],
    pub pickups: &'static [PickupSpot],
    /// Team A's; B's are these, turned by half a circle.
    pub spawns: &'static [Vec2],
}

impl Map {
    pub fn spawn(&self, team: Team, nth: usize) -> Vec2 {
        let spot = self.spawns[nth % self.spawns.len()];
        match team {
            Team::A => spot,
            Team::B => Vec2::new(self.width - spot.x, self.height - spot.y),
        }
    }

    /// Moves a player out of walls and obstacles.
    pub(super) fn keep_inside(&self, position: &mut Vec2) {
        for rect in self.obstacles {
            rect.push_out(position, PLAYER_RADIUS);
        }
        position.x = position.x.clamp(PLAYER_RADIUS, self.width - PLAYER_RADIUS);
        position.y = position.y.clamp(PLAYER_RADIUS, self.height - PLAYER_RADIUS);
    }

    /// Which part of the way is gone at the outer wall, if it is met.
    pub(super) fn leaves_arena(&self, from: Vec2, to: Vec2) -> Option<f32> {
        let mut part: Option<f32> = None;
        for (start, end, limit) in [(from.x, to.x, self.width), (from.y, to.y, self.height)] {
            let met = if end < 0.0 {
                start / (start - end)
            } else if end > limit {
                (limit - start) / (end - start)
            } else {
                continue;
            };
            part = Some(part.map_or(met, |other| other.min(met)));
        }
        part
    }
}

pub(super) fn choose(rng: &mut Rng) -> &'static Map {
    MAPS[rng.below(MAPS.len())]
}

pub(super) static MAPS: [&Map; 3] = [&CROSSROADS, &CANALS, &FOUNDRY];

const WIDTH: f32 = 1800.0;
const HEIGHT: f32 = 1100.0;

const SPAWNS: &[Vec2] = &[
    Vec2::new(90.0, 550.0),
    Vec2::new(90.0, 430.0),
    Vec2::new(90.0, 670.0),
    Vec2::new(90.0, 310.0),
    Vec2::new(90.0, 790.0),
    Vec2::new(90.0, 190.0),
    Vec2::new(90.0, 910.0),
    Vec2::new(160.0, 550.0),
];

const fn health(x: f32, y: f32) -> PickupSpot {
    PickupSpot { kind: PickupKind::Health, at: Vec2::new(x, y) }
}

const fn overdrive(x: f32, y: f32) -> PickupSpot {
    PickupSpot { kind: PickupKind::Overdrive, at: Vec2::new(x, y) }
}

static CROSSROADS: Map = Map {
    name: "Crossroads",
    width: WIDTH,
    height: HEIGHT,
    obstacles: &[
        Rect::new(260.0, 440.0, 50.0, 220.0),
        Rect::new(1490.0, 440.0, 50.0, 220.0),
        Rect::new(420.0, 180.0, 190.0, 60.0),
        Rect::new(1190.0, 860.0, 190.0, 60.0),
        Rect::new(420.0, 860.0, 190.0, 60.0),
        Rect::new(1190.0, 180.0, 190.0, 60.0),
        Rect::new(640.0, 400.0, 60.0, 110.0),
        Rect::new(1100.0, 590.0, 60.0, 110.0),
        Rect::new(640.0, 590.0, 60.0, 110.0),
        Rect::new(1100.0, 400.0, 60.0, 110.0),
        Rect::new(820.0, 300.0, 160.0, 50.0),
        Rect::new(820.0, 750.0, 160.0, 50.0),
    ],
    zones: &[Vec2::new(900.0, 550.0), Vec2::new(900.0, 160.0), Vec2::new(900.0, 940.0)],
    pickups: &[
        health(470.0, 550.0),
        health(1330.0, 550.0),
        health(350.0, 1010.0),
        health(1450.0, 90.0),
        overdrive(350.0, 90.0),
        overdrive(1450.0, 1010.0),
    ],
    spawns: SPAWNS,
};

static CANALS: Map = Map {
    name: "Canals",
    width: WIDTH,
    height: HEIGHT,
    obstacles: &[
        Rect::new(300.0, 140.0, 60.0, 300.0),
        Rect::new(1440.0, 660.0, 60.0, 300.0),
        Rect::new(300.0, 620.0, 60.0, 200.0),
        Rect::new(1440.0, 280.0, 60.0, 200.0),
        Rect::new(520.0, 320.0, 240.0, 56.0),
        Rect::new(1040.0, 724.0, 240.0, 56.0),
        Rect::new(520.0, 840.0, 200.0, 56.0),
        Rect::new(1080.0, 204.0, 200.0, 56.0),
        Rect::new(560.0, 550.0, 90.0, 90.0),
        Rect::new(1150.0, 460.0, 90.0, 90.0),
        Rect::new(870.0, 90.0, 60.0, 190.0),
        Rect::new(870.0, 820.0, 60.0, 190.0),
    ],
    zones: &[Vec2::new(900.0, 550.0), Vec2::new(620.0, 190.0), Vec2::new(1180.0, 910.0)],
    pickups: &[
        health(450.0, 480.0),
        health(1350.0, 620.0),
        health(760.0, 1000.0),
        health(1040.0, 100.0),
        overdrive(230.0, 1000.0),
        overdrive(1570.0, 100.0),
    ],
    spawns: SPAWNS,
};

static FOUNDRY: Map = Map {
    name: "Foundry",
    width: WIDTH,
    height: HEIGHT,
    obstacles: &[
        Rect::new(250.0, 250.0, 110.0, 110.0),
        Rect::new(1440.0, 740.0, 110.0, 110.0),
        Rect::new(250.0, 740.0, 110.0, 110.0),
        Rect::new(1440.0, 250.0, 110.0, 110.0),
        Rect::new(520.0, 120.0, 56.0, 260.0),
        Rect::new(1224.0, 720.0, 56.0, 260.0),
        Rect::new(520.0, 720.0, 56.0, 260.0),
        Rect::new(1224.0, 120.0, 56.0, 260.0),
        Rect::new(420.0, 522.0, 180.0, 56.0),
        Rect::new(1200.0, 522.0, 180.0, 56.0),
        Rect::new(760.0, 330.0, 80.0, 80.0),
        Rect::new(960.0, 690.0, 80.0, 80.0),
        Rect::new(960.0, 330.0, 80.0, 80.0),
        Rect::new(760.0, 690.0, 80.0, 80.0),
    ],
    zones: &[Vec2::new(900.0, 550.0), Vec2::new(900.0, 900.0), Vec2::new(900.0, 200.0)],
    pickups: &[
        health(680.0, 550.0),
        health(1120.0, 550.0),
        health(400.0, 90.0),
        health(1400.0, 1010.0),
        overdrive(400.0, 1010.0),
        overdrive(1400.0, 90.0),
    ],
    spawns: SPAWNS,
};
