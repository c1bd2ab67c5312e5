//! A partition in memory: its newest state, and what of it is not yet in the database.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::{
    Action, Change, Class, DirectoryError, Document, Expected, Key, Kind, Notice, Partition, Revision,
    lease::LEASE,
};

/// What a commit's caller waits for.
pub(super) type Answer = oneshot::Sender<Result<Vec<Revision>, DirectoryError>>;

/// Longest time to an expiry; a longer one is shortened to it. A hundred years.
const TERM_SECONDS_MAX: u64 = 100 * 365 * 24 * 60 * 60;

/// A document without its key.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) value: Bytes,
    pub(super) revision: Revision,
    pub(super) expiry: Option<Expiry>,
}

/// When a document expires, by [`Clock::running`](super::clock::Clock::running).
#[derive(Clone, Copy, Debug)]
pub(super) struct Expiry {
    pub(super) deadline: Duration,
    /// From the put to the deadline.
    pub(super) term: Duration,
}

/// The documents of one kind.
struct Shelf {
    kind: Kind,
    documents: BTreeMap<Arc<str>, Entry>,
}

impl Shelf {
    /// A lease is alive until the sweeper has removed it, for only the sweeper knows whether time
    /// passed for everybody or was a pause of our own.
    fn is_live(&self, entry: &Entry, now: Duration) -> bool {
        self.kind == LEASE || entry.expiry.is_none_or(|expiry| expiry.deadline > now)
    }
}

/// A change that was checked, with the revision it is to have.
pub(super) struct Step {
    shelf: usize,
    id: Arc<str>,
    /// The new entry; `None` deletes.
    entry: Option<Entry>,
    revision: Revision,
}

impl Step {
    pub(super) fn id(&self) -> &Arc<str> {
        &self.id
    }

    pub(super) fn entry(&self) -> Option<&Entry> {
        self.entry.as_ref()
    }
}

/// A commit that is in memory but not known to be in the database.
struct Pending {
    undo: Vec<(usize, Arc<str>, Option<Entry>)>,
    notices: Vec<Notice>,
    revisions: Vec<Revision>,
    answer: Option<Answer>,
    /// Changes passing documents too, which later commits could otherwise build upon unawares.
    changes_passing: bool,
    reserves: Option<u64>,
}

/// What comes out of a commit that ended well.
pub(super) struct Applied {
    pub(super) notices: Vec<Notice>,
    pub(super) revisions: Vec<Revision>,
    pub(super) answer: Option<Answer>,
}

/// A partition in memory. Every change passes through here, under the partition's lock.
pub(super) struct Memory {
    partition: Partition,
    shelves: Vec<Shelf>,
    /// Of the newest change, answered or not.
    revision: u64,
    /// No start after this one will give out a revision up to this: it is in the database.
    reserved: u64,
    /// The same for when what is pending will be there.
    reserving: u64,
    /// What expires, by deadline.
    deadlines: BTreeSet<(Duration, usize, Arc<str>)>,
    /// Oldest first, as the database will have them.
    pending: VecDeque<Pending>,
    pending_passing: usize,
    /// Grows when all that was pending is undone. What was sent to the database in an older epoch
    /// must not be written.
    epoch: u64,
}

impl Memory {
    pub(super) fn new(partition: Partition, reserved: u64) -> Self {
        Self {
            partition,
            shelves: Vec::new(),
            revision: reserved,
            reserved,
            reserving: reserved,
            deadlines: BTreeSet::new(),
            pending: VecDeque::new(),
            pending_passing: 0,
            epoch: 1,
        }
    }

