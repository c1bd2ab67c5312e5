// The player's side of Greenroom: signing in, and the lobby socket with its reconnecting.

const TOKEN_KEY = 'skirmish.token';
const NAME_KEY = 'skirmish.name';
const RETRY_FIRST_MS = 400;
const RETRY_MAX_MS = 8000;
const PING_EVERY_MS = 20000;

/** Emits `open`, `lost`, `signed-out`, and each message of the socket under its type. */
export class Backend extends EventTarget {
  #socket = null;
  #retryMs = RETRY_FIRST_MS;
  #timer = 0;
  #ping = 0;
  account = null;

  get token() { return sessionStorage.getItem(TOKEN_KEY); }
  get rememberedName() { return localStorage.getItem(NAME_KEY) ?? ''; }
  get isOpen() { return this.#socket?.readyState === WebSocket.OPEN; }

  /** A new account under a name; throws an Error with a sentence for the player. */
  async signIn(username) {
    let response;
    try {
      response = await fetch('/auth/anonymous', {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ username }),
      });
    } catch {
      throw new Error('The server cannot be reached. Try again in a moment.');
    }
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) throw new Error(answer.error ?? answer.detail ?? 'Signing in did not work.');
    sessionStorage.setItem(TOKEN_KEY, answer.accessToken);
    localStorage.setItem(NAME_KEY, username);
    this.connect();
  }

  signOut() {
    sessionStorage.removeItem(TOKEN_KEY);
    this.account = null;
    this.#end();
  }

  connect() {
    this.#end();
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    const socket = new WebSocket(`${scheme}://${location.host}/_ws?token=${encodeURIComponent(this.token)}`);
    this.#socket = socket;
    socket.onmessage = (event) => this.#receive(event.data);
    socket.onclose = () => {
      if (this.#socket !== socket) return;
      this.#socket = null;
      clearInterval(this.#ping);
      if (!this.token) return;
      this.#emit('lost');
      // Jittered, so that a restart does not bring everybody back in the same moment.
      const wait = this.#retryMs * (0.7 + Math.random() * 0.6);
      this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MAX_MS);
      this.#timer = setTimeout(() => this.connect(), wait);
    };
  }

  /** Whether it went out. */
  send(type, fields = {}) {
    if (!this.isOpen) return false;
    this.#socket.send(JSON.stringify({ type, ...fields }));
    return true;
  }

  /** The public lobbies, for servers that push no list. */
  async lobbies() {
    const response = await fetch('/lobbies', { headers: { Authorization: `Bearer ${this.token}` } });
    if (!response.ok) throw new Error('The lobbies cannot be listed.');
    return response.json();
  }

  #receive(text) {
    let message;
    try { message = JSON.parse(text); } catch { return; }
    if (message.type === 'connected') {
      this.#retryMs = RETRY_FIRST_MS;
      this.account = { id: message.accountId, username: message.username };
      this.#ping = setInterval(() => this.send('ping'), PING_EVERY_MS);
      this.#emit('open');
    } else if (message.type === 'error' && !this.account && /token/i.test(message.message)) {
      this.#forget();
      return;
    } else if (message.type === 'error' && message.message === 'Invalid token') {
      this.#forget();
      return;
    }
    this.#emit(message.type, message);
  }

  #forget() {
    this.signOut();
    this.#emit('signed-out');
  }

  #end() {
    clearTimeout(this.#timer);
    clearInterval(this.#ping);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  #emit(type, detail) { this.dispatchEvent(new CustomEvent(type, { detail })); }
}
