//! Which game servers have fallen silent.

use std::{collections::HashMap, sync::Arc, time::Duration};

use greenroom_domain::{
    server::{Server, ServerState},
    settings::Readiness,
};
use greenroom_protocol::ServerId;
use parking_lot::Mutex;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::servers::{Servers, drive::Saved};

/// Between two looks at who has been silent too long.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A look that comes later than this after the last one tells of a pause of ours, which is nobody's silence.
const LOOK_LATE: Duration = Duration::from_secs(3);

/// When game servers were last heard of, by the name of their try. Kept in memory alone: after our start
/// each has its initial delay again.
#[derive(Default)]
pub(crate) struct Pings(Mutex<HashMap<ServerId, Heard>>);

#[derive(Clone, Copy)]
struct Heard {
    at: Instant,
    /// It was a ping, and not merely seen for the first time.
    by_ping: bool,
}

impl Servers {
    /// Looks for servers that have been silent too long, until the node ends.
    pub(crate) async fn watch_health(&self) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = Instant::now();
        loop {
            let now = ticks.tick().await;
            let gap = now.saturating_duration_since(last);
            if gap > LOOK_LATE {
                self.0.pings.later(gap);
            }
            last = now;
            self.stop_silent(now).await;
        }
    }

    /// Stops the servers that have been silent too long at `now`.
    pub(in crate::servers) async fn stop_silent(&self, now: Instant) {
        for (server, silence) in self.silent(now) {
            self.note_silence(&server, silence).await;
        }
    }

    /// The servers that should have been heard of, and for how long they have not.
    fn silent(&self, now: Instant) -> Vec<(Arc<Server>, Duration)> {
        let servers = self.0.view.list(None);
        let lives = |server: &&Arc<Server>| {
            matches!(server.state, ServerState::Starting | ServerState::Ready | ServerState::Allocated)
        };
        let watched: Vec<&Arc<Server>> =
            servers.iter().filter(lives).filter(|one| one.sdk.is_some()).collect();
        let mut pings = self.0.pings.0.lock();
        let mut known = HashMap::with_capacity(watched.len());
        let mut silent = Vec::new();
        for server in watched {
            let instance = server.instance();
            // One that nobody can ping from, or that somebody has paused, begins anew afterwards.
            let can_ping = self.0.view.is_running(server) && !self.0.view.is_paused(server);
            let heard = pings.get(&instance).copied().filter(|_| can_ping);
            let heard = heard.unwrap_or(Heard { at: now, by_ping: false });
            let silence = now.saturating_duration_since(heard.at);
            let Some(sdk) = server.sdk.as_deref().filter(|sdk| !sdk.health.is_disabled) else { continue };
            if can_ping {
                known.insert(instance, heard);
            }
            let must = heard.by_ping || self.must_ping(server);
            if must && silence >= sdk.health.patience(!heard.by_ping) {
                silent.push((Arc::clone(server), silence));
            }
        }
        // One that is not watched any more is forgotten with this.
        *pings = known;
        silent
    }

    /// Whether the server is to ping from its start on.
    fn must_ping(&self, server: &Server) -> bool {
        let settings = self.0.settings.borrow();
        let fleet = settings.games.get(&server.birth.game).and_then(|game| game.fleet.as_ref());
        fleet.is_some_and(|fleet| fleet.ready == Readiness::Sdk)
    }

    async fn note_silence(&self, server: &Server, silence: Duration) {
        let Some((current, revision)) = self.0.view.get(server.id()) else { return };
        if current.instance() != server.instance() {
            return;
        }
        let now = self.0.clock.now();
        let Some(next) = current.unhealthy(silence, self.tries_max(&current), now) else { return };
        let (id, game, seconds) = (server.id(), &server.birth.game, silence.as_secs());
        match self.save(&current, revision, next).await {
            Ok(Saved::Done) => {
                tracing::warn!(server = %id, %game, seconds, "a game server's health pings did not come; it is stopped");
                metrics::counter!("greenroom_server_unhealthy_total", "game" => game.to_string())
                    .increment(1);
                self.nudge(id);
                if current.state == ServerState::Starting {
                    self.end_try(&current).await;
                }
            }
            // The next look comes soon.
            Ok(Saved::Conflict) => {}
            Err(error) => {
                tracing::warn!(server = %id, %error, "a game server's silence could not be written down; it is looked at again");
            }
        }
    }

    /// Ends the process of a try that was given up while it ran.
    async fn end_try(&self, server: &Server) {
        let grace = self.fleet(&server.birth.game).map_or(Duration::ZERO, |fleet| fleet.stop_grace);
        if let Err(error) = self.0.machines.stop(&server.instance(), grace).await {
            tracing::debug!(server = %server.id(), %error, "a try that was given up could not be stopped; the next look at what runs does it");
        }
    }
}

impl Pings {
    /// A server has pinged.
    pub(super) fn heard(&self, instance: &ServerId) {
        self.0.lock().insert(instance.clone(), Heard { at: Instant::now(), by_ping: true });
    }

    /// We have been away for `gap`: nobody could be heard.
    pub(in crate::servers) fn later(&self, gap: Duration) {
        for heard in self.0.lock().values_mut() {
            heard.at += gap;
        }
    }
}
