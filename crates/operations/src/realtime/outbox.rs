//! What one player socket still has to be told: bounded, and merged where newer replaces older.

use std::{collections::VecDeque, mem, sync::Arc};

use bytes::Bytes;
use greenroom_directory::Revision;
use greenroom_protocol::LobbyId;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Most frames that wait for one socket. When another comes, the socket is too slow and is closed
/// with [`Closing::TooSlow`]; its player may connect again and finds the newest state. A lobby's
/// updates do not count: only the newest one waits.
pub const OUTBOX_FRAMES_MAX: usize = 128;

/// Why a socket is closed by us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// It did not read as fast as it was told.
    TooSlow,
    /// The session was ended: signed out, banned, or expired.
    SessionEnded,
    /// This node stops; the client should connect again after so many milliseconds.
    Restart {
        /// Spreads the reconnects of all sockets.
        retry_after_ms: u32,
    },
}

/// A lobby's newest state, encoded once for all who are told.
#[derive(Debug)]
pub struct LobbyFrame {
    /// Which lobby.
    pub lobby: LobbyId,
    /// The state's revision.
    pub revision: Revision,
    /// `lobby:updated`, encoded.
    pub updated: Bytes,
}

/// What to do next with a socket.
#[derive(Debug)]
pub enum Delivery {
    /// Send these, in order, and flush once.
    Frames(Vec<Bytes>),
    /// Send these, then close.
    Close(Vec<Bytes>, Closing),
}

/// The queue of one socket. Shared by the socket's task, which takes, and the hub, which puts.
#[derive(Debug, Default)]
pub struct Outbox {
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Bytes>,
    /// The newest state of the lobby that was not taken yet; comes after `queue`.
    lobby: Option<Arc<LobbyFrame>>,
    /// The newest state of the lobby that was put.
    seen: Option<Revision>,
    /// The newest state of what the socket watches that was not taken yet; comes last.
    newest: Option<Bytes>,
    /// While a create is under way its answer must come before the first update.
    holding: bool,
    closing: Option<Closing>,
}

impl Outbox {
    /// Puts a frame that must be delivered, after everything put before.
    pub fn push(&self, frame: Bytes) {
        let mut state = self.state.lock();
        state.settle_lobby();
        state.push(frame);
        drop(state);
        self.wake.notify_one();
    }

    /// Puts the newest state of the lobby, in place of one that was not taken yet. A state that is
    /// not newer than one put before is left out, unless `again` asks for it.
    pub fn push_lobby(&self, frame: &Arc<LobbyFrame>, again: bool) {
        let mut state = self.state.lock();
        if !again && !state.is_news(frame) {
            return;
        }
        state.seen = Some(frame.revision);
        state.lobby = Some(Arc::clone(frame));
        if !state.holding {
            drop(state);
            self.wake.notify_one();
        }
    }

    /// Puts the newest state of what the socket watches, in place of one that was not taken yet.
    pub fn push_newest(&self, frame: Bytes) {
        self.state.lock().newest = Some(frame);
        self.wake.notify_one();
    }

    /// Takes back what [`Outbox::push_newest`] put, if it was not taken yet.
    pub fn drop_newest(&self) {
        self.state.lock().newest = None;
    }

    /// Keeps lobby updates back until [`Outbox::release`].
    pub fn hold(&self) {
        self.state.lock().holding = true;
    }

