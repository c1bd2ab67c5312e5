//! A watch: a mailbox that holds the newest untold state of each key.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Weak},
};

use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use crate::{Key, Kind, Notice, Revision};

/// What a watcher reads from. Dropping it ends the watch.
#[derive(Debug)]
pub struct Watch {
    mailbox: Arc<Mailbox>,
    #[cfg(any(test, feature = "faulty"))]
    repeats: Option<Repeats>,
}

impl Watch {
    /// The next notice; `None` when the directory is closed and all was told. Cancel-safe.
    pub async fn next(&mut self) -> Option<Notice> {
        loop {
            // Armed before the look, so that a notice between look and wait is not slept through;
            // the mailbox has one reader, for whom `Notify` keeps a permit.
            let mailbox = Arc::clone(&self.mailbox);
            let told = mailbox.told.notified();
            let (notice, closed) = self.take();
            if notice.is_some() || closed {
                return notice;
            }
            told.await;
        }
    }

    /// The next notice if there is one already.
    pub fn try_next(&mut self) -> Option<Notice> {
        self.take().0
    }

    #[cfg(not(any(test, feature = "faulty")))]
    fn take(&mut self) -> (Option<Notice>, bool) {
        self.mailbox.take()
    }
}

#[cfg(any(test, feature = "faulty"))]
mod repeating {
    use super::{Notice, Watch};
    use crate::faulty::Dice;

    /// Tells some notices once more.
    #[derive(Debug)]
    pub(super) struct Repeats {
        dice: Dice,
        percent: u8,
        last: Option<Notice>,
    }

    impl Watch {
        /// The same watch, of which `percent` in a hundred notices come once more.
        pub(crate) fn repeating(self, dice: Dice, percent: u8) -> Self {
            Self { repeats: Some(Repeats { dice, percent, last: None }), ..self }
        }

        pub(super) fn take(&mut self) -> (Option<Notice>, bool) {
            if let Some(again) = self.repeats.as_mut().and_then(|repeats| repeats.last.take()) {
                return (Some(again), false);
            }
            let (notice, closed) = self.mailbox.take();
            if let Some(repeats) = &mut self.repeats
                && matches!(notice, Some(Notice::Put(_) | Notice::Deleted { .. }))
                && repeats.dice.percent(repeats.percent)
            {
                repeats.last.clone_from(&notice);
            }
            (notice, closed)
        }
    }
}

#[cfg(any(test, feature = "faulty"))]
use repeating::Repeats;

/// What an engine writes to. Bounded by the number of distinct keys, as untold states of a key
/// replace each other.
#[derive(Debug)]
pub(crate) struct Mailbox {
    kinds: Box<[Kind]>,
    told: Notify,
    untold: Mutex<Untold>,
}

#[derive(Debug, Default)]
struct Untold {
    /// In the order of the first untold change; `None` stands for [`Notice::Current`].
    order: VecDeque<Option<Key>>,
    newest: HashMap<Key, Notice>,
    closed: bool,
}

impl Mailbox {
    pub(crate) fn kinds(&self) -> &[Kind] {
        &self.kinds
    }

    /// Whether it wants to hear of documents of `kind`.
    fn wants(&self, kind: Kind) -> bool {
        self.kinds.contains(&kind)
    }

    /// Puts all `notices` in, older states of the same keys out. An older one than is there
    /// already is ignored.
    pub(crate) fn put(&self, notices: impl IntoIterator<Item = Notice>) {
        let mut untold = self.untold.lock();
        let untold = &mut *untold;
        for notice in notices {
            let Some((key, revision)) = subject(&notice) else {
                untold.order.push_back(None);
                continue;
            };
            if let Some(waiting) = untold.newest.get_mut(key) {
                if subject(waiting).is_none_or(|(_, waiting)| waiting < revision) {
                    *waiting = notice;
                }
            } else {
                untold.order.push_back(Some(key.clone()));
                untold.newest.insert(key.clone(), notice);
            }
        }
        self.told.notify_one();
    }

    fn take(&self) -> (Option<Notice>, bool) {
        let mut untold = self.untold.lock();
        let notice = match untold.order.pop_front() {
            Some(Some(key)) => untold.newest.remove(&key),
            Some(None) => Some(Notice::Current),
            None => None,
        };
        (notice, untold.closed)
    }

    fn close(&self) {
        self.untold.lock().closed = true;
        self.told.notify_one();
    }
}

/// All watches of an engine.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    mailboxes: RwLock<Vec<Weak<Mailbox>>>,
}

impl Watchers {
    /// Begins a watch of `kinds`. From now on it is shown everything; the caller puts into the
    /// mailbox what stood before.
    pub(crate) fn register(&self, kinds: &[Kind]) -> (Watch, Arc<Mailbox>) {
        let mailbox =
            Arc::new(Mailbox { kinds: kinds.into(), told: Notify::new(), untold: Mutex::default() });
        let mut mailboxes = self.mailboxes.write();
        mailboxes.retain(|other| other.strong_count() > 0);
        mailboxes.push(Arc::downgrade(&mailbox));
        metrics::gauge!("greenroom_directory_watches").set(mailboxes.len() as f64);
        let watch = Watch {
            mailbox: Arc::clone(&mailbox),
            #[cfg(any(test, feature = "faulty"))]
            repeats: None,
        };
        (watch, mailbox)
    }

    /// Shows `notices` to everyone whom they concern. Never waits for a watcher.
    pub(crate) fn show(&self, notices: &[Notice]) {
        for mailbox in self.mailboxes.read().iter() {
            let Some(mailbox) = mailbox.upgrade() else { continue };
            let concerns = |notice: &&Notice| subject(notice).is_none_or(|(key, _)| mailbox.wants(key.kind));
            if notices.iter().any(|notice| concerns(&notice)) {
                mailbox.put(notices.iter().filter(concerns).cloned());
            }
        }
    }

    /// Ends every watch, once it has told what it holds.
    pub(crate) fn close(&self) {
        for mailbox in self.mailboxes.write().drain(..) {
            if let Some(mailbox) = mailbox.upgrade() {
                mailbox.close();
            }
        }
    }
}

impl Drop for Watchers {
    fn drop(&mut self) {
        self.close();
    }
}

fn subject(notice: &Notice) -> Option<(&Key, Revision)> {
    match notice {
        Notice::Put(document) => Some((&document.key, document.revision)),
        Notice::Deleted { key, revision } => Some((key, *revision)),
        Notice::Current => None,
    }
}
