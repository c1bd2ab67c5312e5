// The log of a game server: follows its end, searches in it, and keeps no more than fits a browser well.

/** Lines that are kept; the oldest go. */
const LINES_MAX = 5_000;

const SAID = {
  begins: "",
  ends: "The server has ended. This is the end of its log.",
  away: "The log cannot be read at the moment. It is shown as soon as it can be.",
  missing: "There is no log, or it is no longer kept.",
};

/** The log in `panel`, to be told `lines` and `state`. */
export function logOf(panel) {
  const list = panel.querySelector("#log-lines");
  const find = panel.querySelector("#log-find");
  const count = panel.querySelector("#log-count");
  const followed = panel.querySelector("#log-follow");
  const state = panel.querySelector("#log-state");
  let waiting = [];

  const draw = () => {
    const wanted = find.value.trim().toLowerCase();
    for (const line of waiting) list.append(drawn(line, wanted));
    waiting = [];
    while (list.childElementCount > LINES_MAX) list.firstElementChild.remove();
    if (wanted) tell(wanted);
    if (followed.checked) list.scrollTop = list.scrollHeight;
  };
  const search = () => {
    const wanted = find.value.trim().toLowerCase();
    for (const line of list.children) mark(line, wanted);
    tell(wanted);
    if (followed.checked) list.scrollTop = list.scrollHeight;
  };
  const tell = (wanted) => {
    const found = wanted ? list.querySelectorAll("li:not([hidden])").length : 0;
    count.textContent = !wanted ? "" : found === 1 ? "1 line" : `${found} lines`;
  };

  find.addEventListener("input", search);
  followed.addEventListener("change", draw);
  panel.querySelector("#log-times").addEventListener("change", (event) => {
    list.classList.toggle("timed", event.target.checked);
  });
  // Who scrolls up wants to read; who comes back to the end wants to follow.
  list.addEventListener("scroll", () => {
    followed.checked = list.scrollHeight - list.scrollTop - list.clientHeight < 24;
  });
  state.textContent = "Waiting for the log…";

  return {
    lines(lines) {
      if (waiting.length === 0) requestAnimationFrame(draw);
      waiting.push(...lines);
      waiting.splice(0, waiting.length - LINES_MAX);
      state.textContent = "";
    },
    state(word) {
      if (word === "begins") {
        waiting = [];
        list.replaceChildren();
      }
      state.textContent = word === "begins" ? "Nothing was written yet." : SAID[word];
    },
  };
}

function drawn(line, wanted) {
  const item = document.createElement("li");
  item.dataset.from = line.from;
  item.dataset.at = new Date(line.at).toISOString().slice(11, 23);
  item.textContent = line.text || " ";
  if (wanted) mark(item, wanted);
  return item;
}

/** Hides a line that has not what is wanted, and marks it in one that has. */
function mark(item, wanted) {
  const text = item.textContent;
  if (item.firstElementChild) item.textContent = text;
  const at = wanted ? text.toLowerCase().indexOf(wanted) : -1;
  item.hidden = Boolean(wanted) && at < 0;
  if (at < 0) return;
  const found = document.createElement("mark");
  found.textContent = text.slice(at, at + wanted.length);
  item.replaceChildren(text.slice(0, at), found, text.slice(at + wanted.length));
}
