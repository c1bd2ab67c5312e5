// Keeps the live part of a page up to date by the server's events. A page in the background lets its
// stream go: browsers allow few connections to one server, and nobody looks.

import { morphChildren } from "./morph.js";
import { sayTimes } from "./times.js";

/** How long a stream may be gone before the reader is told, in milliseconds. */
const PATIENCE_MS = 3_000;

/** Begins to follow `part`, an element with `data-live`; `log` is told what comes of a log. */
export function follow(part, log) {
  let source = null;
  let warning = null;

  const open = () => {
    if (source || document.hidden) return;
    source = new EventSource(part.dataset.live);
    source.addEventListener("open", () => say(null));
    source.addEventListener("fragment", (event) => show(part, JSON.parse(event.data)));
    source.addEventListener("signed-out", () => end("You were signed out.", "Sign in again"));
    source.addEventListener("log", (event) => log?.lines(JSON.parse(event.data)));
    source.addEventListener("log-state", (event) => log?.state(JSON.parse(event.data)));
    source.addEventListener("error", () => {
      // Closed: the server refused it. Else the browser tries again by itself.
      if (source?.readyState === EventSource.CLOSED) end("This page is no longer live.", "Reload it");
      else warning ??= setTimeout(() => say("The connection is lost. Trying again…"), PATIENCE_MS);
    });
  };
  const close = () => {
    source?.close();
    source = null;
  };
  const say = (text, link) => {
    clearTimeout(warning);
    warning = null;
    const problem = document.getElementById("stream-problem");
    problem.hidden = text === null;
    problem.textContent = text ?? "";
    if (link) {
      const again = document.createElement("a");
      again.href = location.href;
      again.textContent = link;
      problem.append(" ", again);
    }
  };
  const end = (text, link) => {
    close();
    document.removeEventListener("visibilitychange", look);
    say(text, link);
  };
  const look = () => (document.hidden ? close() : open());

  document.addEventListener("visibilitychange", look);
  // A page that the browser keeps for going back must not keep its connection.
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);
  open();
}

function show(part, html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  sayTimes(template.content);
  morphChildren(part, template.content);
}
