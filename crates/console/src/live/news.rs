//! What has changed: so that a page is rendered again when something that it shows has, and only then.

use greenroom_operations::Node;
use tokio::sync::watch;

use super::{Samples, Topic};

/// How often each kind of thing has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamp {
    servers: u64,
    browser: u64,
    hosts: u64,
    pulls: u64,
    usage: u64,
    lobbies: u64,
    sockets: u64,
    samples: u64,
}

/// The counters of everything that pages show.
pub(super) struct News {
    servers: watch::Receiver<u64>,
    browser: watch::Receiver<u64>,
    hosts: watch::Receiver<u64>,
    pulls: watch::Receiver<u64>,
    usage: watch::Receiver<u64>,
    lobbies: watch::Receiver<u64>,
    sockets: watch::Receiver<u64>,
    samples: watch::Receiver<u64>,
}

impl Stamp {
    /// The part of it that `topic` shows.
    pub(super) fn of(self, topic: &Topic) -> Self {
        let Self { servers, browser, hosts, pulls, usage, lobbies, samples, .. } = self;
        match topic {
            Topic::Overview => Self { usage: 0, pulls: 0, browser: 0, ..self },
            // That a server was heard again is no news to players, and so changes no list.
            Topic::Browser(_) => Self { browser, samples, ..Self::default() },
            // What an engine has besides what is pulled is told by nobody: it is looked at from time to time.
            Topic::Builds(_) => Self { hosts, pulls, samples, ..Self::default() },
            Topic::Hosts | Topic::Servers(_) => Self { servers, hosts, ..Self::default() },
            Topic::Server(..) => Self { servers, hosts, usage, ..Self::default() },
            // Who is connected stands in the lobby's document.
            Topic::Lobbies(_) | Topic::Lobby(..) => Self { lobbies, ..Self::default() },
        }
    }
}

impl News {
    pub(super) fn of(node: &Node, samples: &Samples) -> Self {
        Self {
            servers: node.servers.watch(),
            browser: node.browser.changes(),
            hosts: node.servers.host_changes(),
            pulls: node.builds.pull_changes(),
            usage: node.servers.watch_usage(),
            lobbies: node.lobbies.watch(),
            sockets: node.hub.watch(),
            samples: samples.watch(),
        }
    }

    /// What there is; only what comes after it is news.
    pub(super) fn stamp(&mut self) -> Stamp {
        Stamp {
            servers: *self.servers.borrow_and_update(),
            browser: *self.browser.borrow_and_update(),
            hosts: *self.hosts.borrow_and_update(),
            pulls: *self.pulls.borrow_and_update(),
            usage: *self.usage.borrow_and_update(),
            lobbies: *self.lobbies.borrow_and_update(),
            sockets: *self.sockets.borrow_and_update(),
            samples: *self.samples.borrow_and_update(),
        }
    }

    /// Waits until anything has changed. The counters live as long as the node.
    pub(super) async fn changed(&mut self) {
        // In any order: each is only a reason to look at all of them.
        tokio::select! {
            _ = self.servers.changed() => {}
            _ = self.browser.changed() => {}
            _ = self.hosts.changed() => {}
            _ = self.pulls.changed() => {}
            _ = self.usage.changed() => {}
            _ = self.lobbies.changed() => {}
            _ = self.sockets.changed() => {}
            _ = self.samples.changed() => {}
        }
    }
}
