//! Which version runs where nobody has named one.

use std::{sync::Arc, time::Duration};

use greenroom_domain::{
    settings::FleetSettings,
    versions::{TaggedVersion, Versions},
};
use greenroom_protocol::GameId;

use super::Servers;

/// How long a request waits to be told how its version is written.
const LOOKUP_PATIENCE: Duration = Duration::from_secs(2);

/// The newest version among the tags that were told last; read once for as long as they stay the same.
pub(crate) struct Newest {
    tags: Arc<[String]>,
    tag: Option<String>,
}

impl Servers {
    /// The version that is meant where none is named: the one of the fleet's settings, or the newest one
    /// that its image has. An error says why that is not known.
    pub(crate) async fn default_version(
        &self,
        game: &GameId,
        fleet: &FleetSettings,
    ) -> Result<String, String> {
        if let Some(version) = &fleet.version {
            return Ok(version.clone());
        }
        let Some(container) = fleet.provider.container() else {
            return Err("its settings name no version".into());
        };
        let tags = self.0.images.tags(container).await;
        let tags = tags.map_err(|error| format!("which version is the newest is not known: {error}"))?.tags;
        let mut known = self.0.newest.lock();
        let newest = known.get(game).filter(|newest| Arc::ptr_eq(&newest.tags, &tags));
        let tag = if let Some(newest) = newest {
            newest.tag.clone()
        } else {
            let tag = Versions::of_tags(tags.iter(), 1).newest().map(|newest| newest.tag.clone());
            known.insert(game.clone(), Newest { tags, tag: tag.clone() });
            tag
        };
        tag.ok_or_else(|| format!("no tag of {} is a version such as 1.2.3", container.image))
    }

    /// The tag that `asked` means where the fleet's servers are containers: itself, or the tag of the same
    /// version that is written otherwise, as `v1.4.0` for 1.4.0.
    pub(crate) async fn tag_of(&self, fleet: &FleetSettings, asked: &str) -> String {
        let tag = async {
            let container = fleet.provider.container()?;
            let wanted = TaggedVersion::parse(asked)?.version;
            let tags = self.0.images.tags(container).await.ok()?.tags;
            let means_it = |tag: &&String| TaggedVersion::parse(tag).is_some_and(|tag| tag.version == wanted);
            let same = tags.iter().find(|tag| *tag == asked).or_else(|| tags.iter().find(means_it));
            same.cloned()
        };
        // Where nobody can tell, it is pulled as it was asked for.
        let told = tokio::time::timeout(LOOKUP_PATIENCE, tag).await;
        told.ok().flatten().unwrap_or_else(|| asked.to_owned())
    }

    /// Whether `version` is the one that is meant where none is named, as far as that is known.
    pub(crate) fn is_default_version(&self, game: &GameId, fleet: &FleetSettings, version: &str) -> bool {
        match &fleet.version {
            Some(default) => default == version,
            None => {
                self.0.newest.lock().get(game).is_some_and(|newest| newest.tag.as_deref() == Some(version))
            }
        }
    }
}
