// The socket of one match: snapshots in, inputs out, the player's own movement predicted, the
// others shown a moment late so that they move smoothly.

import { decodeSnapshot, encodeInput, FLAG } from './wire.js';
import { walk } from './predict.js';

const DELAY_MS = 85;
const SNAPSHOTS_KEPT = 40;
const PENDING_MAX = 60;
const RETRY_FIRST_MS = 300;
const RETRY_MAX_MS = 3000;
const SNAP_DISTANCE = 160;
const CLOSED_FOR_GOOD = new Set([1000, 4001, 4401, 4403]);

/** Emits `welcome`, `players`, `phase`, `down`, `effect`, `result`, `refused`, `lost`, `closed`. */
export class Match extends EventTarget {
  #socket = null;
  #url;
  #retryMs = RETRY_FIRST_MS;
  #timer = 0;
  #ended = false;
  #sequence = 0;
  #pending = [];
  #clockOffset = null;
  #effects = [];
  #accumulated = 0;
  #lastStep = 0;
  snapshots = [];
  welcome = null;
  players = [];
  phase = 'waiting';
  phaseUntil = 0;
  result = null;
  /** The player's own state, ahead of the server by the way there. */
  own = null;
  #ownBefore = null;
  #drift = { x: 0, y: 0 };
  /** How far the last prediction was off, in world units. */
  correction = 0;

  constructor({ address, port, ticket }) {
    super();
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    const host = address.includes(':') ? `[${address}]` : address;
    this.#url = `${scheme}://${host}:${port}/play?ticket=${encodeURIComponent(ticket ?? '')}`;
    this.#connect();
  }

