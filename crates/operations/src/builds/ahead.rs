//! Pulls what is supported before anybody asks for it.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use greenroom_domain::settings::{ContainerSettings, FleetSettings};
use greenroom_fleet::images::{ImageError, PullFor};
use greenroom_protocol::{GameId, HostId};

use super::{AHEAD_PERIOD, Builds, can_be_pulled};

impl Builds {
    /// Looks after it at the start, after every refresh and change of the settings, and from time to time.
    pub(super) async fn keep_ahead(&self) {
        let mut settings = self.0.settings.clone();
        loop {
            settings.mark_unchanged();
            let fleets: Vec<(GameId, FleetSettings)> = {
                let settings = settings.borrow();
                let games = settings.games.values();
                games.filter_map(|game| Some((game.id.clone(), game.fleet.clone()?))).collect()
            };
            // Beside each other: a registry that is slow for one game holds up no other.
            let all = join_all(fleets.iter().map(|(game, fleet)| self.pull_ahead(game, fleet)));
            // A shutdown first: pulls that were begun are given up then.
            tokio::select! {
                biased;
                () = self.0.shutdown.cancelled() => return,
                _ = all => {}
            }
            tokio::select! {
                biased;
                () = self.0.shutdown.cancelled() => return,
                () = self.0.nudged.notified() => {}
                Ok(()) = settings.changed() => {}
                () = tokio::time::sleep(AHEAD_PERIOD) => {}
            }
        }
    }

    async fn pull_ahead(&self, game: &GameId, fleet: &FleetSettings) {
        let Some(container) = fleet.provider.container().filter(|c| can_be_pulled(c.versions)) else {
            return;
        };
        // What goes wrong is told where it goes wrong, and tried again from here.
        let Ok(known) = self.known(game, fleet).await else { return };
        let supported: Vec<&str> =
            known.versions.supported().iter().map(|known| known.tag.as_str()).collect();
        let mut missing = 0;
        for host in self.hosts(fleet) {
            match self.pull_missing(&host, container, &supported).await {
                Ok(count) => missing += count,
                Err(error) => tracing::debug!(%game, %host, %error, "images are not pulled ahead for now"),
            }
        }
        metrics::gauge!("greenroom_builds_missing", "game" => game.to_string()).set(missing as f64);
    }

    /// Begins the pulls of what the host does not have, newest first; how many that is.
    async fn pull_missing(
        &self,
        host: &HostId,
        container: &ContainerSettings,
        supported: &[&str],
    ) -> Result<usize, ImageError> {
        let present: BTreeSet<String> = self.0.images.tags_on(host, &container.image).await?;
        let missing: Vec<_> = supported.iter().filter(|tag| !present.contains(**tag)).collect();
        for tag in &missing {
            self.0.images.pull(host, &format!("{}:{tag}", container.image), PullFor::Later)?;
        }
        Ok(missing.len())
    }
}
