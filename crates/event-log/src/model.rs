//! What the history holds: entries in streams, and consumers that stand at a place in one.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use greenroom_protocol::{RoomId, ServerId, StudioId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    error::InvalidName,
    subject::{Subject, SubjectFilter},
};

/// Largest payload of an entry, in bytes. A larger one is refused as [`EventLogError::TooLarge`](crate::EventLogError::TooLarge).
pub const ENTRY_BYTES_MAX: usize = 64 * 1024;

/// Most entries of one append.
pub const APPEND_ENTRIES_MAX: usize = 1_000;

/// Most payload bytes of one append, all entries together.
pub const APPEND_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Longest id of an entry, in bytes.
pub const ENTRY_ID_BYTES_MAX: usize = 256;

/// Most entries that one page or one fetch answers; a larger `limit` or `batch` is taken as this.
pub const PAGE_ENTRIES_MAX: usize = 1_000;

/// Most payload bytes of one page or one fetch; the entry that passes it is still in.
pub const PAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How long, at least, an entry with the id of an earlier one of the same stream is recognised.
pub const DEDUPE_WINDOW: Duration = Duration::from_hours(1);

/// Most deliveries of one consumer that may wait for their acknowledgement. At the limit nothing
/// new is delivered until some are acknowledged or dead.
pub const PENDING_DELIVERIES_MAX: usize = 4_096;

/// Most dead letters a consumer keeps; beyond it the oldest go.
pub const DEAD_LETTERS_MAX: u64 = 10_000;

/// Longest wait of a fetch; a longer one is taken as this.
pub const FETCH_WAIT_MAX: Duration = Duration::from_mins(1);

/// Most streams of one embedded log.
pub const STREAMS_MAX: usize = 65_536;

/// The size that an entry counts with beside its payload and subject, in bytes.
pub const ENTRY_OVERHEAD_BYTES: u64 = 32;

/// Longest id of a stream, in bytes: room for a kind and a whole identifier.
pub const STREAM_ID_BYTES_MAX: usize = 160;

/// Which stream: `[A-Za-z0-9_.-]`, one to [`STREAM_ID_BYTES_MAX`] of them. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(Arc<str>);

impl StreamId {
    /// Takes `text` as a stream's id if it has the form of one.
    pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidName> {
        let text = text.as_ref();
        let fits = !text.is_empty()
            && text.len() <= STREAM_ID_BYTES_MAX
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
        if fits {
            Ok(Self(Arc::from(text)))
        } else {
            Err(InvalidName("a stream's id has 1 to 160 characters out of A-Z, a-z, 0-9, _, . and -"))
        }
    }

    /// The events of a studio: `studio.<id>`.
    pub fn studio(studio: &StudioId) -> Self {
        Self::of("studio", studio.as_str())
    }

    /// The commands for a game server: `commands.<id>`.
    pub fn server_commands(server: &ServerId) -> Self {
        Self::of("commands", server.as_str())
    }

    /// The messages of a relay room: `room.<id>`.
    pub fn room(room: &RoomId) -> Self {
        Self::of("room", room.as_str())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn from_stored(text: &str) -> Self {
        Self(Arc::from(text))
    }

    fn of(kind: &str, id: &str) -> Self {
        Self(Arc::from(format!("{kind}.{id}")))
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamId({})", self.0)
    }
}

/// The place of an entry in its stream: from 1, and gapless as appended. 0 stands before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sequence(pub u64);

impl Sequence {
    /// Before the first entry: the last sequence of an empty stream.
    pub const ZERO: Self = Self(0);
    /// The first entry's.
    pub const FIRST: Self = Self(1);

    /// The one after.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An entry to be appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEntry {
    /// What it is about.
    pub subject: Subject,
    /// Its content, at most [`ENTRY_BYTES_MAX`]; opaque to the port.
    pub payload: Bytes,
    /// Makes a retry harmless: an entry with the id of one that was appended to the same stream
    /// within [`DEDUPE_WINDOW`] is not appended again; the answer is the first one's sequence.
    /// Printable ASCII, at most [`ENTRY_ID_BYTES_MAX`].
    pub id: Option<String>,
}

impl NewEntry {
    /// An entry without an id.
    pub fn new(subject: Subject, payload: impl Into<Bytes>) -> Self {
        Self { subject, payload: payload.into(), id: None }
    }

    /// The same entry with an id.
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }
}

