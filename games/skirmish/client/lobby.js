// The lobby list and the lobby: what the backend says becomes what the page shows.

import { byId, copyText, make, setText, toast } from './ui.js';

const CHAT_LINES_MAX = 100;
const POLL_EVERY_MS = 3000;
const FOUND_WITHIN_MS = 2500;

/** Emits `entered`, `left` and `waiting` (a kept lobby waits again after its match). */
export class Lobbies extends EventTarget {
  #backend;
  #list = new Map();
  #watching = false;
  #awaitsList = false;
  #poll = 0;
  #lookAgain = 0;
  lobby = null;

  constructor(backend) {
    super();
    this.#backend = backend;
    const on = (type, handle) => backend.addEventListener(type, ({ detail }) => handle(detail));
    on('open', () => this.#opened());
    on('lobby:created', ({ lobby }) => this.#update(lobby));
    on('lobby:updated', ({ lobby }) => this.#update(lobby));
    on('lobby:deleted', ({ lobbyId }) => { if (this.lobby?.id === lobbyId) this.#leave(); });
    on('lobby:left', () => this.#leave());
    on('lobby:kicked', () => { toast('The owner removed you from the lobby.', 'error'); this.#leave(); });
    on('lobby:chat', (message) => this.#chat(message));
    on('lobby:list', ({ lobbies }) => { this.#awaitsList = false; this.#showList(lobbies); });
    on('lobby:list:changed', ({ changed, removed }) => {
      for (const lobby of changed) this.#list.set(lobby.id, lobby);
      for (const id of removed) this.#list.delete(id);
      this.#renderList();
    });
    on('error', (message) => this.#error(message));
    this.#bind();
  }

  get #me() { return this.#backend.account?.id; }
  get mine() {
    const { lobby } = this;
    return lobby && [...lobby.teamA, ...lobby.teamB].find(({ accountId }) => accountId === this.#me);
  }

  /** Starts or stops following the public list. */
  watch(on) {
    clearInterval(this.#poll);
    this.#poll = 0;
    if (on && this.#backend.isOpen) {
      this.#awaitsList = true;
      this.#backend.send('lobby:list:watch');
    } else if (!on && this.#watching && this.#backend.isOpen) {
      this.#backend.send('lobby:list:unwatch');
    }
    this.#watching = on;
  }

  join(code) {
    const digits = code.replace(/\D/g, '');
    if (digits.length !== 6) { toast('An invite code has six digits.', 'error'); return false; }
    return this.#command('lobby:join', { code: digits });
  }

  leave() {
    if (!this.#backend.send('lobby:leave')) this.#leave();
  }

  ready(ready = true) { this.#command('lobby:ready', { ready }); }

  forget() { this.lobby = null; this.#list.clear(); }

  #command(type, fields) {
    if (this.#backend.send(type, fields)) return true;
    toast('Not connected. Try again in a moment.', 'error');
    return false;
  }

  #opened() {
    clearTimeout(this.#lookAgain);
    if (this.lobby) {
      // Who still has its place is told so right after connecting.
      const { id } = this.lobby;
      this.lobby.stale = true;
      this.#lookAgain = setTimeout(() => { if (this.lobby?.id === id && this.lobby.stale) this.#leave(); }, FOUND_WITHIN_MS);
    }
    if (this.#watching) this.watch(true);
  }

  #error({ message }) {
    if (this.#awaitsList && /unknown message/i.test(message)) {
      this.#awaitsList = false;
      this.#watching = true;
      const ask = () => this.#backend.lobbies().then((lobbies) => this.#showList(lobbies), () => {});
      clearInterval(this.#poll);
      this.#poll = setInterval(ask, POLL_EVERY_MS);
      ask();
      return;
    }
    if (/unknown message/i.test(message)) return;
    toast(message, 'error');
    byId('start-button').classList.remove('busy');
  }

  #update(lobby) {
    const before = this.lobby;
    if (before?.id === lobby.id && before.revision !== undefined && lobby.revision < before.revision) return;
    const here = [...lobby.teamA, ...lobby.teamB].some(({ accountId }) => accountId === this.#me);
    if (!here) { if (before?.id === lobby.id) this.#leave(); return; }
    this.lobby = lobby;
    if (before?.id !== lobby.id) {
      byId('chat-log').replaceChildren();
      this.#emit('entered');
    }
    const phase = lobby.phase ?? 'waiting';
    if (before?.id === lobby.id && (before.phase ?? 'waiting') === 'playing' && phase === 'waiting') this.#emit('waiting');
    this.#render();
  }

  #leave() {
    if (!this.lobby) return;
    this.lobby = null;
    this.#emit('left');
  }

  #showList(lobbies) {
    this.#list = new Map(lobbies.map((lobby) => [lobby.id, lobby]));
    this.#renderList();
  }

  #renderList() {
    const lobbies = [...this.#list.values()].sort((one, two) => (two.createdAt ?? 0) - (one.createdAt ?? 0));
    setText(byId('lobby-count'), String(lobbies.length));
    byId('lobby-empty').hidden = lobbies.length > 0;
    const focused = document.activeElement?.dataset?.lobby;
    byId('lobby-list').replaceChildren(...lobbies.map((lobby) => this.#listItem(lobby)));
    if (focused) byId('lobby-list').querySelector(`[data-lobby="${CSS.escape(focused)}"]`)?.focus();
  }

  #listItem(lobby) {
    const members = [...lobby.teamA, ...lobby.teamB];
    const owner = members.find(({ accountId }) => accountId === lobby.ownerId);
    const playing = lobby.phase && lobby.phase !== 'waiting';
    const most = lobby.membersMax ?? 8;
    const full = members.length >= most;
    const dots = make('span', { className: 'dots', 'aria-hidden': 'true' });
    for (let index = 0; index < Math.min(most, 16); index++) {
      const team = index < lobby.teamA.length ? 'a' : index < members.length ? 'b' : '';
      dots.append(make('i', { className: team }));
    }
    const join = make('button', { text: 'Join', className: 'small', type: 'button', 'data-lobby': lobby.id, 'data-testid': 'list-join', disabled: full || lobby.hasPassword });
    join.setAttribute('aria-label', `Join ${lobby.name || owner?.username || 'lobby'}`);
    join.addEventListener('click', () => this.#command('lobby:join', { lobbyId: lobby.id }));
    return make('li', { 'data-testid': 'lobby-item' },
      make('div', { className: 'lobby-item-text' },
        make('strong', { text: lobby.name || `${owner?.username ?? 'Somebody'}’s lobby` }),
        make('span', { className: 'meta' }, dots, make('span', { text: `${members.length} of ${most}${playing ? ' · playing' : ''}` }))),
      join);
  }

  #render() {
    const { lobby } = this;
    const owner = lobby.ownerId === this.#me;
    const mine = this.mine;
    const members = [...lobby.teamA, ...lobby.teamB];
    const ownerName = members.find(({ accountId }) => accountId === lobby.ownerId)?.username ?? 'Somebody';
    setText(byId('lobby-title'), lobby.name || `${ownerName}’s lobby`);
    setText(byId('lobby-kind'), lobby.isPrivate ? 'Private lobby' : 'Public lobby');
    setText(byId('lobby-code'), lobby.code);
    for (const [letter, team] of [['a', lobby.teamA], ['b', lobby.teamB]]) {
      setText(byId(`team-${letter}-count`), lobby.teamSize ? `${team.length}/${lobby.teamSize}` : String(team.length));
      byId(`team-${letter}`).replaceChildren(...team.map((member) => this.#member(member, owner)));
      byId(`join-team-${letter}`).hidden = team.some(({ accountId }) => accountId === this.#me) || Boolean(lobby.teamSize && team.length >= lobby.teamSize);
    }
    const phase = lobby.phase ?? 'waiting';
    const waitingFor = members.filter(({ ready }) => !ready);
    const ready = byId('ready-button');
    setText(ready, mine.ready ? 'Ready ✓' : 'Ready');
    ready.setAttribute('aria-pressed', String(mine.ready));
    ready.classList.toggle('primary', !mine.ready);
    ready.disabled = phase !== 'waiting';
    const start = byId('start-button');
    start.hidden = !owner || phase === 'playing';
    byId('rejoin-button').hidden = phase !== 'playing';
    ready.hidden = phase === 'playing';
    start.disabled = phase !== 'waiting' || waitingFor.length > 0;
    start.classList.toggle('busy', phase === 'starting');
    setText(start, phase === 'starting' ? 'Starting…' : 'Start match');
    byId('fill-bots').hidden = !owner || phase === 'playing';
    byId('fill-bots').disabled = phase !== 'waiting';
    setText(byId('lobby-status'), status(phase, waitingFor, owner, ownerName, mine));
  }

  #member(member, owner) {
    const isBot = member.bot ?? member.accountId.startsWith('bot-');
    const me = member.accountId === this.#me;
    const away = member.connected === false;
    const state = away ? 'away' : isBot ? 'bot' : member.ready ? 'ready' : 'waiting';
    const kick = owner && !me && make('button', { text: '×', className: 'kick', type: 'button', title: 'Remove', 'aria-label': `Remove ${member.username}` });
    kick && kick.addEventListener('click', () => this.#command('lobby:kick', { accountId: member.accountId }));
    return make('li', { className: `member ${state}${me ? ' me' : ''}`, 'data-account': member.accountId },
      make('span', { className: 'member-name', text: member.username }),
      this.lobby.ownerId === member.accountId && make('span', { className: 'tag', text: 'host' }),
      me && make('span', { className: 'tag you', text: 'you' }),
      make('span', { className: 'member-state', text: { away: 'reconnecting', bot: 'bot', ready: 'ready', waiting: 'not ready' }[state] }),
      kick);
  }

  #chat({ accountId, username, text }) {
    const log = byId('chat-log');
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 30;
    const side = this.lobby?.teamA.some((member) => member.accountId === accountId) ? 'a' : 'b';
    log.append(make('li', {}, make('b', { className: side, text: username }), make('span', { text })));
    while (log.children.length > CHAT_LINES_MAX) log.firstChild.remove();
    if (atEnd) log.scrollTop = log.scrollHeight;
  }

  #bind() {
    byId('create-form').addEventListener('submit', (event) => {
      event.preventDefault();
      const name = byId('lobby-name').value.trim();
      this.#command('lobby:create', { isPrivate: byId('lobby-private').checked, keep: true, ...(name && { name }) });
    });
    byId('join-form').addEventListener('submit', (event) => {
      event.preventDefault();
      if (this.join(byId('join-code').value)) byId('join-code').value = '';
    });
    byId('ready-button').addEventListener('click', () => this.ready(!this.mine?.ready));
    byId('start-button').addEventListener('click', () => { if (this.#command('lobby:start')) byId('start-button').classList.add('busy'); });
    byId('fill-bots').addEventListener('click', () => this.#command('lobby:fill-bots'));
    byId('leave-button').addEventListener('click', () => this.leave());
    for (const letter of ['a', 'b']) {
      byId(`join-team-${letter}`).addEventListener('click', () => this.#command('lobby:team', { team: letter.toUpperCase() }));
    }
    byId('chat-form').addEventListener('submit', (event) => {
      event.preventDefault();
      const text = byId('chat-input').value.trim();
      if (text && this.#command('lobby:chat', { text })) byId('chat-input').value = '';
    });
    byId('copy-link').addEventListener('click', async () => {
      const link = `${location.origin}/play/skirmish#code=${this.lobby?.code}`;
      if (await copyText(link)) toast('Invite link copied.');
      else toast(`Copy this link: ${link}`);
    });
  }

  #emit(type) { this.dispatchEvent(new CustomEvent(type)); }
}

function status(phase, waitingFor, owner, ownerName, mine) {
  if (phase === 'starting') return 'Finding a server…';
  if (phase === 'playing') return 'The match is being played.';
  if (!mine.ready) return 'Press Ready when you are.';
  if (waitingFor.length > 0) return `Waiting for ${waitingFor.map(({ username }) => username).slice(0, 3).join(', ')}${waitingFor.length > 3 ? '…' : ''}`;
  return owner ? 'Everybody is ready.' : `Everybody is ready. Waiting for ${ownerName} to start.`;
}
