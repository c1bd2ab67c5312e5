// Keyboard, mouse and touch, as one answer to "what does the player want now?".

const STICK_REACH = 56;
const FIRE_FROM = 0.4;
const MOVES = { KeyW: [0, -1], ArrowUp: [0, -1], KeyS: [0, 1], ArrowDown: [0, 1], KeyA: [-1, 0], ArrowLeft: [-1, 0], KeyD: [1, 0], ArrowRight: [1, 0] };
const DASHES = new Set(['Space', 'ShiftLeft', 'ShiftRight']);
const FIRES = new Set(['KeyF', 'KeyJ', 'ControlLeft', 'Enter']);

export class Controls {
  #canvas;
  #held = new Set();
  #mouse = { x: 0, y: 0, fire: false, dash: false, movedAt: -1e9 };
  #touches = new Map();
  #dashTouched = false;
  #aim = 0;
  #stop = new AbortController();
  /** Where the player's own figure stands on the screen. */
  centre = { x: 0, y: 0 };
  usesTouch = matchMedia('(pointer: coarse)').matches;

  constructor(canvas, dashButton, { onKey }) {
    this.#canvas = canvas;
    const options = { signal: this.#stop.signal };
    const active = { signal: this.#stop.signal, passive: false };
    window.addEventListener('keydown', (event) => {
      if (event.target.closest?.('input, textarea')) return;
      const known = event.code in MOVES || DASHES.has(event.code) || FIRES.has(event.code);
      if (event.target.closest?.('button') && (event.code === 'Space' || event.code === 'Enter')) return;
      if (known) { this.#held.add(event.code); event.preventDefault(); }
      if (!event.repeat) onKey(event);
    }, options);
    window.addEventListener('keyup', (event) => { this.#held.delete(event.code); onKey(event); }, options);
    window.addEventListener('blur', () => this.#release(), options);
    canvas.addEventListener('pointermove', (event) => this.#pointerMove(event), options);
    canvas.addEventListener('pointerdown', (event) => this.#pointerDown(event), active);
    for (const name of ['pointerup', 'pointercancel']) window.addEventListener(name, (event) => this.#pointerUp(event), options);
    canvas.addEventListener('contextmenu', (event) => event.preventDefault(), options);
    dashButton.addEventListener('pointerdown', (event) => { this.#dashTouched = true; event.preventDefault(); }, active);
  }

  stop() { this.#stop.abort(); }

  /** The input of this tick; a touched dash counts once. */
  read() {
    let [x, y] = [0, 0];
    for (const code of this.#held) {
      const move = MOVES[code];
      if (move) { x += move[0]; y += move[1]; }
    }
    let fire = this.#mouse.fire || [...FIRES].some((code) => this.#held.has(code));
    const dash = this.#mouse.dash || this.#dashTouched || [...DASHES].some((code) => this.#held.has(code));
    this.#dashTouched = false;
    const left = this.stick('move');
    const right = this.stick('aim');
    if (left) ({ x, y } = left);
    const length = Math.hypot(x, y);
    if (length > 1) { x /= length; y /= length; }
    if (right && right.length > 0.15) {
      this.#aim = Math.atan2(right.y, right.x);
      fire ||= right.length > FIRE_FROM;
    } else if (!this.usesTouch && performance.now() - this.#mouse.movedAt < 4000 || this.#mouse.fire) {
      this.#aim = Math.atan2(this.#mouse.y - this.centre.y, this.#mouse.x - this.centre.x);
    } else if (length > 0.2 && !fire) {
      // Without a pointer, players look where they walk, and keep looking there while firing.
      this.#aim = Math.atan2(y, x);
    }
    if (this.#aim < 0) this.#aim += 2 * Math.PI;
    return { x, y, aim: this.#aim, fire, dash };
  }

  get aim() { return this.#aim; }

  /** A stick's origin and its pull, 0 to 1, while a finger is on it. */
  stick(kind) {
    for (const touch of this.#touches.values()) {
      if (touch.kind !== kind) continue;
      const dx = (touch.x - touch.startX) / STICK_REACH;
      const dy = (touch.y - touch.startY) / STICK_REACH;
      const length = Math.hypot(dx, dy);
      const shorten = length > 1 ? 1 / length : 1;
      return { startX: touch.startX, startY: touch.startY, x: dx * shorten, y: dy * shorten, length: Math.min(length, 1), reach: STICK_REACH };
    }
    return null;
  }

  #pointerDown(event) {
    event.preventDefault();
    this.#canvas.focus({ preventScroll: true });
    if (event.pointerType === 'mouse') {
      this.usesTouch = false;
      this.#mouseAt(event);
      if (event.button === 0) this.#mouse.fire = true;
      if (event.button === 2) this.#mouse.dash = true;
      return;
    }
    this.usesTouch = true;
    const kind = event.clientX < innerWidth / 2 ? 'move' : 'aim';
    if (this.stick(kind)) return;
    this.#touches.set(event.pointerId, { kind, startX: event.clientX, startY: event.clientY, x: event.clientX, y: event.clientY });
  }

  #pointerMove(event) {
    if (event.pointerType === 'mouse') { this.usesTouch = false; this.#mouseAt(event); return; }
    const touch = this.#touches.get(event.pointerId);
    if (touch) { touch.x = event.clientX; touch.y = event.clientY; }
  }

  #pointerUp(event) {
    if (event.pointerType === 'mouse') { this.#mouse.fire = false; this.#mouse.dash = false; }
    this.#touches.delete(event.pointerId);
  }

  #mouseAt(event) {
    this.#mouse.x = event.clientX;
    this.#mouse.y = event.clientY;
    this.#mouse.movedAt = performance.now();
  }

  #release() {
    this.#held.clear();
    this.#touches.clear();
    this.#mouse.fire = this.#mouse.dash = false;
  }
}
