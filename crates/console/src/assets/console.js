// What every page of the console does with scripts on. Without them all pages work, but stand still.

import { follow } from "./live.js";
import { logOf } from "./log.js";
import { keepTimes } from "./times.js";

const COPIED_MS = 1_500;

document.documentElement.classList.add("scripted");
keepTimes();

const panel = document.querySelector("[data-log]");
const live = document.querySelector("[data-live]");
if (live) follow(live, panel && logOf(panel));

// On a phone the sections are a row that is wider than the screen.
document.querySelector(".top nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

// Choosing shows at once; a text is sent by Enter or the button.
for (const form of document.querySelectorAll("form[data-filter]")) {
  form.addEventListener("change", (event) => event.target.tagName === "SELECT" && form.requestSubmit());
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  button.textContent = (await copy(button.dataset.copy)) ? "Copied" : "Press Ctrl+C";
  setTimeout(() => (button.textContent = "Copy"), COPIED_MS);
});

/** The clipboard needs HTTPS or this machine; elsewhere the text is selected for the reader to copy. */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const code = document.activeElement?.parentElement?.querySelector("code");
    if (code) getSelection().selectAllChildren(code);
    return false;
  }
}
