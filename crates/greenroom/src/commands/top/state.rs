//! What is known of an installation, and how it is looked at.

use std::{cmp::Reverse, collections::VecDeque, time::Duration};

use greenroom_protocol::{events::CloudEvent, hosting::ServerView, overview::Overview};

use crate::screen::Key;

/// Events that are kept; more than any terminal has rows.
const EVENTS_MAX: usize = 200;
/// Over how long allocations per second are counted.
const RATE_OVER: Duration = Duration::from_secs(10);
/// Longest filter, in characters.
const FILTER_CHARS_MAX: usize = 60;
/// Servers that a page key goes up or down.
const PAGE: usize = 10;

/// In which order game servers stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sort {
    #[default]
    Newest,
    Oldest,
    State,
    Game,
    Name,
}

impl Sort {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Newest => "newest",
            Self::Oldest => "oldest",
            Self::State => "state",
            Self::Game => "game",
            Self::Name => "name",
        }
    }

    const fn next(self) -> Self {
        match self {
            Self::Newest => Self::Oldest,
            Self::Oldest => Self::State,
            Self::State => Self::Game,
            Self::Game => Self::Name,
            Self::Name => Self::Newest,
        }
    }
}

/// Everything that is shown.
pub(super) struct State {
    pub(super) url: String,
    pub(super) overview: Option<Overview>,
    /// Why what is shown is old.
    pub(super) problem: Option<String>,
    /// Newest last.
    pub(super) events: VecDeque<CloudEvent>,
    pub(super) sort: Sort,
    pub(super) filter: String,
    /// Whether keys go to the filter.
    pub(super) is_filtering: bool,
    /// Which of the servers shown is chosen.
    pub(super) chosen: usize,
    /// How many servers had been handed out at each look of the last [`RATE_OVER`].
    handed_out: VecDeque<(Duration, u64)>,
}

impl State {
    pub(super) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            overview: None,
            problem: None,
            events: VecDeque::new(),
            sort: Sort::default(),
            filter: String::new(),
            is_filtering: false,
            chosen: 0,
            handed_out: VecDeque::new(),
        }
    }

    /// Takes in what was seen, so long after the beginning.
    pub(super) fn saw(&mut self, overview: Overview, after: Duration) {
        // One that was started anew counts from 0.
        if self.handed_out.back().is_some_and(|(_, before)| *before > overview.allocations) {
            self.handed_out.clear();
        }
        self.handed_out.push_back((after, overview.allocations));
        while self.handed_out.len() > 2 && self.handed_out[1].0 + RATE_OVER <= after {
            self.handed_out.pop_front();
        }
        self.problem = None;
        self.overview = Some(overview);
    }

    pub(super) fn happened(&mut self, event: CloudEvent) {
        if self.events.len() >= EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// Servers handed out in a second, lately.
    pub(super) fn allocations_per_second(&self) -> f64 {
        let (Some((from, before)), Some((to, now))) = (self.handed_out.front(), self.handed_out.back())
        else {
            return 0.0;
        };
        let seconds = to.saturating_sub(*from).as_secs_f64();
        if seconds > 0.0 { now.saturating_sub(*before) as f64 / seconds } else { 0.0 }
    }

    /// The servers that the filter leaves, in their order.
    pub(super) fn servers(&self) -> Vec<&ServerView> {
        let all = self.overview.iter().flat_map(|overview| &overview.servers);
        let wanted = self.filter.to_lowercase();
        let mut servers: Vec<_> = all.filter(|server| fits(server, &wanted)).collect();
        match self.sort {
            Sort::Newest => servers.sort_by_key(|server| Reverse(server.created_at)),
            Sort::Oldest => servers.sort_by_key(|server| server.created_at),
            Sort::State => servers.sort_by_key(|server| (server.state, Reverse(server.created_at))),
            Sort::Game => servers.sort_by_key(|server| (server.game.clone(), Reverse(server.created_at))),
            Sort::Name => servers.sort_by_key(|server| server.name.clone()),
        }
        servers
    }

    /// Takes a key; whether it is the end.
    pub(super) fn typed(&mut self, key: Key) -> bool {
        match key {
            Key::Enter if self.is_filtering => self.is_filtering = false,
            Key::Escape => {
                self.is_filtering = false;
                self.filter.clear();
            }
            Key::Backspace if self.is_filtering => drop(self.filter.pop()),
            Key::Char(character) if self.is_filtering => {
                if self.filter.chars().count() < FILTER_CHARS_MAX {
                    self.filter.push(character);
                }
            }
            Key::Interrupt | Key::Char('q') => return true,
            Key::Char('s') => self.sort = self.sort.next(),
            Key::Char('/') => self.is_filtering = true,
            Key::Up | Key::Char('k') => self.chosen = self.chosen.saturating_sub(1),
            Key::Down | Key::Char('j') => self.chosen += 1,
            Key::PageUp => self.chosen = self.chosen.saturating_sub(PAGE),
            Key::PageDown => self.chosen += PAGE,
            Key::Home => self.chosen = 0,
            Key::End => self.chosen = usize::MAX,
            Key::Left | Key::Right | Key::Enter | Key::Backspace | Key::Char(_) => {}
        }
        self.chosen = self.chosen.min(self.servers().len().saturating_sub(1));
        false
    }
}

fn fits(server: &ServerView, wanted: &str) -> bool {
    let texts =
        [server.id.as_str(), &server.name, server.game.as_str(), server.state.as_str(), &server.address];
    let title = server.title.as_deref();
    wanted.is_empty() || texts.into_iter().chain(title).any(|text| text.to_lowercase().contains(wanted))
}
