//! What one commit does: the lobby, its code, the seats, the match and the facts, all or nothing.

use std::{collections::BTreeMap, time::Duration};

use greenroom_directory::{Change, Expected, Revision};
use greenroom_domain::{
    lobby::{After, Command, Effect, Event, FreedReason, Lobby, Refusal, apply},
    matches::{Departure, Match, Seat},
    settings::GameSettings,
};
use greenroom_protocol::{LobbyId, MatchId, PlayerId, Timestamp};

use super::{
    Done, Lobbies, LobbyError,
    inbox::{Answer, Ask, LobbyKey},
    password,
};
use crate::{
    context::Fact,
    documents::{FACT, LOBBY, LOBBY_CODE, MATCH, SEAT, Stored, load, put},
    failure::Failure,
};

/// How long a seat that names nothing still says how its player left, for all nodes to tell it.
const DEPARTURE_KEPT: Duration = Duration::from_mins(1);

/// A document that this commit may change.
struct Touched<T> {
    value: T,
    expected: Expected,
    dirty: bool,
}

struct OtherLobby {
    lobby: Lobby,
    revision: Revision,
    gone: bool,
}

/// A commit, ready to be made.
pub(super) struct Plan {
    /// A lobby that is left comes before the one that is joined: so a player's newest lobby has
    /// the newest revision, and its sockets never go back to the other.
    pub(super) changes: Vec<Change>,
    /// Which of them is the lobby's own.
    pub(super) own: usize,
    /// The revision at which the lobby was read.
    pub(super) read_at: Revision,
    /// Matches that nobody waits for any more.
    pub(super) cancelled: Vec<MatchId>,
    results: Vec<Result<bool, Refusal>>,
}

struct Planner<'a> {
    lobbies: &'a Lobbies,
    game: &'a GameSettings,
    now: Timestamp,
    seats: BTreeMap<PlayerId, Touched<Seat>>,
    matches: BTreeMap<MatchId, Touched<Option<Match>>>,
    others: BTreeMap<LobbyId, OtherLobby>,
    facts: Vec<Event>,
    cancelled: Vec<MatchId>,
}

impl Plan {
    /// Reads what the commands need and applies them in order; none if there is no such lobby.
    pub(super) async fn make(
        lobbies: &Lobbies,
        key: &LobbyKey,
        asks: &[Ask],
    ) -> Result<Option<Self>, Failure> {
        let game = lobbies.game(&key.game)?;
        let directory = &lobbies.inner.directory;
        let Some(stored) = load::<Lobby>(directory, &key.game, LOBBY, key.lobby.as_str()).await? else {
            return Ok(None);
        };
        let Stored { value: mut lobby, revision: read_at } = stored;
        let mut planner = Planner::new(lobbies, &game);
        let mut results = Vec::with_capacity(asks.len());
        let mut dirty = false;
        let mut gone = false;
        for ask in asks {
            if gone {
                results.push(Err(Refusal::LobbyNotFound));
                continue;
            }
            let command = Planner::complete(ask, &lobby);
            let joins = match &command {
                Command::Join { player, .. } => Some(player.clone()),
                _ => None,
            };
            let outcome = apply(&mut lobby, command, planner.now, &game.lobby, &mut rand::rng());
            let outcome = match outcome {
                Ok(outcome) => outcome,
                Err(refusal) => {
                    results.push(Err(refusal));
                    continue;
                }
            };
            if let Some(player) = joins {
                planner.leave_other(&player, &lobby.id).await?;
            }
            gone = matches!(outcome.state, After::Gone(_));
            dirty |= outcome.state != After::Unchanged;
            results.push(Ok(outcome.state != After::Unchanged));
            planner.effects(&lobby, gone, outcome.effects).await?;
        }
        let mut changes = planner.others()?;
        let own = changes.len();
        if gone {
            changes.push(Change::delete(LOBBY, lobby.id.as_str(), Expected::At(read_at)));
            changes.push(Change::delete(LOBBY_CODE, &lobby.code, Expected::Any));
        } else if dirty {
            changes.push(put(LOBBY, lobby.id.as_str(), Expected::At(read_at), &lobby)?);
        }
        let cancelled = std::mem::take(&mut planner.cancelled);
        planner.finish(&mut changes)?;
        Ok(Some(Self { changes, own, read_at, cancelled, results }))
    }

