//! What this node knows of players, their sockets and their lobbies: memory only, fed by the watch.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, Weak},
};

use bytes::Bytes;
use greenroom_directory::Revision;
use greenroom_domain::{
    lobby::{FreedReason, Lobby, StartMatch},
    matches::Seat,
    settings::LobbySettings,
};
use greenroom_protocol::{
    GameId, LobbyId, MatchId, PlayerId, SessionId, Timestamp,
    lobby::{LobbyView, ServerMessage},
};

use super::{
    frames::encode,
    outbox::{Closing, LobbyFrame, Outbox},
};

/// A player of a game.
pub(super) type PlayerKey = (GameId, PlayerId);

/// A lobby of a game.
pub(super) type LobbyKey = (GameId, LobbyId);

/// One socket of a player.
pub(super) struct Socket {
    pub(super) number: u64,
    pub(super) session: SessionId,
    pub(super) outbox: Arc<Outbox>,
}

/// Everything a node's hub knows. Kept under one lock that is held for moments.
#[derive(Default)]
pub(super) struct Table {
    sockets: HashMap<PlayerKey, Vec<Socket>>,
    seats: HashMap<PlayerKey, Seat>,
    lobbies: HashMap<LobbyKey, KnownLobby>,
    deadlines: BTreeSet<(Timestamp, LobbyKey)>,
    list_watchers: HashMap<GameId, Vec<Weak<Outbox>>>,
    list_news: HashMap<GameId, HashSet<LobbyId>>,
    sockets_total: usize,
}

struct KnownLobby {
    frame: Arc<LobbyFrame>,
    view: LobbyView,
    humans: Vec<PlayerId>,
    deadline: Option<Timestamp>,
}

/// What the hub has to do about a change, once the lock is released.
#[derive(Default)]
pub(super) struct FollowUp {
    /// A start that stands in the lobby.
    pub(super) start: Option<(LobbyKey, StartMatch)>,
    /// A player that took a seat in a lobby without having a socket here.
    pub(super) absent: Option<(LobbyKey, PlayerId)>,
    /// A player who has to be told of its match.
    pub(super) told_match: Option<(PlayerKey, MatchId)>,
}

impl Table {
    /// A lobby's newest state.
    pub(super) fn lobby_changed(
        &mut self,
        lobby: &Lobby,
        revision: Revision,
        rules: &LobbySettings,
    ) -> FollowUp {
        let key = (lobby.game.clone(), lobby.id.clone());
        let view = lobby.view(rules);
        let updated = encode(&ServerMessage::Updated { lobby: view.clone() });
        let frame = Arc::new(LobbyFrame { lobby: lobby.id.clone(), revision, updated });
        let humans: Vec<PlayerId> = lobby.humans().map(|member| member.player.clone()).collect();
        let deadline = lobby.next_deadline();
        let before = self.lobbies.get(&key);
        let match_over = before.and_then(|before| before.view.match_id.clone()).filter(|_| {
            let was_playing = before
                .is_some_and(|before| before.view.phase == greenroom_protocol::lobby::LobbyPhase::Playing);
            was_playing && lobby.match_id().is_none()
        });
        let listed = !view.is_private || before.is_some_and(|before| !before.view.is_private);
        // Who just left is told the state without it, too: its seat is freed after this.
        let mut told: Vec<PlayerId> = humans.clone();
        if let Some(before) = before {
            told.extend(before.humans.iter().filter(|player| !humans.contains(player)).cloned());
            if let Some(due) = before.deadline {
                self.deadlines.remove(&(due, key.clone()));
            }
        }
        let ended = match_over
            .map(|match_id| encode(&ServerMessage::MatchEnded { match_id, lobby_id: lobby.id.clone() }));
        for player in told {
            let player = (key.0.clone(), player);
            if self.seats.get(&player).is_none_or(|seat| seat.lobby.as_ref() != Some(&key.1)) {
                continue;
            }
            for socket in self.sockets.get(&player).into_iter().flatten() {
                if let Some(ended) = &ended {
                    socket.outbox.push(ended.clone());
                }
                socket.outbox.push_lobby(&frame, false);
            }
        }
        if let Some(due) = deadline {
            self.deadlines.insert((due, key.clone()));
        }
        if listed && self.list_watchers.contains_key(&key.0) {
            self.list_news.entry(key.0.clone()).or_default().insert(key.1.clone());
        }
        let start = lobby.pending_start().map(|start| (key.clone(), start));
        self.lobbies.insert(key, KnownLobby { frame, view, humans, deadline });
        FollowUp { start, ..FollowUp::default() }
    }

