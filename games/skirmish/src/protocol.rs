//! What server and browser say to each other; the folder's README has the tables.
//!
//! Sockets carry two kinds of frames: text frames are JSON and rare ([`ServerMessage`]);
//! binary frames are compact and frequent: snapshots to the browser ([`encode_snapshot`]),
//! inputs to the server ([`decode_input`]). All numbers are little-endian.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;

use crate::sim::{self, Happening, Input, PickupKind, Team, Vec2, World};

#[cfg(test)]
mod tests;

/// The largest frame a client may send.
pub const CLIENT_FRAME_BYTES_MAX: usize = 256;
/// The length of an input frame.
pub const INPUT_BYTES: usize = 8;
/// Positions are sent in parts of a world unit this small.
pub const POSITION_PARTS: f32 = 16.0;
/// The most effects in one snapshot; further ones are not shown.
pub const EFFECTS_MAX: usize = 48;

const INPUT_KIND: u8 = 1;
const SNAPSHOT_KIND: u8 = 1;
const BUTTON_FIRE: u8 = 1;
const BUTTON_DASH: u8 = 2;

const FLAG_ALIVE: u8 = 1;
const FLAG_DASHING: u8 = 2;
const FLAG_PROTECTED: u8 = 4;
const FLAG_OVERDRIVE: u8 = 8;
const FLAG_HUMAN: u8 = 16;

/// Close codes of the socket, besides the standard ones.
pub mod close {
    /// The match is over, or the player leaves.
    pub const NORMAL: u16 = 1000;
    /// Malformed frames, or far too many of them.
    pub const POLICY: u16 = 1008;
    /// The server stops before the match has ended.
    pub const RESTART: u16 = 1012;
    /// Too many sockets, or this one cannot keep up.
    pub const BUSY: u16 = 1013;
    /// The same seat was taken by a newer socket of the same player.
    pub const REPLACED: u16 = 4001;
    /// No ticket, or one that does not hold.
    pub const TICKET: u16 = 4401;
    /// The ticket is good, but there is no seat for this player.
    pub const NO_SEAT: u16 = 4403;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// For players to come.
    Waiting,
    Countdown,
    Playing,
    Ended,
}

impl Phase {
    fn number(self) -> u8 {
        match self {
            Self::Waiting => 0,
            Self::Countdown => 1,
            Self::Playing => 2,
            Self::Ended => 3,
        }
    }
}

/// A text frame from the server.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum ServerMessage<'a> {
    /// The first frame of an accepted socket.
    Welcome {
        you: usize,
        match_id: &'a str,
        players: Vec<Seat<'a>>,
        map: MapView<'a>,
        rules: Rules,
    },
    /// Somebody came or left.
    Players {
        players: Vec<Seat<'a>>,
    },
    Phase {
        phase: Phase,
        /// Until the next phase at the latest.
        #[serde(skip_serializing_if = "Option::is_none")]
        in_ms: Option<u64>,
    },
    /// A takedown: seat `by` took seat `who` down.
    Down {
        by: usize,
        who: usize,
    },
    Result(MatchResult<'a>),
    /// The server stops; the socket is closed next.
    Closing {
        reason: &'a str,
    },
    /// The socket is not accepted and closed next.
    Refused {
        reason: &'a str,
    },
}

#[derive(Debug, Serialize)]
pub struct Seat<'a> {
    pub seat: usize,
    pub id: &'a str,
    pub name: &'a str,
    pub team: &'static str,
    /// Played by the computer and by nobody else.
    pub bot: bool,
    pub connected: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MapView<'a> {
    pub name: &'a str,
    pub width: f32,
    pub height: f32,
    /// Each `[x, y, width, height]`.
    pub obstacles: Vec<[f32; 4]>,
    /// Each `[x, y]` and its kind; the order is that of the snapshot's pickup bits.
    pub pickups: Vec<PickupView>,
}

#[derive(Debug, Serialize)]
pub struct PickupView {
    pub kind: &'static str,
    pub x: f32,
    pub y: f32,
}

