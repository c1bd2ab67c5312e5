//! Commands that wait for the same lobby are applied together and committed once: decision 3.

use std::{collections::HashMap, time::Duration};

use greenroom_directory::{DirectoryError, Expected, Key, Partition};
use greenroom_domain::lobby::{Command, Refusal};
use greenroom_protocol::{ErrorCode, GameId, LobbyId, PlayerId, lobby::Team};
use parking_lot::Mutex;
use rand::Rng;
use tokio::sync::oneshot;

use super::{Done, Lobbies, LobbyError, plan::Plan};
use crate::{documents::LOBBY, failure::Failure};

/// Most commands that wait for one lobby; further ones are answered `busy`.
pub const WAITING_COMMANDS_MAX: usize = 1_024;

/// How often a commit is tried when other nodes change the same documents.
const COMMIT_TRIES_MAX: u32 = 16;

/// Longest pause before a commit is tried again; grows up to this.
const COMMIT_PAUSE_MAX: Duration = Duration::from_millis(50);

/// A command with what the rule does not know yet.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    /// Complete as it is.
    Command(Command),
    /// A join: whether the password is right is known when the lobby is read.
    Join { player: PlayerId, username: String, team: Option<Team>, by_code: bool, password: Option<String> },
}

pub(super) type Answer = Result<Done, LobbyError>;

pub(super) struct Pending {
    pub(super) ask: Ask,
    pub(super) answer: oneshot::Sender<Answer>,
}

/// One lobby.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct LobbyKey {
    pub(super) game: GameId,
    pub(super) lobby: LobbyId,
}

/// The inboxes of the lobbies that have commands waiting or under way.
#[derive(Default)]
pub(super) struct Inboxes(Mutex<HashMap<LobbyKey, Vec<Pending>>>);

impl Lobbies {
    /// Puts a command behind those that wait for the lobby; the order of calls is the order in
    /// which they are applied. The answer comes when its effect is kept.
    pub(super) fn submit(&self, game: &GameId, lobby: &LobbyId, ask: Ask) -> oneshot::Receiver<Answer> {
        let (answer, answered) = oneshot::channel();
        let key = LobbyKey { game: game.clone(), lobby: lobby.clone() };
        let mut inboxes = self.inner.inboxes.0.lock();
        if let Some(inbox) = inboxes.get_mut(&key) {
            if inbox.len() < WAITING_COMMANDS_MAX {
                inbox.push(Pending { ask, answer });
            } else {
                let busy = Failure::new(
                    ErrorCode::Busy,
                    "Too many commands wait for this lobby. Try again in a moment.",
                );
                let _ = answer.send(Err(LobbyError::Failed(busy)));
            }
            return answered;
        }
        inboxes.insert(key.clone(), vec![Pending { ask, answer }]);
        drop(inboxes);
        let lobbies = self.clone();
        self.inner.tracker.spawn(async move { lobbies.drive(key).await });
        answered
    }

    pub(super) async fn command(&self, game: &GameId, lobby: &LobbyId, ask: Ask) -> Answer {
        match self.submit(game, lobby, ask).await {
            Ok(answer) => answer,
            Err(_) => {
                Err(LobbyError::Failed(Failure::new(ErrorCode::Unavailable, "The server is stopping.")))
            }
        }
    }

    async fn drive(&self, key: LobbyKey) {
        loop {
            let batch = {
                let mut inboxes = self.inner.inboxes.0.lock();
                match inboxes.get_mut(&key) {
                    Some(inbox) if !inbox.is_empty() => std::mem::take(inbox),
                    _ => {
                        inboxes.remove(&key);
                        return;
                    }
                }
            };
            metrics::histogram!("greenroom_lobby_batch_commands").record(batch.len() as f64);
            self.carry_out(&key, batch).await;
        }
    }

    async fn carry_out(&self, key: &LobbyKey, batch: Vec<Pending>) {
        let (asks, answers): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|pending| (pending.ask, pending.answer)).unzip();
        let results = match self.commit(key, &asks).await {
            Ok(results) => results,
            Err(failure) => vec![Err(LobbyError::Failed(failure)); asks.len()],
        };
        for (answer, result) in answers.into_iter().zip(results) {
            // Who asked may have gone; the command is done all the same.
            let _ = answer.send(result);
        }
    }

    async fn commit(&self, key: &LobbyKey, asks: &[Ask]) -> Result<Vec<Answer>, Failure> {
        let partition = Partition::game(&key.game);
        for attempt in 0..COMMIT_TRIES_MAX {
            let Some(plan) = Plan::make(self, key, asks).await? else {
                return Ok(vec![Err(Refusal::LobbyNotFound.into()); asks.len()]);
            };
            if plan.changes.is_empty() {
                return Ok(plan.answers(plan.read_at));
            }
            match self.inner.directory.commit(&partition, plan.changes.clone()).await {
                Ok(revisions) => {
                    self.after_commit(&key.game, &plan);
                    let revision = revisions.get(plan.own).copied().unwrap_or(plan.read_at);
                    return Ok(plan.answers(revision));
                }
                Err(DirectoryError::Conflict(_)) => {
                    metrics::counter!("greenroom_lobby_conflicts_total").increment(1);
                    pause(attempt).await;
                }
                Err(DirectoryError::OutcomeUnknown(why)) => match self.was_applied(key, &plan).await? {
                    Some(true) => {
                        self.after_commit(&key.game, &plan);
                        return Ok(plan.answers(plan.read_at));
                    }
                    Some(false) => pause(attempt).await,
                    None => return Err(Failure::directory(DirectoryError::OutcomeUnknown(why))),
                },
                Err(error) => return Err(Failure::directory(error)),
            }
        }
        Err(Failure::new(ErrorCode::Busy, "This lobby changes too fast. Try again in a moment."))
    }

    /// Whether a commit of which nothing is known was applied; none if that cannot be told because
    /// others built upon what may have been it.
    async fn was_applied(&self, key: &LobbyKey, plan: &Plan) -> Result<Option<bool>, Failure> {
        let document_key = Key::new(Partition::game(&key.game), LOBBY, key.lobby.as_str());
        let found = self.inner.directory.get(&document_key).await.map_err(Failure::directory)?;
        let Some(change) = plan.changes.get(plan.own) else { return Ok(Some(true)) };
        Ok(match (&change.action, found) {
            (greenroom_directory::Action::Put { value, .. }, Some(document)) if document.value == *value => {
                Some(true)
            }
            (greenroom_directory::Action::Delete, None) => Some(true),
            (_, Some(document)) if change.expected == Expected::At(document.revision) => Some(false),
            _ => None,
        })
    }

    pub(super) fn after_commit(&self, game: &GameId, plan: &Plan) {
        for match_id in &plan.cancelled {
            self.cancel_start(game, match_id.clone());
        }
    }
}

async fn pause(attempt: u32) {
    if attempt == 0 {
        return;
    }
    let most = COMMIT_PAUSE_MAX.min(Duration::from_millis(1 << attempt.min(10)));
    let pause = most.mul_f64(rand::rng().random_range(0.5..1.0));
    tokio::time::sleep(pause).await;
}
