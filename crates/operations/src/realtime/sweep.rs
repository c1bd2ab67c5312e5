//! What is due by itself: graces that are over, matches whose time is up, news for list watchers.

use std::time::Duration;

use super::hub::Hub;

/// How often list watchers are told, at most.
const LIST_PAUSE: Duration = Duration::from_millis(250);

/// Longest sleep, so that a clock that was set is noticed.
const SLEEP_MAX: Duration = Duration::from_secs(5);

/// A deadline that was handed to its lobby and still stands is handed again after this.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

impl Hub {
    /// Applies what is due, until `shutdown`.
    pub(super) fn sweep(&self) {
        let hub = self.clone();
        self.inner.deps.tracker.spawn(async move {
            let shutdown = hub.inner.deps.shutdown.clone();
            // Cancellation first: deadlines stand in the documents.
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                () = hub.keep_sweeping() => {}
            }
        });
    }

    async fn keep_sweeping(&self) {
        loop {
            let sleep = self.sweep_once();
            tokio::select! {
                () = tokio::time::sleep(sleep) => {}
                () = self.inner.changed.notified() => {
                    // Many changes at once are one look.
                    tokio::time::sleep(LIST_PAUSE.min(sleep)).await;
                }
            }
        }
    }

    fn sweep_once(&self) -> Duration {
        let now = self.inner.deps.clock.now();
        let mut table = self.inner.table.lock();
        let due = table.take_due(now);
        for key in &due {
            table.due_again(key, now.after(AGAIN_AFTER));
        }
        if table.has_list_news() {
            table.flush_lists();
        }
        let next = table.next_deadline();
        drop(table);
        for (game, lobby) in &due {
            self.inner.deps.lobbies.deadline(game, lobby);
        }
        next.map_or(SLEEP_MAX, |at| at.since(now).min(SLEEP_MAX))
    }
}