    /// Puts a document in as it came from the database.
    pub(super) fn load(&mut self, kind: Kind, id: Arc<str>, entry: Entry) {
        let shelf = self.shelf(kind);
        self.set(shelf, &id, Some(entry));
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(super) fn get(&self, key: &Key, now: Duration) -> Option<Document> {
        let shelf = self.shelves.iter().find(|shelf| shelf.kind == key.kind)?;
        let (id, entry) = shelf.documents.get_key_value(&key.id)?;
        shelf.is_live(entry, now).then(|| self.document(key.kind, id, entry))
    }

    pub(super) fn list(&self, kind: Kind, now: Duration) -> Vec<Document> {
        let shelves = self.shelves.iter().filter(|shelf| shelf.kind == kind);
        shelves
            .flat_map(|shelf| shelf.documents.iter().filter(|(_, entry)| shelf.is_live(entry, now)))
            .map(|(id, entry)| self.document(kind, id, entry))
            .collect()
    }

    /// What watchers of `kinds` know by now: the newest state without what is pending, oldest
    /// change first.
    pub(super) fn shown(&self, kinds: &[Kind], now: Duration) -> Vec<Notice> {
        // The oldest pending commit that changed a document has what stood before all of them.
        let mut before: BTreeMap<(usize, &Arc<str>), &Option<Entry>> = BTreeMap::new();
        for (shelf, id, entry) in self.pending.iter().rev().flat_map(|pending| pending.undo.iter().rev()) {
            before.insert((*shelf, id), entry);
        }
        let first_id = Arc::default();
        let mut shown: Vec<Document> = Vec::new();
        for (index, shelf) in self.shelves.iter().enumerate().filter(|(_, shelf)| kinds.contains(&shelf.kind))
        {
            let unchanged = shelf.documents.iter().filter(|(id, _)| !before.contains_key(&(index, *id)));
            let undone = before
                .range((index, &first_id)..)
                .take_while(|((shelf, _), _)| *shelf == index)
                .filter_map(|((_, id), entry)| Some((*id, entry.as_ref()?)));
            let live = unchanged.chain(undone).filter(|(_, entry)| shelf.is_live(entry, now));
            shown.extend(live.map(|(id, entry)| self.document(shelf.kind, id, entry)));
        }
        shown.sort_unstable_by_key(|document| document.revision);
        shown.into_iter().map(Notice::Put).collect()
    }

    /// Checks what `changes` expect, against the newest state, and gives out revisions without
    /// taking them.
    pub(super) fn plan(&mut self, changes: Vec<Change>, now: Duration) -> Result<Vec<Step>, DirectoryError> {
        let mut steps = Vec::with_capacity(changes.len());
        let mut revision = self.revision;
        for Change { kind, id, expected, action } in changes {
            let shelf = self.shelf(kind);
            let place = &self.shelves[shelf];
            if place.kind.class() != kind.class() {
                return Err(DirectoryError::Malformed("the kind is of another class"));
            }
            let stands = place.documents.get(&id).filter(|entry| place.is_live(entry, now));
            let holds = match expected {
                Expected::Any => true,
                Expected::Absent => stands.is_none(),
                Expected::At(revision) => stands.is_some_and(|entry| entry.revision == revision),
            };
            if !holds {
                return Err(DirectoryError::Conflict(Key { partition: self.partition.clone(), kind, id }));
            }
            revision += 1;
            let entry = match action {
                Action::Put { value, expires_after } => {
                    let expiry = expires_after.map(|after| {
                        let term = whole_seconds(after);
                        Expiry { deadline: now.saturating_add(term), term }
                    });
                    Some(Entry { value, revision: Revision(revision), expiry })
                }
                Action::Delete => None,
            };
            steps.push(Step { shelf, id, entry, revision: Revision(revision) });
        }
        Ok(steps)
    }

    /// Whether the commit of `steps` is answered only when the database has it: because it holds
    /// a kept document, builds upon what is pending, or needs revisions that are not reserved.
    pub(super) fn must_wait(&self, steps: &[Step]) -> bool {
        self.pending_passing > 0
            || self.revision + steps.len() as u64 > self.reserved
            || steps.iter().any(|step| self.kind(step).class() == Class::Kept)
    }

    /// What the commit of `steps` has to reserve first.
    pub(super) fn reservation(&self, steps: &[Step], ahead: u64) -> Option<u64> {
        let last = self.revision + steps.len() as u64;
        (last > self.reserving).then_some(last + ahead)
    }

    pub(super) fn kind(&self, step: &Step) -> Kind {
        self.shelves[step.shelf].kind
    }

    /// Whether anything stands at the place that `step` changes, be it expired.
    pub(super) fn is_occupied(&self, step: &Step) -> bool {
        self.shelves[step.shelf].documents.contains_key(&step.id)
    }

    /// Applies `steps` for good.
    pub(super) fn apply(&mut self, steps: Vec<Step>, answer: Option<Answer>) -> Applied {
        let Pending { notices, revisions, answer, .. } = self.change(steps, answer);
        Applied { notices, revisions, answer }
    }

    /// Applies `steps` until it is known whether the database has them.
    pub(super) fn apply_pending(&mut self, steps: Vec<Step>, reserves: Option<u64>, answer: Option<Answer>) {
        let mut pending = self.change(steps, answer);
        pending.reserves = reserves;
        self.reserving = reserves.unwrap_or(self.reserving);
        self.pending_passing += usize::from(pending.changes_passing);
        self.pending.push_back(pending);
    }

    /// The database has the oldest pending commit.
    pub(super) fn settle(&mut self) -> Option<Applied> {
        let Pending { notices, revisions, answer, changes_passing, reserves, .. } =
            self.pending.pop_front()?;
        self.pending_passing -= usize::from(changes_passing);
        self.reserved = reserves.unwrap_or(self.reserved);
        Some(Applied { notices, revisions, answer })
    }

    /// Undoes all that is pending, newest first, and gives back who waits for it. Revisions that
    /// were given out stay used, for they were to be seen.
    pub(super) fn undo(&mut self, now: Duration) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(self.pending.len());
        while let Some(pending) = self.pending.pop_back() {
            for (shelf, id, mut entry) in pending.undo.into_iter().rev() {
                if let Some(expiry) = entry.as_mut().and_then(|entry| entry.expiry.as_mut())
                    && self.shelves[shelf].kind == LEASE
                {
                    expiry.deadline = now.saturating_add(expiry.term);
                }
                self.set(shelf, &id, entry);
            }
            answers.extend(pending.answer);
        }
        self.pending_passing = 0;
        self.reserving = self.reserved;
        self.epoch += 1;
        answers.reverse();
        answers
    }

