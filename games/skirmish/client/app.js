// Skirmish in the browser: from a name to a rematch.

import { Backend } from './backend.js';
import { Lobbies } from './lobby.js';
import { Match } from './match.js';
import { Controls } from './controls.js';
import { Arena } from './draw.js';
import { Hud } from './hud.js';
import { Sound } from './sound.js';
import { EFFECT } from './wire.js';
import { byId, setText, toast } from './ui.js';

const TICKET_AGAIN_MS = 10000;

const backend = new Backend();
const lobbies = new Lobbies(backend);
const arena = new Arena(byId('game-canvas'));
const hud = new Hud();
const sound = new Sound();
let match = null;
let controls = null;
let currentMatchId = null;
let wantsRematch = false;
let painting = false;
let ticketAskedAt = -1e9;
let view = 'loading';

/** For tests: what is on the screen, read only. */
window.__skirmish = {
  get view() { return view; },
  get phase() { return match ? match.phase : null; },
  get tick() { return match?.latest?.frame ?? 0; },
  get scores() { return match?.latest?.scores ?? [0, 0]; },
  get you() { return match?.you ?? -1; },
  get players() {
    const states = match?.latest?.players ?? [];
    return (match?.players ?? []).map((player, seat) => ({ ...player, x: states[seat]?.x, y: states[seat]?.y, health: states[seat]?.health, alive: Boolean(states[seat]?.flags & 1) }));
  },
  get correction() { return match?.correction ?? 0; },
  get connected() { return match?.isConnected ?? false; },
  get matchId() { return currentMatchId; },
  get lobby() { return lobbies.lobby; },
  get account() { return backend.account; },
  get result() { return match?.result ?? null; },
};

function show(next) {
  if (view === next) return;
  view = next;
  document.body.dataset.view = next;
  lobbies.watch(next === 'lobbies');
  const focus = { 'sign-in': 'name-input', lobbies: 'lobby-create', lobby: 'ready-button', game: 'game-canvas' }[next];
  if (focus && !matchMedia('(pointer: coarse)').matches) byId(focus).focus({ preventScroll: true });
}

function invitedCode() {
  return new URLSearchParams(location.hash.slice(1)).get('code');
}

function clearInvitation() {
  history.replaceState(null, '', location.pathname + location.search);
}

function signedOut() {
  leaveMatch();
  lobbies.forget();
  byId('name-input').value = backend.rememberedName;
  const code = invitedCode();
  byId('invite-hint').hidden = !code;
  if (code) setText(byId('invite-hint'), `You are invited to lobby ${code}.`);
  byId('link-status').hidden = true;
  show('sign-in');
}

byId('sign-in-form').addEventListener('submit', async (event) => {
  event.preventDefault();
  const name = byId('name-input').value.trim();
  if (!name) { toast('Choose a name first.', 'error'); byId('name-input').focus(); return; }
  const button = byId('sign-in');
  button.disabled = true;
  try {
    await backend.signIn(name);
  } catch (error) {
    toast(error.message, 'error');
  } finally {
    button.disabled = false;
  }
});

byId('sign-out').addEventListener('click', () => {
  if (lobbies.lobby) lobbies.leave();
  backend.signOut();
  signedOut();
});

backend.addEventListener('open', () => {
  byId('link-status').hidden = true;
  setText(byId('my-name'), backend.account.username);
  if (view === 'loading' || view === 'sign-in') show('lobbies');
  const code = invitedCode();
  if (code) {
    clearInvitation();
    if (lobbies.lobby?.code !== code) lobbies.join(code);
  }
});
backend.addEventListener('lost', () => { byId('link-status').hidden = view === 'game'; });
backend.addEventListener('signed-out', () => { toast('Please choose a name again.'); signedOut(); });
window.addEventListener('hashchange', () => {
  const code = invitedCode();
  if (!code || !backend.isOpen) return;
  clearInvitation();
  if (lobbies.lobby?.code !== code) lobbies.join(code);
});

lobbies.addEventListener('entered', () => { if (view !== 'game') show('lobby'); });
lobbies.addEventListener('left', () => { if (!match || match.result) { leaveMatch(); if (backend.token) show('lobbies'); } });
lobbies.addEventListener('waiting', matchIsOver);
backend.addEventListener('match:started', ({ detail }) => startMatch(detail));
backend.addEventListener('match:ended', matchIsOver);

function startMatch({ matchData, ticket }) {
  // Told again after a reconnect of the lobby's socket: the match goes on as it is.
  if (match && currentMatchId === matchData.matchId && (match.isConnected || match.result)) return;
  leaveMatch();
  currentMatchId = matchData.matchId;
  match = new Match({ ...matchData.server, ticket: ticket ?? matchData.ticket });
  const mine = match;
  const on = (type, handle) => match.addEventListener(type, ({ detail }) => { if (match === mine) handle(detail); });
  on('welcome', (welcome) => { arena.begin(welcome.map, welcome.rules); hud.begin(welcome); });
  on('down', (down) => hud.feed(down, match.players, match.you));
  on('effect', (effect) => { arena.effect(effect, match); hear(effect); });
  on('result', (result) => hud.result(result, match));
  on('refused', ({ reason }) => toast(`The game server said: ${reason}.`, 'error'));
  on('closing', ({ reason }) => toast(reason, 'error'));
  on('closed', ({ code }) => {
    if (match.result) return;
    if (code === 4001) toast('You joined from another window.');
    // A ticket is short-lived; the lobby's socket brings a new one when it is opened again.
    if (code === 4401 && askForTicket()) return;
    backToLobby();
  });
  controls = new Controls(byId('game-canvas'), byId('dash-button'), { onKey });
  byId('result').hidden = true;
  byId('banner').hidden = true;
  show('game');
  if (!painting) requestAnimationFrame(paint);
  painting = true;
}

