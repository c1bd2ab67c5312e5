// The player's own movement, repeated here so that it answers at once. The same steps as
// `Player::walk` and `Map::keep_inside` in the game's `sim`.

/** Moves `state` one step on. */
export function walk(state, input, rules, map) {
  const seconds = 1 / rules.ticksPerSecond;
  const length = Math.hypot(input.x, input.y);
  const shorten = length > 1 ? 1 / length : 1;
  const wx = input.x * shorten;
  const wy = input.y * shorten;
  state.dashCooldownTicks = Math.max(0, state.dashCooldownTicks - 1);
  if (input.dash && state.dashCooldownTicks === 0 && state.dashTicks === 0) {
    const moves = length >= 1e-3;
    state.dashX = moves ? wx / Math.hypot(wx, wy) : Math.cos(input.aim);
    state.dashY = moves ? wy / Math.hypot(wx, wy) : Math.sin(input.aim);
    state.dashTicks = rules.dashTicks;
    state.dashCooldownTicks = rules.dashCooldownTicks;
  }
  if (state.dashTicks > 0) {
    state.dashTicks -= 1;
    const speed = state.dashTicks === 0 ? rules.runSpeed : rules.dashSpeed;
    state.vx = state.dashX * speed;
    state.vy = state.dashY * speed;
  } else {
    const part = Math.min(1, rules.runResponse * seconds);
    state.vx += (wx * rules.runSpeed - state.vx) * part;
    state.vy += (wy * rules.runSpeed - state.vy) * part;
  }
  state.x += state.vx * seconds;
  state.y += state.vy * seconds;
  keepInside(state, rules.playerRadius, map);
}

function keepInside(state, radius, map) {
  for (const [x, y, width, height] of map.obstacles) {
    const nx = clamp(state.x, x, x + width);
    const ny = clamp(state.y, y, y + height);
    const dx = state.x - nx;
    const dy = state.y - ny;
    const distance = Math.hypot(dx, dy);
    if (distance >= radius) continue;
    if (distance > 1e-3) {
      state.x = nx + (dx * radius) / distance;
      state.y = ny + (dy * radius) / distance;
      continue;
    }
    const left = state.x - x;
    const right = x + width - state.x;
    const up = state.y - y;
    const down = y + height - state.y;
    const shortest = Math.min(left, right, up, down);
    if (shortest === left) state.x = x - radius;
    else if (shortest === right) state.x = x + width + radius;
    else if (shortest === up) state.y = y - radius;
    else state.y = y + height + radius;
  }
  state.x = clamp(state.x, radius, map.width - radius);
  state.y = clamp(state.y, radius, map.height - radius);
}

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
