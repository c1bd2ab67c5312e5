//! The fleet of a game: which server an allocation gets, and what its warm pool needs. Pure plans;
//! the counts they are given are everything that runs or is about to.

use greenroom_protocol::{BuildId, RegionId, Timestamp};

use crate::{
    server::{Server, ServerState, backoff, is_due},
    settings::{Connection, ContainerSettings, FleetSettings, ProviderSettings},
};

pub mod demand;
#[cfg(test)]
mod tests;

pub use demand::{DemandHistory, PoolBounds};

/// Whether a warm server can be given away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Availability {
    /// Now.
    Free,
    /// Its start, or an end that the provider saw, is still being written down. It counts as there.
    NotNow,
    /// Somebody is about to take or stop it, its host cannot be reached, or it is paused. It counts as gone.
    Never,
}

/// A server as a plan sees it.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'a> {
    /// Its document.
    pub server: &'a Server,
    /// Whether it can be given away, if it is warm.
    pub availability: Availability,
}

/// What an allocation asks for.
#[derive(Clone, Copy, Debug)]
pub struct Demand<'a> {
    /// The build it must be.
    pub build: &'a BuildId,
    /// Where it must run.
    pub region: &'a RegionId,
    /// Whether one that was started without knowing of this allocation will do. Not if the
    /// command is given the player's title, or whether it is listed.
    pub warm_fits: bool,
    /// Whether a host has room for a new one.
    pub has_place: bool,
}

/// How many may run, and how many do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most of the game.
    pub game_max: u32,
    /// Of the game, starting and stopping ones included.
    pub game_running: u32,
    /// Most of the studio.
    pub studio_max: u32,
    /// Of all of the studio's games.
    pub studio_running: u32,
}

/// Which limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The game's `running_max`.
    Game(u32),
    /// The studio's `servers_max`.
    Studio(u32),
}

impl Limits {
    /// How many more may be started.
    pub fn room(&self) -> u32 {
        let game = self.game_max.saturating_sub(self.game_running);
        let studio = self.studio_max.saturating_sub(self.studio_running);
        game.min(studio)
    }

    /// How many too many run, after a limit was lowered.
    pub fn excess(&self) -> u32 {
        let game = self.game_running.saturating_sub(self.game_max);
        let studio = self.studio_running.saturating_sub(self.studio_max);
        game.max(studio)
    }

    /// The limit that is reached, if one is.
    pub fn reached(&self) -> Option<Limit> {
        if self.game_running >= self.game_max {
            Some(Limit::Game(self.game_max))
        } else if self.studio_running >= self.studio_max {
            Some(Limit::Studio(self.studio_max))
        } else {
            None
        }
    }
}

/// What an allocation gets.
#[derive(Clone, Copy, Debug)]
pub enum Plan<'a> {
    /// This warm server. One that still starts is better than one that has not begun to.
    UseWarm(&'a Server),
    /// A new one.
    StartNew,
    /// A new one, once this warm one, which does not fit, is gone: the limit is reached, or the hosts
    /// are full.
    Replace(&'a Server),
    /// The limit is reached, but by a warm server whose start or end is just being written down:
    /// after the next change there is one to take, or room.
    LookAgain,
    /// None.
    LimitReached(Limit),
    /// The hosts have no room for a new one, or none can be reached.
    NoPlace,
}

/// Chooses a server of the game for an allocation: the warm one that has stood ready longest, else
/// the one that has been starting longest, else a new one. The order is fixed; who loses the race
/// for a server asks again.
pub fn allocate<'a>(
    servers: impl Iterator<Item = Standing<'a>>,
    demand: Demand<'_>,
    limits: &Limits,
) -> Plan<'a> {
    let mut best: Option<&Server> = None;
    let mut replaceable: Option<&Server> = None;
    let mut changes_soon = false;
    for standing in servers.filter(|standing| standing.server.is_warm()) {
        let server = standing.server;
        let fits =
            demand.warm_fits && server.birth.build == *demand.build && server.birth.region == *demand.region;
        let free = standing.availability == Availability::Free;
        changes_soon |= standing.availability == Availability::NotNow;
        // Where the hosts are full, only one that stands on them makes room.
        let makes_room = demand.has_place || server.birth.region == *demand.region;
        if free && fits {
            if best.is_none_or(|best| preference(server) < preference(best)) {
                best = Some(server);
            }
        } else if free && makes_room && replaceable.is_none_or(|other| preference(server) > preference(other))
        {
            replaceable = Some(server);
        }
    }
    match (best, limits.reached(), replaceable) {
        (Some(server), _, _) => Plan::UseWarm(server),
        (None, None, _) if demand.has_place => Plan::StartNew,
        // The studio's limit may be held by its other games, and a host by other games altogether,
        // but one of ours less is one less.
        (None, _, Some(server)) => Plan::Replace(server),
        (None, None, None) => Plan::NoPlace,
        (None, Some(_), None) if changes_soon => Plan::LookAgain,
        (None, Some(limit), None) => Plan::LimitReached(limit),
    }
}