    /// A new lobby's first commit.
    pub(super) async fn create(
        lobbies: &Lobbies,
        game: &GameSettings,
        lobby: &Lobby,
        effects: Vec<Effect>,
    ) -> Result<Self, Failure> {
        let mut planner = Planner::new(lobbies, game);
        planner.leave_other(&lobby.owner, &lobby.id).await?;
        planner.effects(lobby, false, effects).await?;
        let mut changes = planner.others()?;
        let own = changes.len();
        changes.push(put(LOBBY, lobby.id.as_str(), Expected::Absent, lobby)?);
        changes.push(put(LOBBY_CODE, &lobby.code, Expected::Absent, &lobby.id)?);
        let cancelled = std::mem::take(&mut planner.cancelled);
        planner.finish(&mut changes)?;
        Ok(Self { changes, own, read_at: Revision(0), cancelled, results: Vec::new() })
    }

    /// The answers of the commands, given the revision that holds their effects.
    pub(super) fn answers(&self, revision: Revision) -> Vec<Answer> {
        let answer = |result: &Result<bool, Refusal>| match result {
            Ok(changed) => Ok(Done { revision, changed: *changed }),
            Err(refusal) => Err(LobbyError::Refused(*refusal)),
        };
        self.results.iter().map(answer).collect()
    }
}

impl<'a> Planner<'a> {
    fn new(lobbies: &'a Lobbies, game: &'a GameSettings) -> Self {
        Self {
            lobbies,
            game,
            now: lobbies.inner.clock.now(),
            seats: BTreeMap::new(),
            matches: BTreeMap::new(),
            others: BTreeMap::new(),
            facts: Vec::new(),
            cancelled: Vec::new(),
        }
    }

    fn complete(ask: &Ask, lobby: &Lobby) -> Command {
        match ask {
            Ask::Command(command) => command.clone(),
            Ask::Join { player, username, team, by_code, password } => Command::Join {
                player: player.clone(),
                username: username.clone(),
                team: *team,
                by_code: *by_code,
                password_ok: password::matches(lobby.password_hash.as_deref(), password.as_deref()),
            },
        }
    }

    /// Lets the player leave the lobby that its seat names, unless that is `here`.
    async fn leave_other(&mut self, player: &PlayerId, here: &LobbyId) -> Result<(), Failure> {
        let Some(other) = self.seat(player).await?.value.lobby.clone().filter(|lobby| lobby != here) else {
            return Ok(());
        };
        if !self.others.contains_key(&other) {
            let directory = &self.lobbies.inner.directory;
            let Some(stored) = load::<Lobby>(directory, &self.game.id, LOBBY, other.as_str()).await? else {
                return Ok(());
            };
            self.others.insert(
                other.clone(),
                OtherLobby { lobby: stored.value, revision: stored.revision, gone: false },
            );
        }
        let Some(entry) = self.others.get_mut(&other).filter(|entry| !entry.gone) else { return Ok(()) };
        let leave = Command::Leave { player: player.clone() };
        let Ok(outcome) = apply(&mut entry.lobby, leave, self.now, &self.game.lobby, &mut rand::rng()) else {
            // The seat was behind; it names the new lobby from now on.
            return Ok(());
        };
        let gone = matches!(outcome.state, After::Gone(_));
        entry.gone = gone;
        let lobby = entry.lobby.clone();
        self.effects(&lobby, gone, outcome.effects).await
    }

    async fn effects(&mut self, lobby: &Lobby, gone: bool, effects: Vec<Effect>) -> Result<(), Failure> {
        for effect in effects {
            match effect {
                Effect::SeatTaken { player } => {
                    let seat = self.seat(&player).await?;
                    seat.value.lobby = Some(lobby.id.clone());
                    seat.dirty = true;
                }
                Effect::SeatFreed { player, why } => self.free_seat(&player, &lobby.id, why, gone).await?,
                // It stands in the lobby until it is done: `start` finds it there.
                Effect::StartMatch(_) => {}
                Effect::CancelMatch { match_id } => self.cancelled.push(match_id),
                Effect::MatchStarted(started) => self.match_started(*started).await?,
                Effect::JoinMatch { match_id, player, username, team } => {
                    let (size, most) = (lobby.team_size(&self.game.lobby), self.game.lobby.members_max);
                    let touched = self.the_match(&match_id).await?;
                    // No room in the match, or it is over: the player waits in the lobby.
                    let joined = touched
                        .value
                        .as_mut()
                        .is_some_and(|one| one.join(&player, &username, team, size, most).is_ok());
                    if joined {
                        touched.dirty = true;
                        let seat = self.seat(&player).await?;
                        seat.value.match_id = Some(match_id);
                        seat.dirty = true;
                    }
                }
                Effect::MatchEnded { match_id } => self.match_ended(&match_id).await?,
                Effect::Event(event) => self.facts.push(event),
            }
        }
        Ok(())
    }

