//! The pages, one a file: the handlers first, then what they draw.

pub(crate) mod audit;
pub(crate) mod lobbies;
pub(crate) mod lobby;
pub(crate) mod overview;
pub(crate) mod player;
pub(crate) mod players;
pub(crate) mod problem;
pub(crate) mod server;
pub(crate) mod servers;

use axum::response::Response;
use greenroom_operations::{Failure, Node};
use greenroom_protocol::{ErrorCode, GameId};

/// Longest text of a filter, in characters; the rest is cut.
const FILTER_CHARS_MAX: usize = 64;

/// Rows of a table on one page.
const ROWS_MAX: usize = 200;

/// The largest number of a page.
const PAGE_MAX: usize = 1_000;

pub(crate) async fn not_found() -> Response {
    problem::page(&Failure::new(ErrorCode::NotFound, "There is no such page."))
}

pub(crate) async fn method_not_allowed() -> Response {
    problem::page(&Failure::new(ErrorCode::MethodNotAllowed, "This page cannot be asked for in this way."))
}

fn cut(text: &str) -> String {
    text.trim().chars().take(FILTER_CHARS_MAX).collect()
}

fn games(node: &Node) -> Vec<GameId> {
    node.settings.borrow().games.keys().cloned().collect()
}

/// The games that a filter means: the one it names, or all.
fn games_of(node: &Node, named: &str) -> Vec<GameId> {
    games(node).into_iter().filter(|game| named.is_empty() || game.as_str() == named).collect()
}

/// `name=value` for those that have a value, as a query.
fn query(pairs: &[(&str, &str)]) -> String {
    let with_value = pairs.iter().filter(|(_, value)| !value.is_empty());
    let parts: Vec<_> =
        with_value.map(|(name, value)| format!("{name}={}", crate::format::query_value(value))).collect();
    if parts.is_empty() { String::new() } else { format!("?{}", parts.join("&")) }
}

/// The part of a list that `page` shows, and whether there are parts before and after it.
fn part<T>(items: &[T], page: usize) -> (&[T], bool, bool) {
    let from = (page * ROWS_MAX).min(items.len());
    let to = (from + ROWS_MAX).min(items.len());
    (&items[from..to], page > 0, to < items.len())
}
