//! Which versions of a game can be asked for: the tags of its image that are semantic versions, in
//! their order. Source: Semantic Versioning 2.0.0 and the manager's contract.

use std::cmp::Ordering;

use semver::Version;

#[cfg(test)]
mod tests;

/// Longest text that is looked at as a version: as long as a tag can be.
pub const VERSION_BYTES_MAX: usize = 128;

/// A tag that is a semantic version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaggedVersion {
    /// As the image has it, with its `v` if it has one.
    pub tag: String,
    /// What it means.
    pub version: Version,
}

/// The versions that a game's image has, newest first, and how many of them are supported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Versions {
    known: Vec<TaggedVersion>,
    supported: usize,
}

/// What is said to somebody who asks for a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It can be run, as this tag.
    Supported(String),
    /// It is older than the oldest supported one.
    TooOld {
        /// The oldest that is supported.
        oldest: String,
        /// All that are, newest first.
        supported: Vec<String>,
    },
    /// It is not too old, and none of those that are supported.
    Unsupported {
        /// All that are, newest first.
        supported: Vec<String>,
    },
    /// It is no semantic version.
    NotAVersion,
}

impl Versions {
    /// Those among `tags` that are semantic versions, with or without a leading `v`. Where two
    /// tags mean the same version, the one without `v` counts. The newest `supported_max` are
    /// supported; a pre-release is a version as any other, and older than its release.
    pub fn of_tags<T: AsRef<str>>(tags: impl IntoIterator<Item = T>, supported_max: u32) -> Self {
        let mut known: Vec<TaggedVersion> =
            tags.into_iter().filter_map(|tag| TaggedVersion::parse(tag.as_ref())).collect();
        known.sort_by(|a, b| newest_first(&a.version, &b.version).then_with(|| a.tag.cmp(&b.tag)));
        known.dedup_by(|later, earlier| later.version == earlier.version);
        let supported = known.len().min(usize::try_from(supported_max).unwrap_or(usize::MAX));
        Self { known, supported }
    }

    /// All that there are, newest first.
    pub fn known(&self) -> &[TaggedVersion] {
        &self.known
    }

    /// Those that are supported, newest first.
    pub fn supported(&self) -> &[TaggedVersion] {
        &self.known[..self.supported]
    }

    /// The newest one.
    pub fn newest(&self) -> Option<&TaggedVersion> {
        self.supported().first()
    }

    /// The oldest one that is supported.
    pub fn oldest(&self) -> Option<&TaggedVersion> {
        self.supported().last()
    }

    /// What is said to somebody who asks for `asked`, which has no `v`. Build metadata does not
    /// make a version older or newer, but another one: tags cannot have it, so that none matches.
    pub fn check(&self, asked: &str) -> Verdict {
        let Some(version) = parse(asked) else { return Verdict::NotAVersion };
        if let Some(found) = self.supported().iter().find(|known| known.version == version) {
            return Verdict::Supported(found.tag.clone());
        }
        let supported = self.supported().iter().map(|known| known.version.to_string()).collect();
        match self.oldest() {
            Some(oldest) if version.cmp_precedence(&oldest.version) == Ordering::Less => {
                Verdict::TooOld { oldest: oldest.version.to_string(), supported }
            }
            _ => Verdict::Unsupported { supported },
        }
    }
}

impl TaggedVersion {
    /// The version that `tag` means, if it is one.
    pub fn parse(tag: &str) -> Option<Self> {
        let version = parse(tag.strip_prefix('v').unwrap_or(tag))?;
        Some(Self { tag: tag.to_owned(), version })
    }
}

impl Verdict {
    /// Whether what is known of the versions may be too old for this: somebody who asks for one
    /// that has just come is not to be refused. One that is too old does not become newer.
    pub const fn may_be_outdated(&self) -> bool {
        matches!(self, Self::Unsupported { .. })
    }
}

/// Whether `text` has the form of a version that can be asked for.
pub fn is_version(text: &str) -> bool {
    parse(text).is_some()
}

fn parse(text: &str) -> Option<Version> {
    if text.len() > VERSION_BYTES_MAX { None } else { Version::parse(text).ok() }
}

/// By precedence, and where that is the same by build metadata, so that the order is total.
fn newest_first(a: &Version, b: &Version) -> Ordering {
    b.cmp_precedence(a).then_with(|| b.build.cmp(&a.build))
}
