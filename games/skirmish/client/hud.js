// What lies over the arena: scores, vitals, banners, feed, scoreboard and result.

import { byId, make, setText } from './ui.js';

const FEED_LINES_MAX = 5;
const FEED_LINE_MS = 5000;
const TEAM_NAME = { A: 'Amber', B: 'Azure' };
const REASON = { score: 'Score limit reached', time: 'Time is up', abandoned: 'Match abandoned' };

export class Hud {
  #countShown = '';

  begin({ rules }) {
    setText(byId('score-limit'), `to ${rules.scoreLimit}`);
    byId('kill-feed').replaceChildren();
    byId('result').hidden = true;
    byId('scoreboard').hidden = true;
  }

  /** Returns the number counted down to when it has just changed. */
  update(view, match, now) {
    const me = view.players[match.you];
    setText(byId('score-a'), String(view.scores[0]));
    setText(byId('score-b'), String(view.scores[1]));
    const left = Math.ceil(view.secondsLeft);
    setText(byId('clock'), `${Math.floor(left / 60)}:${String(left % 60).padStart(2, '0')}`);
    byId('clock').classList.toggle('late', left <= 20 && view.phase === 'playing');
    this.#zone(view.zone);
    if (me) {
      byId('health-fill').style.width = `${me.health}%`;
      byId('health-fill').classList.toggle('low', me.health < 35);
      setText(byId('health-text'), String(me.health));
      const cooled = 1 - me.dashCooldownTicks / match.welcome.rules.dashCooldownTicks;
      byId('dash-fill').style.width = `${cooled * 100}%`;
      byId('dash-button').classList.toggle('cooling', cooled < 1);
    }
    return this.#banner(view, match, me, now);
  }

  #zone(zone) {
    byId('zone-fill-a').style.width = `${Math.max(0, -zone.progress) * 50}%`;
    byId('zone-fill-b').style.width = `${Math.max(0, zone.progress) * 50}%`;
    const owner = ['', 'Amber', 'Azure'][zone.owner];
    const taker = zone.progress < 0 ? 'Amber' : 'Azure';
    const free = zone.progress === 0 ? 'Zone free' : `${taker} takes the zone`;
    setText(byId('zone-text'), zone.contested ? 'Zone contested' : owner ? `${owner} holds the zone` : free);
  }

  #banner(view, match, me, now) {
    let title = '';
    let text = '';
    let counted = null;
    const seconds = Math.max(0, Math.ceil((match.phaseUntil - now) / 1000));
    if (!match.isConnected && !match.result) {
      title = 'Reconnecting…';
      text = 'A bot keeps your seat warm.';
    } else if (match.phase === 'waiting') {
      title = 'Waiting for players';
      text = match.players.filter(({ bot, connected }) => !bot && !connected).map(({ name }) => name).join(', ');
    } else if (match.phase === 'countdown') {
      title = seconds > 0 ? String(seconds) : 'Go!';
      text = `You play for ${TEAM_NAME[match.players[match.you]?.team]} · ${match.welcome.map.name}`;
      counted = title;
    } else if (view.phase === 'playing' && me && !me.alive) {
      title = 'You are down';
      text = `Back in ${Math.ceil(me.respawnTicks / match.welcome.rules.ticksPerSecond)}`;
    }
    const banner = byId('banner');
    banner.hidden = !title;
    banner.classList.toggle('counting', match.phase === 'countdown');
    setText(byId('banner-title'), title);
    setText(byId('banner-text'), text);
    const news = counted !== this.#countShown ? counted : null;
    this.#countShown = counted;
    return news;
  }

  feed({ by, who }, players, you) {
    const name = (seat) => make('span', { text: players[seat]?.name ?? '?', className: `${(players[seat]?.team ?? 'A').toLowerCase()}${seat === you ? ' me' : ''}` });
    const line = make('li', { className: by === you || who === you ? 'mine' : '' }, name(by), make('i', { text: '▸', 'aria-label': 'took down' }), name(who));
    const feed = byId('kill-feed');
    feed.append(line);
    while (feed.children.length > FEED_LINES_MAX) feed.firstChild.remove();
    setTimeout(() => line.remove(), FEED_LINE_MS);
  }

  scoreboard(view, match) {
    const lines = view.players.map(({ seat, name, team, bot, takedowns, downs }) => ({ seat, name, team, bot, takedowns, downs }));
    byId('scoreboard').replaceChildren(make('div', { className: 'scoreboard-tables' }, ...tables(lines, match.you, view.scores)));
  }

  result(result, match) {
    const mine = match.players[match.you]?.team;
    const outcome = result.winner === null ? 'Draw' : result.winner === mine ? 'Victory' : 'Defeat';
    const box = byId('result');
    box.dataset.outcome = outcome.toLowerCase();
    setText(byId('result-title'), outcome);
    setText(byId('result-reason'), REASON[result.reason] ?? '');
    setText(byId('result-a'), String(result.scores[0]));
    setText(byId('result-b'), String(result.scores[1]));
    byId('result-table').replaceChildren(...tables(result.players, match.you, result.scores));
    byId('scoreboard').hidden = true;
    byId('banner').hidden = true;
    box.hidden = false;
    byId('rematch-button').focus();
  }
}

function tables(lines, you, scores) {
  return ['A', 'B'].map((team, index) => {
    const rows = lines.filter((line) => line.team === team).sort((one, two) => two.takedowns - one.takedowns || one.downs - two.downs);
    const table = make('table', { className: team.toLowerCase() });
    table.append(make('caption', {}, make('i', { className: 'mark', 'aria-hidden': 'true' }), make('span', { text: TEAM_NAME[team] }), make('b', { text: String(scores[index]) })));
    table.append(make('thead', {}, make('tr', {}, make('th', { text: 'Player', scope: 'col' }), make('th', { text: 'Takedowns', scope: 'col' }), make('th', { text: 'Downs', scope: 'col' }))));
    table.append(make('tbody', {}, ...rows.map((line) => make('tr', { className: line.seat === you ? 'me' : '' },
      make('td', {}, make('span', { text: line.name }), line.bot && make('em', { text: 'bot' })),
      make('td', { text: String(line.takedowns) }), make('td', { text: String(line.downs) })))));
    return table;
  });
}
