//! What game servers ask through the SDK.
//!
//! Changes that wait for the same server are applied together and committed once, as commands for a lobby
//! are (decision 3): a game that reports its players one by one costs one commit.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use async_trait::async_trait;
use greenroom_directory::DirectoryError;
use greenroom_domain::sdk::{Change, GameServer, Refusal};
use greenroom_fleet::sdk::{Changed, SdkBackend, SdkError};
use greenroom_protocol::ServerId;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use super::{Servers, Shared, drive::Saved};

mod health;

pub(crate) use health::Pings;

/// How often a commit is tried that others come before.
const COMMIT_TRIES_MAX: u32 = 20;

/// Pause between two tries.
const COMMIT_PAUSE: Duration = Duration::from_millis(5);

/// Most changes that wait for one server; further ones are refused as busy, and SDKs try again.
const WAITING_CHANGES_MAX: usize = 256;

/// The servers, as the SDK's endpoint asks them. Weak, because the provider that they hold has it.
pub(crate) struct Backend(Weak<Shared>);

impl Backend {
    pub(crate) fn of(servers: &Servers) -> Arc<Self> {
        Arc::new(Self(Arc::downgrade(&servers.0)))
    }

    fn servers(&self) -> Option<Servers> {
        self.0.upgrade().map(Servers)
    }
}

#[async_trait]
impl SdkBackend for Backend {
    fn game_server(&self, instance: &ServerId) -> Option<watch::Receiver<Arc<GameServer>>> {
        self.servers()?.0.view.object(instance)
    }

    fn health(&self, instance: &ServerId) {
        if let Some(servers) = self.servers() {
            servers.0.pings.heard(instance);
        }
    }

    async fn change(&self, instance: &ServerId, change: Change) -> Result<Changed, SdkError> {
        let ends = || SdkError::Unavailable("Greenroom is stopping.".into());
        let answered = self.servers().ok_or_else(ends)?.submit(instance, change)?;
        answered.await.unwrap_or_else(|_| Err(ends()))
    }
}

/// The changes that wait for servers, by the name of their try; an entry is there while its driver runs.
#[derive(Default)]
pub(crate) struct Inboxes(Mutex<HashMap<ServerId, Vec<Waiting>>>);

struct Waiting {
    change: Change,
    answer: oneshot::Sender<Answer>,
}

type Answer = Result<Changed, SdkError>;

impl Servers {
    /// Puts a change behind those that wait for the server.
    fn submit(&self, instance: &ServerId, change: Change) -> Result<oneshot::Receiver<Answer>, SdkError> {
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { change, answer };
        let mut inboxes = self.0.sdk_inboxes.0.lock();
        if let Some(inbox) = inboxes.get_mut(instance) {
            if inbox.len() >= WAITING_CHANGES_MAX {
                return Err(SdkError::Unavailable("Too many changes wait for this game server.".into()));
            }
            inbox.push(waiting);
            return Ok(answered);
        }
        inboxes.insert(instance.clone(), vec![waiting]);
        drop(inboxes);
        let (servers, instance) = (self.clone(), instance.clone());
        self.0.tracker.spawn(async move { servers.apply_sdk_changes(&instance).await });
        Ok(answered)
    }

    async fn apply_sdk_changes(&self, instance: &ServerId) {
        loop {
            let batch = {
                let mut inboxes = self.0.sdk_inboxes.0.lock();
                match inboxes.get_mut(instance) {
                    Some(inbox) if !inbox.is_empty() => std::mem::take(inbox),
                    _ => {
                        inboxes.remove(instance);
                        return;
                    }
                }
            };
            let (changes, answers): (Vec<_>, Vec<_>) =
                batch.into_iter().map(|waiting| (waiting.change, waiting.answer)).unzip();
            let results = match self.commit_sdk_changes(instance, &changes).await {
                Ok((results, object)) => {
                    let changed = |is_changed| Changed { is_changed, object: Arc::clone(&object) };
                    results.into_iter().map(|result| Ok(changed(result?))).collect()
                }
                Err(error) => vec![Err(error); changes.len()],
            };
            for (answer, result) in answers.into_iter().zip(results) {
                // Who asked may have gone; what it asked for is done all the same.
                let _ = answer.send(result);
            }
        }
    }

    /// Applies changes in their order and commits what they come to; tells of each whether it changed
    /// anything, and how the server sees itself afterwards.
    async fn commit_sdk_changes(
        &self,
        instance: &ServerId,
        changes: &[Change],
    ) -> Result<(Vec<Result<bool, Refusal>>, Arc<GameServer>), SdkError> {
        for _ in 0..COMMIT_TRIES_MAX {
            let (server, revision) = self.0.view.of_instance(instance).ok_or(SdkError::NotFound)?;
            let mut next = (*server).clone();
            let now = self.0.clock.now();
            let results: Vec<_> = changes.iter().map(|change| next.change_by_sdk(change, now)).collect();
            let is_changed = next != *server;
            match if is_changed { self.save(&server, revision, next).await } else { Ok(Saved::Done) } {
                Ok(Saved::Done) => {
                    if is_changed {
                        self.nudge(server.id());
                    }
                    let object = self.0.view.object(instance).ok_or(SdkError::NotFound)?;
                    let object = Arc::clone(&object.borrow());
                    return Ok((results, object));
                }
                Ok(Saved::Conflict) | Err(DirectoryError::Busy) => tokio::time::sleep(COMMIT_PAUSE).await,
                Err(error) => {
                    tracing::warn!(server = %server.id(), %error, "what a game server asked for could not be written down");
                    return Err(SdkError::Unavailable("Nothing can be written down at the moment.".into()));
                }
            }
        }
        Err(SdkError::Unavailable("This game server changes too fast.".into()))
    }
}