/// Ready ones first, older ones first; ids decide between equals, so that the order is total.
fn preference(server: &Server) -> (bool, Timestamp, &str) {
    (
        server.state != ServerState::Ready,
        server.ready_at.unwrap_or(server.birth.created_at),
        server.id().as_str(),
    )
}

/// How a game's warm servers have fared of late. Belongs to the node; a restart begins it anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolHealth {
    failures: u32,
    not_before: Option<Timestamp>,
}

/// A failure weighs as much as this many servers that became ready, so that servers which become
/// ready only to crash slow the pool down as well.
const FAILURE_WEIGHT: u32 = 2;

/// Beyond this the pause does not grow any more.
const FAILURES_MAX: u32 = 32;

impl PoolHealth {
    /// Notes that a warm server crashed or did not become ready.
    pub fn failed(&mut self, now: Timestamp) {
        self.failures = (self.failures + FAILURE_WEIGHT).min(FAILURES_MAX);
        self.not_before = Some(now.after(backoff(self.failures.div_ceil(FAILURE_WEIGHT))));
    }

    /// Notes that a warm server became ready.
    pub fn became_ready(&mut self) {
        self.failures = self.failures.saturating_sub(1);
        if self.failures == 0 {
            self.not_before = None;
        }
    }

    /// When the next warm server may be started; none if at once.
    pub fn blocked_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.not_before.filter(|due| !is_due(*due, now))
    }
}

/// What a game's warm pool wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pool {
    /// How many stand ready or start: see [`DemandHistory::wanted`]; none if the game has no fleet any
    /// more.
    pub wanted: u32,
    /// Of which build; none if the game has no fleet any more.
    pub build: Option<BuildId>,
    /// In which region; servers of other regions are left to their pools. In all, if none is named.
    pub region: Option<RegionId>,
    /// How many of the places that are left belong to allocations that wait for one.
    pub waiting: u32,
}

/// What is to be done about a warm pool.
#[derive(Clone, Debug, Default)]
pub struct PoolPlan<'a> {
    /// How many to start.
    pub start: u32,
    /// Which to stop.
    pub stop: Vec<&'a Server>,
    /// When to look again, if servers are missing and may not be started yet.
    pub wake_at: Option<Timestamp>,
}