/** Whether a new ticket was asked for; not again when that has just been of no use. */
function askForTicket() {
  if (performance.now() - ticketAskedAt < TICKET_AGAIN_MS) return false;
  ticketAskedAt = performance.now();
  backend.connect();
  return true;
}

function leaveMatch() {
  match?.close();
  controls?.stop();
  match = null;
  controls = null;
  currentMatchId = null;
}

/** The backend says that the match has ended; whoever has not seen a result goes back. */
function matchIsOver() {
  if (!match) return;
  if (!match.result) {
    // The result and this news come over two sockets: give the other one a moment.
    const mine = match;
    setTimeout(() => { if (match === mine && !match.result) { toast('The match has ended.'); backToLobby(); } }, 1500);
  } else if (wantsRematch) {
    rematch();
  }
}

function backToLobby() {
  leaveMatch();
  show(lobbies.lobby ? 'lobby' : 'lobbies');
}

/** Back to the lobby and ready, as soon as it waits again. */
function rematch() {
  if (!lobbies.lobby) { wantsRematch = false; backToLobby(); return; }
  if ((lobbies.lobby.phase ?? 'waiting') !== 'waiting') {
    wantsRematch = true;
    byId('rematch-button').disabled = true;
    setText(byId('rematch-button'), 'Waiting for the lobby…');
    // Lets the server see that everybody is done, so that it need not wait out its scoreboard.
    match?.close();
    return;
  }
  wantsRematch = false;
  byId('rematch-button').disabled = false;
  setText(byId('rematch-button'), 'Rematch');
  lobbies.ready(true);
  backToLobby();
}

byId('rematch-button').addEventListener('click', rematch);
byId('to-lobbies-button').addEventListener('click', () => {
  wantsRematch = false;
  leaveMatch();
  if (lobbies.lobby) lobbies.leave();
  show('lobbies');
});
byId('quit-button').addEventListener('click', () => {
  leaveMatch();
  if (lobbies.lobby) lobbies.leave();
  show('lobbies');
});
byId('rejoin-button').addEventListener('click', () => backend.connect());
byId('scores-button').addEventListener('click', () => showScores(byId('scoreboard').hidden));
byId('sound-button').addEventListener('click', toggleSound);

function showScores(visible) { byId('scoreboard').hidden = !visible || Boolean(match?.result); }

function toggleSound() {
  const on = sound.toggle();
  setText(byId('sound-button'), on ? 'Sound on' : 'Sound off');
  byId('sound-button').setAttribute('aria-pressed', String(on));
}

function onKey(event) {
  if (!byId('result').hidden) return;
  if (event.code === 'Tab' && document.activeElement === byId('game-canvas')) {
    event.preventDefault();
    showScores(event.type === 'keydown');
  } else if (event.code === 'KeyM' && event.type === 'keydown') {
    toggleSound();
  }
}

function hear({ kind, x, y, one, two }) {
  const state = match.latest?.players[match.you];
  const distance = state ? Math.hypot(state.x - x, state.y - y) : 0;
  if (kind === EFFECT.hit && one === match.you) sound.hit();
  else if (kind === EFFECT.hit && two === match.you) sound.confirm();
  else if (kind === EFFECT.down) sound.down(two === match.you ? 0 : distance);
  else if (kind === EFFECT.taken && one === match.you) sound.taken();
  else if (kind === EFFECT.dash && one === match.you) sound.dash();
  else if (kind === EFFECT.zoneTaken) sound.zone('AB'[one] === match.players[match.you]?.team);
}

arena.onShot = (shot) => {
  const state = match?.latest?.players[match.you];
  if (state) sound.shot(shot.by === match.you ? 0 : Math.hypot(state.x - shot.x, state.y - shot.y));
};

function paint(now) {
  painting = match !== null;
  if (!match) return;
  requestAnimationFrame(paint);
  match.advance(now, () => controls.read());
  const shown = match.view(now);
  if (!shown) { arena.draw(null, { sticks: [], now }); return; }
  const me = shown.players[match.you];
  if (me) controls.centre = arena.toScreen(me.x, me.y);
  if (me?.alive && match.isConnected) me.aim = controls.aim;
  document.body.classList.toggle('touch', controls.usesTouch);
  arena.draw(shown, { you: match.you, aim: controls.aim, sticks: [controls.stick('move'), controls.stick('aim')], now });
  arena.minimap(byId('minimap'), shown, match.you);
  const counted = hud.update(shown, match, now);
  if (counted) sound.count(counted === 'Go!');
  if (!byId('scoreboard').hidden) hud.scoreboard(shown, match);
}

// A hidden page gets no frames; the server still wants to hear that somebody is here.
setInterval(() => { if (document.hidden && match && controls) match.advance(performance.now(), () => ({ ...controls.read(), x: 0, y: 0, fire: false, dash: false })); }, 1000);

setText(byId('sound-button'), sound.on ? 'Sound on' : 'Sound off');
byId('sound-button').setAttribute('aria-pressed', String(sound.on));
if (backend.token) backend.connect();
else signedOut();