  get you() { return this.welcome?.you ?? -1; }
  get latest() { return this.snapshots.at(-1); }
  get isConnected() { return this.#socket?.readyState === WebSocket.OPEN; }

  close() {
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#socket?.close(1000);
  }

  #connect() {
    const socket = new WebSocket(this.#url);
    socket.binaryType = 'arraybuffer';
    this.#socket = socket;
    socket.onmessage = ({ data }) => (typeof data === 'string' ? this.#text(JSON.parse(data)) : this.#snapshot(data));
    socket.onclose = ({ code }) => {
      if (this.#ended) return;
      if (CLOSED_FOR_GOOD.has(code) || this.result) {
        this.#ended = true;
        this.#emit('closed', { code });
        return;
      }
      this.#emit('lost', { code });
      this.#timer = setTimeout(() => this.#connect(), this.#retryMs);
      this.#retryMs = Math.min(this.#retryMs * 1.7, RETRY_MAX_MS);
    };
  }

  #text(message) {
    switch (message.type) {
      case 'welcome':
        this.#retryMs = RETRY_FIRST_MS;
        this.welcome = message;
        this.players = message.players;
        this.snapshots = [];
        this.#pending = [];
        this.#clockOffset = null;
        this.own = null;
        break;
      case 'players': this.players = message.players; break;
      case 'phase':
        this.phase = message.phase;
        this.phaseUntil = message.inMs === undefined ? 0 : performance.now() + message.inMs;
        break;
      case 'result': this.result = message; this.phase = 'ended'; break;
    }
    this.#emit(message.type, message);
  }

  #snapshot(buffer) {
    if (!this.welcome) return;
    const snapshot = decodeSnapshot(buffer, this.welcome.rules.positionParts);
    if (!snapshot) return;
    const stepMs = 1000 / this.welcome.rules.ticksPerSecond;
    const offset = performance.now() - snapshot.frame * stepMs;
    // Follows early packets at once and late ones slowly: the delay hides the jitter.
    if (this.#clockOffset === null || offset < this.#clockOffset) this.#clockOffset = offset;
    else this.#clockOffset += (offset - this.#clockOffset) * 0.02;
    this.snapshots.push(snapshot);
    if (this.snapshots.length > SNAPSHOTS_KEPT) this.snapshots.shift();
    for (const effect of snapshot.effects) this.#effects.push({ frame: snapshot.frame, ...effect });
    this.#reconcile(snapshot);
  }

  #reconcile(snapshot) {
    const truth = snapshot.players[this.you];
    if (!truth) return;
    this.#pending = this.#pending.filter(({ sequence }) => ((sequence - truth.acknowledged) & 0xffff) < 0x8000 && sequence !== truth.acknowledged);
    const alive = truth.flags & FLAG.alive;
    if (!alive || snapshot.phase !== 'playing') {
      this.own = null;
      return;
    }
    const speed = Math.hypot(truth.vx, truth.vy) || 1;
    const state = {
      x: truth.x, y: truth.y, vx: truth.vx, vy: truth.vy,
      dashTicks: truth.dashTicks, dashCooldownTicks: truth.dashCooldownTicks,
      dashX: truth.vx / speed, dashY: truth.vy / speed,
    };
    const before = this.own;
    for (const input of this.#pending) walk(state, input, this.welcome.rules, this.welcome.map);
    if (before) {
      const dx = before.x - state.x;
      const dy = before.y - state.y;
      this.correction = Math.hypot(dx, dy);
      if (this.correction > SNAP_DISTANCE) {
        this.#drift = { x: 0, y: 0 };
        this.#ownBefore = { ...state };
      } else {
        // What is shown stays where it was and glides to the truth.
        this.#drift.x += dx;
        this.#drift.y += dy;
        this.#ownBefore.x -= dx;
        this.#ownBefore.y -= dy;
      }
    } else {
      this.#drift = { x: 0, y: 0 };
      this.#ownBefore = { ...state };
    }
    this.own = state;
  }

  /** Sends what is due by `now`, one input a server tick. */
  advance(now, controls) {
    if (!this.welcome || !this.isConnected) { this.#lastStep = now; return; }
    const stepMs = 1000 / this.welcome.rules.ticksPerSecond;
    this.#accumulated = Math.min(this.#accumulated + now - this.#lastStep, stepMs * 4);
    this.#lastStep = now;
    while (this.#accumulated >= stepMs) {
      this.#accumulated -= stepMs;
      this.#sequence = (this.#sequence + 1) & 0xffff;
      const input = { sequence: this.#sequence, ...controls() };
      // As the server will read it, or the prediction drifts.
      input.x = Math.round(input.x * 127) / 127;
      input.y = Math.round(input.y * 127) / 127;
      this.#socket.send(encodeInput(input));
      this.#pending.push(input);
      if (this.#pending.length > PENDING_MAX) this.#pending.shift();
      if (this.own) {
        this.#ownBefore = { ...this.own };
        walk(this.own, input, this.welcome.rules, this.welcome.map);
      }
    }
    const keep = Math.exp(-0.25);
    this.#drift.x *= keep;
    this.#drift.y *= keep;
  }

  /** What is to be shown at `now`; effects that are due are emitted. */
  view(now) {
    const { snapshots } = this;
    if (!snapshots.length) return null;
    const stepMs = 1000 / this.welcome.rules.ticksPerSecond;
    const frame = (now - this.#clockOffset - DELAY_MS) / stepMs;
    let index = snapshots.length - 1;
    while (index > 0 && snapshots[index].frame > frame) index--;
    const from = snapshots[index];
    const to = snapshots[Math.min(index + 1, snapshots.length - 1)];
    const span = to.frame - from.frame;
    const part = span > 0 ? clamp((frame - from.frame) / span, 0, 1) : 0;
    while (this.#effects.length && this.#effects[0].frame <= frame + 1) this.#emit('effect', this.#effects.shift());
    const latest = this.latest;
    const players = to.players.map((player, seat) => this.#between(from.players[seat], player, part, seat));
    if (this.own && players[this.you]) {
      const ahead = clamp(this.#accumulated / stepMs, 0, 1);
      const me = players[this.you];
      me.x = mix(this.#ownBefore.x, this.own.x, ahead) + this.#drift.x;
      me.y = mix(this.#ownBefore.y, this.own.y, ahead) + this.#drift.y;
      me.dashCooldownTicks = this.own.dashCooldownTicks;
    }
    const shots = [];
    for (const shot of to.shots.values()) {
      const earlier = from.shots.get(shot.id);
      if (earlier) shots.push({ ...shot, x: mix(earlier.x, shot.x, part), y: mix(earlier.y, shot.y, part) });
      else if (span === 0 || part > 0.5) shots.push(shot);
    }
    return { ...latest, players, shots, zone: latest.zone, time: now };
  }

  #between(from, to, part, seat) {
    const jumped = !from || Math.hypot(to.x - from.x, to.y - from.y) > 120;
    const info = this.players[seat] ?? { name: '', team: 'A', bot: true };
    const shown = { ...to, seat, name: info.name, team: info.team, bot: info.bot, connected: info.connected, alive: (to.flags & FLAG.alive) !== 0 };
    if (!jumped) {
      shown.x = mix(from.x, to.x, part);
      shown.y = mix(from.y, to.y, part);
      shown.aim = from.aim + turnBetween(from.aim, to.aim) * part;
    }
    return shown;
  }

  #emit(type, detail) { this.dispatchEvent(new CustomEvent(type, { detail })); }
}

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const mix = (from, to, part) => from + (to - from) * part;
function turnBetween(from, to) {
  const turn = (to - from) % (2 * Math.PI);
  return turn > Math.PI ? turn - 2 * Math.PI : turn < -Math.PI ? turn + 2 * Math.PI : turn;
}
