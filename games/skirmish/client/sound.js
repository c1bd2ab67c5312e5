// A few short tones, made here; silent until the player turns them on.

const KEY = 'skirmish.sound';
const VOICES_MAX = 10;

export class Sound {
  #context = null;
  #voices = 0;
  on = localStorage.getItem(KEY) === 'on';

  toggle() {
    this.on = !this.on;
    localStorage.setItem(KEY, this.on ? 'on' : 'off');
    if (this.on) this.#tone({ from: 440, to: 660, seconds: 0.12, volume: 0.12 });
    return this.on;
  }

  shot(distance) { this.#tone({ from: 720, to: 180, seconds: 0.07, volume: 0.07 * near(distance), shape: 'square' }); }
  hit() { this.#tone({ from: 300, to: 120, seconds: 0.09, volume: 0.16, shape: 'triangle' }); }
  confirm() { this.#tone({ from: 1200, to: 900, seconds: 0.04, volume: 0.08, shape: 'sine' }); }
  down(distance) { this.#tone({ from: 220, to: 40, seconds: 0.4, volume: 0.22 * near(distance), shape: 'sawtooth' }); }
  taken() { this.#tone({ from: 500, to: 1000, seconds: 0.18, volume: 0.12 }); }
  dash() { this.#tone({ from: 160, to: 480, seconds: 0.14, volume: 0.1, shape: 'triangle' }); }
  zone(ours) { this.#tone({ from: ours ? 520 : 360, to: ours ? 780 : 240, seconds: 0.35, volume: 0.14, shape: 'triangle' }); }
  count(last) { this.#tone({ from: last ? 880 : 440, to: last ? 880 : 440, seconds: last ? 0.35 : 0.12, volume: 0.14 }); }

  #tone({ from, to, seconds, volume, shape = 'sine' }) {
    if (!this.on || volume < 0.004 || this.#voices >= VOICES_MAX) return;
    this.#context ??= new AudioContext();
    const context = this.#context;
    if (context.state === 'suspended') context.resume();
    const start = context.currentTime;
    const oscillator = new OscillatorNode(context, { type: shape, frequency: from });
    const gain = new GainNode(context, { gain: volume });
    oscillator.frequency.exponentialRampToValueAtTime(to, start + seconds);
    gain.gain.exponentialRampToValueAtTime(0.0005, start + seconds);
    oscillator.connect(gain).connect(context.destination);
    this.#voices += 1;
    oscillator.onended = () => { this.#voices -= 1; };
    oscillator.start(start);
    oscillator.stop(start + seconds);
  }
}

const near = (distance) => Math.max(0, 1 - distance / 900) ** 1.5;
