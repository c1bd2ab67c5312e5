//! Builds as their studio sees them.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use greenroom_domain::{
    settings::{ContainerSettings, FleetSettings, VersionSource},
    versions::TaggedVersion,
};
use greenroom_fleet::images::{self, ImageError, PullProgress};
use greenroom_protocol::{
    GameId, HostId,
    builds::{BuildHost, BuildList, BuildSource, BuildView, PullState, PullView},
};

use super::{Builds, Known};

/// Most versions of a list; all that are supported are in it beyond that.
const BUILDS_LISTED_MAX: usize = 100;

/// What a host has of an image: its tags, unless it cannot be asked, and pulls by tag.
struct OnHost {
    host: HostId,
    present: Option<BTreeSet<String>>,
    pulls: BTreeMap<String, PullView>,
}

impl Builds {
    pub(super) async fn view(
        &self,
        game: &GameId,
        fleet: &FleetSettings,
        known: Result<Known, ImageError>,
    ) -> BuildList {
        let container = fleet.provider.container();
        let mut list = BuildList {
            game: game.clone(),
            provider: fleet.provider.as_str().to_owned(),
            image: container.map(|container| container.image.clone()),
            source: container.map(|container| match container.versions {
                VersionSource::Engine => BuildSource::Engine,
                VersionSource::Registry => BuildSource::Registry,
            }),
            builds: Vec::new(),
            total: 0,
            newest: None,
            oldest: None,
            looked_up_at: None,
            problem: None,
        };
        let known = match known {
            Ok(known) => known,
            Err(error) => {
                list.problem = Some(error.to_string());
                return list;
            }
        };
        let hosts = match container {
            Some(container) => self.on_hosts(fleet, container).await,
            None => Vec::new(),
        };
        let text = |known: Option<&TaggedVersion>| known.map(|known| known.version.to_string());
        let versions = &known.versions;
        list.total = versions.known().len() as u32;
        (list.newest, list.oldest) = (text(versions.newest()), text(versions.oldest()));
        if let Some(tags) = &known.tags {
            list.looked_up_at = Some(tags.at);
            list.problem = tags.problem.as_ref().map(ToString::to_string);
        }
        let supported = versions.supported().len();
        let listed = versions.known().iter().take(BUILDS_LISTED_MAX.max(supported)).enumerate();
        list.builds = listed
            .map(|(position, known)| BuildView {
                version: known.version.to_string(),
                tag: known.tag.clone(),
                supported: position < supported,
                hosts: hosts.iter().map(|on_host| on_host.of(&known.tag)).collect(),
            })
            .collect();
        list
    }

    async fn on_hosts(&self, fleet: &FleetSettings, container: &ContainerSettings) -> Vec<OnHost> {
        let prefix = format!("{}:", container.image);
        let pulls = self.0.images.pulls();
        let hosts = self.hosts(fleet).into_iter().map(|host| {
            let of_host = pulls.iter().filter(|pulled| pulled.host == host);
            let pulls = of_host.filter_map(|pulled| {
                Some((pulled.image.strip_prefix(&prefix)?.to_owned(), pull_view(&pulled.progress)?))
            });
            let pulls = pulls.collect();
            async move {
                let present = self.0.images.tags_on(&host, &container.image).await.ok();
                OnHost { host, present, pulls }
            }
        });
        // Beside each other: an engine that is away holds up the answer once, not once each.
        join_all(hosts).await
    }
}

impl OnHost {
    fn of(&self, tag: &str) -> BuildHost {
        let present = self.present.as_ref().map(|present| present.contains(tag));
        // A failure is of no interest where the image is there by now.
        let pull = self.pulls.get(tag).filter(|_| present != Some(true)).cloned();
        BuildHost { host: self.host.clone(), present, pull }
    }
}

fn pull_view(progress: &PullProgress) -> Option<PullView> {
    let (state, problem) = match &progress.state {
        images::PullState::Waiting => (PullState::Waiting, None),
        images::PullState::Pulling => (PullState::Pulling, None),
        images::PullState::Failed(cause) => (PullState::Failed, Some(cause.clone())),
        images::PullState::Done => return None,
    };
    Some(PullView {
        state,
        layers_done: progress.layers_done,
        layers_total: progress.layers_total,
        bytes_done: progress.bytes_done,
        bytes_total: progress.bytes_total,
        problem,
    })
}