    /// A lobby that is gone. Its members are told by their seats.
    pub(super) fn lobby_gone(&mut self, key: &LobbyKey) {
        let Some(known) = self.lobbies.remove(key) else { return };
        if let Some(due) = known.deadline {
            self.deadlines.remove(&(due, key.clone()));
        }
        if !known.view.is_private && self.list_watchers.contains_key(&key.0) {
            self.list_news.entry(key.0.clone()).or_default().insert(key.1.clone());
        }
    }

    /// A player's newest seat; none if it has none any more.
    pub(super) fn seat_changed(&mut self, player: PlayerKey, seat: Option<Seat>) -> FollowUp {
        let mut follow_up = FollowUp::default();
        let after = seat.unwrap_or_default();
        let before = self.seats.remove(&player).unwrap_or_default();
        let sockets = self.sockets.get(&player);
        if before.lobby != after.lobby {
            // Who goes from one lobby straight into another is only told the new one.
            if let Some(left) = before.lobby.as_ref().filter(|_| after.lobby.is_none()) {
                tell_departure(sockets.into_iter().flatten(), left, &after);
            }
            if let Some(lobby) = &after.lobby {
                let key = (player.0.clone(), lobby.clone());
                let frame = self.lobbies.get(&key).map(|known| &known.frame);
                if let (Some(sockets), Some(frame)) = (sockets, frame) {
                    for socket in sockets {
                        socket.outbox.push_lobby(frame, false);
                    }
                }
                if sockets.is_none() {
                    follow_up.absent = Some((key, player.1.clone()));
                }
            }
        }
        if let Some(match_id) = after.match_id.as_ref().filter(|_| before.match_id != after.match_id)
            && sockets.is_some()
        {
            follow_up.told_match = Some((player.clone(), match_id.clone()));
        }
        if !after.is_empty() {
            self.seats.insert(player, after);
        }
        follow_up
    }

    /// A new socket of a player. Gives the player's lobby if this is its first socket, and its match.
    pub(super) fn add_socket(
        &mut self,
        player: &PlayerKey,
        socket: Socket,
    ) -> (Option<LobbyId>, Option<MatchId>) {
        let seat = self.seats.get(player);
        let lobby = seat.and_then(|seat| seat.lobby.clone());
        if let Some(known) =
            lobby.as_ref().and_then(|lobby| self.lobbies.get(&(player.0.clone(), lobby.clone())))
        {
            socket.outbox.push_lobby(&known.frame, false);
        }
        let match_id = seat.and_then(|seat| seat.match_id.clone());
        let sockets = self.sockets.entry(player.clone()).or_default();
        let is_first = sockets.is_empty();
        sockets.push(socket);
        self.sockets_total += 1;
        (lobby.filter(|_| is_first), match_id)
    }

    /// A socket that closed. Gives the player's lobby if this was its last socket.
    pub(super) fn remove_socket(&mut self, player: &PlayerKey, number: u64) -> Option<LobbyId> {
        let sockets = self.sockets.get_mut(player)?;
        let before = sockets.len();
        sockets.retain(|socket| socket.number != number);
        self.sockets_total -= before - sockets.len();
        if !sockets.is_empty() {
            return None;
        }
        self.sockets.remove(player);
        self.seats.get(player).and_then(|seat| seat.lobby.clone())
    }

    /// Sends a frame to all sockets of a player.
    pub(super) fn tell_player(&self, player: &PlayerKey, frame: &Bytes) {
        for socket in self.sockets.get(player).into_iter().flatten() {
            socket.outbox.push(frame.clone());
        }
    }

    /// Sends a frame to all sockets of a lobby's members.
    pub(super) fn tell_lobby(&self, key: &LobbyKey, frame: &Bytes) {
        for player in self.lobbies.get(key).map(|known| known.humans.as_slice()).unwrap_or_default() {
            self.tell_player(&(key.0.clone(), player.clone()), frame);
        }
    }

    /// Sends a frame to the sockets of a lobby's owner.
    pub(super) fn tell_owner(&self, key: &LobbyKey, frame: &Bytes) {
        if let Some(known) = self.lobbies.get(key) {
            self.tell_player(&(key.0.clone(), known.view.owner_id.clone()), frame);
        }
    }

    /// Sends a socket its lobby's newest state once more.
    pub(super) fn tell_again(&self, player: &PlayerKey, outbox: &Outbox) {
        let lobby = self.seats.get(player).and_then(|seat| seat.lobby.clone());
        let known = lobby.and_then(|lobby| self.lobbies.get(&(player.0.clone(), lobby)));
        if let Some(known) = known {
            outbox.push_lobby(&known.frame, true);
        }
    }

    /// The lobby that a player is in, as far as this node knows.
    pub(super) fn lobby_of(&self, player: &PlayerKey) -> Option<LobbyId> {
        self.seats.get(player)?.lobby.clone()
    }

