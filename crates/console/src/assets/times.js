// Says times relative to now, as `format.rs` does, and keeps them right.

const UNITS = [[86_400, 172_800, "d"], [3_600, 3_600, "h"], [60, 60, "min"], [1, 0, "s"]];
const SAY_AGAIN_EVERY_MS = 5_000;

export function keepTimes() {
  sayTimes(document);
  setInterval(() => document.hidden || sayTimes(document), SAY_AGAIN_EVERY_MS);
}

/** Says all times below `root`. */
export function sayTimes(root) {
  const now = Date.now();
  for (const time of root.querySelectorAll("time")) {
    const said = relative(Date.parse(time.dateTime), now);
    if (time.textContent !== said) time.textContent = said;
  }
}

function relative(at, now) {
  const seconds = Math.floor(Math.abs(now - at) / 1_000);
  if (now < at && seconds >= 1) return `in ${rough(seconds)}`;
  return seconds < 2 ? "just now" : `${rough(seconds)} ago`;
}

function rough(seconds) {
  const [size, , unit] = UNITS.find(([, from]) => seconds >= from);
  return `${Math.floor(seconds / size)} ${unit}`;
}
