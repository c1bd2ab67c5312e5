// The arena on its canvas. Amber players are round, azure ones angular, so that the teams can be
// told apart without colour.

import { EFFECT, FLAG } from './wire.js';

export const COLOUR = { A: '#ffb224', B: '#4da6ff', none: '#93a1b8' };
const SOFT = { A: '255,178,36', B: '77,166,255', none: '147,161,184' };
const PARTICLES_MAX = 420;
const VIEW_AREA = 1150 * 720;
const calm = matchMedia('(prefers-reduced-motion: reduce)');

export class Arena {
  #canvas;
  #context;
  #map = null;
  #rules = null;
  #floor = null;
  #particles = [];
  #rings = [];
  #texts = [];
  #flashes = new Map();
  #seenShots = new Set();
  #camera = { x: 0, y: 0, ready: false };
  #shake = 0;
  #last = 0;
  #hurt = new Map();
  scale = 1;

  constructor(canvas) {
    this.#canvas = canvas;
    this.#context = canvas.getContext('2d', { alpha: false });
  }

  /** A new match: forgets what was. */
  begin(map, rules) {
    this.#map = map;
    this.#rules = rules;
    this.#particles = [];
    this.#rings = [];
    this.#texts = [];
    this.#camera.ready = false;
    this.#floor = paintFloor(map);
  }