/// An entry as it stands in its stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place.
    pub sequence: Sequence,
    /// What it is about.
    pub subject: Subject,
    /// When it was appended, by the engine's clock. May go back when that clock does.
    pub at: Timestamp,
    /// Its content.
    pub payload: Bytes,
    /// The id it was given.
    pub id: Option<String>,
}

/// What became of one entry of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Its place.
    pub sequence: Sequence,
    /// Whether it had been appended before, under the same id.
    pub duplicate: bool,
}

/// What happens to an append at a stream's limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// The oldest entries go, until it fits.
    DropOldest,
    /// It is refused as [`EventLogError::Full`](crate::EventLogError::Full).
    Refuse,
}

/// The limits of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamLimits {
    /// Size of all entries together: payload, subject and [`ENTRY_OVERHEAD_BYTES`] each.
    pub bytes_max: u64,
    /// Number of entries.
    pub entries_max: u64,
    /// Older entries go, whatever `when_full` says; not to the second: see [`EventLog::create_stream`](crate::EventLog::create_stream).
    pub age_max: Option<Duration>,
    /// Number of consumers.
    pub consumers_max: u32,
    /// What happens at `bytes_max` and `entries_max`.
    pub when_full: WhenFull,
}

impl Default for StreamLimits {
    /// 1 GiB, 10 million entries, any age, 64 consumers; the oldest go.
    fn default() -> Self {
        Self {
            bytes_max: 1 << 30,
            entries_max: 10_000_000,
            age_max: None,
            consumers_max: 64,
            when_full: WhenFull::DropOldest,
        }
    }
}

/// How a stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamInfo {
    /// The oldest entry that is still there; `last + 1` if there is none.
    pub first: Sequence,
    /// The newest entry that was ever appended; 0 if none was.
    pub last: Sequence,
    /// How many entries are there.
    pub entries: u64,
    /// Their size, as the limit counts it.
    pub bytes: u64,
    /// Its limits.
    pub limits: StreamLimits,
}

/// A range of sequences, both ends in it, that was lost to a limit before it could be read.
pub type Gap = (Sequence, Sequence);

/// A part of a stream, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// What the filter selected. May be empty before the end: the scan of one page is bounded.
    pub entries: Vec<Entry>,
    /// Where to read on.
    pub next: Sequence,
    /// What was asked for and is no longer there. Entries of it that the filter would not have
    /// selected are not told apart.
    pub gap: Option<Gap>,
    /// Whether nothing lay beyond when the page was read.
    pub end: bool,
}

/// Where a new consumer begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// With the oldest entry that is there.
    First,
    /// With the next entry to be appended.
    Next,
    /// With this sequence; what of it is gone already is told as a gap.
    At(Sequence),
}

/// How a consumer behaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumerConfig {
    /// What it is delivered; everything if unset.
    pub filter: Option<SubjectFilter>,
    /// Where it begins. Looked at only when it is made.
    pub start: Start,
    /// A delivery that is not acknowledged within this time comes again.
    pub ack_wait: Duration,
    /// How often an entry is delivered before it becomes a dead letter. At least 1.
    pub max_deliver: u32,
}

impl Default for ConsumerConfig {
    /// Everything from the first on, 30 s, 5 deliveries.
    fn default() -> Self {
        Self { filter: None, start: Start::First, ack_wait: Duration::from_secs(30), max_deliver: 5 }
    }
}

/// How a consumer stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerState {
    /// Its name.
    pub name: String,
    /// How it behaves.
    pub config: ConsumerConfig,
    /// Delivered and neither acknowledged nor dead.
    pub pending: u64,
    /// Entries of the stream that it has not come to yet, whether its filter selects them or not.
    pub lag: u64,
    /// Everything up to here was acknowledged, is dead, was lost or was not selected.
    pub acked_floor: Sequence,
    /// How many dead letters it keeps.
    pub dead_letters: u64,
}

/// An entry handed to a consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// What is delivered.
    pub entry: Entry,
    /// Which delivery of this entry to this consumer it is, from 1.
    pub attempt: u32,
}

/// What a fetch answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// In order of sequence; what comes again stands among what is new.
    pub deliveries: Vec<Delivery>,
    /// What the consumer will never see. Told by every fetch until the consumer acknowledges the
    /// gap's end or a sequence beyond it, so that a lost answer does not make it silent.
    pub gap: Option<Gap>,
}

/// An entry that was delivered as often as it may be and never acknowledged. Kept, with its
/// content, whatever the limits of the stream do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// What was delivered.
    pub entry: Entry,
    /// How often.
    pub attempts: u32,
    /// When it was given up.
    pub died_at: Timestamp,
}
