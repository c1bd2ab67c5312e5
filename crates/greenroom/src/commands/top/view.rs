//! The screen, line by line.

use greenroom_protocol::{
    events::CloudEvent,
    hosting::{HostState, HostView, ServerState, ServerView},
    overview::{GameOverview, Overview},
};

use super::state::State;
use crate::{
    commands::{cores, or_dash, shown, size},
    screen::{Line, Style, column},
};

/// States in the order in which a server goes through them.
const STATES: [ServerState; 4] =
    [ServerState::Starting, ServerState::Ready, ServerState::Allocated, ServerState::Stopping];
/// Most hosts and games that are shown; the others are counted.
const HOSTS_MAX: usize = 6;
const GAMES_MAX: usize = 8;
/// Rows that events have, where there are rows.
const EVENTS_ROWS: usize = 7;

/// What fills a terminal of this size. Scrolls so that the chosen server is seen.
pub(super) fn lines(state: &mut State, columns: usize, rows: usize) -> Vec<Line> {
    let Some(overview) = &state.overview else { return vec![headline(state, None)] };
    let mut lines = vec![headline(state, Some(overview)), counts(state, overview), Line::default()];
    hosts(&mut lines, &overview.hosts);
    games(&mut lines, &overview.games);
    let for_events = if rows > lines.len() + 2 * EVENTS_ROWS { EVENTS_ROWS } else { 0 };
    // Two are a heading and a head; one is the last line.
    let for_servers = rows.saturating_sub(lines.len() + for_events + 3);
    servers(&mut lines, state, for_servers);
    lines.resize(rows.saturating_sub(for_events + 1), Line::default());
    events(&mut lines, state.events.iter(), for_events, columns);
    lines.push(footer(state));
    lines
}

fn headline(state: &State, overview: Option<&Overview>) -> Line {
    let version = overview.map(|overview| format!(" {}", overview.version)).unwrap_or_default();
    let line =
        Line::of(Style::Bold, format!("Greenroom{version}")).and(Style::Dim, format!("  {}  ", state.url));
    match (&state.problem, overview) {
        (Some(problem), _) => line.and(Style::Bad, format!("as it was last seen: {problem}")),
        (None, Some(overview)) => line.and(Style::Dim, format!("{} UTC", shown(overview.at))),
        (None, None) => line,
    }
}

fn counts(state: &State, overview: &Overview) -> Line {
    let of_state = |state| overview.games.iter().filter_map(|game| game.servers.get(&state)).sum::<u32>();
    let states: Vec<_> = STATES
        .into_iter()
        .filter(|state| of_state(*state) > 0)
        .map(|state| format!("{} {}", of_state(state), state.as_str()))
        .collect();
    let running: u32 = STATES.into_iter().map(of_state).sum();
    let states = if states.is_empty() { String::new() } else { format!(" ({})", states.join(", ")) };
    Line::of(Style::Plain, "players ")
        .and(Style::Bold, overview.players.to_string())
        .and(Style::Dim, format!(" ({} sockets)", overview.sockets))
        .and(Style::Plain, "   lobbies ")
        .and(Style::Bold, overview.lobbies.to_string())
        .and(Style::Plain, "   servers ")
        .and(Style::Bold, running.to_string())
        .and(Style::Dim, states)
        .and(Style::Plain, "   allocations ")
        .and(Style::Bold, format!("{:.1}/s", state.allocations_per_second()))
        .and(Style::Dim, format!(" ({} in all)", overview.allocations))
}

fn hosts(lines: &mut Vec<Line>, hosts: &[HostView]) {
    let widths = [20, 8, 12, 10, 12, 24];
    lines.push(head(&["HOST", "STATE", "SERVERS", "CPU", "MEMORY", "ADDRESS"], &widths));
    for host in hosts.iter().take(HOSTS_MAX) {
        let style = if host.state == HostState::Up { Style::Good } else { Style::Bad };
        let most = host.servers_max.map(|most| format!("/{most}")).unwrap_or_default();
        let line = Line::of(Style::Plain, cell(host.id.as_str(), 20))
            .and(style, cell(host.state.as_str(), 8))
            .and(Style::Plain, cell(&format!("{}{most}", host.servers), 12))
            .and(Style::Plain, cell(&or_dash(host.cpu_millicores.map(cores)), 10))
            .and(Style::Plain, cell(&or_dash(host.memory_bytes.map(size)), 12));
        let (style, text) = match &host.reason {
            Some(reason) => (Style::Bad, reason),
            None => (Style::Plain, &host.address),
        };
        lines.push(line.and(style, text.clone()));
    }
    more(lines, hosts.len(), HOSTS_MAX);
}

