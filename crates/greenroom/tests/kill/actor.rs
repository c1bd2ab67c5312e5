//! One kind of work, and what it knows to have been done.

use std::time::Duration;

use greenroom_test_support::greenroom::Api;
use rand::{Rng as _, rngs::StdRng};

use crate::{events::Events, lobbies::Group, players::Players, servers::Holder, studio::Studio};

/// What the work is, with its memory.
pub(crate) enum Actor {
    Lobby(Group),
    Holder(Holder),
    Players(Players),
    Studio(Studio),
    Events(Events),
}

impl Actor {
    pub(crate) fn lobby(number: usize, seed: u64) -> Self {
        Self::Lobby(Group::new(number, seed))
    }

    pub(crate) fn holder(number: usize, seed: u64) -> Self {
        Self::Holder(Holder::new(number, seed))
    }

    pub(crate) fn players(seed: u64) -> Self {
        Self::Players(Players::new(seed))
    }

    pub(crate) fn studio(seed: u64) -> Self {
        Self::Studio(Studio::new(seed))
    }

    pub(crate) fn events(seed: u64) -> Self {
        Self::Events(Events::new(seed))
    }

    /// Compares, after a start, what is there with what was acknowledged; takes up what was under way.
    pub(crate) async fn check(&mut self, api: &Api) {
        match self {
            Self::Lobby(group) => group.check(api).await,
            Self::Holder(holder) => holder.check(api).await,
            Self::Players(players) => players.check(api).await,
            Self::Studio(studio) => studio.check(api).await,
            Self::Events(events) => events.check(api).await,
        }
    }

    /// Works until the connection breaks.
    pub(crate) async fn work(&mut self, api: &Api) {
        match self {
            Self::Lobby(group) => group.work(api).await,
            Self::Holder(holder) => holder.work(api).await,
            Self::Players(players) => players.work(api).await,
            Self::Studio(studio) => studio.work(api).await,
            Self::Events(events) => events.work(api).await,
        }
    }

    /// The subjects that must stand in the history exactly once, because what they tell of was
    /// acknowledged.
    pub(crate) fn facts_due(&self) -> Vec<String> {
        match self {
            Self::Lobby(group) => group.facts_due.clone(),
            Self::Holder(holder) => holder.facts_due.clone(),
            Self::Events(events) => events.subjects.clone(),
            Self::Players(_) | Self::Studio(_) => Vec::new(),
        }
    }

    /// The process of the server that it holds for good.
    pub(crate) fn held_pid(&self) -> Option<i32> {
        match self {
            Self::Holder(holder) => holder.pid(),
            Self::Lobby(_) | Self::Players(_) | Self::Studio(_) | Self::Events(_) => None,
        }
    }
}

/// How much was done, for people.
pub(crate) fn summary(actors: &[Actor]) -> String {
    let (mut commands, mut lobbies, mut matches, mut refused, mut resumed, mut allocations) =
        (0, 0, 0, 0, 0, 0);
    let mut records = Vec::new();
    for actor in actors {
        match actor {
            Actor::Lobby(group) => {
                commands += group.commands;
                lobbies += group.lobbies;
                matches += group.matches;
                refused += group.refused;
                resumed += group.resumed;
            }
            Actor::Holder(holder) => allocations += holder.allocations,
            Actor::Players(players) => records.push(format!("{} sign-ins", players.count())),
            Actor::Studio(studio) => records.push(format!("{} keys", studio.count())),
            Actor::Events(events) => records.push(format!("{} events", events.subjects.len())),
        }
    }
    format!(
        "acknowledged: {commands} lobby commands, {lobbies} lobbies, {matches} matches ({resumed} starts under way at a kill, {refused} refused), \
         {allocations} allocations, {records}",
        records = records.join(", "),
    )
}

/// The pace of the work, so that nobody starves the others; nothing is waited for.
pub(crate) async fn think(rng: &mut StdRng) {
    let pause = Duration::from_micros(rng.random_range(0..40_000));
    tokio::time::sleep(pause).await;
}