  /** Where a place of the arena is on the screen. */
  toScreen(x, y) {
    return { x: (x - this.#camera.x) * this.scale + innerWidth / 2, y: (y - this.#camera.y) * this.scale + innerHeight / 2 };
  }

  effect({ kind, x, y, one, two }, { you, players }) {
    const teamOf = (seat) => players[seat]?.team ?? 'none';
    switch (kind) {
      case EFFECT.spark: this.#burst(x, y, SOFT.none, 5, 130, 0.25, 1.6); break;
      case EFFECT.hit:
        this.#burst(x, y, SOFT[teamOf(one)], 9, 210, 0.35, 2.2);
        this.#hurt.set(one, performance.now());
        if (one === you) this.#shake = Math.max(this.#shake, 5);
        break;
      case EFFECT.down:
        this.#burst(x, y, SOFT[teamOf(one)], 46, 380, 0.8, 3.4);
        this.#burst(x, y, '255,255,255', 14, 240, 0.4, 2);
        this.#ring(x, y, SOFT[teamOf(one)], 90, 0.5);
        if (one === you || two === you) this.#shake = Math.max(this.#shake, one === you ? 14 : 6);
        if (two === you) this.#text(x, y - 30, '+1', COLOUR[teamOf(two)]);
        break;
      case EFFECT.spawn: this.#ring(x, y, SOFT[teamOf(one)], 60, 0.6); break;
      case EFFECT.dash: this.#burst(x, y, SOFT[teamOf(one)], 12, 90, 0.4, 2.6); break;
      case EFFECT.taken:
        this.#ring(x, y, two ? '196,140,255' : '88,224,168', 55, 0.5);
        if (one === you) this.#text(x, y - 26, two ? 'Overdrive' : '+45', two ? '#c48cff' : '#58e0a8');
        break;
      case EFFECT.zoneTaken: this.#ring(x, y, SOFT[one === 0 ? 'A' : 'B'], this.#rules.zoneRadius * 1.5, 0.9); break;
      case EFFECT.zoneMoved: this.#ring(x, y, '255,255,255', this.#rules.zoneRadius * 2, 1.1); break;
    }
  }

  draw(view, { you, aim, sticks, now }) {
    const context = this.#context;
    const seconds = Math.min((now - this.#last) / 1000, 0.1);
    this.#last = now;
    const ratio = Math.min(devicePixelRatio || 1, 2);
    const width = innerWidth;
    const height = innerHeight;
    if (this.#canvas.width !== Math.round(width * ratio) || this.#canvas.height !== Math.round(height * ratio)) {
      this.#canvas.width = Math.round(width * ratio);
      this.#canvas.height = Math.round(height * ratio);
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = '#07090e';
    context.fillRect(0, 0, width, height);
    if (!view || !this.#map) return;

    this.scale = Math.sqrt((width * height) / VIEW_AREA);
    const me = view.players[you];
    this.#follow(me, aim, seconds, width, height);
    const shake = calm.matches ? 0 : this.#shake;
    this.#shake = Math.max(0, this.#shake - seconds * 40);
    const wobble = () => (Math.random() - 0.5) * shake;
    context.save();
    context.translate(width / 2 + wobble(), height / 2 + wobble());
    context.scale(this.scale, this.scale);
    context.translate(-this.#camera.x, -this.#camera.y);

    context.drawImage(this.#floor, -FLOOR_EDGE, -FLOOR_EDGE, this.#map.width + 2 * FLOOR_EDGE, this.#map.height + 2 * FLOOR_EDGE);
    this.#drawZone(view, now);
    this.#drawPickups(view, now);
    this.#noticeShots(view, you);
    this.#drawRings(seconds);
    for (const player of view.players) if (player.alive) this.#drawPlayer(player, player.seat === you, now, view);
    this.#drawShots(view);
    this.#drawParticles(seconds);
    for (const player of view.players) if (player.alive && player.seat !== you) this.#drawName(player, me);
    this.#drawTexts(seconds);
    context.restore();

    this.#drawZoneArrow(view, width, height);
    this.#drawDamage(you, me, now, width, height);
    for (const stick of sticks) if (stick) drawStick(context, stick);
  }

  minimap(canvas, view, you) {
    if (!view || !this.#map) return;
    const context = canvas.getContext('2d');
    const part = canvas.width / this.#map.width;
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.fillStyle = 'rgba(147,161,184,.35)';
    for (const [x, y, w, h] of this.#map.obstacles) context.fillRect(x * part, y * part, w * part, h * part);
    const owner = ['none', 'A', 'B'][view.zone.owner];
    context.strokeStyle = COLOUR[owner];
    context.fillStyle = `rgba(${SOFT[owner]},.25)`;
    context.lineWidth = 2;
    context.beginPath();
    context.arc(view.zone.x * part, view.zone.y * part, this.#rules.zoneRadius * part, 0, 7);
    context.fill();
    context.stroke();
    for (const player of view.players) {
      if (!player.alive) continue;
      const x = player.x * part;
      const y = player.y * part;
      context.fillStyle = player.seat === you ? '#fff' : COLOUR[player.team];
      context.beginPath();
      if (player.team === 'A') context.arc(x, y, player.seat === you ? 5 : 4, 0, 7);
      else diamond(context, x, y, player.seat === you ? 6.5 : 5);
      context.fill();
    }
  }

  #follow(me, aim, seconds, width, height) {
    const map = this.#map;
    const camera = this.#camera;
    const goal = me ? { x: me.x, y: me.y } : { x: map.width / 2, y: map.height / 2 };
    if (me?.alive) { goal.x += Math.cos(aim) * 60; goal.y += Math.sin(aim) * 60; }
    const halfWidth = width / 2 / this.scale;
    const halfHeight = height / 2 / this.scale;
    // A margin beyond the walls keeps the figure out from under thumbs and score bar.
    const hold = (value, half, size, margin) => (half * 2 >= size + 2 * margin ? size / 2 : Math.min(Math.max(value, half - margin), size - half + margin));
    goal.x = hold(goal.x, halfWidth, map.width, 60);
    goal.y = hold(goal.y, halfHeight, map.height, 90);
    const part = camera.ready ? 1 - Math.exp(-seconds * 9) : 1;
    camera.x += (goal.x - camera.x) * part;
    camera.y += (goal.y - camera.y) * part;
    camera.ready = true;
  }

  #drawZone({ zone }, now) {
    const context = this.#context;
    const radius = this.#rules.zoneRadius;
    const owner = ['none', 'A', 'B'][zone.owner];
    const leaning = zone.progress < 0 ? 'A' : zone.progress > 0 ? 'B' : 'none';
    const glow = context.createRadialGradient(zone.x, zone.y, radius * 0.2, zone.x, zone.y, radius);
    glow.addColorStop(0, `rgba(${SOFT[owner]},.05)`);
    glow.addColorStop(1, `rgba(${SOFT[owner]},.22)`);
    context.fillStyle = glow;
    context.beginPath();
    context.arc(zone.x, zone.y, radius, 0, 7);
    context.fill();
    context.save();
    context.translate(zone.x, zone.y);
    context.rotate(calm.matches ? 0 : now / 4000);
    context.setLineDash([20, 12]);
    context.lineWidth = 3;
    context.strokeStyle = `rgba(${SOFT[owner]},${zone.contested ? 0.5 + 0.5 * Math.sin(now / 80) : 0.75})`;
    context.beginPath();
    context.arc(0, 0, radius, 0, 7);
    context.stroke();
    context.restore();
    if (zone.progress !== 0) {
      context.strokeStyle = COLOUR[leaning];
      context.lineWidth = 6;
      context.lineCap = 'round';
      context.beginPath();
      context.arc(zone.x, zone.y, radius - 11, -Math.PI / 2, -Math.PI / 2 + Math.abs(zone.progress) * 2 * Math.PI * (leaning === 'A' ? -1 : 1), leaning === 'A');
      context.stroke();
    }
  }

  #drawPickups({ pickups }, now) {
    const context = this.#context;
    this.#map.pickups.forEach(({ kind, x, y }, index) => {
      const there = pickups & (1 << index);
      const health = kind === 'health';
      const colour = health ? '88,224,168' : '196,140,255';
      context.globalAlpha = there ? 1 : 0.22;
      const bob = there && !calm.matches ? Math.sin(now / 350 + index) * 2 : 0;
      context.fillStyle = `rgba(${colour},.14)`;
      context.strokeStyle = `rgba(${colour},.9)`;
      context.lineWidth = 2;
      context.beginPath();
      context.roundRect(x - 15, y - 15 + bob, 30, 30, 9);
      context.fill();
      context.stroke();
      context.fillStyle = `rgb(${colour})`;
      context.beginPath();
      if (health) {
        context.rect(x - 3, y - 9 + bob, 6, 18);
        context.rect(x - 9, y - 3 + bob, 18, 6);
      } else {
        context.moveTo(x + 2, y - 10 + bob);
        context.lineTo(x - 7, y + 2 + bob);
        context.lineTo(x - 1, y + 2 + bob);
        context.lineTo(x - 2, y + 10 + bob);
        context.lineTo(x + 7, y - 2 + bob);
        context.lineTo(x + 1, y - 2 + bob);
      }
      context.fill();
      context.globalAlpha = 1;
    });
  }

  #noticeShots(view, you) {
    const seen = new Set();
    for (const shot of view.shots) {
      seen.add(shot.id);
      if (this.#seenShots.has(shot.id)) continue;
      this.#flashes.set(shot.by, performance.now());
      if (shot.by === you) this.#shake = Math.max(this.#shake, 1.5);
      this.onShot?.(shot);
    }
    this.#seenShots = seen;
  }

  #drawPlayer(player, mine, now, view) {
    const context = this.#context;
    const radius = this.#rules.playerRadius;
    const colour = COLOUR[player.team];
    const soft = SOFT[player.team];
    context.save();
    context.translate(player.x, player.y);
    const halo = context.createRadialGradient(0, 0, radius * 0.6, 0, 0, radius * 2.4);
    halo.addColorStop(0, `rgba(${soft},${mine ? 0.42 : 0.26})`);
    halo.addColorStop(1, `rgba(${soft},0)`);
    context.fillStyle = halo;
    context.fillRect(-radius * 2.4, -radius * 2.4, radius * 4.8, radius * 4.8);
    if (player.flags & FLAG.dashing && !calm.matches) {
      context.globalAlpha = 0.35;
      for (let ghost = 1; ghost <= 3; ghost++) {
        context.globalAlpha = 0.28 / ghost;
        context.fillStyle = colour;
        const back = ghost * 0.022;
        body(context, player.team, -player.vx * back, -player.vy * back, radius);
        context.fill();
      }
      context.globalAlpha = 1;
    }
    context.rotate(player.aim);
    if (mine && view.phase === 'playing') {
      const sight = context.createLinearGradient(radius * 2, 0, 240, 0);
      sight.addColorStop(0, 'rgba(255,255,255,.28)');
      sight.addColorStop(1, 'rgba(255,255,255,0)');
      context.fillStyle = sight;
      context.fillRect(radius * 2, -1, 240 - radius * 2, 2);
    }
    context.fillStyle = '#dfe7f3';
    context.strokeStyle = 'rgba(7,9,14,.75)';
    context.lineWidth = 2;
    context.beginPath();
    context.roundRect(radius * 0.4, -5.5, radius * 1.4, 11, 3);
    context.fill();
    context.stroke();
    const flash = now - (this.#flashes.get(player.seat) ?? -1e9);
    if (flash < 60) {
      context.globalCompositeOperation = 'lighter';
      context.fillStyle = `rgba(255,244,214,${0.9 - flash / 70})`;
      context.beginPath();
      context.ellipse(radius * 2.2, 0, 13, 6, 0, 0, 7);
      context.fill();
      context.globalCompositeOperation = 'source-over';
    }
    const struck = now - (this.#hurt.get(player.seat) ?? -1e9) < 90;
    context.fillStyle = struck ? '#fff' : colour;
    context.strokeStyle = mine ? '#fff' : 'rgba(7,9,14,.75)';
    context.lineWidth = mine ? 3 : 2.5;
    body(context, player.team, 0, 0, radius);
    context.fill();
    context.stroke();
    context.fillStyle = 'rgba(7,9,14,.55)';
    body(context, player.team, 0, 0, radius * 0.42);
    context.fill();
    context.rotate(-player.aim);
    if (player.flags & FLAG.protected) {
      context.strokeStyle = `rgba(255,255,255,${0.45 + 0.3 * Math.sin(now / 90)})`;
      context.lineWidth = 2;
      context.setLineDash([5, 5]);
      context.beginPath();
      context.arc(0, 0, radius + 9, 0, 7);
      context.stroke();
      context.setLineDash([]);
    }
    if (player.flags & FLAG.overdrive) {
      context.strokeStyle = '#c48cff';
      context.lineWidth = 2.5;
      context.beginPath();
      context.arc(0, 0, radius + 6, now / 160, now / 160 + 4.4);
      context.stroke();
    }
    if (player.health < 100 && view.phase === 'playing') {
      const part = player.health / 100;
      context.fillStyle = 'rgba(7,9,14,.8)';
      context.fillRect(-20, radius + 9, 40, 6);
      context.fillStyle = part < 0.35 ? '#ff6d6d' : '#eef3fb';
      context.fillRect(-19, radius + 10, 38 * part, 4);
    }
    context.restore();
  }

  #drawName(player, me) {
    const context = this.#context;
    context.font = `600 ${Math.max(12, 12 / this.scale)}px ui-sans-serif, system-ui, sans-serif`;
    context.textAlign = 'center';
    const ally = player.team === me?.team;
    context.globalAlpha = player.bot ? 0.75 : 1;
    context.lineWidth = 3;
    context.strokeStyle = 'rgba(7,9,14,.8)';
    context.strokeText(player.name, player.x, player.y - this.#rules.playerRadius - 11);
    context.fillStyle = ally ? COLOUR[player.team] : '#e7edf7';
    context.fillText(player.name, player.x, player.y - this.#rules.playerRadius - 11);
    context.globalAlpha = 1;
  }

  #drawShots({ shots, players }) {
    const context = this.#context;
    context.globalCompositeOperation = 'lighter';
    context.lineCap = 'round';
    for (const shot of shots) {
      const team = players[shot.by]?.team ?? 'none';
      const dx = Math.cos(shot.angle);
      const dy = Math.sin(shot.angle);
      for (const [width, colour, length] of [[9, `rgba(${SOFT[team]},.22)`, 24], [4.5, COLOUR[team], 18], [2, '#fff', 10]]) {
        context.strokeStyle = colour;
        context.lineWidth = width;
        context.beginPath();
        context.moveTo(shot.x - dx * length, shot.y - dy * length);
        context.lineTo(shot.x, shot.y);
        context.stroke();
      }
    }
    context.globalCompositeOperation = 'source-over';
  }

  #burst(x, y, colour, count, speed, seconds, size) {
    if (calm.matches) count = Math.ceil(count / 4);
    for (let left = Math.min(count, PARTICLES_MAX - this.#particles.length); left > 0; left--) {
      const angle = Math.random() * 2 * Math.PI;
      const pace = speed * (0.25 + 0.75 * Math.random());
      this.#particles.push({ x, y, vx: Math.cos(angle) * pace, vy: Math.sin(angle) * pace, left: seconds, all: seconds, colour, size });
    }
  }

  #ring(x, y, colour, reach, seconds) { this.#rings.push({ x, y, colour, reach, left: seconds, all: seconds }); }
  #text(x, y, text, colour) { this.#texts.push({ x, y, text, colour, left: 1 }); }

  #drawParticles(seconds) {
    const context = this.#context;
    context.globalCompositeOperation = 'lighter';
    this.#particles = this.#particles.filter((one) => (one.left -= seconds) > 0);
    for (const one of this.#particles) {
      one.x += one.vx * seconds;
      one.y += one.vy * seconds;
      one.vx *= 1 - 3.2 * seconds;
      one.vy *= 1 - 3.2 * seconds;
      const part = one.left / one.all;
      context.fillStyle = `rgba(${one.colour},${part})`;
      context.beginPath();
      context.arc(one.x, one.y, one.size * (0.4 + part), 0, 7);
      context.fill();
    }
    context.globalCompositeOperation = 'source-over';
  }

  #drawRings(seconds) {
    const context = this.#context;
    this.#rings = this.#rings.filter((one) => (one.left -= seconds) > 0);
    for (const one of this.#rings) {
      const part = one.left / one.all;
      context.strokeStyle = `rgba(${one.colour},${part * 0.9})`;
      context.lineWidth = 1 + 5 * part;
      context.beginPath();
      context.arc(one.x, one.y, one.reach * (1 - part * part), 0, 7);
      context.stroke();
    }
  }

  #drawTexts(seconds) {
    const context = this.#context;
    this.#texts = this.#texts.filter((one) => (one.left -= seconds) > 0);
    context.textAlign = 'center';
    context.font = '800 20px ui-sans-serif, system-ui, sans-serif';
    for (const one of this.#texts) {
      one.y -= 34 * seconds;
      context.globalAlpha = Math.min(1, one.left * 2);
      context.fillStyle = one.colour;
      context.fillText(one.text, one.x, one.y);
    }
    context.globalAlpha = 1;
  }

  #drawZoneArrow({ zone }, width, height) {
    const at = this.toScreen(zone.x, zone.y);
    const margin = 46;
    if (at.x > 0 && at.x < width && at.y > 0 && at.y < height) return;
    const x = Math.min(Math.max(at.x, margin), width - margin);
    const y = Math.min(Math.max(at.y, 130), Math.max(130, height - 130));
    const context = this.#context;
    const owner = ['none', 'A', 'B'][zone.owner];
    context.save();
    context.translate(x, y);
    context.fillStyle = 'rgba(11,15,23,.75)';
    context.strokeStyle = COLOUR[owner];
    context.lineWidth = 2;
    context.beginPath();
    context.arc(0, 0, 18, 0, 7);
    context.fill();
    context.stroke();
    context.rotate(Math.atan2(at.y - y, at.x - x));
    context.fillStyle = COLOUR[owner];
    context.beginPath();
    context.moveTo(10, 0);
    context.lineTo(-5, -7);
    context.lineTo(-2, 0);
    context.lineTo(-5, 7);
    context.fill();
    context.restore();
  }

  #drawDamage(you, me, now, width, height) {
    if (!me) return;
    const since = now - (this.#hurt.get(you) ?? -1e9);
    const struck = Math.max(0, 1 - since / 350) * 0.35;
    const low = me.alive && me.health < 35 ? 0.22 + 0.06 * Math.sin(now / 180) : 0;
    const strength = Math.max(struck, low, me.alive ? 0 : 0.3);
    if (strength <= 0) return;
    const context = this.#context;
    const edge = context.createRadialGradient(width / 2, height / 2, Math.min(width, height) * 0.35, width / 2, height / 2, Math.hypot(width, height) / 2);
    edge.addColorStop(0, 'rgba(200,30,50,0)');
    edge.addColorStop(1, `rgba(200,30,50,${strength})`);
    context.fillStyle = edge;
    context.fillRect(0, 0, width, height);
  }
}

const FLOOR_EDGE = 40;

/** Floor, walls and obstacles never change: painted once. */
function paintFloor(map) {
  const floor = document.createElement('canvas');
  floor.width = map.width + 2 * FLOOR_EDGE;
  floor.height = map.height + 2 * FLOOR_EDGE;
  const context = floor.getContext('2d');
  context.translate(FLOOR_EDGE, FLOOR_EDGE);
  context.fillStyle = '#07090e';
  context.fillRect(-FLOOR_EDGE, -FLOOR_EDGE, floor.width, floor.height);
  const base = context.createLinearGradient(0, 0, map.width, 0);
  base.addColorStop(0, '#1a1710');
  base.addColorStop(0.25, '#111722');
  base.addColorStop(0.75, '#111722');
  base.addColorStop(1, '#0f1b2c');
  context.fillStyle = base;
  context.fillRect(0, 0, map.width, map.height);
  context.strokeStyle = 'rgba(147,161,184,.07)';
  context.lineWidth = 1;
  context.beginPath();
  for (let x = 50; x < map.width; x += 50) { context.moveTo(x + 0.5, 0); context.lineTo(x + 0.5, map.height); }
  for (let y = 50; y < map.height; y += 50) { context.moveTo(0, y + 0.5); context.lineTo(map.width, y + 0.5); }
  context.stroke();
  context.fillStyle = 'rgba(147,161,184,.16)';
  for (let x = 100; x < map.width; x += 200) for (let y = 50; y < map.height; y += 200) context.fillRect(x - 1, y - 1, 3, 3);
  for (const [x, y, w, h] of map.obstacles) {
    context.fillStyle = 'rgba(0,0,0,.45)';
    context.beginPath();
    context.roundRect(x + 5, y + 9, w, h, 8);
    context.fill();
    const face = context.createLinearGradient(0, y, 0, y + h);
    face.addColorStop(0, '#34415a');
    face.addColorStop(1, '#232d40');
    context.fillStyle = face;
    context.strokeStyle = '#53648a';
    context.lineWidth = 2;
    context.beginPath();
    context.roundRect(x + 1, y + 1, w - 2, h - 2, 7);
    context.fill();
    context.stroke();
    context.strokeStyle = 'rgba(255,255,255,.06)';
    context.beginPath();
    context.roundRect(x + 8, y + 8, w - 16, h - 16, 4);
    context.stroke();
  }
  context.strokeStyle = '#46567a';
  context.lineWidth = 6;
  context.strokeRect(-3, -3, map.width + 6, map.height + 6);
  context.lineWidth = 6;
  context.strokeStyle = 'rgba(255,178,36,.55)';
  context.beginPath();
  context.moveTo(-3, map.height * 0.15);
  context.lineTo(-3, map.height * 0.85);
  context.stroke();
  context.strokeStyle = 'rgba(77,166,255,.6)';
  context.beginPath();
  context.moveTo(map.width + 3, map.height * 0.15);
  context.lineTo(map.width + 3, map.height * 0.85);
  context.stroke();
  return floor;
}

function body(context, team, x, y, radius) {
  context.beginPath();
  if (team === 'A') context.arc(x, y, radius, 0, 7);
  else diamond(context, x, y, radius * 1.22);
}

function diamond(context, x, y, radius) {
  context.moveTo(x + radius, y);
  context.lineTo(x, y + radius);
  context.lineTo(x - radius, y);
  context.lineTo(x, y - radius);
  context.closePath();
}

function drawStick(context, { startX, startY, x, y, reach }) {
  context.strokeStyle = 'rgba(231,237,247,.3)';
  context.fillStyle = 'rgba(231,237,247,.08)';
  context.lineWidth = 2;
  context.beginPath();
  context.arc(startX, startY, reach, 0, 7);
  context.fill();
  context.stroke();
  context.fillStyle = 'rgba(231,237,247,.45)';
  context.beginPath();
  context.arc(startX + x * reach, startY + y * reach, 24, 0, 7);
  context.fill();
}