fn games(lines: &mut Vec<Line>, games: &[GameOverview]) {
    let widths = [20, 16, 10, 10, 10, 10, 10];
    let heads = ["GAME", "STUDIO", "STARTING", "READY", "ALLOCATED", "STOPPING", "AT MOST"];
    lines.push(head(&heads, &widths));
    for game in games.iter().take(GAMES_MAX) {
        let count = |state| game.servers.get(&state).copied().unwrap_or(0).to_string();
        let mut cells = vec![game.id.to_string(), game.studio.to_string()];
        cells.extend(STATES.map(count));
        cells.push(or_dash(game.running_max));
        lines.push(Line::plain(row(&cells, &widths)));
    }
    more(lines, games.len(), GAMES_MAX);
}

fn servers(lines: &mut Vec<Line>, state: &State, most: usize) {
    let servers = state.servers();
    let widths = [38, 12, 16, 24, 20];
    let filter = match (state.is_filtering, state.filter.as_str()) {
        (true, filter) => format!("  filter: {filter}_"),
        (false, "") => String::new(),
        (false, filter) => format!("  filter: {filter}"),
    };
    lines.push(
        Line::of(Style::Bold, "GAME SERVERS")
            .and(Style::Dim, format!("  by {}", state.sort.word()))
            .and(Style::Warning, filter),
    );
    lines.push(head(&["ID", "STATE", "GAME", "ADDRESS", "CREATED (UTC)"], &widths));
    if servers.is_empty() && most > 0 {
        let sentence = if state.filter.is_empty() { "none runs" } else { "none fits the filter" };
        lines.push(Line::dim(sentence.into()));
    }
    let first = (state.chosen + 1).saturating_sub(most);
    for (index, server) in servers.iter().enumerate().skip(first).take(most) {
        lines.push(server_line(server, &widths, index == state.chosen));
    }
}

fn server_line(server: &ServerView, widths: &[usize], is_chosen: bool) -> Line {
    let address = server.port.map_or_else(|| "-".into(), |port| format!("{}:{port}", server.address));
    let after = [server.game.to_string(), address, shown(server.created_at)];
    let (id, state) = (cell(server.id.as_str(), widths[0]), cell(server.state.as_str(), widths[1]));
    if is_chosen {
        return Line::of(Style::Chosen, format!("{id}{state}{}", row(&after, &widths[2..])));
    }
    Line::of(Style::Plain, id).and(style_of(server.state), state).and(Style::Plain, row(&after, &widths[2..]))
}

const fn style_of(state: ServerState) -> Style {
    match state {
        ServerState::Ready | ServerState::Allocated => Style::Good,
        ServerState::Starting | ServerState::Stopping => Style::Warning,
        ServerState::Ended => Style::Dim,
        ServerState::Lost => Style::Bad,
    }
}

/// The newest events, the newest last, under their heading.
fn events<'a>(
    lines: &mut Vec<Line>,
    events: impl DoubleEndedIterator<Item = &'a CloudEvent>,
    rows: usize,
    columns: usize,
) {
    if rows == 0 {
        return;
    }
    lines.push(Line::of(Style::Bold, "EVENTS"));
    let mut newest: Vec<_> = events.rev().take(rows - 1).collect();
    newest.reverse();
    let count = newest.len();
    for event in newest {
        let data = event.data.as_ref().map(ToString::to_string).unwrap_or_default();
        let style = if is_bad(event) { Style::Bad } else { Style::Plain };
        // What is cut at the right edge need not be made.
        let data: String = data.chars().take(columns).collect();
        let time = event.time.get(11..19).unwrap_or(&event.time).to_owned();
        lines.push(
            Line::of(Style::Dim, format!("{time}  "))
                .and(style, event.subject.clone())
                .and(Style::Dim, format!("  {data}")),
        );
    }
    if count == 0 {
        lines.push(Line::dim("none since this was started".into()));
    }
    lines.extend((count.max(1)..rows - 1).map(|_| Line::default()));
}

/// Whether it tells of what somebody should look at.
fn is_bad(event: &CloudEvent) -> bool {
    let crashed = event.data.as_ref().is_some_and(|data| data["crashed"] == true);
    crashed || ["crashed", "failed", "lost"].contains(&event.kind.as_str())
}

fn footer(state: &State) -> Line {
    let text = if state.is_filtering {
        "Enter keeps the filter   Esc clears it"
    } else {
        "q ends   up/down chooses   s sorts   / filters   Esc clears"
    };
    Line::dim(text.into())
}

fn more(lines: &mut Vec<Line>, count: usize, most: usize) {
    if count > most {
        lines.push(Line::dim(format!("and {} more", count - most)));
    }
    lines.push(Line::default());
}

fn head(texts: &[&str], widths: &[usize]) -> Line {
    let cells: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
    Line::of(Style::Bold, row(&cells, widths))
}

fn row(cells: &[String], widths: &[usize]) -> String {
    cells.iter().zip(widths).map(|(text, width)| cell(text, *width)).collect()
}

/// A cell with two blanks after it.
fn cell(text: &str, width: usize) -> String {
    format!("{}  ", column(text, width - 2))
}

#[cfg(test)]
mod tests;
