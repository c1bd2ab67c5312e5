// The binary frames of the game's socket; README.md of the game has the tables.

export const FLAG = { alive: 1, dashing: 2, protected: 4, overdrive: 8, human: 16 };
export const PHASES = ['waiting', 'countdown', 'playing', 'ended'];
export const EFFECT = { spark: 1, hit: 2, down: 3, spawn: 4, dash: 5, taken: 6, zoneTaken: 7, zoneMoved: 8 };

const SNAPSHOT = 1;
const INPUT = 1;
const TURN = 65536 / (2 * Math.PI);

/** The snapshot in a frame, or null when it is none. */
export function decodeSnapshot(buffer, parts) {
  const view = new DataView(buffer);
  let at = 0;
  const u8 = () => view.getUint8(at++);
  const i8 = () => view.getInt8(at++);
  const u16 = () => { const value = view.getUint16(at, true); at += 2; return value; };
  const i16 = () => { const value = view.getInt16(at, true); at += 2; return value; };
  const u32 = () => { const value = view.getUint32(at, true); at += 4; return value; };
  const place = () => u16() / parts;

  if (u8() !== SNAPSHOT) return null;
  const snapshot = { phase: PHASES[u8()], frame: u32(), secondsLeft: u16() / 10, scores: [u16(), u16()] };
  snapshot.zone = { owner: u8(), progress: i8() / 100, contested: u8() === 1, x: place(), y: place() };
  snapshot.players = Array.from({ length: u8() }, () => ({
    x: place(), y: place(), vx: i16(), vy: i16(), aim: u16() / TURN, health: u8(), flags: u8(),
    dashTicks: u8(), dashCooldownTicks: u8(), respawnTicks: u8(), takedowns: u8(), downs: u8(), acknowledged: u16(),
  }));
  snapshot.shots = new Map();
  for (let left = u8(); left > 0; left--) {
    const id = u16();
    snapshot.shots.set(id, { id, x: place(), y: place(), angle: u16() / TURN, by: u8() });
  }
  snapshot.pickups = u16();
  snapshot.effects = Array.from({ length: u8() }, () => ({ kind: u8(), x: place(), y: place(), one: u8(), two: u8() }));
  return snapshot;
}

/** The frame of one tick's input. */
export function encodeInput({ sequence, x, y, aim, fire, dash }) {
  const frame = new DataView(new ArrayBuffer(8));
  frame.setUint8(0, INPUT);
  frame.setUint16(1, sequence, true);
  frame.setUint8(3, (fire ? 1 : 0) | (dash ? 2 : 0));
  frame.setInt8(4, Math.round(x * 127));
  frame.setInt8(5, Math.round(y * 127));
  frame.setUint16(6, Math.floor(aim * TURN) & 0xffff, true);
  return frame.buffer;
}