    /// Closes sockets of a player: those of the given sessions, or all if none is given.
    pub(super) fn close_sockets(&self, player: &PlayerKey, sessions: &[SessionId]) {
        for socket in self.sockets.get(player).into_iter().flatten() {
            if sessions.is_empty() || sessions.contains(&socket.session) {
                socket.outbox.close(Closing::SessionEnded);
            }
        }
    }

    /// Closes every socket, each with what `closing` says for it.
    pub(super) fn close_all(&self, mut closing: impl FnMut() -> Closing) {
        self.sockets.values().flatten().for_each(|socket| socket.outbox.close(closing()));
    }

    /// Begins to tell a socket of a game's public lobbies. Gives those that there are.
    pub(super) fn watch_list(&mut self, game: &GameId, outbox: &Arc<Outbox>) -> Vec<LobbyView> {
        self.unwatch_list(game, outbox);
        self.list_watchers.entry(game.clone()).or_default().push(Arc::downgrade(outbox));
        self.public_lobbies(game)
    }

    /// Ends it.
    pub(super) fn unwatch_list(&mut self, game: &GameId, outbox: &Arc<Outbox>) {
        if let Some(watchers) = self.list_watchers.get_mut(game) {
            watchers.retain(|watcher| {
                watcher.strong_count() > 0 && !std::ptr::eq(watcher.as_ptr(), Arc::as_ptr(outbox))
            });
            if watchers.is_empty() {
                self.list_watchers.remove(game);
                self.list_news.remove(game);
            }
        }
    }

    /// Tells list watchers what has changed since the last call.
    pub(super) fn flush_lists(&mut self) {
        for (game, ids) in std::mem::take(&mut self.list_news) {
            let (mut changed, mut removed) = (Vec::new(), Vec::new());
            for id in ids {
                match self.lobbies.get(&(game.clone(), id.clone())) {
                    Some(known) if !known.view.is_private => changed.push(known.view.clone()),
                    _ => removed.push(id),
                }
            }
            let frame = encode(&ServerMessage::ListChanged { changed, removed });
            let Some(watchers) = self.list_watchers.get_mut(&game) else { continue };
            watchers.retain(|watcher| match watcher.upgrade() {
                Some(outbox) => {
                    outbox.push(frame.clone());
                    true
                }
                None => false,
            });
        }
    }

    /// Whether list watchers have something to be told.
    pub(super) fn has_list_news(&self) -> bool {
        !self.list_news.is_empty()
    }

    /// The lobbies of which something is due at `now`, each given once until it changes again.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Vec<LobbyKey> {
        let mut due = Vec::new();
        while let Some((at, _)) = self.deadlines.first()
            && *at <= now
            && let Some((_, key)) = self.deadlines.pop_first()
        {
            due.push(key);
        }
        due
    }

    /// When something is due next.
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Puts a deadline back whose command could not be carried out.
    pub(super) fn due_again(&mut self, key: &LobbyKey, at: Timestamp) {
        if let Some(known) = self.lobbies.get_mut(key) {
            known.deadline = Some(at);
            self.deadlines.insert((at, key.clone()));
        }
    }

    /// All lobbies known.
    pub(super) fn lobby_keys(&self) -> Vec<LobbyKey> {
        self.lobbies.keys().cloned().collect()
    }

    /// Numbers for the console and the metrics: sockets, players with a socket, lobbies.
    pub(super) fn counts(&self) -> (usize, usize, usize) {
        (self.sockets_total, self.sockets.len(), self.lobbies.len())
    }

    fn public_lobbies(&self, game: &GameId) -> Vec<LobbyView> {
        let of_game = self.lobbies.iter().filter(|(key, known)| key.0 == *game && !known.view.is_private);
        of_game.map(|(_, known)| known.view.clone()).collect()
    }
}

fn tell_departure<'a>(sockets: impl Iterator<Item = &'a Socket>, left: &LobbyId, after: &Seat) {
    let departure = after.left.as_ref().filter(|departure| departure.lobby == *left);
    let deleted = || encode(&ServerMessage::Deleted { lobby_id: left.clone() });
    let frames = match departure.map(|departure| (departure.why, departure.gone)) {
        // The match is told by the seat's match.
        Some((FreedReason::Started, _)) => Vec::new(),
        Some((FreedReason::Kicked, _)) => vec![encode(&ServerMessage::Kicked { lobby_id: left.clone() })],
        Some((FreedReason::Closed, _)) => vec![deleted()],
        Some((FreedReason::Left | FreedReason::GraceOver, true)) => {
            vec![deleted(), encode(&ServerMessage::Left { id: None })]
        }
        Some((FreedReason::Left | FreedReason::GraceOver, false)) | None => {
            vec![encode(&ServerMessage::Left { id: None })]
        }
    };
    for socket in sockets {
        for frame in &frames {
            socket.outbox.push(frame.clone());
        }
    }
}