    /// What has expired by now, at most `max` documents, all of one class.
    pub(super) fn expired(&self, now: Duration, max: usize) -> Vec<Change> {
        let due = || self.deadlines.iter().take_while(|(deadline, ..)| *deadline <= now);
        let Some(class) = due().next().map(|(_, shelf, _)| self.shelves[*shelf].kind.class()) else {
            return Vec::new();
        };
        due()
            .map(|(_, shelf, id)| (self.shelves[*shelf].kind, id))
            .filter(|(kind, _)| kind.class() == class)
            .take(max)
            .map(|(kind, id)| Change::delete(kind, id, Expected::Any))
            .collect()
    }

    /// Gives every lease a full new term.
    pub(super) fn renew_leases(&mut self, now: Duration) {
        let Some(shelf) = self.shelves.iter().position(|shelf| shelf.kind == LEASE) else { return };
        let leases = self.shelves[shelf].documents.clone();
        for (id, mut entry) in leases {
            if let Some(expiry) = entry.expiry.as_mut() {
                expiry.deadline = now.saturating_add(expiry.term);
            }
            self.set(shelf, &id, Some(entry));
        }
    }

    fn change(&mut self, steps: Vec<Step>, answer: Option<Answer>) -> Pending {
        let mut pending = Pending {
            undo: Vec::with_capacity(steps.len()),
            notices: Vec::with_capacity(steps.len()),
            revisions: Vec::with_capacity(steps.len()),
            answer,
            changes_passing: false,
            reserves: None,
        };
        for Step { shelf, id, entry, revision } in steps {
            self.revision = revision.0;
            pending.revisions.push(revision);
            let kind = self.shelves[shelf].kind;
            pending.changes_passing |= kind.class() == Class::Passing;
            let put = entry.as_ref().map(|entry| self.document(kind, &id, entry));
            let before = self.set(shelf, &id, entry);
            match put {
                Some(document) => pending.notices.push(Notice::Put(document)),
                None if before.is_some() => {
                    let key = Key { partition: self.partition.clone(), kind, id: Arc::clone(&id) };
                    pending.notices.push(Notice::Deleted { key, revision });
                }
                // Nothing was there: nothing is told, and nothing need be undone.
                None => continue,
            }
            pending.undo.push((shelf, id, before));
        }
        pending
    }

    /// The one place where documents change, so that the deadlines follow.
    fn set(&mut self, shelf: usize, id: &Arc<str>, entry: Option<Entry>) -> Option<Entry> {
        let expiry = entry.as_ref().and_then(|entry| entry.expiry);
        let documents = &mut self.shelves[shelf].documents;
        let before = match (documents.get_mut(id), entry) {
            (Some(place), Some(entry)) => Some(std::mem::replace(place, entry)),
            (Some(_), None) => documents.remove(id),
            (None, Some(entry)) => documents.insert(Arc::clone(id), entry),
            (None, None) => None,
        };
        if let Some(expiry) = before.as_ref().and_then(|entry| entry.expiry) {
            self.deadlines.remove(&(expiry.deadline, shelf, Arc::clone(id)));
        }
        if let Some(expiry) = expiry {
            self.deadlines.insert((expiry.deadline, shelf, Arc::clone(id)));
        }
        before
    }

    fn shelf(&mut self, kind: Kind) -> usize {
        // By name alone: a kind has one class, and whoever errs about it is told so.
        self.shelves.iter().position(|shelf| shelf.kind.name() == kind.name()).unwrap_or_else(|| {
            self.shelves.push(Shelf { kind, documents: BTreeMap::new() });
            self.shelves.len() - 1
        })
    }

    fn document(&self, kind: Kind, id: &Arc<str>, entry: &Entry) -> Document {
        let key = Key { partition: self.partition.clone(), kind, id: Arc::clone(id) };
        Document { key, value: entry.value.clone(), revision: entry.revision }
    }
}

fn whole_seconds(after: Duration) -> Duration {
    let seconds = after.as_secs().saturating_add(u64::from(after.subsec_nanos() > 0));
    Duration::from_secs(seconds.clamp(1, TERM_SECONDS_MAX))
}