    /// Ends [`Outbox::hold`]. With `created`, that answer comes first, and updates that are not
    /// newer than it are left out.
    pub fn release(&self, created: Option<(Bytes, Revision)>) {
        let mut state = self.state.lock();
        state.holding = false;
        if let Some((frame, revision)) = created {
            state.lobby.take_if(|held| held.revision <= revision);
            state.seen = state.seen.max(Some(revision));
            state.push(frame);
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Asks for the socket to be closed once what waits is sent.
    pub fn close(&self, closing: Closing) {
        self.state.lock().closing.get_or_insert(closing);
        self.wake.notify_one();
    }

    /// Waits until there is something to do. Cancel safe: what is not returned stays.
    pub async fn next(&self) -> Delivery {
        loop {
            if let Some(delivery) = self.state.lock().take() {
                return delivery;
            }
            self.wake.notified().await;
        }
    }
}

impl State {
    /// Revisions grow over all lobbies of a game, so an older state of another lobby is no news either.
    fn is_news(&self, frame: &LobbyFrame) -> bool {
        self.seen.is_none_or(|seen| seen < frame.revision)
    }

    /// Gives the waiting lobby state its place in the order, before something that must follow it.
    fn settle_lobby(&mut self) {
        if !self.holding
            && let Some(frame) = self.lobby.take()
        {
            self.push(frame.updated.clone());
        }
    }

    fn push(&mut self, frame: Bytes) {
        if self.queue.len() >= OUTBOX_FRAMES_MAX {
            self.closing.get_or_insert(Closing::TooSlow);
            return;
        }
        self.queue.push_back(frame);
    }

    fn take(&mut self) -> Option<Delivery> {
        let mut frames = Vec::from(mem::take(&mut self.queue));
        if !self.holding {
            frames.extend(self.lobby.take().map(|frame| frame.updated.clone()));
        }
        frames.extend(self.newest.take());
        match self.closing {
            Some(closing) => Some(Delivery::Close(frames, closing)),
            None if frames.is_empty() => None,
            None => Some(Delivery::Frames(frames)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lobby(revision: u64) -> Arc<LobbyFrame> {
        let updated = Bytes::from(format!("u{revision}"));
        Arc::new(LobbyFrame { lobby: LobbyId::new("a").unwrap(), revision: Revision(revision), updated })
    }

    fn taken(outbox: &Outbox) -> Vec<Bytes> {
        match outbox.state.lock().take() {
            Some(Delivery::Frames(frames) | Delivery::Close(frames, _)) => frames,
            None => Vec::new(),
        }
    }

    #[test]
    fn updates_are_merged_into_the_newest_and_never_go_back() {
        let outbox = Outbox::default();
        outbox.push_lobby(&lobby(1), false);
        outbox.push_lobby(&lobby(3), false);
        outbox.push_lobby(&lobby(2), false);
        assert_eq!(taken(&outbox), ["u3"]);
        outbox.push_lobby(&lobby(3), false);
        assert!(taken(&outbox).is_empty());
        outbox.push_lobby(&lobby(3), true);
        assert_eq!(taken(&outbox), ["u3"]);
    }

    #[test]
    fn a_frame_follows_the_update_that_was_put_before_it() {
        let outbox = Outbox::default();
        outbox.push_lobby(&lobby(1), false);
        outbox.push("left".into());
        outbox.push_lobby(&lobby(2), false);
        assert_eq!(taken(&outbox), ["u1", "left", "u2"]);
    }

    #[test]
    fn created_comes_before_any_update_and_replaces_its_own() {
        let outbox = Outbox::default();
        outbox.hold();
        outbox.push_lobby(&lobby(1), false);
        assert!(taken(&outbox).is_empty());
        outbox.release(Some(("created".into(), Revision(1))));
        assert_eq!(taken(&outbox), ["created"]);
        outbox.hold();
        outbox.push_lobby(&lobby(5), false);
        outbox.release(Some(("created".into(), Revision(4))));
        assert_eq!(taken(&outbox), ["created", "u5"]);
    }

    #[test]
    fn of_what_is_watched_only_the_newest_waits() {
        let outbox = Outbox::default();
        outbox.push_newest("one".into());
        outbox.push_newest("two".into());
        outbox.push("answer".into());
        assert_eq!(taken(&outbox), ["answer", "two"]);
        outbox.push_newest("three".into());
        outbox.drop_newest();
        assert!(taken(&outbox).is_empty());
    }

    #[test]
    fn a_socket_that_does_not_read_is_closed_and_its_memory_is_bounded() {
        let outbox = Outbox::default();
        for _ in 0..10_000 {
            outbox.push(Bytes::from_static(b"x"));
        }
        let delivery = outbox.state.lock().take();
        assert!(
            matches!(delivery, Some(Delivery::Close(frames, Closing::TooSlow)) if frames.len() == OUTBOX_FRAMES_MAX)
        );
    }
}
