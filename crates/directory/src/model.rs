//! What the directory holds: documents under keys, changed by compare-and-set.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use greenroom_protocol::GameId;

/// Largest document, in bytes. A larger one is refused as [`DirectoryError::TooLarge`](crate::DirectoryError::TooLarge).
pub const DOCUMENT_BYTES_MAX: usize = 256 * 1024;

/// Most changes in one commit. NATS takes as many in one atomic batch.
pub const COMMIT_CHANGES_MAX: usize = 256;

/// What commits are atomic within: a game, or the installation itself.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(Arc<str>);

impl Partition {
    /// The partition of `game`.
    pub fn game(game: &GameId) -> Self {
        Self(Arc::from(game.as_str()))
    }

    /// The partition of what belongs to no game. Its name is no game's: it begins with `_`.
    pub fn installation() -> Self {
        Self(Arc::from("_installation"))
    }

    /// The partition's name: `[A-Za-z0-9_-]+`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn from_stored(name: &str) -> Self {
        Self(Arc::from(name))
    }
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Partition({})", self.0)
    }
}

/// Whether a document outlives the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Survives the death of the process: answered and shown when its write has left it.
    Kept,
    /// Memory only: presence, heartbeats.
    Passing,
}

/// A kind of document, such as `lobby`. Declared once as a constant by who uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind {
    name: &'static str,
    class: Class,
}

impl Kind {
    /// A kind whose documents are kept. `name` is `[a-z0-9_-]+`.
    pub const fn kept(name: &'static str) -> Self {
        Self { name, class: Class::Kept }
    }

    /// A kind whose documents pass with the process.
    pub const fn passing(name: &'static str) -> Self {
        Self { name, class: Class::Passing }
    }

    /// The kind's name.
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// Whether its documents outlive the process.
    pub const fn class(self) -> Class {
        self.class
    }
}

/// Where a document stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// What it can be committed together with.
    pub partition: Partition,
    /// What it is.
    pub kind: Kind,
    /// Which one: `[A-Za-z0-9_.=-]{1,128}`.
    pub id: Arc<str>,
}

impl Key {
    /// The key of the document `id` of `kind` in `partition`.
    pub fn new(partition: Partition, kind: Kind, id: impl AsRef<str>) -> Self {
        Self { partition, kind, id: Arc::from(id.as_ref()) }
    }
}

/// The revision of a document. Grows with every change of any document of its partition, so no
/// two states of a document ever share one, not even across a delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

/// A document as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Where it stands.
    pub key: Key,
    /// Its content: JSON by convention, opaque to the port.
    pub value: Bytes,
    /// The revision of its last change.
    pub revision: Revision,
}

/// What a change demands of the document it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Whatever is there.
    Any,
    /// No document, or one that was deleted or has expired.
    Absent,
    /// The document at exactly this revision.
    At(Revision),
}

/// One change of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The document's kind.
    pub kind: Kind,
    /// The document's id.
    pub id: Arc<str>,
    /// What must hold for the whole commit to be applied.
    pub expected: Expected,
    /// What is done.
    pub action: Action,
}

/// What a change does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Writes the document.
    Put {
        /// The new content.
        value: Bytes,
        /// Deletes the document this long after the commit, unless it is put again. Whole
        /// seconds, rounded up; at least one. Watchers see the expiry as a delete.
        expires_after: Option<Duration>,
    },
    /// Deletes it. Deleting what is not there is no error (with [`Expected::Any`]).
    Delete,
}

impl Change {
    /// Writes a document that does not expire.
    pub fn put(kind: Kind, id: impl AsRef<str>, expected: Expected, value: impl Into<Bytes>) -> Self {
        let action = Action::Put { value: value.into(), expires_after: None };
        Self { kind, id: Arc::from(id.as_ref()), expected, action }
    }

    /// Writes a document that expires.
    pub fn put_expiring(
        kind: Kind,
        id: impl AsRef<str>,
        expected: Expected,
        value: impl Into<Bytes>,
        expires_after: Duration,
    ) -> Self {
        let action = Action::Put { value: value.into(), expires_after: Some(expires_after) };
        Self { kind, id: Arc::from(id.as_ref()), expected, action }
    }

    /// Deletes a document.
    pub fn delete(kind: Kind, id: impl AsRef<str>, expected: Expected) -> Self {
        Self { kind, id: Arc::from(id.as_ref()), expected, action: Action::Delete }
    }
}

/// What a watcher is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The document's newest state. Revisions between may have been skipped; the same state may
    /// be told twice; per key, revisions never go back.
    Put(Document),
    /// The document is gone: deleted or expired.
    Deleted {
        /// Which one.
        key: Key,
        /// The revision of the delete.
        revision: Revision,
    },
    /// Everything that stood when the watch began has now been told. Comes once.
    Current,
}

/// A lease that its holder has: exclusive until it runs out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// What is leased.
    pub name: Arc<str>,
    /// Who holds it.
    pub holder: Arc<str>,
    /// Grows each time the lease passes to a holder: a fencing token.
    pub generation: u64,
}