/// What the browser needs to show and to predict.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rules {
    pub score_limit: u32,
    pub duration_ms: u64,
    pub ticks_per_second: u32,
    pub player_radius: f32,
    pub run_speed: f32,
    pub run_response: f32,
    pub dash_speed: f32,
    pub dash_ticks: u32,
    pub dash_cooldown_ticks: u32,
    pub zone_radius: f32,
    pub position_parts: f32,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MatchResult<'a> {
    /// `"A"`, `"B"`, or null for a draw.
    pub winner: Option<&'static str>,
    pub reason: &'static str,
    pub scores: [u32; 2],
    pub players: Vec<ResultLine<'a>>,
    pub duration_ms: u64,
    /// When the server goes away.
    pub closes_in_ms: u64,
}

#[derive(Debug, Serialize)]
pub struct ResultLine<'a> {
    pub seat: usize,
    pub id: &'a str,
    pub name: &'a str,
    pub team: &'static str,
    pub bot: bool,
    pub takedowns: u32,
    pub downs: u32,
}

impl ServerMessage<'_> {
    /// As the text of a frame.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| unreachable!("plain data serialises"))
    }
}

impl<'a> MapView<'a> {
    pub fn of(map: &'a sim::Map) -> Self {
        Self {
            name: map.name,
            width: map.width,
            height: map.height,
            obstacles: (map.obstacles.iter()).map(|rect| [rect.x, rect.y, rect.width, rect.height]).collect(),
            pickups: (map.pickups.iter())
                .map(|spot| PickupView {
                    kind: match spot.kind {
                        PickupKind::Health => "health",
                        PickupKind::Overdrive => "overdrive",
                    },
                    x: spot.at.x,
                    y: spot.at.y,
                })
                .collect(),
        }
    }
}

impl Rules {
    pub fn new(score_limit: u32, duration_ms: u64) -> Self {
        Self {
            score_limit,
            duration_ms,
            ticks_per_second: sim::TICKS_PER_SECOND,
            player_radius: sim::PLAYER_RADIUS,
            run_speed: sim::RUN_SPEED,
            run_response: sim::RUN_RESPONSE,
            dash_speed: sim::DASH_SPEED,
            dash_ticks: sim::DASH_TICKS,
            dash_cooldown_ticks: sim::DASH_COOLDOWN_TICKS,
            zone_radius: sim::ZONE_RADIUS,
            position_parts: POSITION_PARTS,
        }
    }
}

/// An input frame as it came.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NumberedInput {
    /// Counted by the client; goes back to it as the acknowledgement in snapshots.
    pub sequence: u16,
    pub input: Input,
}

/// Reads an input frame: kind (1), sequence u16, buttons u8, direction 2 × i8 in 127ths,
/// aim u16 in 65,536ths of a turn. `None` when it is not exactly that.
pub fn decode_input(frame: &[u8]) -> Option<NumberedInput> {
    let &[INPUT_KIND, low, high, buttons, x, y, aim_low, aim_high] = frame else {
        return None;
    };
    if buttons & !(BUTTON_FIRE | BUTTON_DASH) != 0 {
        return None;
    }
    let part = |byte: u8| f32::from(byte.cast_signed().max(-127)) / 127.0;
    Some(NumberedInput {
        sequence: u16::from_le_bytes([low, high]),
        input: Input {
            direction: Vec2::new(part(x), part(y)),
            aim: f32::from(u16::from_le_bytes([aim_low, aim_high])) / 65536.0 * std::f32::consts::TAU,
            fire: buttons & BUTTON_FIRE != 0,
            dash: buttons & BUTTON_DASH != 0,
        },
    })
}

/// What a snapshot says about a seat beyond the world's own state.
#[derive(Clone, Copy, Debug, Default)]
pub struct SeatState {
    /// The last input that was applied.
    pub acknowledged: u16,
    /// A person is at it now.
    pub human: bool,
}