/// Plans a game's warm pool in one region: `wanted` servers of the present build ready or starting, no more.
///
/// Warm servers of another build go one by one as the new ones become ready; if no more
/// may run, one is stopped at a time to make room. Servers over the limit go first of all.
pub fn plan_pool<'a>(
    servers: impl Iterator<Item = Standing<'a>>,
    pool: &Pool,
    limits: &Limits,
    health: &PoolHealth,
    now: Timestamp,
) -> PoolPlan<'a> {
    let mut current: Vec<&Server> = Vec::new();
    let mut outdated: Vec<&Server> = Vec::new();
    let mut leaving = 0_u32;
    for standing in servers {
        let server = standing.server;
        if server.state == ServerState::Stopping && server.allocation.is_none() {
            leaving += 1;
        }
        let is_elsewhere = pool.region.as_ref().is_some_and(|region| server.birth.region != *region);
        if !server.is_warm() || is_elsewhere || standing.availability == Availability::Never {
            continue;
        }
        let is_current = Some(&server.birth.build) == pool.build.as_ref();
        if is_current { current.push(server) } else { outdated.push(server) }
    }
    // The last ones are those to part with first: starting before ready, younger before older.
    current.sort_by_key(|server| preference(server));
    outdated.sort_by_key(|server| preference(server));

    let mut plan = PoolPlan::default();
    let wanted = pool.wanted as usize;
    while current.len() > wanted {
        plan.stop.extend(current.pop());
    }
    // Those that already leave are on their way to cure an excess.
    let over = (limits.excess().saturating_sub(leaving) as usize).saturating_sub(plan.stop.len());
    for _ in 0..over {
        plan.stop.extend(outdated.pop().or_else(|| current.pop()));
    }

    let ready = current.iter().filter(|server| server.state == ServerState::Ready).count();
    while outdated.len() > wanted.saturating_sub(ready) {
        plan.stop.extend(outdated.pop());
    }

    let missing = wanted.saturating_sub(current.len()) as u32;
    if missing == 0 {
        return plan;
    }
    let room = limits.room().saturating_sub(pool.waiting);
    if let Some(due) = health.blocked_until(now) {
        plan.wake_at = Some(due);
        return plan;
    }
    plan.start = missing.min(room);
    if plan.start == 0 && leaving == 0 && plan.stop.is_empty() && pool.waiting == 0 {
        plan.stop.extend(outdated.pop());
    }
    plan
}

/// The identity of the server that `fleet` runs as `version`: the same as long as nothing that
/// shapes its process changes. A name, not a proof: FNV-1a over 128 bits.
pub fn build_of(fleet: &FleetSettings, version: &str) -> BuildId {
    let mut digest = Digest::new();
    digest.texts(fleet.command.iter().map(String::as_str));
    digest.texts(fleet.environment.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]));
    digest.text(fleet.working_dir.as_deref().unwrap_or_default());
    let provider = match &fleet.provider {
        ProviderSettings::Docker(container) => shape_of(container),
        provider => format!("{provider:?}"),
    };
    digest.text(&format!("{provider} {:?} {:?} {:?}", fleet.ports, fleet.ready, fleet.limits));
    if fleet.connection != Connection::Ports {
        digest.text(&format!("{:?}", fleet.connection));
    }
    if let Some(sdk) = &fleet.sdk {
        digest.text(&format!("{sdk:?}"));
    }
    digest.text(version);
    let text = format!("{:032x}", digest.0);
    BuildId::new(&text).unwrap_or_else(|_| unreachable!("{text} has the form of an id"))
}

/// What shapes a container: everything but which versions may be asked for.
fn shape_of(container: &ContainerSettings) -> String {
    let ContainerSettings {
        image,
        versions: _,
        versions_max: _,
        network,
        volumes,
        user,
        read_only_root,
        init,
        capabilities,
    } = container;
    format!("{image:?} {network:?} {volumes:?} {user:?} {read_only_root} {init} {capabilities:?}")
}

/// Whether the program is told the player's title, so that a warm server cannot have it.
pub fn takes_title(fleet: &FleetSettings) -> bool {
    fleet.command.iter().chain(fleet.environment.values()).any(|text| text.contains("{title}"))
}

/// Whether the program is told that the server browser shows it, so that a warm server cannot know.
pub fn takes_listed(fleet: &FleetSettings) -> bool {
    fleet.command.iter().chain(fleet.environment.values()).any(|text| text.contains("{if listed}"))
}

struct Digest(u128);

impl Digest {
    const fn new() -> Self {
        Self(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u128::from(*byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
        }
    }

    /// Lengths are part of it: `["ab"]` and `["a", "b"]` differ.
    fn text(&mut self, text: &str) {
        self.bytes(&(text.len() as u64).to_be_bytes());
        self.bytes(text.as_bytes());
    }

    fn texts<'a>(&mut self, texts: impl Iterator<Item = &'a str>) {
        let mut count = 0_u64;
        for text in texts {
            self.text(text);
            count += 1;
        }
        self.bytes(&count.to_be_bytes());
    }
}
