//! A game server's log, followed from one try to start it to the next.

use std::time::Duration;

use greenroom_domain::server::Server;
use greenroom_fleet::{LogLine, LogQuery};
use greenroom_operations::{Node, servers::ServerError};
use greenroom_protocol::{GameId, ServerId};
use tokio::{sync::mpsc, time::sleep};

use crate::pages::servers;

/// Lines of the past that a page begins with.
pub(crate) const TAIL_LINES: usize = 500;

/// Lines that wait for a slow reader; reading the log waits then.
const LINES_WAITING_MAX: usize = 512;

/// Pause before a log that is not there yet is looked for again.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// What there is to tell of a log.
pub(super) enum LogNews {
    /// It begins (again): what was shown so far is of an earlier try.
    Begins,
    /// A line.
    Line(LogLine),
    /// Nothing more will come.
    Ends,
    /// It cannot be read at the moment, which is tried again.
    Away,
    /// There is none, or none any more.
    Missing,
}

/// Follows the log of `id` until the receiver is dropped, the server has ended, or the node ends.
pub(super) fn follow(node: &Node, game: GameId, id: ServerId) -> mpsc::Receiver<LogNews> {
    let (sender, receiver) = mpsc::channel(LINES_WAITING_MAX);
    let (node_of_task, shutdown) = (node.clone(), node.shutdown.clone());
    node.tracker.spawn(async move {
        let closed = sender.clone();
        tokio::select! {
            biased;
            // Whoever looked is gone: a log that says nothing would be followed for ever.
            () = shutdown.cancelled() => {}
            () = closed.closed() => {}
            () = pump(&node_of_task, &game, &id, &sender) => {}
        }
    });
    receiver
}

async fn pump(node: &Node, game: &GameId, id: &ServerId, news: &mpsc::Sender<LogNews>) {
    let (mut changes, mut hosts) = (node.servers.watch(), node.servers.host_changes());
    let mut is_away = false;
    loop {
        let now = node.servers.living(id).map(|server| server.instance());
        let mut read = None;
        match node.servers.logs(game, id, LogQuery { tail_lines: TAIL_LINES, follow: true }).await {
            Ok(mut lines) => {
                read.clone_from(&now);
                is_away = false;
                if news.send(LogNews::Begins).await.is_err() {
                    return;
                }
                while let Some(line) = lines.next().await {
                    if news.send(LogNews::Line(line)).await.is_err() {
                        return;
                    }
                }
            }
            Err(ServerError::NotFound) if now.is_none() => {
                let _ = news.send(LogNews::Missing).await;
                return;
            }
            Err(error) => {
                tracing::debug!(server = %id, %error, "a log cannot be followed yet");
                if !matches!(error, ServerError::NotFound) && !is_away {
                    is_away = true;
                    if news.send(LogNews::Away).await.is_err() {
                        return;
                    }
                }
            }
        }
        // The next try of the same server has a log of its own; one that could not be read, or is not
        // there yet, is tried again.
        let is_another = |server: &Server, read: Option<&ServerId>| {
            !server.state.is_final() && Some(&server.instance()) != read
        };
        loop {
            changes.mark_unchanged();
            hosts.mark_unchanged();
            // What was followed breaks off with its host, and goes on when that is back.
            if read.is_some() && is_host_lost(node, id) {
                (read, is_away) = (None, true);
                if news.send(LogNews::Away).await.is_err() {
                    return;
                }
            }
            match node.servers.living(id) {
                Some(server) if is_another(&server, read.as_ref()) => break,
                Some(server) if !server.state.is_final() => {}
                Some(_) | None => {
                    let _ = news.send(LogNews::Ends).await;
                    return;
                }
            }
            // Whichever comes first: both lead to the same look.
            let changed = tokio::select! {
                changed = changes.changed() => changed,
                changed = hosts.changed() => changed,
            };
            if changed.is_err() {
                return;
            }
        }
        sleep(RETRY_PAUSE).await;
    }
}

fn is_host_lost(node: &Node, id: &ServerId) -> bool {
    node.servers.living(id).is_some_and(|server| servers::lost_hosts(node).contains(&server.birth.host))
}