/// The whole visible state, the same for all players, encoded once a tick.
///
/// `frame` counts sent ticks, also while the world stands still.
pub fn encode_snapshot(world: &World, phase: Phase, frame: u32, seats: &[SeatState]) -> Bytes {
    let mut out = BytesMut::with_capacity(2048);
    out.put_u8(SNAPSHOT_KIND);
    out.put_u8(phase.number());
    out.put_u32_le(frame);
    out.put_u16_le(clamp_u16(world.ticks_left() * 10 / sim::TICKS_PER_SECOND));
    out.put_u16_le(clamp_u16(world.scores[0]));
    out.put_u16_le(clamp_u16(world.scores[1]));
    put_zone(&mut out, world);
    out.put_u8(world.players.len() as u8);
    for (index, player) in world.players.iter().enumerate() {
        let seat = seats.get(index).copied().unwrap_or_default();
        put_player(&mut out, player, seat);
    }
    out.put_u8(world.shots.len() as u8);
    for shot in &world.shots {
        out.put_u16_le(shot.id);
        put_position(&mut out, shot.position);
        out.put_u16_le(turn(shot.angle));
        out.put_u8(shot.by as u8);
    }
    let there = (world.pickups.iter().enumerate())
        .filter(|(_, pickup)| pickup.absent_ticks == 0)
        .fold(0u16, |bits, (index, _)| bits | (1 << index));
    out.put_u16_le(there);
    let effects = world.happenings.len().min(EFFECTS_MAX);
    out.put_u8(effects as u8);
    for happening in &world.happenings[..effects] {
        put_effect(&mut out, *happening);
    }
    out.freeze()
}

fn put_zone(out: &mut BytesMut, world: &World) {
    let zone = &world.zone;
    out.put_u8(match zone.owner {
        None => 0,
        Some(Team::A) => 1,
        Some(Team::B) => 2,
    });
    out.put_i8((zone.progress * 100.0) as i8);
    out.put_u8(u8::from(zone.contested));
    put_position(out, zone.centre);
}

fn put_player(out: &mut BytesMut, player: &sim::Player, seat: SeatState) {
    let mut flags = 0;
    for (set, flag) in [
        (player.is_alive(), FLAG_ALIVE),
        (player.dash_ticks > 0, FLAG_DASHING),
        (player.protected_ticks > 0, FLAG_PROTECTED),
        (player.overdrive_ticks > 0, FLAG_OVERDRIVE),
        (seat.human, FLAG_HUMAN),
    ] {
        if set {
            flags |= flag;
        }
    }
    put_position(out, player.position);
    out.put_i16_le(player.velocity.x as i16);
    out.put_i16_le(player.velocity.y as i16);
    out.put_u16_le(turn(player.aim));
    out.put_u8(player.health as u8);
    out.put_u8(flags);
    out.put_u8(player.dash_ticks as u8);
    out.put_u8(player.dash_cooldown_ticks as u8);
    out.put_u8(player.respawn_ticks as u8);
    out.put_u8(player.takedowns.min(255) as u8);
    out.put_u8(player.downs.min(255) as u8);
    out.put_u16_le(seat.acknowledged);
}

fn put_effect(out: &mut BytesMut, happening: Happening) {
    let (kind, at, one, two) = match happening {
        Happening::Spark { at } => (1, at, 0, 0),
        Happening::Hit { at, who, by } => (2, at, who, by),
        Happening::Down { at, who, by } => (3, at, who, by),
        Happening::Spawn { at, who } => (4, at, who, 0),
        Happening::Dash { at, who } => (5, at, who, 0),
        Happening::Taken { at, who, kind } => (6, at, who, usize::from(kind == PickupKind::Overdrive)),
        Happening::ZoneTaken { at, team } => (7, at, team.index(), 0),
        Happening::ZoneMoved { at } => (8, at, 0, 0),
    };
    out.put_u8(kind);
    put_position(out, at);
    out.put_u8(one as u8);
    out.put_u8(two as u8);
}

fn put_position(out: &mut BytesMut, at: Vec2) {
    // Float to integer casts saturate, so a point on the very edge stays on it.
    out.put_u16_le((at.x * POSITION_PARTS) as u16);
    out.put_u16_le((at.y * POSITION_PARTS) as u16);
}

fn turn(radians: f32) -> u16 {
    let turns = (radians / std::f32::consts::TAU).rem_euclid(1.0);
    (turns * 65536.0) as u16
}

fn clamp_u16(number: u32) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}