    async fn free_seat(
        &mut self,
        player: &PlayerId,
        lobby: &LobbyId,
        why: FreedReason,
        gone: bool,
    ) -> Result<(), Failure> {
        let seat = self.seat(player).await?;
        if seat.value.lobby.as_ref() == Some(lobby) {
            seat.value.lobby = None;
            seat.value.left = Some(Departure { lobby: lobby.clone(), why, gone });
            seat.dirty = true;
        }
        Ok(())
    }

    async fn match_started(&mut self, started: Match) -> Result<(), Failure> {
        for player in started.players.iter().filter(|player| !player.bot) {
            let seat = self.seat(&player.player).await?;
            seat.value.match_id = Some(started.id.clone());
            seat.dirty = true;
        }
        let id = started.id.clone();
        self.matches.insert(id, Touched { value: Some(started), expected: Expected::Absent, dirty: true });
        Ok(())
    }

    async fn match_ended(&mut self, match_id: &MatchId) -> Result<(), Failure> {
        let touched = self.the_match(match_id).await?;
        touched.dirty = true;
        let Some(ended) = touched.value.take() else { return Ok(()) };
        for player in ended.players.iter().filter(|player| !player.bot) {
            let seat = self.seat(&player.player).await?;
            if seat.value.match_id.as_ref() == Some(match_id) {
                seat.value.match_id = None;
                seat.dirty = true;
            }
        }
        Ok(())
    }

    async fn seat(&mut self, player: &PlayerId) -> Result<&mut Touched<Seat>, Failure> {
        if !self.seats.contains_key(player) {
            let directory = &self.lobbies.inner.directory;
            let stored = load::<Seat>(directory, &self.game.id, SEAT, player.as_str()).await?;
            self.seats.insert(player.clone(), touched(stored, Seat::default()));
        }
        Ok(self.seats.get_mut(player).expect("it was just put there"))
    }

    async fn the_match(&mut self, id: &MatchId) -> Result<&mut Touched<Option<Match>>, Failure> {
        if !self.matches.contains_key(id) {
            let directory = &self.lobbies.inner.directory;
            let stored = load::<Option<Match>>(directory, &self.game.id, MATCH, id.as_str()).await?;
            self.matches.insert(id.clone(), touched(stored, None));
        }
        Ok(self.matches.get_mut(id).expect("it was just put there"))
    }

    /// The changes of the lobbies that are left.
    fn others(&mut self) -> Result<Vec<Change>, Failure> {
        let mut changes = Vec::new();
        for (id, other) in std::mem::take(&mut self.others) {
            if other.gone {
                changes.push(Change::delete(LOBBY, id.as_str(), Expected::At(other.revision)));
                changes.push(Change::delete(LOBBY_CODE, &other.lobby.code, Expected::Any));
            } else {
                changes.push(put(LOBBY, id.as_str(), Expected::At(other.revision), &other.lobby)?);
            }
        }
        Ok(changes)
    }

    fn finish(self, changes: &mut Vec<Change>) -> Result<(), Failure> {
        for (id, touched) in self.matches.into_iter().filter(|(_, touched)| touched.dirty) {
            match touched.value {
                Some(value) => changes.push(put(MATCH, id.as_str(), touched.expected, &value)?),
                None if touched.expected == Expected::Absent => {}
                None => changes.push(Change::delete(MATCH, id.as_str(), touched.expected)),
            }
        }
        for (player, touched) in self.seats.into_iter().filter(|(_, touched)| touched.dirty) {
            let value = serde_json::to_vec(&touched.value).map_err(Failure::internal)?;
            changes.push(if touched.value.is_empty() {
                Change::put_expiring(SEAT, player.as_str(), touched.expected, value, DEPARTURE_KEPT)
            } else {
                Change::put(SEAT, player.as_str(), touched.expected, value)
            });
        }
        for event in self.facts {
            let kind = event.subject.rsplit('.').next().unwrap_or_default().to_owned();
            let fact = Fact {
                studio: self.game.studio.clone(),
                source: format!("/games/{}", self.game.id),
                kind,
                at: self.now,
                id: event.id,
                subject: event.subject,
                data: event.data,
            };
            changes.push(put(FACT, &fact.id, Expected::Any, &fact)?);
        }
        Ok(())
    }
}

fn touched<T>(stored: Option<Stored<T>>, otherwise: T) -> Touched<T> {
    match stored {
        Some(stored) => {
            Touched { value: stored.value, expected: Expected::At(stored.revision), dirty: false }
        }
        None => Touched { value: otherwise, expected: Expected::Absent, dirty: false },
    }
}
