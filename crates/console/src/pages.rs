//! The pages, one a file: the handlers first, then what they draw.

pub(crate) mod account;
pub(crate) mod admin;
pub(crate) mod admins;
pub(crate) mod audit;
pub(crate) mod backups;
pub(crate) mod browser;
pub(crate) mod builds;
pub(crate) mod events;
pub(crate) mod games;
pub(crate) mod hosts;
pub(crate) mod keys;
pub(crate) mod lobbies;
pub(crate) mod lobby;
pub(crate) mod mail;
pub(crate) mod overview;
pub(crate) mod player;
pub(crate) mod players;
pub(crate) mod problem;
pub(crate) mod server;
pub(crate) mod servers;
pub(crate) mod start;
pub(crate) mod system;

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::{FromRequestParts, Path, Query},
    http::request::Parts,
    response::Response,
};
use greenroom_operations::{Failure, Node};
use greenroom_protocol::{ErrorCode, GameId, Timestamp};
use serde::de::DeserializeOwned;

/// Longest text of a filter, in characters; the rest is cut.
const FILTER_CHARS_MAX: usize = 64;

/// Rows of a table on one page.
const ROWS_MAX: usize = 200;

/// The largest number of a page.
const PAGE_MAX: usize = 1_000;

/// The game and the id that a path names. One that is no id is not found.
pub(crate) struct Named<Id>(pub(crate) GameId, pub(crate) Id);

impl<S: Send + Sync, Id: DeserializeOwned + Send> FromRequestParts<S> for Named<Id> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        match Path::<(GameId, Id)>::from_request_parts(parts, state).await {
            Ok(Path((game, id))) => Ok(Self(game, id)),
            Err(_) => Err(not_found().await),
        }
    }
}

/// What the query asks for; one that cannot be read asks for nothing in particular.
pub(crate) struct Asked<T>(pub(crate) T);

impl<S: Sync, T: Default + DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(Query::try_from_uri(&parts.uri).map_or_else(|_| T::default(), |Query(asked)| asked)))
    }
}

/// The game that a path names. One that is no id is not found.
pub(crate) struct OfGame(pub(crate) GameId);

impl<S: Send + Sync> FromRequestParts<S> for OfGame {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        match Path::<GameId>::from_request_parts(parts, state).await {
            Ok(Path(game)) => Ok(Self(game)),
            Err(_) => Err(not_found().await),
        }
    }
}

/// The id that a path names, or several. What is no id is not found.
pub(crate) struct Id<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Id<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(id)) => Ok(Self(id)),
            Err(_) => Err(not_found().await),
        }
    }
}

/// How long something that is given out is good: the value of the field, the words, days.
type Term = (&'static str, &'static str, Option<u64>);

/// The term that a form has chosen of `terms`, as the time of its end.
fn end_of_term(terms: &[Term], chosen: &str, now: Timestamp) -> Result<Option<Timestamp>, Failure> {
    let (_, _, days) = terms
        .iter()
        .find(|(value, _, _)| *value == chosen)
        .ok_or(Failure::new(ErrorCode::Invalid, "Choose how long it is good."))?;
    Ok(days.map(|days| now.after(Duration::from_hours(days * 24))))
}

fn term_choices(terms: &[Term]) -> Vec<(&'static str, &'static str)> {
    terms.iter().map(|(value, words, _)| (*value, *words)).collect()
}

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
